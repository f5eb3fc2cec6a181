/* SPDX-License-Identifier: MPL-2.0
 *
 * Replays the test vectors of docs/PROTOCOL.md both ways. Their bytes were made
 * by another MessagePack implementation.
 */
#include "common/hash.h"
#include "common/limits.h"
#include "common/record.h"
#include "common/token.h"
#include "common/wire.h"
#include "tests/common/document.h"
#include "tests/common/notation.h"
#include "tests/common/testing.h"

/* One vector at work. */
struct replay {
    const struct vector *vector;
    struct zsp_slice bytes;
    struct wire_decoder *decoder, *other;
    struct zsp_writer out;
    struct zsp_err err;
    bool decode_only; /* legal bytes that an encoder would not choose */
};

static void expect_out_is_the_vector(const struct replay *replay)
{
    assert_false(replay->out.failed);
    assert_true(zsp_slice_equal(zsp_writer_slice(&replay->out), replay->bytes));
}

/* The text says what the bytes say, in both directions. */
static void check_notation(struct replay *replay)
{
    if (!replay->decode_only) {
        zsp_writer_reset(&replay->out);
        for (size_t i = 0; i < replay->vector->text_count; i++) {
            notation_write(&replay->out, replay->vector->texts[i]);
        }
        expect_out_is_the_vector(replay);
    }
    if (replay->vector->text_count == 1) {
        zsp_writer_reset(&replay->out);
        wire_print(&replay->out, replay->bytes, 100000);
        assert_true(zsp_slice_equal(zsp_writer_slice(&replay->out), replay->vector->texts[0]));
    }
}

/* The value that was written into replay->out says the same as `expected`. */
static void expect_written(struct replay *replay, const msgpack_object *expected)
{
    struct zsp_writer frame = {0};
    struct wire_request request;
    wire_write_request(&frame, zsp_slice_str("V"), 0);
    wire_write_map(&frame, 1);
    wire_write_text(&frame, "v");
    zsp_write_bytes(&frame, zsp_writer_slice(&replay->out));
    assert_int_equal(
        wire_request_decode(replay->other, zsp_writer_slice(&frame), &request, &replay->err), 0);
    assert_true(msgpack_object_equal(*wire_map_find(request.args, "v"), *expected));
    zsp_writer_fini(&frame);
}

/* Runs and positions survive their own structs. */
static void check_typed_values(struct replay *replay, const msgpack_object *map, bool settled)
{
    static const char *const positions[] = {"from", "to", "start"};
    const msgpack_object *runs = wire_map_find(map, "runs");
    for (uint32_t i = 0; runs && i < runs->via.array.size; i++) {
        const msgpack_object *item = &runs->via.array.ptr[i];
        struct wire_run run;
        struct wire_srun srun;
        zsp_writer_reset(&replay->out);
        if (settled) {
            assert_int_equal(wire_srun_decode(item, &srun, &replay->err), 0);
            wire_write_srun(&replay->out, &srun);
        } else {
            assert_int_equal(wire_run_decode(item, &run, &replay->err), 0);
            wire_write_run(&replay->out, &run);
        }
        expect_written(replay, item);
    }
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        const msgpack_object *value = wire_map_find(map, positions[i]);
        if (value && (value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_ARRAY)) {
            struct wire_position position;
            assert_int_equal(wire_get_position(value, positions[i], &position, &replay->err), 0);
            zsp_writer_reset(&replay->out);
            wire_write_position(&replay->out, &position);
            expect_written(replay, value);
        }
    }
}

static void replay_request(struct replay *replay)
{
    struct wire_request request;
    assert_int_equal(wire_request_decode(replay->decoder, replay->bytes, &request, &replay->err),
                     0);
    check_typed_values(replay, request.args, true);
    check_notation(replay);
}

static void replay_reply(struct replay *replay)
{
    struct wire_reply reply;
    assert_int_equal(wire_reply_decode(replay->decoder, replay->bytes, &reply, &replay->err), 0);
    const msgpack_object *start = wire_map_find(reply.map, "start");
    if (!start || start->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        check_typed_values(replay, reply.map, false);
    }
    check_notation(replay);
}

/* A frame of a session that asked for `coalesce`: one reply for each text. */
static void replay_replies(struct replay *replay)
{
    struct zsp_slice rest = replay->bytes;
    size_t count = 0;
    while (rest.len > 0) {
        struct zsp_slice one;
        struct wire_reply reply;
        assert_int_equal(wire_value_next(&rest, &one, &replay->err), 0);
        assert_int_equal(wire_reply_decode(replay->decoder, one, &reply, &replay->err), 0);
        count++;
    }
    assert_int_equal(count, replay->vector->text_count);
    check_notation(replay);
}

