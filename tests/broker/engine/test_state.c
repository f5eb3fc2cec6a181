/* SPDX-License-Identifier: MPL-2.0
 *
 * Durable state of the core: images on demand, images of sequences, broker
 * time and its timers, entries that make no sense.
 */
#include "broker/engine/state.h"

#include "broker/engine/engine_priv.h"
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

#define ORDERS "{'topic': 'orders'}"

/* --- images ------------------------------------------------------------------------------- */

/* The last entry put since record `since` whose key begins with `kind`; NULL = none. */
static const struct store_entry *last_entry(struct engine_fixture *f, size_t since, char kind)
{
    for (size_t i = mem_store_record_count(f->mem); i-- > since;) {
        const struct mem_store_record *const record = mem_store_record(f->mem, i);
        for (size_t j = record->entry_count; j-- > 0;) {
            if ((char)record->entries[j].key.data[0] == kind) {
                return &record->entries[j];
            }
        }
    }
    return NULL;
}

static const struct store_entry *want_image(struct engine_fixture *f, const struct state_key *key)
{
    const size_t before = mem_store_record_count(f->mem);
    mem_store_want_image(f->mem, state_key_slice(key));
    fixture_pump(f);
    return last_entry(f, before, (char)key->bytes[0]);
}

/* Every object of the core that the store asks for is imaged; what is gone gets a `gone`. */
static void an_image_is_written_when_the_store_wants_one(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_ok(f, "PUBLISH",
               "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': 1, 'seq': 1,"
               " 'count': 1}",
               "[[b'a']]");
    const struct state_key keys[] = {
        {.bytes = {'C'}, .len = 1},     {.bytes = {'B'}, .len = 1},
        state_key_object('T', 1),       state_key_object('P', 1),
        state_key_partition('R', 1, 0), state_key_producer('Q', 1, 0, 1),
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_int_equal(want_image(f, &keys[i])->kind, STORE_IMAGE);
    }
    fixture_ok(f, "TOPIC.DELETE", ORDERS, NULL);
    assert_int_equal(want_image(f, &keys[2])->kind, STORE_GONE);
    assert_int_equal(want_image(f, &keys[4])->kind, STORE_GONE);
    assert_int_equal(want_image(f, &keys[5])->kind, STORE_GONE);
    const struct state_key never = state_key_object('P', 99);
    assert_int_equal(want_image(f, &never)->kind, STORE_GONE);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p'}", NULL);
}

/* An image that finds no room is written when there is some. */
static void an_image_that_finds_no_room_is_owed(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    const size_t before = mem_store_record_count(f->mem);
    const struct state_key key = state_key_object('T', 1);
    mem_store_fail_next_state(f->mem, ZSP_ENO_SPACE);
    assert_null(want_image(f, &key));
    fixture_advance(f, 1001);
    assert_int_equal(last_entry(f, before, 'T')->kind, STORE_IMAGE);
}

/* An image that is wanted while the topic is being deleted must not bring it back. */
static void an_image_does_not_bring_a_deleted_topic_back(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send(f, "TOPIC.DELETE", ORDERS, NULL);
    fixture_pump(f);
    const struct state_key key = state_key_object('T', 1);
    assert_int_equal(want_image(f, &key)->kind, STORE_GONE);
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_error(f, ZSP_ENOT_FOUND, "TOPIC.INFO", ORDERS, NULL);
}

/* --- sequences --------------------------------------------------------------------------------- */

#define LARGE           (64 * 1024)
#define LARGE_PER_IMAGE (ZSP_PRODUCER_IMAGE_BYTES / LARGE)

static void open_and_fill(struct engine_fixture *f)
{
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    for (unsigned i = 1; i <= LARGE_PER_IMAGE; i++) {
        const uint64_t ticket = fixture_send_large(f, LARGE, i);
        fixture_pump(f);
        assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    }
}

/* Now and then sequences are imaged, and a start reads the log only from there on. */
static void sequences_are_imaged_now_and_then(void **state)
{
    struct engine_fixture *const f = *state;
    const size_t before = mem_store_record_count(f->mem);
    open_and_fill(f);
    const struct store_entry *const offset = last_entry(f, before, 'R');
    assert_non_null(offset);
    assert_int_equal(zsp_get_u64(offset->value.data + 1), LARGE_PER_IMAGE);
    const struct store_entry *const sequences = last_entry(f, before, 'Q');
    assert_int_equal(zsp_get_u64(sequences->value.data + 1), LARGE_PER_IMAGE);
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p'}", NULL);
    assert_string_equal(fixture_value(a, "last"),
                        fixture_format("[[\"orders\", 0, %u]]", LARGE_PER_IMAGE));
    const uint64_t repeated = fixture_send_large(f, LARGE, LARGE_PER_IMAGE - 1);
    const uint64_t next = fixture_send_large(f, LARGE, LARGE_PER_IMAGE + 1);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, repeated), "at"),
                        fixture_format("[[0, 1, 0, %u, true]]", LARGE_PER_IMAGE - 2));
    assert_string_equal(fixture_value(fixture_answer(f, next), "at"),
                        fixture_format("[[0, 1, 0, %u, false]]", LARGE_PER_IMAGE));
}

