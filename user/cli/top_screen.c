/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/top_screen.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/live_report.h"
#include "user/lane/clock.h"

#define ESCAPE 27

typedef struct Screen {
    TopView *view;
    LiveReport report;
    size_t *order; /* room for all rows of the report */
    bool paused;
    bool typing;  /* the filter */
    size_t first; /* row at the top */
} Screen;

static const char keys[] =
    "q quit  space pause  s sort  r reverse  p processes/threads  / filter  arrows scroll";

static void put_line(int y, attr_t attributes, const char *text)
{
    move(y, 0);
    attron(attributes);
    addnstr(text, COLS);
    if (attributes & A_REVERSE)
        hline(' ', COLS);
    attroff(attributes);
    clrtoeol();
}

/* The status line: what the keys do, or the filter while it is typed. */
static void put_status(const Screen *screen, size_t rows)
{
    char line[TOP_LINE_MAX];

    if (screen->typing)
        (void)snprintf(line, sizeof(line), "filter: %s_", screen->view->filter);
    else
        (void)snprintf(line, sizeof(line), "%s%zu rows by %s%s%s%s   %s", screen->paused ? "PAUSED  " : "",
                       rows, top_sort_name(screen->view->sort), screen->view->reverse ? ", reversed" : "",
                       screen->view->filter[0] ? ", filter " : "", screen->view->filter, keys);
    put_line(LINES - 1, A_BOLD, line);
}

static void draw(Screen *screen)
{
    const MetricsSnapshot *snapshot = screen->report.snapshot;
    char header[TOP_HEADER_LINES][TOP_LINE_MAX];
    char line[TOP_LINE_MAX];
    size_t rows = top_view_rows(snapshot, screen->view, screen->order);
    size_t room = LINES > (int)TOP_HEADER_LINES + 3 ? (size_t)LINES - TOP_HEADER_LINES - 3 : 0;
    int y = 0;

    if (screen->first + room > rows)
        screen->first = rows > room ? rows - room : 0;
    erase();
    top_view_header(snapshot, &screen->report.latency, header);
    for (size_t i = 0; i < TOP_HEADER_LINES && y < LINES - 1; i++)
        put_line(y++, A_NORMAL, header[i]);
    y++;
    top_view_columns(screen->view, line);
    put_line(y++, A_REVERSE, line);
    for (size_t i = screen->first; i < rows && i < screen->first + room; i++) {
        top_view_row(snapshot, screen->view, screen->order[i], line);
        put_line(y++, A_NORMAL, line);
    }
    put_status(screen, rows);
    refresh();
}

static void type_filter(Screen *screen, int key)
{
    char *filter = screen->view->filter;
    size_t length = strlen(filter);

    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        screen->typing = false;
    } else if (key == ESCAPE) {
        filter[0] = '\0';
        screen->typing = false;
    } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
        if (length > 0)
            filter[length - 1] = '\0';
    } else if (key > 0 && key < 128 && isprint(key) && length + 1 < sizeof(screen->view->filter)) {
        filter[length] = (char)key;
        filter[length + 1] = '\0';
    }
}

/* False: quit. */
static bool obey(Screen *screen, int key)
{
    size_t page = LINES > 12 ? (size_t)LINES - 10 : 1;

    if (screen->typing) {
        type_filter(screen, key);
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case ' ':
        screen->paused = !screen->paused;
        break;
    case 's':
        screen->view->sort = (enum top_sort)((screen->view->sort + 1) % TOP_SORTS);
        break;
    case 'r':
        screen->view->reverse = !screen->view->reverse;
        break;
    case 'p':
        screen->view->processes = !screen->view->processes;
        screen->first = 0;
        break;
    case '/':
        screen->typing = true;
        break;
    case KEY_DOWN:
        screen->first++;
        break;
    case KEY_UP:
        screen->first -= screen->first > 0;
        break;
    case KEY_NPAGE:
        screen->first += page;
        break;
    case KEY_PPAGE:
        screen->first -= screen->first < page ? screen->first : page;
        break;
    case KEY_HOME:
        screen->first = 0;
        break;
    default:
        break;
    }
    return true;
}

/* Replaces the report by a newer one. */
static int renew(Screen *screen, const LiveSource *source)
{
    LiveReport report;
    size_t rows;
    size_t *order;
    int error = live_report_fetch(source, &report);

    if (error)
        return error;
    rows = report.snapshot->thread_count + report.snapshot->process_count;
    order = reallocarray(screen->order, rows + 1, sizeof(*order));
    if (!order) {
        live_report_fini(&report);
        return -ENOMEM;
    }
    screen->order = order;
    live_report_fini(&screen->report);
    screen->report = report;
    return 0;
}

static int follow(Screen *screen, const LiveSource *source, uint32_t interval_ms)
{
    uint64_t interval = interval_ms * 1000000ull;
    uint64_t next = ada_clock_monotonic_ns() + interval;
    int error = 0;

    while (!error) {
        uint64_t now;
        int key;

        draw(screen);
        now = ada_clock_monotonic_ns();
        timeout(next > now ? (int)((next - now) / 1000000) + 1 : 0);
        key = getch();
        if (key != ERR && !obey(screen, key))
            break;
        now = ada_clock_monotonic_ns();
        if (now < next)
            continue;
        next = now + interval;
        if (!screen->paused)
            error = renew(screen, source);
    }
    return error;
}

int top_screen_run(const LiveSource *source, TopView *view, uint32_t interval_ms)
{
    Screen screen = {.view = view};
    int error = renew(&screen, source);

    if (error)
        return error;
    (void)setlocale(LC_CTYPE, "");
    if (!initscr()) { /* it ends the program for most reasons, which it says */
        error = -ENOTTY;
        goto out;
    }
    (void)cbreak();
    (void)noecho();
    (void)keypad(stdscr, TRUE);
    set_escdelay(25);
    (void)curs_set(0);
    error = follow(&screen, source, interval_ms);
    (void)endwin();
out:
    live_report_fini(&screen.report);
    free(screen.order);
    return error;
}
