/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/sim/sim_clinic.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define BATCH_MAX      6
#define UNFINISHED_MAX 120u /* beyond it nothing is published */
#define RATE_MAX       60

enum clinic_step { CLINIC_TOPIC, CLINIC_MORGUE, CLINIC_GROUP, CLINIC_OPEN };

/* --- Settings ------------------------------------------------------------------------------- */

struct backoff_list {
    const char *text;
    int64_t ms[4];
};

static const struct backoff_list backoffs[] = {{"200,1000,50,3000", {200, 1000, 50, 3000}},
                                               {"700,700,100,0", {700, 700, 100, 0}}};

void clinic_backoff_ms(const struct clinic *self, const struct chart_slot *slot,
                       int64_t *ret_least_ms, int64_t *ret_most_ms)
{
    int64_t least = INT64_MAX;
    int64_t longest = 0;
    const uint32_t most =
        slot->failures_min + 8 < slot->failures_max ? slot->failures_min + 8 : slot->failures_max;
    for (uint32_t failures = slot->failures_min; failures <= most; failures++) {
        const size_t i = failures == 0 ? 0 : failures < 4 ? failures - 1 : 3;
        int64_t ms = SIM_BACKOFF_MS;
        for (size_t b = 0; self->settings.backoff && b < 2; b++) {
            ms = strcmp(self->settings.backoff, backoffs[b].text) == 0 ? backoffs[b].ms[i] : ms;
        }
        for (uint32_t f = 1; !self->settings.backoff && f < failures && f < 4; f++) {
            ms *= (int64_t)self->settings.backoff_factor;
        }
        ms = !self->settings.backoff && ms > 4 * SIM_BACKOFF_MS ? 4 * SIM_BACKOFF_MS : ms;
        least = ms < least ? ms : least;
        longest = ms > longest ? ms : longest;
    }
    *ret_least_ms = least;
    *ret_most_ms = longest + longest * (int64_t)self->settings.backoff_jitter / 100;
}

static void choose_settings(struct sim *sim, struct clinic *self)
{
    struct prng *prng = &sim->prng;
    struct clinic_settings *settings = &self->settings;
    struct chart_rules *rules = &self->chart.rules;
    const uint64_t mode = prng_below(prng, 5);
    settings->mode = mode == 0 ? "shared" : mode < 3 ? "ordered" : "keyed";
    rules->order = mode == 0 ? CHART_NO_ORDER : mode < 3 ? CHART_BY_PARTITION : CHART_BY_KEY;
    settings->holds_dead = mode != 0 && prng_chance(prng, 500);
    settings->expired_dies = prng_chance(prng, 500);
    settings->is_weighted = mode != 1 && mode != 2 && prng_chance(prng, 200);
    settings->has_morgue = prng_chance(prng, 500);
    settings->max_failures = (uint32_t)prng_below(prng, 5);
    settings->backoff = prng_chance(prng, 500) ? backoffs[prng_below(prng, 2)].text : NULL;
    settings->backoff_factor = prng_between(prng, 1, 3);
    settings->backoff_jitter = prng_chance(prng, 300) ? 50 : 0;
    settings->look_ahead = mode >= 3 && prng_chance(prng, 600) ? prng_between(prng, 1, 60) : 0;
    rules->holds_dead = settings->holds_dead;
    rules->expired_dies = settings->expired_dies;
    rules->max_failures = settings->max_failures;
}

void clinic_init(struct sim *sim)
{
    sim->clinic = calloc(1, sizeof *sim->clinic);
    zsp_assert(sim->clinic);
    sim->clinic->chart.model = &sim->model;
    sim->clinic->parts = model_first_partitions(SIM_CLINIC);
    choose_settings(sim, sim->clinic);
    const struct clinic_settings *settings = &sim->clinic->settings;
    sim_trace(sim,
              "clinic: %s, on_dead %s, expired %s, max_failures %u, backoff %s, look_ahead %u%s%s",
              settings->mode, settings->holds_dead ? "hold" : "skip",
              settings->expired_dies ? "dead" : "drop", settings->max_failures,
              settings->backoff ? settings->backoff : "doubles", (unsigned)settings->look_ahead,
              settings->is_weighted ? ", weighted" : "", settings->has_morgue ? ", copies" : "");
}

