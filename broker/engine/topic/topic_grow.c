/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/topic_grow.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group_hooks.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/replay/replay.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic_priv.h"
#include "common/assert.h"

/* Partitions that came later, in one piece of memory. */
struct topic_block {
    struct topic_block *next;
    struct partition items[];
};

/* The arrays of all partitions, in one piece of memory, behind the first. */
struct room {
    struct partition **partitions;
    struct store_part **parts;
    struct topic_block *block; /* of the new ones */
};

struct topic_growth {
    struct engine_op op; /* first: its address is the tag */
    struct topic *topic;
    struct topic_waiter *waiter;                 /* who asked */
    struct topic_waiter *more_first, *more_last; /* who waits for its end */
    uint32_t count;                              /* that there will be */
    bool is_put;                                 /* PUTTING: the image says so */
    struct room room;                            /* MAKING: not the topic's yet */
};

/* --- memory ------------------------------------------------------------------------------ */

static void free_room(struct room *self)
{
    free(self->partitions);
    free(self->block);
    *self = (struct room){0};
}

static int make_room(struct topic *topic, uint32_t count, struct room *ret)
{
    const uint32_t made = topic->made_count;
    struct room room = {
        .partitions = calloc(count, sizeof(struct partition *) + sizeof(struct store_part *)),
        .block = calloc(1, sizeof *room.block + (count - made) * sizeof room.block->items[0]),
    };
    if (!room.partitions || !room.block) {
        free_room(&room);
        return ZSP_ENOMEM;
    }
    room.parts = (struct store_part **)(void *)(room.partitions + count);
    for (uint32_t i = made; i < count; i++) {
        struct partition *const partition = &room.block->items[i - made];
        partition->topic = topic;
        partition->index = i;
        room.partitions[i] = partition;
    }
    *ret = room;
    return 0;
}

/* The new ones are the topic's, but nobody sees them. */
static void take_room(struct topic *topic, uint32_t count, struct room *room)
{
    memcpy(room->partitions, topic->partitions, topic->made_count * sizeof(struct partition *));
    memcpy(room->parts, topic->parts, topic->made_count * sizeof(struct store_part *));
    free(topic->arrays);
    topic->arrays = room->partitions;
    topic->partitions = room->partitions;
    topic->parts = room->parts;
    room->block->next = topic->blocks;
    topic->blocks = room->block;
    topic->made_count = count;
    *room = (struct room){0};
}

int topic_set_partitions(struct topic *self, uint32_t count)
{
    struct room room = {0};
    if (count > self->made_count) {
        if (make_room(self, count, &room) < 0) {
            return ZSP_ENOMEM;
        }
        take_room(self, count, &room);
    }
    self->partition_count = count;
    return 0;
}

void topic_grow_fini(struct topic *self)
{
    if (self->growth) {
        free_room(&self->growth->room);
        free(self->growth);
    }
    while (self->blocks) {
        struct topic_block *const block = self->blocks;
        self->blocks = block->next;
        free(block);
    }
    free(self->arrays);
}

/* --- the end ------------------------------------------------------------------------------- */

uint32_t topic_partitions_put(const struct topic *self)
{
    return self->growth && self->growth->is_put ? self->growth->count : self->partition_count;
}

void topic_grow_wait(struct topic *self, struct topic_waiter *waiter)
{
    struct topic_growth *const growth = self->growth;
    waiter->next = NULL;
    *(growth->more_last ? &growth->more_last->next : &growth->more_first) = waiter;
    growth->more_last = waiter;
}

uint32_t topic_partitions_counted(const struct topic *self)
{
    return self->growth && self->growth->count > self->made_count ? self->growth->count
                                                                  : self->made_count;
}

static void set_growth(struct engine *engine, struct topic *topic, struct topic_growth *growth)
{
    engine->catalog.partition_count -= topic_partitions_counted(topic);
    topic->growth = growth;
    engine->catalog.partition_count += topic_partitions_counted(topic);
}

