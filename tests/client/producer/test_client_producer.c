/* SPDX-License-Identifier: MPL-2.0
 *
 * Producers against a broker that keeps books and misbehaves on command: what
 * was appended is compared with what was reported.
 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zspool.h>

#include "common/err.h"
#include "common/hash.h"
#include "common/record.h"
#include "tests/support/clock_ahead.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS        20000 /* for what takes milliseconds */
#define PARTITIONS_MAX 8u
#define KEPT_MAX       4096u
#define HELD_MAX       10u

enum trouble {
    NO_TROUBLE,
    LOSE_REPLY,   /* append, then cut the connection */
    LOSE_REQUEST, /* cut the connection */
    REFUSE,       /* answer with book.code */
    FORGET,       /* cut the connection and forget the producer's name */
    LOSE_WRITTEN, /* cut the connection, lose all that was appended, be another instance */
    STAY_SILENT   /* no answer, which book.silent tells */
};

struct kept {
    uint32_t partition;
    char payload[16];
    char key[16];
};

/* What a broker keeps. One topic, one producer. */
struct book {
    enum trouble trouble; /* at publish number trouble_at */
    unsigned trouble_at;
    int code;
    const char *object;
    sem_t silent;

    bool topic_exists;
    uint32_t partitions;
    unsigned
        growths; /* to come: each when HELD_MAX publishes are there, which are held until then */
    struct fake_request held[HELD_MAX];
    unsigned held_count;
    unsigned publish_count, open_count, info_count;
    uint32_t epoch;
    uint64_t last_seq[PARTITIONS_MAX];
    uint64_t end[PARTITIONS_MAX];
    struct kept kept[KEPT_MAX];
    size_t kept_count;
};

static void copy(char *to, size_t size, struct zsp_slice from)
{
    const size_t len = from.len < size - 1 ? from.len : size - 1;
    if (len > 0) {
        memcpy(to, from.data, len);
    }
    to[len] = '\0';
}

static void append(struct book *book, uint32_t partition, struct zsp_slice body)
{
    struct zsp_slice bytes;
    while (zsp_record_next(&body, &bytes) == 0) {
        struct zsp_record record;
        assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
        assert_true(book->kept_count < KEPT_MAX);
        struct kept *kept = &book->kept[book->kept_count++];
        kept->partition = partition;
        copy(kept->payload, sizeof kept->payload, record.payload);
        copy(kept->key, sizeof kept->key, record.key);
    }
}

static void confirm(struct fake_broker *broker, const struct fake_request *request, uint64_t count,
                    uint32_t partition, uint64_t first, bool duplicate)
{
    char map[200];
    const struct zsp_slice level = fake_text(request, "level");
    (void)snprintf(map, sizeof map,
                   "{'at': [[0, %llu, %u, %llu, %s]], 'timestamp_ms': 5, 'level': '%s'}",
                   (unsigned long long)count, partition, (unsigned long long)first,
                   duplicate ? "true" : "false", level.len > 0 ? "written" : "synced");
    fake_reply(broker, request, map);
}

static bool is_up_to_date(const struct fake_request *request, const struct book *book)
{
    return fake_uint(request, "partitions", book->partitions) == book->partitions;
}

static void publish(struct fake_broker *broker, const struct fake_request *request,
                    struct book *book, bool answer)
{
    const uint32_t partition = (uint32_t)fake_uint(request, "partition", 0);
    const uint64_t count = fake_uint(request, "count", 0);
    const uint64_t seq = fake_uint(request, "seq", 0);
    assert_true(partition < PARTITIONS_MAX);
    if (!is_up_to_date(request, book)) {
        fake_refuse(broker, request, ZSP_EWOULD_REORDER, false, "topic t");
        return;
    }
    book->topic_exists = true;
    if (book->epoch == 0) {
        fake_refuse(broker, request, ZSP_ENOT_FOUND, false, "producer p");
        return;
    }
    if (fake_uint(request, "epoch", 0) != book->epoch) {
        fake_refuse(broker, request, ZSP_EFENCED_PRODUCER, false, "producer p");
        return;
    }
    const uint64_t last = book->last_seq[partition];
    if (seq + count - 1 <= last) {
        confirm(broker, request, count, partition, seq - 1, true);
        return;
    }
    if (seq != last + 1) {
        fake_refuse(broker, request, ZSP_ESEQUENCE_GAP, false, "producer p");
        return;
    }
    append(book, partition, request->body);
    book->last_seq[partition] += count;
    book->end[partition] += count;
    if (answer) {
        confirm(broker, request, count, partition, book->end[partition] - count, false);
    }
}

