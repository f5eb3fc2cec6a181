/* SPDX-License-Identifier: MPL-2.0
 *
 * A parcel of compressed and plain runs, of records in many frames; and replies that do
 * not hold together. The linker sends malloc through this program, which adds up what is asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>

#include "client/src/parcel.h"
#include "common/record.h"
#include "common/wire.h"
#include "tests/support/literal.h"
#include "tests/support/plain_body.h"

#define RECORDS    10u
#define FRAMES_MAX 1100u

struct fixture {
    struct zsp_parcel_owner owner;
    struct wire_decoder *decoder;
    struct zsp_writer header;
    zmq_msg_t frames[FRAMES_MAX];
    struct zsp_answer answer;
};

static size_t asked_bytes;

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    asked_bytes += size;
    return __real_malloc(size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static int set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    f.decoder = wire_decoder_new();
    assert_non_null(f.decoder);
    zsp_interned_init(&f.owner.topics, 1);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->answer.frame_count; i++) {
        assert_int_equal(zmq_msg_close(&f->frames[i]), 0);
    }
    wire_decoder_destroy(&f->decoder);
    zsp_writer_fini(&f->header);
    zsp_parcel_owner_fini(&f->owner);
    return 0;
}

/* Records m<first> .. of 50 bytes each. */
static struct zsp_writer records(unsigned first, unsigned count)
{
    struct zsp_writer out = {0};
    for (unsigned i = 0; i < count; i++) {
        char payload[48];
        (void)snprintf(payload, sizeof payload, "m%-46u", first + i);
        const struct zsp_record record = {.payload = {(const uint8_t *)payload, 47}};
        zsp_record_write(&out, &record);
    }
    return out;
}

static void add_frame(struct fixture *f, struct zsp_slice bytes)
{
    zmq_msg_t *frame = &f->frames[f->answer.frame_count++];
    assert_int_equal(zmq_msg_init_size(frame, bytes.len), 0);
    memcpy(zmq_msg_data(frame), bytes.data, bytes.len);
}

static void add_plain(struct fixture *f, unsigned first, unsigned count)
{
    struct zsp_writer body = records(first, count);
    add_frame(f, zsp_writer_slice(&body));
    zsp_writer_fini(&body);
}

static void add_packed(struct fixture *f, unsigned first, unsigned count)
{
    struct zsp_writer body = records(first, count);
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    add_frame(f, (struct zsp_slice){packed->data, packed->len});
    zsp_buf_put(&packed);
    zsp_writer_fini(&body);
}

static int parcel_of(struct fixture *f, const char *runs, struct zsp_parcel **ret)
{
    struct wire_reply reply;
    struct zsp_err err = {0};
    char map[600];
    (void)snprintf(map, sizeof map, "{'lease_ms': 1000, 'runs': [%s]}", runs);
    wire_write_reply(&f->header, WIRE_OK, true, 1);
    literal_write(&f->header, map);
    assert_int_equal(wire_reply_decode(f->decoder, zsp_writer_slice(&f->header), &reply, &err), 0);
    f->answer.map = reply.map;
    f->answer.frames = f->frames;
    return zsp_parcel_new(&f->answer, &f->owner, ret, &err);
}

static void assert_message(struct zsp_parcel *parcel, uint64_t offset)
{
    zspool_message_t message;
    zspool_message_t peeked;
    char wanted[8];
    const size_t len =
        (size_t)snprintf(wanted, sizeof wanted, "m%llu ", (unsigned long long)offset);
    for (int i = 0; offset % 2 == 1 && i < 2; i++) {
        assert_int_equal(zsp_parcel_peek(parcel, &peeked, NULL), 0);
        assert_int_equal(peeked.offset, offset);
        assert_memory_equal(peeked.payload.data, wanted, len);
    }
    assert_int_equal(zsp_parcel_take(parcel, &message, NULL), 0);
    assert_int_equal(message.offset, offset);
    assert_memory_equal(message.payload.data, wanted, len);
}

/* The tail of one batch, a plain run cut into two frames, the head of another batch. */
static void runs_of_both_kinds_follow_each_other(void **state)
{
    struct fixture *f = *state;
    struct zsp_parcel *parcel = NULL;
    add_packed(f, 0, RECORDS);
    add_plain(f, 10, 2);
    add_plain(f, 12, 3);
    add_packed(f, 15, RECORDS);
    assert_int_equal(
        parcel_of(f,
                  "['t', 0, 4, 6, 9, 5, {'codec': 'zstd', 'raw_size': 500, 'skip': 4}], "
                  "['t', 0, 10, 5, 9, 5], "
                  "['t', 0, 15, 7, 9, 5, {'codec': 'zstd', 'raw_size': 500}]",
                  &parcel),
        0);
    assert_int_equal(parcel->left, 18);
    for (uint64_t offset = 4; offset < 22; offset++) {
        assert_message(parcel, offset);
    }
    zspool_message_t none;
    assert_int_equal(zsp_parcel_peek(parcel, &none, NULL), 1);
    assert_int_equal(zsp_parcel_take(parcel, &none, NULL), 1);
    assert_int_equal(parcel->bytes_left, 0);
    zsp_parcel_destroy(&parcel);
}

