/* SPDX-License-Identifier: MIT */
/*
 * Group `io`: file and socket input and output, and waiting for it.
 *
 * A span begins with the file descriptor (poll, select: with how many) and ends with the result. Opening and
 * connecting also record what was opened, just before the span ends.
 */
#include "user/client/preload/preload.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "user/client/preload/address.h"

/* What calls become under _FORTIFY_SOURCE; the last argument of each is the size of the destination. */
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t buffer_size);
ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t buffer_size);
ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t buffer_size);
ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t buffer_size, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t buffer_size, int flags,
                       __SOCKADDR_ARG address, socklen_t *address_size);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t fds_size);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);

/* ---- reading and writing ----------------------------------------------------------------------- */

SPAN(IO, read, ssize_t, ERRNO, fd, (int fd, void *buffer, size_t size), (fd, buffer, size))
TWIN(IO, __read_chk, read, ssize_t, ERRNO, fd, (int fd, void *buffer, size_t size, size_t buffer_size),
     (fd, buffer, size, buffer_size))
SPAN(IO, write, ssize_t, ERRNO, fd, (int fd, const void *buffer, size_t size), (fd, buffer, size))

SPAN(IO, pread, ssize_t, ERRNO, fd, (int fd, void *buffer, size_t size, off_t offset),
     (fd, buffer, size, offset))
TWIN(IO, pread64, pread, ssize_t, ERRNO, fd, (int fd, void *buffer, size_t size, off64_t offset),
     (fd, buffer, size, offset))
TWIN(IO, __pread_chk, pread, ssize_t, ERRNO, fd,
     (int fd, void *buffer, size_t size, off_t offset, size_t buffer_size),
     (fd, buffer, size, offset, buffer_size))
TWIN(IO, __pread64_chk, pread, ssize_t, ERRNO, fd,
     (int fd, void *buffer, size_t size, off64_t offset, size_t buffer_size),
     (fd, buffer, size, offset, buffer_size))
SPAN(IO, pwrite, ssize_t, ERRNO, fd, (int fd, const void *buffer, size_t size, off_t offset),
     (fd, buffer, size, offset))
TWIN(IO, pwrite64, pwrite, ssize_t, ERRNO, fd, (int fd, const void *buffer, size_t size, off64_t offset),
     (fd, buffer, size, offset))

#define VECTOR int fd, const struct iovec *vector, int count
SPAN(IO, readv, ssize_t, ERRNO, fd, (VECTOR), (fd, vector, count))
SPAN(IO, writev, ssize_t, ERRNO, fd, (VECTOR), (fd, vector, count))
SPAN(IO, preadv, ssize_t, ERRNO, fd, (VECTOR, off_t offset), (fd, vector, count, offset))
TWIN(IO, preadv64, preadv, ssize_t, ERRNO, fd, (VECTOR, off64_t offset), (fd, vector, count, offset))
SPAN(IO, pwritev, ssize_t, ERRNO, fd, (VECTOR, off_t offset), (fd, vector, count, offset))
TWIN(IO, pwritev64, pwritev, ssize_t, ERRNO, fd, (VECTOR, off64_t offset), (fd, vector, count, offset))
SPAN(IO, preadv2, ssize_t, ERRNO, fd, (VECTOR, off_t offset, int flags), (fd, vector, count, offset, flags))
TWIN(IO, preadv64v2, preadv2, ssize_t, ERRNO, fd, (VECTOR, off64_t offset, int flags),
     (fd, vector, count, offset, flags))
SPAN(IO, pwritev2, ssize_t, ERRNO, fd, (VECTOR, off_t offset, int flags), (fd, vector, count, offset, flags))
TWIN(IO, pwritev64v2, pwritev2, ssize_t, ERRNO, fd, (VECTOR, off64_t offset, int flags),
     (fd, vector, count, offset, flags))

SPAN(IO, sendfile, ssize_t, ERRNO, to, (int to, int from, off_t *offset, size_t size), (to, from, offset, size))
TWIN(IO, sendfile64, sendfile, ssize_t, ERRNO, to, (int to, int from, off64_t *offset, size_t size),
     (to, from, offset, size))
SPAN(IO, copy_file_range, ssize_t, ERRNO, from,
     (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags),
     (from, from_offset, to, to_offset, size, flags))
SPAN(IO, splice, ssize_t, ERRNO, from,
     (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags),
     (from, from_offset, to, to_offset, size, flags))

