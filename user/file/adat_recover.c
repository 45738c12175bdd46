/* SPDX-License-Identifier: MIT */
#include "user/file/adat_recover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "user/base/array.h"
#include "user/file/block_scan.h"
#include "user/file/crc.h"

#define LANES 2u /* ADA_LANE_* */

/* ---- finding items of an array by a hash ------------------------------------------------------- */

typedef struct Place {
    uint32_t item; /* 1..; 0: the place is free */
    uint32_t hash;
} Place;

/* Open addressing; at most three quarters of the places are taken. */
typedef struct Index {
    Place *places;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} Index;

/* Keys come from files, so nobody shall know beforehand which of them meet: `seed` is random. */
static uint32_t hash_words(uint64_t seed, const uint64_t *words, size_t count)
{
    uint64_t hash = seed;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
        hash = (hash ^ seed) * 0xd6e8feb86659fd93u;
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 16);
}

static Place *index_first(const Index *index, uint32_t hash)
{
    return index->capacity ? &index->places[hash & (index->capacity - 1)] : NULL;
}

static Place *index_next(const Index *index, const Place *place)
{
    size_t at = (size_t)(place - index->places) + 1;

    return &index->places[at & (index->capacity - 1)];
}

static void index_put(Index *index, Place entry)
{
    Place *place = index_first(index, entry.hash);

    while (place->item)
        place = index_next(index, place);
    *place = entry;
    index->count++;
}

/* Makes room for one more. 0 or -ENOMEM. */
static int index_reserve(Index *index)
{
    Index grown = {.capacity = index->capacity ? index->capacity * 2 : 64};

    if (index->count < index->capacity / 4 * 3)
        return 0;
    grown.places = calloc(grown.capacity, sizeof(*grown.places));
    if (!grown.places)
        return -ENOMEM;
    for (size_t i = 0; i < index->capacity; i++) {
        if (index->places[i].item)
            index_put(&grown, index->places[i]);
    }
    free(index->places);
    *index = grown;
    return 0;
}

/* ---- what was recovered ------------------------------------------------------------------------- */

typedef struct Recovered {
    AdatThreadKey key;
    AdatLaneProgress lanes[LANES];
} Recovered;

struct AdatRecovery {
    uint64_t seed;
    Recovered *items;
    size_t count;
    size_t capacity;
    Index index;
};

AdatRecovery *adat_recovery_create(void)
{
    AdatRecovery *recovery = calloc(1, sizeof(*recovery));

    if (recovery && getrandom(&recovery->seed, sizeof(recovery->seed), 0) != (ssize_t)sizeof(recovery->seed))
        recovery->seed = (uint64_t)(uintptr_t)recovery; /* not worth a failure */
    return recovery;
}

void adat_recovery_destroy(AdatRecovery *recovery)
{
    if (!recovery)
        return;
    free(recovery->items);
    free(recovery->index.places);
    free(recovery);
}

static uint32_t hash_key(const AdatRecovery *recovery, const AdatThreadKey *key)
{
    uint64_t words[sizeof(*key) / sizeof(uint64_t)];

    memcpy(words, key, sizeof(words));
    return hash_words(recovery->seed, words, sizeof(words) / sizeof(words[0]));
}

static Recovered *find_key(const AdatRecovery *recovery, const AdatThreadKey *key)
{
    uint32_t hash = hash_key(recovery, key);
    const Place *place = index_first(&recovery->index, hash);

    for (; place && place->item && recovery->items; place = index_next(&recovery->index, place)) {
        Recovered *item = &recovery->items[place->item - 1];

        if (place->hash == hash && memcmp(&item->key, key, sizeof(*key)) == 0)
            return item;
    }
    return NULL;
}

const AdatLaneProgress *adat_recovery_find(const AdatRecovery *recovery, const AdatThreadKey *key, uint32_t lane)
{
    const Recovered *item = lane < LANES ? find_key(recovery, key) : NULL;

    return item ? &item->lanes[lane] : NULL;
}

size_t adat_recovery_count(const AdatRecovery *recovery)
{
    return recovery->count;
}

