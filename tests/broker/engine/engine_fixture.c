/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/engine/engine_fixture.h"

#include <stdio.h>

#include "common/record.h"
#include "tests/broker/engine/fixture_log.h"
#include "tests/common/testing.h"
#include "tests/support/literal.h"
#include "tests/support/plain_body.h"

/* Rounds of pump and jobs until a fixture is taken for one that never rests. */
#define ROUNDS_MAX 10000

/* --- life ------------------------------------------------------------------------- */

static uint64_t next_random(void *arg)
{
    struct engine_fixture *const self = arg;
    self->random_state = self->random_state * 6364136223846793005u + 1442695040888963407u;
    return self->random_state ^ (self->random_state >> 29);
}

static int start_engine(struct engine_fixture *self)
{
    struct zsp_err error = {0};
    self->options.store = self->store;
    self->engine = engine_new(&self->options, &error);
    assert_non_null(self->engine);
    const int rc = engine_start(self->engine, self->now, &error);
    if (rc != 0) {
        print_message("engine_start: %s\n", error.msg);
    }
    return rc;
}

struct engine_fixture *fixture_new(enum fixture_store kind)
{
    struct engine_fixture *const self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->now = (struct instant){.mono_ms = 1000, .wall_ms = 1700000000000};
    self->next_ticket = 1;
    self->options.random_fn = next_random;
    self->options.random_arg = self;
    self->options.auto_create_topics = true;
    self->options.auto_create_groups = true;
    self->options.default_partitions = 1;
    if (kind == FIXTURE_LOG) {
        self->log = fixture_log_new();
        self->store = fixture_log_base(self->log);
    } else {
        self->mem = mem_store_new();
        self->store = mem_store_base(self->mem);
    }
    assert_int_equal(start_engine(self), 0);
    return self;
}

static void free_answer(struct answer *answer)
{
    wire_decoder_destroy(&answer->decoder);
    zsp_writer_fini(&answer->header);
    zsp_writer_fini(&answer->bytes);
    free(answer);
}

static void free_answers(struct engine_fixture *self)
{
    for (size_t i = 0; i < self->answer_count; i++) {
        free_answer(self->answers[i]);
    }
    for (size_t i = 0; i < self->pending_part_count; i++) {
        free_answer(self->pending_parts[i]);
    }
    self->pending_part_count = 0;
    self->answer_count = 0;
}

void fixture_destroy(struct engine_fixture *self)
{
    engine_destroy(&self->engine);
    if (self->log) {
        fixture_log_destroy(self->log);
    } else {
        self->store->ops->destroy(self->store);
    }
    free_answers(self);
    free(self);
}

int fixture_set_up(void **state)
{
    *state = fixture_new(FIXTURE_MEM);
    return 0;
}

int fixture_set_up_log(void **state)
{
    *state = fixture_new(FIXTURE_LOG);
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_destroy(*state);
    return 0;
}

int fixture_try_restart(struct engine_fixture *self, enum mem_store_keep keep)
{
    engine_destroy(&self->engine);
    self->fail_stop = false;
    if (self->log) {
        self->store = fixture_log_reopen(self->log);
    } else {
        mem_store_restart(self->mem, keep);
    }
    return start_engine(self);
}

void fixture_restart(struct engine_fixture *self, enum mem_store_keep keep)
{
    assert_int_equal(fixture_try_restart(self, keep), 0);
}

/* --- requests ------------------------------------------------------------------------ */

static void send_request(struct engine_fixture *self, const char *verb, const char *args,
                         struct zsp_buf *const *bodies, size_t body_count)
{
    struct zsp_writer header = {0};
    const uint64_t id = self->resent_id > 0 ? self->resent_id : self->next_ticket;
    wire_write_request(&header, zsp_slice_str(verb), self->session > 0 ? id : 0);
    self->resent_id = 0;
    literal_write(&header, args);
    assert_false(header.failed);
    struct wire_decoder *decoder = wire_decoder_new();
    struct wire_request decoded = {0};
    struct zsp_err error = {0};
    const int rc = wire_request_decode(decoder, zsp_writer_slice(&header), &decoded, &error);
    if (rc != 0) {
        fail_msg("%s %s: %s", verb, args, error.msg);
    }
    const struct engine_request request = {
        .ticket = self->next_ticket,
        .session = self->session,
        .id = decoded.id,
        .verb = decoded.verb,
        .args = decoded.args,
        .bodies = bodies,
        .body_count = body_count,
    };
    engine_request(self->engine, self->now, &request);
    wire_decoder_destroy(&decoder);
    zsp_writer_fini(&header);
}

