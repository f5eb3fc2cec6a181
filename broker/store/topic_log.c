/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/topic_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "common/assert.h"

/* --- Files --------------------------------------------------------------------------------- */

/* Make an empty file durable; an empty one may be there. */
static int make_empty_file(struct fs *fs, const char *path, bool *ret_sync_failed,
                           struct zsp_err *err)
{
    int file = fs->ops->open(fs->self, path, FS_CREATE, err);
    uint64_t bytes = 0;
    if (file == ZSP_EEXISTS) {
        file = fs->ops->open(fs->self, path, FS_WRITE, err);
        if (file >= 0 && fs->ops->size(fs->self, file, &bytes, err) < 0) {
            (void)fs->ops->close(fs->self, file, NULL); /* only looked at */
            return err->code;
        }
    }
    if (file < 0) {
        return file;
    }
    int rc = 0;
    if (bytes > 0) {
        rc = zsp_err_set(err, ZSP_EEXISTS, "%s: is there already, with %" PRIu64 " bytes", path,
                         bytes);
    } else {
        rc = fs->ops->sync(fs->self, file, err);
        *ret_sync_failed = rc < 0;
    }
    (void)fs->ops->close(fs->self, file, NULL); /* empty */
    return rc < 0 ? rc : 0;
}

static int make_part(struct fs *fs, const char *topic_path, uint32_t partition,
                     bool *ret_sync_failed, struct zsp_err *err)
{
    char directory[LAYOUT_PATH_MAX];
    char path[LAYOUT_PATH_MAX];
    layout_part_path(directory, topic_path, partition);
    layout_segment_path(path, directory, 0, ".log");
    int rc = fs->ops->mkdir(fs->self, directory, err);
    if (rc >= 0) {
        rc = make_empty_file(fs, path, ret_sync_failed, err);
    }
    if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, directory, err);
        *ret_sync_failed = rc < 0;
    }
    return rc;
}

int topic_log_make_files(struct fs *fs, const char *topic_path, uint32_t first, uint32_t end,
                         bool *ret_sync_failed, struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    *ret_sync_failed = false;
    int rc = fs->ops->mkdir(fs->self, topic_path, err);
    for (uint32_t i = first; i < end && rc >= 0; i++) {
        rc = make_part(fs, topic_path, i, ret_sync_failed, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = fs->ops->sync_dir(fs->self, topic_path, err);
    if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, "topics", err);
    }
    *ret_sync_failed = rc < 0;
    return rc < 0 ? rc : 0;
}

/* --- Creation -------------------------------------------------------------------------------- */

struct create {
    struct io io;
    char path[LAYOUT_PATH_MAX];
    char orphan[LAYOUT_PATH_MAX]; /* a directory to set aside first, "" = none */
    char aside[LAYOUT_PATH_MAX];  /* its new name */
    uint32_t first;
    uint32_t end;
    bool sync_failed;
    uint64_t tag;
    size_t count;
    struct store_part *parts[];
};

static void create_run(struct job *job, struct fs *fs)
{
    struct create *self = job->owner;
    struct zsp_err err = {0};
    int rc = 0;
    if (self->orphan[0] != '\0') {
        rc = fs->ops->rename(fs->self, self->orphan, self->aside, &err);
        if (rc >= 0) {
            rc = fs->ops->sync_dir(fs->self, "quarantine", &err);
            self->sync_failed = rc < 0;
        }
    }
    if (rc >= 0) {
        rc = topic_log_make_files(fs, self->path, self->first, self->end, &self->sync_failed, &err);
    }
    if (rc < 0) {
        job->error = err;
        (void)zsp_err_wrap(&job->error, "create %s", self->path);
    }
}

/* The creation ends here, well or not. Without success the handles are dead. */
static void create_end(struct log_store *store, struct create *self, const struct zsp_err *err)
{
    for (size_t i = 0; i < self->count; i++) {
        struct store_part *part = self->parts[i];
        part->busy--;
        if (part->state == PART_DROPPED) {
            continue; /* the removal goes on with it */
        }
        if (!err) {
            partition_opened(part);
        } else if (!store->failed) {
            partition_drop(part);
            part->orphaned = true; /* freed when nothing points to it any more */
            store->orphans++;
        }
    }
    store->works--;
    const struct completion completion = {.kind = STORE_TOPIC_CREATED, .tag = self->tag};
    store_complete(store, &completion, err);
    reads_wake(store);
    id_finds_wake(store);
    free(self);
}

