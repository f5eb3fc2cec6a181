/* SPDX-License-Identifier: MPL-2.0
 *
 * What the client of the compacted topic (sim_market.c) knows.
 */
#ifndef ZSP_SIM_MARKET_H
#define ZSP_SIM_MARKET_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_price.h"

#define MARKET_PARTS   2u
#define MARKET_MAX     6000u /* messages of a partition */
#define MARKET_BATCH   8u
#define MARKET_BUYERS  3u /* one group for each mode: */
#define MARKET_SHARED  0u
#define MARKET_ORDERED 1u
#define MARKET_KEYED   2u

/* A message that is surely there, or was. */
struct market_slot {
    uint32_t number;
    int64_t wall_ms; /* it came at or after */
};

struct market_log {
    struct market_slot at[MARKET_MAX];
    uint64_t end;                   /* behind what was confirmed */
    uint64_t start;                 /* limits took what is below */
    uint64_t gone_to[PRICE_KEYS];   /* of the key nothing below is there, as was */
    uint64_t gone_step[PRICE_KEYS]; /* known from this step on */
    uint32_t seen_pass[MARKET_MAX]; /* the read of everything that saw it last */
    uint32_t batch[MARKET_BATCH];   /* not confirmed; comes at `end`, or is there */
    uint32_t batch_count;
    uint64_t batch_sequence;
    int64_t batch_wall_ms;
    bool batch_packed;
    bool publishing;
    uint64_t sequence; /* of the last message that was confirmed */
};

/* What a group knows. */
struct buyer {
    bool out;        /* one of its requests is */
    bool lost_order; /* an answer was lost: what was in it may come after what is behind it */
    bool was_moved;  /* perhaps */
    bool moving;     /* a seek was asked for, and is not confirmed */
    bool acked[MARKET_PARTS][MARKET_MAX]; /* surely, since it was moved */
    bool got[MARKET_PARTS][MARKET_MAX];   /* likewise */
    bool may_be_dead[MARKET_PARTS][MARKET_MAX];
    uint64_t got_to[MARKET_PARTS][PRICE_KEYS];
};

enum market_step { MARKET_TOPIC, MARKET_GROUPS, MARKET_WORK };

struct market {
    enum market_step step;
    uint32_t made;         /* groups */
    uint64_t tombstone_ms; /* 0 = a day */
    bool has_limit;
    uint64_t epoch; /* 0 = not open */
    bool opening;
    uint32_t serial;
    struct market_log logs[MARKET_PARTS];
    bool reading;
    uint32_t read_partition;
    uint64_t read_next, read_end;
    uint32_t pass;
    struct buyer buyers[MARKET_BUYERS];
};

struct client;
struct sim_request;
struct sim_reply;

/* --- What answers may say (sim_market_judge.c); what is wrong is kept in the model --- */
void market_published(struct client *self, const struct sim_request *request);
void market_opened(struct client *self, const struct sim_request *request);
void market_judge_read(struct client *self, const struct sim_request *request);
bool market_judge_pull(struct client *self, const struct sim_request *request);
void market_settled(struct client *self, const struct sim_request *request);
/* All was read, and the groups are drained: has everything that is there come to each of them? */
bool market_judge_groups(struct client *self, uint32_t partition);
/* It is drained: is what it is told of messages that compaction took possible? */
bool market_judge_counts(struct client *self, uint32_t index, const struct sim_reply *info);

#endif
