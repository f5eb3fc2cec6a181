/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/server/fake_engine.h"

#include "broker/store/log_store.h"
#include "tests/common/testing.h"

/* struct engine is opaque to everybody but the engine, which is this one here. */
struct engine *fake_engine_base(struct fake_engine *self)
{
    return (struct engine *)self;
}

static struct fake_engine *fake_of(struct engine *self)
{
    return (struct fake_engine *)self;
}

void fake_engine_fini(struct fake_engine *self)
{
    while (self->effect_first < self->effect_count) {
        engine_effect_release(&self->effects[self->effect_first]);
        self->effect_first++;
    }
    free(self->effects);
    free(self->parts);
}

static struct engine_effect *push(struct fake_engine *self, enum engine_effect_kind kind,
                                  uint64_t ticket)
{
    if (self->effect_count == self->effect_capacity) {
        self->effect_capacity = self->effect_capacity ? 2 * self->effect_capacity : 16;
        self->effects = realloc(self->effects, self->effect_capacity * sizeof *self->effects);
        self->parts = realloc(self->parts, self->effect_capacity * sizeof *self->parts);
        assert_non_null(self->effects);
        assert_non_null(self->parts);
    }
    struct engine_effect *const effect = &self->effects[self->effect_count];
    *effect = (struct engine_effect){.kind = kind, .ticket = ticket};
    self->effect_count++;
    return effect;
}

static struct zsp_buf *header_of(enum wire_status status, uint64_t id, const struct zsp_err *error)
{
    struct zsp_writer text = {0};
    if (error) {
        wire_write_error(&text, true, id, error);
    } else {
        wire_write_reply(&text, status, true, id);
        wire_write_map(&text, 0);
    }
    struct zsp_buf *const buf = zsp_buf_copy(zsp_writer_slice(&text));
    zsp_writer_fini(&text);
    assert_non_null(buf);
    return buf;
}

static void reply(struct fake_engine *self, uint64_t ticket, uint64_t id, struct zsp_buf *body)
{
    struct engine_effect *const effect = push(self, EFFECT_REPLY, ticket);
    effect->header = header_of(WIRE_OK, id, NULL);
    if (body) {
        self->parts[self->effect_count - 1] =
            (struct engine_part){.buf = body, .pos = 0, .len = body->len};
        effect->part_count = 1;
    }
}

static void refuse(struct fake_engine *self, uint64_t ticket, uint64_t id, int code)
{
    struct zsp_err error = {0};
    (void)zsp_err_set(&error, code, "said by the test's engine");
    push(self, EFFECT_REPLY, ticket)->header = header_of(WIRE_ERR, id, &error);
}

static struct zsp_buf *new_body(size_t bytes)
{
    struct zsp_buf *const body = zsp_buf_new(bytes);
    assert_non_null(body);
    memset(zsp_buf_bytes(body), 'b', bytes);
    return body;
}

static void part(struct fake_engine *self, uint64_t ticket, uint64_t id)
{
    reply(self, ticket, id, new_body(FAKE_PART_BYTES));
    struct engine_effect *const effect = &self->effects[self->effect_count - 1];
    zsp_buf_put(&effect->header);
    effect->header = header_of(WIRE_PART, id, NULL);
    effect->more = true;
}

static void wake(struct fake_engine *self)
{
    for (size_t i = 0; i < self->parked_count; i++) {
        const struct fake_parked *const parked = &self->parked[i];
        for (int k = 0; parked->has_parts && k < 2; k++) {
            part(self, parked->ticket, parked->id);
        }
        reply(self, parked->ticket, parked->id, NULL);
    }
    self->parked_count = 0;
}

static void park(struct fake_engine *self, const struct engine_request *request, bool has_parts)
{
    assert_true(self->parked_count < FAKE_PARKED_MAX);
    self->parked[self->parked_count++] =
        (struct fake_parked){request->ticket, request->id, has_parts};
}

static void bulk(struct fake_engine *self, const struct engine_request *request)
{
    const size_t bytes = (size_t)wire_map_find(request->args, "bytes")->via.u64;
    reply(self, request->ticket, request->id, new_body(bytes));
    self->effects[self->effect_count - 1].lease = 77;
}

uint32_t engine_request_batches(struct zsp_slice verb, const msgpack_object *args)
{
    (void)verb;
    const msgpack_object *const batches = wire_map_find(args, "batches");
    return batches ? (uint32_t)batches->via.u64 : 0;
}

