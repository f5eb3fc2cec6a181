/* SPDX-License-Identifier: MPL-2.0
 *
 * What every implementation of store.h must do, as one set of tests over an
 * abstract subject. conformance.c holds the harness: it drives the store until
 * it is quiet, keeps every completion in order, and knows the state entries a
 * replay must yield. conformance_log.c, conformance_state.c and, for stores with STORE_ATOMIC,
 * conformance_atomic.c, for those with STORE_IDS, conformance_ids.c hold the tests.
 */
#ifndef ZSP_TESTS_CONFORMANCE_H
#define ZSP_TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"

#define CONF_PARTS_MAX  8
#define CONF_TOPICS_MAX 4
#define CONF_KEYS_MAX   64
#define CONF_TEXT_MAX   256

enum conf_crash {
    CONF_CLEAN,   /* a clean stop after all is synced */
    CONF_PROCESS, /* the process dies, what was written stays */
    CONF_POWER    /* the power goes: what was synced stays */
};

/* One implementation under test. */
struct conf_subject {
    const char *name;
    /* A new subject with an empty store that is not started. */
    void *(*create_fn)(void);
    void (*destroy_fn)(void *self);
    struct store *(*store_fn)(void *self);
    /* Do some of the I/O that waits, at least one piece if there is any. */
    void (*step_fn)(void *self);
    /* Crash and open again; the store is then not started. Which unsynced bytes
     * survive a power cut is decided by `seed`. */
    void (*restart_fn)(void *self, enum conf_crash crash, uint64_t seed);
    /* The next sync fails. */
    void (*fail_sync_fn)(void *self);
    /* Does it ever ask for images by itself (small journal files)? */
    bool wants_images;
};

/* A completion as it came, without what it lent. */
struct conf_event {
    enum store_completion_kind kind;
    int code;
    bool maybe;
    uint64_t tag;
    void *owner;
    uint64_t offset;
    struct store_range covered;
    uint32_t batch_count;
};

struct conf_topic {
    uint64_t id;
    char name[32];
    uint32_t partition_count;
    struct store_part *parts[CONF_PARTS_MAX];
    int owners[CONF_PARTS_MAX]; /* their addresses are the owners */
    uint64_t replay_from;       /* of part_open, all partitions; UINT64_MAX = none */
};

/* What a key should replay to: the image, then ",delta" for each delta. */
struct conf_key {
    char key[32];
    char value[CONF_TEXT_MAX];
};

struct conf_state {
    struct conf_key keys[CONF_KEYS_MAX];
    size_t count;
};

struct conf {
    const struct conf_subject *subject;
    void *self;
    struct store *store;
    struct instant now;
    uint64_t next_tag;
    struct conf_event *events;
    size_t event_count, event_capacity;
    struct store_completion read;  /* the last READ, whole; released by the next */
    struct store_completion ids;   /* likewise the last IDS_FOUND */
    struct store_completion terms; /* likewise the last TERMS_READ */
    struct conf_topic topics[CONF_TOPICS_MAX];
    size_t topic_count;
    struct conf_state wanted;    /* what was put */
    struct conf_state replayed;  /* what the last start told */
    struct store_batch told[64]; /* headers told by part_open */
    size_t told_count;
    bool answers_images; /* put an image when one is wanted */
    size_t images_wanted;
};

/* cmocka set-up and tear-down: *state is a struct conf with a started store. */
int conf_set_up(void **state);
int conf_tear_down(void **state);

/* Flush, step and take completions once. True if anything happened. */
bool conf_turn(struct conf *c);
/* Turn until nothing is queued, in flight or unsynced. */
void conf_drive(struct conf *c);
/* Turn until the event with this tag is there, and return it. */
const struct conf_event *conf_wait(struct conf *c, uint64_t tag);
/* The event of this tag; NULL if none came yet. Fails if two came. */
const struct conf_event *conf_find(const struct conf *c, uint64_t tag);
size_t conf_count(const struct conf *c, enum store_completion_kind kind);
/* Drop all events kept so far. */
void conf_forget_events(struct conf *c);

/* Create a topic and wait until it is durable. */
struct conf_topic *conf_topic(struct conf *c, uint64_t id, const char *name, uint32_t partitions);
/* The one topic there is, of one partition, is dropped: what was asked with `tag` is answered, with or
 * without it. */
void conf_answered_without_topic(struct conf *c, uint64_t tag);
/* Queue a batch whose body is `text`; returns its tag. */
uint64_t conf_append(struct conf *c, struct store_part *part, const char *text, uint32_t records,
                     int64_t timestamp_ms);
/* Append `count` batches of one record, "<prefix><number>", and drive. */
void conf_fill(struct conf *c, struct store_part *part, const char *prefix, int count);
/* Queue one entry, note it as wanted, return its tag. */
uint64_t conf_put(struct conf *c, const char *key, enum store_entry_kind kind, const char *value,
                  enum store_level level);
/* Note entries in a model of the state. */
void conf_state_apply(struct conf_state *state, const char *key, enum store_entry_kind kind,
                      const char *value);
const char *conf_state_get(const struct conf_state *state, const char *key);
/* Read and wait; the completion is c->read. Returns its code. */
int conf_read(struct conf *c, struct store_part *part, uint64_t from, uint64_t to,
              uint32_t max_bytes);
/* Body of the n-th batch of the last read equals `text`. */
void conf_assert_body(const struct conf *c, uint32_t index, const char *text);
/* All of [start, mark) read in steps gives "<prefix>0" .. "<prefix><count-1>". */
void conf_assert_filled(struct conf *c, struct store_part *part, const char *prefix, int first,
                        int count);
uint64_t conf_find_time(struct conf *c, struct store_part *part, int64_t time_ms);
struct store_part_info conf_info(const struct conf *c, const struct store_part *part);

/* Crash, open, start, open all topics and get ready. */
void conf_restart(struct conf *c, enum conf_crash crash, uint64_t seed);
/* The replayed state equals what was put. */
void conf_assert_state(const struct conf *c);

/* Run all tests over a subject; returns the number of failures. */
int conformance_run(const struct conf_subject *subject);
int conformance_log_run(void);
int conformance_state_run(void);
int conformance_atomic_run(void);
int conformance_ids_run(void);
int conformance_terms_run(void);

#endif
