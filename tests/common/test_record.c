/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/limits.h"
#include "common/record.h"
#include "tests/common/hex.h"

/* Whole bodies as they must look for ever, on the wire and on disk. */
static const char *const plain_record = "91 c405 68656c6c6f";
static const char *const full_record = "96 c405 68656c6c6f c401 6b a5 6f72646572 a3 69642d"
                                       "82 a161 a162 a163 c402 00ff cf 0000018bcfe56800";

static void write_full(struct zsp_writer *out)
{
    struct zsp_writer headers = {0};
    zsp_record_write_headers_begin(&headers, 2);
    zsp_record_write_header(&headers, zsp_slice_str("a"), zsp_slice_str("b"), true);
    zsp_record_write_header(&headers, zsp_slice_str("c"),
                            (struct zsp_slice){(const uint8_t *)"\0\xff", 2}, false);
    const struct zsp_record record = {.payload = zsp_slice_str("hello"),
                                      .key = zsp_slice_str("k"),
                                      .type = zsp_slice_str("order"),
                                      .id = zsp_slice_str("id-"),
                                      .headers = zsp_writer_slice(&headers),
                                      .has_created_at = true,
                                      .created_at_ms = UINT64_C(1700000000000)};
    zsp_record_write(out, &record);
    zsp_writer_fini(&headers);
}

static void encoding_is_fixed_byte_for_byte(void **state)
{
    (void)state;
    struct zsp_writer out = {0}, golden = {0};
    zsp_record_write(&out, &(struct zsp_record){.payload = zsp_slice_str("hello")});
    write_full(&out);
    (void)hex_bytes(&golden, plain_record);
    hex_append(&golden, full_record);
    assert_true(zsp_slice_equal(zsp_writer_slice(&out), zsp_writer_slice(&golden)));
    zsp_writer_fini(&out);
    zsp_writer_fini(&golden);
}

static void trailing_nils_are_left_out_and_inner_ones_written(void **state)
{
    (void)state;
    struct zsp_writer out = {0}, golden = {0};
    const struct zsp_slice payload = zsp_slice_str("p");
    const struct zsp_slice text = zsp_slice_str("t");
    zsp_record_write(&out, &(struct zsp_record){.payload = payload, .key = text});
    zsp_record_write(&out, &(struct zsp_record){.payload = payload, .type = text});
    zsp_record_write(&out, &(struct zsp_record){.payload = payload, .id = text});
    zsp_record_write(&out, &(struct zsp_record){.payload = payload, .has_created_at = true});
    zsp_record_write(&out, &(struct zsp_record){.payload = {NULL, 0}});
    (void)hex_bytes(&golden, "92c40170c40174 93c40170c0a174 94c40170c0c0a174"
                             "96c40170c0c0c0c000 91c400");
    assert_true(zsp_slice_equal(zsp_writer_slice(&out), zsp_writer_slice(&golden)));
    zsp_writer_fini(&out);
    zsp_writer_fini(&golden);
}

static void what_was_written_is_decoded(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    struct zsp_record record;
    write_full(&out);
    assert_int_equal(zsp_record_decode(zsp_writer_slice(&out), &record, NULL), 0);
    expect_slice(record.payload, "hello");
    expect_slice(record.key, "k");
    expect_slice(record.type, "order");
    expect_slice(record.id, "id-");
    assert_int_equal(record.header_count, 2);
    assert_true(record.has_created_at);
    assert_true(record.created_at_ms == UINT64_C(1700000000000));
    zsp_writer_fini(&out);
}

static void headers_are_walked_in_order(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    struct zsp_record record;
    write_full(&out);
    assert_int_equal(zsp_record_decode(zsp_writer_slice(&out), &record, NULL), 0);
    struct zsp_slice rest = zsp_record_headers(&record), name, value;
    bool is_text = false;
    assert_int_equal(zsp_record_header_next(&rest, &name, &value, &is_text), 0);
    expect_slice(name, "a");
    expect_slice(value, "b");
    assert_true(is_text);
    assert_int_equal(zsp_record_header_next(&rest, &name, &value, &is_text), 0);
    expect_slice(name, "c");
    assert_int_equal(value.len, 2);
    assert_false(is_text);
    assert_int_equal(zsp_record_header_next(&rest, &name, &value, &is_text), 1);
    zsp_writer_fini(&out);
}

