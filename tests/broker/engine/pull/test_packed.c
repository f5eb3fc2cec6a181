/* SPDX-License-Identifier: MPL-2.0
 *
 * Compressed batches: published, kept as they came, and read in every way.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/record.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

/* Bytes of a record here: an array head, a binary head of two bytes, `m%03u` and as many blanks. */
#define PAYLOAD_BYTES 100u
#define RECORD_BYTES  (PAYLOAD_BYTES + 3u)

static struct zsp_writer records(unsigned count)
{
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < count; i++) {
        char payload[PAYLOAD_BYTES + 1];
        (void)snprintf(payload, sizeof payload, "m%03u%96s", i % 1000, "");
        struct zsp_record record = {.payload = {(const uint8_t *)payload, PAYLOAD_BYTES}};
        zsp_record_write(&body, &record);
    }
    assert_int_equal(body.len, count * RECORD_BYTES);
    return body;
}

/* Publish so many records as one compressed batch; `more` are further arguments. */
static const struct answer *publish(struct engine_fixture *f, unsigned count, const char *more)
{
    struct zsp_writer body = records(count);
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    const uint64_t ticket = fixture_send_bytes(
        f, "PUBLISH",
        fixture_format("{'topic': 't', 'codec': 'zstd', 'raw_size': %zu, 'count': %u%s}", body.len,
                       count, more),
        (struct zsp_slice){packed->data, packed->len});
    zsp_writer_fini(&body);
    zsp_buf_put(&packed);
    fixture_pump(f);
    const struct answer *answer = fixture_answer(f, ticket);
    assert_non_null(answer);
    return answer;
}

static const struct answer *read_from(struct engine_fixture *f, unsigned from, const char *more)
{
    return fixture_ok(f, "READ",
                      fixture_format("{'topic': 't', 'from': ['offset', %u]%s}", from, more), NULL);
}

/* Are these the records `first` to `first + count - 1` of a batch? */
static void assert_records(const struct answer *answer, unsigned first, unsigned count)
{
    struct zsp_writer wanted = records(first + count);
    assert_int_equal(answer->body.len, count * RECORD_BYTES);
    assert_memory_equal(answer->body.data, wanted.data + first * RECORD_BYTES, answer->body.len);
    zsp_writer_fini(&wanted);
}

#define ACCEPT ", 'accept': ['zstd']"

static void a_batch_goes_out_as_it_came(void **state)
{
    struct engine_fixture *f = *state;
    assert_int_equal(publish(f, 50, "")->code, 0);
    const struct answer *answer = read_from(f, 0, ACCEPT);
    assert_records(answer, 0, 50);
    assert_int_equal(answer->packed_runs, 1);
    assert_true(answer->sent_bytes < 1000);
    assert_non_null(strstr(fixture_value(answer, "runs"), "\"raw_size\": 5150"));
    assert_null(strstr(fixture_value(answer, "runs"), "skip"));
}

static void who_does_not_accept_gets_plain_records(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    const char *const others[] = {"", ", 'accept': []", ", 'accept': ['lz4', 'brotli']"};
    for (size_t i = 0; i < 3; i++) {
        const struct answer *answer = read_from(f, 0, others[i]);
        assert_records(answer, 0, 50);
        assert_int_equal(answer->packed_runs, 0);
        assert_int_equal(answer->sent_bytes, 50 * RECORD_BYTES);
    }
}

/* Goal: what is sent costs neither side much for little. Method: parts of a batch of 50. */
static void a_large_part_is_sent_compressed_a_small_one_plain(void **state)
{
    struct engine_fixture *f = *state;
    const struct {
        unsigned first, count;
        size_t packed;
    } cases[] = {{0, 50, 1}, {0, 25, 1}, {25, 25, 1}, {1, 30, 1},
                 {0, 24, 0}, {49, 1, 0}, {20, 1, 0}};
    publish(f, 50, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *more = fixture_format(", 'max_messages': %u" ACCEPT, cases[i].count);
        const struct answer *answer = read_from(f, cases[i].first, more);
        assert_records(answer, cases[i].first, cases[i].count);
        assert_int_equal(answer->packed_runs, cases[i].packed);
        assert_true(answer->sent_bytes <= answer->body.len);
    }
}

