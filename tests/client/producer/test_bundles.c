/* SPDX-License-Identifier: MPL-2.0
 *
 * Batches of many partitions in one request, against a broker that keeps books and misbehaves in
 * the middle of a bundle: each batch has its own fate, nothing is lost, doubled or out of order.
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
#include "common/record.h"
#include "common/wire.h"
#include "tests/support/fake_broker.h"

#define WAIT_MS    20000 /* for what takes milliseconds */
#define PARTITIONS 8u
#define KEPT_MAX   256u
#define BATCHES    "['shared', 'seek', 'batches']"

enum trouble {
    NO_TROUBLE,
    LOSE_REPLY,     /* append, then cut the connection */
    LOSE_REQUEST,   /* cut the connection */
    LOSE_HALF,      /* append, tell of every other batch, then cut the connection */
    TELL_HALVES,    /* tell of every other batch in a PART, of the rest later */
    REFUSE_ONE,     /* refuse the batch of partition 3 with book.code */
    LEAVE_ONE_OUT,  /* append all, tell nothing of the batch of partition 3 */
    TELL_NONSENSE,  /* append all, and tell things that are no rows besides */
    REFUSE_ALL,     /* answer with book.code */
    REFUSE_THE_REST /* tell of every other batch in a PART, answer with book.code */
};

/* What a broker keeps: one topic of PARTITIONS, one producer. */
struct book {
    enum trouble trouble; /* at the first bundle */
    int code;
    sem_t silent; /* posted at each bundle while `is_silent` */
    bool is_silent;

    unsigned bundles, rows, requests, opens, extras;
    uint32_t epoch;
    uint64_t last_seq[PARTITIONS];
    uint64_t counts[PARTITIONS];
    int kept[PARTITIONS][KEPT_MAX];
};

/* One batch, alone or in a bundle. */
struct brought {
    uint64_t partition, count, seq;
    struct zsp_slice body;
};

struct text {
    char bytes[32768];
    size_t len;
};

static void add(struct text *self, const char *format, ...) ZSP_PRINTF(2, 3);
static void add(struct text *self, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    const int len =
        vsnprintf(self->bytes + self->len, sizeof self->bytes - self->len, format, values);
    va_end(values);
    assert_true(len >= 0 && (size_t)len < sizeof self->bytes - self->len);
    self->len += (size_t)len;
}

static void keep(struct book *book, const struct brought *batch)
{
    struct zsp_slice body = batch->body;
    struct zsp_slice bytes;
    uint64_t count = 0;
    for (; zsp_record_next(&body, &bytes) == 0; count++) {
        struct zsp_record record;
        char text[16] = {0};
        assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
        assert_true(record.payload.len < sizeof text);
        memcpy(text, record.payload.data, record.payload.len);
        assert_true(book->counts[batch->partition] < KEPT_MAX);
        book->kept[batch->partition][book->counts[batch->partition]++] =
            (int)strtol(text, NULL, 10);
    }
    assert_int_equal(count, batch->count);
    book->last_seq[batch->partition] += count;
}

/* Append it, if it is not there: the value of `at`, or an error's code. */
static int take(struct book *book, const struct brought *batch, struct text *ret_at)
{
    assert_true(batch->partition < PARTITIONS);
    const uint64_t last = book->last_seq[batch->partition];
    const bool is_old = batch->seq + batch->count - 1 <= last;
    if (!is_old && batch->seq != last + 1) {
        return ZSP_ESEQUENCE_GAP;
    }
    if (!is_old) {
        keep(book, batch);
    }
    add(ret_at, "[[0, %u, %u, %u, %s]]", (unsigned)batch->count, (unsigned)batch->partition,
        (unsigned)batch->seq - 1, is_old ? "true" : "false");
    return 0;
}

