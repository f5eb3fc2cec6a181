/* SPDX-License-Identifier: MPL-2.0
 *
 * The simulated clients. Each decides when it is woken and when an answer
 * comes, or when it gives up on one. What is specific to a kind is in its file.
 */
#ifndef ZSP_SIM_CLIENT_H
#define ZSP_SIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim_request.h"

#define CLIENT_PENDING_MAX 64
#define CLIENT_HELD_MAX    256

struct sim;

enum client_kind {
    CLIENT_PRODUCER,
    CLIENT_SEQUENCED,
    CLIENT_CONSUMER,
    CLIENT_READER,
    CLIENT_ADMIN,
    CLIENT_SCRATCH,
    CLIENT_RELAY,
    CLIENT_REPEAT,
    CLIENT_WARD,
    CLIENT_MARKET,
    CLIENT_SIDE,
    CLIENT_SHELF,
    CLIENT_TIDE,
    CLIENT_KEEPER, /* of sim_clinic.c, */
    CLIENT_MEMBER  /* and its consumers */
};

/* A batch of a sequenced producer that is not confirmed. */
struct pending_batch {
    uint32_t partition, first_message, count;
    uint64_t sequence;
    bool is_synced, is_packed;
    bool is_out; /* sent, unanswered */
};

/* Messages that a consumer has in hand. */
struct held_run {
    uint32_t topic, partition;
    uint64_t first, count, lease;
};

struct client {
    struct sim *sim;
    uint32_t index;
    enum client_kind kind;
    uint32_t life;    /* counts its own restarts */
    uint64_t session; /* 0 = sessionless */
    bool wants_session;
    uint64_t next_id;
    int64_t last_arrival_ms; /* its connection keeps the order */
    uint32_t out;            /* requests of this life that are unanswered */
    bool stopped;

    /* CLIENT_SEQUENCED */
    uint32_t producer; /* 1 + index */
    uint32_t topic;
    uint64_t epoch; /* 0 = not open */
    bool opening, recovering, must_open;
    uint64_t next_sequence[SIM_PARTS_MAX];
    struct pending_batch pending[CLIENT_PENDING_MAX];
    size_t pending_count;

    /* CLIENT_CONSUMER */
    uint32_t group;
    bool pulling;
    const struct sim_request *pull; /* the last one */
    struct held_run held[CLIENT_HELD_MAX];
    size_t held_count;
    unsigned slow_per_mille; /* wakes that come late */

    struct scratch *scratch; /* CLIENT_SCRATCH */
    struct relay *relay;     /* CLIENT_RELAY */
    struct ward *ward;       /* CLIENT_WARD */
    struct side *side;       /* CLIENT_SIDE */
    struct repeat *repeat;   /* CLIENT_REPEAT */
    struct market *market;   /* CLIENT_MARKET */
    bool shelf_is_asked;     /* CLIENT_SHELF: it may be there, */
    bool shelf_is_made;      /* surely, */
    int64_t shelf_made_ms;   /* by this uptime */
    struct tide *tide;       /* CLIENT_TIDE */

    /* CLIENT_READER */
    uint64_t read_from[SIM_TOPICS][SIM_PARTS_MAX];
};

/* A request of this client, not sent yet. */
struct sim_request *client_request(struct client *self, enum sim_verb verb);
/* Encode it and send it on its way. */
void client_send(struct client *self, struct sim_request *request);
/* The connection breaks; the next request goes over a new one. */
void client_reconnect(struct client *self);
void client_wake_in(struct client *self, int64_t delay_ms);

/* What each kind does. */
void client_wake(struct client *self);
void client_answer(struct client *self, struct sim_request *request);
void client_lost(struct client *self, struct sim_request *request);

void producer_wake(struct client *self);
void sequenced_wake(struct client *self);
void sequenced_answer(struct client *self, const struct sim_request *request);
void sequenced_lost(struct client *self, const struct sim_request *request);
void consumer_wake(struct client *self);
void consumer_answer(struct client *self, const struct sim_request *request);
void consumer_lost(struct client *self, const struct sim_request *request);
void reader_wake(struct client *self);
void reader_answer(struct client *self, const struct sim_request *request);
void admin_wake(struct client *self);
void relay_init(struct client *self);
void relay_fini(struct client *self);
void relay_wake(struct client *self);
void relay_answer(struct client *self, const struct sim_request *request);
void relay_lost(struct client *self, const struct sim_request *request);
/* The history ends, all is calm: the last look. */
void relay_final(struct client *self);
void ward_init(struct client *self);
void ward_fini(struct client *self);
void ward_wake(struct client *self);
void ward_answer(struct client *self, const struct sim_request *request);
void ward_lost(struct client *self, const struct sim_request *request);
void ward_final(struct client *self);
void market_init(struct client *self);
void market_fini(struct client *self);
void market_wake(struct client *self);
void market_answer(struct client *self, const struct sim_request *request);
void market_lost(struct client *self, const struct sim_request *request);
void market_final(struct client *self);
void side_init(struct client *self);
void side_fini(struct client *self);
void side_wake(struct client *self);
void side_answer(struct client *self, const struct sim_request *request);
void side_lost(struct client *self, const struct sim_request *request);
void side_final(struct client *self);
/* What sim_shelf.c does: looks at a group that nobody pulls for. */
void shelf_wake(struct client *self);
void shelf_answer(struct client *self, struct sim_request *request);
void shelf_final(struct client *self);
void tide_init(struct client *self);
void tide_fini(struct client *self);
void tide_wake(struct client *self);
void tide_answer(struct client *self, const struct sim_request *request);
void tide_lost(struct client *self, const struct sim_request *request);
void tide_final(struct client *self);
void repeat_init(struct client *self);
void repeat_fini(struct client *self);
void repeat_wake(struct client *self);
void repeat_answer(struct client *self, const struct sim_request *request);
void repeat_lost(struct client *self, const struct sim_request *request);
/* Everything is quiet: read all of it. */
void repeat_final(struct client *self);
void scratch_init(struct client *self);
void scratch_fini(struct client *self);
void scratch_wake(struct client *self);
void scratch_answer(struct client *self, const struct sim_request *request);
void scratch_lost(struct client *self, const struct sim_request *request);
/* Its session fell silent: what it held under leases it holds no more. */
void scratch_silent(struct client *self);

#endif
