/* SPDX-License-Identifier: MPL-2.0
 *
 * What answers about the compacted topic may say. See sim_market.c for what is promised.
 */
#include <inttypes.h>

#include "common/assert.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_market.h"

/* --- The log -------------------------------------------------------------------------------------- */

/* What is there, as far as it was published: behind `end` as much of the batch as is on its way. */
static struct market_slot slot_at(const struct market_log *log, uint64_t offset)
{
    return offset < log->end ? log->at[offset]
                             : (struct market_slot){.number = log->batch[offset - log->end],
                                                    .wall_ms = log->batch_wall_ms};
}

static bool was_published(const struct market_log *log, uint64_t offset)
{
    return offset < log->end + log->batch_count;
}

/* A message is surely there: it was confirmed, or seen. */
static bool place(struct client *self, uint32_t partition, uint64_t offset, uint32_t number)
{
    struct market_log *log = &self->market->logs[partition];
    return (was_published(log, offset) && slot_at(log, offset).number == number) ||
           model_fail(&self->sim->model,
                      "prices/%u/%" PRIu64 ": message %u is not what was published there",
                      partition, offset, number);
}

void market_published(struct client *self, const struct sim_request *request)
{
    struct market_log *log = &self->market->logs[request->partition];
    const struct sim_at *at = request->reply.at;
    if (request->reply.at_count != 1 || !at->has_first || at->first != log->end ||
        at->count != log->batch_count) {
        (void)model_fail(&self->sim->model,
                         "prices/%d: a batch of %u is confirmed at %" PRIu64
                         ", its end is %" PRIu64,
                         request->partition, log->batch_count, at->first, log->end);
        return;
    }
    for (uint32_t i = 0; i < log->batch_count; i++) {
        zsp_assert(log->end < MARKET_MAX);
        log->at[log->end++] =
            (struct market_slot){.number = log->batch[i], .wall_ms = log->batch_wall_ms};
    }
    log->sequence += log->batch_count;
    log->batch_count = 0;
}

void market_opened(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    uint64_t last[MARKET_PARTS] = {0};
    for (size_t i = 0; i < request->reply.part_count; i++) {
        const struct sim_part *part = &request->reply.parts[i];
        if (part->topic == SIM_PRICES && part->partition < MARKET_PARTS) {
            last[part->partition] = part->values[0];
        }
    }
    for (uint32_t p = 0; p < MARKET_PARTS; p++) {
        const struct market_log *log = &market->logs[p];
        const uint64_t most = log->sequence + log->batch_count;
        if (last[p] != log->sequence && last[p] != most) {
            (void)model_fail(&self->sim->model,
                             "prices/%u: the producer stopped at %" PRIu64 " or %" PRIu64
                             ", it is told %" PRIu64,
                             p, log->sequence, most, last[p]);
        }
    }
    market->epoch = request->reply.epoch;
}

static bool has_newer(const struct market_log *log, uint64_t offset)
{
    const uint32_t key = price_key(slot_at(log, offset).number);
    for (uint64_t o = offset + 1; was_published(log, o); o++) {
        if (price_key(slot_at(log, o).number) == key) {
            return true;
        }
    }
    return false;
}

/* Its time may be over. */
static bool may_have_gone(const struct client *self, const struct market_slot *slot)
{
    const struct sim *sim = self->sim;
    return price_is_tombstone(slot->number) && self->market->tombstone_ms != 0 &&
           (sim->weather.wall_jumps ||
            sim->model.wall_ms - slot->wall_ms >= (int64_t)self->market->tombstone_ms);
}

/* A message is not there: it must have gone by right, and does not come back. */
static bool judge_absent(struct client *self, uint32_t partition, uint64_t offset)
{
    struct market_log *log = &self->market->logs[partition];
    if (!was_published(log, offset)) {
        return model_fail(&self->sim->model, "prices/%u/%" PRIu64 ": nothing was published there",
                          partition, offset);
    }
    const struct market_slot slot = slot_at(log, offset);
    if (!has_newer(log, offset) && !may_have_gone(self, &slot)) {
        return model_fail(&self->sim->model,
                          "prices/%u/%" PRIu64 " is the newest of key %u, and was not read",
                          partition, offset, price_key(slot.number));
    }
    const uint32_t key = price_key(slot.number);
    if (offset >= log->gone_to[key]) {
        log->gone_to[key] = offset + 1;
        log->gone_step[key] = self->sim->step;
    }
    return true;
}

/* A message is in an answer. */
static bool judge_present(struct client *self, const struct sim_request *request,
                          uint32_t partition, uint64_t offset, uint32_t number)
{
    struct market_log *log = &self->market->logs[partition];
    if (!price_is(number) || !place(self, partition, offset, number)) {
        return model_fail(&self->sim->model, "prices: message %u of another topic", number);
    }
    const uint32_t key = price_key(number);
    return offset >= log->gone_to[key] || request->sent_step < log->gone_step[key] ||
           model_fail(&self->sim->model,
                      "prices/%u/%" PRIu64 " of key %u is there, although %" PRIu64
                      " was not any more before that was asked",
                      partition, offset, key, log->gone_to[key] - 1);
}

