/* SPDX-License-Identifier: MPL-2.0
 *
 * Savepoints in the checker. Each group has one of its own. What was surely done when it was saved
 * never comes again after a restore; what cannot have been done then does. What may have been is
 * not judged. An undo leads back to where nobody looked: of what it names nothing is judged but
 * what holds always.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim_model.h"

enum saved_flag { SAVED_SURELY_DONE = 1, SAVED_MAYBE_DONE = 2 };

#define LEDGERS (SIM_TOPICS * SIM_PARTS_MAX)

void saved_free(struct saved_model *self)
{
    for (uint32_t i = 0; i < LEDGERS; i++) {
        free(self->flags[i]);
        self->flags[i] = NULL;
        self->counts[i] = 0;
    }
    self->known = false;
}

/* Give each slot of the group its flag, if `test_fn` says so. */
static void note(struct model *self, const struct sim_request *request, uint8_t flag,
                 bool (*test_fn)(struct model *self, const struct sim_request *request, uint32_t i,
                                 uint64_t offset))
{
    struct saved_model *saved = request->saved;
    for (uint32_t i = 0; i < LEDGERS; i++) {
        const struct ledger_model *ledger =
            &self->groups[request->group].ledgers[i / SIM_PARTS_MAX][i % SIM_PARTS_MAX];
        if (ledger->capacity > saved->counts[i]) {
            saved->flags[i] = realloc(saved->flags[i], ledger->capacity);
            zsp_assert(saved->flags[i]);
            for (; saved->counts[i] < ledger->capacity; saved->counts[i]++) {
                saved->flags[i][saved->counts[i]] = 0;
            }
        }
        for (uint64_t o = 0; o < ledger->capacity; o++) {
            saved->flags[i][o] |= test_fn(self, request, i, o) ? flag : 0;
        }
    }
}

static const struct group_slot *slot_of(struct model *self, const struct sim_request *request,
                                        uint32_t i, uint64_t offset)
{
    return model_group_slot(self, request->group, i / SIM_PARTS_MAX, i % SIM_PARTS_MAX, offset);
}

static bool is_surely_done(struct model *self, const struct sim_request *request, uint32_t i,
                           uint64_t offset)
{
    const struct group_slot *slot = slot_of(self, request, i, offset);
    return slot->acked || slot->dead || slot->skipped;
}

static bool is_maybe_done(struct model *self, const struct sim_request *request, uint32_t i,
                          uint64_t offset)
{
    const struct group_slot *slot = slot_of(self, request, i, offset);
    const struct ledger_model *ledger =
        &self->groups[request->group].ledgers[i / SIM_PARTS_MAX][i % SIM_PARTS_MAX];
    const uint32_t message =
        model_log_slot(self, i / SIM_PARTS_MAX, i % SIM_PARTS_MAX, offset)->message;
    return is_surely_done(self, request, i, offset) || slot->optional ||
           model_may_be_over(self, slot, request->group) ||
           (message != 0 && message <= ledger->optional_before);
}

void model_save_enter(struct model *self, struct sim_request *request)
{
    request->saved = calloc(1, sizeof *request->saved);
    zsp_assert(request->saved);
    note(self, request, SAVED_SURELY_DONE, is_surely_done);
}

void model_save_answer(struct model *self, struct sim_request *request)
{
    struct saved_model *saved = &self->groups[request->group].saved;
    if (request->reply.is_error) {
        saved->known = saved->known && !request->reply.maybe;
        return;
    }
    const bool is_known = !model_in_seek(self, request);
    if (is_known) {
        note(self, request, SAVED_MAYBE_DONE, is_maybe_done);
    }
    saved_free(saved);
    *saved = *request->saved;
    *request->saved = (struct saved_model){0};
    saved->exists = true;
    saved->known = is_known;
}

/* The state of one message is as it was saved; or what came of it behind the restore. */
static void restore_slot(struct model *self, uint32_t group, struct group_slot *slot, uint8_t flags)
{
    const bool may_be_dead = slot->delivered_in_seek && model_may_be_over(self, slot, group);
    slot->lease_sure = false;
    slot->settling = NULL;
    slot->not_before_ms = 0;
    slot->failures_min = 0;
    slot->uncounted = UINT32_MAX / 2;
    slot->acked = false;
    slot->skipped = (flags & SAVED_SURELY_DONE) != 0;
    slot->dead = false;
    slot->doomed = flags != 0 || may_be_dead;
    slot->grants = slot->grants_ever;
    slot->maybe_done = flags != 0;
    slot->optional = flags != 0;
    if (!slot->delivered_in_seek) {
        slot->delivered = false;
        slot->lease = 0;
    } else {
        slot->optional = true; /* it may have gone out behind the restore */
    }
    slot->delivered_in_seek = false;
}

static void restore_ledger(struct model *self, const struct sim_request *request,
                           const struct sim_part *part)
{
    const struct saved_model *saved = &self->groups[request->group].saved;
    struct ledger_model *ledger =
        &self->groups[request->group].ledgers[part->topic][part->partition];
    const uint32_t i = part->topic * SIM_PARTS_MAX + part->partition;
    const uint64_t mark = self->logs[part->topic][part->partition].mark;
    ledger->low = 0;
    ledger->high = 0;
    for (uint64_t o = 0; o < ledger->capacity || o < mark; o++) {
        struct group_slot *slot =
            model_group_slot(self, request->group, part->topic, part->partition, o);
        restore_slot(self, request->group, slot, o < saved->counts[i] ? saved->flags[i][o] : 0);
    }
}

void model_restore_answer(struct model *self, struct sim_request *request)
{
    struct group_model *group = &self->groups[request->group];
    const struct sim_reply *reply = &request->reply;
    if (request->verb == SIM_SAVEPOINT_RESTORE && reply->code == ZSP_ENOT_FOUND &&
        group->saved.exists) {
        (void)model_fail(self, "group %s: the savepoint is gone", sim_group_name(request->group));
    }
    if (request->dry_run) {
        return;
    }
    if (reply->is_error && reply->maybe) {
        model_restore_cut(self, request);
        return;
    }
    zsp_assert(group->seeks_out > 0);
    group->seeks_out--;
    group->seeks++;
    const bool is_known =
        request->verb == SIM_SAVEPOINT_RESTORE && group->saved.known && group->seeks_out == 0;
    for (size_t i = 0; i < reply->part_count && !reply->is_error; i++) {
        if (is_known) {
            restore_ledger(self, request, &reply->parts[i]);
        } else {
            model_forget_ledger(self, request->group, reply->parts[i]);
        }
    }
}

void model_restore_cut(struct model *self, const struct sim_request *request)
{
    struct group_model *group = &self->groups[request->group];
    if (request->dry_run) {
        return;
    }
    zsp_assert(group->seeks_out > 0);
    group->seeks_out--;
    group->seeks++;
    for (uint32_t i = 0; i < LEDGERS; i++) {
        const struct sim_part part = {.topic = i / SIM_PARTS_MAX, .partition = i % SIM_PARTS_MAX};
        if (part.partition < model_partition_count(part.topic) &&
            model_group_has_topic(request->group, part.topic)) {
            model_forget_ledger(self, request->group, part);
        }
    }
}
