/* SPDX-License-Identifier: MIT */
/*
 * Loads libraries while it runs and calls their functions, which are instrumented as its own are. They are found by name alone, in the place
 * that this program names (RUNPATH), so whoever loads them for it must look like it.
 *
 *     loads_functions first|both|kill
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int PluginWork(int value);

static void *load(const char *name, const char *function)
{
    void *library = dlopen(name, RTLD_NOW);
    PluginWork *work = library ? (PluginWork *)dlsym(library, function) : NULL;

    if (!work) {
        printf("%s\n", dlerror());
        exit(1);
    }
    printf("%s: %d\n", name, work(20));
    return library;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "first";
    void *library;

    if (dlopen("no such library", RTLD_NOW) || !dlerror() || dlsym(RTLD_NEXT, "main"))
        return 2;
    library = load("plugin_first.so", "first_work");
    if (strcmp(what, "both") == 0) {
        if (dlclose(library) != 0)
            return 3;
        library = load("plugin_second.so", "second_work");
    }
    (void)fflush(stdout);
    if (strcmp(what, "kill") == 0)
        (void)raise(SIGKILL);
    return library ? 0 : 4;
}