static void a_record_without_headers_has_none_to_walk(void **state)
{
    (void)state;
    struct zsp_slice name, value;
    bool is_text = false;
    struct zsp_slice rest = zsp_record_headers(&(struct zsp_record){.header_count = 0});
    assert_int_equal(zsp_record_header_next(&rest, &name, &value, &is_text), 1);
    const struct zsp_record broken = {.headers = zsp_slice_str("x")};
    assert_int_equal(zsp_record_headers(&broken).len, 0);
    rest = zsp_slice_str("\xa1x");
    assert_int_equal(zsp_record_header_next(&rest, &name, &value, &is_text), ZSP_EBAD_RECORD);
}

static void absent_and_empty_are_two_things(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    struct zsp_record record;
    assert_int_equal(zsp_record_decode(hex_bytes(&out, "94 c400 c400 a0 c0"), &record, NULL), 0);
    assert_non_null(record.payload.data);
    assert_non_null(record.key.data);
    assert_int_equal(record.key.len, 0);
    assert_non_null(record.type.data);
    assert_null(record.id.data);
    assert_null(record.headers.data);
    assert_false(record.has_created_at);
    assert_int_equal(zsp_record_decode(hex_bytes(&out, "96 c400 c0 c0 c0 c0 c0"), &record, NULL),
                     0);
    assert_null(record.key.data);
    assert_null(record.type.data);
    zsp_writer_fini(&out);
}

static void wide_encodings_mean_the_same(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    struct zsp_record record;
    const struct zsp_slice bytes =
        hex_bytes(&out, "dc0006 c60000000161 c5000162 d90163 da000164"
                        "de0001 db0000000165 c60000000166 d30000000000000007");
    assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
    expect_slice(record.payload, "a");
    expect_slice(record.key, "b");
    expect_slice(record.type, "c");
    expect_slice(record.id, "d");
    assert_int_equal(record.header_count, 1);
    assert_int_equal(record.created_at_ms, 7);
    zsp_writer_fini(&out);
}

static void a_checked_body_splits_into_its_records(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    (void)hex_bytes(&out, plain_record);
    hex_append(&out, full_record);
    hex_append(&out, "92 c40131 c40132");
    const struct zsp_slice body = zsp_writer_slice(&out);
    uint32_t count = 0;
    assert_int_equal(zsp_record_check(body, ZSP_RECORD_MAX, &count, NULL), 0);
    assert_int_equal(count, 3);
    struct zsp_slice rest = body, record, key;
    const char *const keys[] = {NULL, "k", "2"};
    for (uint32_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t pos = 0;
        assert_int_equal(zsp_record_position(body, i, &pos), 0);
        assert_int_equal(pos, body.len - rest.len);
        assert_int_equal(zsp_record_next(&rest, &record), 0);
        assert_int_equal(zsp_record_key(record, &key), 0);
        assert_int_equal(key.data != NULL, keys[i] != NULL);
        assert_true(!keys[i] || zsp_slice_equal_str(key, keys[i]));
    }
    assert_int_equal(zsp_record_next(&rest, &record), 1);
    zsp_writer_fini(&out);
}

/* One walk does what splitting off and decoding do. */
static void records_are_taken_off_a_body_decoded(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    (void)hex_bytes(&out, plain_record);
    hex_append(&out, full_record);
    hex_append(&out, "92 c40131 c40132");
    struct zsp_slice rest = zsp_writer_slice(&out);
    const char *const keys[] = {NULL, "k", "2"};
    struct zsp_record record;
    for (uint32_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct zsp_slice bytes, walked = rest;
        struct zsp_record decoded;
        assert_int_equal(zsp_record_next(&walked, &bytes), 0);
        assert_int_equal(zsp_record_decode(bytes, &decoded, NULL), 0);
        assert_int_equal(zsp_record_take(&rest, &record), 0);
        assert_ptr_equal(rest.data, walked.data);
        assert_ptr_equal(record.payload.data, decoded.payload.data);
        assert_int_equal(record.header_count, decoded.header_count);
        assert_int_equal(record.created_at_ms, decoded.created_at_ms);
        assert_true(!keys[i] || zsp_slice_equal_str(record.key, keys[i]));
    }
    assert_int_equal(zsp_record_take(&rest, &record), 1);
    zsp_writer_fini(&out);
}

