/* SPDX-License-Identifier: MPL-2.0
 *
 * Where in a partition are the messages with certain ids? The store tells where messages are whose
 * fingerprints match (find_ids); these are read, and their ids compared.
 *
 *   id_lookup_start   the store is asked
 *   (WAITING)         some of what it found is not synced yet: until the mark has passed it
 *   (READING)         what was found, from the lowest offset to the highest
 *   done_fn           all is known; of several messages with one id the newest counts
 */
#ifndef ZSP_ENGINE_ID_LOOKUP_H
#define ZSP_ENGINE_ID_LOOKUP_H

#include "broker/engine/engine_priv.h"

struct partition;

#define ID_NOT_FOUND UINT64_MAX

/* Embedded in what waits for it; zero-initialise. */
struct id_lookup {
    struct engine_op op; /* first */
    struct partition *partition;
    const struct zsp_slice *ids; /* lent until done_fn, or the end of the engine */
    uint32_t count;
    bool keep;        /* as in store_find_ids */
    int64_t since_ms; /* messages of batches before it are not meant; INT64_MIN = all are */
    /* `error` NULL = found[i] is the offset of ids[i], or ID_NOT_FOUND. Called once. */
    void (*done_fn)(struct engine *engine, struct id_lookup *self, const struct zsp_err *error);

    uint64_t *found;           /* `count` of them; this and the rest belong to the lookup */
    struct store_id_hit *hits; /* by offset */
    uint32_t hit_count, at;
    struct id_lookup *wait_next, *wait_prev; /* of the partition */
    bool is_waiting;
};

/* Fill in all down to done_fn first. Errors: ZSP_ENOMEM, those of find_ids; done_fn is not called
 * then */
int id_lookup_start(struct engine *engine, struct id_lookup *self, struct zsp_err *err);
/* The partition's mark has moved. */
void id_lookup_advanced(struct engine *engine, struct partition *partition);
/* The partition goes: what waits for its mark ends with `error`; the others hear from the store. */
void id_lookup_partition_gone(struct engine *engine, struct partition *partition,
                              const struct zsp_err *error);
/* Free what it holds; not while it is at work, but at the end of the engine. */
void id_lookup_fini(struct id_lookup *self);

#endif
