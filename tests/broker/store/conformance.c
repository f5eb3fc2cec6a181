/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/store/conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 20000 /* a store that is not quiet by then never will be */

static const struct conf_subject *subject_under_test;

/* --- Driving -------------------------------------------------------------------------- */

static void answer_image(struct conf *c, struct zsp_slice key)
{
    c->images_wanted++;
    char text[32];
    assert_true(key.len < sizeof text);
    memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    const char *value = conf_state_get(&c->wanted, text);
    if (!c->answers_images) {
        return;
    }
    const struct store_entry entry = {.key = key,
                                      .kind = value ? STORE_IMAGE : STORE_GONE,
                                      .value = zsp_slice_str(value ? value : "")};
    struct zsp_err err = {0};
    if (c->store->ops->state_put(c->store, &entry, 1, STORE_WRITTEN, ++c->next_tag, &err) != 0) {
        fail_msg("image of %s: %s", text, err.msg);
    }
}

static void keep_event(struct conf *c, struct store_completion *done)
{
    if (c->event_count == c->event_capacity) {
        c->event_capacity = c->event_capacity > 0 ? 2 * c->event_capacity : 64;
        c->events = realloc(c->events, c->event_capacity * sizeof *c->events);
        assert_non_null(c->events);
    }
    c->events[c->event_count++] = (struct conf_event){
        .kind = done->kind,
        .code = done->error.code,
        .maybe = done->error.maybe,
        .tag = done->tag,
        .owner = done->owner,
        .offset = done->offset,
        .covered = done->covered,
        .batch_count = done->batch_count,
    };
    if (done->kind == STORE_IMAGE_WANTED) {
        answer_image(c, done->key);
    }
    if (done->kind == STORE_READ) {
        store_completion_release(&c->read);
        c->read = *done;
        return;
    }
    if (done->kind == STORE_IDS_FOUND) {
        store_completion_release(&c->ids);
        c->ids = *done;
        return;
    }
    if (done->kind == STORE_TERMS_READ) {
        store_completion_release(&c->terms);
        c->terms = *done;
        return;
    }
    store_completion_release(done);
}

bool conf_turn(struct conf *c)
{
    const size_t before = c->event_count;
    c->store->ops->flush(c->store, c->now);
    c->subject->step_fn(c->self);
    struct store_completion done;
    while (c->store->ops->next_completion(c->store, &done)) {
        keep_event(c, &done);
    }
    return c->event_count != before;
}

void conf_drive(struct conf *c)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        const bool moved = conf_turn(c);
        if (!moved && !c->store->ops->busy(c->store)) {
            return;
        }
        if (!moved) {
            /* Nothing came: let the time pass that the store waits for. */
            const int64_t deadline = c->store->ops->deadline_ms(c->store);
            c->now.mono_ms =
                deadline != INT64_MAX && deadline > c->now.mono_ms ? deadline : c->now.mono_ms + 1;
        }
    }
    fail_msg("the store is still busy after %d turns", TURNS_MAX);
}

const struct conf_event *conf_find(const struct conf *c, uint64_t tag)
{
    const struct conf_event *found = NULL;
    for (size_t i = 0; i < c->event_count; i++) {
        if (c->events[i].tag == tag && c->events[i].kind != STORE_SYNCED &&
            c->events[i].kind != STORE_IMAGE_WANTED && c->events[i].kind != STORE_ATOMIC_READY) {
            assert_null(found);
            found = &c->events[i];
        }
    }
    return found;
}

const struct conf_event *conf_wait(struct conf *c, uint64_t tag)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        const struct conf_event *event = conf_find(c, tag);
        if (event) {
            return event;
        }
        if (!conf_turn(c)) {
            c->now.mono_ms++;
        }
    }
    fail_msg("no completion with tag %llu", (unsigned long long)tag);
    return NULL;
}

size_t conf_count(const struct conf *c, enum store_completion_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < c->event_count; i++) {
        count += c->events[i].kind == kind;
    }
    return count;
}

void conf_forget_events(struct conf *c)
{
    c->event_count = 0;
}

/* --- Calls ---------------------------------------------------------------------------- */

static struct store_topic topic_of(const struct conf_topic *topic)
{
    return (struct store_topic){.id = topic->id,
                                .name = zsp_slice_str(topic->name),
                                .partition_count = topic->partition_count};
}

struct conf_topic *conf_topic(struct conf *c, uint64_t id, const char *name, uint32_t partitions)
{
    assert_true(c->topic_count < CONF_TOPICS_MAX);
    assert_true(partitions <= CONF_PARTS_MAX);
    struct conf_topic *topic = &c->topics[c->topic_count++];
    *topic = (struct conf_topic){.id = id, .partition_count = partitions};
    (void)snprintf(topic->name, sizeof topic->name, "%s", name);
    void *owners[CONF_PARTS_MAX];
    for (uint32_t i = 0; i < partitions; i++) {
        owners[i] = &topic->owners[i];
    }
    const struct store_topic made = topic_of(topic);
    const uint64_t tag = ++c->next_tag;
    assert_int_equal(
        c->store->ops->topic_create(c->store, &made, 0, owners, topic->parts, tag, NULL), 0);
    const struct conf_event *event = conf_wait(c, tag);
    assert_int_equal(event->kind, STORE_TOPIC_CREATED);
    assert_int_equal(event->code, 0);
    return topic;
}