void clinic_fini(struct sim *sim)
{
    free(sim->clinic);
    sim->clinic = NULL;
}

bool clinic_is_open(const struct sim *sim)
{
    return sim->clinic->is_open;
}

bool clinic_is_ordered(const struct sim *sim)
{
    return sim->clinic && sim->clinic->chart.rules.order == CHART_BY_PARTITION;
}

static const struct clinic_settings *settings_of(const struct sim_request *request)
{
    return &request->client->sim->clinic->settings;
}

static void write_group(struct zsp_writer *out)
{
    wire_write_text(out, "group");
    wire_write_text(out, sim_group_name(SIM_CLINIC_GROUP));
}

static void write_group_create(struct zsp_writer *out, const struct sim_request *request)
{
    const struct clinic_settings *settings = settings_of(request);
    const bool has_order = strcmp(settings->mode, "shared") != 0;
    wire_write_map(out, 4);
    write_group(out);
    wire_write_text(out, "topics");
    wire_write_array(out, 1);
    wire_write_text(out, sim_topic_name(SIM_CLINIC));
    wire_write_text(out, "mode");
    wire_write_text(out, settings->mode);
    wire_write_text(out, "settings");
    wire_write_map(out, 7u + (has_order ? 1u : 0u) + (settings->is_weighted ? 1u : 0u) +
                            (settings->has_morgue ? 1u : 0u) + (settings->backoff ? 1u : 0u) +
                            (settings->look_ahead > 0 ? 1u : 0u));
    wire_write_text_uint(out, "lease_ms", SIM_LEASE_MS);
    wire_write_text_uint(out, "max_failures", settings->max_failures);
    wire_write_text_uint(out, "backoff_ms", SIM_BACKOFF_MS);
    wire_write_text_uint(out, "backoff_max_ms", 4 * SIM_BACKOFF_MS);
    wire_write_text_uint(out, "backoff_factor", settings->backoff_factor);
    wire_write_text_uint(out, "backoff_jitter", settings->backoff_jitter);
    wire_write_text(out, "expired");
    wire_write_text(out, settings->expired_dies ? "dead" : "drop");
    if (has_order) {
        wire_write_text(out, "on_dead");
        wire_write_text(out, settings->holds_dead ? "hold" : "skip");
    }
    if (settings->is_weighted) {
        wire_write_text(out, "priority");
        wire_write_text(out, "weighted");
    }
    if (settings->has_morgue) {
        wire_write_text(out, "dead_letter_topic");
        wire_write_text(out, sim_topic_name(SIM_MORGUE));
    }
    if (settings->backoff) {
        wire_write_text(out, "backoff");
        wire_write_text(out, settings->backoff);
    }
    if (settings->look_ahead > 0) {
        wire_write_text_uint(out, "look_ahead", settings->look_ahead);
    }
}

/* GROUP.SET of on_dead; `force` = hold. */
static void write_group_set(struct zsp_writer *out, const struct sim_request *request)
{
    wire_write_map(out, 2);
    write_group(out);
    wire_write_text(out, "settings");
    wire_write_map(out, 1);
    wire_write_text(out, "on_dead");
    wire_write_text(out, request->force ? "hold" : "skip");
}

void clinic_write_redrive(struct zsp_writer *out, const struct sim_request *request)
{
    wire_write_map(out, request->stops ? 2 : 4);
    write_group(out);
    if (request->stops) {
        wire_write_text_bool(out, "stop", true);
        return;
    }
    wire_write_text_bool(out, "keep_counts", request->keeps_counts);
    if (request->rate > 0) {
        wire_write_text_uint(out, "rate", request->rate);
    } else {
        wire_write_text_bool(out, "dry_run", request->dry_run);
    }
    if (request->srun_count == 0) {
        wire_write_text_bool(out, "all", true);
        return;
    }
    wire_write_text(out, "runs");
    wire_write_array(out, 1);
    wire_write_array(out, 4);
    wire_write_text(out, sim_topic_name(SIM_CLINIC));
    wire_write_uint(out, request->sruns[0].partition);
    wire_write_uint(out, request->sruns[0].first);
    wire_write_uint(out, request->sruns[0].count);
}

