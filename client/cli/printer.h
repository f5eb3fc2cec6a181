/* SPDX-License-Identifier: MPL-2.0
 *
 * How messages leave the command: payloads, lines of JSON, or by a format. They
 * are gathered in memory and written in bursts, so that it is known of each whether
 * all of it has left, whatever becomes of the reader at the other end.
 */
#ifndef ZSP_CLI_PRINTER_H
#define ZSP_CLI_PRINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <zspool.h>

#define PRINTER_BURST 64u /* messages between two flushes */

struct printer;

/* By the text of --format, which may be NULL; without it the payload and a newline, or JSON with
 * --json. NULL = what was wrong was told, and *ret_exit is the exit code for it: CLI_USAGE when it
 * was the format. */
struct cli_verb;
struct printer *printer_new(const struct cli_verb *verb, const char *format, int *ret_exit);
void printer_destroy(struct printer **self_p);

/* Print one message; the burst must not be full. */
void printer_put(struct printer *self, const zspool_message_t *message);
/* Is it time to flush? */
bool printer_is_full(const struct printer *self);
/* Write what was put since the last flush. Returns how many of these messages have left with all
 * their bytes, from the first on; fewer than were put when nobody reads the output any more, or it
 * cannot be written, or there is no memory. All but the first of these is told. */
size_t printer_flush(struct printer *self);

#endif