static uint64_t number(const msgpack_object *row, uint32_t index)
{
    assert_true(index < row->via.array.size);
    assert_int_equal(row->via.array.ptr[index].type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    return row->via.array.ptr[index].via.u64;
}

static void add_row(struct book *book, unsigned index, const struct brought *batch,
                    struct text *rows)
{
    const bool is_refused =
        book->trouble == REFUSE_ONE && book->bundles == 1 && batch->partition == 3;
    struct text at = {.len = 0};
    const int rc = is_refused ? book->code : take(book, batch, &at);
    const char *const comma = rows->len > 0 ? ", " : "";
    if (rc == 0) {
        add(rows, "%s[%u, %s]", comma, index, at.bytes);
    } else {
        add(rows, "%s[%u, null, {'code': '%s', 'message': 'refused by the test'}]", comma, index,
            zsp_err_wire_name(rc));
    }
}

static void reply_rows(struct fake_broker *broker, const struct fake_request *request,
                       const struct text *rows, bool is_part)
{
    struct text map = {.len = 0};
    add(&map, "{'rows': [%s], 'timestamp_ms': 5, 'level': 'synced'}", rows->bytes);
    (is_part ? fake_reply_part : fake_reply)(broker, request, map.bytes);
}

/* Every batch of a bundle: the even ones' rows, the odd ones'. */
static void take_bundle(struct book *book, const struct fake_request *request,
                        const msgpack_object *batches, struct text rows[2])
{
    struct zsp_slice rest = request->body;
    for (uint32_t i = 0; i < batches->via.array.size; i++) {
        const msgpack_object *const row = &batches->via.array.ptr[i];
        const uint64_t bytes = number(row, 1);
        assert_true(bytes > 0 && bytes <= rest.len);
        const struct brought batch = {.partition = number(row, 2),
                                      .count = number(row, 3),
                                      .seq = number(row, 4),
                                      .body = {rest.data, bytes}};
        rest.data += bytes;
        rest.len -= bytes;
        assert_true(batch.seq > 0);
        book->extras += row->via.array.size > 6 ? 1 : 0;
        book->rows++;
        if (book->trouble != LEAVE_ONE_OUT || book->bundles > 1 || batch.partition != 3) {
            add_row(book, i, &batch, &rows[i % 2]);
        } else {
            struct text untold = {.len = 0};
            assert_int_equal(take(book, &batch, &untold), 0);
        }
    }
    assert_int_equal(rest.len, 0);
}

static void join(struct text rows[2])
{
    if (rows[1].len > 0) {
        add(&rows[0], "%s%s", rows[0].len > 0 ? ", " : "", rows[1].bytes);
    }
}

static void publish_many(struct fake_broker *broker, const struct fake_request *request,
                         const msgpack_object *batches, struct book *book)
{
    static struct text rows[2]; /* the fake's thread is one */
    memset(rows, 0, sizeof rows);
    book->bundles++;
    const enum trouble trouble = book->bundles == 1 ? book->trouble : NO_TROUBLE;
    if (book->is_silent) {
        assert_int_equal(sem_post(&book->silent), 0);
        return;
    }
    if (trouble == LOSE_REQUEST) {
        fake_drop(broker);
        return;
    }
    if (trouble == REFUSE_ALL) {
        fake_refuse(broker, request, book->code, false,
                    book->code == ZSP_EFENCED_PRODUCER ? "producer p" : NULL);
        return;
    }
    take_bundle(book, request, batches, rows);
    if (trouble == LOSE_REPLY) {
        fake_drop(broker);
        return;
    }
    if (trouble == LOSE_HALF || trouble == TELL_HALVES || trouble == REFUSE_THE_REST) {
        reply_rows(broker, request, &rows[0], true);
        if (trouble == LOSE_HALF) {
            fake_drop(broker);
        } else if (trouble == TELL_HALVES) {
            reply_rows(broker, request, &rows[1], false);
        } else {
            fake_refuse(broker, request, book->code, true, NULL);
        }
        return;
    }
    join(rows);
    if (trouble == TELL_NONSENSE) {
        add(&rows[0], ", 7, [], [1], ['a', []], [99, []], [-1, []], [0, [[0, 1, 0, 77, false]]],"
                      " [1, null, {'code': 'denied'}], [2, null], [2, null, 7]");
    }
    reply_rows(broker, request, &rows[0], false);
}

static void publish_one(struct fake_broker *broker, const struct fake_request *request,
                        struct book *book)
{
    struct text at = {.len = 0};
    const struct brought batch = {.partition = fake_uint(request, "partition", 0),
                                  .count = fake_uint(request, "count", 0),
                                  .seq = fake_uint(request, "seq", 0),
                                  .body = request->body};
    const int rc = take(book, &batch, &at);
    if (rc != 0) {
        fake_refuse(broker, request, rc, false, "producer p");
        return;
    }
    struct text map = {.len = 0};
    add(&map, "{'at': %s, 'timestamp_ms': 5, 'level': 'synced'}", at.bytes);
    fake_reply(broker, request, map.bytes);
}

static void open_producer(struct fake_broker *broker, const struct fake_request *request,
                          struct book *book)
{
    struct text map = {.len = 0};
    add(&map, "{'epoch': %u, 'last': [['t', 0, %u]", ++book->epoch, (unsigned)book->last_seq[0]);
    for (unsigned p = 1; p < PARTITIONS; p++) {
        add(&map, ", ['t', %u, %u]", p, (unsigned)book->last_seq[p]);
    }
    add(&map, "]}");
    book->opens++;
    fake_reply(broker, request, map.bytes);
}

static void handler(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    struct book *book = arg;
    if (fake_is(request, "PRODUCER.OPEN")) {
        open_producer(broker, request, book);
    } else if (fake_is(request, "TOPIC.INFO") && book->is_silent) {
        book->is_silent = false; /* and it is not answered, nor is it later */
        fake_drop(broker);
    } else if (fake_is(request, "PUBLISH")) {
        const msgpack_object *const batches = wire_map_find(request->args, "batches");
        book->requests++;
        if (batches) {
            publish_many(broker, request, batches, book);
        } else {
            publish_one(broker, request, book);
        }
    }
}

/* --- A producer and its broker -------------------------------------------------------- */

struct fixture {
    struct book book;
    struct fake_broker *broker;
    zspool_client_t *client;
    zspool_producer_t *producer;
    int sent; /* numbers so far */
};

static void set_up_with(struct fixture *self, const char *features,
                        zspool_producer_options_t producer_options)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.reconnect_ms = 5;
    producer_options.reporting = ZSPOOL_REPORT_ALL;
    assert_int_equal(sem_init(&self->book.silent, 0, 0), 0);
    self->broker = fake_broker_start(handler, &self->book);
    fake_features(self->broker, features);
    self->client = zspool_new(fake_broker_endpoint(self->broker), &options, NULL);
    assert_non_null(self->client);
    self->producer = zspool_producer_new(self->client, &producer_options, NULL);
    assert_non_null(self->producer);
}

