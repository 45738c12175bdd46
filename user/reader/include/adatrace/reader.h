/* SPDX-License-Identifier: MIT */
/*
 * libadatrace-reader - read what adatrace has recorded.
 *
 *     #include <adatrace/reader.h>
 *
 *     ada_trace *trace;
 *     ada_reader *reader;
 *     ada_reader_event event;
 *     int got = ada_trace_open("run.adat", &trace);          // a file, or a directory of them
 *
 *     if (got == 0)
 *         got = ada_reader_create(trace, NULL, 0, &reader);  // everything, in the order of time
 *     while (got >= 0 && (got = ada_reader_next(reader, &event, sizeof(event))) > 0)
 *         use(&event);
 *
 * Build with `cc app.c $(pkg-config --cflags --libs adatrace-reader)`.
 *
 * An ada_trace is what a path names: one file, or a directory of files, which may be of several recordings, one after the other.
 * An ada_reader is one walk over its events. Processes, threads, descriptors, modules and marks of a trace are numbered from 0, over all of its
 * recordings; these numbers are good for one ada_trace only.
 *
 * Errors. Functions that can fail return 0, or a number that is not negative where that is said, or a negative errno. -EINVAL stands also for a
 * structure's size that no version of this library has, and -ERANGE for an index behind the last one. What a function would have put out is
 * untouched when it fails. Nothing is printed, no signal is used, and no call ends the process. ada_trace_error_text() says what an error means.
 *
 * Structures grow. Each call that fills or takes one gets its size: give `sizeof(x)`. A member that the library does not know yet is
 * set to 0, and one that the program does not know is left out; so either may be the newer one. Members are only ever added at the end.
 *
 * Threads. An ada_trace is constant once it is open: any number of threads may use it at a time. An ada_reader belongs to one thread at a time; a
 * trace may have many, and must outlive them. Threads that ask for names need a stack of 512 KiB. For long names a thread is started, and has ended when the
 * call returns.
 *
 * Ownership. What a trace hands out (text, numbers) belongs to it and lives as long. What a reader hands out is valid until the next call
 * with the same reader. Text is NUL-terminated where no length is given; it comes from the traced programs and need be neither UTF-8 nor harmless to
 * a terminal. Text that is not known is "", never NULL.
 *
 * Times are nanoseconds since the first clock anchor of the trace's first recording, and may be negative. Nobody vouches for a file:
 * what is damaged is refused or left out, and told.
 *
 * Usable from C11 and C++11 with GCC or clang on Linux.
 */
#ifndef ADATRACE_READER_H
#define ADATRACE_READER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ADA_READER_VERSION_MAJOR 0
#define ADA_READER_VERSION_MINOR 1

#define ADA_READER_API __attribute__((visibility("default")))

/* Of a number: there is none, or it is not in the trace. */
#define ADA_TRACE_NONE UINT32_MAX

typedef struct ada_trace ada_trace;
typedef struct ada_reader ada_reader;

/* major << 16 | minor, of the library that runs. */
ADA_READER_API uint32_t ada_reader_version(void);

/* ---- opening ---------------------------------------------------------------------------------- */

/*
 * Opens a file, or a directory of files, and reads all but the events, which takes one pass over it. Compressed files (.gz) are read as others, and
 * take their size on the disk below TMPDIR meanwhile. At most 128 descriptors stay open. A file that is being written is read as far as it was then.
 *
 * -EINVAL: not a trace; -ENODATA: nothing in it yet; -EPROTONOSUPPORT: its format is none that is read here; -EBADMSG: its header is damaged; -EISDIR: a directory
 * without traces; -ENOTSUP: not a regular file; -EFBIG: a compressed file that holds far more than a trace does; -EOVERFLOW: more of something than
 * 32 bits can number; -ENOMEM; those of open(2) and read(2). What is wrong with one file of a directory is that file's: see ada_trace_file. At least one of them can be read.
 */
ADA_READER_API int ada_trace_open(const char *path, ada_trace **trace_out);

/* Readers of it must be gone. NULL is allowed. */
ADA_READER_API void ada_trace_close(ada_trace *trace);

/* What an error of this library means, for people. Never NULL. Static, but for errors of the system: strerror(3). */
ADA_READER_API const char *ada_trace_error_text(int error);

/* ---- facts ------------------------------------------------------------------------------------ */

/*
 * What became of events, each counted once:
 *   attempted = in_file + dropped_full + dropped_nested + dropped_io + recycled_unmarked + torn + pending
 */
