/* SPDX-License-Identifier: MIT */
#include "user/service/text_list.h"

#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"

int text_list_add(TextList *list, const char *text)
{
    char *copy;

    if (array_reserve_one(&list->items, &list->capacity, list->count, sizeof(*list->items)) != 0)
        return -ENOMEM;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    list->items[list->count++] = copy;
    return 0;
}

void text_list_fini(TextList *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (TextList){0};
}