/* A place for one more item, zeroed but for its key, or the one that has the key already. NULL: no memory. */
static Recovered *recovered_of(AdatRecovery *recovery, const AdatThreadKey *key)
{
    Recovered *item = find_key(recovery, key);

    if (item)
        return item;
    if (recovery->count >= UINT32_MAX - 1 || index_reserve(&recovery->index) != 0 ||
        array_reserve_one(&recovery->items, &recovery->capacity, recovery->count, sizeof(*item)) != 0)
        return NULL;
    item = &recovery->items[recovery->count++];
    *item = (Recovered){.key = *key};
    index_put(&recovery->index, (Place){(uint32_t)recovery->count, hash_key(recovery, key)});
    return item;
}

/* ---- one file ----------------------------------------------------------------------------------- */

/* What the last block, or ledger entry, of a lane says. */
typedef struct LaneTold {
    uint64_t records; /* in the file's blocks so far */
    bool told;        /* the rest is valid */
    uint64_t next_record;
    uint64_t in_file; /* and losses since the file's beginning, as in AdatAccount */
    uint64_t dropped_full;
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled;
    uint64_t torn;
} LaneTold;

typedef struct FileThread {
    uint32_t number;
    bool described;
    AdatThread block;
    AdatThreadStart start;
    LaneTold lanes[LANES];
} FileThread;

typedef struct FileProcess {
    uint32_t number;
    AdatProcess block;
    uint64_t unregistered; /* 0: not told */
} FileProcess;

typedef struct FileScan {
    uint64_t seed;
    FileThread *threads;
    size_t thread_count;
    size_t thread_capacity;
    Index thread_index;
    FileProcess *processes;
    size_t process_count;
    size_t process_capacity;
    Index process_index;
} FileScan;

static uint32_t hash_number(const FileScan *scan, uint32_t number)
{
    uint64_t word = number;

    return hash_words(scan->seed, &word, 1);
}

static FileThread *find_thread(const FileScan *scan, uint32_t number)
{
    const Place *place = index_first(&scan->thread_index, hash_number(scan, number));

    for (; place && place->item && scan->threads; place = index_next(&scan->thread_index, place)) {
        if (scan->threads[place->item - 1].number == number)
            return &scan->threads[place->item - 1];
    }
    return NULL;
}

/* The thread with this number, which is made if it is new. NULL: no memory. */
static FileThread *thread_of(FileScan *scan, uint32_t number)
{
    FileThread *thread = find_thread(scan, number);

    if (thread)
        return thread;
    if (scan->thread_count >= UINT32_MAX - 1 || index_reserve(&scan->thread_index) != 0 ||
        array_reserve_one(&scan->threads, &scan->thread_capacity, scan->thread_count, sizeof(*thread)) != 0)
        return NULL;
    thread = &scan->threads[scan->thread_count++];
    *thread = (FileThread){.number = number};
    index_put(&scan->thread_index, (Place){(uint32_t)scan->thread_count, hash_number(scan, number)});
    return thread;
}

static FileProcess *find_process(const FileScan *scan, uint32_t number)
{
    const Place *place = index_first(&scan->process_index, hash_number(scan, number));

    for (; place && place->item && scan->processes; place = index_next(&scan->process_index, place)) {
        if (scan->processes[place->item - 1].number == number)
            return &scan->processes[place->item - 1];
    }
    return NULL;
}

static int take_process(FileScan *scan, const Block *block)
{
    FileProcess *process;
    AdatProcess told;

    if (block->header->payload_bytes < sizeof(told))
        return 0;
    memcpy(&told, block->payload, sizeof(told));
    process = find_process(scan, told.process);
    if (!process) {
        if (scan->process_count >= UINT32_MAX - 1 || index_reserve(&scan->process_index) != 0 ||
            array_reserve_one(&scan->processes, &scan->process_capacity, scan->process_count,
                              sizeof(scan->processes[0])) != 0)
            return -ENOMEM;
        process = &scan->processes[scan->process_count++];
        *process = (FileProcess){.number = told.process};
        index_put(&scan->process_index,
                  (Place){(uint32_t)scan->process_count, hash_number(scan, told.process)});
    }
    process->block = told;
    return 0;
}

/* A later block of the same thread says another name, and else the same. */
static int take_thread(FileScan *scan, const Block *block)
{
    uint32_t size = block->header->payload_bytes;
    FileThread *thread;
    AdatThread told;

    if (size < sizeof(told))
        return 0;
    memcpy(&told, block->payload, sizeof(told));
    thread = thread_of(scan, told.thread);
    if (!thread)
        return -ENOMEM;
    thread->described = true;
    thread->block = told;
    if (size >= sizeof(told) + sizeof(thread->start))
        memcpy(&thread->start, block->payload + sizeof(told), sizeof(thread->start));
    return 0;
}

