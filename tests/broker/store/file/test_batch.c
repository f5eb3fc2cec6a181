/* SPDX-License-Identifier: MPL-2.0
 *
 * The bytes of a stored batch and of a journal record: round trips, golden
 * vectors, and that no flipped bit and no other place passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/file/batch.h"
#include "broker/store/journal/journal_record.h"
#include "common/hash.h"

static const uint8_t uuid[STORE_UUID_BYTES] = {0, 1, 2,  3,  4,  5,  6,  7,
                                               8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t body[] = "\x91\xc4\x05hello";
#define BODY_BYTES (sizeof body - 1)

static struct batch_place batch_place(void)
{
    return (struct batch_place){uuid, 7, 3, 2, 4096, 0};
}

static struct batch_header batch_header(void)
{
    const struct zsp_slice bytes = {body, BODY_BYTES};
    return (struct batch_header){.batch = {.body = bytes,
                                           .first_offset = 1000,
                                           .record_count = 1,
                                           .timestamp_ms = 1700000000000,
                                           .raw_bytes = 77,
                                           .codec = 1,
                                           .priority = 4,
                                           .not_before_ms = 1700000000001,
                                           .expires_at_ms = 1700000000002,
                                           .producer_id = 42,
                                           .producer_epoch = 5,
                                           .sequence = 17},
                                 .synced_to = 990,
                                 .epoch = (uint64_t)6 << 32 | 1,
                                 .body_sum = zsp_hash(bytes)};
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char text[1024] = "";
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    assert_string_equal(text, hex);
}

static void a_batch_header_has_these_bytes(void **state)
{
    (void)state;
    const struct batch_header header = batch_header();
    const struct batch_place place = batch_place();
    uint8_t bytes[BATCH_HEADER_BYTES];
    batch_encode(bytes, &header, &place);
    assert_hex(bytes, sizeof bytes,
               "5a535042010104007000000008000000010000004d000000e803000000000000"
               "0068e5cf8b0100002a0000000000000005000000000000001100000000000000"
               "0168e5cf8b0100000268e5cf8b010000de030000000000000100000006000000"
               "d02ca2bbf8b7f58d98b24d06751b6997");
}

static void a_batch_header_comes_back_as_it_went(void **state)
{
    (void)state;
    struct batch_header header = batch_header();
    const struct batch_place place = batch_place();
    uint8_t bytes[BATCH_HEADER_BYTES];
    batch_encode(bytes, &header, &place);
    struct batch_header back;
    assert_int_equal(batch_decode(bytes, &place, &back, NULL), 0);
    assert_true(batch_body_valid(&back, header.batch.body));
    back.batch.body.data = header.batch.body.data;
    assert_int_equal(back.batch.body.len, header.batch.body.len);
    assert_int_equal(back.batch.first_offset, header.batch.first_offset);
    assert_int_equal(back.batch.record_count, header.batch.record_count);
    assert_int_equal(back.batch.timestamp_ms, header.batch.timestamp_ms);
    assert_int_equal(back.batch.raw_bytes, header.batch.raw_bytes);
    assert_int_equal(back.batch.codec, header.batch.codec);
    assert_int_equal(back.batch.priority, header.batch.priority);
    assert_int_equal(back.batch.not_before_ms, header.batch.not_before_ms);
    assert_int_equal(back.batch.expires_at_ms, header.batch.expires_at_ms);
    assert_int_equal(back.batch.producer_id, header.batch.producer_id);
    assert_int_equal(back.batch.producer_epoch, header.batch.producer_epoch);
    assert_int_equal(back.batch.sequence, header.batch.sequence);
    assert_int_equal(back.synced_to, header.synced_to);
    assert_int_equal(back.epoch, header.epoch);
    assert_int_equal(back.body_sum, header.body_sum);
}

static void no_flipped_bit_of_a_batch_passes(void **state)
{
    (void)state;
    const struct batch_header header = batch_header();
    const struct batch_place place = batch_place();
    uint8_t bytes[BATCH_HEADER_BYTES];
    batch_encode(bytes, &header, &place);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct batch_header back;
        struct zsp_err err = {0};
        assert_int_equal(batch_decode(bytes, &place, &back, &err), ZSP_ECORRUPT);
        assert_non_null(strstr(err.msg, "pos 4096"));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint8_t changed[BODY_BYTES];
    for (size_t bit = 0; bit < 8 * BODY_BYTES; bit++) {
        memcpy(changed, body, BODY_BYTES);
        changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(batch_body_valid(&header, (struct zsp_slice){changed, BODY_BYTES}));
    }
}

static void a_batch_is_valid_only_where_it_was_written(void **state)
{
    (void)state;
    const struct batch_header header = batch_header();
    const struct batch_place place = batch_place();
    const uint8_t other_uuid[STORE_UUID_BYTES] = {1};
    uint8_t bytes[BATCH_HEADER_BYTES];
    batch_encode(bytes, &header, &place);
    struct batch_place others[] = {place, place, place, place, place, place};
    others[0].uuid = other_uuid;
    others[1].topic_id++;
    others[2].partition++;
    others[3].segment++;
    others[4].pos += 8;
    others[5].generation = 1;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct batch_header back;
        assert_int_equal(batch_decode(bytes, &others[i], &back, NULL), ZSP_ECORRUPT);
    }
}

static void stored_batches_are_multiples_of_eight(void **state)
{
    (void)state;
    assert_int_equal(batch_bytes(1), 120);
    assert_int_equal(batch_bytes(8), 120);
    assert_int_equal(batch_bytes(9), 128);
}

/* --- Journal records ------------------------------------------------------------------------ */

