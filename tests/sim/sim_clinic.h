/* SPDX-License-Identifier: MPL-2.0
 *
 * A play of its own (sim --clinic): one group with an order, or without, whose messages die and
 * come back. A keeper publishes, redrives, drops, seeks, and lets dead messages hold back others or
 * not; members (sim_consumer.c) pull and settle in every way. Settings are those of the seed.
 *
 *   sim_chart.c         the states that each message may be in
 *   sim_clinic.c        settings, the keeper
 *   sim_clinic_judge.c  pulls and outcomes
 *   sim_clinic_choice.c what a pull should have got
 *   sim_clinic_dead.c   lists, redrives, drops, figures
 *   sim_clinic_move.c   seeks and savepoints
 *   sim_clinic_final.c  the last look
 *
 * Promises that are checked, beside those of sim_model_group.c:
 *   - before a message goes out each one before it in its order is done, dead (and does not hold), or
 *     goes out under the same lease (in order by partition: to the same member)
 *   - a dead message stays dead until it is redriven or dropped, is listed, and is counted; a list,
 *     a redrive or a drop finds no other
 *   - a redrive with a rate is no faster than that, and leaves none of its messages dead
 *   - a retry waits for its delay, of the list or of the doubling; counts are exact
 *   - a keyed group does not reach beyond its look_ahead; urgent messages go first
*   - what one before it called back is not acked; not while the broker reads keys, after a start,
 *     a seek, or a change of on_dead
 *   - a pull that is alone gets what is surely there
 */
#ifndef ZSP_SIM_CLINIC_H
#define ZSP_SIM_CLINIC_H

#include "tests/sim/sim_chart.h"

struct client;
struct sim;

#define CLINIC_CLIENTS 8 /* at most */

struct clinic_settings {
    const char *mode;
    bool holds_dead; /* now, surely or perhaps */
    bool expired_dies, is_weighted, has_morgue;
    uint32_t max_failures;
    const char *backoff; /* NULL = it grows */
    uint64_t backoff_factor, backoff_jitter;
    uint64_t look_ahead; /* 0 = all */
};

/* What a savepoint holds of a message. */
struct clinic_saved {
    uint8_t may;
    uint32_t failures_min, failures_max, deliveries_min, deliveries_max;
};

struct clinic {
    struct chart chart;
    struct clinic_settings settings;
    unsigned step; /* of the beginning */
    bool is_open;  /* the group is there */
    bool publishing;
    uint64_t published;     /* messages that were sent to it; not all need have arrived */
    bool held_before;       /* when the last GROUP.SET came */
    bool sets_hold;         /* a GROUP.SET is under way; */
    uint64_t set_hold_step; /* the last one came, or was answered */
    uint64_t moves;         /* seeks begun and ended, counted both */
    size_t moved_count;     /* messages that there were when the last one began */
    uint32_t moves_out;
    uint32_t saves_out; /* savepoints under way */
    uint32_t parts;     /* of the topic, surely */
    bool saved_exists;  /* the savepoint does, surely, */
    bool saved_known;   /* and what it holds is known; */
    bool saved_pulled;  /* a pull was under way when it was made: */
    uint64_t saved_counts[CHART_PARTS];
    struct clinic_saved saved[CHART_PARTS][CHART_MAX];
    uint64_t upset_step;     /* the broker may have had to read keys again then */
    uint64_t gone_step;      /* a pull came to its end unheard of */
    int64_t unseen_until_ms; /* messages may be out that nobody was told of */
    uint64_t pulls;          /* that came; */
    uint32_t pulls_out;      /* and are unanswered */
    uint64_t pull_step;      /* when the last one was answered, */
    uint64_t empty_step;     /* and the last one without messages; */
    int64_t empty_ms;        /* uptime then */
    uint64_t written_step;   /* what came before is written: the process may die */
    uint64_t far[CHART_PARTS];
    uint64_t near[3][CHART_PARTS]; /* the first that may be unfinished: now, and a while ago */
    int64_t near_ms;
    const struct client *holders[CHART_PARTS]; /* who got messages of it last */
    int64_t pulled_ms[CLINIC_CLIENTS];         /* when each client was heard of last, */
    int64_t cut_ms[CLINIC_CLIENTS];  /* and when it last got less than may have been taken for it */
    const struct sim_request *rated; /* the redrive with a rate that may be under way */
    bool rated_is_on;                /* surely it was */
    uint64_t rated_step;             /* when that was known */
    uint64_t rated_seen;             /* of its messages so many were seen to be redriven */
};

void clinic_init(struct sim *sim);
void clinic_fini(struct sim *sim);
void keeper_wake(struct client *self);
void keeper_answer(struct client *self, const struct sim_request *request);
/* May members pull? */
bool clinic_is_open(const struct sim *sim);
bool clinic_is_ordered(const struct sim *sim);

/* --- What comes and goes; nothing happens in another play --- */
void clinic_enter(struct sim *sim, struct sim_request *request);
void clinic_answer(struct sim *sim, struct sim_request *request);
void clinic_cut(struct sim *sim, struct sim_request *request);
void clinic_pull_gone(struct sim *sim, const struct sim_request *pull);
void clinic_undelivered(struct sim *sim, const struct sim_request *pull);
void clinic_silent(struct sim *sim, uint64_t session);
void clinic_crash(struct sim *sim, bool power_loss);
void clinic_grace(struct sim *sim, int64_t stall_ms);
void clinic_final(struct sim *sim);

/* --- Between the files --- */
/* A request about these messages comes; it ends. */
void clinic_touch(struct clinic *self, struct sim_request *request, uint32_t partition,
                  uint64_t offset);
void clinic_untouch(struct clinic *self, struct sim_request *request);
/* Was the request the only one about the message? */
bool clinic_is_alone(const struct chart_slot *slot, const struct sim_request *request);
bool clinic_fail(struct clinic *self, uint32_t partition, uint64_t offset, const char *what);
/* Was something left behind that the pull should have got? */
void clinic_judge_choice(struct clinic *self, const struct sim_request *pull);
void clinic_note_near(struct clinic *self);
/* May the end of a lease wait for room on the disk? Nobody need have seen that lease: its pull waited
 * for outcomes that it brought. */
bool clinic_awaits_room(const struct sim *sim);
void clinic_dead_enter(struct clinic *self, struct sim_request *request);
void clinic_dead_answer(struct clinic *self, struct sim_request *request);
/* Seeks, savepoints; true = it was one. */
void clinic_move_enters(struct clinic *self, const struct sim_request *request);
bool clinic_move_answered(struct clinic *self, const struct sim_request *request);
void clinic_move_cut(struct clinic *self, const struct sim_request *request);
bool clinic_is_restore(const struct sim_request *request);
void clinic_rated_over(struct clinic *self, bool surely);
void clinic_rated_seen(struct clinic *self, struct chart_slot *slot);
bool clinic_is_meant(const struct sim_request *request, uint32_t partition, uint64_t offset);
bool clinic_in_move(const struct clinic *self, const struct sim_request *request);
/* The arguments of DEAD.REDRIVE. */
void clinic_write_redrive(struct zsp_writer *out, const struct sim_request *request);
/* The least and the longest delay of a retry. */
void clinic_backoff_ms(const struct clinic *self, const struct chart_slot *slot,
                       int64_t *ret_least_ms, int64_t *ret_most_ms);

#endif
