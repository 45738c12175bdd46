/* SPDX-License-Identifier: MIT */
#include "user/reader/demangle.h"

#include <stdbool.h>
#include <string.h>

/* The text fills `size` bytes, or would: makes place for the NUL and for what tells of the cut. */
static size_t end_cut(char *out, size_t size)
{
    size_t length = size - sizeof(DEMANGLE_CUT);

    while (length > 0 && ((unsigned char)out[length] & 0xc0) == 0x80) /* within a character */
        length--;
    memcpy(out + length, DEMANGLE_CUT, sizeof(DEMANGLE_CUT));
    return length + strlen(DEMANGLE_CUT);
}

size_t demangle_copy(const char *text, char *out, size_t size)
{
    size_t length = strnlen(text, size);

    memcpy(out, text, length);
    if (length == size)
        return end_cut(out, size);
    out[length] = '\0';
    return length;
}

#ifdef ADA_HAVE_LIBIBERTY

#include <libiberty/demangle.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

/*
 * Measured with libiberty of gcc 12, over 45 kinds of nesting, each as deep as the length allows: a name of 512 bytes takes 0.21 MiB of stack, one of
 * 1,024 bytes 0.42 MiB, one of DEMANGLE_LENGTH_MAX 3.4 MiB. Names of C++ of more than 1,024 bytes it refuses, unless it is told not to care.
 */
#define SHORT_LENGTH_MAX 512u
#define STACK_BYTES ((size_t)32 << 20)

typedef struct Output {
    jmp_buf full;
    char *out;
    size_t size;
    size_t length;
    bool cut;
} Output;

static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

/*
 * libiberty has no other way to make it stop, and what a name stands for may grow by powers of two with its length. It is safe to
 * leave: the demangler of C++ has all its memory on the stack in this form, and so has that of Rust but for a name
 * that is beyond ASCII, which it hands over as a whole. So there we leave with what comes next, a "::" at least.
 */
static void append(const char *text, size_t length, void *context)
{
    Output *output = context;
    size_t room = output->size - output->length;

    if (length == 0) /* `text` may be NULL then */
        return;
    if (length < room && !output->cut) {
        memcpy(output->out + output->length, text, length);
        output->length += length;
        return;
    }
    if (!output->cut)
        memcpy(output->out + output->length, text, room);
    output->cut = true;
    output->length = output->size;
    if (is_ascii(text, length))
        longjmp(output->full, 1);
}

/* True: it is a name, of which there may be more than there is room for. */
static bool run(const char *mangled, int options, Output *output)
{
    if (setjmp(output->full) != 0)
        return true;
    if (rust_demangle_callback(mangled, options, append, output))
        return true;
    output->length = 0; /* it may have begun */
    output->cut = false;
    return mangled[1] == 'Z' && cplus_demangle_v3_callback(mangled, options, append, output);
}

typedef struct Task {
    const char *mangled;
    Output *output;
    bool found;
} Task;

static void *run_task(void *context)
{
    Task *task = context;

    task->found = run(task->mangled, DMGL_PARAMS | DMGL_ANSI | DMGL_NO_RECURSE_LIMIT, task->output);
    return NULL;
}

/* The same with a stack of its own. Signals are for the threads of the program. */
static bool run_long(const char *mangled, Output *output)
{
    Task task = {.mangled = mangled, .output = output};
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int error;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    sigfillset(&all);
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (!error)
        error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!error) {
        error = pthread_create(&thread, &attributes, run_task, &task);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    if (error)
        return false;
    (void)pthread_join(thread, NULL);
    return task.found;
}

size_t demangle(const char *mangled, char *out, size_t size)
{
    Output output = {.out = out, .size = size};
    size_t length;
    bool found;

    if (mangled[0] != '_' || (mangled[1] != 'Z' && mangled[1] != 'R'))
        return 0;
    length = strnlen(mangled, DEMANGLE_LENGTH_MAX + 1);
    if (length > DEMANGLE_LENGTH_MAX)
        return 0;
    if (length <= SHORT_LENGTH_MAX)
        found = run(mangled, DMGL_PARAMS | DMGL_ANSI, &output);
    else
        found = run_long(mangled, &output);
    if (!found || output.length == 0)
        return 0;
    if (output.cut)
        return end_cut(out, size);
    out[output.length] = '\0';
    return output.length;
}

#else

size_t demangle(const char *mangled, char *out, size_t size)
{
    (void)mangled;
    (void)out;
    (void)size;
    return 0;
}

#endif
