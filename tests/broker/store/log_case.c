/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/store/log_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/file/batch.h"
#include "tests/support/crash_fs.h"

static uint64_t next_random(void *arg)
{
    uint64_t *state = arg;
    return *state += 0x9e3779b97f4a7c15u;
}

static void keep_line(void *arg, enum zsp_level level, const char *line)
{
    struct log_case *self = arg;
    if (level >= ZSP_WARNING) {
        self->warnings++;
        (void)snprintf(self->last_warning, sizeof self->last_warning, "%s", line);
    }
}

/* --- Completions -------------------------------------------------------------------------- */

static void on_completion(struct log_case *self, struct store_completion *done)
{
    switch (done->kind) {
    case STORE_APPENDED:
        self->append_code = done->error.code;
        self->append_maybe = done->error.maybe;
        self->append_offset = done->offset;
        self->appended++;
        break;
    case STORE_SYNCED:
        self->synced[(struct store_part **)done->owner - self->parts] = done->offset;
        break;
    case STORE_READ:
        store_completion_release(&self->read);
        self->read = *done;
        return;
    case STORE_FOUND:
        self->found = done->offset;
        break;
    case STORE_IDS_FOUND:
        self->ids_code = done->error.code;
        self->ids_found = done->hit_count > 0 ? done->hits[0].offset : UINT64_MAX;
        break;
    case STORE_TERMS_READ:
        store_completion_release(&self->terms);
        self->terms = *done;
        return;
    case STORE_TRIMMED:
        self->trimmed = done->offset;
        break;
    case STORE_TOPIC_DROPPED:
        self->dropped = true;
        break;
    case STORE_TOPIC_CREATED:
        self->topic_known = done->error.code == 0;
        break;
    case STORE_FAILED:
        self->failed = true;
        break;
    case STORE_ATOMIC_READY:
        self->atomic_code = done->error.code;
        self->atomics_ready++;
        break;
    case STORE_ATOMIC_DONE:
        self->atomic_code = done->error.code;
        self->atomics_done++;
        break;
    case STORE_STATE:
    case STORE_COMPACTED:
    case STORE_IMAGE_WANTED:
    case STORE_SPACE:
    case STORE_FENCED:
        break;
    }
    store_completion_release(done);
}

void log_case_hear(struct log_case *self)
{
    struct store_completion done;
    while (self->store->ops->next_completion(self->store, &done)) {
        on_completion(self, &done);
    }
}

void log_case_run(struct log_case *self)
{
    self->store->ops->flush(self->store, self->now);
    struct job *job;
    while ((job = log_store_next_job(self->log))) {
        job_run(job, self->options.fs);
        log_store_job_done(self->log, job);
    }
    log_case_hear(self);
}

