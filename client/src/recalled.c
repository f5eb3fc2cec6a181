/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/recalled.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/table.h"

#define HASHED_MAX 256u /* bytes of a key that the table looks at; the rest is compared */

/* One of a chain: the same first bytes of a key. */
struct entry {
    struct entry *next;
    const char *topic;
    uint32_t partition;
    uint64_t offset; /* what lies behind it is recalled */
    size_t key_len;
    uint8_t key[];
};

struct zsp_recalled {
    struct zsp_table table;
};

static struct zsp_slice hashed(struct zsp_slice key)
{
    return (struct zsp_slice){key.data ? key.data : (const uint8_t *)"",
                              key.len < HASHED_MAX ? key.len : HASHED_MAX};
}

static bool is_of(const struct entry *entry, const struct zsp_place *place)
{
    return entry->topic == place->topic && entry->partition == place->partition &&
           entry->key_len == place->key.len &&
           (entry->key_len == 0 || memcmp(entry->key, place->key.data, entry->key_len) == 0);
}

static struct entry *find(const struct zsp_recalled *self, const struct zsp_place *place)
{
    struct entry *entry = zsp_table_find(&self->table, hashed(place->key));
    while (entry && !is_of(entry, place)) {
        entry = entry->next;
    }
    return entry;
}

static int add_entry(struct zsp_recalled *self, const struct zsp_place *place)
{
    struct entry *entry = malloc(sizeof *entry + place->key.len);
    if (!entry) {
        return ZSP_ENOMEM;
    }
    *entry = (struct entry){.topic = place->topic,
                            .partition = place->partition,
                            .offset = place->offset,
                            .key_len = place->key.len};
    if (place->key.len > 0) {
        memcpy(entry->key, place->key.data, place->key.len);
    }
    const struct zsp_slice key = {entry->key, hashed(place->key).len};
    struct entry *first = zsp_table_find(&self->table, key);
    if (first) {
        entry->next = first->next;
        first->next = entry;
        return 0;
    }
    const int rc = zsp_table_add(&self->table, key, entry);
    if (rc != 0) {
        free(entry);
    }
    return rc;
}

int zsp_recalled_add(struct zsp_recalled **self_p, const struct zsp_place *place, uint64_t seed)
{
    struct zsp_recalled *self = *self_p;
    struct entry *entry = self ? find(self, place) : NULL;
    if (entry) {
        entry->offset = place->offset < entry->offset ? place->offset : entry->offset;
        return 0;
    }
    if (!self) {
        self = calloc(1, sizeof *self);
        if (!self) {
            return ZSP_ENOMEM;
        }
        zsp_table_init(&self->table, seed);
    }
    const int rc = add_entry(self, place);
    if (rc != 0 && !*self_p) {
        zsp_recalled_destroy(&self);
    }
    *self_p = self;
    return rc;
}

bool zsp_recalled_has(const struct zsp_recalled *self, const struct zsp_place *place)
{
    const struct entry *entry = self ? find(self, place) : NULL;
    return entry && place->offset > entry->offset;
}

void zsp_recalled_destroy(struct zsp_recalled **self_p)
{
    struct zsp_recalled *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    size_t cursor = 0;
    struct entry *entry;
    while ((entry = zsp_table_next(&self->table, &cursor)) != NULL) {
        while (entry) {
            struct entry *next = entry->next;
            free(entry);
            entry = next;
        }
    }
    zsp_table_fini(&self->table);
    free(self);
}