/* Image, then more in the log: both count; and what came twice counts once. */
static void a_start_joins_image_and_log(void **state)
{
    struct engine_fixture *const f = *state;
    open_and_fill(f);
    for (unsigned i = 1; i <= 3; i++) {
        fixture_send_large(f, LARGE, LARGE_PER_IMAGE + i);
    }
    fixture_pump(f);
    const struct state_key key = state_key_producer('Q', 1, 0, 1);
    assert_non_null(want_image(f, &key));
    for (int i = 0; i < 2; i++) {
        fixture_restart(f, MEM_KEEP_SYNCED);
        const struct answer *const a = fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p'}", NULL);
        assert_string_equal(fixture_value(a, "last"),
                            fixture_format("[[\"orders\", 0, %u]]", LARGE_PER_IMAGE + 3));
    }
}

/* The journal never runs ahead of the data: an image stops at the mark. */
static void an_image_speaks_only_of_what_is_synced(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    fixture_send_large(f, LARGE, 1);
    fixture_pump(f);
    mem_store_hold(f->mem, MEM_SYNCS);
    fixture_send_large(f, LARGE, 2);
    fixture_pump(f);
    const struct state_key key = state_key_producer('Q', 1, 0, 1);
    const struct store_entry *const image = want_image(f, &key);
    assert_int_equal(zsp_get_u64(image->value.data + 1), 1);
    assert_int_equal(image->value.data[17], 1); /* batches */
}

/* Sequences of a producer that expired, and of a topic that went, are left aside. */
static void sequences_of_what_is_gone_are_left_aside(void **state)
{
    struct engine_fixture *const f = *state;
    open_and_fill(f);
    const uint8_t junk[] = {9};
    const struct state_key unknown = state_key_producer('Q', 1, 0, 77);
    const struct state_key gone = state_key_producer('Q', 55, 0, 1);
    const struct store_entry entries[] = {
        {.key = state_key_slice(&unknown), .kind = STORE_IMAGE, .value = {junk, 1}},
        {.key = state_key_slice(&gone), .kind = STORE_IMAGE, .value = {junk, 1}},
    };
    assert_int_equal(f->store->ops->state_put(f->store, entries, 2, STORE_WRITTEN, 0, NULL), 0);
    fixture_pump(f);
    fixture_restart(f, MEM_KEEP_SYNCED);
    fixture_ok(f, "PRODUCER.INFO", "{'producer': 'p'}", NULL);
}

static void a_damaged_image_of_sequences_ends_the_start(void **state)
{
    struct engine_fixture *const f = *state;
    open_and_fill(f);
    const uint8_t junk[] = {1, 2, 3};
    const struct state_key key = state_key_producer('Q', 1, 0, 1);
    const struct store_entry entry = {
        .key = state_key_slice(&key), .kind = STORE_IMAGE, .value = {junk, sizeof junk}};
    assert_int_equal(f->store->ops->state_put(f->store, &entry, 1, STORE_WRITTEN, 0, NULL), 0);
    fixture_pump(f);
    assert_int_equal(fixture_try_restart(f, MEM_KEEP_SYNCED), ZSP_ECORRUPT);
}

/* --- time ---------------------------------------------------------------------------------------- */

struct alarm {
    struct timer timer;
    int64_t fired_ms; /* broker time; 0 = not yet */
};

static void ring(struct engine *engine, struct timer *timer)
{
    ((struct alarm *)timer)->fired_ms = engine->clock.broker_ms;
}

static void set_alarm(struct engine_fixture *f, struct alarm *alarm, enum timer_kind kind,
                      int64_t in_ms)
{
    memset(alarm, 0, sizeof *alarm);
    alarm->timer.fire_fn = ring;
    engine_arm(f->engine, kind, &alarm->timer, f->engine->clock.broker_ms + in_ms);
}