static void limits_count_the_records(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    const char *const limit = fixture_format(", 'max_bytes': %u", 7 * RECORD_BYTES);
    assert_records(read_from(f, 3, limit), 3, 7);
    assert_records(read_from(f, 3, fixture_format("%s" ACCEPT, limit)), 3, 7);
    assert_records(read_from(f, 49, ", 'max_bytes': 1" ACCEPT), 49, 1);
}

/* Goal: the broker unpacks nothing for readers that go on. Method: the second batch does not fit
 * behind the first. */
static void a_reply_ends_before_a_batch_that_does_not_fit(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    publish(f, 50, "");
    const char *const limits[] = {", 'max_bytes': 10299" ACCEPT, ", 'max_messages': 99" ACCEPT};
    for (size_t i = 0; i < 2; i++) {
        const struct answer *answer = read_from(f, 0, limits[i]);
        assert_records(answer, 0, 50);
        assert_int_equal(fixture_number(answer, "next"), 50);
        assert_string_equal(fixture_text(answer, "reason"), "limit");
    }
    assert_int_equal(engine_unpacked_bytes(f->engine), 2 * 50 * RECORD_BYTES); /* the publishes */
}

static void a_batch_read_in_slices_is_unpacked_once(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    for (unsigned i = 0; i < 50; i++) {
        assert_records(read_from(f, i, ", 'max_messages': 1"), i, 1);
    }
    assert_int_equal(engine_unpacked_bytes(f->engine), 2 * 50 * RECORD_BYTES);
}

/* Goal: what bounds a turn sees slices of a batch that need not be unpacked again. Method: the last
 * record, which lies behind all others; then the whole batch, which costs nothing per record. */
static void looking_for_a_slice_counts_as_work(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    assert_records(read_from(f, 49, ", 'max_messages': 1"), 49, 1);
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t before = engine_work_bytes(f->engine);
        assert_records(read_from(f, 49, ", 'max_messages': 1"), 49, 1);
        assert_int_equal(engine_work_bytes(f->engine) - before, 50 * RECORD_BYTES);
    }
    const uint64_t before = engine_work_bytes(f->engine);
    assert_records(read_from(f, 0, ""), 0, 50);
    assert_int_equal(engine_work_bytes(f->engine), before);
}

/* A batch whose last record costs a walk over nearly a frame, and the limit of a pump, see engine.c.
 */
#define LARGE_COUNT (ZSP_FRAME_MAX / RECORD_BYTES)
#define LARGE_BYTES (LARGE_COUNT * RECORD_BYTES)
#define PUMP_BYTES  (16u * ZSP_MIB)
#define READ_COUNT  12u

/* Publish such a batch, then have the store finish reads of its last record; the pump is tired
 * before it has worked them all off. */
static void leave_reads_behind(struct engine_fixture *f, uint64_t *ret_tickets)
{
    assert_int_equal(publish(f, LARGE_COUNT, "")->code, 0);
    for (size_t i = 0; i < READ_COUNT; i++) {
        const char *args =
            fixture_format("{'topic': 't', 'from': ['offset', %u]}", LARGE_COUNT - 1);
        ret_tickets[i] = fixture_send(f, "READ", args, NULL);
    }
    const uint64_t before = engine_work_bytes(f->engine);
    engine_pump(f->engine, f->now);
    assert_in_range(engine_work_bytes(f->engine) - before, PUMP_BYTES, PUMP_BYTES + LARGE_BYTES);
}

/* Goal: a client that keeps many costly reads at work does not make a request of somebody else
 * pay for them. Method: requests after a pump that was tired; then pumps until all is answered. */
