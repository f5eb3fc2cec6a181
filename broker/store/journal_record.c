/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal_record.h"

#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"

#define JOURNAL_VERSION 1u
#define SUM_POS         56u

static const uint8_t magic[4] = {'Z', 'S', 'P', 'J'};

uint64_t journal_record_bytes(uint64_t body_bytes)
{
    const uint64_t bytes = JOURNAL_HEADER_BYTES + body_bytes;
    return (bytes + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

uint64_t journal_body_bytes(const struct store_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += JOURNAL_ENTRY_BYTES + entries[i].key.len + entries[i].value.len;
    }
    return bytes;
}

void journal_write_body(struct zsp_writer *out, const struct store_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_entry *entry = &entries[i];
        zsp_write_u8(out, (uint8_t)entry->kind);
        zsp_write_u16(out, (uint16_t)entry->key.len);
        zsp_write_u32(out, (uint32_t)entry->value.len);
        zsp_write_bytes(out, entry->key);
        zsp_write_bytes(out, entry->value);
    }
}

static uint64_t record_sum(const uint8_t *header, struct zsp_slice body,
                           const struct journal_place *place)
{
    uint8_t bytes[STORE_UUID_BYTES + 16];
    memcpy(bytes, place->uuid, STORE_UUID_BYTES);
    zsp_put_u64(bytes + STORE_UUID_BYTES, place->file);
    zsp_put_u64(bytes + STORE_UUID_BYTES + 8, place->pos);
    const uint64_t binding = zsp_hash((struct zsp_slice){bytes, sizeof bytes});
    return zsp_hash_seeded(body, zsp_hash_seeded((struct zsp_slice){header, SUM_POS}, binding));
}

void journal_seal(uint8_t *record, const struct journal_header *header,
                  const struct journal_place *place)
{
    zsp_assert(header->entry_count > 0);
    memset(record, 0, JOURNAL_HEADER_BYTES);
    memcpy(record, magic, sizeof magic);
    record[4] = JOURNAL_VERSION;
    zsp_put_u32(record + 8, JOURNAL_HEADER_BYTES);
    zsp_put_u32(record + 12, header->body_bytes);
    zsp_put_u32(record + 16, header->entry_count);
    zsp_put_u64(record + 24, header->number);
    zsp_put_u64(record + 32, header->epoch);
    zsp_put_u64(record + 40, (uint64_t)header->broker_ms);
    zsp_put_u64(record + 48, header->synced_to);
    const struct zsp_slice body = {record + JOURNAL_HEADER_BYTES, header->body_bytes};
    zsp_put_u64(record + SUM_POS, record_sum(record, body, place));
}

int journal_decode(struct zsp_slice bytes, const struct journal_place *place,
                   struct journal_header *ret, struct zsp_slice *ret_body, struct zsp_err *err)
{
    const uint8_t *p = bytes.data;
    if (bytes.len < JOURNAL_HEADER_BYTES || memcmp(p, magic, sizeof magic) != 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": no record begins here", place->pos);
    }
    struct journal_header header = {
        .body_bytes = zsp_get_u32(p + 12),
        .entry_count = zsp_get_u32(p + 16),
        .number = zsp_get_u64(p + 24),
        .epoch = zsp_get_u64(p + 32),
        .broker_ms = (int64_t)zsp_get_u64(p + 40),
        .synced_to = zsp_get_u64(p + 48),
    };
    if (p[4] != JOURNAL_VERSION || zsp_get_u32(p + 8) != JOURNAL_HEADER_BYTES ||
        header.entry_count == 0 || header.body_bytes > ZSP_JOURNAL_RECORD_MAX) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "pos %" PRIu64 ": record of version %u, %" PRIu32 " bytes", place->pos,
                           p[4], header.body_bytes);
    }
    if (header.body_bytes > bytes.len - JOURNAL_HEADER_BYTES) {
        return zsp_err_set(err, ZSP_ECORRUPT, "pos %" PRIu64 ": record ends after the file",
                           place->pos);
    }
    const struct zsp_slice body = {p + JOURNAL_HEADER_BYTES, header.body_bytes};
    const uint64_t sum = record_sum(p, body, place);
    if (sum != zsp_get_u64(p + SUM_POS)) {
        return zsp_err_set(err, ZSP_ECORRUPT,
                           "pos %" PRIu64 ": record sum 0x%" PRIx64 " != 0x%" PRIx64, place->pos,
                           sum, zsp_get_u64(p + SUM_POS));
    }
    *ret = header;
    *ret_body = body;
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
