/* SPDX-License-Identifier: MIT */
/*
 * What the service says: one line for one fact, to standard error, with the priority before it as journald takes it ("<4>").
 *
 * What can happen again and again is said with a topic: of one topic so many lines a minute are written, and then how many were
 * left out. Any thread may log.
 */
#ifndef ADA_SERVICE_SERVICE_LOG_H
#define ADA_SERVICE_SERVICE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum log_priority { LOG_ERROR = 3, LOG_WARN = 4, LOG_TELL = 5, LOG_DETAIL = 7 };

#define LOG_TOPICS 64u     /* are told apart; the one that was quiet for longest gives way */
#define LOG_TOPIC_SIZE 80u /* longer ones are cut */
#define LOG_LINES_PER_MINUTE 5u
#define LOG_LINE_SIZE 2048u

typedef struct LogTopic {
    char name[LOG_TOPIC_SIZE]; /* "": free */
    uint64_t since;            /* CLOCK_MONOTONIC, ns: start of its minute */
    uint32_t lines;            /* written in it */
    uint32_t left_out;
} LogTopic;

typedef struct ServiceLog {
    pthread_mutex_t lock;
    int fd;
    bool priorities; /* somebody reads them: journald; else people do */
    bool verbose;    /* also LOG_DETAIL */
    LogTopic topics[LOG_TOPICS];
} ServiceLog;

/* Writes to `fd`, which stays the caller's. */
void service_log_init(ServiceLog *log, int fd, bool verbose);
void service_log_fini(ServiceLog *log);

/* `topic` NULL: always written. The line needs no newline; control characters in it become '?'. */
void service_log(ServiceLog *log, enum log_priority priority, const char *topic, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
