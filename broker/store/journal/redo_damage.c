/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/redo_damage.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/store/partition/part_facts.h"
#include "common/hash.h"

/* Has the segment's file these bytes in their place? 1 = yes. */
static int segment_holds(const struct redo_judge *self, const struct redo_item *item,
                         struct zsp_err *err)
{
    struct fs *fs = self->fs;
    const struct layout_topic *topic = layout_find_topic(self->topics, item->topic_id);
    if (!topic) {
        return 0;
    }
    char directory[LAYOUT_PATH_MAX];
    char path[LAYOUT_PATH_MAX];
    layout_part_path(directory, topic->path, item->partition);
    layout_segment_path(path, directory, item->segment, ".log");
    uint8_t *bytes = malloc(item->len);
    if (!bytes) {
        return zsp_err_set(err, ZSP_ENOMEM, "redo of %" PRIu32 " bytes", item->len);
    }
    size_t got = 0;
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    int rc = file;
    if (file >= 0) {
        rc = layout_read_at(fs, file, bytes, item->len, item->pos, &got, err);
        (void)fs->ops->close(fs->self, file, NULL); /* only read */
    }
    if (rc >= 0) {
        rc = got == item->len && zsp_hash((struct zsp_slice){bytes, got}) == item->sum;
    }
    free(bytes);
    return rc == ZSP_ENOT_FOUND ? 0 : rc;
}

/* Returns an enum redo_verdict, or an error. */
static int judge(const struct redo_judge *self, const struct redo_item *item, struct zsp_err *err)
{
    if (item->paid || carry_is_dropping(self->carry, item->topic_id)) {
        return REDO_PAID;
    }
    struct part_facts facts = {0};
    struct zsp_err why = {0};
    const int rc = part_facts_read(self->carry, item->topic_id, item->partition, &facts, &why);
    const uint64_t active = facts.active;
    part_facts_fini(&facts);
    if (rc == ZSP_ENOMEM) {
        return zsp_err_set(err, rc, "%s", why.msg);
    }
    if (rc != 0 || item->segment < active) {
        return REDO_PAID; /* without facts there is nothing that could serve its messages */
    }
    const int held = segment_holds(self, item, err);
    return held < 0 ? held : held > 0 ? REDO_HELD : REDO_LOST;
}

int redo_judge(const struct redo_judge *self, struct redo_log *log, struct zsp_err *err)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < log->count; i++) {
        struct redo_item *item = &log->items[i];
        if (item->damaged && rc >= 0) {
            rc = judge(self, item, err);
            if (rc >= 0) {
                self->verdict_fn(self->arg, item, (enum redo_verdict)rc);
            }
        }
        if (!item->damaged || rc == REDO_HELD) {
            log->items[kept++] = *item;
        }
    }
    log->count = kept;
    return rc < 0 ? rc : 0;
}

int redo_lost(const struct redo_item *item, struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, item->file);
    return zsp_err_set(err, ZSP_ECORRUPT,
                       "the journal is damaged: %s at pos %" PRIu32
                       ": the data of a redo entry that topic %" PRIu64 " partition %" PRIu32
                       " segment %" PRIu64 " lacks at pos %" PRIu64,
                       path, item->file_pos, item->topic_id, item->partition, item->segment,
                       item->pos);
}
