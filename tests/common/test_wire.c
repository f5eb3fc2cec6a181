/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "common/limits.h"
#include "common/wire.h"
#include "tests/common/hex.h"

struct fixture {
    struct wire_decoder *decoder;
    struct zsp_writer out;
    struct zsp_err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->decoder = wire_decoder_new();
    assert_non_null(f->decoder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    wire_decoder_destroy(&f->decoder);
    assert_null(f->decoder);
    wire_decoder_destroy(&f->decoder);
    zsp_writer_fini(&f->out);
    free(f);
    return 0;
}

static int decode_request_hex(struct fixture *f, const char *hex, struct wire_request *ret)
{
    return wire_request_decode(f->decoder, hex_bytes(&f->out, hex), ret, &f->err);
}

static int decode_reply_hex(struct fixture *f, const char *hex, struct wire_reply *ret)
{
    return wire_reply_decode(f->decoder, hex_bytes(&f->out, hex), ret, &f->err);
}

static void values_are_taken_off_a_frame_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct zsp_slice rest = hex_bytes(&f->out, "81 a161 07  c0  92 01 90  cd01");
    struct zsp_slice one;
    const size_t lengths[] = {4, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wire_value_next(&rest, &one, &f->err), 0);
        assert_int_equal(one.len, lengths[i]);
    }
    assert_int_equal(wire_value_next(&rest, &one, &f->err), ZSP_EBAD_REQUEST);
    assert_int_equal(rest.len, 2); /* nothing was taken */
    rest.len = 0;
    assert_int_equal(wire_value_next(&rest, &one, &f->err), ZSP_EBAD_REQUEST);
}

static void a_request_is_encoded_byte_for_byte_and_decoded(void **state)
{
    struct fixture *f = *state;
    struct zsp_writer golden = {0};
    wire_write_request(&f->out, zsp_slice_str("PING"), 300);
    wire_write_map(&f->out, 1);
    wire_write_text_uint(&f->out, "a", 7);
    assert_true(zsp_slice_equal(zsp_writer_slice(&f->out),
                                hex_bytes(&golden, "94 01 a4 50494e47 cd012c 81 a161 07")));
    struct wire_request request;
    assert_int_equal(wire_request_decode(f->decoder, zsp_writer_slice(&f->out), &request, &f->err),
                     0);
    expect_slice(request.verb, "PING");
    assert_true(request.has_id);
    assert_int_equal(request.id, 300);
    assert_int_equal(wire_map_find(request.args, "a")->via.u64, 7);
    assert_null(wire_map_find(request.args, "b"));
    assert_null(wire_map_find(wire_map_find(request.args, "a"), "b"));
    zsp_writer_fini(&golden);
}

static void replies_of_every_status_round_trip(void **state)
{
    struct fixture *f = *state;
    static const enum wire_status all[] = {WIRE_OK, WIRE_PART, WIRE_ERR, WIRE_BEAT};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct wire_reply reply;
        zsp_writer_reset(&f->out);
        wire_write_reply(&f->out, all[i], i % 2 == 0, 9);
        wire_write_map(&f->out, 0);
        assert_int_equal(wire_reply_decode(f->decoder, zsp_writer_slice(&f->out), &reply, &f->err),
                         0);
        assert_int_equal(reply.status, all[i]);
        assert_int_equal(reply.has_id, i % 2 == 0);
        assert_true(!reply.has_id || reply.id == 9);
        assert_int_equal(reply.map->type, MSGPACK_OBJECT_MAP);
    }
}

struct bad_case {
    const char *hex;
    int code;
    bool has_id;
};

