/* SPDX-License-Identifier: MPL-2.0
 *
 * Routing of batches over partitions, by hand and through PUBLISH.
 */
#include "broker/engine/route.h"

#include <stdio.h>

#include "common/hash.h"
#include "common/wire.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/common/testing.h"

static int set_up(void **state)
{
    (void)fixture_set_up(state);
    fixture_ok(*state, "TOPIC.CREATE", "{'topic': 'orders', 'partitions': 4}", NULL);
    return 0;
}

static unsigned partition_of(const char *key)
{
    return (unsigned)(zsp_hash(zsp_slice_str(key)) % 4);
}

/* The first of k0, k1, k2 ... that belongs to `partition`. */
static const char *key_for(unsigned partition)
{
    for (unsigned i = 0;; i++) {
        const char *const key = fixture_format("k%u", i);
        if (partition_of(key) == partition) {
            return key;
        }
    }
}

static const char *payloads_of(struct engine_fixture *f, unsigned partition)
{
    return fixture_payloads(fixture_ok(
        f, "READ",
        fixture_format("{'topic': 'orders', 'partition': %u, 'from': 'earliest'}", partition),
        NULL));
}

static void a_key_chooses_the_partition_by_its_hash(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned i = 0; i < 8; i++) {
        const char *const key = fixture_format("key%u", i);
        const struct answer *const a =
            fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'partitions': 4}",
                       fixture_format("[[b'x', b'%s']]", key));
        char at[64];
        (void)snprintf(at, sizeof at, "[[0, 1, %u, ", partition_of(key));
        assert_true(strncmp(fixture_value(a, "at"), at, strlen(at)) == 0);
    }
}

/* An empty key is a key. */
static void an_empty_key_is_a_key(void **state)
{
    struct engine_fixture *const f = *state;
    for (unsigned i = 0; i < 3; i++) {
        fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'x', b'']]");
    }
    assert_string_equal(payloads_of(f, partition_of("")), "x x x");
}

/* Keyless batches take turns; the records of one stay together. */
static void keyless_batches_take_turns(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'a'], [b'b']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'c']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'partition': 3}", "[[b'z']]");
    fixture_ok(f, "PUBLISH", "{'topic': 'orders'}", "[[b'd'], [b'e'], [b'f']]");
    assert_string_equal(payloads_of(f, 0), "a b");
    assert_string_equal(payloads_of(f, 1), "c");
    assert_string_equal(payloads_of(f, 2), "d e f");
    assert_string_equal(payloads_of(f, 3), "z");
}

/* A batch for several partitions is cut; the answer tells where each stretch went. */
static void a_batch_with_several_targets_is_cut_at_record_boundaries(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const one = key_for(1);
    const char *const two = key_for(2);
    const struct answer *const a = fixture_ok(
        f, "PUBLISH", "{'topic': 'orders', 'count': 6}",
        fixture_format(
            "[[b'a', b'%s'], [b'b', b'%s'], [b'c', b'%s'], [b'd', b'%s'], [b'e'], [b'f', b'%s']]",
            one, one, two, one, two));
    assert_string_equal(fixture_value(a, "at"),
                        "[[0, 2, 1, 0, false], [2, 1, 2, 0, false], [3, 1, 1, 2, false], "
                        "[4, 1, 0, 0, false], [5, 1, 2, 1, false]]");
    assert_string_equal(payloads_of(f, 0), "e");
    assert_string_equal(payloads_of(f, 1), "a b d");
    assert_string_equal(payloads_of(f, 2), "c f");
}

/* A cut batch is confirmed when its last part is; at level written, too. */
static void a_cut_batch_is_confirmed_with_its_last_part(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const body =
        fixture_format("[[b'a', b'%s'], [b'b', b'%s']]", key_for(1), key_for(2));
    mem_store_hold(f->mem, MEM_SYNCS);
    const uint64_t synced = fixture_send(f, "PUBLISH", "{'topic': 'orders'}", body);
    const struct answer *const a =
        fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'level': 'written'}", body);
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 1, 1, false], [1, 1, 2, 1, false]]");
    assert_null(fixture_answer(f, synced));
    mem_store_hold(f->mem, 0);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, synced), "at"),
                        "[[0, 1, 1, 0, false], [1, 1, 2, 0, false]]");
}