static void write_seek(struct zsp_writer *out, const struct sim_request *request)
{
    wire_write_map(out, 6);
    write_group(out);
    wire_write_text(out, "topic");
    wire_write_text(out, sim_topic_name(SIM_CLINIC));
    wire_write_text_uint(out, "partition", (uint64_t)request->partition);
    wire_write_text(out, "to");
    wire_write_position(out, &request->position);
    wire_write_text_bool(out, "dead", request->with_dead);
    wire_write_text_bool(out, "dry_run", request->dry_run);
}

/* --- What the keeper asks --------------------------------------------------------------------- */

static uint64_t count_unfinished(const struct chart *chart)
{
    uint64_t count = 0;
    for (uint32_t p = 0; p < CHART_PARTS; p++) {
        for (uint64_t o = 0; o < chart->counts[p]; o++) {
            const unsigned may = chart->slots[p][o].may;
            count += (may & (CHART_ALIVE | CHART_OUT)) != 0 && (may & CHART_DONE) == 0;
        }
    }
    return count;
}

static void publish(struct client *self)
{
    struct sim *sim = self->sim;
    struct clinic *clinic = sim->clinic;
    const uint32_t partition = (uint32_t)prng_below(&sim->prng, clinic->parts);
    if (clinic->publishing || count_unfinished(&clinic->chart) > UNFINISHED_MAX ||
        clinic->chart.counts[partition] + 200 > CHART_MAX) {
        return;
    }
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = SIM_CLINIC;
    request->partition = (int32_t)partition;
    request->is_synced = true;
    request->is_packed = prng_chance(&sim->prng, 200);
    request->message_count = (uint32_t)prng_between(&sim->prng, 1, BATCH_MAX);
    request->first_message =
        model_new_messages(&sim->model, request->message_count, self->index, 0, request->partition);
    urgent_choose(sim, request->first_message, request->message_count);
    urgent_fill(sim, request);
    clinic->publishing = true;
    clinic->published += request->message_count;
    client_send(self, request);
}

/* A few messages in a row, the first of which may be dead. */
static void choose_run(struct client *self, struct sim_request *request)
{
    struct prng *prng = &self->sim->prng;
    const struct chart *chart = &self->sim->clinic->chart;
    const uint32_t chosen = (uint32_t)prng_below(prng, CHART_PARTS);
    const uint32_t partition = chart->counts[chosen] > 0 ? chosen : 0;
    const uint64_t count = chart->counts[partition];
    uint64_t first = prng_below(prng, count);
    const bool wants_dead = prng_chance(prng, 900);
    for (uint64_t i = 0; wants_dead && i < count; i++) {
        if ((chart->slots[partition][(first + i) % count].may & CHART_DEAD) != 0) {
            first = (first + i) % count;
            break;
        }
    }
    request->sruns = calloc(1, sizeof *request->sruns);
    zsp_assert(request->sruns);
    request->srun_count = 1;
    request->sruns[0] =
        (struct sim_srun){.topic = SIM_CLINIC, .partition = partition, .first = first, .count = 1};
    while (prng_chance(prng, 400) && first + request->sruns[0].count < count) {
        request->sruns[0].count++;
    }
}

static void change_dead(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    if (sim->clinic->chart.counts[0] == 0 || sim->clinic->chart.counts[1] == 0) {
        return;
    }
    struct sim_request *request =
        client_request(self, prng_chance(prng, 700) ? SIM_DEAD_REDRIVE : SIM_DEAD_DROP);
    request->group = SIM_CLINIC_GROUP;
    request->dry_run = prng_chance(prng, 100);
    if (prng_chance(prng, 600)) {
        choose_run(self, request);
    }
    if (request->verb == SIM_DEAD_REDRIVE) {
        request->write_args_fn = clinic_write_redrive;
        request->keeps_counts = prng_chance(prng, 300);
        request->stops = sim->clinic->rated && prng_chance(prng, 200);
        if (request->srun_count == 0 && !request->stops && prng_chance(prng, 500)) {
            request->rate = prng_between(prng, 1, RATE_MAX);
            request->dry_run = false;
        }
    }
    client_send(self, request);
}

static void seek(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, SIM_SEEK);
    const uint32_t partition = (uint32_t)prng_below(prng, self->sim->clinic->parts);
    request->group = SIM_CLINIC_GROUP;
    request->topic = SIM_CLINIC;
    request->partition = (int32_t)partition;
    request->write_args_fn = write_seek;
    request->with_dead = prng_chance(prng, 300);
    request->dry_run = prng_chance(prng, 200);
    request->position = (struct wire_position){
        .kind = prng_chance(prng, 200) ? WIRE_POSITION_LATEST : WIRE_POSITION_OFFSET,
        .value = prng_below(prng, self->sim->clinic->chart.counts[partition] + 1)};
    client_send(self, request);
}

