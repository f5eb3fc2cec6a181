/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages of the simulator: a number, and bytes that follow from it, so that
 * whoever meets a message anywhere can tell which it is and whether a byte of
 * it has changed.
 */
#ifndef ZSP_SIM_MESSAGE_H
#define ZSP_SIM_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

#define SIM_KEYS 9

/* The id that message `number` has. */
struct zsp_slice message_id(uint32_t number, char text[24]);
/* Append the encoded record of message `number`. */
void message_write(struct zsp_writer *out, uint32_t number);
/* The number of a record's message. False: no message of ours, byte for byte. */
bool message_read(struct zsp_slice record, uint32_t *ret_number);
/* Does the filter of the simulator's groups want it? */
#define MESSAGE_FILTER "not (type = \"order.placed\" or key in (\"key-3\", \"\"))"
bool message_is_wanted(uint32_t number);
/* Which of the keys it has; < 0 = none. */
int message_key(uint32_t number);
/* The partition that its key leads to; false = it has no key. */
bool message_partition(uint32_t number, uint32_t partition_count, uint32_t *ret);

#endif