static const struct bad_case bad_requests[] = {
    {"", ZSP_EBAD_REQUEST, false},
    {"c1", ZSP_EBAD_REQUEST, false},
    {"01", ZSP_EBAD_REQUEST, false},
    {"80", ZSP_EBAD_REQUEST, false},
    {"90", ZSP_EBAD_REQUEST, false},
    {"93 01 a150 00", ZSP_EBAD_REQUEST, true},                /* three elements */
    {"95 01 a150 05 80 c0", ZSP_EBAD_REQUEST, true},          /* five */
    {"94 a131 a150 05 80", ZSP_EBAD_REQUEST, false},          /* the version is text */
    {"94 02 a150 05 80", ZSP_EVERSION_MISMATCH, true},        /* another version */
    {"92 02 a150", ZSP_EVERSION_MISMATCH, false},             /* of another shape */
    {"94 00 a150 05 80", ZSP_EVERSION_MISMATCH, true},        /* version 0 */
    {"94 01 c40150 05 80", ZSP_EBAD_REQUEST, false},          /* the verb is binary */
    {"94 01 a1ff 05 80", ZSP_EBAD_REQUEST, true},             /* the verb is not UTF-8 */
    {"94 01 a150 ff 80", ZSP_EBAD_REQUEST, false},            /* a negative id */
    {"94 01 a150 c0 80", ZSP_EBAD_REQUEST, false},            /* no id */
    {"94 01 a150 a135 80", ZSP_EBAD_REQUEST, false},          /* the id is text */
    {"94 01 a150 05 90", ZSP_EBAD_REQUEST, true},             /* no map */
    {"94 01 a150 05 c0", ZSP_EBAD_REQUEST, true},             /* nil */
    {"94 01 a150 05 80 00", ZSP_EBAD_REQUEST, true},          /* bytes follow */
    {"94 01 a150 05 81 a161", ZSP_EBAD_REQUEST, true},        /* a value is missing */
    {"94 01 a150 05 81 a161 d40100", ZSP_EBAD_REQUEST, true}, /* an extension type */
    {"94 01 a150 05 81 a161 a1ff", ZSP_EBAD_REQUEST, true},   /* a string is not UTF-8 */
    {"94 01 a150 05 81 a1ff 00", ZSP_EBAD_REQUEST, true},     /* a key is not UTF-8 */
    {"94 01 a150 05 df ffffffff", ZSP_EBAD_REQUEST, true},    /* 4 billion pairs */
    {"dd ffffffff", ZSP_EBAD_REQUEST, false},                 /* 4 billion items, five bytes */
    {"df ffffffff", ZSP_EBAD_REQUEST, false},
    {"db ffffffff", ZSP_EBAD_REQUEST, false},
    {"c6 ffffffff", ZSP_EBAD_REQUEST, false},
    {"94 01 a150 05 81 a161 dd 00000010 00", ZSP_EBAD_REQUEST, true},
};

static void bad_requests_are_refused_with_the_id_if_it_can_be_read(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad_requests / sizeof bad_requests[0]; i++) {
        struct wire_request request;
        assert_int_equal(decode_request_hex(f, bad_requests[i].hex, &request),
                         bad_requests[i].code);
        assert_int_equal(request.has_id, bad_requests[i].has_id);
        assert_int_equal(f->err.code, bad_requests[i].code);
        assert_true(f->err.msg[0] != '\0');
    }
}

static const struct bad_case bad_replies[] = {
    {"94 01 a24f4b ff 80", ZSP_EBAD_REQUEST, false}, /* a negative id */
    {"94 01 a24f4b 00 90", ZSP_EBAD_REQUEST, true},  /* no map */
    {"94 01 a24f58 00 80", ZSP_EBAD_REQUEST, true},  /* no such status */
    {"94 01 a26f6b 00 80", ZSP_EBAD_REQUEST, true},  /* in small letters */
    {"94 01 a0 00 80", ZSP_EBAD_REQUEST, true},      /* an empty status */
    {"94 03 a24f4b 00 80", ZSP_EVERSION_MISMATCH, true},
    {"94 01 a24f4b 00 80 80", ZSP_EBAD_REQUEST, true}, /* bytes follow */
    {"", ZSP_EBAD_REQUEST, false},
};

