/* SPDX-License-Identifier: MPL-2.0
 *
 * A table for people, on stdout: headings, then rows, each column as wide as it
 * must be; texts to the left, figures to the right. Pipes get the same without
 * colours and units, so that awk can read it.
 */
#ifndef ZSP_CLI_COLUMNS_H
#define ZSP_CLI_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COLUMNS_MAX 16u

struct columns {
    size_t width;            /* columns */
    bool texts[COLUMNS_MAX]; /* those aligned to the left */
    char **cells;            /* row after row, the headings first */
    bool *alarms;            /* cells to be shown in the colour of alarm */
    size_t count, capacity;
    bool no_memory;
};

/* `headings`: names divided by single spaces; one that begins with < is for texts. */
void columns_init(struct columns *self, const char *headings);

/* The next cell, from left to right, row after row. */
void columns_text(struct columns *self, const char *text);
void columns_count(struct columns *self, uint64_t count);
void columns_bytes(struct columns *self, uint64_t bytes);
/* A count that should be 0. */
void columns_alarm(struct columns *self, uint64_t count);

/* Print all of it. False = there was no memory, which is told. */
bool columns_print(const struct columns *self);
void columns_fini(struct columns *self);

#endif
