/* SPDX-License-Identifier: MPL-2.0
 *
 * The pause between attempts: its bounds, and what many clients that lost their
 * broker at one moment do together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/src/base/backoff.h"

#define CLIENTS   200
#define OUTAGE_MS 3000
#define SLOT_MS   20

static void pauses_double_up_to_the_limit(void **state)
{
    (void)state;
    static const int64_t whole_ms[] = {50, 100, 200, 400, 500, 500, 500};
    struct zsp_backoff backoff = {.first_ms = 50, .max_ms = 500, .random = 1};
    for (int i = 0; i < 1000; i++) {
        for (uint64_t round = 0; round < sizeof whole_ms / sizeof whole_ms[0]; round++) {
            const int64_t pause_ms = zsp_backoff_ms(&backoff, round);
            assert_in_range(pause_ms, whole_ms[round] / 2, whole_ms[round]);
        }
    }
}

static void no_pause_is_empty_or_too_long_at_the_edges(void **state)
{
    (void)state;
    struct zsp_backoff tiny = {.first_ms = 1, .max_ms = 1, .random = 7};
    struct zsp_backoff first_above_max = {.first_ms = 1000, .max_ms = 10, .random = 7};
    struct zsp_backoff huge = {.first_ms = 1, .max_ms = INT64_MAX, .random = 7};
    for (uint64_t round = 0; round < 200; round++) {
        assert_int_equal(zsp_backoff_ms(&tiny, round), 1);
        assert_in_range(zsp_backoff_ms(&first_above_max, round), 5, 10);
        assert_true(zsp_backoff_ms(&huge, round) > 0);
    }
    assert_true(zsp_backoff_ms(&huge, UINT64_MAX) >= INT64_MAX / 2);
}

/* When a client that lost its broker at time 0 is back, if each attempt before OUTAGE_MS fails
 * at once. */
static int64_t back_at_ms(uint64_t seed)
{
    struct zsp_backoff backoff = {.first_ms = 50, .max_ms = 5000, .random = seed};
    int64_t now_ms = zsp_backoff_ms(&backoff, 0);
    for (uint64_t round = 1; now_ms < OUTAGE_MS; round++) {
        now_ms += zsp_backoff_ms(&backoff, round);
    }
    return now_ms;
}

/* 200 clients, a broker that is away for three seconds: they come back over more than a second, and
 * in no 20 ms more than a few of them. */
static void clients_of_a_restarted_broker_come_back_spread_out(void **state)
{
    (void)state;
    unsigned slots[400] = {0};
    int64_t first_ms = INT64_MAX;
    int64_t last_ms = 0;
    unsigned most = 0;
    for (uint64_t client = 0; client < CLIENTS; client++) {
        const int64_t at_ms = back_at_ms((client + 1) * UINT64_C(0x9e3779b97f4a7c15));
        first_ms = at_ms < first_ms ? at_ms : first_ms;
        last_ms = at_ms > last_ms ? at_ms : last_ms;
        unsigned *slot = &slots[(at_ms - OUTAGE_MS) / SLOT_MS];
        (*slot)++;
        most = *slot > most ? *slot : most;
    }
    assert_true(last_ms - first_ms > 1000);
    assert_true(most <= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_double_up_to_the_limit),
        cmocka_unit_test(no_pause_is_empty_or_too_long_at_the_edges),
        cmocka_unit_test(clients_of_a_restarted_broker_come_back_spread_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