/* `error` NULL = the partitions are there. */
static void is_over(struct engine *engine, struct topic_growth *self, const struct zsp_err *error)
{
    struct topic *const topic = self->topic;
    struct topic_waiter *waiter = self->more_first;
    set_growth(engine, topic, NULL);
    self->waiter->ready_fn(engine, self->waiter, topic, error);
    while (waiter) {
        struct topic_waiter *const next = waiter->next;
        if (topic->growth) { /* one before it began another: behind that */
            topic_grow_wait(topic, waiter);
        } else if (topic->state == TOPIC_LIVE) {
            waiter->ready_fn(engine, waiter, topic, NULL);
        } else {
            topic_wait(topic, waiter);
        }
        waiter = next;
    }
    free_room(&self->room);
    free(self);
}

/* A file that is not found, or is there, is no topic that is: people must hear of it. */
static void has_failed(struct engine *engine, struct topic_growth *self,
                       const struct zsp_err *error)
{
    struct zsp_err told = *error;
    zsp_err_wrap(&told, "%s: no partitions could be added", self->topic->object);
    if (told.code != ZSP_ENO_SPACE && told.code != ZSP_ESTORAGE_FAILED) {
        told.code = ZSP_EINTERNAL;
        zsp_diag(engine->diag, ZSP_ERROR, "%s", told.msg);
    }
    is_over(engine, self, &told);
}

/* --- the steps ------------------------------------------------------------------------------ */

static void image_is_synced(struct engine *engine, struct engine_op *op,
                            const struct store_completion *completion)
{
    struct topic_growth *const self = (struct topic_growth *)op;
    struct topic *const topic = self->topic;
    if (completion->error.code != 0) {
        has_failed(engine, self, &completion->error);
        return;
    }
    if (group_topic_grows(engine, topic, self->count) == 0) {
        topic->partition_count = self->count;
        dedup_topic_set(engine, topic);
        read_topic_grown(engine, topic);
    }
    is_over(engine, self, NULL);
}

static int put(struct engine *engine, struct topic_growth *self, struct zsp_err *err)
{
    struct topic *const topic = self->topic;
    self->op.done_fn = image_is_synced;
    self->is_put = true;
    const int rc = topic_put_image(engine, topic, topic_settings_of(topic), STORE_SYNCED_LEVEL,
                                   &self->op, err);
    self->is_put = rc == 0;
    return rc;
}

static void logs_are_made(struct engine *engine, struct engine_op *op,
                          const struct store_completion *completion)
{
    struct topic_growth *const self = (struct topic_growth *)op;
    struct zsp_err error = completion->error;
    if (error.code == 0) {
        take_room(self->topic, self->count, &self->room);
        (void)put(engine, self, &error);
    }
    if (error.code != 0) {
        has_failed(engine, self, &error);
    }
}

static int make_logs(struct engine *engine, struct topic_growth *self, struct zsp_err *err)
{
    struct topic *const topic = self->topic;
    const uint32_t first = topic->made_count;
    struct store_topic wanted = topic_store_topic(topic);
    void **const owners = calloc(self->count - first, sizeof *owners);
    if (!owners || make_room(topic, self->count, &self->room) < 0) {
        free(owners);
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    for (uint32_t i = first; i < self->count; i++) {
        owners[i - first] = self->room.partitions[i];
    }
    wanted.partition_count = self->count;
    self->op.done_fn = logs_are_made;
    const int rc =
        engine->store->ops->topic_create(engine->store, &wanted, first, owners,
                                         self->room.parts + first, engine_op_tag(&self->op), err);
    free(owners);
    for (uint32_t i = first; rc == 0 && i < self->count; i++) {
        self->room.partitions[i]->part = self->room.parts[i];
    }
    return rc;
}

int topic_grow(struct engine *engine, struct topic *self, uint32_t count,
               struct topic_waiter *waiter, struct zsp_err *err)
{
    zsp_assert(self->state == TOPIC_LIVE && !self->growth);
    zsp_assert(count > self->partition_count && count <= ZSP_PARTITIONS_MAX);
    int rc = count > self->made_count
                 ? topic_check_partitions(engine, count - self->made_count, err)
                 : 0;
    if (rc != 0) {
        return rc;
    }
    struct topic_growth *const growth = calloc(1, sizeof *growth);
    if (!growth) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    growth->topic = self;
    growth->waiter = waiter;
    growth->count = count;
    set_growth(engine, self, growth);
    rc = count > self->made_count ? make_logs(engine, growth, err) : put(engine, growth, err);
    if (rc != 0) {
        set_growth(engine, self, NULL);
        free_room(&growth->room);
        free(growth);
    }
    return rc;
}
