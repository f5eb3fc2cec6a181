/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/raw_client.h"

#include <stdio.h>
#include <zmq.h>

#include "tests/common/testing.h"
#include "tests/support/literal.h"

static void set_option(struct raw_client *self, int option, int value)
{
    assert_int_equal(zmq_setsockopt(self->socket, option, &value, sizeof value), 0);
}

static void make_socket(struct raw_client *self, int type)
{
    memset(self, 0, sizeof *self);
    self->context = zmq_ctx_new();
    assert_non_null(self->context);
    self->socket = zmq_socket(self->context, type);
    assert_non_null(self->socket);
    self->decoder = wire_decoder_new();
    assert_non_null(self->decoder);
    set_option(self, ZMQ_LINGER, 0);
}

void raw_client_init(struct raw_client *self, const char *endpoint, int type)
{
    make_socket(self, type);
    assert_int_equal(zmq_connect(self->socket, endpoint), 0);
}

void raw_client_init_slow(struct raw_client *self, const char *endpoint)
{
    make_socket(self, ZMQ_DEALER);
    set_option(self, ZMQ_RCVHWM, 1);
    set_option(self, ZMQ_RCVBUF, 65536);
    assert_int_equal(zmq_connect(self->socket, endpoint), 0);
}

static void drop_frames(struct raw_client *self)
{
    for (size_t i = 0; i < self->frame_count; i++) {
        free(self->frame_bytes[i]);
    }
    self->frame_count = 0;
}

void raw_client_fini(struct raw_client *self)
{
    drop_frames(self);
    wire_decoder_destroy(&self->decoder);
    zsp_writer_fini(&self->body);
    assert_int_equal(zmq_close(self->socket), 0);
    assert_int_equal(zmq_ctx_term(self->context), 0);
}

/* --- Sending --------------------------------------------------------------------------------- */

void raw_send(struct raw_client *self, const struct zsp_slice *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int more = i + 1 < count ? ZMQ_SNDMORE : 0;
        assert_int_equal(zmq_send(self->socket, frames[i].data, frames[i].len, more),
                         frames[i].len);
    }
}

static void send_request(struct raw_client *self, uint64_t id, const char *verb, const char *args,
                         const struct zsp_slice *body)
{
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str(verb), id);
    literal_write(&header, args);
    assert_false(header.failed);
    const struct zsp_slice frames[2] = {zsp_writer_slice(&header),
                                        body ? *body : (struct zsp_slice){0}};
    raw_send(self, frames, body ? 2 : 1);
    zsp_writer_fini(&header);
}

void raw_request(struct raw_client *self, uint64_t id, const char *verb, const char *args)
{
    send_request(self, id, verb, args, NULL);
}

void raw_request_body(struct raw_client *self, uint64_t id, const char *verb, const char *args,
                      struct zsp_slice body)
{
    send_request(self, id, verb, args, &body);
}

/* --- Receiving -------------------------------------------------------------------------------- */

static bool receive_frame(struct raw_client *self)
{
    zmq_msg_t frame;
    assert_int_equal(zmq_msg_init(&frame), 0);
    assert_true(zmq_msg_recv(&frame, self->socket, 0) >= 0);
    assert_true(self->frame_count < RAW_FRAMES_MAX);
    const size_t len = zmq_msg_size(&frame);
    uint8_t *const bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, zmq_msg_data(&frame), len);
    self->frame_bytes[self->frame_count] = bytes;
    self->frames[self->frame_count] = (struct zsp_slice){bytes, len};
    self->frame_count++;
    const bool more = zmq_msg_more(&frame) != 0;
    assert_int_equal(zmq_msg_close(&frame), 0);
    return more;
}

static void print_header(struct raw_client *self, struct zsp_slice header)
{
    struct zsp_writer text = {0};
    wire_print(&text, header, sizeof self->text - 8);
    (void)snprintf(self->text, sizeof self->text, "%.*s", (int)text.len, (const char *)text.data);
    zsp_writer_fini(&text);
}

/* The next reply of the frame at hand. */
static void take_next(struct raw_client *self)
{
    struct zsp_slice header;
    struct zsp_err err = {0};
    if (wire_value_next(&self->rest, &header, &err) != 0) {
        fail_msg("the reply cannot be read: %s", err.msg);
    }
    print_header(self, header);
    if (wire_reply_decode(self->decoder, header, &self->reply, &err) != 0) {
        fail_msg("the reply cannot be read: %s: %s", err.msg, self->text);
    }
}

bool raw_receive_within(struct raw_client *self, long ms)
{
    if (self->rest.len > 0) {
        self->position++;
        take_next(self);
        return true;
    }
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, ms) <= 0) {
        return false;
    }
    drop_frames(self);
    while (receive_frame(self)) {
    }
    self->header_index = 0;
    for (size_t i = 0; i < self->frame_count; i++) {
        if (self->frames[i].len == 0) {
            self->header_index = i + 1;
            break;
        }
    }
    assert_true(self->header_index < self->frame_count);
    self->rest = self->frames[self->header_index];
    self->position = 0;
    take_next(self);
    return true;
}

