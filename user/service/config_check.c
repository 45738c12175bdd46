/* SPDX-License-Identifier: MIT */
#include "user/service/config_check.h"

#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

typedef struct SessionCheck {
    const ServiceSession *session;
    const SectionPlace *place;
    ConfigMistakes *mistakes;
} SessionCheck;

/* 0: it has its default. */
static uint32_t line_of(const SessionCheck *check, const char *key)
{
    return check->place->key_lines[config_key_find(session_keys, session_key_count, key) - session_keys];
}

/* At the key's line, or the section's if the key is not there. */
static void __attribute__((format(printf, 3, 4)))
add_mistake(const SessionCheck *check, const char *key, const char *format, ...)
{
    uint32_t line = line_of(check, key);
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    config_mistakes_add(check->mistakes, check->place->file, line ? line : check->place->line, key, "%s", text);
}

static bool has_mark(const MarkRules *rules, MarkRuleKind kind)
{
    for (size_t i = 0; i < rules->count; i++)
        if (rules->items[i].kind == kind)
            return true;
    return false;
}

static void check_recording(const SessionCheck *check)
{
    const ServiceSession *session = check->session;

    if (line_of(check, "attach") == 0)
        add_mistake(check, "attach", "is missing; allowed: at least one line");
    if (session->marks.count > 0 && session->detail == ADA_DETAIL_OFF && !session->flight_recorder)
        add_mistake(check, "mark",
                    "keeps payloads, and detail = off records none; allowed: with marked or always, or "
                    "flight_recorder = yes");
    if (session->mark_wakers && !has_mark(&session->marks, MARK_RULE_OFF_CPU))
        add_mistake(check, "mark_wakers",
                    "needs a rule that tells when it matters; allowed: with a mark = offcpu>TIME");
    if (session->weights.count > 0 && session->scheduler != DRAIN_SCHEDULER_WEIGHTED)
        add_mistake(check, "weight", "means nothing to the scheduler %s; allowed: with scheduler = weighted",
                    drain_scheduler_name((enum drain_scheduler_kind)session->scheduler));
}

static void check_files(const SessionCheck *check)
{
    const ServiceSession *session = check->session;

    if (strlen(session->output) > PATH_MAX - NAME_MAX - 2)
        add_mistake(check, "output",
                    "the path is too long; allowed: one that has room for names of files in it");
    if (session->max_total && session->max_total / 2 < session->rotate_size)
        add_mistake(
            check, "max_total",
            "has no room for a finished file beside the one that grows; allowed: at least twice rotate_size");
    if (session->max_age && session->max_age < session->rotate_time)
        add_mistake(check, "max_age",
                    "files would be removed as they are finished; allowed: at least rotate_time");
}

/* Two sessions would remove each other's files. */
static void check_same_output(const SessionCheck *check, const ServiceSession *others, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(others[i].output, check->session->output) == 0) {
            add_mistake(check, "output", "is the directory of session %s, too; allowed: one of its own",
                        others[i].name);
            return;
        }
    }
}

/* The user matters where there are hooks. */
static void check_hook(const SessionCheck *check, const char *user)
{
    const struct passwd *entry;

    if (!check->session->hook)
        return;
    entry = getpwnam(user);
    if (!entry)
        add_mistake(check, "hook", "there is no user '%s' to run it; allowed: with a run_user that exists",
                    user);
    else if (entry->pw_uid == 0)
        add_mistake(check, "hook", "run_user is '%s', who may do everything; allowed: with another run_user",
                    user);
}

void config_check(const ServiceConfig *config, const SectionPlace *places, ConfigMistakes *mistakes)
{
    for (size_t i = 0; i < config->session_count; i++) {
        SessionCheck check = {.session = &config->sessions[i], .place = &places[i], .mistakes = mistakes};

        check_recording(&check);
        check_files(&check);
        check_same_output(&check, config->sessions, i);
        check_hook(&check, config->run_user);
    }
}