typedef struct ada_trace_account {
    uint64_t attempted;
    uint64_t in_file;
    uint64_t dropped_full;   /* there was no room in the thread's rings */
    uint64_t dropped_nested; /* a signal handler could not record, or its siglongjmp() left one unfinished */
    uint64_t dropped_io;     /* the file could not be written */
    uint64_t recycled_unmarked; /* payloads that nobody had marked: as wanted */
    uint64_t torn;              /* begun, and never completed: the thread was killed */
    uint64_t pending;           /* not taken over when the recorder ended, or was killed */
} ada_trace_account;

enum {
    ADA_TRACE_CLOSED = 1 << 0,    /* all files have their end: no recorder was killed, or is at work still */
    ADA_TRACE_ACCOUNTED = 1 << 1, /* all accounts are the recorder's own; else some are what the blocks show */
    ADA_TRACE_CLOCK_GUESSED = 1 << 2, /* a tick is taken for a nanosecond, for want of clock anchors */
    ADA_TRACE_DIRECTORY = 1 << 3,     /* the path names a directory */
};

typedef struct ada_trace_facts {
    uint64_t flags;          /* ADA_TRACE_* */
    uint64_t duration_ns;    /* from the first to the last thing that has a time */
    int64_t first_ns;        /* when that is; 0 in an empty trace */
    uint64_t clock_error_ns; /* by so much times of programs and of the kernel may be out of step */
    uint64_t bytes;          /* of all files that can be read */
    uint64_t cut_bytes;      /* of these, at the ends of files, that cannot: see ada_trace_file.cut_text */
    uint32_t recording_count;
    uint32_t file_count;       /* that can be read or not */
    uint32_t unreadable_files; /* of these */
    uint32_t damaged_files; /* of which a part is cut off, and not for the reason that the recorder was killed */
    uint64_t missing_files; /* numbers below the last one of their recording that are not here */
    uint32_t process_count;
    uint32_t thread_count;
    uint32_t descriptor_count;
    uint32_t module_count;
    uint32_t mark_count;
    uint32_t reserved;        /* 0 */
    ada_trace_account events; /* of all threads, and of those that got no slot */
    ada_trace_account detail; /* payloads: of all threads */
} ada_trace_facts;

ADA_READER_API int ada_trace_get_facts(const ada_trace *trace, ada_trace_facts *facts_out, size_t size);

typedef struct ada_trace_recording {
    const char *id;       /* a uuid, the same in all its files */
    const char *host;     /* name of the machine */
    const char *kernel;   /* release of its kernel */
    const char *command;  /* that was recorded, arguments joined by blanks; or how the recorder was started */
    const char *adatrace; /* version of the recorder */
    uint64_t created_ns;  /* when its first file was begun: CLOCK_REALTIME since 1970 */
    uint64_t zero_ns;     /* the same of time 0 */
    uint64_t lifecycle_lost;  /* births and ends of threads that the kernel told and nobody heard */
    uint64_t sched_lost;      /* the same of switches and wakeups */
    uint32_t kernel_assisted; /* 1: the kernel told of threads */
    uint32_t reserved;        /* 0 */
} ada_trace_recording;

ADA_READER_API int ada_trace_get_recording(const ada_trace *trace, uint32_t recording,
                                           ada_trace_recording *recording_out, size_t size);

/* Whatever else was noted of a recording, by key: "policy", "detail", "threads", "ring_size" ... NULL: nothing. */
ADA_READER_API const char *ada_trace_session_value(const ada_trace *trace, uint32_t recording, const char *key);

/* A time of a recording as nanoseconds of CLOCK_REALTIME since 1970, as the clock stood then; 0: no such recording. */
ADA_READER_API uint64_t ada_trace_realtime(const ada_trace *trace, uint32_t recording, int64_t time_ns);

typedef struct ada_trace_file {
    const char *name;        /* in the directory; or the path of the one file */
    const char *cut_text;    /* why the rest cannot be read, for people; "": it can */
    uint64_t bytes;          /* of what it holds, if it is compressed */
    uint64_t valid_bytes;    /* of these, that can be read */
    uint64_t number;         /* in its recording, from 1; 0: it does not say */
    uint64_t missing_before; /* files of its recording that are not here, just before it */
    ada_trace_account events;
    ada_trace_account detail;
    int32_t error;      /* negative errno: nothing of it could be read; -ENOENT: it was removed meanwhile */
    uint32_t recording; /* ADA_TRACE_NONE: not known */
    uint32_t closed;    /* 1: it has its end */
    uint32_t damaged; /* 1: it is cut, and not for the reason that its recorder was killed, or is at work still */
} ada_trace_file;

