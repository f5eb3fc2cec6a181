/* SPDX-License-Identifier: MPL-2.0
 *
 * The removal of a topic, and its resumption by a start. The story is in
 * topic_log.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/topic_log.h"
#include "common/assert.h"

struct drop {
    struct io io;
    struct drop *next; /* waiting until all is idle */
    uint64_t topic_id;
    char path[LAYOUT_PATH_MAX];
    char trash[LAYOUT_PATH_MAX];
    bool sync_failed;
    bool told; /* somebody waits for STORE_TOPIC_DROPPED */
    uint64_t tag;
    size_t count;
    struct store_part *parts[];
};

/* Remove a directory tree of ours: at most topic, partitions, files. */
struct tree {
    struct fs *fs;
    const char *path;
    unsigned depth;
    struct zsp_err *err;
};

static int remove_entry(void *arg, const struct fs_entry *entry);

static int remove_tree(struct fs *fs, const char *path, unsigned depth, struct zsp_err *err)
{
    struct tree tree = {fs, path, depth, err};
    int rc = fs->ops->list(fs->self, path, remove_entry, &tree, err);
    if (rc >= 0) {
        rc = fs->ops->rmdir(fs->self, path, err);
    }
    return rc;
}

static int remove_entry(void *arg, const struct fs_entry *entry)
{
    const struct tree *tree = arg;
    char path[LAYOUT_PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", tree->path, entry->name);
    if (len < 0 || (size_t)len >= sizeof path) {
        return zsp_err_set(tree->err, ZSP_EIO, "%s: a name in it is too long", tree->path);
    }
    if (!entry->is_directory) {
        return tree->fs->ops->unlink(tree->fs->self, path, tree->err);
    }
    if (tree->depth == 0) {
        return zsp_err_set(tree->err, ZSP_EIO, "%s: deeper than anything of ours", path);
    }
    return remove_tree(tree->fs, path, tree->depth - 1, tree->err);
}

static void trash_run(struct job *job, struct fs *fs)
{
    struct drop *self = job->owner;
    const int rc = remove_tree(fs, self->trash, 1, &job->error);
    if (rc >= 0 || rc == ZSP_ENOT_FOUND) {
        memset(&job->error, 0, sizeof job->error);
        self->sync_failed = fs->ops->sync_dir(fs->self, "trash", &job->error) < 0;
    }
}

static void trash_done(struct log_store *store, struct io *io)
{
    struct drop *self = (struct drop *)io;
    store->works--;
    if (self->sync_failed) {
        store_fail(store, &io->job.error);
    } else if (io->job.error.code != 0) {
        zsp_diag(store->options.diag, ZSP_WARNING, "%s cannot be removed: %s", self->trash,
                 io->job.error.msg);
    } else {
        const struct fact fact = fact_dropping(self->topic_id);
        const struct store_entry entry = fact_entry(&fact, STORE_GONE);
        journal_put_own(store, &entry, 1, NULL, NULL);
    }
    free(self);
}

static int move_to_trash(struct fs *fs, const char *path, const char *trash, bool *ret_sync_failed,
                         struct zsp_err *err)
{
    if (path[0] == '\0') {
        return 0; /* a resumed removal that was moved before */
    }
    int rc = fs->ops->rename(fs->self, path, trash, err);
    if (rc == ZSP_ENOT_FOUND) {
        memset(err, 0, sizeof *err); /* moved before, or never made */
        return 0;
    }
    if (rc < 0) {
        return rc;
    }
    rc = fs->ops->sync_dir(fs->self, "trash", err);
    if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, "topics", err);
    }
    *ret_sync_failed = rc < 0;
    return rc < 0 ? rc : 0;
}

static void move_run(struct job *job, struct fs *fs)
{
    struct drop *self = job->owner;
    (void)move_to_trash(fs, self->path, self->trash, &self->sync_failed, &job->error);
}

