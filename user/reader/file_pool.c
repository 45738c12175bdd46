/* SPDX-License-Identifier: MIT */
#include "user/reader/file_pool.h"

#include <unistd.h>

void file_pool_fini(FilePool *pool)
{
    for (size_t i = 0; i < FILE_POOL_PLACES; i++)
        if (pool->places[i].reader)
            close(pool->places[i].fd);
    *pool = (FilePool){0};
}

/* The place of this file; else a free one, or the one that was not needed for the longest time. */
static PooledFile *find_place(FilePool *pool, const AdatReader *reader, uint32_t file)
{
    PooledFile *oldest = &pool->places[0];

    for (size_t i = 0; i < FILE_POOL_PLACES; i++) {
        PooledFile *place = &pool->places[i];

        if (place->reader == reader && place->file == file)
            return place;
        if (place->used < oldest->used) /* a free one was never used */
            oldest = place;
    }
    return oldest;
}

int file_pool_get(FilePool *pool, const AdatReader *reader, uint32_t file)
{
    const ReaderFile *wanted = &reader->files.items[file];
    PooledFile *place;

    if (wanted->fd >= 0)
        return wanted->fd;
    place = find_place(pool, reader, file);
    if (place->reader != reader || place->file != file) {
        if (place->reader)
            close(place->fd);
        *place = (PooledFile){0};
        place->fd = trace_files_open_file(reader->sources, wanted->place);
        if (place->fd < 0)
            return place->fd;
        place->reader = reader;
        place->file = file;
    }
    place->used = ++pool->uses;
    return place->fd;
}