static void set_up(struct fixture *self, const char *features)
{
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    set_up_with(self, features, options);
}

static void tear_down(struct fixture *self)
{
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    if (self->broker) {
        fake_broker_stop(&self->broker);
    }
    (void)sem_destroy(&self->book.silent);
}

/* `rounds` numbers to each partition, one after the other: what is sent before the name is open
 * travels in one bundle. */
static void send_rounds(struct fixture *self, unsigned rounds, uint8_t priority)
{
    for (unsigned i = 0; i < rounds * PARTITIONS; i++) {
        char text[16];
        const int len = snprintf(text, sizeof text, "%d", self->sent++);
        zspool_out_t out = zspool_out("t", text, (size_t)len);
        out.partition = (int32_t)(i % PARTITIONS);
        out.has_priority = true;
        out.priority = priority;
        assert_int_equal(zspool_send(self->producer, &out, NULL, NULL), 0);
    }
}

/* Every partition holds its numbers, in order, once; but for `missing` of partition 3, its first. */
static void assert_kept(struct fixture *self, unsigned missing)
{
    if (self->broker) {
        fake_broker_stop(&self->broker);
    }
    for (unsigned p = 0; p < PARTITIONS; p++) {
        const unsigned skipped = p == 3 ? missing : 0;
        assert_int_equal(self->book.counts[p], (unsigned)self->sent / PARTITIONS - skipped);
        for (unsigned i = 0; i < self->book.counts[p]; i++) {
            assert_int_equal(self->book.kept[p][i], (int)((i + skipped) * PARTITIONS + p));
        }
    }
}

/* Reports cover every ticket once; returns how many messages failed with `code`. */
static unsigned count_reports(struct fixture *self, int code)
{
    zspool_report_t reports[KEPT_MAX];
    unsigned total = 0;
    unsigned failed = 0;
    const int count = zspool_reports(self->producer, reports, KEPT_MAX);
    for (int i = 0; i < count; i++) {
        assert_true(reports[i].status == 0 || reports[i].status == code);
        total += (unsigned)reports[i].count;
        failed += reports[i].status == 0 ? 0 : (unsigned)reports[i].count;
        if (reports[i].status == 0 && reports[i].partition != 3) {
            /* ticket n + 1 is number n: its place among those of its partition */
            assert_int_equal(reports[i].first_offset, (reports[i].first_ticket - 1) / PARTITIONS);
        }
    }
    assert_int_equal(total, (unsigned)self->sent);
    return failed;
}

/* --- Tests ------------------------------------------------------------------------------ */

static void small_batches_travel_together(void **state)
{
    (void)state;
    struct fixture f = {.sent = 0};
    set_up(&f, BATCHES);
    send_rounds(&f, 10, ZSPOOL_PRIORITY);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_int_equal(count_reports(&f, 0), 0);
    assert_kept(&f, 0);
    assert_true(f.book.bundles > 0);
    assert_true(f.book.rows > f.book.bundles);
    assert_int_equal(f.book.extras, 0);
    tear_down(&f);
}

static void a_broker_that_knows_none_gets_none(void **state)
{
    (void)state;
    struct fixture f = {.sent = 0};
    set_up(&f, "['shared', 'seek']");
    send_rounds(&f, 10, ZSPOOL_PRIORITY);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_kept(&f, 0);
    assert_int_equal(f.book.bundles, 0);
    tear_down(&f);
}

static void terms_travel_with_their_batch(void **state)
{
    (void)state;
    struct fixture f = {.sent = 0};
    set_up(&f, BATCHES);
    send_rounds(&f, 2, 9);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    assert_kept(&f, 0);
    assert_int_equal(f.book.extras, f.book.rows);
    tear_down(&f);
}

