/* SPDX-License-Identifier: MPL-2.0
 *
 * Every function that waits, before a broker that says nothing: it ends in time,
 * an interrupt ends it at once, and afterwards it waits again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>
#include <zspool.h>

#include "tests/support/obliging_broker.h"

#define WAIT_MS 30000 /* for what takes milliseconds */

struct fixture {
    struct obliging_broker obliging;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_client_t *lonely; /* no broker */
    zspool_producer_t *producer;
    zspool_consumer_t *consumer;
    zspool_reader_t *reader;
    uint64_t ticket;
};

/* --- One of each --------------------------------------------------------------------------- */

static int wait_connect(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_connect(f->lonely, timeout_ms, NULL, err);
}

static int wait_dispatch(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    const int count = zspool_dispatch(f->client, timeout_ms);
    err->code = count == 0 ? ZSPOOL_ETIMEOUT : count;
    return err->code;
}

static int wait_room(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_room(f->producer, 900, timeout_ms, err);
}

static int wait_ticket(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_wait(f->producer, f->ticket, timeout_ms, NULL, err);
}

static int wait_flush(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_flush(f->producer, timeout_ms, err);
}

static int wait_next(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    const zspool_message_t *message;
    return zspool_next(f->consumer, &message, timeout_ms, err);
}

static int wait_settle_flush(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_settle_flush(f->consumer, timeout_ms, err);
}

/* What it holds stays in it, whatever ends the wait. */
static int wait_commit(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_commit_t *commit = zspool_commit_new(f->client, NULL, NULL, NULL);
    const zspool_out_t out = zspool_out("t", "x", 1);
    assert_int_equal(zspool_commit_send(commit, &out, NULL), 0);
    const int rc = zspool_commit_run(commit, timeout_ms, NULL, err);
    zspool_commit_destroy(&commit);
    return rc;
}

static int wait_read(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    const zspool_message_t *message;
    return zspool_read(f->reader, &message, timeout_ms, err);
}

static int wait_ping(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_ping(f->lonely, timeout_ms, NULL, err); /* the fake answers PING by itself */
}

static int wait_stats(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_figures_t *stats;
    return zspool_stats(f->client, timeout_ms, &stats, err);
}

static int wait_topic_create(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, "t");
    return zspool_topic_create(f->client, &spec, timeout_ms, err);
}

static int wait_topic_set(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_topic_spec_t spec;
    zspool_topic_spec_init(&spec, "t");
    return zspool_topic_set(f->client, &spec, timeout_ms, err);
}

static int wait_topic_info(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_topic_info_t *info;
    return zspool_topic_info(f->client, "t", timeout_ms, &info, err);
}

static int wait_topic_list(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_names_t *names;
    return zspool_topic_list(f->client, NULL, timeout_ms, &names, err);
}

static int wait_topic_delete(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_topic_delete(f->client, "t", false, timeout_ms, err);
}

static int wait_group_create(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, "g");
    return zspool_group_create(f->client, &spec, timeout_ms, err);
}

static int wait_group_set(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_group_spec_t spec;
    zspool_group_spec_init(&spec, "g");
    return zspool_group_set(f->client, &spec, timeout_ms, err);
}

static int wait_group_trace(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_trace_t *trace;
    return zspool_group_trace(f->client, "g", "t", 0, 0, timeout_ms, &trace, err);
}

static int wait_group_info(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_group_info_t *info;
    return zspool_group_info(f->client, "g", timeout_ms, &info, err);
}

static int wait_group_list(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_names_t *names;
    return zspool_group_list(f->client, "*", timeout_ms, &names, err);
}

static int wait_group_delete(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_group_delete(f->client, "g", true, timeout_ms, err);
}

static int wait_group_pause(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_group_pause(f->client, "g", timeout_ms, err);
}

static int wait_group_resume(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_group_resume(f->client, "g", timeout_ms, err);
}

