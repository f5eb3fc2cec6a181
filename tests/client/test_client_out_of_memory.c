/* SPDX-License-Identifier: MPL-2.0
 *
 * What the library does when the allocator says no, at any moment of a client's
 * life: an error, or a little later, never a crash, a leak or a wrong result. The
 * linker sends the allocations of this program (not libzmq's) through the
 * functions below (--wrap).
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
#include <zspool.h>

#include "tests/support/broker_process.h"

#define WAIT_MS  30000 /* for what takes milliseconds */
#define MESSAGES 30

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static atomic_int countdown; /* allocations until one fails; below 0: none does */

static bool refused(void)
{
    return atomic_load(&countdown) >= 0 && atomic_fetch_sub(&countdown, 1) == 0;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return refused() ? NULL : __real_realloc(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

/* --- A life in which every call may fail ------------------------------------------------------- */

struct life {
    zspool_client_t *client;
    zspool_producer_t *producer;
    zspool_consumer_t *consumer;
    zspool_reader_t *reader;
};

/* ENOMEM is a fine answer; so is every other that says what happened. */
static void publish(struct life *self)
{
    const zspool_header_t header = {{"n", 1}, {"v", 1}, true};
    uint64_t ticket = 0;
    int sent = 0;
    for (int i = 0; i < MESSAGES; i++) {
        zspool_out_t out = zspool_out(i % 2 ? "new" : "other", "payload", 7);
        out.key = zspool_text(i % 3 ? "k" : NULL);
        out.headers = &header;
        out.header_count = 1;
        const int code = zspool_send(self->producer, &out, &ticket, NULL);
        assert_true(code == 0 || code == ZSPOOL_ENOMEM);
        sent += code == 0 ? 1 : 0;
    }
    if (sent > 0) {
        assert_int_equal(zspool_wait(self->producer, ticket, WAIT_MS, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(self->producer, WAIT_MS, NULL), 0);
}

/* What could not be kept of a reply stays leased, and is handed out again later. */
static void consume(struct life *self)
{
    int code = 0;
    while (code != ZSPOOL_END) {
        const zspool_message_t *message;
        code = zspool_next(self->consumer, &message, WAIT_MS, NULL);
        assert_true(code == 0 || code == ZSPOOL_END || code == ZSPOOL_ENOMEM);
        if (code == 0) {
            code = zspool_settle(self->consumer, message, ZSPOOL_ACK, NULL, NULL);
            if (code == ZSPOOL_ENOMEM) { /* then it is still in hand */
                code = zspool_settle(self->consumer, message, ZSPOOL_RELEASE, NULL, NULL);
            }
            assert_int_equal(code, 0);
        }
    }
    assert_int_equal(zspool_settle_flush(self->consumer, WAIT_MS, NULL), 0);
}

static void replay(struct life *self)
{
    const zspool_message_t *message;
    uint64_t next = 0;
    int code = 0;
    while (code != ZSPOOL_END) { /* after an error the next call goes on where it was */
        code = zspool_read(self->reader, &message, WAIT_MS, NULL);
        assert_true(code == 0 || code == ZSPOOL_END || code == ZSPOOL_ENOMEM ||
                    code == ZSPOOL_EBAD_RECORD);
        if (code == 0) {
            assert_int_equal(message->offset, next);
            next++;
        }
    }
    assert_int_equal(next, MESSAGES);
}

static void administer(struct life *self)
{
    zspool_topic_info_t *info = NULL;
    zspool_names_t *names = NULL;
    zspool_reply_t *reply = NULL;
    zspool_request_spec_t spec;
    zspool_request_spec_init(&spec, "STATS");
    spec.repeatable = true; /* a reply that cannot be read for want of memory ends the connection */
    zspool_settle_run_t run = {.topic = "old", .count = 1, .lease = 1};
    zspool_settle_arg_init(&run.arg);
    int code = zspool_topic_info(self->client, "old", WAIT_MS, &info, NULL);
    assert_true(code == 0 ? info != NULL : code == ZSPOOL_ENOMEM);
    code = zspool_topic_list(self->client, NULL, WAIT_MS, &names, NULL);
    assert_true(code == 0 ? names != NULL : code == ZSPOOL_ENOMEM);
    code = zspool_request(self->client, &spec, WAIT_MS, &reply, NULL);
    assert_true(code == 0 ? reply != NULL : code == ZSPOOL_ENOMEM);
    code = zspool_settle_at(self->client, "all", &run, 1, WAIT_MS, NULL);
    assert_true(code == 0 || code == ZSPOOL_ENOMEM);
    zspool_free(info);
    zspool_free(names);
    zspool_free(reply);
}

static void begin(struct life *self, const char *endpoint, const char *group)
{
    static const char *const topics[] = {"old"};
    zspool_options_t options;
    zspool_consumer_options_t in;
    zspool_reader_options_t old;
    zspool_error_t err = {0};
    *self = (struct life){0};
    zspool_options_init(&options);
    options.reconnect_ms = 1;
    options.linger_ms = 100;
    zspool_consumer_options_init(&in);
    in.group = group;
    in.topics = topics;
    in.topic_count = 1;
    in.end_when_empty = true;
    zspool_reader_options_init(&old);
    old.topic = "old";
    self->client = zspool_new(endpoint, &options, &err);
    assert_true(self->client ? err.code == 0 : err.code == ZSPOOL_ENOMEM);
    if (self->client) {
        self->producer = zspool_producer_new(self->client, NULL, NULL);
        self->consumer = zspool_consumer_new(self->client, &in, NULL);
        self->reader = zspool_reader_new(self->client, &old, NULL);
    }
}

static void end(struct life *self)
{
    zspool_reader_destroy(&self->reader);
    zspool_consumer_destroy(&self->consumer);
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    assert_null(self->client);
}

/* True when no allocation was refused any more. */
static bool live(const struct broker_process *broker, int refuse_at)
{
    struct life self;
    char group[32];
    (void)snprintf(group, sizeof group, "group-%d", refuse_at);
    atomic_store(&countdown, refuse_at);
    begin(&self, broker->endpoint, group);
    if (self.producer) {
        publish(&self);
    }
    if (self.consumer) {
        consume(&self);
    }
    if (self.reader) {
        replay(&self);
    }
    if (self.client) {
        administer(&self);
    }
    const bool over = atomic_exchange(&countdown, -1) >= 0;
    end(&self);
    return over;
}

static void prepare(const struct broker_process *broker)
{
    zspool_group_spec_t group;
    zspool_client_t *client = zspool_new(broker->endpoint, NULL, NULL);
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    for (int i = 0; i < MESSAGES; i++) {
        const zspool_out_t out = zspool_out("old", "payload", 7);
        assert_int_equal(zspool_send(producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(producer, WAIT_MS, NULL), 0);
    zspool_group_spec_init(&group, "all");
    assert_int_equal(zspool_group_create(client, &group, WAIT_MS, NULL), 0);
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct broker_process broker;
    int refuse_at = 0;
    atomic_store(&countdown, -1);
    broker_process_init(&broker);
    broker_process_start(&broker, NULL);
    prepare(&broker);
    while (!live(&broker, refuse_at)) {
        refuse_at++;
    }
    print_message("%d allocations refused, one in each life\n", refuse_at);
    assert_true(refuse_at > 50);
    broker_process_fini(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
