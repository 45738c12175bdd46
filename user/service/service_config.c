/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/service_config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/service/config_check.h"
#include "user/service/config_file.h"

enum section_kind { SECTION_NONE, SECTION_SERVICE, SECTION_SESSION, SECTION_PASSED_OVER };

/* What is known while files are read. */
typedef struct Loader {
    ServiceConfig *config;
    ConfigMistakes *mistakes;
    enum section_kind kind; /* of the section that lines are in */
    SectionPlace service;   /* of [service], of the present file */
    SectionPlace sessions[SERVICE_SESSIONS_MAX];
} Loader;

/* ---- configurations --------------------------------------------------------------------------- */

/* NULL without memory. */
static ServiceConfig *create_config(void)
{
    ServiceConfig *config = calloc(1, sizeof(*config));

    if (config && config_keys_init(service_keys, service_key_count, config) != 0) {
        service_config_destroy(config);
        config = NULL;
    }
    return config;
}

void service_config_destroy(ServiceConfig *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->session_count; i++)
        service_session_fini(&config->sessions[i]);
    free(config->sessions);
    free(config->control_socket);
    free(config->control_group);
    free(config->announce_socket);
    free(config->log_directory);
    free(config->state_directory);
    free(config->run_user);
    free(config);
}

bool service_session_sees_kernel(const ServiceSession *session)
{
    return session->sched || session->traces_syscalls || session->uprobe_count > 0;
}

static void print_session(const ServiceSession *session, FILE *out)
{
    (void)fprintf(out, "\n[session %s]\n", session->name);
    for (size_t i = 0; i < session_key_count; i++)
        config_key_put(&session_keys[i], session, out);
}

/* As a file would have it; the caller's to free. NULL without memory. */
static char *describe_session(const ServiceSession *session)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    print_session(session, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

bool service_session_equals(const ServiceSession *left, const ServiceSession *right)
{
    char *left_text = describe_session(left), *right_text = describe_session(right);
    bool equal = left_text && right_text && strcmp(left_text, right_text) == 0;

    free(left_text);
    free(right_text);
    return equal;
}

void service_config_print(const ServiceConfig *config, FILE *out)
{
    (void)fputs("[service]\n", out);
    for (size_t i = 0; i < service_key_count; i++)
        config_key_put(&service_keys[i], config, out);
    for (size_t i = 0; i < config->session_count; i++)
        print_session(&config->sessions[i], out);
}

/* ---- sections --------------------------------------------------------------------------------- */

static bool is_session_name(const char *name)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(name);

    return length > 0 && length <= SERVICE_SESSION_NAME_MAX && *name != '.' &&
           strspn(name, characters) == length;
}

/* 0, -ENOMEM. */
static int add_session(ServiceConfig *config, const char *name)
{
    ServiceSession *session;

    if (array_reserve_one(&config->sessions, &config->session_capacity, config->session_count,
                          sizeof(*config->sessions)) != 0)
        return -ENOMEM;
    session = &config->sessions[config->session_count];
    memset(session, 0, sizeof(*session));
    session->name = strdup(name);
    if (!session->name || config_keys_init(session_keys, session_key_count, session) != 0) {
        service_session_fini(session);
        return -ENOMEM;
    }
    config->session_count++;
    return 0;
}

/* One whose name is wrong is taken in all the same, so that its keys are checked. */
static void begin_session(Loader *loader, const char *file, const char *name, uint32_t line)
{
    ServiceConfig *config = loader->config;

    loader->kind = SECTION_PASSED_OVER;
    if (config->session_count == SERVICE_SESSIONS_MAX) {
        config_mistakes_add(loader->mistakes, file, line, NULL,
                            "there are too many sessions; allowed: up to %u", SERVICE_SESSIONS_MAX);
        return;
    }
    if (!is_session_name(name))
        config_mistakes_add(
            loader->mistakes, file, line, NULL,
            "'%.80s' is no name of a session; allowed: up to 64 of A-Z a-z 0-9 _ . -, the first not a dot",
            name);
    for (size_t i = 0; i < config->session_count; i++) {
        if (strcmp(config->sessions[i].name, name) == 0) {
            config_mistakes_add(loader->mistakes, file, line, NULL,
                                "session '%.80s' is defined in %.200s:%u already; allowed: once", name,
                                loader->sessions[i].file, loader->sessions[i].line);
            break;
        }
    }
    if (add_session(config, name) != 0) {
        loader->mistakes->out_of_memory = true;
        return;
    }
    loader->sessions[config->session_count - 1] = (SectionPlace){.file = file, .line = line};
    loader->kind = SECTION_SESSION;
}

