/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/reasons.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"
#include "common/hash.h"

void reasons_fini(struct reasons *self)
{
    for (uint32_t i = 1; i < self->used; i++) {
        struct reason_set *set = &self->sets[i];
        for (uint32_t k = 0; set->refs > 0 && k < set->count; k++) {
            zsp_buf_put(&set->texts[k]);
        }
    }
    free(self->sets);
    *self = (struct reasons){0};
}

/* A free set's number, 0 when out of memory. */
static uint32_t take_set(struct reasons *self)
{
    if (self->free_first != 0) {
        const uint32_t set = self->free_first;
        self->free_first = self->sets[set].next_free;
        return set;
    }
    if (self->used == self->capacity) {
        const uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        struct reason_set *sets = realloc(self->sets, capacity * sizeof *sets);
        if (!sets) {
            return 0;
        }
        self->sets = sets;
        self->capacity = capacity;
    }
    if (self->used == 0) {
        memset(&self->sets[0], 0, sizeof self->sets[0]);
        self->used = 1;
    }
    return self->used++;
}

/* Is it what `text` on top of `base` would be? */
static bool is_made(const struct reasons *self, uint32_t set, uint32_t base,
                    const struct zsp_buf *text)
{
    const struct reason_set *made = &self->sets[set];
    const uint32_t below = reasons_count(self, base);
    const uint32_t count = below < ZSP_REASONS_KEPT ? below + 1 : ZSP_REASONS_KEPT;
    bool same =
        made->refs > 0 && made->count == count &&
        zsp_slice_equal(reasons_text(self, set, 0), (struct zsp_slice){text->data, text->len});
    for (uint32_t i = 1; same && i < count; i++) {
        same = zsp_slice_equal(reasons_text(self, set, i), reasons_text(self, base, i - 1));
    }
    return same;
}

int reasons_push(struct reasons *self, uint32_t base, struct zsp_buf *text, uint32_t *ret_set)
{
    uint32_t *const recent =
        &self->recent[zsp_hash((struct zsp_slice){text->data, text->len}) % REASONS_RECENT];
    if (*recent != 0 && is_made(self, *recent, base, text)) {
        reasons_hold(self, *recent);
        *ret_set = *recent;
        return 0;
    }
    const uint32_t set = take_set(self);
    if (set == 0) {
        return ZSP_ENOMEM;
    }
    struct reason_set *made = &self->sets[set];
    memset(made, 0, sizeof *made);
    made->refs = 1;
    made->texts[made->count++] = zsp_buf_get(text);
    const uint32_t below = reasons_count(self, base);
    for (uint32_t i = 0; i < below && made->count < ZSP_REASONS_KEPT; i++) {
        made->texts[made->count++] = zsp_buf_get(self->sets[base].texts[i]);
    }
    *recent = set;
    *ret_set = set;
    return 0;
}

void reasons_hold(struct reasons *self, uint32_t set)
{
    if (set != 0) {
        zsp_assert(self->sets[set].refs > 0);
        self->sets[set].refs++;
    }
}

void reasons_drop(struct reasons *self, uint32_t set)
{
    if (set == 0) {
        return;
    }
    struct reason_set *dropped = &self->sets[set];
    zsp_assert(dropped->refs > 0);
    if (--dropped->refs > 0) {
        return;
    }
    for (uint32_t i = 0; i < dropped->count; i++) {
        zsp_buf_put(&dropped->texts[i]);
    }
    dropped->next_free = self->free_first;
    self->free_first = set;
}

uint32_t reasons_count(const struct reasons *self, uint32_t set)
{
    return set == 0 ? 0 : self->sets[set].count;
}

struct zsp_slice reasons_text(const struct reasons *self, uint32_t set, uint32_t index)
{
    zsp_assert(index < reasons_count(self, set));
    const struct zsp_buf *text = self->sets[set].texts[index];
    return (struct zsp_slice){text->data, text->len};
}

struct zsp_slice reason_cut(struct zsp_slice text)
{
    if (text.len <= ZSP_REASON_MAX) {
        return text;
    }
    size_t len = ZSP_REASON_MAX;
    while (len > 0 && (text.data[len] & 0xc0u) == 0x80u) {
        len--; /* a continuation byte would begin the part that is cut off */
    }
    return (struct zsp_slice){text.data, len};
}
