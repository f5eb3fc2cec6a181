/* SPDX-License-Identifier: MPL-2.0
 *
 * Images of producer logs. Every ZSP_PRODUCER_IMAGE_BYTES of a partition's log
 * the sequences that changed are put ('Q', one object per producer and
 * partition), then the offset up to which that makes them complete ('R', one
 * per partition). A start takes both and scans only what came after. An image
 * never speaks of anything above the partition's mark.
 */
#ifndef ZSP_ENGINE_PRODUCER_IMAGE_H
#define ZSP_ENGINE_PRODUCER_IMAGE_H

#include "broker/engine/topic/topic.h"

/* The partition's mark has moved: image it if enough was appended. */
void producer_image_advanced(struct engine *engine, struct partition *partition);
/* Put the image of a log, synced if `op` is to hear of it; else `op` is NULL.
 * Errors: those of state_put, ZSP_ENOMEM */
int producer_image_put_log(struct engine *engine, const struct producer_log *log,
                           struct engine_op *op, struct zsp_err *err);
/* Put an image now, unless all that is synced is imaged: image_offset is the mark afterwards, if the
 * journal takes it. */
void producer_image_now(struct engine *engine, struct partition *partition);
/* Put the image of one key ('Q' or 'R'), or a `gone` when there is no such object.
 * Errors: those of state_put, ZSP_ENOMEM */
int producer_image_put(struct engine *engine, struct zsp_slice key, struct zsp_err *err);

/* --- start --- */

/* Keep a replayed 'Q' or 'R' entry until its partition is opened. Errors: ZSP_ENOMEM,
 *         ZSP_ECORRUPT */
int producer_image_keep(struct engine *engine, const struct store_entry *entry,
                        struct zsp_err *err);
/* All entries are in: bring them in order. */
void producer_image_sort(struct engine *engine);
/* Before the partition is opened: take its images, set image_offset and image_place.
 * Errors: ZSP_ECORRUPT, ZSP_ENOMEM */
int producer_image_restore(struct engine *engine, struct partition *partition, struct zsp_err *err);
/* All partitions are open: drop what was kept. NULL inside is fine. */
void producer_image_forget(struct engine *engine);

#endif