/* Whatever happens to a bundle that passes: all is kept once, in order, and reported once. */
static void trouble_that_passes_leaves_no_trace(void **state)
{
    (void)state;
    static const struct {
        enum trouble trouble;
        int code;
    } cases[] = {
        {LOSE_REPLY, 0},
        {LOSE_REQUEST, 0},
        {LOSE_HALF, 0},
        {TELL_HALVES, 0},
        {LEAVE_ONE_OUT, 0},
        {TELL_NONSENSE, 0},
        {REFUSE_ONE, ZSP_ENO_SPACE},
        {REFUSE_ONE, ZSP_ESEQUENCE_GAP},
        {REFUSE_ALL, ZSP_EOVER_CREDIT},
        {REFUSE_ALL, ZSP_ESHUTTING_DOWN},
        {REFUSE_THE_REST, ZSP_ESTORAGE_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = {.book = {.trouble = cases[i].trouble, .code = cases[i].code}};
        set_up(&f, BATCHES);
        send_rounds(&f, 5, ZSPOOL_PRIORITY);
        assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
        send_rounds(&f, 5, ZSPOOL_PRIORITY);
        assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
        assert_int_equal(count_reports(&f, 0), 0);
        assert_kept(&f, 0);
        assert_true(f.book.bundles > 0);
        tear_down(&f);
    }
}

static void a_batch_that_is_refused_for_good_fails_alone(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE_ONE, .code = ZSP_EDENIED}};
    set_up(&f, BATCHES);
    send_rounds(&f, 5, ZSPOOL_PRIORITY);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), ZSPOOL_EDENIED);
    send_rounds(&f, 5, ZSPOOL_PRIORITY);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), 0);
    const unsigned failed = count_reports(&f, ZSPOOL_EDENIED);
    assert_true(failed > 0 && failed <= 5);
    assert_kept(&f, failed);
    tear_down(&f);
}

static void a_fenced_bundle_fences_the_producer(void **state)
{
    (void)state;
    struct fixture f = {.book = {.trouble = REFUSE_ALL, .code = ZSP_EFENCED_PRODUCER}};
    set_up(&f, BATCHES);
    send_rounds(&f, 5, ZSPOOL_PRIORITY);
    assert_int_equal(zspool_flush(f.producer, WAIT_MS, NULL), ZSPOOL_EFENCED_PRODUCER);
    assert_int_equal(count_reports(&f, ZSPOOL_EFENCED_PRODUCER), (unsigned)f.sent);
    const zspool_out_t out = zspool_out("t", "1", 1);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), ZSPOOL_EFENCED_PRODUCER);
    tear_down(&f);
}

/* The producer goes while a bundle is unanswered. */
static void a_producer_goes_with_bundles_in_flight(void **state)
{
    (void)state;
    struct fixture f = {.book = {.is_silent = true}};
    set_up(&f, BATCHES);
    send_rounds(&f, 5, ZSPOOL_PRIORITY);
    assert_int_equal(sem_wait(&f.book.silent), 0);
    send_rounds(&f, 5, ZSPOOL_PRIORITY);
    zspool_producer_destroy(&f.producer);
    tear_down(&f);
}

/* A message for a topic that is still asked about, while as many bundles are in flight as may be: it
 * is not sent with the next one. */
static void what_has_no_partition_yet_is_not_sent(void **state)
{
    (void)state;
    struct fixture f = {.book = {.is_silent = true}};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.batch_bytes = 16; /* each message is a batch */
    options.max_in_flight = 128;
    set_up_with(&f, BATCHES, options);
    send_rounds(&f, 128, ZSPOOL_PRIORITY);
    assert_int_equal(sem_wait(&f.book.silent), 0);
    assert_int_equal(sem_wait(&f.book.silent), 0);
    const zspool_out_t out = zspool_out("unknown", "x", 1);
    assert_int_equal(zspool_send(f.producer, &out, NULL, NULL), 0);
    for (int ticket = 1; ticket <= f.sent; ticket++) {
        assert_int_equal(zspool_wait(f.producer, (uint64_t)ticket, WAIT_MS, NULL, NULL), 0);
    }
    assert_kept(&f, 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_batches_travel_together),
        cmocka_unit_test(a_broker_that_knows_none_gets_none),
        cmocka_unit_test(terms_travel_with_their_batch),
        cmocka_unit_test(trouble_that_passes_leaves_no_trace),
        cmocka_unit_test(a_batch_that_is_refused_for_good_fails_alone),
        cmocka_unit_test(a_fenced_bundle_fences_the_producer),
        cmocka_unit_test(a_producer_goes_with_bundles_in_flight),
        cmocka_unit_test(what_has_no_partition_yet_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
