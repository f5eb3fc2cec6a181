/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/interned.h"

#include <stdlib.h>
#include <string.h>

void zsp_interned_init(struct zsp_interned *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    zsp_table_init(&self->table, seed);
}

void zsp_interned_fini(struct zsp_interned *self)
{
    size_t cursor = 0;
    void *text;
    while ((text = zsp_table_next(&self->table, &cursor))) {
        free(text);
    }
    zsp_table_fini(&self->table);
}

const char *zsp_interned_text(struct zsp_interned *self, struct zsp_slice text)
{
    if (self->last && self->last_len == text.len && memcmp(self->last, text.data, text.len) == 0) {
        return self->last;
    }
    char *kept = zsp_table_find(&self->table, text);
    if (!kept) {
        kept = calloc(1, text.len + 1);
        if (!kept) {
            return NULL;
        }
        memcpy(kept, text.data, text.len);
        const struct zsp_slice key = {(const uint8_t *)kept, text.len};
        if (zsp_table_add(&self->table, key, kept) != 0) {
            free(kept);
            return NULL;
        }
    }
    self->last = kept;
    self->last_len = text.len;
    return kept;
}
