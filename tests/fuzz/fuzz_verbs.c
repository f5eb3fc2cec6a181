/* SPDX-License-Identifier: MPL-2.0
 *
 * Any requests, in any order, to an engine over a store in memory that fails, stands still and
 * restarts. The bytes choose verbs, arguments and what happens between: mostly values that make
 * sense, so that much is reached, now and then some that do not. Every request is answered once, and
 * nothing of ours is broken.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/engine/engine.h"
#include "common/assert.h"
#include "common/record.h"
#include "tests/support/mem_store.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TICKETS_MAX 512u
#define LEASES_MAX  8u

struct run {
    struct mem_store *mem;
    struct store *store;
    struct engine *engine;
    struct instant now;
    uint64_t random_state;
    const uint8_t *data;
    size_t size;
    uint64_t tickets;                  /* given so far */
    uint8_t answers[TICKETS_MAX + 1];  /* of each */
    uint8_t sessions[TICKETS_MAX + 1]; /* whose it is */
    bool is_let_go[TICKETS_MAX + 1];   /* its session has ended: it need not be answered */
    uint64_t first_open;               /* those before a restart are nobody's */
    uint64_t leases[LEASES_MAX];       /* that were told last */
    size_t lease_at;
    unsigned batch_records; /* that the batches of the request tell of; 0 = it has none */
    bool failed;            /* fail-stop: only a restart helps */
};

/* --- bytes that decide ------------------------------------------------------------------- */

static uint8_t next_byte(struct run *self)
{
    if (self->size == 0) {
        return 0;
    }
    self->size--;
    return *self->data++;
}

static unsigned below(struct run *self, unsigned end)
{
    return next_byte(self) % end;
}

static uint64_t some_number(struct run *self)
{
    static const uint64_t numbers[] = {0,        1,         2,         3,    4,     5,
                                       7,        9,         10,        100,  1000,  65536,
                                       1000000,  86400000,  255,       1024, 65535, 4294967295,
                                       1u << 20, INT64_MAX, UINT64_MAX};
    const unsigned choice = next_byte(self);
    return choice < 200 ? choice % 6 : numbers[choice % (sizeof numbers / sizeof numbers[0])];
}

static const char *some_name(struct run *self, char letter)
{
    static const char *const names[][4] = {
        {"t0", "t1", "t2", "*"}, {"g0", "g1", "g2", ""}, {"p0", "p1", "p2", "a/b"}};
    const unsigned row = letter == 't' ? 0 : letter == 'g' ? 1 : 2;
    const unsigned choice = next_byte(self);
    return names[row][choice < 250 ? choice % 3 : 3];
}

/* --- arguments ------------------------------------------------------------------------------ */

static void write_position(struct run *self, struct zsp_writer *out)
{
    static const enum wire_position_kind kinds[] = {
        WIRE_POSITION_EARLIEST, WIRE_POSITION_LATEST, WIRE_POSITION_OFFSET, WIRE_POSITION_LAST,
        WIRE_POSITION_TIME,     WIRE_POSITION_AGO,    WIRE_POSITION_ID};
    const struct wire_position position = {.kind = kinds[below(self, 7)],
                                           .value = some_number(self),
                                           .id = zsp_slice_str(some_name(self, 'p'))};
    wire_write_position(out, &position);
}

static void write_srun(struct run *self, struct zsp_writer *out)
{
    static const enum wire_outcome outcomes[] = {WIRE_ACK,    WIRE_RETRY,  WIRE_RELEASE,
                                                 WIRE_REJECT, WIRE_EXTEND, WIRE_STARTED};
    const struct wire_srun run = {.topic = zsp_slice_str(some_name(self, 't')),
                                  .partition = (uint32_t)below(self, 3),
                                  .first = some_number(self),
                                  .count = some_number(self),
                                  .lease = self->leases[below(self, LEASES_MAX)],
                                  .outcome = outcomes[below(self, 6)],
                                  .has_delay = below(self, 2) == 0,
                                  .delay_ms = some_number(self)};
    wire_write_srun(out, &run);
}

static void write_sruns(struct run *self, struct zsp_writer *out)
{
    const unsigned count = 1 + below(self, 3);
    wire_write_array(out, count);
    for (unsigned i = 0; i < count; i++) {
        write_srun(self, out);
    }
}

static void write_map_of(struct run *self, struct zsp_writer *out, const char *keys);