static int take_events(FileScan *scan, const Block *block, uint32_t lane)
{
    const AdatBlockHeader *header = block->header;
    FileThread *thread = thread_of(scan, header->thread);
    LaneTold *told;

    if (!thread)
        return -ENOMEM;
    told = &thread->lanes[lane];
    *told = (LaneTold){
        .records = told->records + header->record_count,
        .told = true,
        .next_record = header->first_record + header->record_count,
        .in_file = told->records + header->record_count,
        .dropped_full = header->dropped_full,
        .dropped_nested = header->dropped_nested,
        .dropped_io = header->dropped_io,
        .recycled = header->recycled,
    };
    return 0;
}

static int take_entry(FileScan *scan, const AdatLedgerEntry *entry)
{
    FileProcess *process;
    FileThread *thread;

    if (entry->lane >= LANES)
        return 0;
    if (entry->thread == 0) {
        process = find_process(scan, entry->process);
        if (process && entry->lane == ADA_LANE_INDEX)
            process->unregistered = entry->next_record;
        return 0;
    }
    thread = thread_of(scan, entry->thread);
    if (!thread)
        return -ENOMEM;
    thread->lanes[entry->lane] = (LaneTold){
        .records = thread->lanes[entry->lane].records,
        .told = true,
        .next_record = entry->next_record,
        .in_file = entry->in_file,
        .dropped_full = entry->dropped_full,
        .dropped_nested = entry->dropped_nested,
        .dropped_io = entry->dropped_io,
        .recycled = entry->recycled_unmarked,
        .torn = entry->torn,
    };
    return 0;
}

static int take_ledger(FileScan *scan, const Block *block)
{
    size_t size = block->header->payload_bytes;
    AdatLedgerEntry entry;
    int error = 0;

    for (size_t at = sizeof(AdatDrainSummary); at + sizeof(entry) <= size && !error; at += sizeof(entry)) {
        memcpy(&entry, block->payload + at, sizeof(entry));
        error = take_entry(scan, &entry);
    }
    return error;
}

static int take_block(FileScan *scan, const Block *block)
{
    switch (block->header->type) {
    case ADAT_BLOCK_PROCESS:
        return take_process(scan, block);
    case ADAT_BLOCK_THREAD:
        return take_thread(scan, block);
    case ADAT_BLOCK_INDEX:
        return take_events(scan, block, ADA_LANE_INDEX);
    case ADAT_BLOCK_DETAIL:
        return take_events(scan, block, ADA_LANE_DETAIL);
    case ADAT_BLOCK_LEDGER:
        return take_ledger(scan, block);
    default:
        return 0;
    }
}

/*
 * Accounts do not tell records that were refused from those that were overwritten, but only the latter have numbers: all that the
 * account has beyond the numbers it covers was refused.
 */
static AdatLaneProgress progress_of(const LaneTold *told, uint64_t first_record, const AdatLaneLosses *before)
{
    uint64_t numbered = told->next_record - first_record;
    uint64_t accounted = told->in_file + told->dropped_full + told->dropped_io + told->recycled + told->torn;
    uint64_t refused = accounted > numbered ? accounted - numbered : 0;

    if (!told->told || told->next_record < first_record)
        return (AdatLaneProgress){.next_record = first_record, .losses = *before};
    if (refused > told->dropped_full)
        refused = told->dropped_full;
    return (AdatLaneProgress){
        .next_record = told->next_record,
        .losses =
            {
                .full = before->full + refused,
                .nested = before->nested + told->dropped_nested,
                .overwritten = before->overwritten + (told->dropped_full - refused),
                .recycled = before->recycled + told->recycled,
            },
    };
}

static int add_thread(AdatRecovery *recovery, const FileScan *scan, const FileThread *thread)
{
    const FileProcess *process = thread->described ? find_process(scan, thread->block.process) : NULL;
    AdatThreadKey key = {0};
    Recovered *item;

    if (!process || thread->block.tid == 0)
        return 0; /* nobody will ask for it */
    key = (AdatThreadKey){
        .started_at = process->block.started_at,
        .pid = process->block.pid,
        .tid = thread->block.tid,
        .registered_at = thread->block.registered_at,
        .slot = thread->block.slot,
        .generation = thread->block.generation,
    };
    item = recovered_of(recovery, &key);
    if (!item)
        return -ENOMEM;
    for (uint32_t lane = 0; lane < LANES; lane++)
        item->lanes[lane] =
            progress_of(&thread->lanes[lane], thread->start.first_record[lane], &thread->start.losses[lane]);
    return 0;
}

