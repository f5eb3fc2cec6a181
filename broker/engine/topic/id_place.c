/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/id_place.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/publish/dedup.h"
#include "broker/engine/topic/topic.h"

struct id_place {
    struct id_lookup lookup; /* first */
    LIST_ENTRY(id_place) link;
    void (*found_fn)(struct engine *engine, void *arg, uint64_t offset,
                     const struct zsp_err *error);
    void *arg;
    struct zsp_slice id; /* into: */
    uint8_t bytes[];
};

static void destroy(struct id_place *self)
{
    LIST_REMOVE(self, link);
    id_lookup_fini(&self->lookup);
    free(self);
}

static void is_known(struct engine *engine, struct id_lookup *lookup, const struct zsp_err *error)
{
    struct id_place *const self = (struct id_place *)lookup;
    self->found_fn(engine, self->arg, error ? ID_NOT_FOUND : lookup->found[0], error);
    destroy(self);
}

int id_place_find(struct engine *engine, struct partition *partition, struct zsp_slice id,
                  void (*found_fn)(struct engine *engine, void *arg, uint64_t offset,
                                   const struct zsp_err *error),
                  void *arg, struct zsp_err *err)
{
    int rc = dedup_require(engine, partition->topic, err);
    if (rc != 0) {
        return rc;
    }
    struct id_place *const self = calloc(1, offsetof(struct id_place, bytes) + id.len + 1);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    memcpy(self->bytes, id.len > 0 ? id.data : (const uint8_t *)"", id.len);
    self->id = (struct zsp_slice){self->bytes, id.len};
    self->found_fn = found_fn;
    self->arg = arg;
    LIST_INSERT_HEAD(&engine->id_place_list, self, link);
    self->lookup.partition = partition;
    self->lookup.ids = &self->id;
    self->lookup.count = 1;
    self->lookup.since_ms = INT64_MIN;
    self->lookup.done_fn = is_known;
    rc = id_lookup_start(engine, &self->lookup, err);
    if (rc != 0) {
        destroy(self);
    }
    return rc;
}

int id_place_not_found(const struct partition *partition, struct zsp_err *err)
{
    zsp_err_set(err, ZSP_ENOT_FOUND, "%s: partition %u: no message has this id",
                partition->topic->object, partition->index);
    zsp_err_detail(err, partition->topic->object, NULL, NULL);
    return ZSP_ENOT_FOUND;
}

void id_place_free_all(struct engine *engine)
{
    while (!LIST_EMPTY(&engine->id_place_list)) {
        destroy(LIST_FIRST(&engine->id_place_list));
    }
}
