/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of the messages of a partition, for topics that ask for them: which offsets have the id
 * with a certain fingerprint.
 *
 *   - The segment that takes appends has all its ids in a table (id_table.h); with
 *     options.segment_ids_max of them it is sealed, so the table is bounded.
 *   - When it is sealed, they go to `.ids`, and 17 bits of each stay in memory (id_filter.h).
 *   - A search asks tables and filters; what filters cannot deny is looked for in `.ids` by a task.
 *   - After a start, or when the ids are asked for later than the messages came, the first search
 *     loads what it needs, a segment at a time: filters from `.ids`, or from the segments where these
 *     are missing; the table from the segment.
 *   - Segments that are older than searches with `keep` want have no filter any more; a search of the
 *     other kind looks into their files.
 */
#ifndef ZSP_STORE_PART_IDS_H
#define ZSP_STORE_PART_IDS_H

#include "broker/store/index/batch_ids.h"
#include "broker/store/index/id_filter.h"
#include "broker/store/read/id_source.h"
#include "broker/store/store.h"

#define ID_LOADS_MAX    2u /* segments loaded at once: each needs memory for its ids */
#define ID_SEARCHES_MAX 8u /* searches in files at once */

struct log_store;
struct segment;
struct id_find;

/* What is known of the ids of one segment. */
struct segment_ids {
    struct id_table recent;  /* of the segment that takes appends */
    struct id_filter filter; /* of a sealed one, with */
    bool has_filter;
    bool is_complete; /* `recent` holds all */
    bool loading;
};

/* All searches. Zero-initialise. */
struct id_finds {
    struct id_find *first; /* that wait, in the order of the calls */
    struct id_find *last;
    size_t count;           /* not answered */
    size_t loads, searches; /* tasks that are out */
    bool woken;
    struct batch_ids walker; /* of what is appended */
};

/* store_ops.index_ids, store_ops.find_ids */
void part_ids_index(struct store_part *part, bool is_wanted);
int id_finds_add(struct log_store *store, const struct store_find_ids *want, struct zsp_err *err);
/* Something changed that a search may wait for; look at all that wait. */
void id_finds_wake(struct log_store *store);
void id_finds_step(struct log_store *store);
/* The store has failed: answer all that wait. */
void id_finds_fail(struct log_store *store);

/* The batch is in the active segment now; called before that one's bytes and offsets count it. */
void part_ids_take(struct store_part *part, struct segment *segment,
                   const struct store_batch *batch);
/* Has the segment so many ids that it is to be sealed? */
bool part_ids_full(const struct segment *segment);
/* Forget what is known of a segment's ids, and free it. */
void segment_ids_drop(struct segment *segment);

/* Sealing: in the task that seals, and when that has ended. */
struct id_seal {
    struct id_source source;
    const struct id_table *recent; /* lent; NULL = not all are known, nothing is written */
    struct id_filter filter;
    bool is_done;
};
void id_seal_init(struct id_seal *self, const struct segment *segment);
/* No room for the file: it is made when it is needed. A failed sync is told in source.sync_failed. */
void id_seal_run(struct id_seal *self, struct fs *fs);
void id_seal_done(struct id_seal *self, struct segment *segment);

#endif
