/* SPDX-License-Identifier: MIT */
/*
 * Reads the input as a configuration. Wrong ones must have mistakes; right ones are printed, and what is printed must be
 * right and print the same. Seeds are in corpus/service_config.
 */
#define _GNU_SOURCE /* open_memstream */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/service/service_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const ServiceConfig *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    service_config_print(config, out);
    if (fclose(out) != 0)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1); /* so that reading behind it is noticed */
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL, *again = NULL;
    char *text, *text_again;
    int error;

    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy + 1, data, size);
    error = service_config_parse("fuzz.conf", copy + 1, size, &config, &mistakes);
    free(copy);
    if ((error == 0) != (mistakes.total == 0) || (error == 0) != (config != NULL))
        abort();
    if (error == 0) {
        text = print(config);
        if (service_config_parse("printed.conf", text, strlen(text), &again, &mistakes) != 0)
            abort();
        text_again = print(again);
        if (strcmp(text, text_again) != 0)
            abort();
        free(text_again);
        service_config_destroy(again);
        free(text);
    }
    service_config_destroy(config);
    config_mistakes_fini(&mistakes);
    return 0;
}
