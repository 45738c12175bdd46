/* SPDX-License-Identifier: MIT */
/* Directories that traces are written to. Functions return 0 or -errno, those of the way to the opener among them. */
#ifndef ADA_ACCESS_OUTPUT_PLACE_H
#define ADA_ACCESS_OUTPUT_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

/* Makes the directories above the path, which all may pass but not look at. */
int output_place_make_parents(const char *path);

/*
 * The descriptor of the directory, which is made if it is not there (*made_out). One that is there is refused unless `adopt` is set; it must belong to us or
 * to root, and others must not be able to write in it: -EPERM. Not through a link.
 */
int output_place_open(const char *path, bool adopt, bool *made_out);

/*
 * Lets the user `reader` read the directory and, by its default ACL, the files that are made in it. That takes no rights but to own it.
 * -EOPNOTSUPP: the file system has no ACLs.
 */
int output_place_share(const char *path, uid_t reader);

#endif
