/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/route.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"
#include "common/limits.h"
#include "common/record.h"

void route_fini(struct route *self)
{
    free(self->stretches);
    memset(self, 0, sizeof *self);
}

static int add_stretch(struct route *self, const struct stretch *stretch, struct zsp_err *err)
{
    if (self->count == ZSP_RUNS_MAX) {
        return zsp_err_set_about(
            err, ZSP_ETOO_LARGE, "body",
            "the batch changes its partition more than %u times; cut it by key", ZSP_RUNS_MAX);
    }
    if (self->count == self->capacity) {
        const uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        struct stretch *const grown = realloc(self->stretches, capacity * sizeof *grown);
        if (!grown) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
        self->stretches = grown;
        self->capacity = capacity;
    }
    self->stretches[self->count++] = *stretch;
    return 0;
}

static uint32_t target_of(struct route *self, uint32_t partition)
{
    if (self->target_of[partition] == 0) {
        self->target_of[partition] = ++self->target_count;
    }
    return self->target_of[partition] - 1;
}

static uint32_t partition_of(struct route *self, struct zsp_slice record, struct zsp_slice id,
                             uint32_t partition_count, uint32_t turn)
{
    struct zsp_slice key = {0};
    const int rc = zsp_record_key(record, &key);
    zsp_assert(rc == 0);
    if (key.data) {
        return (uint32_t)(zsp_hash(key) % partition_count);
    }
    if (self->by_id && id.data) {
        return (uint32_t)(zsp_hash(id) % partition_count);
    }
    self->took_turn = true;
    return turn;
}

int route_body(struct route *self, struct zsp_slice body, uint32_t partition_count, uint32_t turn,
               struct zsp_err *err)
{
    self->count = 0;
    self->took_turn = false;
    self->target_count = 0;
    memset(self->target_of, 0, partition_count * sizeof self->target_of[0]);
    struct zsp_slice rest = body;
    struct zsp_slice record = {0};
    struct zsp_slice id = {0};
    for (uint32_t index = 0; zsp_record_next_id(&rest, &record, &id) == 0; index++) {
        const uint32_t partition = partition_of(self, record, id, partition_count, turn);
        struct stretch *const last = self->count > 0 ? &self->stretches[self->count - 1] : NULL;
        if (last && last->partition == partition) {
            last->count++;
            last->len += record.len;
            continue;
        }
        const struct stretch stretch = {
            .index = index,
            .count = 1,
            .partition = partition,
            .target = target_of(self, partition),
            .pos = (size_t)(record.data - body.data),
            .len = record.len,
        };
        const int rc = add_stretch(self, &stretch, err);
        if (rc != 0) {
            return rc;
        }
    }
    zsp_assert(rest.len == 0);
    return 0;
}
