/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/unasked.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/part_facts.h"
#include "broker/store/topic_log.h"
#include "common/limits.h"

#define ANY_PARTITION UINT32_MAX
_Static_assert(ZSP_PARTITIONS_MAX <= 9999, "the name of a partition's directory has four digits");

static bool is_unasked(const struct log_store *store, uint64_t topic_id, uint32_t partition)
{
    const struct fact key = fact_part(topic_id, partition, 0, 0);
    const struct carry_object *object = carry_find(&store->journal.carry, fact_key(&key));
    return object && !object->asked;
}

/* --- Batches that only the journal holds ------------------------------------------------ */

/* To the active segment's file, which is made anew if it is missing and all of it is there.
 * Without file or directory there is nothing to be mended. */
static int write_to(struct fs *fs, const char *directory, const struct part_facts *facts,
                    const struct redo_item *items, size_t count, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    uint64_t end;
    layout_segment_path(path, directory, facts->active, ".log");
    int file = fs->ops->open(fs->self, path, FS_WRITE, err);
    if (file == ZSP_ENOT_FOUND && redo_covers(items, count, facts->active, facts->mark.pos)) {
        file = fs->ops->open(fs->self, path, FS_CREATE, err);
    }
    if (file < 0) {
        return file == ZSP_ENOT_FOUND ? 0 : file;
    }
    int rc = redo_apply(fs, items, count, facts->active, file, &end, err);
    if (rc > 0) {
        rc = fs->ops->sync(fs->self, file, err);
        rc = rc < 0 ? rc : fs->ops->sync_dir(fs->self, directory, err);
    }
    (void)fs->ops->close(fs->self, file, NULL); /* synced, or given up */
    return rc < 0 ? rc : 0;
}

/* As the recovery of a partition that is asked for. What has no facts, or bad ones, is told as it
 * is. */
static int redo_one(struct log_store *store, const struct redo_item *items, size_t count,
                    struct zsp_err *err)
{
    char directory[LAYOUT_PATH_MAX];
    struct part_facts facts = {0};
    const struct layout_topic *known = layout_find_topic(&store->topics, items->topic_id);
    int rc =
        known && is_unasked(store, items->topic_id, items->partition)
            ? part_facts_read(&store->journal.carry, items->topic_id, items->partition, &facts, err)
            : 1;
    if (rc == 0) {
        layout_part_path(directory, known->path, items->partition);
        rc = write_to(store->fs, directory, &facts, items, count, err);
    } else if (rc == ZSP_ECORRUPT) {
        rc = 0;
    }
    part_facts_fini(&facts);
    return rc < 0 ? rc : 0;
}

static int redo_all(struct log_store *store, struct zsp_err *err)
{
    const struct redo_log *log = &store->redo_log;
    int rc = 0;
    for (size_t i = 0; i < log->count && rc == 0;) {
        size_t count;
        const struct redo_item *items =
            redo_log_find(log, log->items[i].topic_id, log->items[i].partition, &count);
        rc = redo_one(store, items, count, err);
        i += count;
    }
    return rc;
}

/* --- Leftovers ------------------------------------------------------------------------- */

/* Does the journal know of a message that is, or was, in there? */
static bool journal_tells(const struct log_store *store, uint64_t topic_id, uint32_t partition)
{
    const struct carry_object *object;
    TAILQ_FOREACH (object, &store->journal.carry.objects, link) {
        uint64_t id;
        uint32_t number;
        uint64_t first_segment = 0;
        uint64_t base_offset = 0;
        const char letter = fact_parse(carry_key(object), &id, &number);
        if (id != topic_id || (partition != ANY_PARTITION && number != partition)) {
            continue;
        }
        if (letter == 'M' || letter == 'S') {
            return true;
        }
        if (letter == 'P' && (!fact_read_part(carry_value(object), &first_segment, &base_offset) ||
                              first_segment > 0 || base_offset > 0)) {
            return true;
        }
    }
    for (size_t i = 0; i < store->redo_log.count; i++) {
        const struct redo_item *item = &store->redo_log.items[i];
        if (item->topic_id == topic_id &&
            (partition == ANY_PARTITION || item->partition == partition)) {
            return true;
        }
    }
    return false;
}

