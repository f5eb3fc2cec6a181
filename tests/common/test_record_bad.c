/* SPDX-License-Identifier: MPL-2.0
 *
 * Bodies that must be refused, and that nothing reads outside of them.
 */
#include "tests/common/testing.h"

#include "common/limits.h"
#include "common/record.h"
#include "tests/common/hex.h"

struct bad_case {
    const char *hex;
    const char *message;
};

static const struct bad_case bad_cases[] = {
    {"", "the body is empty"},
    {"c0", "record 0: pos 0: record must be an array, not nil"},
    {"80", "record 0: pos 0: record must be an array, not a map"},
    {"90", "record 0: pos 0: record must be an array of 1 to 6 fields"},
    {"97 c400 c0 c0 c0 c0 c0 c0", "record 0: pos 0: record must be an array of 1 to 6 fields"},
    {"91 c0", "record 0: pos 1: payload must be MessagePack bin, not nil"},
    {"91 a161", "record 0: pos 1: payload must be MessagePack bin (in many libraries: "
                "use_bin_type), not a string"},
    {"91 07", "record 0: pos 1: payload must be MessagePack bin, not a number"},
    {"91 d40500", "record 0: pos 1: payload must be MessagePack bin, not an extension type"},
    {"91 c1", "record 0: pos 1: payload must be a value that ends inside the body"},
    {"91 c402 61", "record 0: pos 1: payload must be a value that ends inside the body"},
    {"91 c6ffffffff", "record 0: pos 1: payload must be a value that ends inside the body"},
    {"92 c400", "record 0: pos 3: key must be a value that ends inside the body"},
    {"92 c40161 a161", "record 0: pos 4: key must be MessagePack bin or nil, not a string"},
    {"93 c400 c0 c400", "record 0: pos 4: type must be a string or nil, not binary"},
    {"93 c400 c0 a1ff", "record 0: pos 4: type must be valid UTF-8"},
    {"93 c400 c0 a2c080", "record 0: pos 4: type must be valid UTF-8"},
    {"94 c400 c0 c0 07", "record 0: pos 5: id must be a string or nil, not a number"},
    {"94 c400 c0 c0 a180", "record 0: pos 5: id must be valid UTF-8"},
    {"94 c400 c0 c0 a561", "record 0: pos 5: id must be a value that ends inside the body"},
    {"95 c400 c0 c0 c0 90", "record 0: pos 6: headers must be a map or nil, not an array"},
    {"95 c400 c0 c0 c0 81 c4 00", "record 0: pos 7: header name must be a string, not binary"},
    {"95 c400 c0 c0 c0 81 a0 01",
     "record 0: pos 8: header value must be a string or MessagePack bin, not a number"},
    {"95 c400 c0 c0 c0 81 a0 80",
     "record 0: pos 8: header value must be a string or MessagePack bin, not a map"},
    {"95 c400 c0 c0 c0 81 a1ff a0", "record 0: pos 7: header name must be valid UTF-8"},
    {"95 c400 c0 c0 c0 81 a0 a1ff", "record 0: pos 8: header value must be valid UTF-8"},
    {"95 c400 c0 c0 c0 dfffffffff",
     "record 0: pos 6: headers must be a value that ends inside the body"},
    {"95 c400 c0 c0 c0 82 a0 a0 a0",
     "record 0: pos 6: headers must be a value that ends inside the body"},
    {"96 c400 c0 c0 c0 c0 ff",
     "record 0: pos 7: created_at_ms must be a number >= 0 or nil, not a negative number"},
    {"96 c400 c0 c0 c0 c0 cb3ff0000000000000",
     "record 0: pos 7: created_at_ms must be a number >= 0 or nil, not a float"},
    {"91c400 91c400 91", "record 2: pos 6: record must be an array that ends inside the body"},
    {"91c400 00", "record 1: pos 3: record must be an array, not a number"},
    {"91 91 91 91 91 91", "record 0: pos 1: payload must be MessagePack bin, not an array"},
};

/* An exact heap copy, so that the address sanitizer sees a read past the end. */
static struct zsp_slice exact_copy(struct zsp_slice bytes)
{
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return (struct zsp_slice){copy, bytes.len};
}

static void free_copy(struct zsp_slice bytes)
{
    uint8_t *copy = NULL;
    memcpy(&copy, &bytes.data, sizeof copy); /* the constness was ours */
    free(copy);
}

static void bad_bodies_are_refused_with_record_and_place(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const struct zsp_slice body = exact_copy(hex_bytes(&out, bad_cases[i].hex));
        struct zsp_err err;
        uint32_t count = 77;
        assert_int_equal(zsp_record_check(body, ZSP_RECORD_MAX, &count, &err), ZSP_EBAD_RECORD);
        assert_string_equal(err.msg, bad_cases[i].message);
        assert_int_equal(count, 77);
        assert_int_equal(zsp_record_check(body, ZSP_RECORD_MAX, &count, NULL), ZSP_EBAD_RECORD);
        free_copy(body);
    }
    zsp_writer_fini(&out);
}

static const char *const full_record = "96 c405 68656c6c6f c401 6b a5 6f72646572 a3 69642d"
                                       "82 a161 a162 a163 c402 00ff cf 0000018bcfe56800";