/* The topic grows between route and answer, by one partition. */
static void hold_and_grow(struct fake_broker *broker, const struct fake_request *request,
                          struct book *book)
{
    book->held[book->held_count++] = *request;
    if (book->held_count == HELD_MAX) {
        for (unsigned i = 0; i < HELD_MAX; i++) {
            fake_refuse(broker, &book->held[i], ZSP_EWOULD_REORDER, false, "topic t");
        }
        book->held_count = 0;
        book->partitions++;
        book->growths--;
    }
}

static void be_in_trouble(struct fake_broker *broker, const struct fake_request *request,
                          struct book *book)
{
    switch (book->trouble) {
    case NO_TROUBLE:
        break;
    case STAY_SILENT:
        assert_int_equal(sem_post(&book->silent), 0);
        break;
    case LOSE_REPLY:
        publish(broker, request, book, false);
        fake_drop(broker);
        break;
    case FORGET:
        book->epoch = 0;
        memset(book->last_seq, 0, sizeof book->last_seq);
        fake_drop(broker);
        break;
    case LOSE_WRITTEN:
        memset(book->last_seq, 0, sizeof book->last_seq);
        memset(book->end, 0, sizeof book->end);
        book->kept_count = 0;
        fake_new_instance(broker);
        fake_drop(broker);
        break;
    case LOSE_REQUEST:
        fake_drop(broker);
        break;
    case REFUSE:
        fake_refuse(broker, request, book->code, false, book->object);
        break;
    }
}

static void open_producer(struct fake_broker *broker, const struct fake_request *request,
                          struct book *book)
{
    char map[512];
    int len = snprintf(map, sizeof map, "{'epoch': %u, 'last': [", ++book->epoch);
    const char *comma = "";
    for (uint32_t p = 0; p < PARTITIONS_MAX; p++) {
        if (book->last_seq[p] > 0) {
            len += snprintf(map + len, sizeof map - (size_t)len, "%s['t', %u, %llu]", comma, p,
                            (unsigned long long)book->last_seq[p]);
            comma = ", ";
        }
    }
    (void)snprintf(map + len, sizeof map - (size_t)len, "]}");
    book->open_count++;
    fake_reply(broker, request, map);
}

static void tell_topic(struct fake_broker *broker, const struct fake_request *request,
                       struct book *book)
{
    char map[512];
    book->info_count++;
    if (!book->topic_exists) {
        fake_refuse(broker, request, ZSP_ENOT_FOUND, false, "topic t");
        return;
    }
    int len = snprintf(map, sizeof map, "{'topic': 't', 'id': 1, 'partitions': [");
    for (uint32_t p = 0; p < book->partitions; p++) {
        len += snprintf(map + len, sizeof map - (size_t)len, "%s[%u, 0, 0, 0]", p ? ", " : "", p);
    }
    (void)snprintf(map + len, sizeof map - (size_t)len, "]}");
    fake_reply(broker, request, map);
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct book *book = arg;
    if (fake_is(request, "PRODUCER.OPEN")) {
        open_producer(broker, request, book);
    } else if (fake_is(request, "TOPIC.INFO")) {
        tell_topic(broker, request, book);
    } else if (fake_is(request, "TOPIC.CREATE")) {
        book->topic_exists = true;
        fake_reply(broker, request, "{'id': 1}");
    } else if (fake_is(request, "PUBLISH")) {
        book->publish_count++;
        if (book->publish_count == book->trouble_at) {
            be_in_trouble(broker, request, book);
        } else if (book->growths > 0 && is_up_to_date(request, book)) {
            hold_and_grow(broker, request, book);
        } else {
            publish(broker, request, book, true);
        }
    }
}

