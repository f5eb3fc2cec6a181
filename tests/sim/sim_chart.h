/* SPDX-License-Identifier: MPL-2.0
 *
 * What can be known from outside of each message of one group: the states that it may be in.
 *
 * A request takes effect at some time between its arrival and its answer. So when one arrives, the
 * states that it may lead to become possible; when it is answered, and nothing else touched the
 * message meanwhile, only what the answer says remains. What gets no answer leaves both possible.
 * What is not possible must not be seen; what alone is possible must be.
 */
#ifndef ZSP_SIM_CHART_H
#define ZSP_SIM_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_model.h"

#define CHART_PARTS 3u    /* the last one may come later */
#define CHART_MAX   4000u /* messages of a partition */

enum chart_state {
    CHART_ALIVE = 1, /* to be handed out, now or later */
    CHART_OUT = 2,
    CHART_DEAD = 4,
    CHART_DONE = 8
};

#define CHART_ANY 15u

enum chart_order { CHART_NO_ORDER, CHART_BY_PARTITION, CHART_BY_KEY };

struct chart_slot {
    uint32_t message; /* 1 + number, 0 = not known */
    uint8_t may;      /* states that are possible, */
    uint8_t old;      /* and those that a power cut may bring back */
    uint8_t then;     /* possible when the last request about it came */
    bool sure;        /* it was surely out under the lease that this request named */
    bool lapsed;      /* its lease may be over */
    bool only_told;   /* its change may not be written yet */
    bool left_out;    /* it may have expired since it became alive */
    bool holds;       /* if dead, it surely keeps back what its order puts behind it */
    bool came_back;   /* surely, and was not handed out since */
    bool is_limited;  /* perhaps: it goes alone */
    bool is_rated;    /* it was dead, perhaps, when the redrive with a rate began */
    uint32_t open;    /* requests about it that are unanswered */
    const struct sim_request *last;
    uint64_t touched_step; /* when a request about it came, or something happened to it */
    uint64_t changed_step; /* `may` did */
    uint64_t alive_step;   /* ALIVE became possible */
    uint64_t until[4];     /* the step until which each state was possible */
    uint64_t lease, session, grant_step;
    uint32_t granted;      /* messages that the lease had, none of which was begun; 0 = not known */
    uint32_t lost_of;      /* the lease of so many was surely lost, */
    uint64_t lost_step;    /* then */
    uint64_t asked_step;   /* when the pull came that got it; the first one of those sent again */
    int64_t lease_end_ms;  /* of the broker's uptime: it lives until then at least */
    int64_t lease_base_ms; /* without extensions */
    int64_t due_ms;        /* not handed out before; */
    int64_t late_ms; /* it is due by then, as far as the broker's time stands still at crashes */
    uint32_t failures_min, failures_max, failures_durable;
    uint32_t deliveries_min, deliveries_max;
    uint32_t old_failures_max, old_deliveries_max; /* a power cut may bring back so many */
    uint32_t most_failures, most_deliveries;       /* that a savepoint under way may hold */
    uint32_t deaths;                               /* at most; */
    uint64_t dead_lease;                           /* the last one under this */
    uint32_t left_out_max;
    uint32_t copies; /* of the last look */
    bool is_listed;
    bool was_new; /* its publish was answered before anybody can have met it */
};

/* The rules of the group. */
struct chart_rules {
    enum chart_order order;
    bool holds_dead;
    bool expired_dies;
    uint32_t max_failures; /* 0 = never */
};

struct chart {
    struct model *model; /* time and steps, facts of messages */
    struct chart_rules rules;
    uint64_t durable_step; /* what came before is durable */
    uint32_t returns;      /* requests that may have brought back, too, what nobody had heard of */
    uint64_t counts[CHART_PARTS]; /* offsets that are known to exist */
    struct chart_slot slots[CHART_PARTS][CHART_MAX];
};

/* --- One message --- */
/* An offset that exists. */
struct chart_slot *chart_slot(struct chart *self, uint32_t partition, uint64_t offset);
/* A message is there. False: it is another one. */
bool chart_learn(struct chart *self, uint32_t partition, uint64_t offset, uint32_t message);
/* More states are possible. */
void chart_may(struct chart *self, struct chart_slot *slot, unsigned states);
/* Only these are. */
void chart_is(struct chart *self, struct chart_slot *slot, unsigned states);
/* It may be as it ever was. */
void chart_forget(struct chart *self, struct chart_slot *slot);
/* Was any of the states possible at some time since the step? */
bool chart_was(const struct chart_slot *slot, unsigned states, uint64_t step);
/* Is it surely in one of these, and was not touched since the step? */
bool chart_stays(const struct chart_slot *slot, unsigned states, uint64_t step);
/* It may have failed once more. */
void chart_may_fail(struct chart *self, struct chart_slot *slot);
/* Its counts begin anew: surely, or perhaps. */
void chart_reset_counts(struct chart_slot *slot, bool surely);
const struct sim_order *chart_order_of(const struct chart *self, const struct chart_slot *slot);

/* --- Order --- */
/* Does the order bind these two of a partition? `unknown` = what to say when that is not known. */
bool chart_binds(const struct chart *self, const struct chart_slot *one,
                 const struct chart_slot *other, bool unknown);
/* The message may have come back: so may what is out behind it. */
void chart_doubt(struct chart *self, uint32_t partition, uint64_t offset);

/* --- Time --- */
/* Leases that may be over, messages that may have expired. */
void chart_refresh(struct chart *self);
/* No lease ends before. */
void chart_grace(struct chart *self, int64_t grace_ms);
void chart_crash(struct chart *self, bool power_loss);

#endif
