/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests and replies of a verbose history, for people.
 */
#include <inttypes.h>

#include "tests/sim/sim.h"

void sim_tell_request(const struct sim *sim, const struct sim_request *request)
{
    sim_trace(sim, "  -> %" PRIu64 " %s of client %u, session %" PRIu64, request->ticket,
              sim_verb_name(request->verb), request->client->index, request->session);
    if (request->verb == SIM_PUBLISH) {
        sim_trace(sim,
                  "       messages %u..%u to %s/%d %s, producer %u epoch %" PRIu64
                  " sequence %" PRIu64,
                  request->first_message, request->first_message + request->message_count - 1,
                  sim_topic_name(request->topic), request->partition,
                  request->is_synced ? "synced" : "written", request->producer, request->epoch,
                  request->sequence);
    }
    if (request->verb == SIM_PULL) {
        sim_trace(sim, "       group %s: %" PRIu64 " messages, %" PRIu64 " bytes, wait %" PRIu64,
                  sim_group_name(request->group), request->max_messages, request->max_bytes,
                  request->wait_ms);
    }
    if (request->verb == SIM_SEEK) {
        sim_trace(sim, "       group %s, %s/%d, position %d %" PRIu64 "%s",
                  sim_group_name(request->group), sim_topic_name(request->topic),
                  request->partition, (int)request->position.kind, request->position.value,
                  request->dry_run ? ", dry run" : "");
    }
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        sim_trace(sim, "       group %s: %s/%u/%" PRIu64 "+%" PRIu64 " lease %" PRIu64 ": %s",
                  sim_group_name(request->group), sim_topic_name(srun->topic), srun->partition,
                  srun->first, srun->count, srun->lease, wire_outcome_name(srun->outcome));
    }
}

void sim_tell_reply(const struct sim *sim, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    sim_trace(sim, "  <- %" PRIu64 " %s: %s%s", request->ticket, sim_verb_name(request->verb),
              reply->is_error ? reply->text : "OK",
              reply->is_error && reply->maybe ? " (maybe)" : "");
    if (request->verb == SIM_READ && !reply->is_error) {
        sim_trace(sim, "       %s/%d: start %" PRIu64 " next %" PRIu64 " end %" PRIu64,
                  sim_topic_name(request->topic), request->partition, reply->start, reply->next,
                  reply->end);
    }
    if (request->verb == SIM_PULL && !reply->is_error && reply->run_count == 0) {
        sim_trace(sim, "       %s: nothing (%s)", sim_group_name(request->group), reply->reason);
    }
    if (request->verb == SIM_GROUP_TRACE && !reply->is_error) {
        sim_trace(sim, "       %s: %s/%d/%" PRIu64 " %s deliveries %u failures %u",
                  sim_group_name(request->group), sim_topic_name(request->topic),
                  request->partition, request->from, reply->status, reply->deliveries,
                  reply->failures);
    }
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        sim_trace(sim,
                  "       %s: %s/%u/%" PRIu64 "+%" PRIu64 " lease %" PRIu64
                  " deliveries %u failures %u",
                  request->verb == SIM_PULL ? sim_group_name(request->group) : "read",
                  sim_topic_name(run->topic), run->partition, run->first, run->count, run->lease,
                  run->deliveries, run->failures);
    }
    for (size_t i = 0; i < reply->at_count; i++) {
        const struct sim_at *at = &reply->at[i];
        sim_trace(sim, "       %s/%u/%" PRIu64 "+%u%s", sim_topic_name(request->topic),
                  at->partition, at->first, at->count, at->duplicate ? " duplicate" : "");
    }
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        sim_trace(sim, "       not applied: %s/%u/%" PRIu64 "+%" PRIu64 " %s",
                  sim_topic_name(entry->topic), entry->partition, entry->first, entry->count,
                  entry->why);
    }
    for (size_t i = 0; i < reply->part_count; i++) {
        const struct sim_part *part = &reply->parts[i];
        sim_trace(sim,
                  "       %s/%u: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                  " %" PRIu64 " %" PRIu64 " %" PRIu64,
                  sim_topic_name(part->topic), part->partition, part->values[0], part->values[1],
                  part->values[2], part->values[3], part->values[4], part->values[5],
                  part->values[6], part->values[7]);
    }
}