static const char *some_filter(struct run *self)
{
    static const char *const filters[] = {"key = \"p0\"",
                                          "not key exists",
                                          "type ^= \"p\" or header.p0 in (\"p0\", \"p1\")",
                                          "key != \"p1\" and not (type = \"p0\")",
                                          "header.\"p1\" exists",
                                          "type ="};
    return filters[below(self, sizeof filters / sizeof filters[0])];
}

static const char *some_text(struct run *self)
{
    static const char *const texts[] = {
        "yes",       "no",          "reject", "drop_oldest", "skip",    "hold", "drop",
        "dead",      "weighted",    "strict", "delete",      "compact", "key",  "producer",
        "header.p0", "1,100,60000", "t0",     "t2",          "",        "x"};
    const unsigned choice = below(self, 1 + sizeof texts / sizeof texts[0]);
    return choice == 0 ? some_filter(self) : texts[choice - 1];
}

static void write_settings(struct run *self, struct zsp_writer *out, const char *owner)
{
    static const char *const of_topics[] = {"retention_time_ms",
                                            "retention_bytes",
                                            "until_consumed",
                                            "max_topic_bytes",
                                            "when_full",
                                            "dedup_window_ms",
                                            "cleanup",
                                            "tombstone_retention_ms",
                                            "compact_ratio",
                                            "dedup_window_ms",
                                            "min_compaction_lag_ms"};
    static const char *const of_groups[] = {
        "lease_ms",       "max_leased",     "max_failures",      "backoff_ms",
        "backoff_max_ms", "on_dead",        "expired",           "priority",
        "backoff_factor", "backoff_jitter", "dead_retention_ms", "dead_retention_bytes",
        "look_ahead",     "backoff",        "dead_letter_topic", "filter",
        "fair_by"};
    const bool is_topic = strcmp(owner, "topic") == 0;
    wire_write_map(out, 1);
    wire_write_text(out, is_topic ? of_topics[below(self, sizeof of_topics / sizeof of_topics[0])]
                                  : of_groups[below(self, sizeof of_groups / sizeof of_groups[0])]);
    switch (below(self, 5)) {
    case 0:
        wire_write_nil(out);
        break;
    case 1:
    case 2:
        wire_write_text(out, some_text(self));
        break;
    default:
        wire_write_uint(out, some_number(self));
        break;
    }
}

/* Where a list of dead messages goes on. */
static void write_place(struct run *self, struct zsp_writer *out)
{
    wire_write_array(out, 3);
    wire_write_text(out, some_name(self, 't'));
    wire_write_uint(out, below(self, 3));
    wire_write_uint(out, some_number(self));
}

static void write_dead_runs(struct run *self, struct zsp_writer *out)
{
    const unsigned count = 1 + below(self, 3);
    wire_write_array(out, count);
    for (unsigned i = 0; i < count; i++) {
        wire_write_array(out, 4);
        wire_write_text(out, some_name(self, 't'));
        wire_write_uint(out, below(self, 3));
        wire_write_uint(out, some_number(self));
        wire_write_uint(out, some_number(self));
    }
}

static void write_plain_record(struct zsp_writer *out)
{
    const struct zsp_record record = {.payload = zsp_slice_str("x")};
    zsp_record_write(out, &record);
}

/* Of plain records, so that the body can be as they tell. */
static void write_batches(struct run *self, struct zsp_writer *out)
{
    struct zsp_writer record = {0};
    write_plain_record(&record);
    const unsigned count = 1 + below(self, 4);
    wire_write_array(out, count);
    for (unsigned i = 0; i < count; i++) {
        const unsigned records = 1 + below(self, 3);
        const unsigned len = 2 + below(self, 5);
        self->batch_records += records;
        wire_write_array(out, len);
        wire_write_text(out, some_name(self, 't'));
        wire_write_uint(out, records * record.len);
        for (unsigned k = 2; k < len; k++) {
            if (k == 3) {
                wire_write_uint(out, records);
            } else if (below(self, 3) == 0) {
                wire_write_nil(out);
            } else {
                wire_write_uint(out, some_number(self));
            }
        }
    }
    zsp_writer_fini(&record);
}