void raw_receive(struct raw_client *self)
{
    if (!raw_receive_within(self, RAW_DEADLINE_MS)) {
        fail_msg("no reply in time; the last one was %s", self->text);
    }
}

/* --- Both ---------------------------------------------------------------------------------------- */

ZSP_PRINTF(3, 0)
static void ask(struct raw_client *self, const char *verb, const char *format, va_list values)
{
    char args[4096];
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): both callers start it */
    const int len = vsnprintf(args, sizeof args, format, values);
    assert_in_range(len, 0, sizeof args - 1);
    raw_request(self, 0, verb, args);
    raw_receive(self);
}

void raw_ask(struct raw_client *self, const char *verb, const char *args, ...)
{
    va_list values;
    va_start(values, args);
    ask(self, verb, args, values);
    va_end(values);
}

void raw_call(struct raw_client *self, const char *verb, const char *args, ...)
{
    va_list values;
    va_start(values, args);
    ask(self, verb, args, values);
    va_end(values);
    if (!raw_is_ok(self)) {
        fail_msg("%s was answered %s", verb, self->text);
    }
}

uint64_t raw_publish(struct raw_client *self, const char *topic, const char *payload)
{
    char args[512];
    struct zsp_writer body = {0};
    raw_record(&body, zsp_slice_str(payload));
    (void)snprintf(args, sizeof args, "{'topic': '%s'}", topic);
    raw_request_body(self, 0, "PUBLISH", args, zsp_writer_slice(&body));
    zsp_writer_fini(&body);
    raw_receive(self);
    if (!raw_is_ok(self)) {
        fail_msg("PUBLISH was answered %s", self->text);
    }
    const msgpack_object *const at = raw_value(self, "at");
    assert_int_equal(at->type, MSGPACK_OBJECT_ARRAY);
    assert_int_equal(at->via.array.size, 1);
    return at->via.array.ptr[0].via.array.ptr[3].via.u64;
}

/* --- The last reply --------------------------------------------------------------------------------- */

bool raw_resume(struct raw_client *self, const uint8_t session[RAW_SESSION_BYTES])
{
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("HELLO"), 0);
    wire_write_map(&header, 2);
    wire_write_text(&header, "versions");
    wire_write_array(&header, 1);
    wire_write_uint(&header, 1);
    wire_write_text(&header, "resume");
    wire_write_bin(&header, (struct zsp_slice){session, RAW_SESSION_BYTES});
    const struct zsp_slice frame = zsp_writer_slice(&header);
    raw_send(self, &frame, 1);
    zsp_writer_fini(&header);
    raw_receive(self);
    assert_true(raw_is_ok(self));
    return raw_value(self, "resumed")->via.boolean;
}

bool raw_is_ok(const struct raw_client *self)
{
    return self->reply.status == WIRE_OK;
}

void raw_expect_error(const struct raw_client *self, const char *code)
{
    if (self->reply.status != WIRE_ERR || !zsp_slice_equal_str(raw_str(self, "code"), code)) {
        fail_msg("wanted ERR %s, got %s", code, self->text);
    }
    assert_true(raw_str(self, "message").len > 0);
}

const msgpack_object *raw_value(const struct raw_client *self, const char *key)
{
    const msgpack_object *const value = wire_map_find(self->reply.map, key);
    if (!value) {
        fail_msg("no %s in %s", key, self->text);
    }
    return value;
}

uint64_t raw_uint(const struct raw_client *self, const char *key)
{
    uint64_t value = 0;
    assert_int_equal(wire_get_uint(raw_value(self, key), key, UINT64_MAX, &value, NULL), 0);
    return value;
}

struct zsp_slice raw_str(const struct raw_client *self, const char *key)
{
    struct zsp_slice text = {0};
    assert_int_equal(wire_get_str(raw_value(self, key), key, &text, NULL), 0);
    return text;
}

void raw_session(const struct raw_client *self, uint8_t ret_session[RAW_SESSION_BYTES])
{
    const msgpack_object *const session = raw_value(self, "session");
    assert_int_equal(session->via.bin.size, RAW_SESSION_BYTES);
    memcpy(ret_session, session->via.bin.ptr, RAW_SESSION_BYTES);
}

struct zsp_slice raw_body(struct raw_client *self)
{
    zsp_writer_reset(&self->body);
    for (size_t i = self->header_index + 1; i < self->frame_count; i++) {
        zsp_write_bytes(&self->body, self->frames[i]);
    }
    assert_false(self->body.failed);
    return zsp_writer_slice(&self->body);
}

void raw_record(struct zsp_writer *out, struct zsp_slice payload)
{
    wire_write_array(out, 1);
    wire_write_bin(out, payload);
}