uint64_t fixture_send_bytes(struct engine_fixture *self, const char *verb, const char *args,
                            struct zsp_slice body)
{
    struct zsp_buf *frame = zsp_buf_copy(body);
    assert_non_null(frame);
    send_request(self, verb, args, &frame, 1);
    zsp_buf_put(&frame);
    return self->next_ticket++;
}

/* The records of a literal array, without the array's head of five bytes. */
#define ARRAY_HEAD_BYTES 5u
#define BODIES_MAX       40

/* The records of the literal in [text, end). */
static struct zsp_buf *body_of(const char *text, const char *end)
{
    char literal[4096];
    const size_t len = (size_t)(end - text);
    assert_true(len < sizeof literal);
    memcpy(literal, text, len);
    literal[len] = '\0';
    struct zsp_writer records = {0};
    literal_write(&records, literal);
    assert_true(records.len > ARRAY_HEAD_BYTES);
    struct zsp_buf *frame = zsp_buf_copy(
        (struct zsp_slice){records.data + ARRAY_HEAD_BYTES, records.len - ARRAY_HEAD_BYTES});
    assert_non_null(frame);
    zsp_writer_fini(&records);
    return frame;
}

uint64_t fixture_send(struct engine_fixture *self, const char *verb, const char *args,
                      const char *body)
{
    struct zsp_buf *bodies[BODIES_MAX] = {NULL};
    size_t count = 0;
    while (body) {
        const char *const bar = strchr(body, '|');
        assert_true(count < BODIES_MAX);
        bodies[count++] = body_of(body, bar ? bar : body + strlen(body));
        body = bar ? bar + 1 : NULL;
    }
    send_request(self, verb, args, bodies, count);
    for (size_t i = 0; i < count; i++) {
        zsp_buf_put(&bodies[i]);
    }
    return self->next_ticket++;
}

/* --- answers --------------------------------------------------------------------------- */

static void print_map(struct answer *answer)
{
    struct zsp_writer line = {0};
    wire_print(&line, zsp_writer_slice(&answer->header), sizeof answer->text - 1);
    const size_t len = line.len < sizeof answer->text - 1 ? line.len : sizeof answer->text - 1;
    memcpy(answer->text, line.data, len);
    answer->text[len] = '\0';
    zsp_writer_fini(&line);
}

static void decode(struct answer *answer)
{
    struct wire_reply reply = {0};
    struct zsp_err error = {0};
    answer->decoder = wire_decoder_new();
    const int rc =
        wire_reply_decode(answer->decoder, zsp_writer_slice(&answer->header), &reply, &error);
    if (rc != 0) {
        fail_msg("reply: %s", error.msg);
    }
    answer->status = reply.status;
    answer->map = reply.map;
    if (reply.status == WIRE_ERR) {
        answer->code = wire_error_decode(reply.map, &answer->error);
    }
    print_map(answer);
}

static void read_body(struct answer *answer, const struct engine_effect *effect)
{
    const msgpack_object *const runs =
        answer->status != WIRE_ERR ? wire_map_find(answer->map, "runs") : NULL;
    for (size_t i = 0; i < effect->part_count; i++) {
        const struct engine_part *const part = &effect->parts[i];
        assert_true(part->pos <= part->buf->len && part->len <= part->buf->len - part->pos);
        answer->sent_bytes += part->len;
        if (!runs) {
            zsp_write_bytes(&answer->bytes,
                            (struct zsp_slice){part->buf->data + part->pos, part->len});
        }
    }
    struct plain_complaint why;
    size_t packed = 0;
    if (runs &&
        !plain_body(runs, effect->parts, effect->part_count, &answer->bytes, &packed, &why)) {
        fail_msg("%s", why.text);
    }
    answer->packed_runs += packed;
    answer->body = zsp_writer_slice(&answer->bytes);
}