/* A letter for each kind of value, then the key. */
static void write_value(struct run *self, struct zsp_writer *out, char kind)
{
    static const char *const words[] = {"ordered", "shared", "synced", "written", "zstd", "keyed"};
    switch (kind) {
    case 't':
    case 'g':
    case 'p':
        wire_write_text(out, some_name(self, kind));
        break;
    case 'T': /* several topics, a pattern among them now and then */
        wire_write_array(out, 2);
        wire_write_text(out, some_name(self, 't'));
        wire_write_text(out, below(self, 8) == 0 ? "t*" : some_name(self, 't'));
        break;
    case 'f':
        wire_write_text(out, some_filter(self));
        break;
    case 'x': /* a glob */
        wire_write_text(out, below(self, 2) == 0 ? "*" : some_text(self));
        break;
    case '.':
        write_place(self, out);
        break;
    case 'd':
        write_dead_runs(self, out);
        break;
    case 'u':
        wire_write_uint(out, some_number(self));
        break;
    case 'b':
        wire_write_bool(out, below(self, 2) == 0);
        break;
    case 'w':
        wire_write_text(out, words[below(self, 6)]);
        break;
    case '@':
        write_position(self, out);
        break;
    case 'r':
        write_sruns(self, out);
        break;
    case 's':
        write_settings(self, out, "topic");
        break;
    case 'S':
        write_settings(self, out, "group");
        break;
    case 'c': /* of a commit */
        wire_write_array(out, 1);
        write_map_of(self, out, "ttopic upartition upartitions ucount upriority unot_before_ms");
        break;
    case 'm':
        write_batches(self, out);
        break;
    case 'o':
        write_map_of(self, out, "ggroup rruns");
        break;
    default:
        wire_write_nil(out);
        break;
    }
}

/* Each of the keys or not; the first one of them mostly. A few have a value of another kind. */
static void write_map_of(struct run *self, struct zsp_writer *out, const char *keys)
{
    static const char kinds[] = "tgpTubw@rsScofx.d?";
    struct zsp_writer rest = {0};
    uint32_t count = 0;
    while (*keys) {
        const char *const blank = strchr(keys, ' ');
        const char *const end = blank ? blank : keys + strlen(keys);
        const unsigned chance = next_byte(self);
        if (chance < (count == 0 ? 250u : 110u)) {
            const char kind = (char)(chance == 7 ? kinds[below(self, sizeof kinds - 1)] : keys[0]);
            wire_write_str(&rest,
                           (struct zsp_slice){(const uint8_t *)keys + 1, (size_t)(end - keys) - 1});
            write_value(self, &rest, kind);
            count++;
        }
        keys = *end ? end + 1 : end;
    }
    wire_write_map(out, count);
    zsp_write_bytes(out, zsp_writer_slice(&rest));
    zsp_writer_fini(&rest);
}