static int wait_topic_purge(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_purge_spec_t spec;
    zspool_purge_result_t *result;
    zspool_purge_spec_init(&spec, "t");
    spec.before.kind = ZSPOOL_POSITION_LATEST;
    return zspool_topic_purge(f->client, &spec, timeout_ms, &result, err);
}

static int wait_dead_list(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_dead_choice_t choice;
    zspool_dead_list_t *list;
    zspool_dead_choice_init(&choice, "g");
    return zspool_dead_list(f->client, &choice, 0, timeout_ms, &list, err);
}

static int wait_dead_read(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    const zspool_dead_run_t run = {"t", 0, 0, 1};
    zspool_dead_choice_t choice;
    zspool_dead_messages_t *messages;
    zspool_dead_choice_init(&choice, "g");
    choice.runs = &run;
    choice.run_count = 1;
    return zspool_dead_read(f->client, &choice, timeout_ms, &messages, err);
}

static int wait_dead_redrive(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_dead_choice_t choice;
    zspool_dead_result_t *result;
    zspool_dead_choice_init(&choice, "g");
    choice.all = true;
    return zspool_dead_redrive(f->client, &choice, timeout_ms, &result, err);
}

static int wait_dead_stop(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_dead_result_t *result;
    return zspool_dead_stop(f->client, "g", timeout_ms, &result, err);
}

static int wait_dead_drop(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_dead_choice_t choice;
    zspool_dead_result_t *result;
    zspool_dead_choice_init(&choice, "g");
    choice.all = true;
    return zspool_dead_drop(f->client, &choice, timeout_ms, &result, err);
}

static int wait_savepoint_save(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_savepoint_save(f->client, "g", "s", false, timeout_ms, err);
}

static int wait_savepoint_list(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_savepoint_list_t *list;
    return zspool_savepoint_list(f->client, "g", timeout_ms, &list, err);
}

static int wait_savepoint_drop(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    return zspool_savepoint_drop(f->client, "g", "s", true, timeout_ms, err);
}

static int wait_savepoint_restore(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_restore_result_t *result;
    return zspool_savepoint_restore(f->client, "g", "s", false, timeout_ms, &result, err);
}

static int wait_savepoint_undo(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_restore_result_t *result;
    return zspool_savepoint_undo(f->client, "g", false, timeout_ms, &result, err);
}

static int wait_group_replay(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_replay_spec_t spec;
    zspool_replay_result_t *result;
    zspool_replay_spec_init(&spec, "g");
    spec.from.kind = ZSPOOL_POSITION_EARLIEST;
    return zspool_group_replay(f->client, &spec, timeout_ms, &result, err);
}

static int wait_group_seek(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_seek_spec_t spec;
    zspool_seek_result_t *result;
    zspool_seek_spec_init(&spec, "g", "t");
    spec.to.kind = ZSPOOL_POSITION_EARLIEST;
    return zspool_group_seek(f->client, &spec, timeout_ms, &result, err);
}

static int wait_producer_info(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_producer_info_t *info;
    return zspool_producer_info(f->client, "p", timeout_ms, &info, err);
}

static int wait_settle_at(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_settle_run_t run;
    memset(&run, 0, sizeof run);
    run.topic = "t";
    run.count = 1;
    run.lease = 7;
    zspool_settle_arg_init(&run.arg);
    return zspool_settle_at(f->client, "g", &run, 1, timeout_ms, err);
}

static int wait_request(struct fixture *f, int timeout_ms, zspool_error_t *err)
{
    zspool_request_spec_t spec;
    zspool_reply_t *reply;
    zspool_request_spec_init(&spec, "TOPIC.LIST");
    return zspool_request(f->client, &spec, timeout_ms, &reply, err);
}

typedef int wait_fn(struct fixture *f, int timeout_ms, zspool_error_t *err);