/* --- A producer and its broker -------------------------------------------------------- */

struct fixture {
    struct book book;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_producer_t *producer;
};

static void set_up(struct fixture *self, zspool_producer_options_t *options)
{
    zspool_options_t client_options;
    zspool_options_init(&client_options);
    client_options.reconnect_ms = 5;
    assert_int_equal(sem_init(&self->book.silent, 0, 0), 0);
    self->book.partitions = self->book.partitions ? self->book.partitions : 1;
    self->broker = fake_broker_start(handler, &self->book);
    self->client = zspool_new(fake_broker_endpoint(self->broker), &client_options, NULL);
    assert_non_null(self->client);
    self->producer = zspool_producer_new(self->client, options, NULL);
    assert_non_null(self->producer);
}

static void tear_down(struct fixture *self)
{
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    if (self->broker) {
        fake_broker_stop(&self->broker);
    }
    (void)sem_destroy(&self->book.silent);
    clock_true();
}

static uint64_t send_one(struct fixture *self, const char *payload, const char *key)
{
    zspool_error_t err = {0};
    uint64_t ticket = 0;
    zspool_out_t out = zspool_out("t", payload, strlen(payload));
    out.key = zspool_text(key);
    assert_int_equal(zspool_send(self->producer, &out, &ticket, &err), 0);
    return ticket;
}

/* Send and wait one by one, so that each is a batch. */
static int send_and_wait(struct fixture *self, const char *payload)
{
    return zspool_wait(self->producer, send_one(self, payload, NULL), WAIT_MS, NULL, NULL);
}

/* The book holds exactly first .. last, in order. */
static void assert_kept(struct fixture *self, int first, int last)
{
    fake_broker_stop(&self->broker);
    assert_int_equal(self->book.kept_count, last - first + 1);
    for (int i = first; i <= last; i++) {
        assert_int_equal((int)strtol(self->book.kept[i - first].payload, NULL, 10), i);
    }
}

static void send_numbers(struct fixture *self, int first, int last)
{
    char text[16];
    for (int i = first; i <= last; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        (void)send_one(self, text, NULL);
    }
}

/* --- Tests ------------------------------------------------------------------------------ */

static void a_message_is_confirmed_with_its_address(void **state)
{
    (void)state;
    struct fixture f = {.book = {.topic_exists = true}};
    zspool_report_t report;
    set_up(&f, NULL);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    const uint64_t ticket = send_one(&f, "2", NULL);
    assert_int_equal(zspool_wait(f.producer, ticket, WAIT_MS, &report, NULL), 0);
    assert_int_equal(report.first_ticket, 2);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.first_offset, 1);
    assert_int_equal(report.partition, 0);
    assert_int_equal(report.timestamp_ms, 5);
    assert_string_equal(report.topic, "t");
    assert_false(report.duplicate);
    tear_down(&f);
}

static void a_message_whose_reply_was_lost_is_not_doubled(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = LOSE_REPLY, .trouble_at = 2}};
    zspool_report_t report;
    set_up(&f, NULL);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    const uint64_t ticket = send_one(&f, "2", NULL);
    assert_int_equal(zspool_wait(f.producer, ticket, WAIT_MS, &report, NULL), 0);
    assert_true(report.duplicate);
    assert_int_equal(report.first_offset, 1);
    assert_kept(&f, 1, 2);
    tear_down(&f);
}