static void a_request_does_not_work_off_what_a_tired_pump_left(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t tickets[READ_COUNT];
    leave_reads_behind(f, tickets);
    const uint64_t before = engine_work_bytes(f->engine);
    for (unsigned i = 0; i < 3; i++) {
        (void)fixture_send(f, "TOPIC.INFO", "{'topic': 't'}", NULL);
    }
    assert_int_equal(engine_work_bytes(f->engine), before);
    while (engine_deadline_ms(f->engine) <= f->now.mono_ms) {
        const uint64_t work = engine_work_bytes(f->engine);
        engine_pump(f->engine, f->now);
        assert_in_range(engine_work_bytes(f->engine) - work, 0, PUMP_BYTES + LARGE_BYTES);
    }
    assert_in_range(engine_work_bytes(f->engine) - before, (READ_COUNT - 4) * LARGE_BYTES,
                    READ_COUNT * LARGE_BYTES);
    assert_false(engine_busy(f->engine));
    fixture_pump(f);
    for (size_t i = 0; i < READ_COUNT; i++) {
        assert_non_null(fixture_answer(f, tickets[i]));
        assert_int_equal(fixture_answer(f, tickets[i])->body.len, RECORD_BYTES);
    }
}

/* Goal: reads that were left behind do not go on in a topic that went meanwhile. Method: the
 * deletion is durable behind them, and a request takes everything from the store. */
static void reads_left_behind_end_with_their_topic(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t tickets[READ_COUNT];
    leave_reads_behind(f, tickets);
    const uint64_t gone = fixture_send(f, "TOPIC.DELETE", "{'topic': 't'}", NULL);
    engine_pump(f->engine, f->now); /* the deletion goes to the store */
    (void)fixture_send(f, "TOPIC.LIST", "{}", NULL);
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, gone)->code, 0);
    size_t counts[2] = {0};
    for (size_t i = 0; i < READ_COUNT; i++) {
        const struct answer *answer = fixture_answer(f, tickets[i]);
        assert_non_null(answer);
        assert_true(answer->code == 0 || answer->code == ZSP_ENOT_FOUND);
        counts[answer->code == 0 ? 0 : 1]++;
    }
    assert_in_range(counts[0], 4, 8); /* two pumps, and what was at work before them */
    assert_in_range(counts[1], 4, 8);
    assert_false(engine_busy(f->engine));
}

/* Goal: a storage failure behind reads is known before the next publish. */
static void a_failure_behind_reads_is_known_at_once(void **state)
{
    struct engine_fixture *f = *state;
    uint64_t tickets[READ_COUNT];
    leave_reads_behind(f, tickets);
    mem_store_fail(f->mem);
    const uint64_t ticket = fixture_send(f, "PUBLISH", "{'topic': 't'}", "[[b'x']]");
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ESTORAGE_FAILED);
    for (size_t i = 0; i < READ_COUNT; i++) {
        assert_non_null(fixture_answer(f, tickets[i]));
    }
    assert_false(engine_busy(f->engine));
}

static void pulls_lease_parts_of_a_batch(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    const struct {
        unsigned max;
        const char *accept;
        unsigned first, count;
        size_t packed;
    } cases[] = {
        {10, ACCEPT, 0, 10, 0}, {30, ACCEPT, 10, 30, 1}, {9, "", 40, 9, 0}, {9, ACCEPT, 49, 1, 0}};
    for (size_t i = 0; i < 4; i++) {
        const struct answer *answer =
            fixture_ok(f, "PULL",
                       fixture_format("{'group': 'g', 'topics': ['t'], 'max_messages': %u%s}",
                                      cases[i].max, cases[i].accept),
                       NULL);
        assert_records(answer, cases[i].first, cases[i].count);
        assert_int_equal(steps_count(answer), cases[i].count);
        assert_int_equal(answer->packed_runs, cases[i].packed);
    }
    assert_string_equal(steps_part(f, "t", 0), "0 50 0 50 0 0");
}

