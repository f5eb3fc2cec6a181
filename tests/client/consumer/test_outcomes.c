/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/src/consumer/outcomes.h"

static struct zsp_outcome_run ack_of(const char *topic, uint64_t first)
{
    return (struct zsp_outcome_run){
        .topic = topic, .first = first, .count = 1, .lease = 7, .outcome = WIRE_ACK};
}

static void add(struct zsp_outcomes *list, struct zsp_outcome_run run)
{
    assert_int_equal(zsp_outcomes_add(list, &run), 0);
}

static void neighbours_become_one_run(void **state)
{
    (void)state;
    struct zsp_outcomes list = {0};
    for (uint64_t i = 0; i < 100; i++) {
        add(&list, ack_of("t", i));
    }
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].count, 100);
    zsp_outcomes_fini(&list);
}

static void what_differs_stays_apart(void **state)
{
    (void)state;
    struct zsp_outcomes list = {0};
    struct zsp_outcome_run run = ack_of("t", 1);
    add(&list, ack_of("t", 0));
    run.lease = 8;
    add(&list, run);
    run = ack_of("t", 2);
    run.outcome = WIRE_REJECT;
    add(&list, run);
    add(&list, ack_of("u", 3));
    run = ack_of("u", 4);
    run.partition = 1;
    add(&list, run);
    zsp_outcomes_join(&list);
    assert_int_equal(list.count, 5);
    zsp_outcomes_fini(&list);
}

static void a_message_under_two_leases_parts_the_list(void **state)
{
    (void)state;
    struct zsp_outcomes list = {0};
    struct zsp_outcome_run run = ack_of("t", 3);
    run.count = 4;
    add(&list, run);
    run = ack_of("t", 6);
    run.lease = 8;
    assert_true(zsp_outcomes_meet(&list, &run));
    run.partition = 1; /* other messages */
    assert_false(zsp_outcomes_meet(&list, &run));
    add(&list, run);
    zsp_outcomes_join(&list);
    assert_int_equal(zsp_outcomes_apart(&list, 2), 2);
    run.partition = 0;
    run.first = 7;
    assert_false(zsp_outcomes_meet(&list, &run));
    run.first = 2;
    run.count = 2;
    add(&list, run);
    zsp_outcomes_join(&list);
    assert_int_equal(zsp_outcomes_apart(&list, 3), 1);
    assert_int_equal(list.items[0].first, 2);
    zsp_outcomes_fini(&list);
}

static void joining_sorts_and_keeps_reasons_apart(void **state)
{
    (void)state;
    struct zsp_outcomes list = {0};
    char reason[] = "why";
    for (uint64_t i = 10; i-- > 0;) {
        add(&list, ack_of(i % 2 ? "a" : "b", i / 2));
    }
    struct zsp_outcome_run run = ack_of("c", 0);
    run.outcome = WIRE_REJECT;
    run.reason = reason;
    run.reason_len = 3;
    add(&list, run);
    run.first = 1;
    add(&list, run);
    zsp_outcomes_join(&list);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].topic, "a");
    assert_int_equal(list.items[0].count, 5);
    assert_string_equal(list.items[3].reason, "why");
    zsp_outcomes_fini(&list);
}

static void a_request_takes_what_fits(void **state)
{
    (void)state;
    struct zsp_outcomes list = {0};
    struct zsp_outcomes sent = {0};
    for (uint64_t i = 0; i < 100; i++) {
        add(&list, ack_of("t", 2 * i));
    }
    assert_int_equal(zsp_outcomes_fit(&list, 1000000, 30), 30);
    assert_int_equal(zsp_outcomes_fit(&list, 1, 30), 1);
    const size_t fit = zsp_outcomes_fit(&list, 5000, 4096);
    assert_true(fit > 1 && fit < 100);
    assert_int_equal(zsp_outcomes_move(&list, fit, &sent), 0);
    assert_int_equal(sent.count, fit);
    assert_int_equal(list.count, 100 - fit);
    assert_int_equal(list.items[0].first, 2 * fit);
    struct zsp_writer out = {0};
    zsp_outcomes_write(&sent, "g", &out);
    assert_true(out.len < 5000);
    zsp_writer_fini(&out);
    zsp_outcomes_fini(&list);
    zsp_outcomes_fini(&sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_become_one_run),
        cmocka_unit_test(what_differs_stays_apart),
        cmocka_unit_test(a_message_under_two_leases_parts_the_list),
        cmocka_unit_test(joining_sorts_and_keeps_reasons_apart),
        cmocka_unit_test(a_request_takes_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
