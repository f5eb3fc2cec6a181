/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/terminal.h"

static bool grow(struct columns *self)
{
    const size_t capacity = self->capacity == 0 ? 64 : 2 * self->capacity;
    char **cells = realloc(self->cells, capacity * sizeof *cells);
    if (!cells) {
        return false;
    }
    self->cells = cells;
    bool *alarms = realloc(self->alarms, capacity * sizeof *alarms);
    if (!alarms) {
        return false;
    }
    self->alarms = alarms;
    self->capacity = capacity;
    return true;
}

static void add(struct columns *self, const char *text, size_t len, bool alarm)
{
    char *cell = NULL;
    if (self->count < self->capacity || grow(self)) {
        cell = malloc(len + 1);
    }
    if (!cell) {
        self->no_memory = true;
        return;
    }
    memcpy(cell, text, len);
    cell[len] = '\0';
    self->cells[self->count] = cell;
    self->alarms[self->count] = alarm;
    self->count++;
}

void columns_init(struct columns *self, const char *headings)
{
    *self = (struct columns){0};
    while (*headings && self->width < COLUMNS_MAX) {
        const bool is_text = *headings == '<';
        headings += is_text;
        const size_t len = strcspn(headings, " ");
        self->texts[self->width++] = is_text;
        add(self, headings, len, false);
        headings += len;
        headings += *headings == ' ';
    }
}

void columns_text(struct columns *self, const char *text)
{
    add(self, text, strlen(text), false);
}

void columns_count(struct columns *self, uint64_t count)
{
    char text[TERMINAL_FIGURE_SIZE];
    (void)snprintf(text, sizeof text, "%" PRIu64, count);
    add(self, text, strlen(text), false);
}

void columns_alarm(struct columns *self, uint64_t count)
{
    char text[TERMINAL_FIGURE_SIZE];
    (void)snprintf(text, sizeof text, "%" PRIu64, count);
    add(self, text, strlen(text), count > 0);
}

void columns_bytes(struct columns *self, uint64_t bytes)
{
    char text[TERMINAL_FIGURE_SIZE];
    columns_text(self, terminal_bytes(bytes, text));
}

static void measure(const struct columns *self, size_t *widths)
{
    for (size_t i = 0; i < self->count; i++) {
        const size_t len = strlen(self->cells[i]);
        if (len > widths[i % self->width]) {
            widths[i % self->width] = len;
        }
    }
}

static void print_cell(const struct columns *self, size_t index, size_t width)
{
    const size_t column = index % self->width;
    const bool is_last = column + 1 == self->width;
    const char *style = index < self->width   ? terminal_style(stdout, TERMINAL_HEADING)
                        : self->alarms[index] ? terminal_style(stdout, TERMINAL_ALARM)
                                              : "";
    const int pad = (int)(width - strlen(self->cells[index]));
    printf("%*s%s%s%s%*s%s", self->texts[column] ? 0 : pad, "", style, self->cells[index],
           *style ? terminal_style(stdout, TERMINAL_PLAIN) : "",
           self->texts[column] && !is_last ? pad : 0, "", is_last ? "\n" : "  ");
}

bool columns_print(const struct columns *self)
{
    size_t widths[COLUMNS_MAX] = {0};
    if (self->no_memory) {
        cli_say("no memory for a table");
        return false;
    }
    measure(self, widths);
    for (size_t i = 0; i < self->count; i++) {
        print_cell(self, i, widths[i % self->width]);
    }
    return true;
}

void columns_fini(struct columns *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->cells[i]);
    }
    free(self->cells);
    free(self->alarms);
    *self = (struct columns){0};
}
