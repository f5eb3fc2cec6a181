/* SPDX-License-Identifier: MPL-2.0
 *
 * The text notation of docs/PROTOCOL.md (what wire_print() writes) back into
 * MessagePack, with the writing functions of wire.h.
 */
#ifndef ZSP_TESTS_NOTATION_H
#define ZSP_TESTS_NOTATION_H

#include "common/bytes.h"

/* Append the one value that `text` spells; ends the test when it spells none. */
void notation_write(struct zsp_writer *out, struct zsp_slice text);

#endif