static void every_cut_of_a_record_is_refused_by_all_readers(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    const struct zsp_slice whole = hex_bytes(&out, full_record);
    for (size_t len = 1; len < whole.len; len++) {
        const struct zsp_slice part = exact_copy((struct zsp_slice){whole.data, len});
        struct zsp_slice rest = part, one, key;
        struct zsp_record record;
        uint32_t count;
        assert_int_equal(zsp_record_check(part, ZSP_RECORD_MAX, &count, NULL), ZSP_EBAD_RECORD);
        assert_int_equal(zsp_record_decode(part, &record, NULL), ZSP_EBAD_RECORD);
        assert_int_equal(zsp_record_next(&rest, &one), ZSP_EBAD_RECORD);
        assert_int_equal(zsp_record_take(&rest, &record), ZSP_EBAD_RECORD);
        assert_ptr_equal(rest.data, part.data);
        assert_int_equal(rest.len, len);
        (void)zsp_record_key(part, &key); /* may find the key, must not read past the end */
        free_copy(part);
    }
    zsp_writer_fini(&out);
}

static void decoding_refuses_what_follows_a_record(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    struct zsp_record record;
    struct zsp_err err;
    assert_int_equal(zsp_record_decode(hex_bytes(&out, "91c400 91c400"), &record, &err),
                     ZSP_EBAD_RECORD);
    assert_string_equal(err.msg, "pos 3: 3 bytes follow the record");
    assert_int_equal(zsp_record_decode((struct zsp_slice){NULL, 0}, &record, &err),
                     ZSP_EBAD_RECORD);
    zsp_writer_fini(&out);
}

static void a_record_may_be_as_large_as_the_limit(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    uint8_t bytes[200] = {0};
    uint32_t count = 0;
    struct zsp_err err;
    zsp_record_write(&out, &(struct zsp_record){.payload = {bytes, 10}});
    zsp_record_write(&out, &(struct zsp_record){.payload = {bytes, 97}}); /* 100 with its head */
    assert_int_equal(zsp_record_check(zsp_writer_slice(&out), 100, &count, &err), 0);
    assert_int_equal(zsp_record_check(zsp_writer_slice(&out), 99, &count, &err), ZSP_ETOO_LARGE);
    assert_string_equal(err.msg, "record 1: 100 bytes are more than 99");
    assert_string_equal(err.object, "record 1");
    assert_string_equal(err.wanted, "99");
    assert_string_equal(err.got, "100");
    zsp_writer_fini(&out);
}

static void headers_are_bounded(void **state)
{
    (void)state;
    struct zsp_writer out = {0}, headers = {0};
    uint32_t count = 0;
    for (uint32_t n = ZSP_HEADERS_MAX; n <= ZSP_HEADERS_MAX + 1; n++) {
        zsp_writer_reset(&headers);
        zsp_writer_reset(&out);
        zsp_record_write_headers_begin(&headers, n);
        for (uint32_t i = 0; i < n; i++) {
            zsp_record_write_header(&headers, zsp_slice_str("n"), zsp_slice_str("v"), true);
        }
        zsp_record_write(&out, &(struct zsp_record){.payload = zsp_slice_str("p"),
                                                    .headers = zsp_writer_slice(&headers)});
        assert_int_equal(zsp_record_check(zsp_writer_slice(&out), ZSP_RECORD_MAX, &count, NULL),
                         n <= ZSP_HEADERS_MAX ? 0 : ZSP_EBAD_RECORD);
    }
    zsp_writer_fini(&headers);
    zsp_writer_fini(&out);
}

static void the_key_of_no_record_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "c0", "90", "91 a161", "92 c400 07", "92 c400"};
    struct zsp_writer out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct zsp_slice key;
        assert_int_equal(zsp_record_key(hex_bytes(&out, cases[i]), &key), ZSP_EBAD_RECORD);
    }
    zsp_writer_fini(&out);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* What the check lets pass must be what all other readers agree on. */
static void check_agrees_with_the_readers(struct zsp_slice body)
{
    uint32_t count = 0, seen = 0;
    struct zsp_slice rest = body, taken_rest = body, one, key;
    const int rc = zsp_record_check(body, ZSP_RECORD_MAX, &count, NULL);
    while (zsp_record_next(&rest, &one) == 0) {
        struct zsp_record record;
        if (rc == 0) {
            assert_int_equal(zsp_record_take(&taken_rest, &record), 0);
            assert_ptr_equal(taken_rest.data, rest.data);
            assert_int_equal(zsp_record_decode(one, &record, NULL), 0);
            assert_int_equal(zsp_record_key(one, &key), 0);
            assert_true(key.data == record.key.data && key.len == record.key.len);
        }
        seen++;
    }
    assert_true(rc != 0 || (seen == count && rest.len == 0));
}

/* 40,000 bodies, each a good one with up to four bytes changed and perhaps cut;
 * the same ones in every run. */
static void random_changes_never_confuse_the_readers(void **state)
{
    (void)state;
    struct zsp_writer out = {0};
    (void)hex_bytes(&out, full_record);
    hex_append(&out, "92 c40131 c40132 91 c40161");
    uint64_t random = 2026;
    for (int i = 0; i < 40000; i++) {
        const struct zsp_slice whole = zsp_writer_slice(&out);
        const size_t len =
            next_random(&random) % 4 == 0 ? 1 + next_random(&random) % whole.len : whole.len;
        uint8_t *bytes = malloc(len);
        assert_non_null(bytes);
        memcpy(bytes, whole.data, len);
        for (uint64_t changes = next_random(&random) % 5; changes > 0; changes--) {
            bytes[next_random(&random) % len] = (uint8_t)next_random(&random);
        }
        check_agrees_with_the_readers((struct zsp_slice){bytes, len});
        free(bytes);
    }
    zsp_writer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_bodies_are_refused_with_record_and_place),
        cmocka_unit_test(every_cut_of_a_record_is_refused_by_all_readers),
        cmocka_unit_test(decoding_refuses_what_follows_a_record),
        cmocka_unit_test(a_record_may_be_as_large_as_the_limit),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(the_key_of_no_record_is_refused),
        cmocka_unit_test(random_changes_never_confuse_the_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