/* The name of a session, if it is a section of one; else NULL. */
static const char *session_of(const char *section)
{
    if (strncmp(section, "session", 7) != 0 || (section[7] && section[7] != ' ' && section[7] != '\t'))
        return NULL;
    return section + 7 + strspn(section + 7, " \t");
}

static void on_section(void *context, const char *name, uint32_t line)
{
    Loader *loader = context;
    const char *session = session_of(name);

    if (session) {
        begin_session(loader, loader->service.file, session, line);
    } else if (strcmp(name, "service") == 0) {
        loader->kind = SECTION_SERVICE;
    } else {
        loader->kind = SECTION_PASSED_OVER;
        config_mistakes_add(loader->mistakes, loader->service.file, line, NULL,
                            "unknown section [%.80s]; allowed: [service], [session NAME]", name);
    }
}

/* ---- keys ------------------------------------------------------------------------------------- */

static void take_key(Loader *loader, const ConfigKey *key, void *section, const char *value, uint32_t line)
{
    const char *file = loader->service.file;
    ConfigReason reason = {""};
    int error = config_key_take(key, section, value, &reason);

    if (error == -EINVAL)
        config_mistakes_add(loader->mistakes, file, line, key->name, "'%.80s': %s; allowed: %s", value,
                            reason.text, key->allowed);
    else if (error)
        loader->mistakes->out_of_memory = true;
}

static void on_key(void *context, const char *name, const char *value, uint32_t line)
{
    Loader *loader = context;
    bool in_service = loader->kind == SECTION_SERVICE;
    const ConfigKey *keys = in_service ? service_keys : session_keys, *key;
    const char *file = loader->service.file;
    size_t last = loader->config->session_count - 1;
    uint32_t *known_line;

    if (loader->kind == SECTION_PASSED_OVER)
        return;
    if (loader->kind == SECTION_NONE) {
        config_mistakes_add(loader->mistakes, file, line, name,
                            "stands in no section; allowed: below [service] or [session NAME]");
        return;
    }
    key = config_key_find(keys, in_service ? service_key_count : session_key_count, name);
    if (!key) {
        config_mistakes_add(loader->mistakes, file, line, name,
                            "unknown key; allowed: those of adatraced.conf(5)");
        return;
    }
    known_line = in_service ? loader->service.key_lines : loader->sessions[last].key_lines;
    known_line += key - keys;
    if (*known_line && !key->repeats) {
        config_mistakes_add(loader->mistakes, file, line, name, "stands in line %u already; allowed: once",
                            *known_line);
        return;
    }
    *known_line = line;
    take_key(loader, key, in_service ? (void *)loader->config : &loader->config->sessions[last], value, line);
}

/* ---- files ------------------------------------------------------------------------------------ */

/* `name` outlives the loader. */
static void take_text(Loader *loader, const char *name, const char *text, size_t size)
{
    const ConfigListener listener = {
        .file = name,
        .mistakes = loader->mistakes,
        .on_section = on_section,
        .on_key = on_key,
        .context = loader,
    };

    loader->kind = SECTION_NONE;
    loader->service = (SectionPlace){.file = name};
    config_file_parse(text, size, &listener);
}