/* Goal: what lies between messages that are done elsewhere comes as runs of its own. */
static void a_batch_with_holes_comes_in_runs(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    const uint64_t lease = steps_pull(f, 50)->lease;
    steps_settle(f, 10, 1, lease, "'ack'");
    steps_settle(f, 41, 2, lease, "'ack'");
    steps_settle(f, 0, 50, lease, "'release'");
    const struct answer *answer =
        fixture_ok(f, "PULL", "{'group': 'g', 'topics': ['t']" ACCEPT "}", NULL);
    assert_int_equal(steps_count(answer), 47);
    assert_int_equal(answer->packed_runs, 1); /* of 30; those of 10 and 7 are plain */
    assert_int_equal(answer->body.len, 47 * RECORD_BYTES);
    assert_memory_equal(answer->body.data + 10 * RECORD_BYTES + 3, "m011", 4);
}

/* Goal: the end of a pull does not make the broker unpack a batch that the next one brings whole. */
static void a_pull_leaves_a_batch_that_it_would_cut(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    publish(f, 50, "");
    const char *args = "{'group': 'g', 'topics': ['t'], 'max_messages': 70" ACCEPT "}";
    assert_int_equal(steps_count(fixture_ok(f, "PULL", args, NULL)), 50);
    assert_string_equal(steps_part(f, "t", 0), "0 100 50 50 0 0");
    assert_int_equal(steps_count(fixture_ok(f, "PULL", args, NULL)), 50);
    assert_int_equal(engine_unpacked_bytes(f->engine), 2 * 50 * RECORD_BYTES);
}

static void plain_and_compressed_batches_mix(void **state)
{
    struct engine_fixture *f = *state;
    steps_publish_each(f, "t", "a b");
    publish(f, 20, "");
    steps_publish_each(f, "t", "c");
    publish(f, 20, "");
    const struct answer *answer = read_from(f, 0, ACCEPT);
    assert_int_equal(answer->packed_runs, 2);
    assert_int_equal(fixture_number(answer, "next"), 43);
    const struct answer *plain = read_from(f, 0, "");
    assert_int_equal(plain->packed_runs, 0);
    assert_int_equal(plain->body.len, answer->body.len);
    assert_memory_equal(plain->body.data, answer->body.data, plain->body.len);
}

static void a_repeated_batch_is_an_echo(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    const char *more = ", 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': 1";
    assert_string_equal(fixture_value(publish(f, 20, more), "at"), "[[0, 20, 0, 0, false]]");
    assert_string_equal(fixture_value(publish(f, 20, more), "at"), "[[0, 20, 0, 0, true]]");
    assert_int_equal(fixture_number(read_from(f, 0, ACCEPT), "next"), 20);
}

/* Goal: without a partition the records are routed, and stored plain when they part. */
static void a_batch_for_several_partitions_is_cut(void **state)
{
    struct engine_fixture *f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't', 'partitions': 4}", NULL);
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < 40; i++) {
        struct zsp_record record = {.payload = zsp_slice_str("the same for each and all"),
                                    .key = zsp_slice_str(fixture_format("key-%u", i / 10))};
        zsp_record_write(&body, &record);
    }
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    const uint64_t ticket = fixture_send_bytes(
        f, "PUBLISH", fixture_format("{'topic': 't', 'codec': 'zstd', 'raw_size': %zu}", body.len),
        (struct zsp_slice){packed->data, packed->len});
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, 0);
    size_t bytes = 0;
    for (unsigned p = 0; p < 4; p++) {
        const struct answer *answer = fixture_ok(
            f, "READ",
            fixture_format("{'topic': 't', 'partition': %u, 'from': 'earliest'" ACCEPT "}", p),
            NULL);
        assert_int_equal(answer->packed_runs, 0);
        bytes += answer->body.len;
    }
    assert_int_equal(bytes, body.len);
    zsp_buf_put(&packed);
    zsp_writer_fini(&body);
}

/* Goal: one target keeps the frame; the topic's creation is waited for with the small frame. */
static void a_batch_for_one_of_several_partitions_stays_whole(void **state)
{
    struct engine_fixture *f = *state;
    f->options.default_partitions = 3;
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *answer = publish(f, 20, ""); /* no keys: one partition, in turn */
    assert_int_equal(answer->code, 0);
    assert_string_equal(fixture_value(answer, "at"), "[[0, 20, 0, 0, false]]");
    assert_int_equal(read_from(f, 0, ACCEPT)->packed_runs, 1);
}