void conf_answered_without_topic(struct conf *c, uint64_t tag)
{
    const struct conf_topic *topic = &c->topics[0];
    const struct store_topic gone = {topic->id, zsp_slice_str(topic->name), 1};
    assert_int_equal(c->store->ops->topic_drop(c->store, &gone, topic->parts, tag + 1, NULL), 0);
    conf_drive(c);
    const struct conf_event *event = conf_find(c, tag);
    assert_true(event && (event->code == 0 || event->code == ZSP_ENOT_FOUND));
    c->topic_count = 0;
}

uint64_t conf_append(struct conf *c, struct store_part *part, const char *text, uint32_t records,
                     int64_t timestamp_ms)
{
    struct zsp_buf *frame = zsp_buf_copy(zsp_slice_str(text));
    const struct store_batch batch = {.frame = frame,
                                      .body = {frame->data, frame->len},
                                      .record_count = records,
                                      .timestamp_ms = timestamp_ms,
                                      .priority = 4};
    const uint64_t tag = ++c->next_tag;
    assert_int_equal(c->store->ops->append(c->store, part, &batch, tag, NULL), 0);
    zsp_buf_put(&frame);
    return tag;
}

void conf_fill(struct conf *c, struct store_part *part, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char text[CONF_TEXT_MAX];
        (void)snprintf(text, sizeof text, "%s%d", prefix, i);
        (void)conf_append(c, part, text, 1, 1000 + i);
        if (i % 7 == 0) {
            (void)conf_turn(c);
        }
    }
    conf_drive(c);
}

void conf_state_apply(struct conf_state *state, const char *key, enum store_entry_kind kind,
                      const char *value)
{
    size_t i = 0;
    while (i < state->count && strcmp(state->keys[i].key, key) != 0) {
        i++;
    }
    if (kind == STORE_GONE) {
        if (i < state->count) {
            state->keys[i] = state->keys[--state->count];
        }
        return;
    }
    if (i == state->count) {
        assert_int_equal(kind, STORE_IMAGE); /* a delta needs its base */
        assert_true(state->count < CONF_KEYS_MAX);
        state->count++;
        (void)snprintf(state->keys[i].key, sizeof state->keys[i].key, "%s", key);
    }
    char *text = state->keys[i].value;
    const size_t used = kind == STORE_DELTA ? strlen(text) : 0;
    const int len =
        snprintf(text + used, CONF_TEXT_MAX - used, "%s%s", kind == STORE_DELTA ? "," : "", value);
    assert_true(len >= 0);
    assert_true((size_t)len < CONF_TEXT_MAX - used);
}

const char *conf_state_get(const struct conf_state *state, const char *key)
{
    for (size_t i = 0; i < state->count; i++) {
        if (strcmp(state->keys[i].key, key) == 0) {
            return state->keys[i].value;
        }
    }
    return NULL;
}

uint64_t conf_put(struct conf *c, const char *key, enum store_entry_kind kind, const char *value,
                  enum store_level level)
{
    const struct store_entry entry = {
        .key = zsp_slice_str(key), .kind = kind, .value = zsp_slice_str(value)};
    const uint64_t tag = ++c->next_tag;
    struct zsp_err err = {0};
    if (c->store->ops->state_put(c->store, &entry, 1, level, tag, &err) != 0) {
        fail_msg("state_put: %s", err.msg);
    }
    conf_state_apply(&c->wanted, key, kind, value);
    return tag;
}

int conf_read(struct conf *c, struct store_part *part, uint64_t from, uint64_t to,
              uint32_t max_bytes)
{
    const struct store_read read = {.part = part,
                                    .from_offset = from,
                                    .to_offset = to,
                                    .max_bytes = max_bytes,
                                    .tag = ++c->next_tag};
    assert_int_equal(c->store->ops->read(c->store, &read, NULL), 0);
    const struct conf_event *event = conf_wait(c, read.tag);
    assert_int_equal(event->kind, STORE_READ);
    return event->code;
}

void conf_assert_body(const struct conf *c, uint32_t index, const char *text)
{
    assert_true(index < c->read.batch_count);
    const struct zsp_slice body = c->read.batches[index].body;
    assert_int_equal(body.len, strlen(text));
    assert_memory_equal(body.data, text, body.len);
}

void conf_assert_filled(struct conf *c, struct store_part *part, const char *prefix, int first,
                        int count)
{
    uint64_t offset = conf_info(c, part).start_offset;
    int number = first;
    const uint64_t end = conf_info(c, part).synced_offset;
    while (offset < end) {
        assert_int_equal(conf_read(c, part, offset, UINT64_MAX, 200), 0);
        assert_true(c->read.batch_count > 0);
        for (uint32_t i = 0; i < c->read.batch_count; i++) {
            char text[CONF_TEXT_MAX];
            (void)snprintf(text, sizeof text, "%s%d", prefix, number++);
            conf_assert_body(c, i, text);
        }
        assert_true(c->read.covered.end_offset > offset);
        offset = c->read.covered.end_offset;
    }
    assert_int_equal(number, first + count);
}