static void take_file(Loader *loader, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    int error = config_file_read(path, loader->mistakes, &text, &size);

    if (error == 0)
        take_text(loader, path, text, size);
    else if (error == -ENOMEM)
        loader->mistakes->out_of_memory = true;
    free(text);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool is_file_of_directory(const char *name)
{
    size_t length = strlen(name);

    return *name != '.' && length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

/* Adds the paths of the files in `directory`, unsorted. 0, -ENOMEM. */
static int list_directory(DIR *stream, const char *directory, TextList *paths)
{
    const struct dirent *entry;

    while ((entry = readdir(stream))) {
        char *path = NULL;
        int error;

        if (!is_file_of_directory(entry->d_name))
            continue;
        if (asprintf(&path, "%s/%s", directory, entry->d_name) < 0)
            return -ENOMEM;
        error = text_list_add(paths, path);
        free(path);
        if (error)
            return error;
    }
    return 0;
}

/* The directory need not be there. */
static void take_directory(Loader *loader, const char *directory, TextList *paths)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = NULL;

    if (fd < 0) {
        if (errno != ENOENT)
            config_mistakes_add(loader->mistakes, directory, 0, NULL,
                                "cannot be opened: %s; allowed: a directory that can be read, or none",
                                strerror(errno));
        return;
    }
    if (config_file_is_safe(fd, directory, loader->mistakes)) {
        stream = fdopendir(fd);
        if (!stream || list_directory(stream, directory, paths) != 0)
            loader->mistakes->out_of_memory = true;
    }
    if (stream)
        (void)closedir(stream);
    else
        close(fd);
    if (paths->count > SERVICE_CONFIG_FILES_MAX) {
        config_mistakes_add(loader->mistakes, directory, 0, NULL, "has too many files; allowed: up to %u",
                            SERVICE_CONFIG_FILES_MAX);
        return;
    }
    if (paths->count > 1)
        qsort(paths->items, paths->count, sizeof(*paths->items), compare_names);
    for (size_t i = 0; i < paths->count; i++)
        take_file(loader, paths->items[i]);
}

/* ---- loading ---------------------------------------------------------------------------------- */

/* An output that is not absolute, or not said, is below log_directory. 0, -ENOMEM. */
static int complete_outputs(ServiceConfig *config)
{
    for (size_t i = 0; i < config->session_count; i++) {
        ServiceSession *session = &config->sessions[i];
        const char *name = session->output ? session->output : session->name;
        char *path = NULL;

        if (session->output && *name == '/')
            continue;
        if (asprintf(&path, "%s/%s", config->log_directory, name) < 0)
            return -ENOMEM;
        free(session->output);
        session->output = path;
    }
    return 0;
}

static int create_loader(ConfigMistakes *mistakes, Loader **loader_out)
{
    Loader *loader = calloc(1, sizeof(*loader));

    if (!loader)
        return -ENOMEM;
    loader->mistakes = mistakes;
    loader->config = create_config();
    if (!loader->config) {
        free(loader);
        return -ENOMEM;
    }
    *loader_out = loader;
    return 0;
}

/* Ends the loader; its configuration is handed over if it is right. */
static int finish(Loader *loader, ServiceConfig **config_out)
{
    ConfigMistakes *mistakes = loader->mistakes;
    int error = 0;

    if (complete_outputs(loader->config) != 0)
        mistakes->out_of_memory = true;
    else
        config_check(loader->config, loader->sessions, mistakes);
    if (mistakes->out_of_memory)
        error = -ENOMEM;
    else if (mistakes->total > 0)
        error = -EINVAL;
    if (error)
        service_config_destroy(loader->config);
    else
        *config_out = loader->config;
    free(loader);
    return error;
}

int service_config_load(const char *path, ServiceConfig **config_out, ConfigMistakes *mistakes)
{
    const char *slash = strrchr(path, '/');
    TextList paths = {0};
    char *directory = NULL;
    Loader *loader;
    int error = create_loader(mistakes, &loader);

    if (error)
        return error;
    take_file(loader, path);
    if (asprintf(&directory, "%.*sconf.d", slash ? (int)(slash - path + 1) : 0, path) < 0)
        mistakes->out_of_memory = true;
    else
        take_directory(loader, directory, &paths);
    error = finish(loader, config_out);
    free(directory);
    text_list_fini(&paths);
    return error;
}

int service_config_parse(const char *name, const char *text, size_t size, ServiceConfig **config_out,
                         ConfigMistakes *mistakes)
{
    Loader *loader;
    int error = create_loader(mistakes, &loader);

    if (error)
        return error;
    take_text(loader, name, text, size);
    return finish(loader, config_out);
}
