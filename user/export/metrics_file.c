/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/export/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "user/base/thread.h"
#include "user/export/metrics_text.h"

#define NS_PER_S 1000000000ull

struct MetricsFile {
    MetricsFileConfig config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop_asked;
    bool stopping;
    bool has_written;
    uint64_t written; /* stamp of the view that was written last */
    bool failing;
};

static int write_text(int fd, const MetricsView *view)
{
    FILE *out = fdopen(fd, "w");
    int error;

    if (!out) {
        error = -errno;
        close(fd);
        return error;
    }
    error = metrics_text_write(view, METRICS_TEXT_PROMETHEUS, out);
    errno = 0;
    if (!error && (fflush(out) != 0 || ferror(out) || fchmod(fd, 0644) != 0))
        error = errno ? -errno : -EIO;
    if (fclose(out) != 0 && !error)
        error = -errno;
    return error;
}

int metrics_file_write(const char *path, const MetricsView *view)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    int error;
    int fd;

    if (length < 0 || (size_t)length >= sizeof(temporary))
        return -ENAMETOOLONG;
    /* A file of our own: what lies there may be another's, or a link to one. */
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST && unlink(temporary) == 0)
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    error = write_text(fd, view);
    if (!error && rename(temporary, path) != 0)
        error = -errno;
    if (error)
        (void)unlink(temporary);
    return error;
}

/* Without memory for them, the next interval's are written. */
static void write_latest(MetricsFile *file)
{
    MetricsView view = {0};
    int error;

    if (file->config.feed.acquire(file->config.feed.context, &view) != 0)
        return;
    if (!file->has_written || view.stamp != file->written) {
        file->has_written = true;
        file->written = view.stamp;
        error = metrics_file_write(file->config.path, &view);
        if ((error != 0) != file->failing && file->config.on_state)
            file->config.on_state(file->config.context, error);
        file->failing = error != 0;
    }
    metrics_view_release(&view);
}

static void *write_until_stopped(void *context)
{
    MetricsFile *file = context;
    bool stopping = false;

    while (!stopping) {
        struct timespec until;
        uint64_t ns;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        ns = (uint64_t)until.tv_nsec + file->config.interval_ns;
        until.tv_sec += (time_t)(ns / NS_PER_S);
        until.tv_nsec = (long)(ns % NS_PER_S);
        pthread_mutex_lock(&file->lock);
        while (!file->stopping && pthread_cond_timedwait(&file->stop_asked, &file->lock, &until) != ETIMEDOUT)
            ;
        stopping = file->stopping;
        pthread_mutex_unlock(&file->lock);
        write_latest(file);
    }
    return NULL;
}

int metrics_file_create(const MetricsFileConfig *config, MetricsFile **file_out)
{
    MetricsFile *file = calloc(1, sizeof(*file));
    pthread_condattr_t attributes;
    int error;

    if (!file)
        return -ENOMEM;
    file->config = *config;
    pthread_mutex_init(&file->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&file->stop_asked, &attributes);
    pthread_condattr_destroy(&attributes);
    error = thread_start_without_signals(&file->thread, write_until_stopped, file);
    if (error) {
        pthread_cond_destroy(&file->stop_asked);
        pthread_mutex_destroy(&file->lock);
        free(file);
        return error;
    }
    *file_out = file;
    return 0;
}

void metrics_file_destroy(MetricsFile *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&file->lock);
    file->stopping = true;
    pthread_cond_signal(&file->stop_asked);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->thread, NULL);
    pthread_cond_destroy(&file->stop_asked);
    pthread_mutex_destroy(&file->lock);
    free(file);
}
