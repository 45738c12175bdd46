/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/attach_explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void say(AttachExplanation *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(AttachExplanation *why, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, arguments);
    va_end(arguments);
}

/* Whether Yama lets processes trace their descendants only, or nobody. */
static bool is_restricted_by_yama(void)
{
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = '0';

    if (file) {
        scope = fgetc(file);
        (void)fclose(file);
    }
    return scope > '0' && scope <= '9';
}

static void explain_rights(pid_t pid, const AttachFailure *failure, AttachExplanation *why)
{
    const ProcessIdentity *identity = &failure->identity;

    if (identity->name[0] && identity->user != geteuid())
        say(why,
            "cannot attach to process %d (%s): it belongs to user %u: run this as that user or as root, or with "
            "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
            (int)pid, identity->name, (unsigned)identity->user);
    else if (is_restricted_by_yama())
        say(why,
            "cannot attach to process %d (%s): Yama forbids it: set kernel.yama.ptrace_scope to 0 with sysctl, or "
            "run this with CAP_SYS_PTRACE",
            (int)pid, identity->name);
    else
        say(why,
            "cannot attach to process %d (%s): %s: it keeps others out, or what is left of its segment is its "
            "mapping; run this as root, or with CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE",
            (int)pid, identity->name, strerror(-failure->error));
}

static void explain_claim(pid_t pid, const AttachFailure *failure, AttachExplanation *why)
{
    if (failure->other > 0)
        say(why,
            "cannot attach to process %d (%s): process %d records it already; stop that first, or use what it "
            "records",
            (int)pid, failure->identity.name, (int)failure->other);
    else
        say(why,
            "cannot attach to process %d (%s): a process of another pid namespace records it already; stop that "
            "first",
            (int)pid, failure->identity.name);
}

void attach_explain(pid_t pid, const AttachFailure *failure, AttachExplanation *why)
{
    const char *name = failure->identity.name;
    int number = (int)pid;

    switch (failure->what) {
    case ATTACH_NO_PROCESS:
        say(why, "cannot attach to process %d: there is none with that number; see 'ps -e'", number);
        break;
    case ATTACH_IS_THREAD:
        say(why,
            "cannot attach to %d (%s): it is a thread of process %d; give that, all of its threads are recorded",
            number, name, (int)failure->other);
        break;
    case ATTACH_KERNEL_THREAD:
        say(why,
            "cannot attach to process %d (%s): it is a thread of the kernel, which runs no program; give another",
            number, name);
        break;
    case ATTACH_ZOMBIE:
        say(why,
            "cannot attach to process %d (%s): it has ended, and waits for its parent to ask how; give another",
            number, name);
        break;
    case ATTACH_SELF:
        say(why, "cannot attach to process %d: it is this command itself; give another", number);
        break;
    case ATTACH_NO_RIGHT:
        explain_rights(pid, failure, why);
        break;
    case ATTACH_NOT_HERE:
        say(why,
            "cannot attach to process %d (%s): it does not use libadatrace; link it to that, start it by 'adatrace "
            "record --preload', or record what the kernel sees of it, with --sched, --syscalls or --uprobe",
            number, name);
        break;
    case ATTACH_CLAIMED:
        explain_claim(pid, failure, why);
        break;
    case ATTACH_OTHER_VERSION:
        say(why,
            "cannot attach to process %d (%s): its libadatrace is of another version than this command; use the "
            "adatrace that came with it",
            number, name);
        break;
    case ATTACH_DAMAGED:
        say(why,
            "cannot attach to process %d (%s): what it offers as its segment contradicts itself; restart it",
            number, name);
        break;
    case ATTACH_ENDED:
        say(why, "cannot attach to process %d (%s): it ended meanwhile", number, name);
        break;
    default:
        say(why, "cannot attach to process %d (%s): %s", number, name, strerror(-failure->error));
        break;
    }
}
