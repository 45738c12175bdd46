/* SPDX-License-Identifier: MIT */
/*
 * A trace as a path names it: one file, or a directory of them. The files of one recording read as one trace; a directory may have
 * several recordings, one after the other, as a service that is started again leaves them. There is one reader
 * for each recording, and all of them count time from the first clock anchor of the first one.
 *
 *   adat_set_open()           lists the files, groups them, reads each once
 *   adat_set_reader()         what is in a recording: adat_reader_*()
 *   adat_cursor_create_set()  events of all recordings in the order of time
 *   adat_verify_set()         each file, and what must hold between them (adat_verify_set.h)
 *
 * Files may be removed, completed or compressed meanwhile: see user/reader/trace_files.h. A set holds a bounded number of descriptors
 * (ADAT_SET_HELD), however many files there are; what it holds cannot vanish.
 *
 * A set is constant after opening, as a reader is. Functions return 0 or -errno; nothing is printed.
 */
#ifndef ADA_READER_ADAT_SET_H
#define ADA_READER_ADAT_SET_H

#include "user/reader/adat_reader.h"

#define ADAT_SET_HELD 128u /* descriptors, of which one of a compressed file counts as 32 */

typedef struct AdatSet AdatSet;

typedef struct AdatSetFile {
    const char *name; /* in the directory, or the path of the one file */
    int error; /* -errno: it could not be read, and nothing is known of it but its name. -ENOENT: it was removed meanwhile */
    size_t recording; /* index; of a file with an error it may be SIZE_MAX */
    uint64_t number;  /* in its recording, from 1; 0: it does not say */
    /*
     * So many files of the recording are missing just before it, from number missing_first on. Before the first one: those that were
     * removed, as a rule because there was no more room for them.
     */
    uint64_t missing_before;
    uint64_t missing_first;
    bool compressed;
    AdatFileInfo info; /* of what it holds, if it is compressed */
    AdatAccount events;
    AdatAccount detail;
} AdatSetFile;

typedef struct AdatRecordingInfo {
    char id[ADAT_ID_SIZE]; /* uuid: that of the recording, or of its only file */
    size_t first_file;
    size_t file_count;
    uint64_t first_number; /* of its files; 0: they are not numbered */
    uint64_t last_number;
    uint64_t missing; /* numbers below the last one that are not here */
} AdatRecordingInfo;

/* Files that a set does not have, and why. */
typedef struct AdatSetLeftOut {
    size_t foreign;  /* they are not called as traces are */
    size_t copies;   /* they are the same as another one, which is there */
    size_t vanished; /* they were removed while they were looked for */
    size_t empty;    /* they have just been begun */
} AdatSetLeftOut;

/*
 * -EISDIR: a directory without traces; other errors as adat_reader_open(), of the one file, or of the directory. Whatever is
 * wrong with files of a directory is theirs: see AdatSetFile.
 */
int adat_set_open(const char *path, AdatSet **set_out);

/* NULL is allowed. */
void adat_set_close(AdatSet *set);

bool adat_set_is_directory(const AdatSet *set);
AdatSetLeftOut adat_set_left_out(const AdatSet *set);

/* Files: those of the first recording by number, those of the next ones, those that no recording has for an error. NULL beyond the last. */
const AdatSetFile *adat_set_file(const AdatSet *set, size_t index);
size_t adat_set_file_count(const AdatSet *set);

/* Recordings in the order in which they began, of which at least one file could be read. NULL beyond the last. */
const AdatReader *adat_set_reader(const AdatSet *set, size_t recording);
const AdatRecordingInfo *adat_set_recording(const AdatSet *set, size_t recording);
size_t adat_set_recording_count(const AdatSet *set);

/* Sums over all recordings, as adat_reader_events() and adat_reader_detail(). */
AdatAccount adat_set_events(const AdatSet *set);
AdatAccount adat_set_detail(const AdatSet *set);

/* From the first to the last thing that any file has a time for, in ns. */
uint64_t adat_set_duration(const AdatSet *set);

#endif