/* It agrees with the general way where it takes a record, at every length and cut, and takes no
 * other. */
static void a_payload_alone_is_taken_at_a_glance(void **state)
{
    (void)state;
    const size_t lengths[] = {0, 1, 2, 255, 256, 300, 65535, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *const bytes = calloc(1, lengths[i] + 1);
        struct zsp_writer out = {0};
        zsp_record_write(&out, &(struct zsp_record){.payload = {bytes, lengths[i]}});
        const struct zsp_slice whole = zsp_writer_slice(&out);
        const uint8_t *const end = whole.data + whole.len;
        struct zsp_slice payload = {NULL, 0};
        const uint8_t *const next = zsp_record_plain(whole, &payload);
        /* bin 32 is no usual one, and three bytes are too few to look at. */
        assert_ptr_equal(next, lengths[i] > 65535 || lengths[i] == 0 ? NULL : end);
        assert_true(!next || payload.len == lengths[i]);
        assert_null(zsp_record_plain((struct zsp_slice){whole.data, whole.len - 1}, &payload));
        zsp_writer_fini(&out);
        free(bytes);
    }
    struct zsp_writer keyed = {0};
    const struct zsp_slice two = hex_bytes(&keyed, "92 c40131 c40132");
    struct zsp_slice payload;
    assert_null(zsp_record_plain(two, &payload));
    zsp_writer_fini(&keyed);
}

static void positions_end_at_the_end_of_the_body(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    size_t pos = 99;
    const struct zsp_slice body = hex_bytes(&out, "91c40161 91c40162");
    assert_int_equal(zsp_record_position(body, 2, &pos), 0);
    assert_int_equal(pos, body.len);
    assert_int_equal(zsp_record_position(body, 3, &pos), ZSP_EBAD_RECORD);
    zsp_writer_fini(&out);
}

static void payloads_of_every_length_form_round_trip(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 31, 255, 256, 65535, 65536, 200000};
    struct zsp_writer out = {0};
    uint8_t *bytes = calloc(1, 200000);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct zsp_record record;
        zsp_writer_reset(&out);
        zsp_record_write(&out, &(struct zsp_record){.payload = {bytes, lengths[i]}});
        assert_int_equal(zsp_record_decode(zsp_writer_slice(&out), &record, NULL), 0);
        assert_int_equal(record.payload.len, lengths[i]);
    }
    free(bytes);
    zsp_writer_fini(&out);
}

static void lengths_beyond_32_bits_fail_the_writer(void **state)
{
    (void)state;
    const struct zsp_slice huge = {(const uint8_t *)"", (size_t)UINT32_MAX + 1};
    const struct zsp_slice text = zsp_slice_str("x");
    struct zsp_writer out = {0};
    zsp_record_write(&out, &(struct zsp_record){.payload = huge});
    assert_true(out.failed);
    zsp_writer_reset(&out);
    zsp_record_write(&out, &(struct zsp_record){.payload = text, .type = huge});
    assert_true(out.failed);
    zsp_writer_reset(&out);
    zsp_record_write_header(&out, text, huge, true);
    assert_true(out.failed);
    zsp_writer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_fixed_byte_for_byte),
        cmocka_unit_test(trailing_nils_are_left_out_and_inner_ones_written),
        cmocka_unit_test(what_was_written_is_decoded),
        cmocka_unit_test(headers_are_walked_in_order),
        cmocka_unit_test(a_record_without_headers_has_none_to_walk),
        cmocka_unit_test(absent_and_empty_are_two_things),
        cmocka_unit_test(wide_encodings_mean_the_same),
        cmocka_unit_test(a_checked_body_splits_into_its_records),
        cmocka_unit_test(records_are_taken_off_a_body_decoded),
        cmocka_unit_test(a_payload_alone_is_taken_at_a_glance),
        cmocka_unit_test(positions_end_at_the_end_of_the_body),
        cmocka_unit_test(lengths_beyond_32_bits_fail_the_writer),
        cmocka_unit_test(payloads_of_every_length_form_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
