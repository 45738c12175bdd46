/* SPDX-License-Identifier: MIT */
/* A process without rights, and the opener that it asks: what is handed out, what is not, and what either's end does to the other. */
#define _GNU_SOURCE
#include "test_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/segment_abi.h"
#include "user/access/hook_process.h"
#include "user/access/kernel_access.h"
#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/access/opener_server.h"
#include "user/access/output_place.h"

#define NUMBER 77 /* of descriptors that others have */

static bool may_run_as(void *context, const char *user)
{
    return strcmp(user, context) == 0;
}

static const OpenerConfig config = {.may_run_as = may_run_as, .context = (char[]){"nobody"}};

static void start(void)
{
    CU_ASSERT_EQUAL_FATAL(opener_start(&config), 0);
    CU_ASSERT_TRUE(opener_is_used());
}

static size_t count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

/* The only child that there is. */
static pid_t find_opener(void)
{
    char path[64], text[32] = "";
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    file = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof(text), file));
    (void)fclose(file);
    return (pid_t)strtol(text, NULL, 10);
}

/* Another process, which has a memfd of that name. */
static pid_t start_other(const char *memfd)
{
    int ready[2];
    char byte;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    CU_ASSERT_TRUE_FATAL(pid >= 0);
    if (pid == 0) {
        int fd = memfd_create(memfd, MFD_CLOEXEC);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd < 0 || ftruncate(fd, 4096) < 0 || dup2(fd, NUMBER) < 0)
            _exit(1);
        close(fd);
        (void)!write(ready[1], "r", 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_other(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static bool has_ended(int pidfd, int timeout_ms)
{
    struct pollfd fd = {.fd = pidfd, .events = POLLIN};

    return poll(&fd, 1, timeout_ms) == 1;
}

/* ---- processes ------------------------------------------------------------------------------------ */

static void opener__a_process__then_it_is_described_as_without(void)
{
    pid_t pid = start_other("something");
    char path[PATH_MAX], expected[PATH_MAX];
    ProcessIdentity with, without;

    CU_ASSERT_EQUAL(process_identity_read(pid, &without), 0);
    process_program(pid, expected, sizeof(expected));
    start();
    CU_ASSERT_EQUAL(process_identity_read(pid, &with), 0);
    CU_ASSERT_EQUAL(with.pid, pid);
    CU_ASSERT_EQUAL(with.pid_namespace, without.pid_namespace);
    CU_ASSERT_EQUAL(with.user, geteuid());
    CU_ASSERT_STRING_EQUAL(with.name, without.name);
    process_program(pid, path, sizeof(path));
    CU_ASSERT_STRING_EQUAL(path, expected);
    CU_ASSERT(path[0] == '/');
    end_other(pid);
    CU_ASSERT_EQUAL(process_identity_read(pid, &with), -ESRCH);
    process_program(pid, path, sizeof(path));
    CU_ASSERT_STRING_EQUAL(path, "");
    opener_stop();
}

static void opener__a_segment__then_its_descriptor_is_handed_over(void)
{
    pid_t pid = start_other(ADA_SEGMENT_NAME);
    size_t before = count_descriptors();
    struct stat status;
    SegmentPlaces places;
    int fd, pidfd;

    start();
    CU_ASSERT_EQUAL(process_segments_find(pid, false, &places), 0);
    CU_ASSERT_EQUAL_FATAL(places.count, 1);
    CU_ASSERT_EQUAL(places.items[0].number, NUMBER);
    CU_ASSERT_EQUAL(places.refused, 0);
    fd = process_segments_open(pid, &places.items[0]);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT_EQUAL(status.st_ino, places.items[0].inode);
    CU_ASSERT_EQUAL(status.st_size, 4096);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CU_ASSERT_TRUE(process_segments_has(pid, NUMBER, status.st_dev, status.st_ino));
    CU_ASSERT_FALSE(process_segments_has(pid, NUMBER, status.st_dev, status.st_ino + 1));
    CU_ASSERT_FALSE(process_segments_any(pid)); /* it is not mapped */
    close(fd);
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    fd = process_segments_take(pidfd, pid, NUMBER);
    CU_ASSERT(fd >= 0);
    close(fd);
    end_other(pid);
    CU_ASSERT_EQUAL(process_segments_take(pidfd, pid, NUMBER), -ESRCH);
    close(pidfd);
    opener_stop();
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void opener__no_segment__then_nothing_is_handed_over(void)
{
    pid_t pid = start_other("adatrace-v10"); /* nearly */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    SegmentPlace place = {.number = NUMBER};
    SegmentPlaces places;

    start();
    CU_ASSERT_EQUAL(process_segments_find(pid, false, &places), 0);
    CU_ASSERT_EQUAL(places.count, 0);
    CU_ASSERT_EQUAL(process_segments_open(pid, &place), -EBADF);
    CU_ASSERT_EQUAL(process_segments_take(pidfd, pid, NUMBER), -EBADF);
    close(pidfd);
    place.number = 0; /* whatever stands there */
    CU_ASSERT(process_segments_open(pid, &place) < 0);
    place = (SegmentPlace){.number = -1, .start = 0x1000, .end = 0x2000};
    CU_ASSERT(process_segments_open(pid, &place) < 0);
    end_other(pid);
    opener_stop();
}

/* ---- directories ---------------------------------------------------------------------------------- */

static void opener__directories__then_made_and_checked(void)
{
    char base[] = "/tmp/adatrace-test-XXXXXX", path[64], parent[64];
    struct stat status;
    bool made = false;
    int fd;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(base));
    start();
    (void)snprintf(parent, sizeof(parent), "%s/a", base);
    (void)snprintf(path, sizeof(path), "%s/a/b", base);
    CU_ASSERT_EQUAL(output_place_open(path, true, &made), -ENOENT);
    CU_ASSERT_EQUAL(output_place_make_parents(path), 0);
    fd = output_place_open(path, true, &made);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_TRUE(made);
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT(S_ISDIR(status.st_mode));
    close(fd);
    CU_ASSERT_EQUAL(output_place_open(path, false, &made), -EEXIST);
    fd = output_place_open(path, true, &made);
    CU_ASSERT(fd >= 0);
    CU_ASSERT_FALSE(made);
    close(fd);
    CU_ASSERT_EQUAL(chmod(path, 0777), 0);
    CU_ASSERT_EQUAL(output_place_open(path, true, &made), -EPERM);
    opener_stop();
    (void)rmdir(path);
    (void)rmdir(parent);
    (void)rmdir(base);
}

/* Whether the user can read the file. */
static bool can_read(uid_t user, const char *path)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(setgroups(0, NULL) == 0 && setresgid(60000, 60000, 60000) == 0 &&
                      setresuid(user, user, user) == 0 && open(path, O_RDONLY | O_CLOEXEC) >= 0
                  ? 0
                  : 1);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return status == 0;
}

static void opener__a_directory_is_shared__then_that_user_can_read_it_and_no_other(void)
{
    char base[] = "/tmp/adatrace-test-XXXXXX", path[64], file[64];
    bool made = false;
    int fd, error;

    if (geteuid() != 0)
        TEST_SKIP("takes root, to become another user");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(base));
    CU_ASSERT_EQUAL(chmod(base, 0755), 0);
    (void)snprintf(path, sizeof(path), "%s/a", base);
    (void)snprintf(file, sizeof(file), "%s/a/f", base);
    start();
    close(output_place_open(path, true, &made));
    error = output_place_share(path, 60001);
    if (error != -EOPNOTSUPP) {
        CU_ASSERT_EQUAL(error, 0);
        fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        CU_ASSERT(fd >= 0);
        close(fd);
        CU_ASSERT_TRUE(can_read(60001, file));
        CU_ASSERT_FALSE(can_read(60002, file));
        CU_ASSERT_EQUAL(output_place_share(path, 60002), 0); /* the last one counts */
        CU_ASSERT_FALSE(can_read(60001, path));
        CU_ASSERT_EQUAL(chmod(path, 0777), 0);
        CU_ASSERT_EQUAL(output_place_share(path, 60001), -EPERM); /* somebody else's, too */
    }
    opener_stop();
    (void)unlink(file);
    (void)rmdir(path);
    (void)rmdir(base);
    if (error)
        TEST_SKIP("no ACLs in /tmp");
}

/* ---- hooks ---------------------------------------------------------------------------------------- */

static int start_hook(const char *user, const char *script, HookProcess *process)
{
    char path[] = "/tmp/adatrace-test-XXXXXX";
    int file = mkstemp(path), input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    HookCommand command = {.program = path, .user = user, .session = "s", .file = "/f", .input = input};
    char byte;
    int error;

    CU_ASSERT(dprintf(file, "#!/bin/sh\n%s\n", script) > 0);
    CU_ASSERT_EQUAL(fchmod(file, 0755), 0);
    close(file);
    error = hook_process_start(&command, process);
    close(input);
    if (!error) { /* until the program runs, or cannot */
        struct pollfd fd = {.fd = process->report, .events = POLLIN};

        CU_ASSERT_EQUAL(poll(&fd, 1, -1), 1);
        CU_ASSERT_EQUAL(read(process->report, &byte, 1), 0);
        fd.fd = process->output;
        CU_ASSERT_EQUAL(poll(&fd, 1, -1), 1); /* it has read its script */
    }
    (void)unlink(path);
    return error;
}

static void opener__a_hook__then_it_runs_as_that_user_and_its_end_is_told(void)
{
    size_t before = count_descriptors();
    char text[64] = "", expected[64];
    HookProcess process;
    siginfo_t end;

    if (geteuid() != 0)
        TEST_SKIP("takes root, to become another user");
    start();
    CU_ASSERT_EQUAL_FATAL(start_hook("nobody", "echo $(id -u) $ADATRACE_SESSION $1; exit 7", &process), 0);
    CU_ASSERT(read(process.output, text, sizeof(text) - 1) > 0);
    (void)snprintf(expected, sizeof(expected), "%d s /f\n", 65534);
    CU_ASSERT_STRING_EQUAL(text, expected);
    hook_process_wait(&process, true, &end);
    CU_ASSERT_EQUAL(end.si_code, CLD_EXITED);
    CU_ASSERT_EQUAL(end.si_status, 7);
    CU_ASSERT_TRUE(has_ended(process.pidfd, 0));
    hook_process_close(&process);
    opener_stop();
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void opener__a_user_that_is_not_meant__then_no_hook(void)
{
    HookProcess process;

    start();
    CU_ASSERT_EQUAL(start_hook("root", "true", &process), -EPERM);
    CU_ASSERT_EQUAL(start_hook("daemon", "true", &process), -EPERM);
    opener_stop();
}

static void opener__hook_killed_or_left__then_nothing_of_it_runs(void)
{
    HookProcess process;
    siginfo_t end;
    int pidfd;

    if (geteuid() != 0)
        TEST_SKIP("takes root, to become another user");
    start();
    CU_ASSERT_EQUAL_FATAL(start_hook("nobody", "echo; exec sleep 1000", &process), 0);
    hook_process_wait(&process, false, &end);
    CU_ASSERT_EQUAL(end.si_pid, 0);
    hook_process_kill(&process);
    hook_process_wait(&process, true, &end);
    CU_ASSERT_EQUAL(end.si_code, CLD_KILLED);
    hook_process_close(&process);

    CU_ASSERT_EQUAL_FATAL(start_hook("nobody", "echo; exec sleep 1000", &process), 0);
    pidfd = fcntl(process.pidfd, F_DUPFD_CLOEXEC, 0);
    hook_process_close(&process); /* which is all that a killed service does */
    CU_ASSERT_TRUE(has_ended(pidfd, 10000));
    close(pidfd);
    opener_stop();
}

/* ---- the kernel ----------------------------------------------------------------------------------- */

static void take_record(void *context, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    (void)thread;
    if (record->type == ADA_KERNEL_EXIT && (record->flags & ADA_KERNEL_LAST) &&
        record->tgid == ((uint32_t *)context)[0])
        ((uint32_t *)context)[1]++;
}

static void opener__kernel_assistance__then_as_without(void)
{
    const KernelAssistConfig wanted = {.segments = true};
    char reason[KERNEL_REASON_SIZE] = "";
    KernelAssist *assist = NULL;
    size_t before = count_descriptors();
    uint32_t ended[2] = {0};
    struct pollfd fd = {.events = POLLIN};
    pid_t pid;

    start();
    if (kernel_access_create(&wanted, &assist, reason) != 0) {
        opener_stop();
        CU_ASSERT(reason[0] != '\0');
        TEST_SKIP("no kernel assistance: %s", reason);
    }
    pid = start_other("something");
    ended[0] = (uint32_t)pid;
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, pid, 0), 0);
    CU_ASSERT_FALSE(kernel_assist_follows(assist));
    CU_ASSERT_EQUAL(kernel_assist_follow(assist, true), 0);
    CU_ASSERT_TRUE(kernel_assist_follows(assist));
    CU_ASSERT_TRUE(kernel_assist_is_watched(assist, pid));
    CU_ASSERT_EQUAL(kernel_assist_follow(assist, false), 0);
    end_other(pid);
    fd.fd = kernel_assist_lifecycle_fd(assist);
    while (ended[1] == 0 && poll(&fd, 1, 10000) == 1)
        kernel_assist_consume_lifecycle(assist, take_record, ended);
    /* A sanitizer's thread may be taken for the last one, too: see ADA_KERNEL_LAST. */
    CU_ASSERT_TRUE(ended[1] >= 1);
    kernel_assist_destroy(assist);
    opener_stop();
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void opener__a_function_that_is_not_there__then_the_reason_is_told(void)
{
    const KernelUprobe uprobe = {.binary = "/bin/true", .symbol = "no_such_function"};
    const KernelAssistConfig wanted = {.uprobes = &uprobe, .uprobe_count = 1};
    char reason[KERNEL_REASON_SIZE] = "", without[KERNEL_REASON_SIZE] = "";
    KernelAssist *assist = NULL;
    int error = kernel_access_create(&wanted, &assist, without);

    CU_ASSERT(error < 0);
    start();
    CU_ASSERT_EQUAL(kernel_access_create(&wanted, &assist, reason), error);
    CU_ASSERT_STRING_EQUAL(reason, without);
    opener_stop();
}

/* ---- those who are deceived ------------------------------------------------------------------------ */

static void ask_nonsense(const OpenerRequest *request, size_t size)
{
    SegmentPlaces places;
    int conversation;
    char byte;

    CU_ASSERT_EQUAL_FATAL(opener_begin(&conversation), 0);
    CU_ASSERT_EQUAL(send(conversation, request, size, MSG_NOSIGNAL), (ssize_t)size);
    CU_ASSERT_EQUAL(recv(conversation, &byte, 1, 0), 0); /* it does not go on with that */
    close(conversation);
    CU_ASSERT_EQUAL(process_segments_find(getpid(), false, &places), 0); /* and does with others */
}

static void opener__requests_that_make_no_sense__then_that_conversation_ends_and_no_other(void)
{
    const size_t whole = offsetof(OpenerRequest, text);
    static OpenerRequest request;

    start();
    request = (OpenerRequest){.operation = OPENER_OPERATIONS};
    ask_nonsense(&request, whole);
    request = (OpenerRequest){.operation = UINT32_MAX};
    ask_nonsense(&request, whole);
    request = (OpenerRequest){.operation = OPENER_FIND, .flag = 2};
    ask_nonsense(&request, whole);
    request = (OpenerRequest){.operation = OPENER_FIND};
    ask_nonsense(&request, 1);
    ask_nonsense(&request, whole - 1);
    ask_nonsense(&request, whole + 1);
    request = (OpenerRequest){.operation = OPENER_PLACE, .text_bytes = 5, .text = "/tmpx"}; /* does not end */
    ask_nonsense(&request, whole + 5);
    request = (OpenerRequest){.operation = OPENER_PLACE, .text_bytes = UINT32_MAX, .text = "/tmp"};
    ask_nonsense(&request, whole + 5);
    request = (OpenerRequest){.operation = OPENER_PLACE, .text_bytes = OPENER_TEXT_MAX};
    ask_nonsense(&request, whole + OPENER_TEXT_MAX - 1);
    opener_stop();
}

static void opener__operations_without_what_they_need__then_refused(void)
{
    static const enum opener_operation without_text[] = {OPENER_PARENTS,   OPENER_PLACE,  OPENER_SHARE,
                                                         OPENER_UPROBE,    OPENER_FOLLOW, OPENER_HOOK_KILL,
                                                         OPENER_HOOK_WAIT, OPENER_HOOK};
    OpenerReply reply;

    start();
    for (size_t i = 0; i < sizeof(without_text) / sizeof(without_text[0]); i++) {
        OpenerRequest request = {.operation = without_text[i]};

        CU_ASSERT_EQUAL(opener_ask(-1, &request, -1, &reply, NULL), -EPROTO);
        request.operation = OPENER_HOOK;
        CU_ASSERT_EQUAL(opener_add_text(&request, "/bin/true"), 0);
        CU_ASSERT_EQUAL(opener_ask(-1, &request, -1, &reply, NULL), -EPROTO); /* no user, no input */
    }
    opener_stop();
}

static void opener__too_many_conversations__then_refused_until_some_end(void)
{
    static int conversations[OPENER_CONVERSATIONS_MAX + 8];
    const OpenerRequest request = {.operation = OPENER_ANY, .pid = getpid()};
    OpenerReply reply;
    size_t count = 0;
    int refused;

    start();
    while (count < sizeof(conversations) / sizeof(conversations[0]) &&
           opener_begin(&conversations[count]) == 0) {
        if (opener_ask(conversations[count++], &request, -1, &reply, NULL) != 0)
            break;
    }
    CU_ASSERT(count > 1);
    CU_ASSERT(count <= OPENER_CONVERSATIONS_MAX + 1);
    refused = conversations[--count];
    CU_ASSERT_EQUAL(opener_ask(refused, &request, -1, &reply, NULL), -EPIPE);
    close(refused);
    while (count > 0)
        opener_end(conversations[--count]);
    CU_ASSERT_EQUAL(opener_begin(&refused), 0);
    CU_ASSERT_EQUAL(opener_ask(refused, &request, -1, &reply, NULL), 0);
    close(refused);
    opener_stop();
}

/* ---- ends ----------------------------------------------------------------------------------------- */

static void opener__killed__then_that_is_told_and_nobody_hangs(void)
{
    struct pollfd fd = {.events = POLLIN};
    SegmentPlaces places;
    pid_t opener;

    start();
    CU_ASSERT_EQUAL(process_segments_find(getpid(), false, &places), 0);
    fd.fd = opener_end_fd();
    CU_ASSERT_EQUAL(poll(&fd, 1, 0), 0);
    opener = find_opener();
    CU_ASSERT_EQUAL(kill(opener, SIGKILL), 0);
    CU_ASSERT_EQUAL(poll(&fd, 1, 10000), 1);
    CU_ASSERT(process_segments_find(getpid(), false, &places) < 0);
    CU_ASSERT_TRUE(process_segments_has(getpid(), -1, 0, 0)); /* who may not look does not say no */
    opener_stop();
}

static void opener__its_process_killed__then_it_ends(void)
{
    int report[2], pidfd;
    pid_t pid, opener = 0;

    CU_ASSERT_EQUAL_FATAL(pipe2(report, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        if (opener_start(&config) != 0)
            _exit(1);
        opener = find_opener();
        (void)!write(report[1], &opener, sizeof(opener));
        for (;;)
            pause();
    }
    close(report[1]);
    CU_ASSERT_EQUAL_FATAL(read(report[0], &opener, sizeof(opener)), (ssize_t)sizeof(opener));
    pidfd = (int)syscall(SYS_pidfd_open, opener, 0);
    CU_ASSERT_FATAL(pidfd >= 0);
    CU_ASSERT_FALSE(has_ended(pidfd, 0));
    CU_ASSERT_EQUAL(kill(opener, SIGTERM), 0); /* as a terminal or a group might: it takes no notice */
    CU_ASSERT_EQUAL(kill(opener, SIGINT), 0);
    end_other(pid);
    CU_ASSERT_TRUE(has_ended(pidfd, 10000));
    close(pidfd);
    close(report[0]);
}

static void *look(void *argument)
{
    SegmentPlaces places;
    intptr_t failed = 0;

    for (int i = 0; i < 200; i++)
        failed += process_segments_find(*(pid_t *)argument, false, &places) != 0 || places.count != 1;
    return (void *)failed;
}

static void opener__many_threads_ask__then_each_gets_its_own_answers(void)
{
    pid_t pid = start_other(ADA_SEGMENT_NAME);
    size_t before = count_descriptors();
    pthread_t threads[16];
    void *failed;

    start();
    for (size_t i = 0; i < 16; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, look, &pid), 0);
    for (size_t i = 0; i < 16; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    end_other(pid);
    opener_stop();
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static const TestCase tests[] = {
    TEST(opener__a_process__then_it_is_described_as_without),
    TEST(opener__a_segment__then_its_descriptor_is_handed_over),
    TEST(opener__no_segment__then_nothing_is_handed_over),
    TEST(opener__directories__then_made_and_checked),
    TEST(opener__a_directory_is_shared__then_that_user_can_read_it_and_no_other),
    TEST(opener__a_hook__then_it_runs_as_that_user_and_its_end_is_told),
    TEST(opener__a_user_that_is_not_meant__then_no_hook),
    TEST(opener__hook_killed_or_left__then_nothing_of_it_runs),
    TEST(opener__kernel_assistance__then_as_without),
    TEST(opener__a_function_that_is_not_there__then_the_reason_is_told),
    TEST(opener__requests_that_make_no_sense__then_that_conversation_ends_and_no_other),
    TEST(opener__operations_without_what_they_need__then_refused),
    TEST(opener__too_many_conversations__then_refused_until_some_end),
    TEST(opener__killed__then_that_is_told_and_nobody_hangs),
    TEST(opener__its_process_killed__then_it_ends),
    TEST(opener__many_threads_ask__then_each_gets_its_own_answers),
};

TEST_MAIN("opener", tests)
