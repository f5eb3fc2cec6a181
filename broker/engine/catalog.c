/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/catalog.h"

#include <string.h>

#include "common/assert.h"

/* Counters' image: version u8 = 1, then per kind the next id u64, in the order of
 * enum catalog_id. Topics: the first id that is not reserved. */
#define COUNTERS_VERSION 1u
#define COUNTERS_BYTES   (1u + 8u * CATALOG_IDS)

_Static_assert(COUNTERS_BYTES <= sizeof((struct catalog *)0)->counters, "the image fits");

int catalog_went_meanwhile(struct zsp_err *err, const char *object, const char *what)
{
    return zsp_err_set_about(err, ZSP_ENOT_FOUND, object, "%s was deleted meanwhile", what);
}

void catalog_init(struct catalog *self, uint64_t seed)
{
    memset(self, 0, sizeof *self);
    zsp_table_init(&self->topic_ids, seed);
    zsp_table_init(&self->producer_ids, seed);
    for (int kind = 0; kind < CATALOG_IDS; kind++) {
        self->next_id[kind] = 1;
    }
    self->topic_ids_reserved = self->topic_ids_durable = 1;
}

void catalog_fini(struct catalog *self)
{
    name_index_fini(&self->topics);
    name_index_fini(&self->groups);
    name_index_fini(&self->producers);
    zsp_table_fini(&self->topic_ids);
    zsp_table_fini(&self->producer_ids);
}

uint64_t catalog_take_id(struct catalog *self, enum catalog_id kind)
{
    zsp_assert(kind < CATALOG_IDS);
    return self->next_id[kind]++;
}

struct store_entry catalog_counters_entry(struct catalog *self)
{
    static const uint8_t key[] = "C";
    self->counters[0] = COUNTERS_VERSION;
    for (size_t kind = 0; kind < CATALOG_IDS; kind++) {
        const uint64_t next =
            kind == CATALOG_TOPIC_ID ? self->topic_ids_reserved : self->next_id[kind];
        zsp_put_u64(self->counters + 1 + 8 * kind, next);
    }
    return (struct store_entry){
        .key = {key, 1},
        .kind = STORE_IMAGE,
        .value = {self->counters, COUNTERS_BYTES},
    };
}

int catalog_counters_replay(struct catalog *self, struct zsp_slice value, struct zsp_err *err)
{
    if (value.len < COUNTERS_BYTES || value.data[0] != COUNTERS_VERSION) {
        return zsp_err_set(err, ZSP_ECORRUPT, "counters: %zu bytes, wanted %u", value.len,
                           COUNTERS_BYTES);
    }
    for (size_t kind = 0; kind < CATALOG_IDS; kind++) {
        self->next_id[kind] = zsp_get_u64(value.data + 1 + 8 * kind);
    }
    self->topic_ids_reserved = self->topic_ids_durable = self->next_id[CATALOG_TOPIC_ID];
    return 0;
}