uint64_t conf_find_time(struct conf *c, struct store_part *part, int64_t time_ms)
{
    const uint64_t tag = ++c->next_tag;
    assert_int_equal(c->store->ops->find_time(c->store, part, time_ms, tag, NULL), 0);
    const struct conf_event *event = conf_wait(c, tag);
    assert_int_equal(event->kind, STORE_FOUND);
    assert_int_equal(event->code, 0);
    return event->offset;
}

struct store_part_info conf_info(const struct conf *c, const struct store_part *part)
{
    struct store_part_info info;
    c->store->ops->part_info(c->store, part, &info);
    return info;
}

/* --- Start and restart ---------------------------------------------------------------- */

static int note_entry(void *arg, const struct store_entry *entry, struct zsp_err *err)
{
    (void)err;
    struct conf *c = arg;
    char key[32];
    char value[CONF_TEXT_MAX];
    assert_true(entry->key.len < sizeof key);
    assert_true(entry->value.len < sizeof value);
    memcpy(key, entry->key.data, entry->key.len);
    key[entry->key.len] = '\0';
    if (entry->value.len > 0) {
        memcpy(value, entry->value.data, entry->value.len);
    }
    value[entry->value.len] = '\0';
    conf_state_apply(&c->replayed, key, entry->kind, value);
    return 0;
}

static int note_batch(void *arg, void *owner, const struct store_batch *batch, struct zsp_err *err)
{
    (void)owner;
    (void)err;
    struct conf *c = arg;
    assert_true(c->told_count < sizeof c->told / sizeof c->told[0]);
    c->told[c->told_count++] = *batch;
    return 0;
}

static void start(struct conf *c)
{
    const struct store_hooks hooks = {.arg = c, .entry_fn = note_entry, .batch_fn = note_batch};
    memset(&c->replayed, 0, sizeof c->replayed);
    c->told_count = 0;
    c->store = c->subject->store_fn(c->self);
    struct zsp_err err = {0};
    if (c->store->ops->start(c->store, &hooks, c->now, &err) != 0) {
        fail_msg("start: %s", err.msg);
    }
}

static void open_topic(struct conf *c, struct conf_topic *topic)
{
    const struct store_topic known = topic_of(topic);
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        struct zsp_err err = {0};
        const int rc = c->store->ops->part_open(c->store, &known, p, &topic->owners[p],
                                                topic->replay_from, 0, &topic->parts[p], &err);
        if (rc != 0) {
            fail_msg("part_open %s/%u: %s", topic->name, p, err.msg);
        }
    }
}

static void open_topics(struct conf *c)
{
    for (size_t i = 0; i < c->topic_count; i++) {
        open_topic(c, &c->topics[i]);
    }
    struct zsp_err err = {0};
    if (c->store->ops->ready(c->store, &err) != 0) {
        fail_msg("ready: %s", err.msg);
    }
}

void conf_restart(struct conf *c, enum conf_crash crash, uint64_t seed)
{
    conf_forget_events(c);
    store_completion_release(&c->read);
    store_completion_release(&c->ids);
    store_completion_release(&c->terms);
    c->subject->restart_fn(c->self, crash, seed);
    start(c);
    open_topics(c);
}

static bool state_within(const struct conf_state *a, const struct conf_state *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const char *value = conf_state_get(b, a->keys[i].key);
        if (!value || strcmp(value, a->keys[i].value) != 0) {
            print_error("key %s: \"%s\" and \"%s\"\n", a->keys[i].key, a->keys[i].value,
                        value ? value : "(none)");
            return false;
        }
    }
    return true;
}

void conf_assert_state(const struct conf *c)
{
    assert_true(state_within(&c->wanted, &c->replayed));
    assert_true(state_within(&c->replayed, &c->wanted));
}

int conf_set_up(void **state)
{
    struct conf *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->subject = subject_under_test;
    c->self = c->subject->create_fn();
    c->now = (struct instant){.mono_ms = 1000, .wall_ms = 1600000000000};
    c->answers_images = true;
    start(c);
    assert_int_equal(c->store->ops->ready(c->store, NULL), 0);
    *state = c;
    return 0;
}

int conf_tear_down(void **state)
{
    struct conf *c = *state;
    store_completion_release(&c->read);
    store_completion_release(&c->ids);
    store_completion_release(&c->terms);
    c->subject->destroy_fn(c->self);
    free(c->events);
    free(c);
    return 0;
}

int conformance_run(const struct conf_subject *subject)
{
    subject_under_test = subject;
    return conformance_log_run() + conformance_state_run() + conformance_atomic_run() +
           conformance_ids_run() + conformance_terms_run();
}