static void replay_error(struct replay *replay)
{
    struct wire_reply reply;
    struct zsp_err error;
    assert_int_equal(wire_reply_decode(replay->decoder, replay->bytes, &reply, &replay->err), 0);
    assert_int_equal(reply.status, WIRE_ERR);
    (void)wire_error_decode(reply.map, &error);
    zsp_writer_reset(&replay->out);
    wire_write_error(&replay->out, reply.has_id, reply.id, &error);
    expect_out_is_the_vector(replay);
    check_notation(replay);
}

static void replay_body(struct replay *replay)
{
    uint32_t count = 0;
    struct zsp_slice rest = replay->bytes, one;
    assert_int_equal(zsp_record_check(replay->bytes, ZSP_RECORD_MAX, &count, &replay->err), 0);
    assert_int_equal(count, replay->vector->text_count);
    zsp_writer_reset(&replay->out);
    while (zsp_record_next(&rest, &one) == 0) {
        struct zsp_record record;
        assert_int_equal(zsp_record_decode(one, &record, &replay->err), 0);
        zsp_record_write(&replay->out, &record);
    }
    if (!replay->decode_only) {
        expect_out_is_the_vector(replay);
    }
    check_notation(replay);
}

static int expected_error(const struct replay *replay)
{
    const struct zsp_slice name = replay->vector->error;
    assert_non_null(name.data);
    return zsp_err_from_wire((const char *)name.data, name.len);
}

static void replay_bad_request(struct replay *replay)
{
    struct wire_request request;
    assert_int_equal(wire_request_decode(replay->decoder, replay->bytes, &request, &replay->err),
                     expected_error(replay));
}

static void replay_bad_reply(struct replay *replay)
{
    struct wire_reply reply;
    assert_int_equal(wire_reply_decode(replay->decoder, replay->bytes, &reply, &replay->err),
                     expected_error(replay));
}

static void replay_bad_body(struct replay *replay)
{
    uint32_t count = 0;
    assert_int_equal(zsp_record_check(replay->bytes, ZSP_RECORD_MAX, &count, &replay->err),
                     expected_error(replay));
}

/* The hash that decides about the partition of a key. */
static void replay_key_hash(struct replay *replay)
{
    assert_int_equal(replay->vector->text_count, 1);
    zsp_writer_reset(&replay->out);
    notation_write(&replay->out, replay->vector->texts[0]);
    struct zsp_token key = {.kind = ZSP_TOKEN_NIL};
    const struct zsp_slice packed = zsp_writer_slice(&replay->out);
    assert_non_null(zsp_token_read(packed.data, packed.data + packed.len, &key));
    assert_int_equal(key.kind, ZSP_TOKEN_BIN);
    assert_int_equal(replay->bytes.len, 8);
    assert_true(zsp_hash((struct zsp_slice){key.data, (size_t)key.value}) ==
                zsp_token_number(replay->bytes.data, 8));
}

struct kind {
    const char *name;
    void (*replay_fn)(struct replay *replay);
    bool decode_only;
};

static const struct kind kinds[] = {
    {"request", replay_request, false},
    {"request-decode", replay_request, true},
    {"reply", replay_reply, false},
    {"error", replay_error, false},
    {"replies", replay_replies, false},
    {"body", replay_body, false},
    {"body-decode", replay_body, true},
    {"key-hash", replay_key_hash, false},
    {"bad-request", replay_bad_request, false},
    {"bad-reply", replay_bad_reply, false},
    {"bad-body", replay_bad_body, false},
};
#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static size_t kind_of(const struct vector *vector)
{
    size_t i = 0;
    while (i < KIND_COUNT && !zsp_slice_equal_str(vector->kind, kinds[i].name)) {
        i++;
    }
    assert_true(i < KIND_COUNT);
    return i;
}

static void every_vector_of_the_document_is_kept(void **state)
{
    (void)state;
    struct document document;
    struct vector vector;
    size_t pos = 0, seen[KIND_COUNT] = {0};
    document_init(&document, PROTOCOL_DOCUMENT);
    struct replay replay = {.decoder = wire_decoder_new(), .other = wire_decoder_new()};
    while (document_next_vector(&document, &pos, &vector)) {
        const size_t kind = kind_of(&vector);
        print_message("%.*s\n", (int)vector.name.len, (const char *)vector.name.data);
        replay.vector = &vector;
        replay.bytes = zsp_writer_slice(&vector.bytes);
        replay.decode_only = kinds[kind].decode_only;
        kinds[kind].replay_fn(&replay);
        seen[kind]++;
        vector_fini(&vector);
    }
    for (size_t i = 0; i < KIND_COUNT; i++) {
        assert_true(seen[i] > 0);
    }
    wire_decoder_destroy(&replay.decoder);
    wire_decoder_destroy(&replay.other);
    zsp_writer_fini(&replay.out);
    document_fini(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_of_the_document_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
