/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/unasked.h"

#include <inttypes.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/part_facts.h"

static bool is_unasked(const struct log_store *store, uint64_t topic_id, uint32_t partition)
{
    const struct fact key = fact_part(topic_id, partition, 0, 0);
    const struct carry_object *object = carry_find(&store->journal.carry, fact_key(&key));
    return object && !object->asked;
}

/* --- Batches that only the journal holds ------------------------------------------------ */

static int write_to(struct fs *fs, const char *path, uint64_t segment,
                    const struct redo_item *items, size_t count, struct zsp_err *err)
{
    uint64_t end;
    const int file = fs->ops->open(fs->self, path, FS_WRITE, err);
    if (file < 0) {
        return file;
    }
    int rc = redo_apply(fs, items, count, segment, file, &end, err);
    if (rc > 0) {
        rc = fs->ops->sync(fs->self, file, err);
    }
    (void)fs->ops->close(fs->self, file, NULL); /* synced, or given up */
    return rc < 0 ? rc : 0;
}

/* As the recovery of a partition that is asked for. What has no facts or no file has nothing that
 * could be mended: it is told as it is. */
static int redo_one(struct log_store *store, const struct redo_item *items, size_t count,
                    struct zsp_err *err)
{
    char directory[LAYOUT_PATH_MAX];
    char path[LAYOUT_PATH_MAX];
    struct part_facts facts = {0};
    struct zsp_err why = {0};
    const struct layout_topic *known = layout_find_topic(&store->topics, items->topic_id);
    int rc = known && is_unasked(store, items->topic_id, items->partition)
                 ? part_facts_read(&store->journal.carry, items->topic_id, items->partition, &facts,
                                   &why)
                 : 1;
    if (rc == 0) {
        layout_part_path(directory, known->path, items->partition);
        layout_segment_path(path, directory, facts.active, ".log");
        rc = write_to(store->fs, path, facts.active, items, count, &why);
    }
    part_facts_fini(&facts);
    if (rc >= 0 || rc == ZSP_ENOT_FOUND || rc == ZSP_ECORRUPT) {
        return 0;
    }
    if (err) {
        *err = why;
    }
    return rc;
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

/* --- The whole ------------------------------------------------------------------------- */

static void report(const struct log_store *store)
{
    for (size_t i = 0; i < store->topics.count; i++) {
        if (!store->topics.items[i].asked) {
            zsp_diag(store->options.diag, ZSP_WARNING, "%s: no topic has this id, left alone",
                     store->topics.items[i].path);
        }
    }
    const struct carry_object *object = store->journal.carry.first;
    for (; object; object = object->next) {
        uint64_t id;
        uint32_t partition;
        if (fact_parse(carry_key(object), &id, &partition) == 'P' && !object->asked) {
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
        report(store);
    }
    return rc;
}
