/* SPDX-License-Identifier: MPL-2.0
 *
 * --format: how a message is printed, as in kcat.
 *
 *   %t topic      %k key, %K its length (-1 = none)     %h headers, "a=1,b=2"
 *   %p partition  %s payload, %S its length             %d deliveries, %f failures
 *   %o offset     %T timestamp, ms since 1970           %l lease
 *   %i id         %y type                               %% a percent sign
 *
 * Everything else stands for itself, with the escapes \n \t \r \0 \\ \xNN. Absent
 * parts print nothing.
 */
#ifndef ZSP_CLI_FORMAT_H
#define ZSP_CLI_FORMAT_H

#include <stdio.h>
#include <zspool.h>

struct format;

/* Read a format. NULL: it is wrong, or there is no memory; `why` (size bytes) says what and at which
 * byte of the text, the first being 1. */
struct format *format_new(const char *text, char *why, size_t size);
void format_destroy(struct format **self_p);

/* Print one message; the stream keeps errors. */
void format_write(const struct format *self, const zspool_message_t *message, FILE *to);

#endif