static void facts_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    create_end(store, arg, err);
}

static void create_done(struct log_store *store, struct io *io)
{
    struct create *self = (struct create *)io;
    if (self->sync_failed) {
        store_fail(store, &io->job.error);
    }
    if (store->failed || io->job.error.code != 0) {
        create_end(store, self, store->failed ? &store->failure : &io->job.error);
        return;
    }
    struct fact *facts = calloc(self->count, sizeof *facts);
    struct store_entry *entries = calloc(self->count, sizeof *entries);
    if (facts && entries) {
        for (size_t i = 0; i < self->count; i++) {
            const struct store_part *part = self->parts[i];
            facts[i] = fact_part(part->topic_id, part->number, 0, 0);
            entries[i] = fact_entry(&facts[i], STORE_IMAGE);
        }
        journal_put_own(store, entries, self->count, facts_synced, self);
    } else {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ENOMEM, "create a topic");
        create_end(store, self, &err);
    }
    free(facts);
    free(entries);
}

static struct store_part *new_part(struct log_store *store, const struct create *create,
                                   uint64_t topic_id, uint32_t number, void *owner)
{
    char path[LAYOUT_PATH_MAX];
    layout_part_path(path, create->path, number);
    struct store_part *part = partition_new(store, topic_id, number, path, owner);
    struct segment *segment = part ? segment_new(part, 0, 0) : NULL;
    if (segment && partition_add_segment(part, segment) < 0) {
        segment_destroy(store, &segment);
    }
    if (!segment) {
        partition_destroy(&part);
        return NULL;
    }
    segment->index.complete = true;
    return part;
}

static void find_orphan(struct log_store *store, uint64_t topic_id, struct create *create)
{
    struct layout_topic *known = layout_find_topic(&store->topics, topic_id);
    if (!known || known->asked) {
        return;
    }
    known->asked = true; /* it will be ours, or set aside */
    memcpy(create->orphan, known->path, strlen(known->path) + 1);
    const int len =
        snprintf(create->aside, sizeof create->aside, "quarantine/%.300s-start-%" PRIu64,
                 known->path + strlen("topics/"), store->epoch >> 32);
    zsp_assert(len > 0 && (size_t)len < sizeof create->aside);
}

int topic_log_create(struct log_store *store, const struct store_topic *topic, uint32_t first,
                     void *const *owners, struct store_part **ret_parts, uint64_t tag,
                     struct zsp_err *err)
{
    zsp_assert(first < topic->partition_count);
    zsp_assert(topic->partition_count <= ZSP_PARTITIONS_MAX);
    const size_t count = topic->partition_count - first;
    struct create *create = calloc(1, sizeof *create + count * sizeof(struct store_part *));
    if (!create) {
        return zsp_err_set(err, ZSP_ENOMEM, "create a topic");
    }
    if (first == 0) {
        layout_topic_path(create->path, topic->id, topic->name);
        find_orphan(store, topic->id, create);
    } else { /* more partitions: where the others are */
        const struct layout_topic *known = layout_find_topic(&store->topics, topic->id);
        if (known) {
            memcpy(create->path, known->path, strlen(known->path) + 1);
        } else {
            layout_topic_path(create->path, topic->id, topic->name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        create->parts[i] = new_part(store, create, topic->id, first + (uint32_t)i, owners[i]);
        if (!create->parts[i]) {
            while (i > 0) {
                partition_destroy(&create->parts[--i]);
            }
            free(create);
            return zsp_err_set(err, ZSP_ENOMEM, "create a topic");
        }
    }
    for (size_t i = 0; i < count; i++) {
        create->parts[i]->busy++;
        ret_parts[i] = create->parts[i];
    }
    create->count = count;
    create->first = first;
    create->end = topic->partition_count;
    create->tag = tag;
    io_task(&create->io, create_run, create_done, create);
    store->works++;
    store_submit(store, &create->io);
    return 0;
}

void topic_log_free_orphans(struct log_store *store)
{
    struct store_part *part = store->orphans ? store->parts_first : NULL;
    while (part) {
        struct store_part *next = part->next;
        if (part->orphaned && partition_idle(part)) {
            partition_destroy(&part);
            store->orphans--;
        }
        part = next;
    }
}
