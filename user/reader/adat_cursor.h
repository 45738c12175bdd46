/* SPDX-License-Identifier: MIT */
/*
 * Walks over the events of a trace, or of a set of them, in the order of time.
 *
 * The threads' lanes are merged by a heap. A lane's block is read when its time has come, so memory
 * holds one block of each thread that was alive then, however long the trace is. Events with the same
 * time come in the order of the threads' numbers, and those of one thread always in its own order, from file to file as well. Of
 * files that are not held open only the few that were needed last are.
 */
#ifndef ADA_READER_ADAT_CURSOR_H
#define ADA_READER_ADAT_CURSOR_H

#include "user/reader/adat_set.h"

typedef struct AdatCursor AdatCursor;

typedef struct AdatCursorConfig {
    /* Which threads: NULL = all. */
    bool (*select)(const AdatThreadInfo *thread, void *context);
    void *context;
    int64_t from_ns; /* events with from_ns <= time <= to_ns, in nanoseconds since the first anchor */
    int64_t to_ns;
} AdatCursorConfig;

typedef struct AdatEvent {
    int64_t time_ns;          /* since the first clock anchor */
    const AdatReader *reader; /* of its recording */
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;
    uint64_t record; /* number within the lane */
    /*
     * Events of this thread may have been lost between the one before and this one: there is a hole in the record numbers, or
     * events were refused for want of room, which have no numbers, and this was near. False: none was, but those of a handler that never came back.
     */
    bool after_loss;
    AdaIndexEvent event;
    /*
     * Records of its lane that were lost up to its block, or shortly after, as the block says; counted from where the cursor begins to
     * read the lane. Never decreases. What was lost behind a file's last block of the lane only its account tells.
     */
    uint64_t lost;
} AdatEvent;

/* `config` NULL = everything. -ENOMEM. The reader must outlive the cursor. */
int adat_cursor_create(const AdatReader *reader, const AdatCursorConfig *config, AdatCursor **cursor_out);

/* The same over all recordings of a set, which must outlive the cursor. */
int adat_cursor_create_set(const AdatSet *set, const AdatCursorConfig *config, AdatCursor **cursor_out);

/* NULL is allowed. */
void adat_cursor_destroy(AdatCursor *cursor);

/*
 * 1 and the next event; 0 at the end; -EBADMSG: the file changed since it was opened; -ENOMEM; those
 * of pread(2).
 */
int adat_cursor_next(AdatCursor *cursor, AdatEvent *event_out);

/* Events that were passed over so far, as the file that has them was removed meanwhile. */
uint64_t adat_cursor_vanished(const AdatCursor *cursor);

/* A detail record; `payload` is valid until the next call with the same cursor. */
typedef struct AdatDetail {
    AdaDetailRecord header;
    const uint8_t *payload;
} AdatDetail;

/*
 * The detail record of the event that was returned last. 1: found; 0: it has none, or it is not in the
 * file; errors as adat_cursor_next().
 */
int adat_cursor_detail(AdatCursor *cursor, AdatDetail *detail_out);

/* ---- fields ----------------------------------------------------------------------------------- */

typedef struct AdatField {
    const char *name;
    uint32_t type; /* ADA_TYPE_* */
    union {
        uint64_t u64; /* and pointers */
        int64_t i64;
        double f64;
        struct {
            const char *bytes; /* not NUL-terminated */
            uint32_t size;
        } string;
    } value;
} AdatField;

/*
 * Takes a payload apart as its descriptor says, into at most ADA_EVENT_FIELDS_MAX fields. Returns how
 * many could be read: less than the descriptor has when the payload is too short for them.
 */
size_t adat_decode_fields(const AdaEventDescriptor *descriptor, const void *payload, size_t payload_bytes,
                          AdatField *fields);

#endif
