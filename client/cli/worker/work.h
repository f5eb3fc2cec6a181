/* SPDX-License-Identifier: MPL-2.0
 *
 * The supervisor behind `zspool work`: up to N commands at a time, each with one message
 * of one consumer in hand.
 *
 *   work_loop.c  waits for what comes next: messages, signals, pipes, the clock
 *   work_slot.c  one command: its start, what ends it early, what its end means
 *   work_order.c  messages that wait for one before them, in groups with an order
 *   work_commit.c  with --to: what it printed and the ack, in one commit
 *
 * One thread does all of it, in one poll(). A slot's life:
 *
 *   FREE --slot_start--> RUNS --slot_stop--> STOPS --slot_reap--> FREE
 *                         |  (SIGTERM, and SIGKILL after grace)    ^
 *                         +------------slot_reap-------------------+
 */
#ifndef ZSP_CLI_WORK_H
#define ZSP_CLI_WORK_H

#include <stdio.h>

#include "client/cli/cli.h"
#include "client/cli/worker/child.h"
#include "client/cli/worker/work_env.h"

#define WORK_JOBS_MAX 256u
#define WORK_NEVER    INT64_MAX

/* Why a command was ended before its time. */
enum slot_stop_reason {
    SLOT_RUNS,     /* it was not */
    SLOT_TIMEOUT,  /* it took longer than allowed */
    SLOT_LOST,     /* its message's lease was lost: another member may have it already */
    SLOT_STOPPING, /* we were told to end, twice */
};

struct slot {
    struct child child; /* pid 0 = FREE */
    const zspool_message_t *message;
    int64_t start_ms;
    int64_t limit_ms; /* SLOT_TIMEOUT at; WORK_NEVER = no limit */
    int64_t kill_ms;  /* SIGKILL at; WORK_NEVER while it RUNS, and after it was sent */
    enum slot_stop_reason reason;
    FILE *output; /* --to: what it prints; NULL = goes to our standard output */
};

/* What must not be at work at once, nor out of order. */
enum work_order { WORK_ORDER_UNKNOWN, WORK_ORDER_NONE, WORK_ORDER_PARTITION, WORK_ORDER_KEY };

struct work {
    /* As asked for. */
    const char *group, *mode;
    const char *to; /* what commands print goes to this topic; NULL = to standard output */
    char *topic;
    char **command; /* NULL-terminated */
    uint64_t jobs, count;
    int64_t wait_ms;        /* end when nothing came for so long; -1 = never */
    int64_t limit_ms;       /* of one command; 0 = none */
    int64_t grace_ms;       /* between SIGTERM and SIGKILL */
    int64_t patience_ms;    /* --to: with refusals that may pass */
    int64_t retry_delay_ms; /* -1 = the group's backoff */
    bool end;
    zspool_position_t start;

    zspool_client_t *client;
    zspool_consumer_t *consumer;
    zspool_commit_t *commit; /* --to */
    struct work_env *env;
    int signal_fd;
    struct slot *slots; /* `jobs` of them */
    size_t running;
    enum work_order order;
    const zspool_message_t *waiting[WORK_JOBS_MAX]; /* for one before them, in their order */
    size_t waiting_count;
    uint64_t started;
    int64_t signal_ms;     /* when the last of them came */
    unsigned stop_signals; /* that came */
    bool stopping;         /* no message is taken any more */
    int code;              /* CLI_OK until something failed */
    int64_t idle_since_ms; /* no command runs and no message came since */
};

/* Take no more messages; what runs goes on. */
void work_stop(struct work *self);
/* Work until stopped, or until there is nothing more by -n, -e or --wait, and every command has
 * ended. Returns self->code. */
int work_loop(struct work *self);

/* Is the loss one of this message? */
bool work_is_about(const zspool_lost_t *lost, const zspool_message_t *message);

/* A message was taken: must it wait for one that runs, or waits? Then it is kept. */
bool work_wait_in_order(struct work *self, const zspool_message_t *message);
/* One that waited and may run now; NULL = none. */
const zspool_message_t *work_next_in_order(struct work *self);
/* The message comes again, or may: what waits for it is handed back, to come behind it. */
void work_order_broken(struct work *self, const zspool_message_t *message);
void work_order_lost(struct work *self, const zspool_lost_t *lost);
/* No more commands are run: hand back all that waits. */
void work_order_end(struct work *self);

/* Look for signals, and do what they ask for. */
void work_take_signals(struct work *self);
/* The first failure decides on the exit code; nothing more is taken. */
void work_fail(struct work *work, int code);

enum work_committed {
    WORK_COMMITTED, /* output and ack are kept */
    WORK_LOST,      /* the lease was: nothing of it is */
    WORK_TOO_LARGE, /* its output is no message: so many bytes are not taken */
    WORK_REFUSED,   /* nothing of it is kept, and the run ends; told */
    WORK_UNKNOWN    /* perhaps it is kept, and the run ends; told */
};
/* Publish what the slot's command printed and ack its message, as one; again until it is known what
 * became of it, or a refusal that may pass has not. The message is still in hand unless it is COMMITTED. */
enum work_committed work_commit(struct work *self, struct slot *slot);

/* Run the command on a message. A command that cannot be run ends the run: the message is handed
 * back, and why is told. */
void slot_start(struct work *work, struct slot *self, const zspool_message_t *message);
/* End the command early; the first reason stands. */
void slot_stop(const struct work *work, struct slot *self, enum slot_stop_reason reason);
/* Do what the clock says: SIGTERM at its limit, SIGKILL after the grace. */
void slot_look(const struct work *work, struct slot *self, int64_t now_ms);
/* If the command has ended: settle its message, tell, and free the slot. */
void slot_reap(struct work *work, struct slot *self);

#endif