#define RECORD_MAX 256

static size_t make_record(uint8_t out[RECORD_MAX], const struct journal_place *place)
{
    const struct store_entry entries[] = {
        {zsp_slice_str("group/7"), STORE_IMAGE, zsp_slice_str("state")},
        {zsp_slice_str("t"), STORE_DELTA, zsp_slice_str("+")},
        {zsp_slice_str("old"), STORE_GONE, {(const uint8_t *)"", 0}}};
    struct zsp_writer writer = {0};
    journal_write_entries(&writer, entries, 3);
    const struct zsp_slice bytes = zsp_writer_slice(&writer);
    assert_int_equal(bytes.len, journal_body_bytes(entries, 3));
    memset(out, 0, RECORD_MAX);
    memcpy(out + JOURNAL_HEADER_BYTES, bytes.data, bytes.len);
    const struct journal_header header = {.body_bytes = (uint32_t)bytes.len,
                                          .entry_count = 3,
                                          .number = 99,
                                          .epoch = (uint64_t)6 << 32,
                                          .broker_ms = 123456,
                                          .synced_to = 90};
    journal_seal(out, &header, place);
    zsp_writer_fini(&writer);
    return (size_t)journal_record_bytes(&header);
}

static void a_journal_record_has_these_bytes(void **state)
{
    (void)state;
    const struct journal_place place = {uuid, 3, 512};
    uint8_t record[RECORD_MAX];
    const size_t len = make_record(record, &place);
    assert_hex(record, len,
               "5a53504a02000000480000002600000003000000000000006300000000000000"
               "000000000600000040e20100000000005a00000000000000757f2a7d9820fd5c"
               "49d5b380b3e61adb0007000500000067726f75702f3773746174650101000100"
               "0000742b020300000000006f6c640000");
}

