/* SPDX-License-Identifier: MIT */
/* Texts in the order in which they were added. One thread uses a list at a time. */
#ifndef ADA_SERVICE_TEXT_LIST_H
#define ADA_SERVICE_TEXT_LIST_H

#include <stddef.h>

/* Starts as {0}. The texts stay where they are as the list grows. */
typedef struct TextList {
    char **items;
    size_t count;
    size_t capacity;
} TextList;

/* Adds a copy. 0, or -ENOMEM with the list as before. */
int text_list_add(TextList *list, const char *text);

/* Frees the texts; the list is empty again. */
void text_list_fini(TextList *list);

#endif
