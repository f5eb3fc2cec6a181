/* SPDX-License-Identifier: MPL-2.0
 *
 * The queue of completions that wait to be taken by the host. Kept compact: the
 * wide struct of the interface is filled when one is taken, and an error report
 * is allocated only when there is one.
 */
#ifndef ZSP_STORE_COMPLETIONS_H
#define ZSP_STORE_COMPLETIONS_H

#include "broker/store/store.h"
#include "common/compiler.h"

struct completion {
    enum store_completion_kind kind;
    bool refuses;
    uint32_t batch_count;
    uint32_t hit_count;
    uint32_t terms_count;
    uint64_t tag;
    void *owner;
    uint64_t offset;
    struct store_range covered;
    struct store_batch *batches; /* taken */
    struct zsp_buf *key;         /* taken; the key's bytes */
    struct store_id_hit *hits;   /* taken */
    struct store_terms *terms;   /* taken */
    struct zsp_err *err;         /* NULL = it worked */
};

/* Zero-initialise. A ring that grows by doubling. */
struct completions {
    struct completion *items;
    size_t first;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

/* Add one; `err` (may be NULL, code 0 = none) is copied. Takes batches and key
 * on success. Errors: ZSP_ENOMEM, nothing was taken */
ZSP_MUST_CHECK int completions_add(struct completions *self, const struct completion *completion,
                                   const struct zsp_err *err);
/* The oldest; false when there is none. */
bool completions_next(struct completions *self, struct store_completion *ret);
void completions_fini(struct completions *self);

#endif
