/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/segment_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CLAIM_TRIES 8 /* it is given up just between being refused and asking by whom */

int segment_claim(int fd, pid_t *holder_out)
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