static void a_body_that_is_not_what_it_tells_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    struct zsp_writer body = records(20);
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    struct zsp_buf *odd = plain_pack((struct zsp_slice){body.data, body.len - 1});
    const struct zsp_slice whole = {packed->data, packed->len};
    const struct {
        const char *args;
        struct zsp_slice frame;
        int code;
    } cases[] = {
        {"'raw_size': 2060, 'count': 21", whole, ZSP_ECOUNT_MISMATCH},
        {"'raw_size': 2059", whole, ZSP_EBAD_RECORD},
        {"'raw_size': 2061", whole, ZSP_EBAD_RECORD},
        {"'raw_size': 8388608", whole, ZSP_EBAD_RECORD},
        {"'raw_size': 8388609", whole, ZSP_ETOO_LARGE},
        {"'raw_size': 0", whole, ZSP_EBAD_VALUE},
        {"'raw_size': 2060", {whole.data, whole.len - 1}, ZSP_EBAD_RECORD},
        {"'raw_size': 2060", zsp_writer_slice(&body), ZSP_EBAD_RECORD},
        {"'raw_size': 2059", {odd->data, odd->len}, ZSP_EBAD_RECORD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint64_t ticket = fixture_send_bytes(
            f, "PUBLISH", fixture_format("{'topic': 't', 'codec': 'zstd', %s}", cases[i].args),
            cases[i].frame);
        fixture_pump(f);
        assert_int_equal(fixture_answer(f, ticket)->code, cases[i].code);
    }
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", "{'topic': 't'}", NULL);
    zsp_buf_put(&packed);
    zsp_buf_put(&odd);
    zsp_writer_fini(&body);
}

static void figures_tell_what_compression_saves(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    const struct answer *stats = fixture_ok(f, "STATS", "{}", NULL);
    assert_int_equal(fixture_number(stats, "published_bytes"), 50 * RECORD_BYTES);
    assert_true(fixture_number(stats, "stored_bytes") < 1000);
    assert_true(fixture_number(stats, "stored_bytes") > 0);
}

/* Over the segmented log, from its files. */
static void a_restart_serves_them_from_disk(void **state)
{
    struct engine_fixture *f = *state;
    publish(f, 50, "");
    publish(f, 50, "");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *answer = read_from(f, 0, ACCEPT);
    assert_int_equal(answer->packed_runs, 2);
    assert_int_equal(answer->body.len, 100 * RECORD_BYTES);
    answer = read_from(f, 60, "");
    assert_records(answer, 10, 40);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_goes_out_as_it_came),
        TEST(who_does_not_accept_gets_plain_records),
        TEST(a_large_part_is_sent_compressed_a_small_one_plain),
        TEST(limits_count_the_records),
        TEST(a_reply_ends_before_a_batch_that_does_not_fit),
        TEST(a_batch_read_in_slices_is_unpacked_once),
        TEST(looking_for_a_slice_counts_as_work),
        TEST(a_request_does_not_work_off_what_a_tired_pump_left),
        TEST(reads_left_behind_end_with_their_topic),
        TEST(a_failure_behind_reads_is_known_at_once),
        TEST(pulls_lease_parts_of_a_batch),
        TEST(a_batch_with_holes_comes_in_runs),
        TEST(a_pull_leaves_a_batch_that_it_would_cut),
        TEST(plain_and_compressed_batches_mix),
        TEST(a_repeated_batch_is_an_echo),
        TEST(a_batch_for_several_partitions_is_cut),
        TEST(a_batch_for_one_of_several_partitions_stays_whole),
        TEST(a_body_that_is_not_what_it_tells_is_refused),
        TEST(figures_tell_what_compression_saves),
        cmocka_unit_test_setup_teardown(a_restart_serves_them_from_disk, fixture_set_up_log,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