/* Goal: a record costs memory and time by its bytes, however many frames it lies in. Method: pieces
 * that make records of 300 KiB end anywhere; what came out first is looked at in the end. */
static void a_record_in_a_thousand_frames_is_joined_cheaply(void **state)
{
    struct fixture *f = *state;
    struct zsp_parcel *parcel = NULL;
    struct zsp_writer body = records(0, 1);
    static uint8_t payload[300000];
    for (uint8_t i = 1; i < 4; i++) {
        memset(payload, i, sizeof payload);
        const struct zsp_record record = {.payload = {payload, sizeof payload}};
        zsp_record_write(&body, &record);
    }
    const size_t len = body.len;
    for (size_t pos = 0; pos < len; pos += 1000) {
        add_frame(f, (struct zsp_slice){body.data + pos, len - pos < 1000 ? len - pos : 1000});
    }
    zsp_writer_fini(&body);
    assert_int_equal(parcel_of(f, "['t', 0, 0, 4, 9, 5]", &parcel), 0);
    asked_bytes = 0;
    assert_message(parcel, 0);
    zspool_message_t messages[3];
    for (uint8_t i = 0; i < 3; i++) {
        assert_int_equal(zsp_parcel_take(parcel, &messages[i], NULL), 0);
    }
    assert_true(asked_bytes < 8 * len);
    for (uint8_t i = 0; i < 3; i++) {
        memset(payload, i + 1, sizeof payload);
        assert_int_equal(messages[i].payload.len, sizeof payload);
        assert_memory_equal(messages[i].payload.data, payload, sizeof payload);
    }
    assert_int_equal(parcel->bytes_left, 0);
    zsp_parcel_destroy(&parcel);
}

/* Goal: a reply that lies is an error, and nothing else. */
static void a_reply_that_does_not_hold_together_is_refused(void **state)
{
    (void)state;
    const char *const cases[] = {
        "['t', 0, 0, 11, 9, 5, {'codec': 'zstd', 'raw_size': 500}]",
        "['t', 0, 0, 1, 9, 5, {'codec': 'zstd', 'raw_size': 500, 'skip': 10}]",
        "['t', 0, 0, 1, 9, 5, {'codec': 'zstd', 'raw_size': 500, 'skip': 4000000000}]",
        "['t', 0, 0, 1, 9, 5, {'codec': 'zstd', 'raw_size': 499}]",
        "['t', 0, 0, 1, 9, 5, {'codec': 'zstd', 'raw_size': 8388608}]",
        "['t', 0, 0, 1, 9, 5]",
        ("['t', 0, 0, 10, 9, 5, {'codec': 'zstd', 'raw_size': 500}], "
         "['t', 0, 10, 1, 9, 5, {'codec': 'zstd', 'raw_size': 500}]"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *fixture = NULL;
        (void)set_up(&fixture);
        struct fixture *f = fixture;
        struct zsp_parcel *parcel = NULL;
        zspool_message_t message;
        struct zsp_err err = {0};
        add_packed(f, 0, RECORDS);
        int rc = parcel_of(f, cases[i], &parcel);
        for (int k = 0; k < 20 && rc == 0; k++) {
            rc = zsp_parcel_take(parcel, &message, &err);
        }
        assert_int_equal(rc, ZSP_EBAD_RECORD);
        zsp_parcel_destroy(&parcel);
        (void)tear_down(&fixture);
    }
}

/* Goal: few bytes cannot make us keep much. Method: more frames' worth of sizes than a reply has. */
static void sizes_of_all_runs_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct zsp_parcel *parcel = NULL;
    char runs[500] = "['t', 0, 0, 1, 9, 5, {'codec': 'zstd', 'raw_size': 8388608}]";
    for (int i = 1; i < 6; i++) {
        const size_t len = strlen(runs);
        (void)snprintf(runs + len, sizeof runs - len,
                       ", ['t', 0, %d, 1, 9, 5, {'codec': 'zstd', 'raw_size': 8388608}]", i);
    }
    add_packed(f, 0, RECORDS);
    assert_int_equal(parcel_of(f, runs, &parcel), ZSP_EBAD_RECORD);
    assert_null(parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_of_both_kinds_follow_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_in_a_thousand_frames_is_joined_cheaply, set_up,
                                        tear_down),
        cmocka_unit_test(a_reply_that_does_not_hold_together_is_refused),
        cmocka_unit_test_setup_teardown(sizes_of_all_runs_are_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