static void a_message_whose_request_was_lost_is_sent_again(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = LOSE_REQUEST, .trouble_at = 1}};
    set_up(&f, NULL);
    send_numbers(&f, 1, 500);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_kept(&f, 1, 500);
    tear_down(&f);
}

static void batches_behind_a_passing_refusal_stay_in_order(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE, .trouble_at = 2, .code = ZSP_ENO_SPACE}};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.batch_bytes = 32;
    set_up(&f, &options);
    send_numbers(&f, 1, 300);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_kept(&f, 1, 300);
    tear_down(&f);
}

static void a_refusal_for_good_fails_its_own_batch_only(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE, .trouble_at = 2, .code = ZSP_EDENIED}};
    set_up(&f, NULL);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    assert_int_equal(send_and_wait(&f, "9"), ZSPOOL_EDENIED);
    assert_int_equal(send_and_wait(&f, "2"), 0);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), ZSPOOL_EDENIED);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_kept(&f, 1, 2);
    tear_down(&f);
}

static void batches_sent_behind_a_refused_one_are_not_lost(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE, .trouble_at = 3, .code = ZSP_EDENIED}};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.batch_bytes = 64;
    options.reporting = ZSPOOL_REPORT_ALL;
    set_up(&f, &options);
    send_numbers(&f, 1, 1000);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), ZSPOOL_EDENIED);
    zspool_report_t reports[1000];
    const int count = zspool_reports(f.producer, reports, 1000);
    uint64_t kept = 0;
    uint64_t refused = 0;
    for (int i = 0; i < count; i++) {
        kept += reports[i].status == 0 ? reports[i].count : 0;
        refused += reports[i].status == ZSPOOL_EDENIED ? reports[i].count : 0;
    }
    assert_int_equal(kept + refused, 1000);
    assert_true(refused > 0);
    fake_broker_stop(&f.broker);
    assert_int_equal(f.book.kept_count, kept);
    for (size_t i = 1; i < f.book.kept_count; i++) {
        assert_true((int)strtol(f.book.kept[i].payload, NULL, 10) >
                    (int)strtol(f.book.kept[i - 1].payload, NULL, 10));
    }
    tear_down(&f);
}

static void a_forgotten_name_leaves_the_unanswered_in_doubt(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = FORGET, .trouble_at = 2}};
    zspool_report_t report;
    zspool_error_t err = {0};
    set_up(&f, NULL);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    const uint64_t ticket = send_one(&f, "2", NULL);
    assert_int_equal(zspool_wait(f.producer, ticket, WAIT_MS, &report, &err), ZSPOOL_ENOT_FOUND);
    assert_true(report.maybe);
    assert_true(err.maybe);
    assert_int_equal(send_and_wait(&f, "3"), 0);
    tear_down(&f);
}

static void what_was_written_and_lost_is_reported(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = LOSE_WRITTEN, .trouble_at = 3}};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = ZSPOOL_WRITTEN;
    options.reporting = ZSPOOL_REPORT_FAILED;
    set_up(&f, &options);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    assert_int_equal(send_and_wait(&f, "2"), 0);
    assert_int_equal(send_and_wait(&f, "3"), 0);
    zspool_report_t reports[8];
    assert_int_equal(zspool_reports(f.producer, reports, 8), 2);
    assert_true(reports[0].lost);
    assert_int_equal(reports[0].first_ticket, 1);
    assert_int_equal(reports[1].first_ticket, 2);
    assert_int_equal(zspool_wait(f.producer, 1, 0, NULL, NULL), ZSPOOL_ESTORAGE_FAILED);
    assert_kept(&f, 3, 3);
    tear_down(&f);
}

static void keys_go_where_the_broker_would_put_them(void **state)
{
    (void)state;
    struct fixture f = {.book = {.partitions = 5}};
    char key[16];
    set_up(&f, NULL); /* the topic is made by the first publish, with five partitions */
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i % 40);
        (void)send_one(&f, "x", key);
    }
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    fake_broker_stop(&f.broker);
    assert_int_equal(f.book.kept_count, 200);
    for (size_t i = 0; i < f.book.kept_count; i++) {
        const struct kept *kept = &f.book.kept[i];
        assert_int_equal(kept->partition, zsp_hash(zsp_slice_str(kept->key)) % 5);
    }
    tear_down(&f);
}