/* While something durable is timed, broker time is written every ten seconds, else never. */
static void broker_time_is_recorded_while_a_durable_timer_runs(void **state)
{
    struct engine_fixture *const f = *state;
    const size_t before = mem_store_record_count(f->mem);
    fixture_advance(f, 60000);
    assert_int_equal(mem_store_record_count(f->mem), before);
    struct alarm alarm;
    set_alarm(f, &alarm, TIMER_DURABLE, 25000);
    fixture_advance(f, 10000);
    assert_int_equal(mem_store_record_count(f->mem), before + 1);
    assert_int_equal(mem_store_record(f->mem, before)->level, STORE_WRITTEN);
    fixture_advance(f, 10000);
    assert_int_equal(mem_store_record_count(f->mem), before + 2);
    const int64_t recorded_ms = f->engine->clock.broker_ms;
    assert_int_equal(mem_store_record(f->mem, before + 1)->broker_ms, recorded_ms);
    fixture_advance(f, 60000);
    assert_int_equal(mem_store_record_count(f->mem), before + 2);
}

/* A restart goes on at the time that was recorded, however long it took. */
static void broker_time_stands_still_while_the_broker_is_down(void **state)
{
    struct engine_fixture *const f = *state;
    struct alarm alarm;
    set_alarm(f, &alarm, TIMER_DURABLE, 15000);
    fixture_advance(f, 12000);
    engine_cancel(f->engine, TIMER_DURABLE, &alarm.timer);
    f->now.mono_ms = 5; /* another boot */
    f->now.wall_ms += 86400000;
    fixture_restart(f, MEM_KEEP_SYNCED);
    assert_int_equal(f->engine->clock.broker_ms, 10000);
}

/* After a start no lease ends for ten seconds; other timers do not care. */
static void no_lease_ends_in_the_grace_of_a_start(void **state)
{
    struct engine_fixture *const f = *state;
    struct alarm lease;
    struct alarm retry;
    set_alarm(f, &lease, TIMER_LEASE, 100);
    set_alarm(f, &retry, TIMER_DURABLE, 100);
    fixture_advance(f, ZSP_STALL_GRACE_MS - 1);
    assert_int_equal(retry.fired_ms, 100);
    assert_int_equal(lease.fired_ms, 0);
    fixture_advance(f, 1);
    assert_int_equal(lease.fired_ms, ZSP_STALL_GRACE_MS);
}

/* The same after a stall; the engine asks to be called often enough to notice one. */
static void no_lease_ends_in_the_grace_of_a_stall(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_advance(f, 20000);
    struct alarm lease;
    set_alarm(f, &lease, TIMER_LEASE, 3000);
    assert_true(engine_deadline_ms(f->engine) - f->now.mono_ms < ZSP_STALL_MS);
    fixture_leap(f, 5000);
    assert_int_equal(lease.fired_ms, 0);
    fixture_advance(f, ZSP_STALL_GRACE_MS);
    assert_int_equal(lease.fired_ms, 25000 + ZSP_STALL_GRACE_MS);
}

/* --- entries that make no sense --------------------------------------------------------------------- */

static int restart_with(struct engine_fixture *f, struct zsp_slice key, const char *value)
{
    const struct store_entry entry = {
        .key = key, .kind = STORE_IMAGE, .value = zsp_slice_str(value)};
    assert_int_equal(f->store->ops->state_put(f->store, &entry, 1, STORE_SYNCED_LEVEL, 0, NULL), 0);
    fixture_pump(f);
    return fixture_try_restart(f, MEM_KEEP_SYNCED);
}

static void entries_that_make_no_sense_end_the_start(void **state)
{
    (void)state;
    const struct state_key topic = state_key_object('T', 7);
    const struct state_key producer = state_key_object('P', 7);
    const struct zsp_slice keys[] = {
        state_key_slice(&topic),   state_key_slice(&producer), {topic.bytes, 4},
        {(const uint8_t *)"C", 1}, {(const uint8_t *)"B", 1},  {(const uint8_t *)"!", 1},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct engine_fixture *const f = fixture_new(FIXTURE_MEM);
        assert_int_equal(restart_with(f, keys[i], "junk"), ZSP_ECORRUPT);
        fixture_destroy(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_image_is_written_when_the_store_wants_one),
        TEST(an_image_that_finds_no_room_is_owed),
        TEST(an_image_does_not_bring_a_deleted_topic_back),
        TEST(sequences_are_imaged_now_and_then),
        TEST(a_start_joins_image_and_log),
        TEST(an_image_speaks_only_of_what_is_synced),
        TEST(sequences_of_what_is_gone_are_left_aside),
        TEST(a_damaged_image_of_sequences_ends_the_start),
        TEST(broker_time_is_recorded_while_a_durable_timer_runs),
        TEST(broker_time_stands_still_while_the_broker_is_down),
        TEST(no_lease_ends_in_the_grace_of_a_start),
        TEST(no_lease_ends_in_the_grace_of_a_stall),
        cmocka_unit_test(entries_that_make_no_sense_end_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