ADA_READER_API int ada_trace_get_file(const ada_trace *trace, uint32_t file, ada_trace_file *file_out,
                                      size_t size);

/* ---- processes and threads --------------------------------------------------------------------- */

/* How a process or a thread ended. */
enum {
    ADA_TRACE_END_NONE = 0,     /* not recorded */
    ADA_TRACE_END_EXIT = 1,     /* code: its exit status */
    ADA_TRACE_END_SIGNAL = 2,   /* code: the signal's number */
    ADA_TRACE_END_EXEC = 3,     /* it went on as another program */
    ADA_TRACE_END_UNKNOWN = 4,  /* nobody could say how */
    ADA_TRACE_END_DETACHED = 5, /* it still ran when recording ended */
};

typedef struct ada_trace_end {
    uint32_t kind; /* ADA_TRACE_END_* */
    int32_t code;
    uint32_t drain_complete; /* 1: all that it had published is in the file, or accounted for */
    uint32_t reserved;       /* 0 */
    uint64_t torn;           /* records that it had begun */
    int64_t time_ns; /* when the recorder learnt of it; of threads, when it was. 0 if it is not known */
} ada_trace_end;

typedef struct ada_trace_process {
    uint32_t recording;
    uint32_t pid;
    uint32_t parent_pid;
    uint32_t described;  /* 0: the trace has threads or deaths of it, and lacks all else */
    const char *program; /* path */
    const char *command; /* arguments joined by blanks */
    int64_t started_ns;  /* when its recording began */
    ada_trace_end end;
    ada_trace_account unregistered; /* events of threads that got no slot; they are in no thread's account */
} ada_trace_process;

/* By recording, and in the order in which they were met in it. What the kernel saw of a process is another one, of the same pid. */
ADA_READER_API int ada_trace_get_process(const ada_trace *trace, uint32_t process,
                                         ada_trace_process *process_out, size_t size);

enum {
    ADA_TRACE_THREAD_DESCRIBED = 1 << 0, /* else its tid and name are not known */
    ADA_TRACE_THREAD_ACCOUNTED = 1 << 1, /* its accounts are the recorder's own */
    ADA_TRACE_THREAD_CONTEXT = 1 << 2,   /* run_ns and all behind it are known: with kernel assistance */
};

typedef struct ada_trace_thread {
    uint32_t process;
    uint32_t tid;
    uint32_t slot;
    uint32_t flags;     /* ADA_TRACE_THREAD_* */
    const char *name;   /* at most 15 bytes */
    int64_t started_ns; /* when it registered */
    ada_trace_end end;  /* only with kernel assistance */
    ada_trace_account events;
    ada_trace_account detail;
    /* of its life as far as the kernel watched it */
    uint64_t run_ns;
    uint64_t runqueue_ns; /* runnable, and on no CPU */
    uint64_t sleep_ns;
    uint64_t blocked_ns; /* off CPU, and not to be interrupted: mostly for a disk */
    uint64_t switches_voluntary;
    uint64_t switches_involuntary;
    uint64_t migrations;
    uint64_t wakeups;
} ada_trace_thread;

/* By recording, and in the order in which they were met in it. A tid may be that of several threads, one after the other. */
ADA_READER_API int ada_trace_get_thread(const ada_trace *trace, uint32_t thread, ada_trace_thread *thread_out,
                                        size_t size);

/* ---- what events mean -------------------------------------------------------------------------- */

/* Kinds of events. There may be others in newer files: pass over what you do not know. */
enum {
    ADA_TRACE_FUNCTION_ENTRY = 1, /* id: address of the function; argument: where it was called */
    ADA_TRACE_FUNCTION_EXIT = 2,  /* the same */
    ADA_TRACE_SPAN_BEGIN = 3,     /* id, of these and all below: of its descriptor; argument: the program's */
    ADA_TRACE_SPAN_END = 4,
    ADA_TRACE_INSTANT = 5,
    ADA_TRACE_COUNTER = 6, /* argument: the value, as int64_t */
    ADA_TRACE_TYPED = 7,   /* with fields */
    ADA_TRACE_MARK = 8,    /* the program marked this moment */
};

/* Types of fields. */
enum {
    ADA_TRACE_U64 = 1,
    ADA_TRACE_I64 = 2,
    ADA_TRACE_F64 = 3,
    ADA_TRACE_POINTER = 4,
    ADA_TRACE_STRING = 5,
};

typedef struct ada_trace_descriptor {
    uint32_t process;
    uint32_t id;          /* in that process */
    uint32_t kind;        /* that its call site records, as a rule */
    uint32_t field_count; /* 0..16 */
    const char *name;     /* at most 63 bytes */
} ada_trace_descriptor;