SPAN(IO, fsync, int, ERRNO, fd, (int fd), (fd))
SPAN(IO, fdatasync, int, ERRNO, fd, (int fd), (fd))
SPAN(IO, close, int, ERRNO, fd, (int fd), (fd))

/* ---- sockets ----------------------------------------------------------------------------------- */

SPAN(IO, recv, ssize_t, ERRNO, fd, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags))
TWIN(IO, __recv_chk, recv, ssize_t, ERRNO, fd,
     (int fd, void *buffer, size_t size, size_t buffer_size, int flags), (fd, buffer, size, buffer_size, flags))
SPAN(IO, recvfrom, ssize_t, ERRNO, fd,
     (int fd, void *buffer, size_t size, int flags, __SOCKADDR_ARG address, socklen_t *address_size),
     (fd, buffer, size, flags, address, address_size))
TWIN(IO, __recvfrom_chk, recvfrom, ssize_t, ERRNO, fd,
     (int fd, void *buffer, size_t size, size_t buffer_size, int flags, __SOCKADDR_ARG address,
      socklen_t *address_size),
     (fd, buffer, size, buffer_size, flags, address, address_size))
SPAN(IO, recvmsg, ssize_t, ERRNO, fd, (int fd, struct msghdr *message, int flags), (fd, message, flags))
SPAN(IO, recvmmsg, int, ERRNO, fd,
     (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout))
SPAN(IO, send, ssize_t, ERRNO, fd, (int fd, const void *buffer, size_t size, int flags),
     (fd, buffer, size, flags))
SPAN(IO, sendto, ssize_t, ERRNO, fd,
     (int fd, const void *buffer, size_t size, int flags, __CONST_SOCKADDR_ARG address, socklen_t address_size),
     (fd, buffer, size, flags, address, address_size))
SPAN(IO, sendmsg, ssize_t, ERRNO, fd, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
SPAN(IO, sendmmsg, int, ERRNO, fd, (int fd, struct mmsghdr *messages, unsigned count, int flags),
     (fd, messages, count, flags))
SPAN(IO, accept, int, ERRNO, fd, (int fd, __SOCKADDR_ARG address, socklen_t *address_size),
     (fd, address, address_size))
SPAN(IO, accept4, int, ERRNO, fd, (int fd, __SOCKADDR_ARG address, socklen_t *address_size, int flags),
     (fd, address, address_size, flags))

/* ---- waiting ----------------------------------------------------------------------------------- */

SPAN(IO, poll, int, ERRNO, count, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
TWIN(IO, __poll_chk, poll, int, ERRNO, count,
     (struct pollfd * fds, nfds_t count, int timeout, size_t fds_size), (fds, count, timeout, fds_size))
SPAN(IO, ppoll, int, ERRNO, count,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask))
TWIN(IO, __ppoll_chk, ppoll, int, ERRNO, count,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t fds_size),
     (fds, count, timeout, mask, fds_size))
SPAN(IO, select, int, ERRNO, count,
     (int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout),
     (count, readable, writable, exceptional, timeout))
SPAN(IO, pselect, int, ERRNO, count,
     (int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *timeout,
      const sigset_t *mask),
     (count, readable, writable, exceptional, timeout, mask))
SPAN(IO, epoll_wait, int, ERRNO, fd, (int fd, struct epoll_event *events, int count, int timeout),
     (fd, events, count, timeout))
SPAN(IO, epoll_pwait, int, ERRNO, fd,
     (int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask),
     (fd, events, count, timeout, mask))
SPAN(IO, epoll_pwait2, int, ERRNO, fd,
     (int fd, struct epoll_event *events, int count, const struct timespec *timeout, const sigset_t *mask),
     (fd, events, count, timeout, mask))

/* ---- opening and connecting -------------------------------------------------------------------- */

static const ada_field open_fields[] = {{"path", ADA_FIELD_STRING}, {"flags", ADA_FIELD_U64}};
static ada_event open_path = {"open.path", open_fields, 2, ADA_EVENT_TYPED, 0};

static const ada_field connect_fields[] = {{"address", ADA_FIELD_STRING}};
static ada_event connect_address = {"connect.address", connect_fields, 1, ADA_EVENT_TYPED, 0};

/*
 * Whether the kernel has read the memory that a call's pointer names. Where it refused the call before or
 * while doing that, the pointer may be anything, and the program gets an error and not a fault.
 */
static bool kernel_read_it(int64_t result)
{
    return result >= 0 || (result != -EFAULT && result != -EINVAL && result != -ENAMETOOLONG &&
                           result != -EBADF && result != -ENOTSOCK && result != -ENOSYS);
}

