/* SPDX-License-Identifier: MPL-2.0
 *
 * Opening a partition at start-up: from the facts in the journal and the bytes of
 * its files to a partition that may be served. Synchronous.
 *
 *   - The facts say which segments there are. A sealed one must exist with its
 *     bytes; its content is checked when it is read.
 *   - The active one is walked from the mark in the journal, or from where replay is
 *     wished, to its end: headers below the mark, headers and bodies above it.
 *   - Proven mark = the highest of: the mark in the journal, `synced to` of any batch,
 *     the offset from which replay is wished. Where a check fails below it the
 *     partition is damaged: it opens, answers ZSP_ECORRUPT for the range, takes no appends.
 *   - Where a check fails above it the rest is a torn tail, unless a valid header among
 *     the next unsynced_bytes_max + ZSP_FRAME_MAX bytes proves a mark above the place.
 *     A torn tail is set aside and zeroed.
 *   - A missing active one is made anew when redo entries hold all of it up to the mark (redo.h);
 *     else all of it is damaged.
 *   - What is kept above the journal's mark is written again and synced, because the
 *     page cache may show what the disk does not hold.
 */
#ifndef ZSP_STORE_RECOVER_H
#define ZSP_STORE_RECOVER_H

#include "broker/store/store.h"

struct log_store;

/* What part_open() asks for. */
struct recover_wish {
    const struct store_topic *topic;
    uint32_t partition;
    void *owner;
    uint64_t replay_from; /* UINT64_MAX = no replay */
    uint64_t hint;        /* pos + 1 in the segment of replay_from, 0 = unknown */
};

/* Errors: ZSP_ECORRUPT  the journal itself contradicts the files: its end was lost;
 *         those of hooks->batch_fn; ZSP_EIO, ZSP_ENO_SPACE, ZSP_ENOMEM */
int recover_partition(struct log_store *store, const struct recover_wish *wish,
                      struct store_part **ret, struct zsp_err *err);
/* All partitions are open, and the start is counted: remove what is in their directories and is not, or
 * not any more, in the journal. Not before, since a journal that is older than the messages does not
 * know files that hold some. Errors: ZSP_EIO, ZSP_ENOMEM */
int recover_remove_gone(struct log_store *store, struct zsp_err *err);

#endif
