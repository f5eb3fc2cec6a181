/* SPDX-License-Identifier: MPL-2.0
 *
 * Sizes and times as people write them: a whole number with a unit that is
 * never left out. Sizes: B KiB MiB GiB TiB. Times: ms s m h d.
 */
#ifndef ZSP_SERVER_QUANTITY_H
#define ZSP_SERVER_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define QUANTITY_TEXT_MAX 32u /* room for any printed quantity and its NUL */

/* Errors of all three: ZSP_EBAD_VALUE, with what was expected. Nothing is written then. */
int quantity_parse_bytes(const char *text, uint64_t *ret_bytes, struct zsp_err *err);
int quantity_parse_ms(const char *text, uint64_t *ret_ms, struct zsp_err *err);
/* A whole decimal number without a unit. */
int quantity_parse_count(const char *text, uint64_t *ret_count, struct zsp_err *err);

/* The shortest exact form ("64MiB", "90s"), which parses back to the same number. */
void quantity_print_bytes(char ret_text[QUANTITY_TEXT_MAX], uint64_t bytes);
void quantity_print_ms(char ret_text[QUANTITY_TEXT_MAX], uint64_t ms);

#endif