/* Within the span of the call that returned `result`. Keeps errno. */
static void record_path(const char *path, int flags, int64_t result)
{
    const ada_value values[] = {{.string = path}, {.u64 = (unsigned)flags}};

    if (kernel_read_it(result))
        preload_record_fields(&open_path, (uint64_t)result, values, 2);
}

/* The body of the wrappers: one function each, as saving registers does not matter beside a path walk. */
#define OPEN_CALL(name, event, argument, flags, arguments)                                      \
    int fd;                                                                                     \
                                                                                                \
    if (!preload_on(PRELOAD_IO))                                                                \
        return PRELOAD_REAL(name) arguments;                                                    \
    PRELOAD_SPAN span = preload_span_begin(&preload_event_##event, PRELOAD_ARGUMENT(argument)); \
    fd = PRELOAD_REAL(name) arguments;                                                          \
    span.result = PRELOAD_RESULT_ERRNO(fd);                                                     \
    record_path(path, flags, span.result);                                                      \
    return fd;

#define OPEN(name, event, argument, flags, parameters, arguments) \
    PRELOAD_SYMBOL(name, NULL, preload_missing)                   \
    PRELOAD_EXPORT int name parameters                            \
    {                                                             \
        OPEN_CALL(name, event, argument, flags, arguments)        \
    }

/* With a mode behind the flags, where these ask for one. */
#define OPEN_VARIADIC(name, event, argument, parameters, arguments)       \
    PRELOAD_SYMBOL(name, NULL, preload_missing)                           \
    PRELOAD_EXPORT int name parameters                                    \
    {                                                                     \
        mode_t mode = 0;                                                  \
                                                                          \
        if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
            va_list rest;                                                 \
                                                                          \
            va_start(rest, flags);                                        \
            mode = va_arg(rest, mode_t);                                  \
            va_end(rest);                                                 \
        }                                                                 \
        OPEN_CALL(name, event, argument, flags, arguments)                \
    }

PRELOAD_EVENT(open, ADA_EVENT_SPAN_BEGIN)
OPEN_VARIADIC(open, open, flags, (const char *path, int flags, ...), (path, flags, mode))
OPEN_VARIADIC(open64, open, flags, (const char *path, int flags, ...), (path, flags, mode))
OPEN(__open_2, open, flags, flags, (const char *path, int flags), (path, flags))
OPEN(__open64_2, open, flags, flags, (const char *path, int flags), (path, flags))

PRELOAD_EVENT(openat, ADA_EVENT_SPAN_BEGIN)
OPEN_VARIADIC(openat, openat, directory, (int directory, const char *path, int flags, ...),
              (directory, path, flags, mode))
OPEN_VARIADIC(openat64, openat, directory, (int directory, const char *path, int flags, ...),
              (directory, path, flags, mode))
OPEN(__openat_2, openat, directory, flags, (int directory, const char *path, int flags),
     (directory, path, flags))
OPEN(__openat64_2, openat, directory, flags, (int directory, const char *path, int flags),
     (directory, path, flags))

#define CREAT_FLAGS (O_CREAT | O_WRONLY | O_TRUNC)
PRELOAD_EVENT(creat, ADA_EVENT_SPAN_BEGIN)
OPEN(creat, creat, CREAT_FLAGS, CREAT_FLAGS, (const char *path, mode_t mode), (path, mode))
OPEN(creat64, creat, CREAT_FLAGS, CREAT_FLAGS, (const char *path, mode_t mode), (path, mode))

static void record_address(const struct sockaddr *address, socklen_t size, int64_t result)
{
    char text[ADDRESS_TEXT_SIZE];
    const ada_value value = {.string = text};

    if (size < sizeof(address->sa_family) || !kernel_read_it(result))
        return;
    address_format(text, address, size);
    preload_record_fields(&connect_address, (uint64_t)result, &value, 1);
}

PRELOAD_EVENT(connect, ADA_EVENT_SPAN_BEGIN)
PRELOAD_SYMBOL(connect, NULL, preload_missing)
PRELOAD_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    int status;

    if (!preload_on(PRELOAD_IO))
        return PRELOAD_REAL(connect)(fd, address, size);
    PRELOAD_SPAN span = preload_span_begin(&preload_event_connect, PRELOAD_ARGUMENT(fd));
    status = PRELOAD_REAL(connect)(fd, address, size);
    span.result = PRELOAD_RESULT_ERRNO(status);
    record_address(address.__sockaddr__, size, span.result);
    return status;
}
