/* SPDX-License-Identifier: MIT */
/* A directory of a recording below a temporary one, and what was told of it. */
#ifndef ADA_TESTS_TRACE_DIRECTORY_FIXTURE_H
#define ADA_TESTS_TRACE_DIRECTORY_FIXTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/collector/trace_directory.h"

#define TOLD_MAX 256u
#define TOLD_SIZE 160u

/* In the order of calls: names, or "WHAT NAME ERROR". */
typedef struct Told {
    char lines[TOLD_MAX][TOLD_SIZE];
    size_t count;
} Told;

typedef struct DirectoryFixture {
    char base[64]; /* the temporary directory */
    char path[96]; /* base/trace */
    TraceDirectoryConfig config;
    TraceDirectory *directory;
    bool others_remove; /* files that are told may be gone */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Told complete;           /* by lock, while there is a directory */
    Told errors;             /* the same */
    uint64_t complete_bytes; /* of the last one */
} DirectoryFixture;

/* Nothing is made at `path` yet; config has the path and both calls. */
void directory_fixture_init(DirectoryFixture *fixture);

/* Destroys the directory, if there is one, and removes all. */
void directory_fixture_fini(DirectoryFixture *fixture);

/* With config, which must work. Forgets what was told before. */
void directory_fixture_create(DirectoryFixture *fixture);

/* The result of trace_directory_destroy(). */
int directory_fixture_destroy(DirectoryFixture *fixture);

/* Waits until so many were told. */
void directory_fixture_await_complete(DirectoryFixture *fixture, size_t count);
void directory_fixture_await_errors(DirectoryFixture *fixture, size_t count);

/* A file of so many bytes, opened next, and finished. */
void directory_fixture_file(DirectoryFixture *fixture, size_t bytes, bool complete);
int directory_fixture_open(DirectoryFixture *fixture, size_t bytes);

/* A file in the directory, without it; and its path, which is good until the next call. */
void directory_fixture_put(const DirectoryFixture *fixture, const char *name, size_t bytes);
const char *directory_fixture_at(const DirectoryFixture *fixture, const char *name);
bool directory_fixture_has(const DirectoryFixture *fixture, const char *name);
/* -1: it is not there. */
int64_t directory_fixture_size(const DirectoryFixture *fixture, const char *name);
size_t directory_fixture_count(const DirectoryFixture *fixture); /* all entries, but . and .. */

/* The file's last write was so long ago. */
void directory_fixture_age(const DirectoryFixture *fixture, const char *name, uint64_t seconds);

bool told_is(const Told *told, size_t index, const char *line);

/* What is in a file: each byte depends on its place and on `seed`. */
void pattern_fill(uint8_t *data, size_t size, uint64_t position, uint32_t seed);

#endif
