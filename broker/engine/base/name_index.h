/* SPDX-License-Identifier: MPL-2.0
 *
 * Objects by name, in byte order of the names: found by binary search, listed
 * in order. The order is part of replies, so no hash is involved. The index
 * owns neither names nor objects: a name must live, unchanged, inside its
 * object for as long as it is in the index.
 */
#ifndef ZSP_ENGINE_NAME_INDEX_H
#define ZSP_ENGINE_NAME_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"

struct name_slot {
    struct zsp_slice name;
    void *value;
};

/* Zero-initialise. slots[0 .. count) may be read by anyone. */
struct name_index {
    struct name_slot *slots;
    uint32_t count;
    uint32_t capacity;
};

void name_index_fini(struct name_index *self);
/* The object, or NULL. */
void *name_index_find(const struct name_index *self, struct zsp_slice name);
/* The slot of the first name that is greater than `name`; count when there is none.
 * An empty name comes before all. */
size_t name_index_after(const struct name_index *self, struct zsp_slice name);
/* Add; the name must not be there yet.
 * Errors: ZSP_ENOMEM (nothing changed) */
ZSP_MUST_CHECK int name_index_add(struct name_index *self, struct zsp_slice name, void *value);
/* Remove and return the object, NULL if it was not there. */
void *name_index_remove(struct name_index *self, struct zsp_slice name);

#endif
