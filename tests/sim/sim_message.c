/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"
#include "common/record.h"
#include "tests/sim/sim_price.h"
#include "tests/support/prng.h"

#define PAYLOAD_MAX 3000

int message_key(uint32_t number)
{
    struct prng prng = {.state = number};
    return number % 2 == 0 ? -1 : (int)prng_below(&prng, SIM_KEYS);
}

/* Its key: none for every second message, an empty one now and then. */
static struct zsp_slice key_of(uint32_t number, char text[16])
{
    const int key = message_key(number);
    if (key < 0) {
        return (struct zsp_slice){0};
    }
    const int len = key == 0 ? 0 : snprintf(text, 16, "key-%d", key);
    return (struct zsp_slice){.data = (const uint8_t *)text, .len = (size_t)len};
}

struct zsp_slice message_id(uint32_t number, char text[24])
{
    (void)snprintf(text, 24, "i%u", (unsigned)number);
    return zsp_slice_str(text);
}

void message_write(struct zsp_writer *out, uint32_t number)
{
    if (price_is(number)) {
        price_write(out, number);
        return;
    }
    struct prng prng = {.state = ~(uint64_t)number};
    static const char filler[] = "the quick brown fox jumps over the lazy dog. ";
    uint8_t payload[PAYLOAD_MAX];
    size_t len =
        prng_below(&prng, 10) == 0 ? prng_below(&prng, PAYLOAD_MAX) : 12 + prng_below(&prng, 200);
    len = len < 12 ? 12 : len;
    for (size_t i = 0; i < len; i++) {
        payload[i] = (uint8_t)filler[(i + number) % (sizeof filler - 1)];
    }
    (void)snprintf((char *)payload, 12, "m%010u", (unsigned)number);
    char key[16];
    char id[24];
    struct zsp_record record = {
        .payload = {payload, len}, .key = key_of(number, key), .id = message_id(number, id)};
    if (number % 5 == 0) {
        record.type = zsp_slice_str("order.placed");
    }
    if (number % 7 == 0) {
        record.has_created_at = true;
        record.created_at_ms = 1600000000000u + number;
    }
    zsp_record_write(out, &record);
}

/* Is it the original with headers of its own? */
static bool is_copy(struct zsp_slice original, const struct zsp_record *record)
{
    struct zsp_record wanted;
    return record->headers.data && zsp_record_decode(original, &wanted, NULL) == 0 &&
           zsp_slice_equal(record->payload, wanted.payload) &&
           zsp_slice_equal(record->key, wanted.key) && zsp_slice_equal(record->type, wanted.type) &&
           record->has_created_at == wanted.has_created_at &&
           record->created_at_ms == wanted.created_at_ms;
}

static bool read_number(const struct zsp_record *record, uint32_t *ret)
{
    const struct zsp_slice payload = record->payload;
    if (payload.len < 12 || payload.data[0] != 'm' || payload.data[11] != '\0') {
        return false;
    }
    char *end = NULL;
    const unsigned long number =
        strtoul((const char *)payload.data + 1, &end, 10); /* ends at the NUL */
    if (*end != '\0' || number > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)number;
    return true;
}

bool message_read(struct zsp_slice record, uint32_t *ret_number)
{
    struct zsp_record decoded;
    uint32_t number = 0;
    if (zsp_record_decode(record, &decoded, NULL) < 0 ||
        (!price_read(&decoded, &number) && !read_number(&decoded, &number))) {
        return false;
    }
    struct zsp_writer wanted = {0};
    message_write(&wanted, number);
    zsp_assert(!wanted.failed);
    const bool same = zsp_slice_equal(zsp_writer_slice(&wanted), record) ||
                      is_copy(zsp_writer_slice(&wanted), &decoded);
    zsp_writer_fini(&wanted);
    *ret_number = number;
    return same;
}

bool message_is_wanted(uint32_t number)
{
    char text[16];
    const struct zsp_slice key = key_of(number, text);
    return number % 5 != 0 && (!key.data || (key.len > 0 && !zsp_slice_equal_str(key, "key-3")));
}

bool message_partition(uint32_t number, uint32_t partition_count, uint32_t *ret)
{
    char text[16];
    const struct zsp_slice key = key_of(number, text);
    if (!key.data) {
        return false;
    }
    *ret = (uint32_t)(zsp_hash(key) % partition_count);
    return true;
}
