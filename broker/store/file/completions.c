/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/completions.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 64u

static int grow(struct completions *self)
{
    const size_t capacity = self->capacity ? self->capacity * 2 : CAPACITY_MIN;
    struct completion *items = calloc(capacity, sizeof *items);
    if (!items) {
        return ZSP_ENOMEM;
    }
    for (size_t i = 0; i < self->count; i++) {
        items[i] = self->items[(self->first + i) & (self->capacity - 1)];
    }
    free(self->items);
    self->items = items;
    self->first = 0;
    self->capacity = capacity;
    return 0;
}

int completions_add(struct completions *self, const struct completion *completion,
                    const struct zsp_err *err)
{
    if (self->count == self->capacity && grow(self) < 0) {
        return ZSP_ENOMEM;
    }
    struct zsp_err *copy = NULL;
    if (err && err->code != 0) {
        copy = malloc(sizeof *copy);
        if (!copy) {
            return ZSP_ENOMEM;
        }
        *copy = *err;
    }
    struct completion *item = &self->items[(self->first + self->count) & (self->capacity - 1)];
    *item = *completion;
    item->err = copy;
    self->count++;
    return 0;
}

bool completions_next(struct completions *self, struct store_completion *ret)
{
    if (self->count == 0) {
        return false;
    }
    const struct completion *item = &self->items[self->first];
    self->first = (self->first + 1) & (self->capacity - 1);
    self->count--;
    memset(ret, 0, sizeof *ret);
    ret->kind = item->kind;
    ret->tag = item->tag;
    ret->owner = item->owner;
    ret->offset = item->offset;
    ret->covered = item->covered;
    ret->batches = item->batches;
    ret->batch_count = item->batch_count;
    ret->hits = item->hits;
    ret->hit_count = item->hit_count;
    ret->terms = item->terms;
    ret->terms_count = item->terms_count;
    ret->refuses = item->refuses;
    ret->key_buf = item->key;
    if (item->key) {
        ret->key = (struct zsp_slice){item->key->data, item->key->len};
    }
    if (item->err) {
        ret->error = *item->err;
        free(item->err);
    }
    return true;
}

void completions_fini(struct completions *self)
{
    struct store_completion completion;
    while (completions_next(self, &completion)) {
        store_completion_release(&completion);
    }
    free(self->items);
    memset(self, 0, sizeof *self);
}