static void bad_replies_are_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof bad_replies / sizeof bad_replies[0]; i++) {
        struct wire_reply reply;
        assert_int_equal(decode_reply_hex(f, bad_replies[i].hex, &reply), bad_replies[i].code);
        assert_int_equal(reply.has_id, bad_replies[i].has_id);
    }
}

/* The header itself is one array, its map the second level: six more fit. */
static void nesting_is_bounded_exactly(void **state)
{
    struct fixture *f = *state;
    struct wire_request request;
    for (unsigned arrays = 1; arrays <= 8; arrays++) {
        (void)hex_bytes(&f->out, "94 01 a150 05 81 a161");
        for (unsigned i = 0; i < arrays; i++) {
            hex_append(&f->out, i + 1 < arrays ? "91" : "90");
        }
        const int rc =
            wire_request_decode(f->decoder, zsp_writer_slice(&f->out), &request, &f->err);
        assert_int_equal(rc, arrays <= ZSP_DEPTH_MAX - 2 ? 0 : ZSP_EBAD_REQUEST);
    }
    assert_non_null(strstr(f->err.msg, "nested deeper than 8"));
}

static void endless_nesting_costs_nothing(void **state)
{
    struct fixture *f = *state;
    struct wire_request request;
    for (unsigned i = 0; i < ZSP_HEADER_MAX; i++) {
        zsp_write_u8(&f->out, 0x91);
    }
    assert_int_equal(wire_request_decode(f->decoder, zsp_writer_slice(&f->out), &request, &f->err),
                     ZSP_EBAD_REQUEST);
}

static void every_cut_of_a_request_is_refused(void **state)
{
    struct fixture *f = *state;
    wire_write_request(&f->out, zsp_slice_str("PULL"), 70000);
    wire_write_map(&f->out, 2);
    wire_write_text_bool(&f->out, "x", true);
    wire_write_text(&f->out, "y");
    wire_write_array(&f->out, 2);
    wire_write_bin(&f->out, zsp_slice_str("\xff"));
    wire_write_int(&f->out, -5);
    const struct zsp_slice whole = zsp_writer_slice(&f->out);
    struct wire_request request;
    assert_int_equal(wire_request_decode(f->decoder, whole, &request, &f->err), 0);
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *part = malloc(len + 1); /* cut exactly, for the address sanitizer */
        assert_non_null(part);
        memcpy(part + 1, whole.data, len);
        assert_int_equal(
            wire_request_decode(f->decoder, (struct zsp_slice){part + 1, len}, &request, &f->err),
            ZSP_EBAD_REQUEST);
        free(part);
    }
}

static void a_header_over_the_limit_is_too_large(void **state)
{
    struct fixture *f = *state;
    struct wire_request request;
    hex_append(&f->out, "94 01 a150 05 81 a161 c6");
    const size_t fill = ZSP_HEADER_MAX - f->out.len - 4;
    uint8_t *p = zsp_write_room(&f->out, 4 + fill + 1);
    assert_non_null(p);
    memset(p, 0, 4 + fill + 1);
    p[1] = (uint8_t)(fill >> 16);
    p[2] = (uint8_t)(fill >> 8 & 0xff);
    p[3] = (uint8_t)(fill & 0xff);
    struct zsp_slice frame = zsp_writer_slice(&f->out);
    frame.len = ZSP_HEADER_MAX;
    assert_int_equal(wire_request_decode(f->decoder, frame, &request, &f->err), 0);
    frame.len++;
    assert_int_equal(wire_request_decode(f->decoder, frame, &request, &f->err), ZSP_ETOO_LARGE);
    assert_true(request.has_id);
    assert_int_equal(request.id, 5);
}

