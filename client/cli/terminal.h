/* SPDX-License-Identifier: MPL-2.0
 *
 * What is different when a person looks on: colours, a progress line, figures
 * with units. All of it only on a terminal, and none of it on a dumb one;
 * NO_COLOR switches off the colours alone.
 */
#ifndef ZSP_CLI_TERMINAL_H
#define ZSP_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* --- Colours ------------------------------------------------------------------- */

enum terminal_style {
    TERMINAL_PLAIN, /* back to normal */
    TERMINAL_HEADING,
    TERMINAL_ALARM /* errors, and figures that should be 0 */
};

/* The bytes that switch `to` to a style; "" when it is no terminal for that. */
const char *terminal_style(FILE *to, enum terminal_style style);

/* --- Figures -------------------------------------------------------------------- */

/* Does a person read stdout? Then figures have units. */
bool terminal_is_out(void);

/* Every text fits in so many bytes. */
#define TERMINAL_FIGURE_SIZE 32

/* A size as people read it ("1.5 GiB"), or plain digits when stdout is no terminal. Returns `to`. */
const char *terminal_bytes(uint64_t bytes, char *to);
/* The same always, and for counts: "12.3k". */
const char *terminal_human_bytes(uint64_t bytes, char *to);
const char *terminal_human_count(double count, char *to);
/* Milliseconds in the largest unit that loses nothing: "90s", "7d". */
const char *terminal_human_ms(uint64_t ms, char *to);

/* --- Progress --------------------------------------------------------------------- */

/* The progress of one long piece of work: a line on stderr, redrawn a few times a second. */
struct progress {
    const char *what; /* "pub orders" */
    uint64_t whole;   /* how much there is to do, in any unit; 0 = not known */
    bool is_on;       /* a terminal looks on */
    int64_t begun_ms; /* monotonic */
    int64_t drawn_ms;
};

/* Nothing is drawn with --quiet, without a terminal, or when stdout is that terminal as well and
 * `prints` says that messages go there. */
struct progress progress_begin(const char *what, uint64_t whole, bool prints);
/* `done` of the whole, and messages up to now; cheap when it is not time to draw. */
void progress_show(struct progress *self, uint64_t done, uint64_t messages);
/* Take the line away. */
void progress_end(struct progress *self);
/* Take the line away for a message on stderr; it comes back with the next progress_show(). */
void progress_make_way(void);

#endif