void market_judge_read(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    const struct sim_reply *reply = &request->reply;
    const uint32_t partition = (uint32_t)request->partition;
    struct market_log *log = &market->logs[partition];
    uint64_t at = request->from_earliest ? reply->start : request->from;
    if (request->from_earliest && reply->run_count > 0 && reply->runs[0].first < at) {
        at = reply->runs[0].first; /* a purge came in between */
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (; at < run->first; at++) {
            if (at >= reply->start && !judge_absent(self, partition, at)) {
                return;
            }
        }
        for (uint64_t m = 0; m < run->count; m++, at++) {
            if (!judge_present(self, request, partition, at,
                               reply->messages[run->first_message + m])) {
                return;
            }
            log->seen_pass[at] = market->pass;
        }
    }
    for (; at < reply->next; at++) {
        if (at >= reply->start && !judge_absent(self, partition, at)) {
            return;
        }
    }
    log->start = reply->start > log->start ? reply->start : log->start;
}

/* --- Groups --------------------------------------------------------------------------------------- */

/* The first time that it comes: is it in the order of the group's mode? */
static bool judge_order(struct client *self, uint32_t index, uint32_t partition, uint64_t offset,
                        uint32_t number)
{
    struct buyer *buyer = &self->market->buyers[index];
    if (index == MARKET_SHARED || buyer->lost_order || buyer->got[partition][offset]) {
        return true;
    }
    uint64_t *got_to = &buyer->got_to[partition][index == MARKET_KEYED ? price_key(number) : 0];
    if (offset < *got_to) {
        return model_fail(&self->sim->model,
                          "group %s: prices/%u/%" PRIu64 " comes first after %" PRIu64,
                          sim_group_name(SIM_BUYERS + index), partition, offset, *got_to - 1);
    }
    *got_to = offset + 1;
    return true;
}

bool market_judge_pull(struct client *self, const struct sim_request *request)
{
    struct market *market = self->market;
    const struct sim_reply *reply = &request->reply;
    const uint32_t index = request->group - SIM_BUYERS;
    struct buyer *buyer = &market->buyers[index];
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        for (uint64_t m = 0; m < run->count; m++) {
            const uint64_t offset = run->first + m;
            const uint32_t number = reply->messages[run->first_message + m];
            if (!judge_present(self, request, run->partition, offset, number) ||
                !judge_order(self, index, run->partition, offset, number)) {
                return false;
            }
            if (buyer->acked[run->partition][offset]) {
                return model_fail(&self->sim->model,
                                  "group %s: prices/%u/%" PRIu64 " came again after its ack",
                                  sim_group_name(request->group), run->partition, offset);
            }
            buyer->got[run->partition][offset] = true;
        }
    }
    return true;
}

static bool is_told(const struct sim_reply *reply, const struct sim_srun *srun)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (entry->partition == srun->partition && srun->first >= entry->first &&
            srun->first - entry->first < entry->count) {
            return true;
        }
    }
    return false;
}

void market_settled(struct client *self, const struct sim_request *request)
{
    struct buyer *buyer = &self->market->buyers[request->group - SIM_BUYERS];
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        if (srun->outcome == WIRE_ACK && !is_told(&request->reply, srun)) {
            buyer->acked[srun->partition][srun->first] = true;
        }
    }
}

bool market_judge_counts(struct client *self, uint32_t index, const struct sim_reply *info)
{
    const struct market *market = self->market;
    const struct buyer *buyer = &market->buyers[index];
    for (size_t i = 0; i < info->part_count; i++) {
        const uint32_t partition = info->parts[i].partition;
        const struct market_log *log = &market->logs[partition];
        const uint64_t lost = info->parts[i].values[6]; /* what limits took is not counted again */
        const uint64_t told = info->parts[i].values[8];
        uint64_t least = 0; /* they never came, and are not there */
        uint64_t most = 0;  /* not surely done */
        for (uint64_t o = 0; o < log->end; o++) {
            least += o >= log->start && !buyer->got[partition][o];
            most += !buyer->acked[partition][o];
        }
        if (!buyer->was_moved && (told > most || (told < least && log->start == 0 && lost == 0))) {
            return model_fail(&self->sim->model,
                              "group %s: prices/%u: compaction took %" PRIu64 " to %" PRIu64
                              " messages, %" PRIu64 " are told",
                              sim_group_name(SIM_BUYERS + index), partition, least, most, told);
        }
    }
    return true;
}

/* Everything that is there came to each group. */
bool market_judge_groups(struct client *self, uint32_t partition)
{
    const struct market *market = self->market;
    const struct market_log *log = &market->logs[partition];
    for (uint32_t i = 0; i < MARKET_BUYERS; i++) {
        const struct buyer *buyer = &market->buyers[i];
        for (uint64_t o = log->start; o < log->end; o++) {
            if (log->seen_pass[o] == market->pass && !buyer->got[partition][o] &&
                !buyer->may_be_dead[partition][o]) {
                return model_fail(&self->sim->model,
                                  "group %s: prices/%u/%" PRIu64 " is there and never came",
                                  sim_group_name(SIM_BUYERS + i), partition, o);
            }
        }
    }
    return true;
}