static void move_done(struct log_store *store, struct io *io)
{
    struct drop *self = (struct drop *)io;
    for (size_t i = 0; i < self->count; i++) {
        self->parts[i]->busy--;
        partition_destroy(&self->parts[i]);
    }
    self->count = 0;
    if (self->sync_failed) {
        store_fail(store, &io->job.error);
    }
    if (self->told) {
        const struct completion completion = {.kind = STORE_TOPIC_DROPPED, .tag = self->tag};
        store_complete(store, &completion, store->failed ? &store->failure : &io->job.error);
    }
    if (store->failed || io->job.error.code != 0) { /* the next start goes on with it */
        store->works--;
        free(self);
        return;
    }
    io_task(&self->io, trash_run, trash_done, self);
    store_submit(store, &self->io);
}

static void drop_synced(struct log_store *store, void *arg, const struct zsp_err *err)
{
    struct drop *self = arg;
    if (err) { /* the store failed */
        const struct completion completion = {.kind = STORE_TOPIC_DROPPED, .tag = self->tag};
        store_complete(store, &completion, err);
        for (size_t i = 0; i < self->count; i++) {
            self->parts[i]->busy--;
        }
        store->works--;
        free(self);
        return;
    }
    self->next = store->drops;
    store->drops = self;
}

/* Nothing but this removal points to the partitions? */
static bool drop_is_idle(const struct drop *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct store_part *part = self->parts[i];
        part->busy--;
        const bool idle = partition_idle(part);
        part->busy++;
        if (!idle) {
            return false;
        }
    }
    return true;
}

void topic_log_step(struct log_store *store)
{
    struct drop **link = &store->drops;
    while (*link) {
        struct drop *self = *link;
        if (!drop_is_idle(self)) {
            link = &self->next;
            continue;
        }
        *link = self->next;
        io_task(&self->io, move_run, move_done, self);
        store_submit(store, &self->io);
    }
    topic_log_free_orphans(store);
}

/* One record: all facts of a partition are gone. */
static int put_gone(struct log_store *store, const struct store_part *part, journal_fn *fn,
                    void *arg)
{
    const size_t count = part->segment_count + 2;
    struct fact *facts = calloc(count, sizeof *facts);
    struct store_entry *entries = calloc(count, sizeof *entries);
    const int rc = facts && entries ? 0 : ZSP_ENOMEM;
    if (rc == 0) {
        facts[0] = fact_part(part->topic_id, part->number, 0, 0);
        facts[1] = fact_mark(part->topic_id, part->number, &part->mark);
        for (size_t i = 0; i < part->segment_count; i++) {
            facts[i + 2] = fact_sealed_key(part->topic_id, part->number, part->segments[i]->number);
        }
        for (size_t i = 0; i < count; i++) {
            entries[i] = fact_entry(&facts[i], STORE_GONE);
        }
        journal_put_own(store, entries, count, fn, arg);
    }
    free(facts);
    free(entries);
    return rc;
}

static struct drop *drop_new(struct log_store *store, uint64_t topic_id, size_t count)
{
    struct drop *self = calloc(1, sizeof *self + count * sizeof(struct store_part *));
    if (!self) {
        return NULL;
    }
    self->topic_id = topic_id;
    self->count = count;
    /* The id is never used again, so the name in trash/ is free. */
    const int len = snprintf(self->trash, sizeof self->trash, "trash/%" PRIu64, topic_id);
    zsp_assert(len > 0 && (size_t)len < sizeof self->trash);
    const struct layout_topic *known = layout_find_topic(&store->topics, topic_id);
    if (known) {
        memcpy(self->path, known->path, strlen(known->path) + 1);
    }
    return self;
}

int topic_log_end(struct log_store *store, uint64_t topic_id, const struct store_entry *entry,
                  uint64_t tag, struct zsp_err *err)
{
    const struct fact fact = fact_dropping(topic_id);
    const struct store_entry entries[] = {*entry, fact_entry(&fact, STORE_IMAGE)};
    const struct journal_wait wait = {.tag = tag};
    return journal_put(store, entries, 2, 1, STORE_SYNCED_LEVEL, &wait, err);
}