/* When only a part of it fails, nobody can say that nothing happened. */
static void a_cut_batch_that_fails_in_part_may_have_been_applied(void **state)
{
    struct engine_fixture *const f = *state;
    mem_store_fail_next_append(f->mem, ZSP_ENO_SPACE, false);
    const struct answer *const a =
        fixture_error(f, ZSP_ENO_SPACE, "PUBLISH", "{'topic': 'orders'}",
                      fixture_format("[[b'a', b'%s'], [b'b', b'%s']]", key_for(1), key_for(2)));
    assert_true(a->error.maybe);
    assert_string_equal(payloads_of(f, 1), "");
    assert_string_equal(payloads_of(f, 2), "b");
}

static void write_keyed(struct zsp_writer *body, const char *key)
{
    wire_write_array(body, 2);
    wire_write_bin(body, zsp_slice_str("x"));
    wire_write_bin(body, zsp_slice_str(key));
}

/* A batch that changes partition too often would need an answer without bounds. */
static void a_batch_with_too_many_changes_is_refused_whole(void **state)
{
    struct engine_fixture *const f = *state;
    struct zsp_writer body = {0};
    for (unsigned i = 0; i <= ZSP_RUNS_MAX; i++) {
        write_keyed(&body, key_for(1 + i % 2));
    }
    const uint64_t ticket =
        fixture_send_bytes(f, "PUBLISH", "{'topic': 'orders'}", zsp_writer_slice(&body));
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_ETOO_LARGE);
    assert_false(fixture_answer(f, ticket)->error.maybe);
    assert_string_equal(payloads_of(f, 1), "");
    zsp_writer_fini(&body);
}

/* As many changes as are allowed do fit the answer's header. */
static void a_batch_with_as_many_changes_as_allowed_is_confirmed(void **state)
{
    struct engine_fixture *const f = *state;
    struct zsp_writer body = {0};
    for (unsigned i = 0; i < ZSP_RUNS_MAX; i++) {
        write_keyed(&body, key_for(1 + i % 2));
    }
    const uint64_t ticket =
        fixture_send_bytes(f, "PUBLISH", "{'topic': 'orders'}", zsp_writer_slice(&body));
    fixture_pump(f);
    assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    zsp_writer_fini(&body);
}

static void a_route_keeps_neighbours_together(void **state)
{
    (void)state;
    struct zsp_writer body = {0};
    write_keyed(&body, key_for(3));
    write_keyed(&body, key_for(3));
    write_keyed(&body, key_for(0));
    struct route route = {0};
    assert_int_equal(route_body(&route, zsp_writer_slice(&body), 4, 2, NULL), 0);
    assert_int_equal(route.count, 2);
    assert_int_equal(route.target_count, 2);
    assert_false(route.took_turn);
    assert_int_equal(route.stretches[0].count, 2);
    assert_int_equal(route.stretches[0].partition, 3);
    assert_int_equal(route.stretches[1].pos, route.stretches[0].len);
    route_fini(&route);
    zsp_writer_fini(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_chooses_the_partition_by_its_hash),
        TEST(an_empty_key_is_a_key),
        TEST(keyless_batches_take_turns),
        TEST(a_batch_with_several_targets_is_cut_at_record_boundaries),
        TEST(a_cut_batch_is_confirmed_with_its_last_part),
        TEST(a_cut_batch_that_fails_in_part_may_have_been_applied),
        TEST(a_batch_with_too_many_changes_is_refused_whole),
        TEST(a_batch_with_as_many_changes_as_allowed_is_confirmed),
        cmocka_unit_test(a_route_keeps_neighbours_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
