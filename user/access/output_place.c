/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/output_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/access/opener_here.h"

/* ---- here ----------------------------------------------------------------------------------------- */

int opener_here_make_parents(const char *path)
{
    char parent[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
        if (mkdir(parent, 0751) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int check_place(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if ((status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & S_IWOTH))
        return -EPERM;
    return 0;
}

int opener_here_place(const char *path, bool adopt, bool *made_out)
{
    bool made = mkdir(path, 0750) == 0;
    int fd, error = 0;

    if (!made && (!adopt || errno != EEXIST))
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error = -errno;
    else if (!made)
        error = check_place(fd);
    if (error) {
        if (fd >= 0)
            close(fd);
        if (made)
            (void)rmdir(path);
        return error;
    }
    *made_out = made;
    return fd;
}

/* What the kernel takes as the value of system.posix_acl_*: acl(5). */
typedef struct ReaderAcl {
    struct posix_acl_xattr_header header;
    struct posix_acl_xattr_entry entries[5]; /* in this order: ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER */
} ReaderAcl;
_Static_assert(sizeof(ReaderAcl) == 4 + 5 * 8, "no padding");

int opener_here_share(const char *path, uid_t reader)
{
    const ReaderAcl acl = {
        .header = {.a_version = POSIX_ACL_XATTR_VERSION},
        .entries =
            {
                {.e_tag = ACL_USER_OBJ,
                 .e_perm = ACL_READ | ACL_WRITE | ACL_EXECUTE,
                 .e_id = (uint32_t)ACL_UNDEFINED_ID},
                {.e_tag = ACL_USER, .e_perm = ACL_READ | ACL_EXECUTE, .e_id = reader},
                {.e_tag = ACL_GROUP_OBJ, .e_perm = ACL_READ | ACL_EXECUTE, .e_id = (uint32_t)ACL_UNDEFINED_ID},
                {.e_tag = ACL_MASK, .e_perm = ACL_READ | ACL_EXECUTE, .e_id = (uint32_t)ACL_UNDEFINED_ID},
                {.e_tag = ACL_OTHER, .e_perm = 0, .e_id = (uint32_t)ACL_UNDEFINED_ID},
            },
    };
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error;

    if (directory < 0)
        return -errno;
    error = check_place(directory);
    if (!error && (fsetxattr(directory, XATTR_NAME_POSIX_ACL_DEFAULT, &acl, sizeof(acl), 0) < 0 ||
                   fsetxattr(directory, XATTR_NAME_POSIX_ACL_ACCESS, &acl, sizeof(acl), 0) < 0))
        error = -errno;
    close(directory);
    return error;
}

/* ---- by whoever may ------------------------------------------------------------------------------- */

static int ask(OpenerRequest *request, const char *path, OpenerReply *reply)
{
    int error = opener_add_text(request, path);

    return error ? error : opener_ask(-1, request, -1, reply, NULL);
}

int output_place_make_parents(const char *path)
{
    OpenerRequest request = {.operation = OPENER_PARENTS};
    OpenerReply reply;

    return opener_is_used() ? ask(&request, path, &reply) : opener_here_make_parents(path);
}

int output_place_open(const char *path, bool adopt, bool *made_out)
{
    OpenerRequest request = {.operation = OPENER_PLACE, .flag = adopt};
    OpenerReply reply = {.yes = 0};
    int fd;

    if (!opener_is_used())
        return opener_here_place(path, adopt, made_out);
    fd = opener_add_text(&request, path);
    if (!fd)
        fd = opener_ask_descriptor(&request, -1, &reply);
    if (fd >= 0)
        *made_out = reply.yes != 0;
    return fd;
}

int output_place_share(const char *path, uid_t reader)
{
    OpenerRequest request = {.operation = OPENER_SHARE, .user = reader};
    OpenerReply reply;

    return opener_is_used() ? ask(&request, path, &reply) : opener_here_share(path, reader);
}
