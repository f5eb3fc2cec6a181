/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/store/log_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/assert.h"

#define CREATE_TAG 1u
#define TURNS_MAX  5000

/* Tags: kind << 56 | partition or key << 48 | serial number. */
enum tag_kind { TAG_CREATE = 0, TAG_APPEND = 1, TAG_STATE = 2, TAG_READ = 3, TAG_ATOMIC = 4 };

static uint64_t make_tag(enum tag_kind kind, size_t which, uint64_t serial)
{
    return ((uint64_t)kind << 56) | ((uint64_t)which << 48) | serial;
}

static uint64_t next_random(void *arg)
{
    uint64_t *state = arg; /* xorshift */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void log_run_init(struct log_run *self, struct fs *fs, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    self->fs = fs;
    self->random = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    self->fill_bytes = 4096;
    self->open_files_max = seed % 2 == 0 ? 0 : 2;
    self->sync_files_max = seed % 3 == 0 ? 0 : 1;
}

/* --- Bodies ------------------------------------------------------------------------------ */

/* The body of the n-th batch of a partition: its length and every byte follow from both. */
static size_t make_body(size_t part, uint64_t serial, uint8_t *out)
{
    uint64_t state = (serial + 1) * 0x9e3779b97f4a7c15u + part;
    const size_t len = serial % 11 == 10 ? 2500 : 20 + (size_t)(next_random(&state) % 300);
    for (size_t i = 0; i < len; i += 8) {
        uint8_t bytes[8];
        zsp_put_u64(bytes, next_random(&state) | 0x0101010101010101u); /* a lost page is seen */
        memcpy(out + i, bytes, len - i < 8 ? len - i : 8);
    }
    return len;
}

/* --- Completions ---------------------------------------------------------------------------- */

static void on_appended(struct log_run *self, const struct store_completion *done)
{
    struct run_part *part = &self->parts[(done->tag >> 48) & 0xff];
    struct run_batch *batch = &part->batches[done->tag & 0xffffffffu];
    if (done->error.code != 0) {
        self->failed_appends++;
        return;
    }
    batch->offset = done->offset;
}

static void on_synced(const struct store_completion *done)
{
    struct run_part *part = done->owner;
    assert_true(done->offset > part->mark);
    part->mark = done->offset;
    for (size_t i = 0; i < part->count; i++) {
        struct run_batch *batch = &part->batches[i];
        if (batch->offset != UINT64_MAX && batch->offset < part->mark) {
            batch->synced = true;
        }
    }
}

static void on_state(struct log_run *self, const struct store_completion *done)
{
    if (done->tag >> 56 != TAG_STATE) {
        return; /* an image that the store asked for */
    }
    struct run_key *key = &self->keys[(done->tag >> 48) & 0xff];
    key->tag = 0;
    if (done->error.code == 0) {
        key->synced = done->tag & 0xffffffffu;
    }
}

/* Every batch of a read must be one that was put in, at the offset that was told. */
static void check_batches(struct log_run *self, const struct run_part *part,
                          const struct store_completion *done)
{
    uint8_t body[RUN_BODY_MAX];
    for (uint32_t i = 0; i < done->batch_count; i++) {
        const struct store_batch *batch = &done->batches[i];
        const uint64_t serial = batch->sequence;
        assert_true(serial < part->count);
        assert_false(part->batches[serial].never);
        const size_t len = make_body((size_t)(part - self->parts), serial, body);
        assert_int_equal(batch->body.len, len);
        assert_memory_equal(batch->body.data, body, len);
        assert_int_equal(batch->record_count, part->batches[serial].records);
        assert_true(batch->first_offset + batch->record_count <= part->mark);
        if (part->batches[serial].synced) {
            assert_int_equal(batch->first_offset, part->batches[serial].offset);
        }
    }
}

/* --- Atomic appends --------------------------------------------------------------------------- */

/* It came to nothing: none of its batches may ever be seen. */
static void atomic_never(struct log_run *self, struct run_atomic *atomic)
{
    atomic->handle = NULL;
    atomic->is_decided = true;
    for (size_t i = 0; i < RUN_PARTS; i++) {
        if (atomic->uses[i]) {
            self->parts[i].batches[atomic->serial[i]].never = true;
            self->parts[i].batches[atomic->serial[i]].offset = UINT64_MAX;
        }
    }
}

/* It is durable: all of its batches are confirmed. */
static void atomic_kept(struct log_run *self, struct run_atomic *atomic)
{
    atomic->is_decided = true;
    for (size_t i = 0; i < RUN_PARTS; i++) {
        if (atomic->uses[i]) {
            self->parts[i].batches[atomic->serial[i]].synced = true;
        }
    }
}

static void on_atomic_ready(struct log_run *self, const struct store_completion *done)
{
    struct run_atomic *atomic = &self->atomics[done->tag & 0xffffffffu];
    if (done->error.code != 0) {
        assert_false(done->error.maybe);
        atomic_never(self, atomic);
        return;
    }
    if (next_random(&self->random) % 8 == 0) {
        self->store->ops->atomic_cancel(self->store, atomic->handle);
        atomic_never(self, atomic);
        return;
    }
    const uint64_t *offsets = self->store->ops->atomic_offsets(atomic->handle);
    for (size_t i = 0; i < RUN_PARTS; i++) {
        if (atomic->uses[i]) {
            self->parts[i].batches[atomic->serial[i]].offset = *offsets++;
        }
    }
    struct run_key *key = &self->keys[RUN_ATOMIC_KEY];
    const uint8_t name = 'a' + RUN_ATOMIC_KEY;
    char text[32];
    const int len = snprintf(text, sizeof text, "%" PRIu64, key->put + 1);
    const struct store_entry entry = {
        {&name, 1}, STORE_IMAGE, {(const uint8_t *)text, (size_t)len}};
    if (self->store->ops->atomic_put(self->store, atomic->handle, &entry, 1, NULL) == 0) {
        atomic->handle = NULL;
        atomic->number = ++key->put;
    } else {
        atomic_never(self, atomic);
    }
}

static void on_atomic_done(struct log_run *self, const struct store_completion *done)
{
    struct run_atomic *atomic = &self->atomics[done->tag & 0xffffffffu];
    if (done->error.code != 0) {
        return; /* the next start shows what became of it */
    }
    for (size_t i = 0; i < RUN_PARTS; i++) {
        struct store_part_info info;
        self->store->ops->part_info(self->store, self->parts[i].part, &info);
        assert_true(!atomic->uses[i] ||
                    self->parts[i].batches[atomic->serial[i]].offset < info.synced_offset);
    }
    self->keys[RUN_ATOMIC_KEY].synced = atomic->number;
    self->atomics_done++;
    atomic_kept(self, atomic);
}

static void on_completion(struct log_run *self, struct store_completion *done)
{
    switch (done->kind) {
    case STORE_APPENDED:
        on_appended(self, done);
        break;
    case STORE_SYNCED:
        on_synced(done);
        break;
    case STORE_STATE:
        on_state(self, done);
        break;
    case STORE_READ:
        if (done->error.code == 0) {
            check_batches(self, done->owner, done);
            self->reads_checked++;
        }
        break;
    case STORE_TRIMMED:
        ((struct run_part *)done->owner)->start = done->offset;
        break;
    case STORE_TOPIC_CREATED:
        self->created = done->error.code == 0;
        self->topic_known = self->topic_known || self->created;
        break;
    case STORE_IMAGE_WANTED: {
        struct run_key *key = &self->keys[done->key.data[0] - 'a'];
        char text[32];
        (void)snprintf(text, sizeof text, "%" PRIu64, key->put);
        const struct store_entry entry = {done->key, STORE_IMAGE, zsp_slice_str(text)};
        (void)self->store->ops->state_put(self->store, &entry, 1, STORE_WRITTEN,
                                          make_tag(TAG_READ, 0, 0), NULL);
        break;
    }
    case STORE_ATOMIC_READY:
        on_atomic_ready(self, done);
        break;
    case STORE_ATOMIC_DONE:
        on_atomic_done(self, done);
        break;
    case STORE_COMPACTED:
    case STORE_SPACE:
        self->refuses = done->refuses;
        break;
    case STORE_FAILED:
        self->failed = true;
        break;
    case STORE_FOUND:
    case STORE_IDS_FOUND:
    case STORE_TERMS_READ:
    case STORE_TOPIC_DROPPED:
    case STORE_FENCED:
        break;
    }
    store_completion_release(done);
}

/* --- Driving --------------------------------------------------------------------------------- */

static void drop_job(struct log_run *self, size_t i)
{
    self->job_count--;
    self->jobs[i] = self->jobs[self->job_count];
    self->ran[i] = self->ran[self->job_count];
}

/* Run a job, or give one back that has run: other jobs may run in between, as with threads. */
static void run_job(struct log_run *self, size_t i)
{
    struct job *job = self->jobs[i];
    if (!self->ran[i]) {
        job_run(job, self->fs);
        self->ran[i] = true;
        if (self->shuffle && next_random(&self->random) % 2 == 0) {
            return;
        }
    }
    drop_job(self, i);
    log_store_job_done(self->log, job);
}

static void turn(struct log_run *self)
{
    self->store->ops->flush(self->store, self->now);
    struct job *job;
    while (self->job_count < RUN_JOBS_MAX && (job = log_store_next_job(self->log))) {
        self->ran[self->job_count] = false;
        self->jobs[self->job_count++] = job;
        if (!self->shuffle) {
            run_job(self, 0);
        }
    }
    for (uint64_t n = next_random(&self->random) % 12; n > 0 && self->job_count > 0; n--) {
        run_job(self, next_random(&self->random) % self->job_count);
    }
    struct store_completion done;
    while (self->store->ops->next_completion(self->store, &done)) {
        on_completion(self, &done);
    }
    self->now.mono_ms += 7;
}

void log_run_settle(struct log_run *self)
{
    for (int i = 0; i < TURNS_MAX && !self->failed; i++) {
        if (!self->store->ops->busy(self->store)) {
            return;
        }
        turn(self);
    }
    assert_true(self->failed || self->refuses);
}

void log_run_kill(struct log_run *self)
{
    while (self->job_count > 0) {
        struct job *job = self->jobs[0];
        if (!self->ran[0]) {
            job->error.code = ZSP_EIO;
            job->done = 0;
        }
        drop_job(self, 0);
        log_store_job_done(self->log, job);
    }
    self->store->ops->destroy(self->store);
    self->store = NULL;
    self->log = NULL;
    for (size_t i = 0; i < RUN_KEYS; i++) {
        self->keys[i].tag = 0;
    }
    for (size_t i = 0; i < self->atomic_count; i++) {
        if (self->atomics[i].handle) {
            atomic_never(self, &self->atomics[i]);
        }
    }
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int on_entry(void *arg, const struct store_entry *entry, struct zsp_err *err)
{
    struct log_run *self = arg;
    (void)err;
    assert_true(entry->key.len == 1 && entry->key.data[0] - 'a' <= RUN_ATOMIC_KEY);
    struct run_key *key = &self->keys[entry->key.data[0] - 'a'];
    uint64_t number = 0;
    for (size_t i = 0; i < entry->value.len; i++) {
        number = number * 10 + (uint64_t)(entry->value.data[i] - '0');
    }
    key->found = entry->kind == STORE_DELTA ? key->found + number : number;
    return 0;
}

static int start(struct log_run *self, struct zsp_err *err)
{
    const struct store_hooks hooks = {.arg = self, .entry_fn = on_entry};
    struct store_topic topic = {self->topic_id, zsp_slice_str("orders"), RUN_PARTS};
    for (size_t i = 0; i <= RUN_ATOMIC_KEY; i++) {
        self->keys[i].found = 0;
    }
    int rc = self->store->ops->start(self->store, &hooks, self->now, err);
    for (uint32_t i = 0; i < RUN_PARTS && rc == 0 && self->topic_known; i++) {
        rc = self->store->ops->part_open(self->store, &topic, i, &self->parts[i], UINT64_MAX, 0,
                                         &self->parts[i].part, err);
    }
    if (rc == 0) {
        rc = self->store->ops->ready(self->store, err);
    }
    if (rc != 0 || self->topic_known) {
        return rc;
    }
    void *owners[RUN_PARTS];
    struct store_part *parts[RUN_PARTS];
    for (size_t i = 0; i < RUN_PARTS; i++) {
        owners[i] = &self->parts[i];
    }
    self->created = false;
    topic.id = ++self->topic_id;
    rc = self->store->ops->topic_create(self->store, &topic, 0, owners, parts, CREATE_TAG, err);
    for (size_t i = 0; i < RUN_PARTS && rc == 0; i++) {
        self->parts[i].part = parts[i];
    }
    for (int i = 0; i < TURNS_MAX && rc == 0 && !self->created && !self->failed; i++) {
        turn(self);
        if (!self->created && !self->store->ops->busy(self->store)) {
            return ZSP_EIO; /* the creation was answered with an error */
        }
    }
    return self->failed ? ZSP_ESTORAGE_FAILED : rc;
}

/* A start went well: what was confirmed is there; what was not may be gone. */
static void take_over(struct log_run *self)
{
    for (size_t i = 0; i < RUN_PARTS; i++) {
        struct run_part *part = &self->parts[i];
        struct store_part_info info;
        self->store->ops->part_info(self->store, part->part, &info);
        assert_true(info.synced_offset >= part->mark);
        part->mark = info.synced_offset; /* what was kept is visible at once */
        part->start = info.start_offset;
    }
    for (size_t i = 0; i < self->atomic_count; i++) {
        struct run_atomic *atomic = &self->atomics[i];
        if (!atomic->is_decided && atomic->number <= self->keys[RUN_ATOMIC_KEY].found) {
            atomic_kept(self, atomic);
        } else if (!atomic->is_decided) {
            atomic_never(self, atomic);
        }
    }
    for (size_t i = 0; i < RUN_PARTS; i++) {
        struct run_part *part = &self->parts[i];
        for (size_t n = 0; n < part->count; n++) {
            if (!part->batches[n].synced) {
                part->batches[n].offset = UINT64_MAX;
            }
            assert_true(!part->batches[n].synced || part->batches[n].offset < part->mark);
        }
    }
    for (size_t i = 0; i <= RUN_ATOMIC_KEY; i++) {
        struct run_key *key = &self->keys[i];
        if (key->found < key->synced || key->found > key->put) {
            fail_msg("key %zu: found %" PRIu64 ", confirmed %" PRIu64 ", put %" PRIu64, i,
                     key->found, key->synced, key->put);
        }
        key->put = key->found;
        key->synced = key->found;
    }
}

int log_run_open(struct log_run *self)
{
    const struct log_store_options options = {.fs = self->fs,
                                              .random_fn = next_random,
                                              .random_arg = &self->random,
                                              .segment_bytes = 4096,
                                              .journal_file_bytes = 4096,
                                              .journal_bytes_min = 8192,
                                              .redo_bytes_max = 5000,
                                              .unsynced_bytes_max = 16384,
                                              .tail_bytes = 4096,
                                              .fill_bytes = (uint32_t)self->fill_bytes,
                                              .open_files_max = self->open_files_max,
                                              .sync_files_max = self->sync_files_max,
                                              .create = true};
    struct zsp_err err = {0};
    self->failed = false;
    self->refuses = false;
    self->log = log_store_open(&options, &err);
    if (!self->log) {
        return err.code != 0 ? err.code : ZSP_EIO;
    }
    self->store = log_store_base(self->log);
    const int rc = start(self, &err);
    if (rc != 0) {
        (void)snprintf(self->why, sizeof self->why, "%s", err.msg);
        log_run_kill(self);
        return rc;
    }
    take_over(self);
    return 0;
}

/* --- Work ------------------------------------------------------------------------------------- */

/* The next batch of a partition; whoever takes it releases its frame. */
static struct store_batch next_batch(const struct log_run *self, size_t which)
{
    uint8_t body[RUN_BODY_MAX];
    const uint64_t serial = self->parts[which].count;
    const size_t len = make_body(which, serial, body);
    struct zsp_buf *buf = zsp_buf_copy((struct zsp_slice){body, len});
    assert_non_null(buf);
    return (struct store_batch){.frame = buf,
                                .body = {buf->data, buf->len},
                                .record_count = 1 + (uint32_t)(serial % 3),
                                .timestamp_ms = (int64_t)serial * 10,
                                .producer_id = 9,
                                .sequence = serial};
}

static void append(struct log_run *self, size_t which)
{
    struct run_part *part = &self->parts[which];
    const uint64_t serial = part->count;
    struct store_batch batch = next_batch(self, which);
    struct zsp_err err = {0};
    const int rc = self->store->ops->append(self->store, part->part, &batch,
                                            make_tag(TAG_APPEND, which, serial), &err);
    zsp_buf_put(&batch.frame);
    if (rc == 0) {
        part->batches[part->count++] =
            (struct run_batch){.offset = UINT64_MAX, .records = batch.record_count};
    } else {
        assert_true(rc == ZSP_ENO_SPACE || rc == ZSP_ESTORAGE_FAILED);
    }
}

/* One batch for each partition of the set `which`, and the next number, as one. */
static void append_atomic(struct log_run *self, unsigned which)
{
    struct store_batch batches[RUN_PARTS];
    struct store_append appends[RUN_PARTS];
    struct run_atomic *atomic = &self->atomics[self->atomic_count];
    size_t count = 0;
    *atomic = (struct run_atomic){0};
    for (size_t i = 0; i < RUN_PARTS; i++) {
        atomic->uses[i] = (which >> i & 1u) != 0;
        if (atomic->uses[i]) {
            batches[i] = next_batch(self, i);
            atomic->serial[i] = self->parts[i].count;
            appends[count++] = (struct store_append){self->parts[i].part, &batches[i]};
        }
    }
    const uint64_t tag = make_tag(TAG_ATOMIC, 0, self->atomic_count);
    const int rc =
        self->store->ops->atomic_begin(self->store, appends, count, tag, &atomic->handle, NULL);
    for (size_t i = 0; i < RUN_PARTS; i++) {
        struct run_part *part = &self->parts[i];
        if (atomic->uses[i] && rc == 0) {
            part->batches[part->count++] =
                (struct run_batch){.offset = UINT64_MAX, .records = batches[i].record_count};
        }
        if (atomic->uses[i]) {
            zsp_buf_put(&batches[i].frame);
        }
    }
    self->atomic_count += rc == 0;
    assert_true(rc == 0 || rc == ZSP_ENO_SPACE || rc == ZSP_ESTORAGE_FAILED);
}

static void put(struct log_run *self, size_t which)
{
    struct run_key *key = &self->keys[which];
    if (key->tag != 0) {
        return; /* one at a time, so that the confirmed number is known */
    }
    const uint8_t name = (uint8_t)('a' + which);
    const uint64_t number = key->put + 1;
    const bool delta = key->put > 0 && number % 5 != 0;
    char text[200]; /* some weight, so that the journal rolls */
    const int len = snprintf(text, sizeof text, "%0150" PRIu64, delta ? 1 : number);
    const struct store_entry entry = {
        {&name, 1}, delta ? STORE_DELTA : STORE_IMAGE, {(const uint8_t *)text, (size_t)len}};
    const uint64_t tag = make_tag(TAG_STATE, which, number);
    const int rc =
        self->store->ops->state_put(self->store, &entry, 1, STORE_SYNCED_LEVEL, tag, NULL);
    if (rc == 0) {
        key->put = number;
        key->tag = tag;
    } else {
        assert_true(rc == ZSP_ENO_SPACE || rc == ZSP_ESTORAGE_FAILED);
    }
}

static void read_some(struct log_run *self, size_t which)
{
    const struct run_part *part = &self->parts[which];
    if (part->mark == part->start) {
        return;
    }
    const uint64_t from = part->start + next_random(&self->random) % (part->mark - part->start);
    const struct store_read read = {.part = part->part,
                                    .from_offset = from,
                                    .to_offset = UINT64_MAX,
                                    .max_bytes = 2000,
                                    .tag = make_tag(TAG_READ, which, 0)};
    (void)self->store->ops->read(self->store, &read, NULL); /* a failed store refuses */
}

void log_run_work(struct log_run *self, int rounds)
{
    for (int round = 0; round < rounds && !self->failed; round++) {
        for (size_t i = 0; i < RUN_PARTS; i++) {
            const uint64_t appends = next_random(&self->random) % 4;
            for (uint64_t n = 0; n < appends && self->parts[i].count < RUN_BATCHES - 8; n++) {
                append(self, i);
            }
        }
        if (round % 3 == 1 && self->parts[0].count < RUN_BATCHES - 8 &&
            self->parts[1].count < RUN_BATCHES - 8 && self->parts[2].count < RUN_BATCHES - 8 &&
            self->atomic_count < RUN_ATOMICS - 8) {
            append_atomic(self, (unsigned)(next_random(&self->random) % (1u << RUN_PARTS)));
        }
        put(self, (size_t)round % RUN_KEYS);
        read_some(self, (size_t)round % RUN_PARTS);
        if (round % 16 == 15) {
            const struct store_retain retain = {.max_bytes = 12000, .imaged_before = UINT64_MAX};
            (void)self->store->ops->retain(self->store, self->parts[0].part, &retain, NULL);
        }
        turn(self);
    }
}

void log_run_must_work(struct log_run *self)
{
    /* Let what waits for room be tried again. */
    for (int i = 0; i < 1000 && (self->refuses || self->store->ops->busy(self->store)); i++) {
        turn(self);
    }
    assert_false(self->failed);
    assert_false(self->refuses);
    size_t before[RUN_PARTS];
    for (size_t i = 0; i < RUN_PARTS; i++) {
        before[i] = self->parts[i].count;
        append(self, i);
        assert_int_equal(self->parts[i].count, before[i] + 1);
    }
    for (size_t i = 0; i < RUN_KEYS; i++) {
        put(self, i);
    }
    const size_t done = self->atomics_done;
    for (int i = 0; i < 8 && self->atomics_done == done; i++) { /* some are cancelled */
        append_atomic(self, (1u << RUN_PARTS) - 1);
        log_run_settle(self);
    }
    assert_true(self->atomics_done > done || self->atomic_count >= RUN_ATOMICS - 8);
    for (size_t i = 0; i < RUN_PARTS; i++) {
        assert_true(self->parts[i].batches[before[i]].synced);
    }
    for (size_t i = 0; i < RUN_KEYS; i++) {
        assert_int_equal(self->keys[i].synced, self->keys[i].put);
    }
}

/* --- Checking ----------------------------------------------------------------------------------- */

/* Read one stretch and wait; returns the completion, to be released. */
static struct store_completion read_wait(struct log_run *self, const struct run_part *part,
                                         uint64_t from)
{
    const struct store_read read = {.part = part->part,
                                    .from_offset = from,
                                    .to_offset = UINT64_MAX,
                                    .max_bytes = 3000,
                                    .tag = 99};
    struct zsp_err err = {0};
    assert_int_equal(self->store->ops->read(self->store, &read, &err), 0);
    for (int i = 0; i < TURNS_MAX; i++) {
        self->store->ops->flush(self->store, self->now);
        struct job *job;
        while ((job = log_store_next_job(self->log))) {
            job_run(job, self->fs);
            log_store_job_done(self->log, job);
        }
        struct store_completion done;
        while (self->store->ops->next_completion(self->store, &done)) {
            if (done.kind == STORE_READ) {
                return done;
            }
            on_completion(self, &done);
        }
    }
    fail_msg("no answer to a read");
    return (struct store_completion){0};
}

/* The books' batches that must be there are there; `seen` are those that were read. */
static void check_kept(const struct run_part *part, const bool *seen, uint64_t start)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct run_batch *batch = &part->batches[i];
        if (batch->synced && batch->offset >= start && !seen[i]) {
            fail_msg("batch %zu, confirmed at offset %" PRIu64 ", is gone", i, batch->offset);
        }
    }
}

