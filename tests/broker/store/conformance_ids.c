/* SPDX-License-Identifier: MPL-2.0
 *
 * Conformance: messages are found by their ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec.h"
#include "common/record.h"
#include "tests/broker/store/conformance.h"
#include "tests/support/plain_body.h"
#include "tests/support/prng.h"

#define MESSAGES 300u
#define IDS      40u

/* Where the messages of each id are. */
struct book {
    uint64_t offsets[IDS][MESSAGES];
    int64_t times[IDS][MESSAGES];
    size_t counts[IDS];
    uint64_t end;
};

static uint64_t print_of(uint64_t id)
{
    char text[32];
    (void)snprintf(text, sizeof text, "id-%llu", (unsigned long long)id);
    return store_id_print(zsp_slice_str(text));
}

/* Append one batch of records; an id of IDS = none. */
static void append_ids(struct conf *c, struct store_part *part, const uint64_t *ids, uint32_t count,
                       int64_t time_ms, bool is_packed)
{
    struct zsp_writer body = {0};
    for (uint32_t i = 0; i < count; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "id-%llu", (unsigned long long)ids[i]);
        struct zsp_record record = {.payload = zsp_slice_str("some payload of a message")};
        record.id = ids[i] < IDS ? zsp_slice_str(text) : record.id;
        zsp_record_write(&body, &record);
    }
    struct zsp_buf *frame =
        is_packed ? plain_pack(zsp_writer_slice(&body)) : zsp_buf_copy(zsp_writer_slice(&body));
    const struct store_batch batch = {
        .frame = frame,
        .body = {frame->data, frame->len},
        .record_count = count,
        .timestamp_ms = time_ms,
        .priority = 4,
        .codec = is_packed ? ZSP_CODEC_ZSTD : ZSP_CODEC_NONE,
        .raw_bytes = is_packed ? (uint32_t)body.len : 0,
    };
    assert_int_equal(c->store->ops->append(c->store, part, &batch, ++c->next_tag, NULL), 0);
    zsp_buf_put(&frame);
    zsp_writer_fini(&body);
}

static int search(struct conf *c, struct store_part *part, const uint64_t *prints, uint32_t count,
                  int64_t since_ms, bool keep)
{
    const struct store_find_ids find = {.part = part,
                                        .prints = prints,
                                        .count = count,
                                        .keep = keep,
                                        .since_ms = since_ms,
                                        .tag = ++c->next_tag};
    assert_int_equal(c->store->ops->find_ids(c->store, &find, NULL), 0);
    const struct conf_event *event = conf_wait(c, find.tag);
    assert_int_equal(event->kind, STORE_IDS_FOUND);
    return event->code;
}

static void append_book(struct conf *c, struct store_part *part, struct book *book,
                        struct prng *prng)
{
    uint64_t ids[4];
    const uint32_t count = (uint32_t)prng_between(prng, 1, 4);
    const int64_t time_ms = 1000 + (int64_t)book->end;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = prng_below(prng, IDS + 20);
        if (ids[i] < IDS) {
            book->offsets[ids[i]][book->counts[ids[i]]] = book->end + i;
            book->times[ids[i]][book->counts[ids[i]]++] = time_ms;
        }
    }
    append_ids(c, part, ids, count, time_ms, prng_chance(prng, 300));
    book->end += count;
}

/* What was found of one id: the newest, all of them that are no older than asked for, nothing else;
 * `start` = what is older went. */
static void check_id(const struct conf *c, const struct book *book, uint32_t id, int64_t since_ms,
                     uint64_t start)
{
    uint64_t found[STORE_ID_HITS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < c->ids.hit_count; i++) {
        if (c->ids.hits[i].index == id) {
            assert_true(count < STORE_ID_HITS_MAX);
            found[count++] = c->ids.hits[i].offset;
        }
    }
    size_t at = 0;
    for (size_t i = book->counts[id]; i > 0 && i + 4 > book->counts[id]; i--) {
        if (book->offsets[id][i - 1] < start) {
            break;
        }
        if (at < count && found[at] == book->offsets[id][i - 1]) {
            at++;
        } else {
            assert_true(book->times[id][i - 1] < since_ms);
        }
    }
    for (size_t i = 0; i < count; i++) { /* each is one of the id, newest first */
        assert_true(i == 0 || found[i] < found[i - 1]);
        size_t k = 0;
        while (k < book->counts[id] && book->offsets[id][k] != found[i]) {
            k++;
        }
        assert_true(k < book->counts[id]);
    }
}

static void check_all(struct conf *c, struct store_part *part, const struct book *book,
                      int64_t since_ms, bool keep)
{
    uint64_t prints[IDS + 1];
    for (uint32_t i = 0; i < IDS; i++) {
        prints[i] = print_of(i);
    }
    prints[IDS] = print_of(999999);
    assert_int_equal(search(c, part, prints, IDS + 1, since_ms, keep), 0);
    for (uint32_t i = 0; i < IDS; i++) {
        check_id(c, book, i, since_ms, conf_info(c, part).start_offset);
    }
    for (uint32_t i = 0; i < c->ids.hit_count; i++) {
        assert_true(c->ids.hits[i].index < IDS);
    }
}

static struct book *fill(struct conf *c, struct store_part *part, uint64_t seed)
{
    struct prng prng = {seed};
    struct book *book = calloc(1, sizeof *book);
    assert_non_null(book);
    while (book->end < MESSAGES) {
        append_book(c, part, book, &prng);
        if (prng_chance(&prng, 300)) {
            (void)conf_turn(c);
        }
    }
    conf_drive(c);
    return book;
}