/* By process and id. */
ADA_READER_API int ada_trace_get_descriptor(const ada_trace *trace, uint32_t descriptor,
                                            ada_trace_descriptor *descriptor_out, size_t size);

/* The number of the descriptor of an event's id (not for kinds of functions), or ADA_TRACE_NONE. */
ADA_READER_API uint32_t ada_trace_find_descriptor(const ada_trace *trace, uint32_t process, uint64_t id);

typedef struct ada_trace_field {
    const char *name;  /* at most 22 bytes */
    uint32_t type;     /* ADA_TRACE_U64 ... */
    uint32_t reserved; /* 0 */
} ada_trace_field;

ADA_READER_API int ada_trace_get_field(const ada_trace *trace, uint32_t descriptor, uint32_t field,
                                       ada_trace_field *field_out, size_t size);

typedef struct ada_trace_module {
    uint32_t process;
    uint32_t build_id_size; /* 0: it has none; at most 20, to which longer ones are cut */
    uint64_t base;          /* address in memory = base + address in the ELF file */
    uint64_t size;          /* bytes from base to the end of its last segment */
    const char *path;
    const uint8_t *build_id;
} ada_trace_module;

/* By process and base. */
ADA_READER_API int ada_trace_get_module(const ada_trace *trace, uint32_t module, ada_trace_module *module_out,
                                        size_t size);

/* The number of the module that a code address of a process is in, or ADA_TRACE_NONE: also where one took the place of another while it ran. */
ADA_READER_API uint32_t ada_trace_find_module(const ada_trace *trace, uint32_t process, uint64_t address);

/* A moment that a rule or a command marked, or something odd that the recorder noticed. Marks that the program made are events. */
typedef struct ada_trace_mark {
    int64_t time_ns;
    uint64_t record;    /* of the event in its thread: see ada_reader_event.record; UINT64_MAX: of no event */
    const char *reason; /* the rule, as it was given; of an anomaly, what it was */
    uint32_t recording;
    uint32_t process; /* ADA_TRACE_NONE: of none */
    uint32_t thread;  /* likewise */
    uint32_t anomaly; /* 1: it tells of the recording itself */
} ada_trace_mark;

/* By recording and time. */
ADA_READER_API int ada_trace_get_mark(const ada_trace *trace, uint32_t mark, ada_trace_mark *mark_out,
                                      size_t size);

/* ---- walking over events ----------------------------------------------------------------------- */

enum {
    ADA_READER_FROM = 1 << 0,       /* from_ns counts */
    ADA_READER_TO = 1 << 1,         /* to_ns counts */
    ADA_READER_THREADS = 1 << 2,    /* `threads` counts */
    ADA_READER_NO_SYMBOLS = 1 << 3, /* no file is opened for names of functions, and none in the trace is used */
};

/* All 0: everything. */
typedef struct ada_reader_config {
    uint64_t flags;  /* ADA_READER_*; -EINVAL for those that the library does not know */
    int64_t from_ns; /* events with from_ns <= time <= to_ns */
    int64_t to_ns;
    const uint32_t *threads; /* numbers of the threads that are wanted, in any order */
    size_t thread_count;
    /*
     * Where to look for files with symbols, besides the paths that were recorded and /usr/lib/debug: DIR/.build-id/xx/yyyy.debug, DIR/PATH,
     * DIR/NAME, DIR/NAME.debug. Copied.
     */
    const char *const *symbol_directories;
    size_t symbol_directory_count;
} ada_reader_config;

/*
 * `config` NULL, with a size of 0: everything. -EINVAL: flags or a size that the library does not know, or from_ns > to_ns; -ERANGE: a thread that the
 * trace does not have; -ENOMEM.
 */
ADA_READER_API int ada_reader_create(const ada_trace *trace, const ada_reader_config *config, size_t size,
                                     ada_reader **reader_out);

/* NULL is allowed. */
ADA_READER_API void ada_reader_destroy(ada_reader *reader);

enum {
    ADA_READER_HAS_PAYLOAD = 1 << 0,  /* it was recorded with one, which need not have been kept */
    ADA_READER_PAYLOAD_LOST = 1 << 1, /* there was no room for it */
    ADA_READER_NESTED = 1 << 2, /* recorded by a signal handler that interrupted the recording of another event */
};