static void check_part(struct log_run *self, struct run_part *part)
{
    bool seen[RUN_BATCHES] = {false};
    struct store_part_info info;
    self->store->ops->part_info(self->store, part->part, &info);
    assert_false(info.refuses_appends);
    assert_true(info.synced_offset >= part->mark);
    part->mark = info.synced_offset;
    for (uint64_t offset = info.start_offset; offset < info.synced_offset;) {
        struct store_completion done = read_wait(self, part, offset);
        if (done.error.code != 0) {
            fail_msg("read at %" PRIu64 ": %s", offset, done.error.msg);
        }
        assert_int_equal(done.covered.first_offset, offset);
        assert_true(done.covered.end_offset > offset);
        check_batches(self, part, &done);
        uint64_t expected = offset;
        for (uint32_t i = 0; i < done.batch_count; i++) {
            assert_true(done.batches[i].first_offset == expected ||
                        (i == 0 && done.batches[i].first_offset < expected));
            expected = done.batches[i].first_offset + done.batches[i].record_count;
            assert_false(seen[done.batches[i].sequence]);
            seen[done.batches[i].sequence] = true;
        }
        assert_int_equal(done.covered.end_offset, expected);
        offset = expected;
        store_completion_release(&done);
    }
    check_kept(part, seen, info.start_offset);
}

void log_run_check(struct log_run *self)
{
    for (size_t i = 0; i < RUN_PARTS; i++) {
        check_part(self, &self->parts[i]);
    }
}