void log_case_settle(struct log_case *self)
{
    for (int i = 0; i < 1000 && !self->failed; i++) {
        log_case_run(self);
        if (!self->store->ops->busy(self->store)) {
            return;
        }
        self->now.mono_ms += 10;
    }
    assert_true(self->failed);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int on_entry(void *arg, const struct store_entry *entry, struct zsp_err *err)
{
    struct log_case *self = arg;
    (void)err;
    const size_t len = strlen(self->entries);
    (void)snprintf(self->entries + len, sizeof self->entries - len, "%.*s%s%.*s ",
                   (int)entry->key.len, (const char *)entry->key.data,
                   entry->kind == STORE_IMAGE   ? "="
                   : entry->kind == STORE_DELTA ? "+"
                                                : "-",
                   (int)entry->value.len, (const char *)entry->value.data);
    return 0;
}

static int on_batch(void *arg, void *owner, const struct store_batch *batch, struct zsp_err *err)
{
    struct log_case *self = arg;
    (void)owner;
    (void)err;
    if (self->told++ == 0) {
        self->first_told = batch->first_offset;
    }
    return 0;
}

static int start(struct log_case *self)
{
    const struct store_hooks hooks = {.arg = self, .entry_fn = on_entry, .batch_fn = on_batch};
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    struct zsp_err *err = &self->err;
    int rc = self->store->ops->start(self->store, &hooks, self->now, err);
    if (self->topic_has_entry) {
        self->topic_known = strstr(self->entries, "T=") && !strstr(self->entries, "T-");
    }
    for (uint32_t i = 0; i < CASE_PARTS && rc == 0 && self->topic_known; i++) {
        rc = self->store->ops->part_open(self->store, &topic, i, &self->parts[i],
                                         i == 0 ? self->replay_from : UINT64_MAX,
                                         i == 0 ? self->hint : 0, &self->parts[i], err);
    }
    return rc != 0 ? rc : self->store->ops->ready(self->store, err);
}

int log_case_open(struct log_case *self)
{
    memset(&self->err, 0, sizeof self->err);
    self->entries[0] = '\0';
    self->told = 0;
    self->warnings = 0;
    self->failed = false;
    self->log = log_store_open(&self->options, &self->err);
    if (!self->log) {
        assert_true(self->err.code != 0);
        return self->err.code;
    }
    self->store = log_store_base(self->log);
    const int rc = start(self);
    if (rc != 0) {
        log_case_kill(self);
    }
    return rc;
}

void log_case_kill(struct log_case *self)
{
    store_completion_release(&self->read);
    store_completion_release(&self->terms);
    self->store->ops->destroy(self->store);
    self->store = NULL;
    self->log = NULL;
}

void log_case_close(struct log_case *self)
{
    log_case_settle(self);
    log_case_kill(self);
}

void log_case_reopen(struct log_case *self)
{
    if (self->store) {
        log_case_close(self);
    }
    const int rc = log_case_open(self);
    if (rc != 0) {
        fail_msg("open: %d %s", rc, self->err.msg);
    }
}

int log_case_set_up(void **state)
{
    struct log_case *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->fs = crash_fs_new();
    self->random = 1;
    self->replay_from = UINT64_MAX;
    self->diag = (struct zsp_diag){keep_line, self, ZSP_DEBUG};
    self->options = (struct log_store_options){.fs = self->fs,
                                               .diag = &self->diag,
                                               .random_fn = next_random,
                                               .random_arg = &self->random,
                                               .segment_bytes = 4096,
                                               .fill_bytes = 1024,
                                               .create = true};
    log_case_reopen(self);
    const struct store_topic topic = {CASE_TOPIC, zsp_slice_str("orders"), CASE_PARTS};
    void *owners[CASE_PARTS];
    for (size_t i = 0; i < CASE_PARTS; i++) {
        owners[i] = &self->parts[i];
    }
    assert_int_equal(
        self->store->ops->topic_create(self->store, &topic, 0, owners, self->parts, 1, NULL), 0);
    log_case_settle(self);
    assert_true(self->topic_known);
    *state = self;
    return 0;
}

int log_case_tear_down(void **state)
{
    struct log_case *self = *state;
    if (self->store) {
        log_case_kill(self);
    }
    crash_fs_destroy(&self->fs);
    free(self);
    return 0;
}

/* --- Work ------------------------------------------------------------------------------------- */

int log_case_append(struct log_case *self, uint32_t partition, const char *text)
{
    struct zsp_buf *buf = zsp_buf_copy(zsp_slice_str(text));
    assert_non_null(buf);
    const struct store_batch batch = {.frame = buf,
                                      .body = {buf->data, buf->len},
                                      .record_count = 1,
                                      .timestamp_ms = self->now.wall_ms,
                                      .priority = self->priority ? self->priority : 4};
    const int rc = self->store->ops->append(self->store, self->parts[partition], &batch, 5, NULL);
    zsp_buf_put(&buf);
    return rc;
}

void log_case_fill(struct log_case *self, uint32_t partition, const char *text, int count)
{
    for (int i = 0; i < count; i++) {
        char body[256];
        (void)snprintf(body, sizeof body, "%s%d", text, i);
        assert_int_equal(log_case_append(self, partition, body), 0);
        log_case_run(self);
    }
}

void log_case_fill_large(struct log_case *self, int count)
{
    static char text[LOG_CASE_LARGE + 1];
    memset(text, 'x', LOG_CASE_LARGE);
    self->options.segment_bytes = 64u << 20;
    log_case_reopen(self);
    for (int i = 0; i < count; i++) {
        assert_int_equal(log_case_append(self, 0, text), 0);
        log_case_run(self);
    }
    log_case_close(self);
}

void log_case_put(struct log_case *self, const char *key, enum store_entry_kind kind,
                  const char *value)
{
    const struct store_entry entry = {zsp_slice_str(key), kind, zsp_slice_str(value)};
    struct zsp_err err = {0};
    const int rc = self->store->ops->state_put(self->store, &entry, 1, STORE_SYNCED_LEVEL, 6, &err);
    if (rc != 0) {
        fail_msg("put %s: %s", key, err.msg);
    }
    log_case_run(self);
}

int log_case_read(struct log_case *self, uint32_t partition, uint64_t from)
{
    const struct store_read read = {.part = self->parts[partition],
                                    .from_offset = from,
                                    .to_offset = UINT64_MAX,
                                    .max_bytes = 100000,
                                    .tag = 8};
    store_completion_release(&self->read);
    assert_int_equal(self->store->ops->read(self->store, &read, NULL), 0);
    for (int i = 0; i < 100 && self->read.tag != 8; i++) {
        log_case_run(self);
    }
    assert_int_equal(self->read.tag, 8);
    return self->read.error.code;
}

void log_case_assert_body(const struct log_case *self, uint32_t index, const char *text)
{
    assert_true(index < self->read.batch_count);
    const struct zsp_slice body = self->read.batches[index].body;
    assert_int_equal(body.len, strlen(text));
    assert_memory_equal(body.data, text, body.len);
}

struct store_part_info log_case_info(const struct log_case *self, uint32_t partition)
{
    struct store_part_info info;
    self->store->ops->part_info(self->store, self->parts[partition], &info);
    return info;
}

/* --- Files --------------------------------------------------------------------------------------- */

static int open_file(struct log_case *self, const char *path, enum fs_open_mode mode)
{
    const int file = self->fs->ops->open(self->fs->self, path, mode, NULL);
    assert_true(file >= 0);
    return file;
}

static void close_synced(struct log_case *self, int file)
{
    assert_true(self->fs->ops->sync(self->fs->self, file, NULL) >= 0);
    assert_true(self->fs->ops->close(self->fs->self, file, NULL) >= 0);
}

uint64_t log_case_file_size(struct log_case *self, const char *path)
{
    const int file = self->fs->ops->open(self->fs->self, path, FS_READ, NULL);
    if (file < 0) {
        return UINT64_MAX;
    }
    uint64_t bytes = 0;
    assert_true(self->fs->ops->size(self->fs->self, file, &bytes, NULL) >= 0);
    close_synced(self, file);
    return bytes;
}

void log_case_file_write(struct log_case *self, const char *path, uint64_t pos, const void *bytes,
                         size_t len)
{
    const int file = open_file(self, path, FS_WRITE);
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    size_t done = 0;
    assert_true(self->fs->ops->write(self->fs->self, file, &iov, 1, pos, &done, NULL) >= 0);
    assert_int_equal(done, len);
    close_synced(self, file);
}

static void fill(struct log_case *self, const char *path, uint64_t from, uint64_t to, int byte)
{
    const size_t len = (size_t)(to - from);
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, byte, len);
    log_case_file_write(self, path, from, bytes, len);
    free(bytes);
}

