/* SPDX-License-Identifier: MPL-2.0
 *
 * The ids of the records of one batch, compressed or not.
 */
#ifndef ZSP_STORE_BATCH_IDS_H
#define ZSP_STORE_BATCH_IDS_H

#include "broker/store/store.h"

/* Memory for compressed batches, made when it is needed first. Zero-initialise. */
struct batch_ids {
    struct zsp_unpacker *unpacker;
    uint8_t *raw;
    size_t raw_capacity;
};

/* Tell the fingerprint and the offset of each record that has an id, in their order. A nonzero
 * return of `id_fn` ends the walk and is returned. What cannot be unpacked has no ids.
 * Errors: ZSP_ENOMEM */
int batch_ids_walk(struct batch_ids *self, const struct store_batch *batch,
                   int (*id_fn)(void *arg, uint64_t print, uint64_t offset), void *arg);
void batch_ids_fini(struct batch_ids *self);

#endif