static void ask(struct client *self, enum sim_verb verb)
{
    struct sim_request *request = client_request(self, verb);
    request->group = SIM_CLINIC_GROUP;
    request->topic = SIM_CLINIC;
    if (verb == SIM_READ) {
        request->partition = (int32_t)prng_below(&self->sim->prng, self->sim->clinic->parts);
        request->from_earliest = true;
        request->max_messages = 100000;
        request->max_bytes = 10000000;
    }
    client_send(self, request);
}

static void save_or_restore(struct client *self)
{
    static const enum sim_verb verbs[] = {SIM_SAVEPOINT_SAVE, SIM_SAVEPOINT_SAVE,
                                          SIM_SAVEPOINT_RESTORE, SIM_SAVEPOINT_RESTORE,
                                          SIM_SAVEPOINT_UNDO};
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = client_request(self, verbs[prng_below(prng, 5)]);
    request->group = SIM_CLINIC_GROUP;
    request->topic = SIM_CLINIC;
    request->dry_run = request->verb != SIM_SAVEPOINT_SAVE && prng_chance(prng, 200);
    client_send(self, request);
}

/* One partition more; keys that go on there have an order there. */
static void grow(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_TOPIC_GROW);
    request->topic = SIM_CLINIC;
    request->parts_wanted = CHART_PARTS;
    request->force = true;
    client_send(self, request);
}

static void set_hold(struct client *self)
{
    if (self->sim->clinic->sets_hold) {
        return;
    }
    struct sim_request *request = client_request(self, SIM_GROUP_SET);
    request->group = SIM_CLINIC_GROUP;
    request->force = prng_chance(&self->sim->prng, 600);
    request->write_args_fn = write_group_set;
    client_send(self, request);
}

static void prepare(struct client *self)
{
    static const enum sim_verb verbs[] = {SIM_TOPIC_CREATE, SIM_TOPIC_CREATE, SIM_GROUP_CREATE};
    const unsigned step = self->sim->clinic->step;
    struct sim_request *request = client_request(self, verbs[step]);
    request->topic = step == CLINIC_TOPIC ? SIM_CLINIC : SIM_MORGUE;
    request->group = SIM_CLINIC_GROUP;
    if (step == CLINIC_GROUP) {
        request->write_args_fn = write_group_create;
    }
    client_send(self, request);
}

void keeper_wake(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    struct clinic *clinic = sim->clinic;
    client_wake_in(self, (int64_t)prng_below(prng, 60));
    if (clinic->step < CLINIC_OPEN) {
        if (self->out == 0) {
            prepare(self);
        }
        return;
    }
    const uint64_t choice = prng_below(prng, 100);
    if (self->out >= 3) {
        return;
    }
    if (choice < 40) {
        publish(self);
    } else if (choice < 60) {
        change_dead(self);
    } else if (choice < 70) {
        ask(self, SIM_DEAD_LIST);
    } else if (choice < 85) {
        ask(self, SIM_GROUP_INFO);
    } else if (choice < 89) {
        ask(self, SIM_READ);
    } else if (choice < 91 && sim->weather.seeks) {
        seek(self);
    } else if (choice < 93 && clinic->chart.rules.order != CHART_NO_ORDER && sim->weather.pauses) {
        set_hold(self);
    } else if (choice < 95 && sim->weather.savepoints) {
        save_or_restore(self);
    } else if (choice < 96 && sim->weather.grows && clinic->parts < CHART_PARTS) {
        grow(self);
    }
}

void keeper_answer(struct client *self, const struct sim_request *request)
{
    struct clinic *clinic = self->sim->clinic;
    const bool is_there = !request->reply.is_error || request->reply.code == ZSP_EEXISTS;
    if (clinic->step < CLINIC_OPEN && is_there &&
        (request->verb == SIM_TOPIC_CREATE || request->verb == SIM_GROUP_CREATE)) {
        clinic->step++;
        clinic->is_open = clinic->step == CLINIC_OPEN;
    }
}