/* Goal: ids are found while their messages come, over all segments. */
static void messages_are_found_by_their_ids(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    c->store->ops->index_ids(c->store, part, true);
    struct book *book = fill(c, part, 1);
    check_all(c, part, book, INT64_MIN, true);
    check_all(c, part, book, INT64_MIN, false);
    struct prng prng = {2};
    for (int i = 0; i < 10; i++) {
        append_book(c, part, book, &prng);
        conf_drive(c);
        check_all(c, part, book, 1000 + (int64_t)book->end - 50, true);
        check_all(c, part, book, INT64_MIN, false);
    }
    free(book);
}

/* Goal: what is written is found before it is synced. */
static void what_is_written_is_found_at_once(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    c->store->ops->index_ids(c->store, topic->parts[0], true);
    const uint64_t id = 7;
    append_ids(c, topic->parts[0], &id, 1, 5, false);
    while (conf_count(c, STORE_APPENDED) == 0) {
        (void)conf_turn(c);
    }
    const uint64_t print = print_of(7);
    assert_int_equal(search(c, topic->parts[0], &print, 1, INT64_MIN, true), 0);
    assert_int_equal(c->ids.hit_count, 1);
    assert_int_equal(c->ids.hits[0].offset, 0);
}

/* Goal: an index may be asked for later, and survives every kind of end. */
static void ids_are_found_after_every_start(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    topic->replay_from = UINT64_MAX;
    struct book *book = fill(c, topic->parts[0], 5);
    const enum conf_crash ends[] = {CONF_CLEAN, CONF_PROCESS, CONF_POWER, CONF_CLEAN};
    struct prng prng = {2};
    for (size_t i = 0; i < 4; i++) {
        c->store->ops->index_ids(c->store, topic->parts[0], true);
        append_book(c, topic->parts[0], book, &prng); /* while nothing is loaded yet */
        const uint64_t print = print_of(1);
        assert_int_equal(search(c, topic->parts[0], &print, 1, INT64_MIN, i % 2 == 0), 0);
        conf_drive(c);
        check_all(c, topic->parts[0], book, INT64_MIN, i % 2 == 1);
        conf_restart(c, ends[i], i);
    }
    free(book);
}

/* Goal: without an index a search says so; one that goes takes nothing along. */
static void an_index_can_be_taken_away(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    const uint64_t print = print_of(1);
    assert_int_equal(search(c, part, &print, 1, INT64_MIN, true), ZSP_EUNSUPPORTED);
    c->store->ops->index_ids(c->store, part, true);
    struct book *book = fill(c, part, 3);
    check_all(c, part, book, INT64_MIN, true);
    c->store->ops->index_ids(c->store, part, false);
    assert_int_equal(search(c, part, &print, 1, INT64_MIN, true), ZSP_EUNSUPPORTED);
    c->store->ops->index_ids(c->store, part, true);
    check_all(c, part, book, INT64_MIN, true);
    free(book);
}

/* Goal: what retention takes is not found any more. */
static void what_is_gone_is_not_found(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    c->store->ops->index_ids(c->store, part, true);
    struct book *book = fill(c, part, 4);
    check_all(c, part, book, INT64_MIN, true);
    const struct store_retain retain = {.before_offset = MESSAGES / 2, .imaged_before = UINT64_MAX};
    assert_int_equal(c->store->ops->retain(c->store, part, &retain, NULL), 0);
    conf_drive(c);
    assert_true(conf_info(c, part).start_offset > 0);
    check_all(c, part, book, INT64_MIN, true);
    for (uint32_t i = 0; i < c->ids.hit_count; i++) {
        assert_true(c->ids.hits[i].offset >= conf_info(c, part).start_offset);
    }
    free(book);
}

/* Goal: who repeats one id for ever gets the newest. */
static void of_one_id_the_newest_are_found(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    c->store->ops->index_ids(c->store, topic->parts[0], true);
    const uint64_t ids[4] = {1, 1, 1, 1};
    for (int i = 0; i < 200; i++) {
        append_ids(c, topic->parts[0], ids, 4, 1000, false);
    }
    conf_drive(c);
    const uint64_t print = print_of(1);
    assert_int_equal(search(c, topic->parts[0], &print, 1, INT64_MIN, true), 0);
    assert_in_range(c->ids.hit_count, 4, STORE_ID_HITS_MAX);
    assert_int_equal(c->ids.hits[0].offset, 799);
    assert_int_equal(c->ids.hits[3].offset, 796);
}

/* Goal: a search is answered when its topic goes, and when the store fails. */
static void a_search_is_always_answered(void **state)
{
    struct conf *c = *state;
    struct conf_topic *topic = conf_topic(c, 1, "orders", 1);
    struct store_part *part = topic->parts[0];
    c->store->ops->index_ids(c->store, part, true);
    topic->replay_from = UINT64_MAX;
    free(fill(c, part, 6));
    conf_restart(c, CONF_CLEAN, 0);
    part = topic->parts[0];
    c->store->ops->index_ids(c->store, part, true);
    const uint64_t print = print_of(1);
    const struct store_find_ids find = {
        .part = part, .prints = &print, .count = 1, .since_ms = INT64_MIN, .keep = true, .tag = 77};
    c->next_tag = 100;
    assert_int_equal(c->store->ops->find_ids(c->store, &find, NULL), 0);
    (void)conf_turn(c);
    conf_answered_without_topic(c, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, conf_set_up, conf_tear_down)

int conformance_ids_run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_found_by_their_ids), TEST(what_is_written_is_found_at_once),
        TEST(ids_are_found_after_every_start), TEST(an_index_can_be_taken_away),
        TEST(what_is_gone_is_not_found),       TEST(of_one_id_the_newest_are_found),
        TEST(a_search_is_always_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