static const struct {
    const char *name;
    wait_fn *wait;
    bool asks; /* a request, so that `maybe` tells whether it was sent */
} cases[] = {
    {"connect", wait_connect, false},
    {"dispatch", wait_dispatch, false},
    {"room", wait_room, false},
    {"wait", wait_ticket, false},
    {"flush", wait_flush, false},
    {"next", wait_next, false},
    {"settle_flush", wait_settle_flush, false},
    {"commit_run", wait_commit, false},
    {"read", wait_read, false},
    {"ping", wait_ping, false},
    {"stats", wait_stats, true},
    {"topic_create", wait_topic_create, true},
    {"topic_set", wait_topic_set, true},
    {"topic_info", wait_topic_info, true},
    {"topic_list", wait_topic_list, true},
    {"topic_delete", wait_topic_delete, true},
    {"topic_purge", wait_topic_purge, true},
    {"group_create", wait_group_create, true},
    {"group_set", wait_group_set, true},
    {"group_info", wait_group_info, true},
    {"group_trace", wait_group_trace, true},
    {"group_list", wait_group_list, true},
    {"group_delete", wait_group_delete, true},
    {"group_pause", wait_group_pause, true},
    {"group_resume", wait_group_resume, true},
    {"group_seek", wait_group_seek, true},
    {"group_replay", wait_group_replay, true},
    {"dead_list", wait_dead_list, true},
    {"dead_read", wait_dead_read, true},
    {"dead_redrive", wait_dead_redrive, true},
    {"dead_drop", wait_dead_drop, true},
    {"dead_stop", wait_dead_stop, true},
    {"savepoint_save", wait_savepoint_save, true},
    {"savepoint_list", wait_savepoint_list, true},
    {"savepoint_drop", wait_savepoint_drop, true},
    {"savepoint_restore", wait_savepoint_restore, true},
    {"savepoint_undo", wait_savepoint_undo, true},
    {"producer_info", wait_producer_info, true},
    {"settle_at", wait_settle_at, true},
    {"request", wait_request, true},
};
#define CASES (sizeof cases / sizeof cases[0])

/* --- A silent broker, and something open at each object --------------------------------------- */