void log_case_file_zero(struct log_case *self, const char *path, uint64_t from, uint64_t to)
{
    fill(self, path, from, to, 0);
}

void log_case_file_spoil(struct log_case *self, const char *path, uint64_t from, uint64_t to)
{
    fill(self, path, from, to, 0xa5);
}

void log_case_file_truncate(struct log_case *self, const char *path, uint64_t bytes)
{
    const int file = open_file(self, path, FS_WRITE);
    assert_true(self->fs->ops->truncate(self->fs->self, file, bytes, NULL) >= 0);
    close_synced(self, file);
}

void log_case_file_remove(struct log_case *self, const char *path)
{
    assert_true(self->fs->ops->unlink(self->fs->self, path, NULL) >= 0);
}

void log_case_file_make(struct log_case *self, const char *path)
{
    close_synced(self, open_file(self, path, FS_CREATE));
}

size_t log_case_file_read(struct log_case *self, const char *path, uint8_t *out, size_t size)
{
    const int file = open_file(self, path, FS_READ);
    size_t done = 0;
    assert_true(self->fs->ops->read(self->fs->self, file, out, size, 0, &done, NULL) >= 0);
    close_synced(self, file);
    return done;
}

static int count_entry(void *arg, const struct fs_entry *entry)
{
    (void)entry;
    ++*(size_t *)arg;
    return 0;
}

size_t log_case_dir_count(struct log_case *self, const char *path)
{
    size_t count = 0;
    (void)self->fs->ops->list(self->fs->self, path, count_entry, &count, NULL); /* none = 0 */
    return count;
}

uint64_t log_case_batch_pos(struct log_case *self, const char *path, int index)
{
    static uint8_t bytes[16384];
    const size_t len = log_case_file_read(self, path, bytes, sizeof bytes);
    uint64_t pos = 0;
    for (int i = 0; i < index && pos < len && batch_has_magic(bytes + pos); i++) {
        pos += batch_bytes(zsp_get_u32(bytes + pos + 12));
    }
    return pos;
}

/* --- Judging --------------------------------------------------------------------------------- */

static void fail_on_damage(void *arg, const struct check_finding *finding)
{
    (void)arg;
    if (finding->severity == CHECK_DAMAGE) {
        fail_msg("%s at pos %u: %s", finding->path, (unsigned)finding->pos, finding->text);
    }
}

void log_case_assert_clean(const struct log_case *self)
{
    const struct check_options options = {
        .fs = self->fs, .body_fn = check_body, .finding_fn = fail_on_damage, .sequences = true};
    struct check_summary summary;
    struct zsp_err err = {0};
    if (check_store(&options, &summary, &err) != 0) {
        fail_msg("check: %s", err.msg);
    }
}

void log_case_assert_no_leftovers(struct log_case *self)
{
    const struct store_part_info info = log_case_info(self, 0);
    const size_t files = log_case_dir_count(self, "topics/7-orders/0");
    assert_in_range(files, info.segment_count, 3u * info.segment_count + 1); /* .log, .idx, .pri */
}