int topic_log_drop(struct log_store *store, const struct store_topic *topic,
                   struct store_part *const *parts, uint64_t tag, struct zsp_err *err)
{
    zsp_assert(topic->partition_count > 0);
    struct drop *self = drop_new(store, topic->id, topic->partition_count);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "drop a topic");
    }
    /* The directory as it is, whatever the topic's name is now. */
    const char *slash = strrchr(parts[0]->path, '/');
    memset(self->path, 0, sizeof self->path);
    memcpy(self->path, parts[0]->path, (size_t)(slash - parts[0]->path));
    self->tag = tag;
    self->told = true;
    store->works++;
    for (size_t i = 0; i < self->count; i++) {
        self->parts[i] = parts[i];
        partition_drop(parts[i]);
        parts[i]->busy++;
    }
    reads_wake(store);
    id_finds_wake(store);
    const struct fact fact = fact_dropping(topic->id);
    const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
    journal_put_own(store, &entry, 1, NULL, NULL);
    const size_t count = self->count; /* drop_synced() frees self */
    for (size_t i = 0; i < count; i++) {
        const bool last = i + 1 == count;
        if (put_gone(store, parts[i], last ? drop_synced : NULL, self) < 0) {
            store_fail_memory(store, "dropping a topic");
            if (last) {
                drop_synced(store, self, &store->failure);
            }
        }
    }
    return 0;
}

/* --- Start-up --------------------------------------------------------------------------------------- */

/* Forget what a crash left of the facts of topics that are being removed. */
static void forget_facts(struct log_store *store)
{
    const struct carry_object *object = TAILQ_FIRST(&store->journal.carry.objects);
    while (object) {
        const struct carry_object *next = TAILQ_NEXT(object, link);
        uint64_t id;
        uint32_t partition;
        const char letter = fact_parse(carry_key(object), &id, &partition);
        if ((letter == 'P' || letter == 'S' || letter == 'M') &&
            carry_is_dropping(&store->journal.carry, id)) {
            struct fact copy = {.key_len = object->key_len};
            memcpy(copy.key, object->bytes, object->key_len);
            const struct store_entry entry = fact_entry(&copy, STORE_GONE);
            journal_put_own(store, &entry, 1, NULL, NULL);
        }
        object = next;
    }
}

int topic_log_resume(struct log_store *store, struct zsp_err *err)
{
    const struct carry_object *object;
    struct drop **link = &store->drops;
    TAILQ_FOREACH (object, &store->journal.carry.objects, link) {
        uint64_t id;
        uint32_t partition;
        if (fact_parse(carry_key(object), &id, &partition) != 'D') {
            continue;
        }
        struct drop *self = drop_new(store, id, 0);
        if (!self) {
            return zsp_err_set(err, ZSP_ENOMEM, "resume the removal of a topic");
        }
        struct layout_topic *known = layout_find_topic(&store->topics, id);
        if (known) {
            known->asked = true;
        }
        store->works++;
        *link = self;
        link = &self->next;
    }
    forget_facts(store);
    return 0;
}

void topic_log_disown(struct log_store *store, uint64_t topic_id)
{
    const struct fact fact = fact_dropping(topic_id);
    const struct store_entry entry = fact_entry(&fact, STORE_IMAGE);
    journal_put_own(store, &entry, 1, NULL, NULL);
    forget_facts(store);
}

int topic_log_remove(struct log_store *store, uint64_t topic_id, struct zsp_err *err)
{
    struct zsp_err why = {0};
    bool sync_failed; /* the start fails, whatever it was */
    struct drop *self = drop_new(store, topic_id, 0);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "remove what is left of a creation");
    }
    int rc = move_to_trash(store->fs, self->path, self->trash, &sync_failed, &why);
    if (rc == 0) {
        rc = remove_tree(store->fs, self->trash, 1, &why);
    }
    if (rc >= 0) {
        rc = store->fs->ops->sync_dir(store->fs->self, "trash", &why);
    }
    free(self);
    if (rc < 0) {
        if (err) {
            *err = why;
        }
        return rc;
    }
    const struct fact fact = fact_dropping(topic_id);
    const struct store_entry entry = fact_entry(&fact, STORE_GONE);
    journal_put_own(store, &entry, 1, NULL, NULL);
    return 0;
}

void topic_log_fini(struct log_store *store)
{
    while (store->drops) {
        struct drop *next = store->drops->next;
        free(store->drops);
        store->drops = next;
    }
}
