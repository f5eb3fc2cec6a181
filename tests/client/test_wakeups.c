/* SPDX-License-Identifier: MPL-2.0
 *
 * Who waits sleeps, and is woken at once: no thread of the library looks again
 * and again whether there is something, and a message that comes does not wait
 * for one to look. Against a real zspoold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <zspool.h>

#include "tests/support/proc.h"
#include "tests/support/served.h"

#define WAIT_MS 30000 /* for what takes milliseconds */
#define IDLE_MS 2000
#define ROUNDS  100

static zspool_client_t *client_of(const struct broker_process *broker)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.heartbeat_ms = 600000; /* not while we count */
    zspool_client_t *client = zspool_new(broker->endpoint, &options, NULL);
    assert_int_equal(zspool_connect(client, WAIT_MS, NULL, NULL), 0);
    return client;
}

static int64_t now_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void publish_one(zspool_producer_t *producer, int64_t *ret_sent_us)
{
    const zspool_out_t out = zspool_out("t", "x", 1);
    *ret_sent_us = now_us();
    assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
}

/* --- Asleep ------------------------------------------------------------------------------ */

/* How often all threads but this one went to sleep so far. */
static long switches_of_others(void)
{
    char self[24];
    long sum = 0;
    (void)snprintf(self, sizeof self, "%ld", (long)getpid());
    DIR *tasks = opendir(PROC_THREADS);
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, self) != 0) {
            sum += (long)proc_thread_status(entry->d_name, "voluntary_ctxt_switches:", 10);
        }
    }
    (void)closedir(tasks);
    return sum;
}

/* Ten clients, each with a parked pull, a following reader and a producer: in two seconds nothing
 * of them turns, but for a heartbeat of the broker (each 10 s, some wake-ups each). */
static void idle_clients_sleep(void **state)
{
    enum { CLIENTS = 10 };
    struct broker_process *broker = *state;
    zspool_client_t *clients[CLIENTS];
    zspool_consumer_t *consumers[CLIENTS];
    zspool_reader_t *readers[CLIENTS];
    zspool_producer_t *producers[CLIENTS];
    zspool_reader_options_t replay;
    const zspool_message_t *message;
    int64_t sent_us;
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    replay.follow = true;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_of(broker);
        producers[i] = zspool_producer_new(clients[i], NULL, NULL);
        publish_one(producers[i], &sent_us);
        assert_int_equal(zspool_flush(producers[i], WAIT_MS, NULL), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        consumers[i] = served_consumer(clients[i], "idle");
        readers[i] = zspool_reader_new(clients[i], &replay, NULL);
        for (int n = 0; n < CLIENTS; n++) {
            assert_int_equal(zspool_read(readers[i], &message, WAIT_MS, NULL), 0);
        }
        assert_int_equal(zspool_read(readers[i], &message, 50, NULL), ZSPOOL_ETIMEOUT);
    }
    (void)poll(NULL, 0, 200); /* what was under way is done */
    const long before = switches_of_others();
    (void)poll(NULL, 0, IDLE_MS);
    const long wakeups = switches_of_others() - before;
    for (int i = 0; i < CLIENTS; i++) {
        zspool_reader_destroy(&readers[i]);
        zspool_producer_destroy(&producers[i]);
        zspool_consumer_destroy(&consumers[i]);
        zspool_destroy(&clients[i]);
    }
    print_message("%d idle clients: %ld wake-ups in %d ms\n", CLIENTS, wakeups, IDLE_MS);
    assert_in_range(wakeups, 0, 6 * CLIENTS); /* one that looks each 100 ms makes 200 */
}

/* --- Awake ---------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void a_message_wakes_who_waits_for_it(void **state)
{
    struct broker_process *broker = *state;
    int64_t took_us[ROUNDS];
    zspool_client_t *sending = client_of(broker);
    zspool_client_t *waiting = client_of(broker);
    zspool_producer_t *producer = zspool_producer_new(sending, NULL, NULL);
    zspool_consumer_t *consumer = served_consumer(waiting, "awake");
    for (int i = 0; i < ROUNDS; i++) {
        const zspool_message_t *message;
        int64_t sent_us;
        assert_int_equal(zspool_next(consumer, &message, 2, NULL), ZSPOOL_ETIMEOUT);
        publish_one(producer, &sent_us);
        assert_int_equal(zspool_next(consumer, &message, WAIT_MS, NULL), 0);
        took_us[i] = now_us() - sent_us;
        assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], compare);
    print_message("publish, sync, pull: %d us half of the time, %d us at most\n",
                  (int)took_us[ROUNDS / 2], (int)took_us[ROUNDS - 1]);
    assert_true(took_us[ROUNDS / 2] < 50000); /* nobody looks each 100 ms */
    zspool_consumer_destroy(&consumer);
    zspool_producer_destroy(&producer);
    zspool_destroy(&waiting);
    zspool_destroy(&sending);
}

static int set_up(void **state)
{
    static struct broker_process broker;
    broker_process_init(&broker);
    broker_process_start(&broker, NULL);
    *state = &broker;
    return 0;
}

static int tear_down(void **state)
{
    broker_process_fini(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(idle_clients_sleep),
        TEST(a_message_wakes_who_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