/* Anything but the empty file of a first segment ends the walk. */
static int look_at_file(void *arg, const struct fs_entry *entry)
{
    uint64_t number;
    (void)arg;
    return entry->is_directory || entry->bytes > 0 ||
           !layout_parse_number(entry->name, ".log", &number) || number > 0;
}

static bool part_is_empty(struct fs *fs, const char *path)
{
    const int rc = fs->ops->list(fs->self, path, look_at_file, NULL, NULL);
    return rc == 0 || rc == ZSP_ENOT_FOUND;
}

struct look {
    struct fs *fs;
    const char *path;
};

static int look_at_part(void *arg, const struct fs_entry *entry)
{
    const struct look *look = arg;
    char path[LAYOUT_PATH_MAX];
    const size_t len = strlen(entry->name);
    if (!entry->is_directory || len > 4 || strspn(entry->name, "0123456789") != len) {
        return 1;
    }
    layout_part_path(path, look->path, (uint32_t)strtoul(entry->name, NULL, 10));
    return part_is_empty(look->fs, path) ? 0 : 1;
}

static bool is_leftover(const struct log_store *store, const struct layout_topic *topic)
{
    struct look look = {store->fs, topic->path};
    return !journal_tells(store, topic->id, ANY_PARTITION) &&
           store->fs->ops->list(store->fs->self, topic->path, look_at_part, &look, NULL) == 0;
}

/* Partitions that a topic was to get: in nobody's way, and taken when it gets them. */
static bool is_leftover_part(const struct log_store *store, uint64_t topic_id, uint32_t partition)
{
    char path[LAYOUT_PATH_MAX];
    const struct layout_topic *topic = layout_find_topic(&store->topics, topic_id);
    if (!topic || !topic->asked || journal_tells(store, topic_id, partition)) {
        return false;
    }
    layout_part_path(path, topic->path, partition);
    return part_is_empty(store->fs, path);
}

/* --- The whole ------------------------------------------------------------------------- */

static void settle_topics(struct log_store *store)
{
    for (size_t i = 0; i < store->topics.count; i++) {
        struct layout_topic *topic = &store->topics.items[i];
        if (topic->asked) {
            continue;
        }
        if (!is_leftover(store, topic)) {
            zsp_diag(store->options.diag, ZSP_WARNING, "%s: no topic has this id, left alone",
                     topic->path);
            continue;
        }
        zsp_diag(store->options.diag, ZSP_INFO, "%s: its creation did not end, removed",
                 topic->path);
        topic->asked = true;
        topic->leftover = true;
        topic_log_disown(store, topic->id);
    }
}

static void report_parts(const struct log_store *store)
{
    const struct carry_object *object;
    TAILQ_FOREACH (object, &store->journal.carry.objects, link) {
        uint64_t id;
        uint32_t partition;
        if (fact_parse(carry_key(object), &id, &partition) == 'P' && !object->asked &&
            !is_leftover_part(store, id, partition)) {
            zsp_diag(store->options.diag, ZSP_WARNING,
                     "topic %" PRIu64 " partition %" PRIu32
                     " is in the journal, but belongs to no topic, left alone",
                     id, partition);
        }
    }
}

int unasked_settle(struct log_store *store, struct zsp_err *err)
{
    const int rc = redo_all(store, err);
    if (rc == 0) {
        settle_topics(store);
        report_parts(store);
    }
    return rc;
}

int unasked_remove(struct log_store *store, struct zsp_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < store->topics.count && rc == 0; i++) {
        if (store->topics.items[i].leftover) {
            rc = topic_log_remove(store, store->topics.items[i].id, err);
        }
    }
    return rc;
}
