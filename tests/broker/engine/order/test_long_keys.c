/* SPDX-License-Identifier: MPL-2.0
 *
 * Groups of mode `keyed` whose keys are long: they are bytes of a client's own choice.
 */
#include <stdio.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/order/lanes.h"
#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/group_steps.h"
#include "tests/common/testing.h"
#include "tests/support/plain_body.h"

static void begin(struct engine_fixture *f, const char *settings)
{
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 't'}", NULL);
    fixture_ok(f, "GROUP.CREATE",
               fixture_format("{'group': 'g', 'topics': ['t'], 'mode': 'keyed', 'settings': %s}",
                              settings),
               NULL);
}

/* Goal: keys of megabytes, that no header has room for, refuse nothing. */
static void a_long_key_is_told_by_its_beginning(void **state)
{
    struct engine_fixture *f = *state;
    static char key[2000], body[2 * sizeof key + 64], told[ZSP_KEY_TOLD_MAX + 64];
    memset(key, 'k', sizeof key - 1);
    (void)snprintf(body, sizeof body, "[[b'1', b'%s'], [b'2', b'%s']]", key, key);
    (void)snprintf(told, sizeof told, "[\"t\", 0, 0, b\"%.*s\"]", (int)ZSP_KEY_TOLD_MAX, key);
    begin(f, "{'look_ahead': 1}");
    fixture_ok(f, "PUBLISH", "{'topic': 't'}", body);
    assert_string_equal(fixture_payloads(steps_pull(f, 1)), "1");
    assert_string_equal(fixture_value(steps_pull(f, 9), "stalled"), told);
    fixture_ok(f, "GROUP.SET", "{'group': 'g', 'settings': {'look_ahead': 9}}", NULL);
    assert_string_equal(fixture_payloads(steps_pull(f, 9)), "");
    const struct answer *answer = fixture_ok(f, "GROUP.INFO", "{'group': 'g'}", NULL);
    assert_in_range(strlen(fixture_value(answer, "keys")), ZSP_KEY_TOLD_MAX, ZSP_KEY_TOLD_MAX + 64);
    assert_in_range(strlen(fixture_value(answer, "why")), ZSP_KEY_TOLD_MAX, ZSP_KEY_TOLD_MAX + 99);
}

#define LONG_KEY   (64u * ZSP_KIB)
#define LONG_COUNT 16u
#define PUMP_BYTES (16u * ZSP_MIB) /* the limit of a pump, see engine.c */

/* A batch of a megabyte of keys, `number` and on, which is next to nothing when compressed. */
static void publish_long_keys(struct engine_fixture *f, unsigned number)
{
    struct zsp_writer body = {0};
    static char key[LONG_KEY];
    for (unsigned i = 0; i < LONG_COUNT; i++) {
        (void)snprintf(key, sizeof key, "%u", number + i);
        wire_write_array(&body, 2);
        wire_write_bin(&body, zsp_slice_str("x"));
        wire_write_bin(&body, (struct zsp_slice){(const uint8_t *)key, sizeof key});
    }
    struct zsp_buf *packed = plain_pack(zsp_writer_slice(&body));
    (void)fixture_send_bytes(
        f, "PUBLISH", fixture_format("{'topic': 't', 'codec': 'zstd', 'raw_size': %zu}", body.len),
        (struct zsp_slice){packed->data, packed->len});
    fixture_pump(f);
    zsp_writer_fini(&body);
    zsp_buf_put(&packed);
}

/* Goal: a few kilobytes of the log may hold keys of many megabytes; to learn them takes turns. */
static void long_keys_of_small_batches_are_learned_in_turns(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    for (unsigned i = 0; i < 48; i++) {
        publish_long_keys(f, i * LONG_COUNT);
    }
    const uint64_t ticket = fixture_send(f, "PULL", "{'group': 'g'}", NULL);
    for (unsigned i = 0; i < 50; i++) {
        const uint64_t before = engine_work_bytes(f->engine);
        engine_pump(f->engine, f->now);
        assert_in_range(engine_work_bytes(f->engine) - before, 0, PUMP_BYTES + 6u * ZSP_MIB);
    }
    fixture_pump(f);
    assert_int_equal(steps_count(fixture_answer(f, ticket)), LONG_COUNT - 1); /* of a megabyte */
}

/* Goal: who stands still because the keys of others take all room goes on when they give it back. */
static void room_that_others_give_back_is_found(void **state)
{
    struct engine_fixture *f = *state;
    begin(f, "{}");
    for (unsigned i = 0; i < 12; i++) {
        publish_long_keys(f, i * LONG_COUNT);
    }
    f->engine->groups->lanes_bytes += LANES_ALL_BYTES_MAX;
    uint64_t count = 0;
    for (uint64_t got = 1; got > 0; count += got) {
        got = steps_count(steps_pull(f, 99)); /* all stay out */
    }
    assert_in_range(count, 1, 12 * LONG_COUNT - 1);
    const uint64_t ticket = steps_wait(f, 99, 10000);
    fixture_advance(f, 2000);
    assert_null(fixture_answer(f, ticket));
    f->engine->groups->lanes_bytes -= LANES_ALL_BYTES_MAX;
    fixture_advance(f, 2000);
    assert_non_null(fixture_answer(f, ticket));
    assert_in_range(steps_count(fixture_answer(f, ticket)), 1, 12 * LONG_COUNT - count);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_long_key_is_told_by_its_beginning),
        TEST(long_keys_of_small_batches_are_learned_in_turns),
        TEST(room_that_others_give_back_is_found),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