void engine_request(struct engine *self, struct instant now, const struct engine_request *request)
{
    struct fake_engine *const fake = fake_of(self);
    (void)now;
    fake->requests++;
    if (request->session != 0) {
        fake->last_session = request->session;
    }
    if (fake->drained) {
        refuse(fake, request->ticket, request->id, ZSP_ESHUTTING_DOWN);
    } else if (zsp_slice_equal_str(request->verb, "ECHO")) {
        reply(fake, request->ticket, request->id,
              request->body_count > 0 ? zsp_buf_get(request->bodies[0]) : NULL);
    } else if (zsp_slice_equal_str(request->verb, "PARK")) {
        park(fake, request, false);
    } else if (zsp_slice_equal_str(request->verb, "PARTS")) {
        park(fake, request, true);
    } else if (zsp_slice_equal_str(request->verb, "WAKE")) {
        wake(fake);
        reply(fake, request->ticket, request->id, NULL);
    } else if (zsp_slice_equal_str(request->verb, "BYE")) {
        fake->byes++;
        reply(fake, request->ticket, request->id, NULL);
    } else if (zsp_slice_equal_str(request->verb, "BULK")) {
        bulk(fake, request);
    } else if (zsp_slice_equal_str(request->verb, "FAIL")) {
        refuse(fake, request->ticket, request->id, ZSP_ESTORAGE_FAILED);
        (void)zsp_err_set(&push(fake, EFFECT_FAIL_STOP, 0)->error, ZSP_ESTORAGE_FAILED,
                          "the test's disk failed");
    } else {
        refuse(fake, request->ticket, request->id, ZSP_EUNKNOWN_VERB);
    }
}

void engine_session_name(struct engine *self, uint64_t session, struct zsp_slice name)
{
    (void)self;
    (void)session;
    (void)name;
}

void engine_session_end(struct engine *self, struct instant now, uint64_t session,
                        enum engine_session_end why)
{
    (void)now;
    (void)session;
    fake_of(self)->sessions_gone++;
    fake_of(self)->sessions_silent += why == ENGINE_SESSION_SILENT ? 1u : 0u;
}

void engine_undelivered(struct engine *self, struct instant now, uint64_t lease)
{
    (void)now;
    assert_int_equal(lease, 77);
    fake_of(self)->undelivered++;
}

void engine_abandon(struct engine *self, struct instant now, uint64_t ticket)
{
    struct fake_engine *const fake = fake_of(self);
    (void)now;
    for (size_t i = 0; i < fake->parked_count; i++) {
        if (fake->parked[i].ticket == ticket) {
            fake->parked[i] = fake->parked[fake->parked_count - 1];
            fake->parked_count--;
            fake->abandoned++;
            return;
        }
    }
}

void engine_drain(struct engine *self, struct instant now)
{
    (void)now;
    fake_of(self)->drained = true;
    wake(fake_of(self));
}

bool engine_awaits_sync(const struct engine *self)
{
    (void)self;
    return false;
}

bool engine_busy(const struct engine *self)
{
    const struct fake_engine *const fake = (const struct fake_engine *)self;
    return fake->parked_count > 0;
}

void engine_pump(struct engine *self, struct instant now)
{
    (void)self;
    (void)now;
}

int64_t engine_deadline_ms(const struct engine *self)
{
    (void)self;
    return INT64_MAX;
}

bool engine_next_effect(struct engine *self, struct engine_effect *ret)
{
    struct fake_engine *const fake = fake_of(self);
    if (fake->effect_first == fake->effect_count) {
        fake->effect_first = 0;
        fake->effect_count = 0;
        return false;
    }
    *ret = fake->effects[fake->effect_first];
    ret->parts = ret->part_count > 0 ? &fake->parts[fake->effect_first] : NULL;
    fake->effect_first++;
    return true;
}

void engine_effect_release(struct engine_effect *self)
{
    zsp_buf_put(&self->header);
    for (size_t i = 0; self->parts && i < self->part_count; i++) {
        zsp_buf_put(&self->parts[i].buf);
    }
    *self = (struct engine_effect){0};
}

/* The driver asks the store for jobs; there are none. */
struct job *log_store_next_job(struct log_store *self)
{
    (void)self;
    return NULL;
}

bool log_store_awaits_sync(const struct log_store *self)
{
    (void)self;
    return false;
}

void log_store_job_done(struct log_store *self, struct job *job)
{
    (void)self;
    (void)job;
}

size_t engine_run_bytes(const struct engine *self)
{
    (void)self;
    return 0;
}

uint64_t engine_work_bytes(const struct engine *self)
{
    (void)self;
    return 0;
}
