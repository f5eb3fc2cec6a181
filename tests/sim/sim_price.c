/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_price.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/prng.h"

#define PRICE_BIT     (1u << 31)
#define TOMBSTONE_BIT (1u << 30)
#define KEY_SHIFT     24
#define KEY_MASK      63u
#define FILLER_MAX    200

uint32_t price_number(uint32_t serial, uint32_t key, bool is_tombstone)
{
    return PRICE_BIT | (is_tombstone ? TOMBSTONE_BIT : 0) | key << KEY_SHIFT | serial;
}

bool price_is(uint32_t number)
{
    return (number & PRICE_BIT) != 0;
}

bool price_is_tombstone(uint32_t number)
{
    return (number & TOMBSTONE_BIT) != 0;
}

uint32_t price_key(uint32_t number)
{
    return number >> KEY_SHIFT & KEY_MASK;
}

void price_write(struct zsp_writer *out, uint32_t number)
{
    char key[16];
    char id[24];
    char payload[FILLER_MAX + 16];
    struct prng prng = {.state = number};
    const int filler = (int)prng_below(&prng, FILLER_MAX);
    const int len = snprintf(payload, sizeof payload, "%u%*s", (unsigned)number, filler, "");
    (void)snprintf(key, sizeof key, "share-%u", (unsigned)price_key(number));
    (void)snprintf(id, sizeof id, "p%u", (unsigned)number);
    const struct zsp_record record = {
        .payload = {(const uint8_t *)payload, price_is_tombstone(number) ? 0 : (size_t)len},
        .key = zsp_slice_str(key),
        .id = zsp_slice_str(id),
    };
    zsp_record_write(out, &record);
}

bool price_read(const struct zsp_record *record, uint32_t *ret_number)
{
    char id[24];
    if (record->id.len < 2 || record->id.len >= sizeof id || record->id.data[0] != 'p') {
        return false;
    }
    (void)snprintf(id, sizeof id, "%.*s", (int)record->id.len, (const char *)record->id.data);
    *ret_number = (uint32_t)strtoul(id + 1, NULL, 10);
    return price_is(*ret_number);
}