/* The worst that a legal header can make msgpack-c build: one item a byte. */
static void a_header_full_of_items_is_decoded(void **state)
{
    struct fixture *f = *state;
    struct wire_request request;
    hex_append(&f->out, "94 01 a150 05 81 a161 dd 0003fff0");
    for (size_t i = 0; i < 0x3fff0; i++) {
        zsp_write_u8(&f->out, 0xc0);
    }
    for (int again = 0; again < 3; again++) {
        assert_int_equal(
            wire_request_decode(f->decoder, zsp_writer_slice(&f->out), &request, &f->err), 0);
        assert_int_equal(wire_map_find(request.args, "a")->via.array.size, 0x3fff0);
    }
}

static void an_error_reply_carries_the_whole_report(void **state)
{
    struct fixture *f = *state;
    struct zsp_err sent, got;
    zsp_err_set(&sent, ZSP_EBAD_VALUE, "wait_ms must be 0..60000, not 70000");
    zsp_err_detail(&sent, "wait_ms", "0..60000", "70000");
    sent.maybe = true;
    wire_write_error(&f->out, true, 5, &sent);
    struct wire_reply reply;
    assert_int_equal(wire_reply_decode(f->decoder, zsp_writer_slice(&f->out), &reply, &f->err), 0);
    assert_int_equal(reply.status, WIRE_ERR);
    assert_int_equal(reply.id, 5);
    assert_int_equal(wire_error_decode(reply.map, &got), ZSP_EBAD_VALUE);
    assert_string_equal(got.msg, sent.msg);
    assert_string_equal(got.object, sent.object);
    assert_string_equal(got.wanted, sent.wanted);
    assert_string_equal(got.got, sent.got);
    assert_true(got.maybe);
    assert_false(wire_map_find(reply.map, "retriable")->via.boolean);
}

static void an_error_reply_has_only_the_keys_it_needs(void **state)
{
    struct fixture *f = *state;
    struct zsp_writer golden = {0};
    struct zsp_err err;
    zsp_err_set(&err, ZSP_EPAUSED, "x");
    wire_write_error(&f->out, false, 0, &err);
    const struct zsp_slice expected =
        hex_bytes(&golden, "94 01 a3455252 c0 83 a4636f6465 a6706175736564"
                           "a76d657373616765 a178 a9726574726961626c65 c3");
    assert_true(zsp_slice_equal(zsp_writer_slice(&f->out), expected));
    zsp_writer_fini(&golden);
}

static int error_code_sent_for(struct fixture *f, int code, const char *message)
{
    struct zsp_err err, got;
    struct wire_reply reply;
    zsp_err_set(&err, code, "%s", message);
    zsp_writer_reset(&f->out);
    wire_write_error(&f->out, true, 1, &err);
    assert_int_equal(wire_reply_decode(f->decoder, zsp_writer_slice(&f->out), &reply, &f->err), 0);
    return wire_error_decode(reply.map, &got);
}

static void codes_of_one_process_are_sent_as_internal(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(error_code_sent_for(f, ZSP_ENOMEM, ""), ZSP_EINTERNAL);
    assert_int_equal(error_code_sent_for(f, ZSP_EIO, "write"), ZSP_EINTERNAL);
    assert_int_equal(error_code_sent_for(f, -9999, ""), ZSP_EINTERNAL);
    assert_int_equal(error_code_sent_for(f, ZSP_EFENCED_PRODUCER, ""), ZSP_EFENCED_PRODUCER);
}

static void a_message_that_is_no_utf8_is_still_sent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(error_code_sent_for(f, ZSP_EBAD_NAME, "name \xff\xfe!"), ZSP_EBAD_NAME);
}

