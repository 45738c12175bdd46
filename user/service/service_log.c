/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/service_log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MINUTE_NS 60000000000ull

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* JOURNAL_STREAM is "DEVICE:INODE" of what systemd connected to the journal; a shell may have redirected us since. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;
    char *end;

    if (!stream || fstat(fd, &status) < 0)
        return false;
    device = strtoull(stream, &end, 10);
    if (*end != ':')
        return false;
    inode = strtoull(end + 1, NULL, 10);
    return device == status.st_dev && inode == status.st_ino;
}

void service_log_init(ServiceLog *log, int fd, bool verbose)
{
    *log = (ServiceLog){.fd = fd, .priorities = is_journal(fd), .verbose = verbose};
    pthread_mutex_init(&log->lock, NULL);
}

void service_log_fini(ServiceLog *log)
{
    pthread_mutex_destroy(&log->lock);
}

/* One write, so that lines of threads do not mix. What cannot be written is lost: there is nobody to tell. */
static void put_line(const ServiceLog *log, enum log_priority priority, const char *text)
{
    char line[LOG_LINE_SIZE + 32];
    int length = log->priorities ? snprintf(line, sizeof(line), "<%d>%s\n", (int)priority, text)
                                 : snprintf(line, sizeof(line), "adatraced: %s\n", text);

    for (int i = 0; i < length - 1; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    }
    (void)!write(log->fd, line, (size_t)length);
}

static LogTopic *find_topic(ServiceLog *log, const char *name)
{
    LogTopic *oldest = &log->topics[0];

    for (uint32_t i = 0; i < LOG_TOPICS; i++) {
        LogTopic *topic = &log->topics[i];

        if (strncmp(topic->name, name, LOG_TOPIC_SIZE - 1) == 0)
            return topic;
        if (topic->since < oldest->since)
            oldest = topic;
    }
    return oldest;
}

static void tell_left_out(const ServiceLog *log, LogTopic *topic)
{
    char text[LOG_TOPIC_SIZE + 64];

    if (topic->left_out == 0)
        return;
    (void)snprintf(text, sizeof(text), "%s: %u more like this were not written", topic->name, topic->left_out);
    put_line(log, LOG_WARN, text);
    topic->left_out = 0;
}

/* Whether a line of this topic may be written now. */
static bool may_write(ServiceLog *log, const char *name)
{
    LogTopic *topic = find_topic(log, name);
    uint64_t now = now_ns();
    bool known = strncmp(topic->name, name, LOG_TOPIC_SIZE - 1) == 0;

    if (!known || now - topic->since >= MINUTE_NS) {
        tell_left_out(log, topic);
        (void)snprintf(topic->name, sizeof(topic->name), "%s", name);
        topic->since = now;
        topic->lines = 0;
    }
    if (topic->lines < LOG_LINES_PER_MINUTE) {
        topic->lines++;
        return true;
    }
    topic->left_out++;
    return false;
}

void service_log(ServiceLog *log, enum log_priority priority, const char *topic, const char *format, ...)
{
    char text[LOG_LINE_SIZE];
    int saved = errno;
    va_list arguments;

    if (priority == LOG_DETAIL && !log->verbose)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&log->lock);
    if (!topic || may_write(log, topic))
        put_line(log, priority, text);
    pthread_mutex_unlock(&log->lock);
    errno = saved;
}