static int add_process(AdatRecovery *recovery, const FileProcess *process)
{
    AdatThreadKey key = {.started_at = process->block.started_at, .pid = process->block.pid};
    Recovered *item;

    if (process->unregistered == 0)
        return 0;
    item = recovered_of(recovery, &key);
    if (!item)
        return -ENOMEM;
    item->lanes[ADA_LANE_INDEX].next_record = process->unregistered;
    return 0;
}

/* Items that were there before keep what they have only if this succeeds: so it is done in a copy. */
static int copy_recovery(const AdatRecovery *recovery, AdatRecovery *copy)
{
    *copy = (AdatRecovery){.seed = recovery->seed, .count = recovery->count, .capacity = recovery->count};
    if (recovery->count == 0)
        return 0;
    copy->items = malloc(recovery->count * sizeof(copy->items[0]));
    copy->index = recovery->index;
    copy->index.places = malloc(recovery->index.capacity * sizeof(Place));
    if (!copy->items || !copy->index.places) {
        free(copy->items);
        free(copy->index.places);
        return -ENOMEM;
    }
    memcpy(copy->items, recovery->items, recovery->count * sizeof(copy->items[0]));
    memcpy(copy->index.places, recovery->index.places, recovery->index.capacity * sizeof(Place));
    return 0;
}

static int add_file(AdatRecovery *recovery, const FileScan *scan)
{
    AdatRecovery copy;
    int error = copy_recovery(recovery, &copy);

    if (error)
        return error;
    for (size_t i = 0; i < scan->thread_count && !error; i++)
        error = add_thread(&copy, scan, &scan->threads[i]);
    for (size_t i = 0; i < scan->process_count && !error; i++)
        error = add_process(&copy, &scan->processes[i]);
    if (!error) {
        AdatRecovery old = *recovery;

        *recovery = copy;
        copy = old;
    }
    free(copy.items);
    free(copy.index.places);
    return error;
}

bool adat_file_is_closed(int fd)
{
    AdatFooter footer;
    struct stat status;

    return fstat(fd, &status) == 0 && status.st_size > (off_t)sizeof(footer) &&
           read_at(fd, &footer, sizeof(footer), (uint64_t)status.st_size - sizeof(footer)) ==
               (ssize_t)sizeof(footer) &&
           footer.magic == ADAT_FOOTER_MAGIC &&
           footer.crc32 == adat_crc32(0, &footer, __builtin_offsetof(AdatFooter, crc32));
}

static int scan_blocks(FileScan *scan, int fd, uint64_t first_block, uint64_t end, uint64_t *valid_bytes_out)
{
    BlockScan blocks;
    Block block;
    int got;

    block_scan_init(&blocks, fd, first_block, end);
    while ((got = block_scan_next(&blocks, &block)) > 0) {
        got = take_block(scan, &block);
        if (got < 0)
            break;
    }
    *valid_bytes_out = blocks.offset;
    block_scan_fini(&blocks);
    return got;
}

int adat_recover_scan(int fd, AdatRecovery *recovery, uint64_t *valid_bytes_out)
{
    FileScan scan = {.seed = recovery->seed};
    AdatFileHeader header;
    uint64_t valid_bytes;
    struct stat st;
    int error;

    if (fstat(fd, &st) < 0)
        return -errno;
    error = file_header_read(fd, &header);
    if (error == -ENODATA || (!error && header.header_bytes > (uint64_t)st.st_size)) {
        *valid_bytes_out = 0;
        return 0;
    }
    if (error)
        return error;
    error = scan_blocks(&scan, fd, header.header_bytes, (uint64_t)st.st_size, &valid_bytes);
    if (!error)
        error = add_file(recovery, &scan);
    if (!error)
        *valid_bytes_out = valid_bytes;
    free(scan.threads);
    free(scan.thread_index.places);
    free(scan.processes);
    free(scan.process_index.places);
    return error;
}
