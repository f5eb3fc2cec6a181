/* SPDX-License-Identifier: MPL-2.0
 *
 * Which messages of a partition have a priority, or a time before which they are not to be handed
 * out; and when they expire.
 *
 *   - What is appended with such terms is remembered until its segment is sealed, and written to
 *     `.pri` then (terms_file.h). A partition that has none has no such files.
 *   - A question is answered by a task, for one segment at a time and a bounded number of stretches:
 *     from `.pri`, a page of it; where that is missing or bad it is made anew from the headers. Of the segment
 *     that takes appends the headers are walked, from the place that the index tells.
 *   - When messages expire has no file: the headers of any segment are walked for it.
 */
#ifndef ZSP_STORE_PART_TERMS_H
#define ZSP_STORE_PART_TERMS_H

#include "broker/store/index/terms_file.h"
#include "broker/store/read/id_source.h"

struct log_store;
struct segment;

/* store_ops.read_terms */
int part_terms_read(struct log_store *store, const struct store_read_terms *read,
                    struct zsp_err *err);

/* Look again at what waits until the file has what was put off. */
void part_terms_wake(struct log_store *store);
void part_terms_step(struct log_store *store);
void part_terms_fail(struct log_store *store);

/* The batch, which has terms, is in the active segment now; called before that one's bytes count
 * it. */
void part_terms_take(struct store_part *part, struct segment *segment,
                     const struct store_batch *batch);

/* Forget what is remembered of it. */
void segment_terms_drop(struct segment *segment);

/* Sealing: in the task that seals, and when that has ended. */
struct terms_seal {
    struct id_source source;
    const struct terms_list *list; /* lent; NULL = not all are known, or there are none */
};
void terms_seal_init(struct terms_seal *self, const struct segment *segment);
/* No room for the file: it is made when it is needed. A failed sync is told in source.sync_failed. */
void terms_seal_run(struct terms_seal *self, struct fs *fs);
void terms_seal_done(struct segment *segment);

#endif
