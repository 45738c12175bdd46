/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test_support.h"
#include "user/convert/ctf_stream.h"

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static char directory_name[] = "/tmp/test_ctf_stream-XXXXXX";
static int directory;

static void make_directory(void)
{
    strcpy(directory_name + sizeof(directory_name) - 7, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory_name));
    directory = open(directory_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(directory >= 0);
}

static void remove_directory(void)
{
    (void)unlinkat(directory, "stream_3", 0);
    close(directory);
    CU_ASSERT_EQUAL(rmdir(directory_name), 0);
}

typedef struct Packet {
    uint64_t begin, end, content_bits, packet_bits, discarded, sequence;
    size_t bytes;
} Packet;

/* The packet at `at` of the file, which must be one of this stream. */
static Packet read_packet(const char *file, size_t at)
{
    static const char start[] = "\xc1\x1f\xfc\xc1";
    uint64_t words[7];
    uint32_t stream_id;

    CU_ASSERT_EQUAL_FATAL(memcmp(file + at, start, 4), 0);
    CU_ASSERT_EQUAL(memcmp(file + at + 4, uuid, 16), 0);
    memcpy(&stream_id, file + at + 20, sizeof(stream_id));
    CU_ASSERT_EQUAL(stream_id, 0);
    memcpy(words, file + at + 24, sizeof(words));
    CU_ASSERT_EQUAL(words[0], 3);
    return (Packet){words[1], words[2], words[3], words[4], words[5], words[6], (size_t)words[4] / 8};
}

static char *read_file(size_t *size_out)
{
    int fd = openat(directory, "stream_3", O_RDONLY | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    char *bytes = malloc((size_t)size + 1);

    CU_ASSERT_EQUAL_FATAL(pread(fd, bytes, (size_t)size, 0), size);
    close(fd);
    *size_out = (size_t)size;
    return bytes;
}

static void put(CtfStream *stream, uint64_t time, uint64_t value)
{
    char *at = ctf_stream_reserve(stream, time);

    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    ctf_stream_take(stream, ctf_put_u64(at, value));
}

static void stream__events_and_losses__then_packets_that_tell_them(void)
{
    CtfStream stream;
    size_t size, at = 0;
    Packet packet;
    char *file;

    make_directory();
    CU_ASSERT_EQUAL_FATAL(ctf_stream_open(&stream, directory, 3, uuid), 0);
    put(&stream, 100, 1);
    put(&stream, 200, 2);
    CU_ASSERT_EQUAL(ctf_stream_lost(&stream, 300, 7), 0);
    put(&stream, 300, 3);
    CU_ASSERT_EQUAL(ctf_stream_lost(&stream, 400, 5), 0);
    CU_ASSERT_EQUAL(ctf_stream_flush(&stream), 0);
    CU_ASSERT_EQUAL(ctf_stream_flush(&stream), 0); /* there is nothing more */
    ctf_stream_close(&stream);

    file = read_file(&size);
    packet = read_packet(file, at);
    CU_ASSERT(packet.begin == 100 && packet.end == 200 && packet.discarded == 0 && packet.sequence == 0);
    CU_ASSERT(packet.content_bits == 8 * (CTF_PACKET_HEADER_BYTES + 16) &&
              packet.packet_bits == packet.content_bits);
    packet = read_packet(file, at += packet.bytes);
    CU_ASSERT(packet.begin == 200 && packet.end == 300 && packet.discarded == 7 && packet.sequence == 1);
    CU_ASSERT_EQUAL(packet.bytes, CTF_PACKET_HEADER_BYTES);
    packet = read_packet(file, at += packet.bytes);
    CU_ASSERT(packet.begin == 300 && packet.end == 300 && packet.discarded == 7 && packet.sequence == 2);
    packet = read_packet(file, at += packet.bytes);
    CU_ASSERT(packet.begin == 300 && packet.end == 400 && packet.discarded == 12 && packet.sequence == 3);
    CU_ASSERT_EQUAL(at + packet.bytes, size);
    free(file);
    remove_directory();
}

static void stream__only_losses__then_counted_from_zero(void)
{
    CtfStream stream;
    size_t size;
    Packet packet;
    char *file;

    make_directory();
    CU_ASSERT_EQUAL_FATAL(ctf_stream_open(&stream, directory, 3, uuid), 0);
    CU_ASSERT_EQUAL(ctf_stream_lost(&stream, 50, 9), 0);
    ctf_stream_close(&stream);
    file = read_file(&size);
    packet = read_packet(file, 0);
    CU_ASSERT(packet.begin == 50 && packet.end == 50 && packet.discarded == 0);
    packet = read_packet(file, packet.bytes);
    CU_ASSERT(packet.begin == 50 && packet.end == 50 && packet.discarded == 9);
    CU_ASSERT_EQUAL(size, 2 * CTF_PACKET_HEADER_BYTES);
    free(file);
    remove_directory();
}

static void stream__more_than_a_packet__then_another_one(void)
{
    CtfStream stream;
    size_t size, at = 0, events = 0, packets = 0;
    uint64_t last = 0;
    char *file;

    make_directory();
    CU_ASSERT_EQUAL_FATAL(ctf_stream_open(&stream, directory, 3, uuid), 0);
    for (uint64_t i = 0; i < 20000; i++)
        put(&stream, i, i);
    CU_ASSERT_EQUAL(ctf_stream_flush(&stream), 0);
    ctf_stream_close(&stream);
    file = read_file(&size);
    while (at < size) {
        Packet packet = read_packet(file, at);

        CU_ASSERT(packet.bytes <= CTF_PACKET_BYTES && packet.sequence == packets && packet.begin >= last);
        events += (packet.bytes - CTF_PACKET_HEADER_BYTES) / 8;
        last = packet.end;
        at += packet.bytes;
        packets++;
    }
    CU_ASSERT_EQUAL(events, 20000);
    CU_ASSERT_EQUAL(last, 19999);
    CU_ASSERT(packets > 2);
    free(file);
    remove_directory();
}

static void stream__no_room_on_disk__then_the_error_stays(void)
{
    struct rlimit before, small;
    CtfStream stream;
    char *at = NULL;

    make_directory();
    CU_ASSERT_EQUAL_FATAL(ctf_stream_open(&stream, directory, 3, uuid), 0);
    CU_ASSERT_EQUAL(ctf_stream_open(&(CtfStream){0}, directory, 3, uuid), -EEXIST);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 1000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (uint64_t i = 0; i < 20000 && (at = ctf_stream_reserve(&stream, i)); i++)
        ctf_stream_take(&stream, ctf_put_u64(at, i));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_PTR_NULL(at);
    CU_ASSERT_EQUAL(stream.error, -EFBIG);
    CU_ASSERT_EQUAL(ctf_stream_lost(&stream, 30000, 1), -EFBIG);
    ctf_stream_close(&stream);
    remove_directory();
}

static const TestCase tests[] = {
    TEST(stream__events_and_losses__then_packets_that_tell_them),
    TEST(stream__only_losses__then_counted_from_zero),
    TEST(stream__more_than_a_packet__then_another_one),
    TEST(stream__no_room_on_disk__then_the_error_stays),
};
TEST_MAIN("ctf_stream", tests)