static void a_strange_error_map_decodes_as_internal(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[] = {
        "94 01 a3455252 01 80",                                  /* nothing in it */
        "94 01 a3455252 01 81 a4636f6465 07",                    /* the code is a number */
        "94 01 a3455252 01 81 a4636f6465 a3787978",              /* an unknown code */
        "94 01 a3455252 01 82 a4636f6465 a2696f a56d61796265 07" /* a local one */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_reply reply;
        struct zsp_err err;
        assert_int_equal(decode_reply_hex(f, cases[i], &reply), 0);
        assert_int_equal(wire_error_decode(reply.map, &err), ZSP_EINTERNAL);
        assert_false(err.maybe);
        assert_true(err.msg[0] != '\0');
    }
}

/* The same text from its first, second, ... byte on, so that the cut falls on each
 * byte of a character. */
static void long_texts_of_an_error_are_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char text[4 * 200 + 4] = "xxx";
    for (size_t i = 0; i < 200; i++) {
        memcpy(text + 3 + 4 * i, "\xf0\x9f\x90\x98", 5); /* an elephant and a NUL */
    }
    for (size_t skip = 0; skip < 4; skip++) {
        struct wire_reply reply;
        struct zsp_err err;
        zsp_writer_reset(&f->out);
        wire_write_reply(&f->out, WIRE_ERR, true, 1);
        wire_write_map(&f->out, 2);
        wire_write_text_str(&f->out, "message", zsp_slice_str(text + skip));
        wire_write_text_str(&f->out, "got", zsp_slice_str(text + skip));
        assert_int_equal(wire_reply_decode(f->decoder, zsp_writer_slice(&f->out), &reply, &f->err),
                         0);
        (void)wire_error_decode(reply.map, &err);
        assert_true(zsp_utf8_valid(zsp_slice_str(err.msg)));
        assert_true(zsp_utf8_valid(zsp_slice_str(err.got)));
        assert_true(strlen(err.got) >= 60);
    }
}

static void a_value_check_takes_any_single_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(wire_value_check(hex_bytes(&f->out, "c0"), NULL), 0);
    assert_int_equal(wire_value_check(hex_bytes(&f->out, "cb 7ff8000000000000"), NULL), 0);
    assert_int_equal(wire_value_check(hex_bytes(&f->out, "82 01 90 80 80"), NULL), 0);
    assert_int_equal(wire_value_check(hex_bytes(&f->out, "c0 c0"), NULL), ZSP_EBAD_REQUEST);
    assert_int_equal(wire_value_check((struct zsp_slice){NULL, 0}, NULL), ZSP_EBAD_REQUEST);
}

static void a_failed_writer_stays_failed(void **state)
{
    (void)state;
    struct zsp_writer out = {.max = 10};
    wire_write_request(&out, zsp_slice_str("PUBLISH"), 1);
    assert_true(out.failed);
    wire_write_str(&out, (struct zsp_slice){(const uint8_t *)"", (size_t)UINT32_MAX + 1});
    wire_write_bin(&out, (struct zsp_slice){(const uint8_t *)"", (size_t)UINT32_MAX + 1});
    wire_write_nil(&out);
    assert_true(out.failed);
    zsp_writer_fini(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_are_taken_off_a_frame_one_by_one),
        TEST(a_request_is_encoded_byte_for_byte_and_decoded),
        TEST(replies_of_every_status_round_trip),
        TEST(bad_requests_are_refused_with_the_id_if_it_can_be_read),
        TEST(bad_replies_are_refused),
        TEST(nesting_is_bounded_exactly),
        TEST(endless_nesting_costs_nothing),
        TEST(every_cut_of_a_request_is_refused),
        TEST(a_header_over_the_limit_is_too_large),
        TEST(a_header_full_of_items_is_decoded),
        TEST(an_error_reply_carries_the_whole_report),
        TEST(an_error_reply_has_only_the_keys_it_needs),
        TEST(codes_of_one_process_are_sent_as_internal),
        TEST(a_message_that_is_no_utf8_is_still_sent),
        TEST(a_strange_error_map_decodes_as_internal),
        TEST(long_texts_of_an_error_are_cut_between_characters),
        TEST(a_value_check_takes_any_single_value),
        TEST(a_failed_writer_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
