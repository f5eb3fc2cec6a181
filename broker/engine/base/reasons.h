/* SPDX-License-Identifier: MPL-2.0
 *
 * Why messages failed: sets of up to ZSP_REASONS_KEPT texts, newest first,
 * shared by all runs with the same history and counted by reference. A set is
 * named by a small number, 0 = no reasons, so that the many runs without any
 * pay four bytes. Sets never change once made. Those made lately are found again by their
 * texts: what fails for one reason is one set, and neighbours stay one run.
 */
#ifndef ZSP_ENGINE_REASONS_H
#define ZSP_ENGINE_REASONS_H

#include <stdint.h>

#include "common/buf.h"
#include "common/compiler.h"
#include "common/limits.h"

#define REASONS_RECENT 64u /* a power of two */

struct reason_set {
    uint32_t refs;      /* 0 = free */
    uint32_t next_free; /* while free */
    uint32_t count;
    struct zsp_buf *texts[ZSP_REASONS_KEPT]; /* newest first */
};

/* Zero-initialise. */
struct reasons {
    struct reason_set *sets; /* sets[0] is never used */
    uint32_t used;           /* sets ever taken, with the unused first one */
    uint32_t capacity;
    uint32_t free_first;             /* 0 = none */
    uint32_t recent[REASONS_RECENT]; /* sets by the hash of their newest text; they may be gone */
};

void reasons_fini(struct reasons *self);
/* A set with one reference more: `text` on top of the set `base` (0 = nothing below); the
 * oldest text falls off. Takes its own reference on `text`.
 * Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int reasons_push(struct reasons *self, uint32_t base, struct zsp_buf *text,
                                uint32_t *ret_set);
/* One more, one less reference; 0 is fine for both. */
void reasons_hold(struct reasons *self, uint32_t set);
void reasons_drop(struct reasons *self, uint32_t set);
/* Number of texts of a set, and text `index` of it, newest first; lent while the set lives. */
uint32_t reasons_count(const struct reasons *self, uint32_t set);
struct zsp_slice reasons_text(const struct reasons *self, uint32_t set, uint32_t index);

/* `text` cut to ZSP_REASON_MAX bytes without splitting a character of valid UTF-8. */
struct zsp_slice reason_cut(struct zsp_slice text);

#endif
