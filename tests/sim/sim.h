/* SPDX-License-Identifier: MPL-2.0
 *
 * The simulator: the real engine on the real log store, over a disk that
 * forgets (tests/support/crash_fs.h), a clock that jumps, and clients that lose
 * their connections. One seed decides everything; the same seed and number of
 * steps give the same history to the last byte.
 *
 *   sim_history.c   a history from begin to end: chaos, calm, the last look
 *   sim_world.c     the broker's host: turns, jobs, crashes, restarts
 *   sim_fault.c     what goes wrong, and when
 *   sim_client.c    what all clients share, and the simple ones
 *   sim_producer.c, sim_consumer.c, sim_scratch.c, sim_relay.c, sim_ward.c, sim_repeat.c,
 *   sim_side.c, sim_market.c, sim_tide.c    the others
 *   sim_files.c     the last look at the files
 *   sim_inside.c    does what the engine holds agree with itself?
 *   sim_request*.c  what they ask and are told, as bytes and as plain values
 *   sim_model*.c    the checker
 *   sim_reach.c     which combinations of it all were met
 *   sim_clinic*.c   another play, with clients and a checker of its own
 */
#ifndef ZSP_SIM_H
#define ZSP_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "broker/store/log_store.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_clinic.h"
#include "tests/sim/sim_events.h"
#include "tests/sim/sim_model.h"
#include "tests/support/prng.h"

#define SIM_JOBS_MAX 512

struct sim_options {
    uint64_t seed;
    uint32_t steps; /* events of the chaotic part */
    bool is_clinic; /* another play: sim_clinic.h */
    bool verbose;   /* a line for each thing that happens, on stderr */
};

/* What a history came to. */
struct sim_result {
    bool failed;
    char failure[512]; /* what was broken, and at which step */
    uint64_t hash;     /* over all effects and their times */
    uint64_t steps;
    uint64_t published, confirmed, delivered, acked, swept, crashes, power_losses;
    struct reach reach;
};

/* What may go wrong in this history; chosen by its seed. */
struct sim_weather {
    bool spares_power; /* only the process dies, whatever happens */
    bool power_losses, process_crashes, freezes, stalls, wall_jumps, urgent, full_disk,
        sync_failures, disconnects, seeks, savepoints, pauses, grows, cold_reads, slow_disk,
        weighted;
    int64_t tempo;         /* clients do nothing for so much longer; 1 = they are busy */
    unsigned retention_ms; /* between two looks at what may go */
    int64_t calm_ms;       /* between two faults, about */
    unsigned dropped_per_mille, undelivered_per_mille; /* replies */
    /* Of the store: so small that files roll and are carried forward all the time. */
    uint64_t segment_bytes, journal_file_bytes, unsynced_bytes_max, tail_bytes;
    uint32_t fill_bytes, open_files_max, sync_files_max, segment_ids_max;
};

/* The broker and its machine. */
struct world {
    struct fs *disk; /* crash_fs */
    struct log_store *log;
    struct engine *engine;
    struct wire_decoder *decoder;
    struct prng random; /* what the host gives to store and engine */
    uint32_t life;      /* counts starts; 0 = never started */
    bool up;
    int64_t pump_at_ms; /* a PUMP event is queued for then, INT64_MAX = none */
    bool failing;       /* a failure was injected that the store may stop for */
    bool cut_power_when_frozen;
    bool disk_is_limited;
    int64_t room_ms;      /* when it got room again, uptime */
    int64_t stalled_ms;   /* the end of the last stall, or slow time, uptime */
    int64_t mono_base_ms; /* the monotonic clock begins anew with each boot */
    int64_t wall_offset_ms;
    int64_t job_delay_ms; /* a job takes up to this long */
    uint32_t idle_pumps;  /* in a row without progress of time */
    struct zsp_diag diag;
    struct job *jobs[SIM_JOBS_MAX];
    size_t job_count;
    uint64_t session; /* the last one given */
    uint64_t crashes, power_losses;
};

struct sim {
    struct sim_options options;
    struct sim_weather weather;
    struct prng prng; /* of everything that is not the host's random bits */
    struct events events;
    struct model model;
    struct clinic *clinic; /* NULL = another play */
    struct world world;
    struct client clients[SIM_CLIENTS_MAX];
    size_t client_count;
    struct sim_request **requests; /* all; ticket i is requests[i - 1] */
    size_t request_count, request_capacity;
    size_t requests_open; /* not yet told to their client */
    int64_t now_ms;       /* of the simulation, monotonic */
    bool calm;            /* no more faults, clients finish */
    uint64_t step;
    uint64_t hash;
};

struct sim_result sim_run(const struct sim_options *options);

/* --- Between the simulator's files ---------------------------------------------------- */

/* One line, when the history is verbose. */
void sim_trace(const struct sim *self, const char *format, ...) ZSP_PRINTF(2, 3);
/* A request and its decoded reply as lines (sim_tell.c). */
void sim_tell_request(const struct sim *sim, const struct sim_request *request);
void sim_tell_reply(const struct sim *sim, const struct sim_request *request);
/* Send a request in calm and wait for the answer. NULL: something failed. */
const struct sim_reply *sim_ask(struct sim *self, struct client *judge,
                                struct sim_request *request);
/* The clock as the broker sees it. */
struct instant sim_instant(const struct sim *self);
/* Handle events until `stop_fn` is true, `steps` were handled, or something failed. */
void sim_loop(struct sim *self, uint64_t steps, bool (*stop_fn)(const struct sim *self));

/* sim_files.c: in the end nothing is left that belongs to nothing. */
void files_final(struct sim *sim);

/* sim_inside.c: now and then; in the end, when all is done that can be. */
void inside_look(struct sim *sim);
void inside_final(struct sim *sim);

/* world.c */
void world_init(struct sim *sim);
void world_fini(struct sim *sim);
void world_start(struct sim *sim);
void world_crash(struct sim *sim, bool power_loss);
void world_arrive(struct sim *sim, struct sim_request *request);
void world_job_run(struct sim *sim, struct job *job);
void world_job_done(struct sim *sim, struct job *job);
void world_pump(struct sim *sim);
void world_pump_soon(struct sim *sim);
/* What becomes of the session of a client that loses its connection. */
enum farewell {
    FAREWELL_ENDS,    /* it ends by and by: its leases stay */
    FAREWELL_RESUMES, /* the client comes back to it */
    FAREWELL_SILENT   /* it had promised heartbeats: its leases are lost */
};
void world_disconnect(struct sim *sim, struct client *client, enum farewell how);

/* fault.c */
/* --- sim_urgent.c --- */
/* Draw the priority and the times of new messages. */
void urgent_choose(struct sim *sim, uint32_t first, uint32_t count);
/* Those of a batch, into its request. */
void urgent_fill(const struct sim *sim, struct sim_request *publish);
void urgent_end(struct sim *sim);

void fault_choose_weather(struct sim *sim);
void fault_strike(struct sim *sim);
void fault_end_all(struct sim *sim);

#endif
