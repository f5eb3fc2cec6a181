/* SPDX-License-Identifier: MPL-2.0
 *
 * "Every function may be called from any thread": producers and consumers shared
 * by several, against a real zspoold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <zspool.h>

#include "tests/support/served.h"

#define WAIT_MS    30000 /* for what takes milliseconds */
#define THREADS    4
#define PER_THREAD 2000
#define PARTITIONS 3

static const char *const topics[] = {"t"};

struct fixture {
    struct served served;
    zspool_producer_t *producer;
    zspool_consumer_t *consumer;
    atomic_uint seen[THREADS * PER_THREAD]; /* how often each number was taken */
    atomic_uint taken, reported;
    atomic_bool all_sent;
};

struct worker {
    struct fixture *fixture;
    pthread_t thread;
    unsigned number;
    const char *failure; /* of the first call that failed; NULL = none */
    int code;
};

static void set_up(struct fixture *self, zspool_reporting_t reporting)
{
    zspool_producer_options_t options;
    memset(self, 0, sizeof *self);
    served_start(&self->served);
    served_topic(self->served.client, "t", PARTITIONS);
    zspool_producer_options_init(&options);
    options.reporting = reporting;
    options.batch_bytes = 1024; /* many batches, in flight at once */
    self->producer = zspool_producer_new(self->served.client, &options, NULL);
    assert_non_null(self->producer);
}

static void tear_down(struct fixture *self)
{
    zspool_consumer_destroy(&self->consumer);
    zspool_producer_destroy(&self->producer);
    served_end(&self->served);
}

static void run_workers(struct fixture *self, void *(*run)(void *), struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.fixture = self, .number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
}

static void join_workers(struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        if (workers[i].failure) {
            fail_msg("thread %u: %s: %s", i, workers[i].failure, zspool_strerror(workers[i].code));
        }
    }
}

/* False when the worker has to end. */
static bool went_well(struct worker *self, const char *call, int code)
{
    if (code != 0) {
        self->failure = call;
        self->code = code;
    }
    return code == 0;
}

/* Message `i` of a worker: its payload is "WORKER I", its partition follows from I. */
static int send_one(const struct worker *self, unsigned i, uint64_t *ret_ticket)
{
    char text[32];
    const int len = snprintf(text, sizeof text, "%u %u", self->number, i);
    zspool_out_t out = zspool_out("t", text, (size_t)len);
    out.partition = (int32_t)(i % PARTITIONS);
    return zspool_send(self->fixture->producer, &out, ret_ticket, NULL);
}

static void numbers_of(const zspool_message_t *message, unsigned *ret_worker, unsigned *ret_i)
{
    char text[32];
    char *end;
    assert_true(message->payload.len < sizeof text);
    memcpy(text, message->payload.data, message->payload.len);
    text[message->payload.len] = '\0';
    *ret_worker = (unsigned)strtoul(text, &end, 10);
    *ret_i = (unsigned)strtoul(end, NULL, 10);
    assert_true(*ret_worker < THREADS && *ret_i < PER_THREAD);
}

/* --- Producers ------------------------------------------------------------------------------- */

static void *send_and_wait(void *arg)
{
    struct worker *self = arg;
    uint64_t last = 0;
    for (unsigned i = 0; i < PER_THREAD; i++) {
        uint64_t ticket = 0;
        if (!went_well(self, "send", send_one(self, i, &ticket)) ||
            !went_well(self, "ticket", ticket > last ? 0 : ZSPOOL_EINTERNAL)) {
            return NULL;
        }
        last = ticket;
        const bool wait = i % 500 == 499;
        if (wait && !went_well(self, "wait",
                               zspool_wait(self->fixture->producer, ticket, WAIT_MS, NULL, NULL))) {
            return NULL;
        }
    }
    (void)went_well(self, "flush", zspool_flush(self->fixture->producer, WAIT_MS, NULL));
    return NULL;
}

static void *take_reports(void *arg)
{
    struct fixture *f = arg;
    zspool_report_t reports[16];
    int count = 0;
    do {
        (void)zspool_dispatch(f->served.client, 10);
        count = zspool_reports(f->producer, reports, 16);
        for (int i = 0; i < count; i++) {
            if (reports[i].status == 0) {
                (void)atomic_fetch_add(&f->reported, (unsigned)reports[i].count);
            }
        }
    } while (count > 0 || !atomic_load(&f->all_sent));
    return NULL;
}

/* In each partition each thread's messages stand in the order in which it sent them. */
static void assert_log_in_order_of_each_thread(struct fixture *f)
{
    unsigned next[THREADS][PARTITIONS];
    zspool_reader_options_t options;
    const zspool_message_t *message;
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned p = 0; p < PARTITIONS; p++) {
            next[t][p] = p;
        }
    }
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *reader = zspool_reader_new(f->served.client, &options, NULL);
    for (int n = 0; n < THREADS * PER_THREAD; n++) {
        unsigned worker;
        unsigned i;
        assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
        numbers_of(message, &worker, &i);
        assert_int_equal(i, next[worker][message->partition]);
        next[worker][message->partition] += PARTITIONS;
    }
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
}