static zspool_consumer_t *consumer_of(zspool_client_t *client)
{
    static const char *const topics[] = {"t"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "g";
    options.topics = topics;
    options.topic_count = 1;
    zspool_consumer_t *consumer = zspool_consumer_new(client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

static int set_up(void **state)
{
    static struct fixture f;
    zspool_options_t options;
    zspool_reader_options_t replay;
    zspool_producer_options_t full;
    const zspool_message_t *message;
    const char payload[500] = "half of the room";
    const zspool_out_t out = zspool_out("t", payload, sizeof payload);
    memset(&f, 0, sizeof f);
    f.obliging.stock = 1;
    f.broker = fake_broker_start(obliging_handler, &f.obliging);
    zspool_options_init(&options);
    options.linger_ms = 1; /* nothing will be answered */
    f.client = zspool_new(fake_broker_endpoint(f.broker), &options, NULL);
    f.lonely = zspool_new("tcp://127.0.0.1:1", NULL, NULL);
    f.consumer = consumer_of(f.client);
    assert_int_equal(zspool_next(f.consumer, &message, WAIT_MS, NULL), 0);
    atomic_store(&f.obliging.silent, true);
    assert_int_equal(zspool_settle(f.consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    zspool_producer_options_init(&full);
    full.max_bytes = 1000;
    f.producer = zspool_producer_new(f.client, &full, NULL);
    assert_int_equal(zspool_send(f.producer, &out, &f.ticket, NULL), 0);
    zspool_reader_options_init(&replay);
    replay.topic = "t";
    f.reader = zspool_reader_new(f.client, &replay, NULL);
    assert_non_null(f.reader);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zspool_reader_destroy(&f->reader);
    zspool_producer_destroy(&f->producer);
    zspool_consumer_destroy(&f->consumer);
    zspool_destroy(&f->client);
    zspool_destroy(&f->lonely);
    fake_broker_stop(&f->broker);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True: the request was sent before the time was over. */
static bool times_out(struct fixture *f, size_t index, int timeout_ms)
{
    zspool_error_t err = {0};
    const int64_t began_ms = now_ms();
    const int code = cases[index].wait(f, timeout_ms, &err);
    if (code != ZSPOOL_ETIMEOUT || err.code != code) {
        fail_msg("%s: %d, want a time-out: %s", cases[index].name, code, err.message);
    }
    const int64_t took_ms = now_ms() - began_ms;
    if (took_ms < timeout_ms - 1) { /* the clock's last millisecond may be cut off */
        fail_msg("%s: back after %d ms", cases[index].name, (int)took_ms);
    }
    return err.maybe;
}

/* On a busy machine the time may be over before the client's thread had its turn to send. */
static void assert_times_out(struct fixture *f, size_t index, int timeout_ms)
{
    bool sent = times_out(f, index, timeout_ms);
    for (int ms = timeout_ms; !sent && cases[index].asks && ms > 0; ms *= 2) {
        if (ms > WAIT_MS) {
            fail_msg("%s: was sent, and `maybe` is not set", cases[index].name);
        }
        sent = times_out(f, index, ms);
    }
}

/* --- Tests -------------------------------------------------------------------------------------- */

static void a_wait_of_0_does_not_wait(void **state)
{
    for (size_t i = 0; i < CASES; i++) {
        assert_times_out(*state, i, 0);
    }
}

static void a_wait_ends_in_time(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(zspool_connect(f->client, WAIT_MS, NULL, NULL), 0);
    for (size_t i = 0; i < CASES; i++) {
        assert_times_out(f, i, 50);
    }
}

static void *interrupt_both(void *arg)
{
    struct fixture *f = arg;
    zspool_interrupt(f->client);
    zspool_interrupt(f->lonely);
    return NULL;
}

/* One waits for ever, and another thread says that it is enough. */
static void an_interrupt_ends_every_wait(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < CASES; i++) {
        zspool_error_t err = {0};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, interrupt_both, f), 0);
        int code = cases[i].wait(f, -1, &err);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (code != ZSPOOL_EINTERRUPTED) {
            fail_msg("%s: %d, want interrupted: %s", cases[i].name, code, err.message);
        }
        code = cases[i].wait(f, -1, &err); /* and it stays so */
        assert_int_equal(code, ZSPOOL_EINTERRUPTED);
        assert_int_equal(cases[i].wait(f, 0, &err), ZSPOOL_EINTERRUPTED);
        zspool_interrupt_clear(f->client);
        zspool_interrupt_clear(f->lonely);
        assert_times_out(f, i, 5);
    }
}

static void what_is_there_comes_in_spite_of_an_interrupt(void **state)
{
    struct fixture *f = *state;
    const zspool_message_t *message;
    zspool_consumer_destroy(&f->consumer); /* of a broker that says nothing */
    assert_int_equal(zspool_ping(f->client, WAIT_MS, NULL, NULL), 0); /* and has heard all of it */
    atomic_store(&f->obliging.silent, false);
    atomic_store(&f->obliging.stock, 1);
    f->consumer = consumer_of(f->client);
    zspool_reader_want(f->reader, false);
    assert_int_equal(zspool_dispatch(f->client, WAIT_MS), 1);
    zspool_interrupt(f->client);
    assert_int_equal(zspool_dispatch(f->client, 0), 1);
    assert_int_equal(zspool_next(f->consumer, &message, 0, NULL), 0);
    assert_int_equal(zspool_next(f->consumer, &message, -1, NULL), ZSPOOL_EINTERRUPTED);
    zspool_interrupt_clear(f->client);
}

/* A signal handler may do nothing but this. */
static void interrupting_nothing_is_fine(void **state)
{
    (void)state;
    zspool_interrupt(NULL);
    zspool_interrupt_clear(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wait_of_0_does_not_wait),
        TEST(a_wait_ends_in_time),
        TEST(an_interrupt_ends_every_wait),
        TEST(what_is_there_comes_in_spite_of_an_interrupt),
        cmocka_unit_test(interrupting_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
