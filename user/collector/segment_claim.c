/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/segment_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"

#define CLAIM_TRIES 8 /* it is given up just between being refused and asking by whom */

/* A descriptor of a claimed segment. */
typedef struct Held {
    dev_t device;
    ino_t inode;
    int fd;
    pid_t owner;
    bool claims; /* it has the claim; else it waits for that to end */
} Held;

/* Of the process, as the locks are: whoever has two collectors in one process has this table once. */
static struct {
    pthread_mutex_t lock; /* guards all else; held while descriptors of claimed segments are closed */
    pid_t process;        /* whose it is: a child of fork(2) begins with an empty one */
    Held *items;
    size_t count;
    size_t capacity;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock held, before anything else. */
static void own_table(void)
{
    pid_t process = getpid();

    if (table.process != process)
        table.count = 0; /* its descriptors are the parent's numbers: nobody says what they are here */
    table.process = process;
}

static Held *find_claim(dev_t device, ino_t inode)
{
    for (size_t i = 0; i < table.count; i++) {
        Held *held = &table.items[i];

        if (held->claims && held->device == device && held->inode == inode)
            return held;
    }
    return NULL;
}

/* 0 or -ENOMEM. */
static int add_held(const Held *held)
{
    int error = array_reserve_one(&table.items, &table.capacity, table.count, sizeof(table.items[0]));

    if (!error)
        table.items[table.count++] = *held;
    return error;
}

/* The kernel's part. */
static int lock_segment(int fd, pid_t *holder_out)
{
    for (int i = 0; i < CLAIM_TRIES; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

        if (fcntl(fd, F_SETLK, &lock) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES)
            return -errno;
        if (fcntl(fd, F_GETLK, &lock) < 0)
            return -errno;
        if (lock.l_type == F_UNLCK)
            continue;
        *holder_out = lock.l_pid > 0 ? lock.l_pid : 0;
        return -EBUSY;
    }
    *holder_out = 0;
    return -EBUSY;
}

static int claim(const Held *wanted, pid_t *holder_out)
{
    const Held *present = find_claim(wanted->device, wanted->inode);
    int error;

    if (present && present->fd == wanted->fd)
        return 0;
    if (present) {
        *holder_out = table.process;
        return -EBUSY;
    }
    error = add_held(wanted);
    if (error)
        return error;
    error = lock_segment(wanted->fd, holder_out);
    if (error)
        table.count--;
    return error;
}

int segment_claim(int fd, pid_t owner, pid_t *holder_out)
{
    Held wanted = {.fd = fd, .owner = owner, .claims = true};
    struct stat status;
    int error;

    if (fstat(fd, &status) < 0)
        return -errno;
    wanted.device = status.st_dev;
    wanted.inode = status.st_ino;
    pthread_mutex_lock(&table.lock);
    own_table();
    error = claim(&wanted, holder_out);
    pthread_mutex_unlock(&table.lock);
    return error;
}

bool segment_is_claimed_here(dev_t device, ino_t inode, pid_t *owner_out)
{
    const Held *held;

    pthread_mutex_lock(&table.lock);
    own_table();
    held = find_claim(device, inode);
    if (held && owner_out)
        *owner_out = held->owner;
    pthread_mutex_unlock(&table.lock);
    return held != NULL;
}

/* The claim ends, and with it the reason to keep the others. */
static void close_all(dev_t device, ino_t inode)
{
    for (size_t i = table.count; i-- > 0;) {
        const Held *held = &table.items[i];

        if (held->device == device && held->inode == inode) {
            close(held->fd);
            table.items[i] = table.items[--table.count];
        }
    }
}

void segment_release(int fd)
{
    struct stat status;
    const Held *held;

    if (fd < 0)
        return;
    pthread_mutex_lock(&table.lock);
    own_table();
    held = fstat(fd, &status) == 0 ? find_claim(status.st_dev, status.st_ino) : NULL;
    if (!held)
        close(fd);
    else if (held->fd == fd)
        close_all(status.st_dev, status.st_ino);
    else /* without memory it stays open for good, and the claim whole */
        (void)add_held(&(Held){.device = status.st_dev, .inode = status.st_ino, .fd = fd});
    pthread_mutex_unlock(&table.lock);
}
