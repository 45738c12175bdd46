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
#include <setjmp.h>

typedef struct Output {
    jmp_buf full;
    char *out;
    size_t size;
    size_t length;
} Output;

/*
 * libiberty has no other way to make it stop, and what a name stands for may grow by powers of two with its length. It is safe to
 * leave: this form of the demangler has all its memory on the stack.
 */
static void append(const char *text, size_t length, void *context)
{
    Output *output = context;
    size_t room = output->size - output->length;

    memcpy(output->out + output->length, text, length < room ? length : room);
    if (length >= room)
        longjmp(output->full, 1);
    output->length += length;
}

typedef enum Outcome { NO_NAME, WHOLE, CUT } Outcome;

static Outcome run(const char *mangled, Output *output)
{
    if (setjmp(output->full) != 0)
        return CUT;
    return cplus_demangle_v3_callback(mangled, DMGL_PARAMS | DMGL_ANSI, append, output) ? WHOLE : NO_NAME;
}

size_t demangle(const char *mangled, char *out, size_t size)
{
    Output output = {.out = out, .size = size};

    if (strncmp(mangled, "_Z", 2) != 0)
        return 0;
    switch (run(mangled, &output)) {
    case WHOLE:
        out[output.length] = '\0';
        return output.length;
    case CUT:
        return end_cut(out, size);
    default:
        return 0;
    }
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