static void batches_are_routed_anew_as_often_as_the_topic_grows(void **state)
{
    (void)state;
    struct fixture f = {.book = {.topic_exists = true, .growths = PARTITIONS_MAX - 1}};
    zspool_producer_options_t options;
    int last[16] = {0};
    char text[16];
    char key[16];
    zspool_producer_options_init(&options);
    options.batch_bytes = 1;
    set_up(&f, &options);
    for (int i = 1; i <= 200; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        (void)snprintf(key, sizeof key, "%d", i % 16);
        (void)send_one(&f, text, key);
    }
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    fake_broker_stop(&f.broker);
    assert_int_equal(f.book.partitions, PARTITIONS_MAX);
    assert_int_equal(f.book.kept_count, 200);
    for (size_t i = 0; i < f.book.kept_count; i++) {
        const struct kept *kept = &f.book.kept[i];
        int *last_of_key = &last[strtol(kept->key, NULL, 10)];
        assert_int_equal(kept->partition, zsp_hash(zsp_slice_str(kept->key)) % PARTITIONS_MAX);
        assert_true((int)strtol(kept->payload, NULL, 10) > *last_of_key);
        *last_of_key = (int)strtol(kept->payload, NULL, 10);
    }
    tear_down(&f);
}

static void a_newer_instance_fences_for_good(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE, .trouble_at = 2, .code = ZSP_EFENCED_PRODUCER}};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.name = "importer";
    set_up(&f, &options);
    assert_string_equal(zspool_producer_name(f.producer), "importer");
    assert_int_equal(send_and_wait(&f, "1"), 0);
    assert_int_equal(send_and_wait(&f, "2"), ZSPOOL_EFENCED_PRODUCER);
    const zspool_out_t out = zspool_out("t", "3", 1);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EFENCED_PRODUCER);
    tear_down(&f);
}

static void a_full_producer_says_so_and_has_room_again(void **state)
{
    (void)state;
    struct fixture f = {0};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.max_bytes = 1000;
    set_up(&f, &options);
    const zspool_out_t out = zspool_out("t", "0123456789", 10);
    int rc = 0;
    int count = 0;
    while (rc == 0 && count < 100000) {
        rc = zspool_send(f.producer, &out, NULL, NULL);
        count += rc == 0 ? 1 : 0;
    }
    assert_int_equal(rc, ZSPOOL_EAGAIN);
    assert_int_equal(zspool_room(f.producer, 500, WAIT_MS, NULL), 0);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), 0);
    assert_int_equal(zspool_room(f.producer, 1001, 0, NULL), ZSPOOL_EINVAL);
    tear_down(&f);
}

/* Whatever max_bytes is, one message fits, and the next ones wait for it. */
static void a_message_larger_than_all_room_still_goes(void **state)
{
    (void)state;
    struct fixture f = {0};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.max_bytes = 1;
    options.batch_bytes = 1;
    set_up(&f, &options);
    for (int i = 0; i < 3; i++) {
        const zspool_out_t out = zspool_out("t", "0123456789", 10);
        assert_int_equal(zspool_room(f.producer, 1, WAIT_MS, NULL), 0);
        assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), 0);
    }
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    tear_down(&f);
}

static void a_message_that_nobody_answers_times_out_as_maybe(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = STAY_SILENT, .trouble_at = 1}};
    zspool_producer_options_t options;
    zspool_error_t err = {0};
    zspool_producer_options_init(&options);
    options.delivery_ms = 60000;
    set_up(&f, &options);
    const uint64_t ticket = send_one(&f, "1", NULL);
    assert_int_equal(sem_wait(&f.book.silent), 0);
    clock_ahead(60);
    (void)send_one(&f, "2", NULL); /* which makes the producer look at its clock */
    assert_int_equal(zspool_wait(f.producer, ticket, WAIT_MS, NULL, &err), ZSPOOL_ETIMEOUT);
    assert_true(err.maybe);
    tear_down(&f);
}

