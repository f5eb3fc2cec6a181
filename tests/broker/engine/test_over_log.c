/* SPDX-License-Identifier: MPL-2.0
 *
 * The engine over the segmented log and real files: what the other tests show
 * over the store in memory holds here, too, and survives closing and opening.
 */
#include <stdio.h>

#include "common/limits.h"
#include "common/wire.h"
#include "tests/broker/engine/engine_fixture.h"
#include "tests/broker/engine/fixture_log.h"
#include "tests/common/testing.h"

#define ORDERS "{'topic': 'orders'}"
#define SEQUENCED \
    "{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': %u, 'seq': %u, 'count': 1}"

static void published_messages_are_read_back(void **state)
{
    struct engine_fixture *const f = *state;
    const struct answer *a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'a'], [b'b']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 2, 0, 0, false]]");
    fixture_advance(f, 1000);
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'c', b'key', 'type', 'id', {'h': 'v'}, 7]]");
    for (int i = 0; i < 2; i++) {
        a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
        assert_string_equal(fixture_payloads(a), "a b c");
        a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['time', 1700000000001]}", NULL);
        assert_string_equal(fixture_payloads(a), "c");
        a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': ['offset', 1], 'max_messages': 1}",
                       NULL);
        assert_string_equal(fixture_payloads(a), "b");
        fixture_restart(f, MEM_KEEP_SYNCED);
    }
}

static void a_waiting_reader_gets_what_comes(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    const uint64_t ticket =
        fixture_send(f, "READ", "{'topic': 'orders', 'from': 'latest', 'wait_ms': 5000}", NULL);
    fixture_pump(f);
    assert_null(fixture_answer(f, ticket));
    fixture_ok(f, "PUBLISH", ORDERS, "[[b'a']]");
    assert_string_equal(fixture_payloads(fixture_answer(f, ticket)), "a");
}

static void topics_come_and_go(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE",
               "{'topic': 'orders', 'partitions': 3, 'settings': {'retention_bytes': 1000000}}",
               NULL);
    fixture_ok(f, "PUBLISH", "{'topic': 'orders', 'partition': 2}", "[[b'a']]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    const struct answer *a = fixture_ok(f, "TOPIC.INFO", ORDERS, NULL);
    assert_string_equal(fixture_value(a, "settings"), "{\"retention_bytes\": 1000000}");
    fixture_ok(f, "TOPIC.DELETE", ORDERS, NULL);
    a = fixture_ok(f, "PUBLISH", ORDERS, "[[b'b']]");
    assert_string_equal(fixture_value(a, "at"), "[[0, 1, 0, 0, false]]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    a = fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest'}", NULL);
    assert_string_equal(fixture_payloads(a), "b");
}

/* Goal: a missing file is no missing topic, which a client would believe. */
static void a_broken_directory_is_the_brokers_trouble(void **state)
{
    struct engine_fixture *const f = *state;
    char there[600];
    char away[600];
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    (void)snprintf(there, sizeof there, "%s/topics", fixture_log_path(f->log));
    (void)snprintf(away, sizeof away, "%s/away", fixture_log_path(f->log));
    assert_int_equal(rename(there, away), 0);
    fixture_error(f, ZSP_EINTERNAL, "TOPIC.CREATE", "{'topic': 'a'}", NULL);
    fixture_error(f, ZSP_EINTERNAL, "PUBLISH", "{'topic': 'b'}", "[[b'x']]");
    assert_int_equal(rename(away, there), 0);
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'a'}", NULL);
}

/* Sequences, epochs and original offsets come back from headers and images. */
static void producers_go_on_where_they_stopped(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    for (unsigned i = 1; i <= 20; i++) {
        const struct answer *a =
            fixture_ok(f, "PUBLISH", fixture_format(SEQUENCED, (i + 3) / 4, i), "[[b'a']]");
        assert_string_equal(fixture_value(a, "at"),
                            fixture_format("[[0, 1, 0, %u, false]]", i - 1));
        if (i % 4 == 0) {
            fixture_restart(f, MEM_KEEP_SYNCED);
            a = fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
            assert_string_equal(fixture_value(a, "last"),
                                fixture_format("[[\"orders\", 0, %u]]", i));
            a = fixture_ok(f, "PUBLISH", fixture_format(SEQUENCED, i / 4 + 1, i - 1), "[[b'a']]");
            assert_string_equal(fixture_value(a, "at"),
                                fixture_format("[[0, 1, 0, %u, true]]", i - 2));
        }
    }
}

/* Many segments, images of sequences on the way, old segments dropped, and all of it again
 * after a restart. */
