/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/journal_record.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"

#define JOURNAL_VERSION  2u
#define BODY_SUM_POS     56u
#define HEADER_SUM_POS   64u
#define HEADER_BYTES_OLD 64u /* of version 1, */
#define SUM_POS_OLD      56u /* and its only sum */

static const uint8_t magic[4] = {'Z', 'S', 'P', 'J'};

static uint32_t header_bytes(uint32_t version)
{
    return version == 1 ? HEADER_BYTES_OLD : JOURNAL_HEADER_BYTES;
}

uint64_t journal_record_bytes(const struct journal_header *header)
{
    const uint64_t bytes =
        (uint64_t)header_bytes(header->version) + header->body_bytes + header->data_bytes;
    return (bytes + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

struct journal_header journal_read_header(const uint8_t *record)
{
    return (struct journal_header){
        .version = record[4],
        .body_bytes = zsp_get_u32(record + 12),
        .entry_count = zsp_get_u32(record + 16),
        .data_bytes = zsp_get_u32(record + 20),
        .number = zsp_get_u64(record + 24),
        .epoch = zsp_get_u64(record + 32),
        .broker_ms = (int64_t)zsp_get_u64(record + 40),
        .synced_to = zsp_get_u64(record + 48),
    };
}

/* --- Writing ---------------------------------------------------------------------------- */

void journal_put_redo(uint8_t *value, size_t value_bytes, uint64_t segment, uint64_t pos)
{
    zsp_assert(value_bytes > JOURNAL_REDO_BYTES);
    const struct zsp_slice data = {value + JOURNAL_REDO_BYTES, value_bytes - JOURNAL_REDO_BYTES};
    zsp_put_u64(value, segment);
    zsp_put_u64(value + 8, pos);
    zsp_put_u32(value + 16, (uint32_t)data.len);
    zsp_put_u64(value + 20, zsp_hash(data));
}

/* What of the value stands in the body. */
static struct zsp_slice body_value(const struct store_entry *entry)
{
    struct zsp_slice value = entry->value;
    if (entry->kind == STORE_REDO) {
        zsp_assert(value.len > JOURNAL_REDO_BYTES);
        value.len = JOURNAL_REDO_BYTES;
    }
    return value;
}

uint64_t journal_body_bytes(const struct store_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += JOURNAL_ENTRY_BYTES + entries[i].key.len + body_value(&entries[i]).len;
    }
    return bytes;
}

uint64_t journal_data_bytes(const struct store_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += entries[i].value.len - body_value(&entries[i]).len;
    }
    return bytes;
}

void journal_write_entries(struct zsp_writer *out, const struct store_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_entry *entry = &entries[i];
        const struct zsp_slice value = body_value(entry);
        zsp_write_u8(out, (uint8_t)entry->kind);
        zsp_write_u16(out, (uint16_t)entry->key.len);
        zsp_write_u32(out, (uint32_t)value.len);
        zsp_write_bytes(out, entry->key);
        zsp_write_bytes(out, value);
    }
    for (size_t i = 0; i < count; i++) {
        const struct zsp_slice value = entries[i].value;
        const size_t skip = body_value(&entries[i]).len;
        if (value.len > skip) {
            zsp_write_bytes(out, (struct zsp_slice){value.data + skip, value.len - skip});
        }
    }
}

static uint64_t binding(const struct journal_place *place)
{
    uint8_t bytes[STORE_UUID_BYTES + 16];
    memcpy(bytes, place->uuid, STORE_UUID_BYTES);
    zsp_put_u64(bytes + STORE_UUID_BYTES, place->file);
    zsp_put_u64(bytes + STORE_UUID_BYTES + 8, place->pos);
    return zsp_hash((struct zsp_slice){bytes, sizeof bytes});
}

static uint64_t header_sum(const uint8_t *header, const struct journal_place *place)
{
    return zsp_hash_seeded((struct zsp_slice){header, HEADER_SUM_POS}, binding(place));
}

void journal_put_header(uint8_t *record, const struct journal_header *header)
{
    zsp_assert(header->entry_count > 0);
    memset(record, 0, JOURNAL_HEADER_BYTES);
    memcpy(record, magic, sizeof magic);
    record[4] = JOURNAL_VERSION;
    zsp_put_u32(record + 8, JOURNAL_HEADER_BYTES);
    zsp_put_u32(record + 12, header->body_bytes);
    zsp_put_u32(record + 16, header->entry_count);
    zsp_put_u32(record + 20, header->data_bytes);
    zsp_put_u64(record + 24, header->number);
    zsp_put_u64(record + 32, header->epoch);
    zsp_put_u64(record + 40, (uint64_t)header->broker_ms);
    zsp_put_u64(record + 48, header->synced_to);
}