/* Four threads send, wait for tickets of theirs and flush; a fifth takes the reports. */
static void a_producer_is_shared_by_threads(void **state)
{
    (void)state;
    static struct fixture f;
    struct worker workers[THREADS];
    pthread_t reporter;
    set_up(&f, ZSPOOL_REPORT_ALL);
    assert_int_equal(pthread_create(&reporter, NULL, take_reports, &f), 0);
    run_workers(&f, send_and_wait, workers);
    join_workers(workers);
    atomic_store(&f.all_sent, true);
    assert_int_equal(pthread_join(reporter, NULL), 0);
    assert_int_equal(atomic_load(&f.reported), THREADS * PER_THREAD);
    assert_log_in_order_of_each_thread(&f);
    tear_down(&f);
}

/* --- Consumers -------------------------------------------------------------------------------- */

static zspool_consumer_t *consumer_of(zspool_client_t *client)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    options.prefetch_messages = 50;
    return zspool_consumer_new(client, &options, NULL);
}

static void work_off(struct worker *self, zspool_consumer_t *consumer)
{
    struct fixture *f = self->fixture;
    while (atomic_load(&f->taken) < THREADS * PER_THREAD) {
        const zspool_message_t *message;
        unsigned worker;
        unsigned i;
        const int code = zspool_next(consumer, &message, 20, NULL);
        if (code == ZSPOOL_ETIMEOUT) {
            continue; /* the others have them */
        }
        if (!went_well(self, "next", code)) {
            return;
        }
        numbers_of(message, &worker, &i);
        (void)atomic_fetch_add(&f->seen[worker * PER_THREAD + i], 1);
        (void)atomic_fetch_add(&f->taken, 1);
        if (!went_well(self, "settle", zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL))) {
            return;
        }
    }
    (void)went_well(self, "settle_flush", zspool_settle_flush(consumer, WAIT_MS, NULL));
}

static void *work_on_the_shared(void *arg)
{
    struct worker *self = arg;
    work_off(self, self->fixture->consumer);
    return NULL;
}

static void *work_on_ones_own(void *arg)
{
    struct worker *self = arg;
    zspool_consumer_t *consumer = consumer_of(self->fixture->served.client);
    if (!consumer) {
        (void)went_well(self, "consumer_new", ZSPOOL_ENOMEM);
        return NULL;
    }
    work_off(self, consumer);
    zspool_consumer_destroy(&consumer);
    return NULL;
}

static void publish_all(struct fixture *f)
{
    for (unsigned t = 0; t < THREADS; t++) {
        const struct worker as = {.fixture = f, .number = t};
        for (unsigned i = 0; i < PER_THREAD; i++) {
            assert_int_equal(send_one(&as, i, NULL), 0);
        }
    }
    assert_int_equal(zspool_flush(f->producer, WAIT_MS, NULL), 0);
}

static void assert_each_was_taken_once(struct fixture *f)
{
    zspool_group_info_t *info;
    for (unsigned i = 0; i < THREADS * PER_THREAD; i++) {
        assert_int_equal(atomic_load(&f->seen[i]), 1);
    }
    assert_int_equal(zspool_group_info(f->served.client, "g", WAIT_MS, &info, NULL), 0);
    for (size_t i = 0; i < info->part_count; i++) {
        assert_int_equal(info->parts[i].committed, info->parts[i].end_offset);
    }
    zspool_free(info);
}

static void a_consumer_is_shared_by_threads(void **state)
{
    (void)state;
    static struct fixture f;
    struct worker workers[THREADS];
    set_up(&f, ZSPOOL_REPORT_NONE);
    publish_all(&f);
    f.consumer = consumer_of(f.served.client);
    run_workers(&f, work_on_the_shared, workers);
    join_workers(workers);
    assert_each_was_taken_once(&f);
    tear_down(&f);
}

static void consumers_of_one_client_share_a_group(void **state)
{
    (void)state;
    static struct fixture f;
    struct worker workers[THREADS];
    set_up(&f, ZSPOOL_REPORT_NONE);
    publish_all(&f);
    run_workers(&f, work_on_ones_own, workers);
    join_workers(workers);
    assert_each_was_taken_once(&f);
    tear_down(&f);
}

static void *wait_for_ever(void *arg)
{
    struct worker *self = arg;
    const zspool_message_t *message;
    const int code = zspool_next(self->fixture->consumer, &message, -1, NULL);
    (void)went_well(self, "next", code == ZSPOOL_EINTERRUPTED ? 0 : code);
    return NULL;
}

/* How a host ends: interrupt, join, destroy. */
static void threads_that_wait_are_called_back_before_the_end(void **state)
{
    (void)state;
    static struct fixture f;
    struct worker workers[THREADS];
    set_up(&f, ZSPOOL_REPORT_NONE);
    f.consumer = consumer_of(f.served.client);
    run_workers(&f, wait_for_ever, workers);
    zspool_interrupt(f.served.client);
    join_workers(workers);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_producer_is_shared_by_threads),
        cmocka_unit_test(a_consumer_is_shared_by_threads),
        cmocka_unit_test(consumers_of_one_client_share_a_group),
        cmocka_unit_test(threads_that_wait_are_called_back_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
