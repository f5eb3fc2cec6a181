/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/arrivals.h"

#include "broker/engine/engine_priv.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/replay/replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/compaction.h"
#include "broker/engine/topic/id_lookup.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic.h"
#include "common/assert.h"

/* --- Each to whom it concerns ---------------------------------------------------------------- */

static void partition_advanced(struct engine *self, const struct store_completion *completion)
{
    struct partition *const partition = completion->owner;
    zsp_assert(completion->offset >= partition->synced_offset);
    partition->synced_offset = completion->offset;
    if (partition->lookup_first) {
        id_lookup_advanced(self, partition);
    }
    if (partition->topic->state == TOPIC_DELETING) {
        publish_advanced(self, partition);
        return;
    }
    publish_advanced(self, partition);
    read_advanced(self, partition);
    group_partition_advanced(self, partition);
    producer_image_advanced(self, partition);
}

/* Another broker took the data over: whatever we confirmed from now on might not hold. */
static void lose_ownership(struct engine *self)
{
    struct zsp_err error;
    zsp_err_set(&error, ZSP_ESTORAGE_FAILED, "another broker took over the data");
    engine_fail(self, &error);
}

static void complete(struct engine *self, const struct store_completion *completion)
{
    switch (completion->kind) {
    case STORE_APPENDED:
    case STORE_READ:
    case STORE_FOUND:
    case STORE_IDS_FOUND:
    case STORE_TERMS_READ:
    case STORE_STATE:
    case STORE_TOPIC_CREATED:
    case STORE_TOPIC_DROPPED:
    case STORE_ATOMIC_READY:
    case STORE_ATOMIC_DONE:
        if (completion->tag != 0) {
            struct engine_op *const op = (struct engine_op *)(uintptr_t)completion->tag;
            op->done_fn(self, op, completion);
        }
        break;
    case STORE_SYNCED:
        partition_advanced(self, completion);
        break;
    case STORE_TRIMMED:
        retention_trimmed(self, completion->owner);
        break;
    case STORE_COMPACTED:
        compaction_ended(self, completion->owner);
        break;
    case STORE_IMAGE_WANTED:
        state_image_wanted(self, completion->key);
        break;
    case STORE_SPACE:
        self->refuses = completion->refuses;
        zsp_diag(self->diag, ZSP_WARNING, "%s",
                 self->refuses ? "too little room on the disk: publishes are refused"
                               : "there is room on the disk again");
        break;
    case STORE_FAILED:
        engine_fail(self, &completion->error);
        break;
    case STORE_FENCED:
        lose_ownership(self);
        break;
    }
}

/* --- Each in its turn ------------------------------------------------------------------------ */

/* May this one wait for a later pump? A read brings no news, a failed storage apart, which was told
 * to the engine before; but perhaps it brings work. Nothing behind which a partition has less than
 * the read brings, or is no more, overtakes it. */
static bool can_wait(const struct engine *self, const struct store_completion *completion)
{
    const bool has_reads = self->set_aside.count > 0;
    switch (completion->kind) {
    case STORE_READ:
        return has_reads || engine_is_tired(self);
    case STORE_TRIMMED:
    case STORE_TOPIC_DROPPED:
        return has_reads;
    case STORE_COMPACTED:
    case STORE_APPENDED:
    case STORE_SYNCED:
    case STORE_FOUND:
    case STORE_IDS_FOUND:
    case STORE_TERMS_READ:
    case STORE_STATE:
    case STORE_TOPIC_CREATED:
    case STORE_ATOMIC_READY:
    case STORE_ATOMIC_DONE:
    case STORE_IMAGE_WANTED:
    case STORE_SPACE:
    case STORE_FAILED:
    case STORE_FENCED:
        break;
    }
    return false;
}

/* The topic went after the store had read: whoever goes on from here would ask a dead partition.
 * What failed is left alone: behind STORE_TOPIC_DROPPED its owner is no more. */
static void fail_if_gone(struct store_completion *completion)
{
    const bool is_of_part = completion->kind == STORE_READ || completion->kind == STORE_FOUND ||
                            completion->kind == STORE_IDS_FOUND ||
                            completion->kind == STORE_TERMS_READ;
    if (!is_of_part || completion->error.code != 0) {
        return;
    }
    const struct partition *const partition = completion->owner;
    if (partition && partition->topic->is_gone) {
        (void)zsp_err_set(&completion->error, ZSP_ENOT_FOUND, "%s: it was deleted",
                          partition->topic->object);
        zsp_err_detail(&completion->error, partition->topic->object, NULL, NULL);
    }
}

static void finish(struct engine *self, struct store_completion *completion)
{
    if (!self->failed) {
        fail_if_gone(completion);
        complete(self, completion);
    }
    store_completion_release(completion);
}

/* Work off what was set aside, oldest first: all, or until this pump has worked as much as it may.
 * Returns whether there was something. */
static bool take_set_aside(struct engine *self, bool all)
{
    struct store_completion completion;
    bool any = false;
    while ((all || !engine_is_tired(self)) && set_aside_next(&self->set_aside, &completion)) {
        any = true;
        finish(self, &completion);
    }
    return any;
}

bool arrivals_take(struct engine *self, bool all)
{
    struct store_completion completion = {0};
    bool any = take_set_aside(self, false);
    while ((all || !engine_is_tired(self)) &&
           self->store->ops->next_completion(self->store, &completion)) {
        any = true;
        if (completion.error.code == ZSP_ESTORAGE_FAILED) {
            /* What failed may be on the disk all the same: nobody may draw conclusions from it,
             * a new epoch least of all. */
            engine_fail(self, &completion.error);
        }
        if (can_wait(self, &completion)) {
            if (set_aside_add(&self->set_aside, &completion) == 0) {
                continue;
            }
            (void)take_set_aside(self, true); /* no memory for one more: all of them, in order */
        }
        finish(self, &completion);
    }
    return any;
}