/* As version 1 wrote it: it is read for good. */
static void a_journal_record_of_version_1_is_read(void **state)
{
    (void)state;
    static const uint8_t record[] = {
        0x5a, 0x53, 0x50, 0x4a, 0x01, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x26, 0x00, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x63, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x40, 0xe2, 0x01, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x5a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x61, 0xb7, 0x50, 0x25,
        0xce, 0x09, 0xb6, 0x43, 0x00, 0x07, 0x00, 0x05, 0x00, 0x00, 0x00, 0x67, 0x72, 0x6f, 0x75,
        0x70, 0x2f, 0x37, 0x73, 0x74, 0x61, 0x74, 0x65, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00,
        0x74, 0x2b, 0x02, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6f, 0x6c, 0x64, 0x00, 0x00};
    const struct journal_place place = {uuid, 3, 512};
    const struct zsp_slice bytes = {record, sizeof record};
    struct journal_header header;
    struct journal_parts parts;
    assert_int_equal(journal_decode(bytes, &place, &header, &parts, NULL), 0);
    assert_int_equal(header.number, 99);
    assert_int_equal(header.synced_to, 90);
    assert_int_equal(journal_record_bytes(&header), sizeof record);
    assert_int_equal(parts.body.len, 0x26);
    assert_int_equal(parts.data.len, 0);
    uint8_t copy[sizeof record];
    for (size_t bit = 0; bit < 8 * (JOURNAL_HEADER_BYTES - 8 + parts.body.len); bit++) {
        memcpy(copy, record, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const struct zsp_slice flipped = {copy, sizeof copy};
        assert_int_equal(journal_decode(flipped, &place, &header, &parts, NULL), ZSP_ECORRUPT);
    }
}

/* A redo entry's value is in the body, its data behind. */
static void the_data_of_a_redo_entry_has_a_sum_of_its_own(void **state)
{
    (void)state;
    uint8_t value[JOURNAL_REDO_BYTES + 5];
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, not a text */
    memcpy(value + JOURNAL_REDO_BYTES, "batch", 5);
    journal_put_redo(value, sizeof value, 3, 512);
    const struct store_entry entry = {zsp_slice_str("k"), STORE_REDO, {value, sizeof value}};
    struct zsp_writer writer = {0};
    assert_non_null(zsp_write_room(&writer, JOURNAL_HEADER_BYTES));
    journal_write_entries(&writer, &entry, 1);
    const struct journal_header header = {.body_bytes = (uint32_t)journal_body_bytes(&entry, 1),
                                          .data_bytes = (uint32_t)journal_data_bytes(&entry, 1),
                                          .entry_count = 1};
    const struct journal_place place = {uuid, 3, 512};
    journal_seal(writer.data, &header, &place);
    assert_int_equal(header.data_bytes, 5);
    for (int damage = 0; damage < 2; damage++) {
        struct journal_header read;
        struct journal_parts parts;
        struct store_entry back;
        struct journal_redo redo;
        struct zsp_slice bytes;
        assert_int_equal(journal_decode(zsp_writer_slice(&writer), &place, &read, &parts, NULL), 0);
        struct zsp_reader reader = zsp_reader_init(parts.body);
        struct zsp_reader data = zsp_reader_init(parts.data);
        assert_true(journal_next_entry(&reader, &back));
        assert_int_equal(back.value.len, JOURNAL_REDO_BYTES);
        assert_true(journal_read_redo(back.value, &data, &redo, &bytes));
        assert_int_equal(redo.segment, 3);
        assert_int_equal(redo.pos, 512);
        assert_int_equal(bytes.len, 5);
        assert_true(journal_redo_valid(&redo, bytes) == (damage == 0));
        assert_false(journal_read_redo(back.value, &data, &redo, &bytes)); /* no data is left */
        writer.data[writer.len - 1] ^= 4;
    }
    zsp_writer_fini(&writer);
}

static void a_journal_record_comes_back_as_it_went(void **state)
{
    (void)state;
    const struct journal_place place = {uuid, 3, 512};
    uint8_t record[RECORD_MAX];
    const size_t len = make_record(record, &place);
    struct journal_header header;
    struct journal_parts parts;
    assert_int_equal(journal_decode((struct zsp_slice){record, len}, &place, &header, &parts, NULL),
                     0);
    assert_int_equal(header.number, 99);
    assert_int_equal(header.epoch, (uint64_t)6 << 32);
    assert_int_equal(header.broker_ms, 123456);
    assert_int_equal(header.synced_to, 90);
    struct zsp_reader reader = zsp_reader_init(parts.body);
    struct store_entry entry;
    assert_true(journal_next_entry(&reader, &entry));
    assert_true(zsp_slice_equal_str(entry.key, "group/7"));
    assert_true(zsp_slice_equal_str(entry.value, "state"));
    assert_true(journal_next_entry(&reader, &entry));
    assert_int_equal(entry.kind, STORE_DELTA);
    assert_true(journal_next_entry(&reader, &entry));
    assert_int_equal(entry.kind, STORE_GONE);
    assert_false(journal_next_entry(&reader, &entry));
    assert_false(reader.failed);
}

static void no_flipped_bit_and_no_other_place_of_a_record_passes(void **state)
{
    (void)state;
    const struct journal_place place = {uuid, 3, 512};
    uint8_t record[RECORD_MAX];
    const size_t len = make_record(record, &place);
    struct journal_header header;
    struct journal_parts parts;
    const size_t summed = JOURNAL_HEADER_BYTES + zsp_get_u32(record + 12);
    for (size_t bit = 0; bit < 8 * summed; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(
            journal_decode((struct zsp_slice){record, len}, &place, &header, &parts, NULL),
            ZSP_ECORRUPT);
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < summed; cut++) {
        assert_int_equal(
            journal_decode((struct zsp_slice){record, cut}, &place, &header, &parts, NULL),
            ZSP_ECORRUPT);
    }
    const struct journal_place others[] = {{uuid, 4, 512}, {uuid, 3, 520}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            journal_decode((struct zsp_slice){record, len}, &others[i], &header, &parts, NULL),
            ZSP_ECORRUPT);
    }
}

static void a_body_that_does_not_hold_together_is_told(void **state)
{
    (void)state;
    const uint8_t cases[][8] = {{4, 1, 0, 0, 0, 0, 0, 'k'}, /* no such kind */
                                {0, 0, 0, 1, 0, 0, 0, 'v'}, /* no key */
                                {0, 2, 0, 0, 0, 0, 0, 'k'}, /* key longer than the body */
                                {0, 1, 0, 255, 255, 255, 255, 'k'}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zsp_reader reader = zsp_reader_init((struct zsp_slice){cases[i], 8});
        struct store_entry entry;
        assert_false(journal_next_entry(&reader, &entry));
        assert_true(reader.failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_header_has_these_bytes),
        cmocka_unit_test(a_batch_header_comes_back_as_it_went),
        cmocka_unit_test(no_flipped_bit_of_a_batch_passes),
        cmocka_unit_test(a_batch_is_valid_only_where_it_was_written),
        cmocka_unit_test(stored_batches_are_multiples_of_eight),
        cmocka_unit_test(a_journal_record_has_these_bytes),
        cmocka_unit_test(a_journal_record_of_version_1_is_read),
        cmocka_unit_test(the_data_of_a_redo_entry_has_a_sum_of_its_own),
        cmocka_unit_test(a_journal_record_comes_back_as_it_went),
        cmocka_unit_test(no_flipped_bit_and_no_other_place_of_a_record_passes),
        cmocka_unit_test(a_body_that_does_not_hold_together_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