static void a_long_log_is_read_over_segments_and_restarts(void **state)
{
    struct engine_fixture *const f = *state;
    const unsigned count = 150;
    fixture_ok(f, "TOPIC.CREATE", ORDERS, NULL);
    fixture_ok(f, "PRODUCER.OPEN", "{'producer': 'p'}", NULL);
    for (unsigned i = 1; i <= count; i++) {
        const uint64_t ticket = fixture_send_large(f, 60 * 1024, i);
        fixture_pump(f);
        assert_int_equal(fixture_answer(f, ticket)->code, ZSP_OK);
    }
    fixture_restart(f, MEM_KEEP_SYNCED);
    uint64_t next = 0;
    while (next < count) {
        const struct answer *const a = fixture_ok(
            f, "READ",
            fixture_format("{'topic': 'orders', 'from': ['offset', %u]}", (unsigned)next), NULL);
        assert_true(fixture_number(a, "next") > next);
        next = fixture_number(a, "next");
    }
    const uint64_t repeated = fixture_send_large(f, 60 * 1024, count);
    fixture_pump(f);
    assert_string_equal(fixture_value(fixture_answer(f, repeated), "at"),
                        fixture_format("[[0, 1, 0, %u, true]]", count - 1));
    fixture_ok(f, "TOPIC.SET", "{'topic': 'orders', 'settings': {'retention_bytes': 500000}}",
               NULL);
    fixture_advance(f, 11000);
    const struct answer *const a =
        fixture_ok(f, "READ", "{'topic': 'orders', 'from': 'earliest', 'max_messages': 1}", NULL);
    assert_true(fixture_number(a, "start") > count / 2);
}

/* A batch for several partitions reaches several files and one answer. */
static void a_cut_batch_reaches_all_its_partitions(void **state)
{
    struct engine_fixture *const f = *state;
    fixture_ok(f, "TOPIC.CREATE", "{'topic': 'orders', 'partitions': 4}", NULL);
    fixture_ok(f, "PUBLISH", ORDERS,
               "[[b'0', b'k0'], [b'1', b'k1'], [b'2', b'k2'], [b'3', b'k3'], [b'4', b'k4']]");
    fixture_restart(f, MEM_KEEP_SYNCED);
    size_t found = 0;
    for (unsigned i = 0; i < 4; i++) {
        found += fixture_number(
            fixture_ok(
                f, "READ",
                fixture_format("{'topic': 'orders', 'partition': %u, 'from': 'earliest'}", i),
                NULL),
            "next");
    }
    assert_int_equal(found, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up_log, fixture_tear_down)

/* Publish batches of 1,000 bytes until the topic is full; returns how many it took. */
static unsigned fill(struct engine_fixture *f)
{
    static char body[1100];
    (void)snprintf(body, sizeof body, "[[b'%0990d']]", 0);
    for (unsigned count = 0;; count++) {
        const uint64_t ticket = fixture_send(f, "PUBLISH", ORDERS, body);
        fixture_pump(f);
        const struct answer *const a = fixture_answer(f, ticket);
        assert_non_null(a);
        if (a->error.code != 0) {
            assert_int_equal(a->error.code, ZSP_ETOPIC_FULL);
            return count;
        }
        assert_in_range(count, 0, 100);
    }
}

/* Goal: a topic that refuses when it is full has room again when retention may take something, also
 * when all of it would fit into the segment that takes appends. */
static void a_full_topic_lets_go_of_what_retention_may_take(void **state)
{
    struct engine_fixture *const f = *state;
    const char *const settings[] = {
        "'retention_time_ms': 60000",
        "'retention_bytes': 30000",
        "'retention_bytes': 37000",
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        fixture_ok(f, "TOPIC.CREATE",
                   fixture_format("{'topic': 'orders', 'settings': {'max_topic_bytes': 40000, %s}}",
                                  settings[i]),
                   NULL);
        for (int round = 0; round < 3; round++) {
            assert_in_range(fill(f), 1, 40);
            fixture_advance(f, 60000 + 2 * ZSP_RETENTION_MS);
        }
        fixture_ok(f, "TOPIC.DELETE", ORDERS, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(published_messages_are_read_back),
        TEST(a_full_topic_lets_go_of_what_retention_may_take),
        TEST(a_waiting_reader_gets_what_comes),
        TEST(topics_come_and_go),
        TEST(a_broken_directory_is_the_brokers_trouble),
        TEST(producers_go_on_where_they_stopped),
        TEST(a_long_log_is_read_over_segments_and_restarts),
        TEST(a_cut_batch_reaches_all_its_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
