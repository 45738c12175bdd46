/* SPDX-License-Identifier: MIT */
/* RecorderTarget: a command that is started, and what it starts. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "user/collector/launch.h"
#include "user/collector/recorder_internal.h"
#include "user/collector/segment_claim.h"

/* The segment for the command: recording from the start, its first slot's pages in place. */
static int prepare(Recorder *recorder, enum recorder_stage *stage)
{
    SegmentConfig config = recorder->config->segment;
    Segment segment;
    int error;
    int fd;

    *stage = RECORDER_STAGE_SEGMENT;
    config.enabled = 1;
    error = segment_create(&config, &segment, &fd);
    if (error)
        return error;
    fd = launch_raise_descriptor(fd); /* before the claim, which the closing of another one would give up */
    ada_store_relaxed(&segment.header->attached, 1u);
    (void)segment_prefault_slot(&segment, 0); /* only a matter of speed */
    error = recorder_add_member(recorder, &segment, fd, -1, 0, -1);
    if (error) {
        segment_unmap(&segment);
        segment_release(fd);
        return error;
    }
    recorder->launched_segment = fd;
    return 0;
}

/* From its first instruction on, and so are the processes that it starts. */
static void watch_command(void *context, pid_t pid)
{
    recorder_watch_process(context, pid, ADA_KERNEL_WITH_CHILDREN);
}

static int start(Recorder *recorder, enum recorder_stage *stage)
{
    LaunchConfig config = {
        .argv = recorder->config->argv,
        .segment = recorder->launched_segment,
        .config = &recorder->config->segment,
        .announce = recorder->server.path,
        .preload_library = recorder->config->preload_library,
        .preload_groups = recorder->config->preload_groups,
        .signal_mask = &recorder->mask_before,
        .on_forked = watch_command,
        .context = recorder,
    };
    int error;

    *stage = RECORDER_STAGE_PROGRAM;
    error = launch_program(&config, &recorder->command, &recorder->command_pidfd);
    return error ? error : recorder_watch(recorder, recorder->command_pidfd, RECORDER_WATCH_TARGET);
}

/*
 * The first INT or TERM is passed on, unless the terminal has sent it to the command already; a second
 * one ends the command.
 */
static void interrupted(Recorder *recorder, const struct signalfd_siginfo *info)
{
    if (recorder->interrupts > 1)
        (void)kill(recorder->command, SIGKILL);
    else if (info->ssi_code != SI_KERNEL)
        (void)kill(recorder->command, (int)info->ssi_signo);
}

static bool is_over(Recorder *recorder)
{
    return process_has_ended(recorder->command_pidfd);
}

/* The command is over, and with it the recording. What announced itself before is still taken in. */
static void finish(Recorder *recorder)
{
    recorder->command_end = process_reap(recorder->command);
    recorder_take_announcements(recorder);
    recorder_take_kernel_events(recorder);
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid == recorder->command || (i == 0 && member->pid == 0))
            recorder_end_member(recorder, member, recorder->command_end);
        else
            recorder_finish_member(recorder, member);
    }
}

static void destroy(Recorder *recorder)
{
    if (recorder->command_pidfd >= 0)
        close(recorder->command_pidfd);
}

const RecorderTarget recorder_launch_target = {
    .prepare = prepare,
    .start = start,
    .interrupted = interrupted,
    .is_over = is_over,
    .finish = finish,
    .destroy = destroy,
};