/* What earlier PARTs of the same request brought goes to the front. */
static void take_pending_part(struct engine_fixture *self, struct answer *answer)
{
    for (size_t i = 0; i < self->pending_part_count; i++) {
        struct answer *const part = self->pending_parts[i];
        if (part->ticket != answer->ticket) {
            continue;
        }
        answer->bytes = part->bytes;
        answer->more_count = part->more_count;
        answer->packed_runs = part->packed_runs;
        answer->sent_bytes = part->sent_bytes;
        memcpy(answer->parts_text, part->parts_text, sizeof answer->parts_text);
        part->bytes = (struct zsp_writer){0};
        free_answer(part);
        self->pending_parts[i] = self->pending_parts[--self->pending_part_count];
        return;
    }
}

static void take_reply(struct engine_fixture *self, const struct engine_effect *effect)
{
    assert_true(self->answer_count < FIXTURE_ANSWERS_MAX);
    assert_null(fixture_answer(self, effect->ticket));
    struct answer *const answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    answer->ticket = effect->ticket;
    take_pending_part(self, answer);
    answer->lease = effect->lease;
    answer->part_count = effect->part_count;
    zsp_write_bytes(&answer->header, (struct zsp_slice){effect->header->data, effect->header->len});
    decode(answer);
    read_body(answer, effect);
    assert_int_equal(effect->more, answer->status == WIRE_PART);
    if (effect->more) {
        answer->more_count++;
        const size_t len = strlen(answer->parts_text);
        (void)snprintf(answer->parts_text + len, sizeof answer->parts_text - len, "%s",
                       answer->text); /* cut when it is too long */
        assert_int_equal(answer->lease, 0);
        self->pending_parts[self->pending_part_count++] = answer;
        return;
    }
    self->answers[self->answer_count++] = answer;
}

static bool take_effects(struct engine_fixture *self)
{
    struct engine_effect effect = {0};
    bool any = false;
    while (engine_next_effect(self->engine, &effect)) {
        any = true;
        if (effect.kind == EFFECT_REPLY) {
            take_reply(self, &effect);
        } else {
            assert_false(self->fail_stop);
            self->fail_stop = true;
            self->fail_stop_error = effect.error;
        }
        engine_effect_release(&effect);
    }
    return any;
}

const char *fixture_parts_so_far(const struct engine_fixture *self, uint64_t ticket)
{
    for (size_t i = 0; i < self->pending_part_count; i++) {
        if (self->pending_parts[i]->ticket == ticket) {
            return self->pending_parts[i]->parts_text;
        }
    }
    return "";
}

uint64_t fixture_send_large(struct engine_fixture *self, size_t bytes, unsigned seq)
{
    static const uint8_t payload[64 * 1024];
    struct zsp_writer body = {0};
    assert_true(bytes <= sizeof payload);
    wire_write_array(&body, 1);
    wire_write_bin(&body, (struct zsp_slice){payload, bytes});
    const uint64_t ticket = fixture_send_bytes(
        self, "PUBLISH",
        fixture_format("{'topic': 'orders', 'partition': 0, 'producer': 'p', 'epoch': 1,"
                       " 'seq': %u, 'count': 1}",
                       seq),
        zsp_writer_slice(&body));
    zsp_writer_fini(&body);
    return ticket;
}

void fixture_pump(struct engine_fixture *self)
{
    bool busy = true;
    for (int round = 0; busy; round++) {
        assert_true(round < ROUNDS_MAX);
        engine_pump(self->engine, self->now);
        busy = take_effects(self);
        busy = (self->log && fixture_log_run_jobs(self->log)) || busy;
        busy = busy || engine_deadline_ms(self->engine) <= self->now.mono_ms;
    }
}

void fixture_leap(struct engine_fixture *self, int64_t ms)
{
    self->now.mono_ms += ms;
    self->now.wall_ms += ms;
    fixture_pump(self);
}

