/* SPDX-License-Identifier: MPL-2.0
 *
 * Messages of the topic `prices`, which is compacted (sim_compact.c): all that one of them is is in its
 * number, so that they are messages as those of sim_message.h are.
 *
 *    31  1   it is one of these
 *    30  1   it is a tombstone: no payload
 *    24  6   its key
 *     0  24  a serial number
 */
#ifndef ZSP_SIM_PRICE_H
#define ZSP_SIM_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/record.h"

#define PRICE_KEYS 24u

uint32_t price_number(uint32_t serial, uint32_t key, bool is_tombstone);
bool price_is(uint32_t number);
bool price_is_tombstone(uint32_t number);
uint32_t price_key(uint32_t number);

/* Append its encoded record. */
void price_write(struct zsp_writer *out, uint32_t number);
/* The number that the record says that it has; false = it is none of these. */
bool price_read(const struct zsp_record *record, uint32_t *ret_number);

#endif
