/* SPDX-License-Identifier: MPL-2.0
 *
 * An engine under test: the real engine over the store in memory (or the
 * segmented log in a temporary directory), driven by hand. Requests are written
 * as text (tests/support/literal.h), answers are read as text (wire_print):
 *
 *     const struct answer *a = fixture_call(f, "TOPIC.INFO", "{'topic': 'orders'}", NULL);
 *     assert_string_equal(a->text, "...");
 *
 * Time stands still unless the test moves it.
 */
#ifndef ZSP_TESTS_ENGINE_FIXTURE_H
#define ZSP_TESTS_ENGINE_FIXTURE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "tests/support/mem_store.h"

/* A reply, decoded. Lives until the fixture ends. */
struct answer {
    uint64_t ticket;
    uint64_t lease;          /* of the effect */
    enum wire_status status; /* WIRE_OK or WIRE_ERR */
    int code;                /* ZSP_OK, or the error's */
    struct zsp_err error;    /* of an ERR */
    const msgpack_object *map;
    char text[4096];       /* the reply's map as one line, see wire_print */
    char parts_text[4096]; /* the maps of the PARTs before it, back to back */
    struct zsp_slice body; /* the records of the runs, as a client reads them; else all parts */
    size_t part_count, packed_runs;
    size_t sent_bytes; /* of all parts */
    size_t more_count; /* PARTs before this reply; their records are in `body` */
    /* private */
    struct wire_decoder *decoder;
    struct zsp_writer header, bytes;
};

#define FIXTURE_ANSWERS_MAX 4096

struct engine_fixture {
    struct engine *engine;
    struct engine_options options; /* used by the next start; store and random are set */
    struct mem_store *mem;         /* NULL when the log store is under it */
    struct fixture_log *log;       /* NULL when the store in memory is under it */
    struct store *store;
    struct instant now;
    uint64_t next_ticket;
    uint64_t session;   /* of the next requests; 0 = sessionless */
    uint64_t resent_id; /* the id of the next request of a session; 0 = its ticket */
    uint64_t random_state;
    struct answer *answers[FIXTURE_ANSWERS_MAX]; /* in the order in which they came */
    size_t answer_count;
    struct answer *pending_parts[16]; /* of requests not answered yet, gathered */
    size_t pending_part_count;
    bool fail_stop; /* EFFECT_FAIL_STOP has come */
    struct zsp_err fail_stop_error;
};

/* Which store fixtures have that a set-up makes; set by test programs that run their tests over
 * both. */
enum fixture_store { FIXTURE_MEM, FIXTURE_LOG };

/* A started engine over a new store: auto-creation on, one partition by default. */
struct engine_fixture *fixture_new(enum fixture_store kind);
void fixture_destroy(struct engine_fixture *self);
/* Set-up and tear-down for cmocka; *state is the fixture, over the store in memory. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* The same over the segmented log. */
int fixture_set_up_log(void **state);

/* End the engine and start another over what the store kept (the log store keeps all). */
void fixture_restart(struct engine_fixture *self, enum mem_store_keep keep);
/* As fixture_restart; returns the code of engine_start() instead of insisting on 0. */
int fixture_try_restart(struct engine_fixture *self, enum mem_store_keep keep);

/* Send a request and return its ticket; nothing is pumped. `body` NULL = no body frame; else
 * the literal of an array of records: "[[b'payload'], [b'payload', b'key']]"; several bodies
 * with '|' between them. */
uint64_t fixture_send(struct engine_fixture *self, const char *verb, const char *args,
                      const char *body);
/* The same with a body as it is. */
uint64_t fixture_send_bytes(struct engine_fixture *self, const char *verb, const char *args,
                            struct zsp_slice body);
/* Publish one record of so many bytes to partition 0 of "orders", with a sequence of producer "p" in
 * its first epoch. */
uint64_t fixture_send_large(struct engine_fixture *self, size_t bytes, unsigned seq);
/* Pump until nothing happens any more (jobs of the log store are run), take the effects. */
void fixture_pump(struct engine_fixture *self);
/* Move both clocks and pump. In steps that are no stall. */
void fixture_advance(struct engine_fixture *self, int64_t ms);
/* Move both clocks in one leap and pump: a stall. */
void fixture_leap(struct engine_fixture *self, int64_t ms);
/* The answer to a ticket, NULL when there is none (yet). Fails when there are two. */
const struct answer *fixture_answer(struct engine_fixture *self, uint64_t ticket);
/* The maps of the PARTs of a request that is not answered for good, back to back. */
const char *fixture_parts_so_far(const struct engine_fixture *self, uint64_t ticket);
/* Send, pump, and insist on an answer. */
const struct answer *fixture_call(struct engine_fixture *self, const char *verb, const char *args,
                                  const char *body);
/* The same, and insist on OK. */
const struct answer *fixture_ok(struct engine_fixture *self, const char *verb, const char *args,
                                const char *body);
/* The same, and insist on an error of `code`. */
const struct answer *fixture_error(struct engine_fixture *self, int code, const char *verb,
                                   const char *args, const char *body);

/* The payloads of an answer's body, joined by blanks; at most 4 KiB. Valid until the next call. */
const char *fixture_payloads(const struct answer *answer);
/* A number of the answer's map; fails when there is none of that name. */
uint64_t fixture_number(const struct answer *answer, const char *key);
/* A text of the answer's map ("" when absent); valid until the next call. */
const char *fixture_text(const struct answer *answer, const char *key);
/* Any value of the answer's map as one line of text ("" when absent); valid until the next call. */
const char *fixture_value(const struct answer *answer, const char *key);

/* Format arguments: fixture_format("{'topic': '%s'}", name). Valid for the next seven calls. */
const char *fixture_format(const char *format, ...) ZSP_PRINTF(1, 2);

#endif