static void waiting_ends_in_time_and_knows_its_tickets(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = STAY_SILENT, .trouble_at = 1}};
    set_up(&f, NULL);
    const uint64_t ticket = send_one(&f, "1", NULL);
    assert_int_equal(zspool_wait(f.producer, ticket, 20, NULL, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_flush(f.producer, 20, NULL), ZSPOOL_ETIMEOUT);
    assert_int_equal(zspool_wait(f.producer, ticket + 1, 0, NULL, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_wait(f.producer, 0, 0, NULL, NULL), ZSPOOL_EINVAL);
    tear_down(&f);
}

static void wrong_messages_are_refused_and_nothing_changes(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f, NULL);
    const char not_utf8[] = {'a', (char)0xff, '\0'};
    zspool_out_t out = zspool_out("../etc", "x", 1);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EBAD_NAME);
    out = zspool_out("t", "x", 1);
    out.partition = 1024;
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    out.partition = ZSPOOL_PARTITION_ANY;
    out.type = zspool_text(not_utf8);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    out.type = zspool_text(NULL);
    out.payload.data = NULL;
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EBAD_VALUE);
    char *large = calloc(1, ZSPOOL_MESSAGE_BYTES_MAX + 1);
    out = zspool_out("t", large, ZSPOOL_MESSAGE_BYTES_MAX);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_ETOO_LARGE);
    out.size = 7;
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EINVAL);
    assert_int_equal(zspool_send(NULL, &out, NULL, NULL), ZSPOOL_EINVAL);
    free(large);
    assert_int_equal(send_and_wait(&f, "1"), 0);
    assert_kept(&f, 1, 1);
    tear_down(&f);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct fixture f = {0};
    zspool_producer_options_t options;
    zspool_error_t err = {0};
    set_up(&f, NULL);
    zspool_producer_options_init(&options);
    options.name = "no/name";
    assert_null(zspool_producer_new(f.client, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EBAD_NAME);
    zspool_producer_options_init(&options);
    options.max_in_flight = 1000;
    assert_null(zspool_producer_new(f.client, &options, &err));
    assert_int_equal(err.code, ZSPOOL_EINVAL);
    options.size = 3;
    assert_null(zspool_producer_new(f.client, &options, NULL));
    assert_null(zspool_producer_new(NULL, NULL, NULL));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_confirmed_with_its_address),
        cmocka_unit_test(a_message_whose_reply_was_lost_is_not_doubled),
        cmocka_unit_test(a_message_whose_request_was_lost_is_sent_again),
        cmocka_unit_test(batches_behind_a_passing_refusal_stay_in_order),
        cmocka_unit_test(a_refusal_for_good_fails_its_own_batch_only),
        cmocka_unit_test(batches_sent_behind_a_refused_one_are_not_lost),
        cmocka_unit_test(a_forgotten_name_leaves_the_unanswered_in_doubt),
        cmocka_unit_test(what_was_written_and_lost_is_reported),
        cmocka_unit_test(keys_go_where_the_broker_would_put_them),
        cmocka_unit_test(batches_are_routed_anew_as_often_as_the_topic_grows),
        cmocka_unit_test(a_newer_instance_fences_for_good),
        cmocka_unit_test(a_full_producer_says_so_and_has_room_again),
        cmocka_unit_test(a_message_larger_than_all_room_still_goes),
        cmocka_unit_test(a_message_that_nobody_answers_times_out_as_maybe),
        cmocka_unit_test(waiting_ends_in_time_and_knows_its_tickets),
        cmocka_unit_test(wrong_messages_are_refused_and_nothing_changes),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