void journal_seal(uint8_t *record, const struct journal_header *header,
                  const struct journal_place *place)
{
    const struct zsp_slice body = {record + JOURNAL_HEADER_BYTES, header->body_bytes};
    journal_put_header(record, header);
    zsp_put_u64(record + BODY_SUM_POS, zsp_hash(body));
    zsp_put_u64(record + HEADER_SUM_POS, header_sum(record, place));
}

/* --- Reading ---------------------------------------------------------------------------- */

static int bad_sum(struct zsp_err *err, const struct journal_place *place, const char *what,
                   uint64_t sum, uint64_t wanted)
{
    return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": %s sum 0x%" PRIx64 " != 0x%" PRIx64,
                       place->pos, what, sum, wanted);
}

static bool fields_hold(const uint8_t *p, const struct journal_header *header)
{
    return (header->version == 1 || header->version == JOURNAL_VERSION) &&
           zsp_get_u32(p + 8) == header_bytes(header->version) && header->entry_count > 0 &&
           header->body_bytes <= ZSP_JOURNAL_RECORD_MAX &&
           header->data_bytes <= (header->version == 1 ? 0 : ZSP_JOURNAL_RECORD_MAX);
}

int journal_decode_header(struct zsp_slice bytes, const struct journal_place *place,
                          struct journal_header *ret, struct zsp_err *err)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < HEADER_BYTES_OLD || memcmp(p, magic, sizeof magic) != 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": no record begins here", place->pos);
    }
    const struct journal_header header = journal_read_header(p);
    if (!fields_hold(p, &header)) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "pos %" PRIu64 ": record of version %" PRIu32 ", %" PRIu32 " bytes",
                           place->pos, header.version, header.body_bytes);
    }
    if (bytes.len < header_bytes(header.version)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": record ends after the file",
                           place->pos);
    }
    if (header.version > 1) {
        const uint64_t sum = header_sum(p, place);
        if (sum != zsp_get_u64(p + HEADER_SUM_POS)) {
            return bad_sum(err, place, "header", sum, zsp_get_u64(p + HEADER_SUM_POS));
        }
    }
    *ret = header;
    return 0;
}

static int check_body(const uint8_t *record, uint32_t version, struct zsp_slice body,
                      const struct journal_place *place, struct zsp_err *err)
{
    uint64_t sum;
    uint64_t wanted;
    if (version == 1) {
        const struct zsp_slice header = {record, SUM_POS_OLD};
        sum = zsp_hash_seeded(body, zsp_hash_seeded(header, binding(place)));
        wanted = zsp_get_u64(record + SUM_POS_OLD);
    } else {
        sum = zsp_hash(body);
        wanted = zsp_get_u64(record + BODY_SUM_POS);
    }
    return sum == wanted ? 0 : bad_sum(err, place, "record", sum, wanted);
}

int journal_decode(struct zsp_slice bytes, const struct journal_place *place,
                   struct journal_header *ret, struct journal_parts *ret_parts, struct zsp_err *err)
{
    struct journal_header header = {0};
    int rc = journal_decode_header(bytes, place, &header, err);
    if (rc < 0) {
        return rc;
    }
    const size_t before = header_bytes(header.version);
    if ((uint64_t)header.body_bytes + header.data_bytes > bytes.len - before) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": record ends after the file",
                           place->pos);
    }
    const struct zsp_slice body = {bytes.data + before, header.body_bytes};
    rc = check_body(bytes.data, header.version, body, place, err);
    if (rc < 0) {
        return rc;
    }
    *ret = header;
    *ret_parts = (struct journal_parts){body, {body.data + body.len, header.data_bytes}};
    return 0;
}

bool journal_next_entry(struct zsp_reader *body, struct store_entry *ret)
{
    if (body->failed || zsp_reader_left(body) == 0) {
        return false;
    }
    const uint8_t kind = zsp_read_u8(body);
    const size_t key_bytes = zsp_read_u16(body);
    const size_t value_bytes = zsp_read_u32(body);
    ret->key = zsp_read_bytes(body, key_bytes);
    ret->value = zsp_read_bytes(body, value_bytes);
    if (kind > STORE_REDO || key_bytes == 0) {
        body->failed = true;
    }
    ret->kind = (enum store_entry_kind)kind;
    return !body->failed;
}

bool journal_read_redo(struct zsp_slice value, struct zsp_reader *data, struct journal_redo *ret,
                       struct zsp_slice *ret_data)
{
    if (value.len != JOURNAL_REDO_BYTES) {
        return false;
    }
    *ret = (struct journal_redo){
        .segment = zsp_get_u64(value.data),
        .pos = zsp_get_u64(value.data + 8),
        .bytes = zsp_get_u32(value.data + 16),
        .sum = zsp_get_u64(value.data + 20),
    };
    *ret_data = zsp_read_bytes(data, ret->bytes);
    return !data->failed && ret->bytes > 0 && ret->pos <= INT64_MAX;
}

bool journal_redo_valid(const struct journal_redo *redo, struct zsp_slice data)
{
    return zsp_hash(data) == redo->sum;
}
