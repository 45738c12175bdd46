/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---------------------------------------------------------------------------------- */

bool config_file_is_safe(int fd, const char *path, ConfigMistakes *mistakes)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        config_mistakes_add(mistakes, path, 0, NULL, "cannot be looked at: %s", strerror(errno));
        return false;
    }
    if (status.st_uid != 0 && status.st_uid != geteuid()) {
        config_mistakes_add(mistakes, path, 0, NULL,
                            "belongs to user %u, who could change it; allowed: files of root (chown root)",
                            (unsigned)status.st_uid);
        return false;
    }
    if (status.st_mode & (S_IWGRP | S_IWOTH)) {
        config_mistakes_add(mistakes, path, 0, NULL,
                            "%s may write it; allowed: files that only their owner may write (chmod go-w)",
                            status.st_mode & S_IWOTH ? "everybody" : "its group");
        return false;
    }
    return true;
}

/* Up to `room` bytes. How many, or -errno. */
static ssize_t read_all(int fd, char *text, size_t room)
{
    size_t size = 0;

    while (size < room) {
        ssize_t count = read(fd, text + size, room - size);

        if (count < 0)
            return -errno;
        if (count == 0)
            break;
        size += (size_t)count;
    }
    return (ssize_t)size;
}

static int read_checked(int fd, const char *path, ConfigMistakes *mistakes, char **text_out, size_t *size_out)
{
    struct stat status;
    ssize_t size;
    char *text;

    if (!config_file_is_safe(fd, path, mistakes))
        return -EINVAL;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        config_mistakes_add(mistakes, path, 0, NULL, "is not a regular file; allowed: a file of text");
        return -EINVAL;
    }
    text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (!text)
        return -ENOMEM;
    size = read_all(fd, text, CONFIG_FILE_BYTES_MAX + 1);
    if (size < 0)
        config_mistakes_add(mistakes, path, 0, NULL, "cannot be read: %s", strerror((int)-size));
    else if (size > (ssize_t)CONFIG_FILE_BYTES_MAX)
        config_mistakes_add(mistakes, path, 0, NULL, "is too large; allowed: up to %u KiB",
                            CONFIG_FILE_BYTES_MAX >> 10);
    if (size < 0 || size > (ssize_t)CONFIG_FILE_BYTES_MAX) {
        free(text);
        return -EINVAL;
    }
    *text_out = text;
    *size_out = (size_t)size;
    return 0;
}

int config_file_read(const char *path, ConfigMistakes *mistakes, char **text_out, size_t *size_out)
{
    /* Nonblocking: a FIFO would have us wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int error;

    if (fd < 0) {
        config_mistakes_add(mistakes, path, 0, NULL, "cannot be opened: %s; allowed: a file that can be read",
                            strerror(errno));
        return -EINVAL;
    }
    error = read_checked(fd, path, mistakes, text_out, size_out);
    close(fd);
    return error;
}

/* ---- lines ------------------------------------------------------------------------------------ */

typedef struct LineReader {
    const ConfigListener *listener;
    const char *at, *end;
    uint32_t line;  /* the number of the last one that was taken */
    bool key_asked; /* inih got that line, */
    bool key_taken; /* and has found a key in it */
} LineReader;

static void add_mistake(const LineReader *reader, const char *what)
{
    config_mistakes_add(reader->listener->mistakes, reader->listener->file, reader->line, NULL, "%s", what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_control_character(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == '\x7f')
            return true;
    return false;
}

/* The next line without blanks around it, and without what ends it; false: there is none. */
static bool take_line(LineReader *reader, const char **text_out, size_t *size_out)
{
    const char *text = reader->at, *end;

    if (text == reader->end)
        return false;
    end = memchr(text, '\n', (size_t)(reader->end - text));
    reader->at = end ? end + 1 : reader->end;
    end = end ? end : reader->end;
    reader->line++;
    if (end > text && end[-1] == '\r')
        end--;
    while (text < end && is_blank(*text))
        text++;
    while (text < end && is_blank(end[-1]))
        end--;
    *text_out = text;
    *size_out = (size_t)(end - text);
    return true;
}

/* "[ name ]", and a comment perhaps. */
static void take_section(const LineReader *reader, const char *text, size_t size)
{
    const char *close_at = memchr(text, ']', size);
    const char *rest, *name = text + 1, *end = close_at;
    char *copy;

    if (!close_at) {
        add_mistake(reader, "a ] is missing; allowed: [service], [session NAME]");
        return;
    }
    for (rest = close_at + 1; rest < text + size && is_blank(*rest); rest++)
        ;
    if (rest < text + size && *rest != ';' && *rest != '#') {
        add_mistake(reader, "something stands behind the section; allowed: keys in lines of their own");
        return;
    }
    while (name < end && is_blank(*name))
        name++;
    while (name < end && is_blank(end[-1]))
        end--;
    copy = strndup(name, (size_t)(end - name));
    if (copy)
        reader->listener->on_section(reader->listener->context, copy, reader->line);
    else
        reader->listener->mistakes->out_of_memory = true;
    free(copy);
}

/* Says so if inih found no key in the line that it got. */
static void end_key(LineReader *reader)
{
    if (reader->key_asked && !reader->key_taken)
        add_mistake(reader, "is neither a key nor a section nor a comment; allowed: KEY = VALUE");
    reader->key_asked = false;
    reader->key_taken = false;
}

/* For inih: the next line that has a key, as fgets() would read it. */
static char *next_key_line(char *buffer, int room, void *stream)
{
    size_t longest = room > 3 ? (size_t)room - 3 : 0;
    LineReader *reader = stream;
    const char *text;
    size_t size;

    end_key(reader);
    while (take_line(reader, &text, &size)) {
        if (memchr(text, '\0', size)) {
            add_mistake(reader, "has a NUL byte; allowed: text");
        } else if (has_control_character(text, size)) {
            add_mistake(reader, "has a control character; allowed: text");
        } else if (size > longest) {
            config_mistakes_add(reader->listener->mistakes, reader->listener->file, reader->line, NULL,
                                "is too long: %zu characters; allowed: up to %zu", size, longest);
        } else if (size > 0 && *text == '[') {
            take_section(reader, text, size);
        } else if (size > 0 && *text != ';' && *text != '#') {
            memcpy(buffer, text, size);
            memcpy(buffer + size, "\n", 2);
            reader->key_asked = true;
            return buffer;
        }
    }
    return NULL;
}

/* Of inih: what it has found. A semicolon right behind the sign would be a comment behind a blank. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
    LineReader *reader = user;
    const ConfigListener *listener = reader->listener;

    (void)section;
    reader->key_taken = true;
    if (*value == '\0' || *value == ';')
        config_mistakes_add(listener->mistakes, listener->file, reader->line, name,
                            "has no value; allowed: KEY = VALUE");
    else
        listener->on_key(listener->context, name, value, reader->line);
    return 1;
}

void config_file_parse(const char *text, size_t size, const ConfigListener *listener)
{
    static const char mark[] = "\xef\xbb\xbf";
    LineReader reader = {.listener = listener, .at = text, .end = text + size};

    if (size >= 3 && memcmp(text, mark, 3) == 0)
        reader.at += 3;
#if ADA_HAVE_INI_MAX_LINE
    ini_max_line = CONFIG_LINE_MAX + 3;
#endif
    if (ini_parse_stream(next_key_line, &reader, take_key, &reader) == -2)
        listener->mistakes->out_of_memory = true;
}
