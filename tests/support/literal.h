/* SPDX-License-Identifier: MPL-2.0
 *
 * MessagePack from text, so that a test shows what it sends:
 *
 *     {'topic': 'orders', 'wait_ms': 5000, 'runs': [['orders', 0, 7, 1, null]]}
 *
 * Strings in single quotes, b'...' for binary, whole numbers (also negative),
 * true, false, null, arrays, maps. No escapes.
 */
#ifndef ZSP_TESTS_LITERAL_H
#define ZSP_TESTS_LITERAL_H

#include "common/bytes.h"

/* Append the encoding of `text`; ends the test when it is no literal. */
void literal_write(struct zsp_writer *out, const char *text);

#endif