void fixture_advance(struct engine_fixture *self, int64_t ms)
{
    const int64_t end_ms = self->now.mono_ms + ms;
    while (self->now.mono_ms < end_ms) {
        const int64_t wanted_ms = engine_deadline_ms(self->engine);
        const int64_t next_ms = wanted_ms < end_ms ? wanted_ms : end_ms;
        fixture_leap(self, next_ms > self->now.mono_ms ? next_ms - self->now.mono_ms : 1);
    }
}

const struct answer *fixture_answer(struct engine_fixture *self, uint64_t ticket)
{
    for (size_t i = self->answer_count; i-- > 0;) {
        if (self->answers[i]->ticket == ticket) {
            return self->answers[i];
        }
    }
    return NULL;
}

const struct answer *fixture_call(struct engine_fixture *self, const char *verb, const char *args,
                                  const char *body)
{
    const uint64_t ticket = fixture_send(self, verb, args, body);
    fixture_pump(self);
    const struct answer *const answer = fixture_answer(self, ticket);
    if (!answer) {
        fail_msg("%s %s: no answer", verb, args);
    }
    return answer;
}

const struct answer *fixture_ok(struct engine_fixture *self, const char *verb, const char *args,
                                const char *body)
{
    const struct answer *const answer = fixture_call(self, verb, args, body);
    if (answer->status != WIRE_OK) {
        fail_msg("%s %s: %s", verb, args, answer->text);
    }
    return answer;
}

const struct answer *fixture_error(struct engine_fixture *self, int code, const char *verb,
                                   const char *args, const char *body)
{
    const struct answer *const answer = fixture_call(self, verb, args, body);
    if (answer->code != code) {
        fail_msg("%s %s: wanted %s, got %s", verb, args, zsp_err_wire_name(code), answer->text);
    }
    return answer;
}

/* --- looking at them ------------------------------------------------------------------------ */

const char *fixture_payloads(const struct answer *answer)
{
    static char text[4096];
    size_t len = 0;
    struct zsp_slice rest = answer->body;
    struct zsp_slice bytes = {0};
    text[0] = '\0';
    while (zsp_record_next(&rest, &bytes) == 0) {
        struct zsp_record record = {0};
        assert_int_equal(zsp_record_decode(bytes, &record, NULL), 0);
        const int room = (int)(sizeof text - len);
        const int used = snprintf(text + len, (size_t)room, "%s%.*s", len > 0 ? " " : "",
                                  (int)record.payload.len, (const char *)record.payload.data);
        assert_true(used >= 0 && used < room);
        len += (size_t)used;
    }
    return text;
}

uint64_t fixture_number(const struct answer *answer, const char *key)
{
    const msgpack_object *const value = wire_map_find(answer->map, key);
    if (!value || value->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        fail_msg("no number %s in %s", key, answer->text);
        return 0;
    }
    return value->via.u64;
}

const char *fixture_text(const struct answer *answer, const char *key)
{
    static char text[256];
    const msgpack_object *const value = wire_map_find(answer->map, key);
    text[0] = '\0';
    if (value && value->type == MSGPACK_OBJECT_STR) {
        (void)snprintf(text, sizeof text, "%.*s", (int)value->via.str.size, value->via.str.ptr);
    }
    return text;
}

const char *fixture_value(const struct answer *answer, const char *key)
{
    static char text[4096];
    text[0] = '\0';
    const msgpack_object *const value = wire_map_find(answer->map, key);
    if (!value) {
        return text;
    }
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
    assert_int_equal(msgpack_pack_object(&packer, *value), 0);
    struct zsp_writer line = {0};
    wire_print(&line, (struct zsp_slice){(const uint8_t *)bytes.data, bytes.size}, sizeof text - 1);
    const size_t len = line.len < sizeof text - 1 ? line.len : sizeof text - 1;
    memcpy(text, line.data, len);
    text[len] = '\0';
    zsp_writer_fini(&line);
    msgpack_sbuffer_destroy(&bytes);
    return text;
}

const char *fixture_format(const char *format, ...)
{
    static char texts[8][1024];
    static size_t next;
    char *const text = texts[next++ % 8];
    va_list args;
    va_start(args, format);
    const int used = vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    assert_true(used >= 0 && (size_t)used < sizeof texts[0]);
    return text;
}
