/* SPDX-License-Identifier: MPL-2.0
 *
 * What it means that the journal has damaged bytes of a redo entry. It was synced, so its batches
 * were confirmed. Of each such entry one of these is true:
 *
 *   PAID   nobody wants them: the segment's file was synced since, is sealed, or is gone
 *   HELD   the segment has the same bytes in their place; the start writes them again
 *   LOST   they are nowhere: the journal is damaged, as by any other damage of it
 *
 * It only reads. The entries that are not HELD leave the log.
 */
#ifndef ZSP_STORE_REDO_DAMAGE_H
#define ZSP_STORE_REDO_DAMAGE_H

#include "broker/store/file/fs.h"
#include "broker/store/file/layout.h"
#include "broker/store/journal/carry.h"
#include "broker/store/journal/redo.h"

enum redo_verdict { REDO_PAID, REDO_HELD, REDO_LOST };

struct redo_judge {
    struct fs *fs;
    const struct carry *carry; /* all that the journal holds */
    const struct layout_topics *topics;
    /* Every damaged entry, by topic and partition, oldest first. */
    void (*verdict_fn)(void *arg, const struct redo_item *item, enum redo_verdict verdict);
    void *arg;
};

/* `log` is sorted. Errors: ZSP_EIO, ZSP_ENOMEM */
int redo_judge(const struct redo_judge *self, struct redo_log *log, struct zsp_err *err);

/* What is wrong with an item that is LOST: told in `err`, for whoever cannot go on. */
int redo_lost(const struct redo_item *item, struct zsp_err *err);

#endif