static const struct {
    const char *verb, *keys;
} verbs[] = {
    {"PUBLISH", "ttopic upartition upartitions ucount wlevel wcodec uraw_size upriority "
                "unot_before_ms uexpires_at_ms pproducer uepoch useq"},
    {"PULL", "ggroup Ttopics umax_messages umax_bytes uwait_ms wmode @start bparts rsettle"},
    {"SETTLE", "ggroup rruns"},
    {"READ", "ttopic @from upartition @to umax_messages umax_bytes uwait_ms bparts ffilter"},
    {"PRODUCER.OPEN", "pproducer bephemeral"},
    {"PRODUCER.INFO", "pproducer"},
    {"SEEK", "ggroup @to ttopic upartition bdry_run bdead"},
    {"TOPIC.CREATE", "ttopic upartitions ssettings"},
    {"TOPIC.SET", "ttopic upartitions ssettings bforce bdry_run"},
    {"TOPIC.INFO", "ttopic"},
    {"TOPIC.LIST", "umatch ulimit"},
    {"TOPIC.DELETE", "ttopic bdry_run"},
    {"TOPIC.PURGE", "ttopic @before upartition bdry_run"},
    {"GROUP.CREATE", "ggroup Ttopics wmode @start Ssettings"},
    {"GROUP.SET", "ggroup Ssettings"},
    {"GROUP.INFO", "ggroup"},
    {"GROUP.LIST", "ulimit"},
    {"GROUP.DELETE", "ggroup bdry_run"},
    {"GROUP.PAUSE", "ggroup"},
    {"GROUP.RESUME", "ggroup"},
    {"SAVEPOINT.SAVE", "ggroup pname breplace"},
    {"SAVEPOINT.LIST", "ggroup"},
    {"SAVEPOINT.DROP", "ggroup pname bdry_run"},
    {"SAVEPOINT.RESTORE", "ggroup pname bdry_run"},
    {"SAVEPOINT.UNDO", "ggroup bdry_run"},
    {"STATS", "uno_such_argument"},
    {"BYE", "bkeep"},
    {"CANCEL", "urequest"},
    {"COMMIT", "pproducer uepoch useq cpublish osettle"},
    {"DEAD.LIST", "ggroup ttopic upartition xreason uolder_than_ms unewer_than_ms .from ulimit"},
    {"DEAD.READ", "ggroup druns umax_messages umax_bytes"},
    {"DEAD.REDRIVE", "ggroup ttopic ball bdry_run"},
    {"DEAD.REDRIVE", "ggroup xreason uolder_than_ms unewer_than_ms .from bkeep_counts urate"},
    {"DEAD.REDRIVE", "ggroup druns bkeep_counts bdry_run"},
    {"DEAD.REDRIVE", "ggroup bstop"},
    {"DEAD.DROP", "ggroup ttopic ball bdry_run"},
    {"DEAD.DROP", "ggroup druns xreason .from bdry_run"},
    {"GROUP.TRACE", "ggroup ttopic uoffset upartition"},
    {"GROUP.REPLAY", "ggroup @from @to ttopic upartition gname Ssettings uexpires_ms bdry_run"},
    {"GROUP.REPLAY", "ggroup pfrom_savepoint pto_savepoint @to ttopic gname"},
    {"GROUP.REPLAY", "ggroup @from pto_savepoint ttopic ffilter"},
    {"PUBLISH", "mbatches pproducer uepoch wlevel"},
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static struct zsp_buf *make_body(struct run *self)
{
    struct zsp_writer out = {0};
    const unsigned count = self->batch_records > 0 ? 0 : 1 + below(self, 4);
    for (unsigned i = 0; i < self->batch_records; i++) {
        write_plain_record(&out);
    }
    for (unsigned i = 0; i < count; i++) {
        const unsigned choice = next_byte(self);
        const struct zsp_slice key = zsp_slice_str(some_name(self, 'p'));
        struct zsp_record record = {.payload = zsp_slice_str(choice % 8 == 7 ? "" : "x")};
        record.key = choice < 150 ? key : (struct zsp_slice){0};
        record.type = choice % 4 == 0 ? key : (struct zsp_slice){0};
        record.id = choice % 4 == 1 ? key : (struct zsp_slice){0};
        if (choice == 255) {
            zsp_write_u8(&out, next_byte(self)); /* no record, most probably */
        } else {
            zsp_record_write(&out, &record);
        }
    }
    struct zsp_buf *const body = zsp_buf_copy(zsp_writer_slice(&out));
    zsp_writer_fini(&out);
    return body;
}

/* --- the host ---------------------------------------------------------------------------- */

static uint64_t next_random(void *arg)
{
    struct run *const self = arg;
    self->random_state = self->random_state * 6364136223846793005u + 1442695040888963407u;
    return self->random_state ^ (self->random_state >> 29);
}

static void start(struct run *self)
{
    const struct engine_options options = {.store = self->store,
                                           .random_fn = next_random,
                                           .random_arg = self,
                                           .auto_create_topics = true,
                                           .auto_create_groups = true,
                                           .default_partitions = 2,
                                           .topics_max = 8,
                                           .groups_max = 8};
    struct zsp_err err = {0};
    self->engine = engine_new(&options, &err);
    zsp_assert(self->engine);
    zsp_assert(engine_start(self->engine, self->now, &err) == 0);
    self->failed = false;
    self->first_open = self->tickets + 1;
}

static void restart(struct run *self)
{
    engine_destroy(&self->engine);
    mem_store_restart(self->mem, below(self, 2) == 0 ? MEM_KEEP_SYNCED : MEM_KEEP_WRITTEN);
    start(self);
}

static void take_effects(struct run *self)
{
    struct engine_effect effect;
    while (engine_next_effect(self->engine, &effect)) {
        if (effect.kind == EFFECT_FAIL_STOP) {
            self->failed = true;
        } else if (!effect.more) {
            zsp_assert(effect.ticket >= self->first_open && effect.ticket <= self->tickets);
            zsp_assert(self->answers[effect.ticket]++ == 0);
        }
        if (effect.lease != 0) {
            self->leases[self->lease_at++ % LEASES_MAX] = effect.lease;
        }
        engine_effect_release(&effect);
    }
}

static void pump(struct run *self)
{
    for (int i = 0; i < 8; i++) {
        engine_pump(self->engine, self->now);
        take_effects(self);
    }
}

static void advance(struct run *self, int64_t ms)
{
    self->now.mono_ms += ms;
    self->now.wall_ms += ms;
    pump(self);
}

static void request(struct run *self)
{
    const unsigned verb = below(self, VERBS);
    struct zsp_writer header = {0};
    self->batch_records = 0;
    wire_write_request(&header, zsp_slice_str(verbs[verb].verb), 0);
    write_map_of(self, &header, verbs[verb].keys);
    struct wire_decoder *decoder = wire_decoder_new();
    struct wire_request decoded = {0};
    zsp_assert(decoder &&
               wire_request_decode(decoder, zsp_writer_slice(&header), &decoded, NULL) == 0);
    const unsigned choice = next_byte(self);
    const bool has_body =
        strcmp(verbs[verb].verb, "PUBLISH") == 0 || strcmp(verbs[verb].verb, "COMMIT") == 0
            ? choice < 250
            : choice == 255;
    struct zsp_buf *body = has_body ? make_body(self) : NULL;
    const uint64_t session = choice % 3;
    self->sessions[self->tickets + 1] = (uint8_t)session;
    const struct engine_request asked = {.ticket = ++self->tickets,
                                         .session = session,
                                         .id = session == 0 ? 0 : self->tickets,
                                         .verb = decoded.verb,
                                         .args = decoded.args,
                                         .bodies = &body,
                                         .body_count = has_body ? 1 : 0};
    engine_request(self->engine, self->now, &asked);
    zsp_buf_put(&body);
    wire_decoder_destroy(&decoder);
    zsp_writer_fini(&header);
}

static void end_session(struct run *self)
{
    const uint64_t session = 1 + below(self, 2);
    for (uint64_t ticket = self->first_open; ticket <= self->tickets; ticket++) {
        self->is_let_go[ticket] = self->is_let_go[ticket] || self->sessions[ticket] == session;
    }
    engine_session_end(self->engine, self->now, session,
                       below(self, 2) == 0 ? ENGINE_SESSION_OVER : ENGINE_SESSION_SILENT);
}

static void something_else(struct run *self)
{
    switch (below(self, 10)) {
    case 0:
        restart(self);
        break;
    case 1:
        mem_store_hold(self->mem, next_byte(self) & MEM_ALL);
        break;
    case 2:
        mem_store_release(self->mem, MEM_ALL);
        break;
    case 3:
        mem_store_fail_next_append(self->mem, ZSP_ENO_SPACE, below(self, 2) == 0);
        break;
    case 4:
        mem_store_fail_next_state(self->mem, ZSP_ENO_SPACE);
        break;
    case 5:
        mem_store_fail_next_sync(self->mem);
        break;
    case 6:
        end_session(self);
        break;
    case 7:
        engine_undelivered(self->engine, self->now, self->leases[below(self, LEASES_MAX)]);
        break;
    default:
        advance(self, (int64_t)1 << below(self, 20));
        break;
    }
}

/* Everything goes well from here on: what is unanswered is answered. */
static void end(struct run *self)
{
    if (self->failed) {
        restart(self);
    }
    mem_store_hold(self->mem, 0);
    pump(self);
    for (int i = 0; i < 100 && !self->failed; i++) { /* longer than anything waits */
        advance(self, 900);
    }
    for (uint64_t ticket = self->first_open; ticket <= self->tickets && !self->failed; ticket++) {
        zsp_assert(self->answers[ticket] == 1 || self->is_let_go[ticket]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run self = {.data = data, .size = size};
    self.now = (struct instant){.mono_ms = 1000, .wall_ms = 1700000000000};
    self.mem = mem_store_new();
    self.store = mem_store_base(self.mem);
    start(&self);
    while (self.size > 0 && self.tickets < TICKETS_MAX) {
        const unsigned choice = next_byte(&self);
        if (self.failed) {
            restart(&self);
        } else if (choice < 200) {
            request(&self);
        } else {
            something_else(&self);
        }
        if (choice % 4 != 0) {
            pump(&self);
        }
    }
    end(&self);
    engine_destroy(&self.engine);
    self.store->ops->destroy(self.store);
    return 0;
}