typedef struct ada_reader_event {
    int64_t time_ns;
    uint64_t id;
    uint64_t argument;
    uint64_t record; /* its number in its thread, from 0: a gap between two events of one thread is records that were lost */
    uint32_t recording;
    uint32_t process;
    uint32_t thread;
    uint32_t kind;  /* ADA_TRACE_FUNCTION_ENTRY ... */
    uint32_t flags; /* ADA_READER_HAS_PAYLOAD ... */
    uint32_t depth; /* spans and functions that its thread had open: 0..65535 */
} ada_reader_event;

/*
 * 1 and the next event in the order of time (those of one thread always in its own order); 0 at the end. -EBADMSG: the file
 * changed since it was opened; -ENOMEM; those of pread(2). After an error the reader can only be destroyed.
 */
ADA_READER_API int ada_reader_next(ada_reader *reader, ada_reader_event *event_out, size_t size);

/* Events that were passed over so far as the file that had them was removed while the trace was open. */
ADA_READER_API uint64_t ada_reader_vanished(const ada_reader *reader);

/* ---- of the event that ada_reader_next() returned last ----------------------------------------- */

/*
 * How many fields of its payload there are: less than its descriptor has if the payload is shorter, 0 without one, or without a descriptor. -ENODATA:
 * no event was returned; errors as of ada_reader_next(), after which the next event can be asked for all the same.
 */
ADA_READER_API int ada_reader_field_count(ada_reader *reader);

typedef struct ada_reader_field {
    const char *name;
    uint32_t type;        /* ADA_TRACE_U64 ... */
    uint32_t string_size; /* of a string: bytes, without a NUL */
    union {
        uint64_t u64; /* and pointers */
        int64_t i64;
        double f64;
        const char *string; /* not NUL-terminated */
    } value;
} ada_reader_field;

/* Errors as of ada_reader_field_count(); -ERANGE: there are less. Fields are valid until the next call of ada_reader_next(). */
ADA_READER_API int ada_reader_get_field(ada_reader *reader, uint32_t field, ada_reader_field *field_out,
                                        size_t size);

/*
 * The payload as it was recorded, at most 4,096 bytes. 1: there is one; 0: there is none, or it was not kept; errors as of ada_reader_field_count().
 */
ADA_READER_API int ada_reader_get_payload(ada_reader *reader, const void **payload_out, size_t *size_out);

/*
 * What it is called: of a registered event its name, or "event#ID"; of a function its symbol, "module+0xOFFSET", or its address. Less than 320 bytes;
 * one that ends with "..." may be cut. -ENODATA: no event was returned; -ENOMEM.
 */
ADA_READER_API int ada_reader_get_name(ada_reader *reader, const char **name_out, size_t *length_out);

/* ---- names of functions ------------------------------------------------------------------------ */

typedef struct ada_reader_function {
    const char *name; /* as of ada_reader_get_name(); "name+0xOFFSET" within it */
    size_t length;
    uint64_t offset;   /* of the address from its module's base; without a module, the address */
    uint32_t module;   /* ADA_TRACE_NONE: it is in none */
    uint32_t resolved; /* 1: the name is a symbol's */
} ada_reader_function;

/*
 * What a code address of a process is called. Names come from the files that were loaded (only if the build-id is theirs), or from the trace, if
 * it was recorded with --embed-symbols. The first call for a module opens its file. -ERANGE: no such process; -ENOMEM.
 */
ADA_READER_API int ada_reader_get_function(ada_reader *reader, uint32_t process, uint64_t address,
                                           ada_reader_function *function_out, size_t size);

/* ---- checking ---------------------------------------------------------------------------------- */

typedef struct ada_trace_problem {
    const char *file;
    const char *text; /* for people */
    uint64_t offset; /* in the file, of the block concerned; 0: the file as a whole, or what is between files */
} ada_trace_problem;

typedef struct ada_trace_verdict {
    uint64_t problems; /* 0: it is sound. At most 256 of each file are told one by one */
    uint64_t blocks;
    uint64_t events;
    uint64_t cut_bytes;
    uint64_t duplicates;  /* records that are in two files */
    uint64_t unexplained; /* records that are in none, which neither a ledger nor a missing file explains */
    uint32_t files;
    uint32_t recordings;
} ada_trace_verdict;

/*
 * Checks all files that a path names against everything that their format promises: checksums, numbers, times, references, accounts. Calls
 * `on_problem` (NULL: nobody) for each problem, in this thread; what it gets is valid during the call. 0, whatever was found; errors as
 * of ada_trace_open().
 */
ADA_READER_API int ada_trace_verify(const char *path,
                                    void (*on_problem)(void *context, const ada_trace_problem *problem),
                                    void *context, ada_trace_verdict *verdict_out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
