/* SPDX-License-Identifier: MPL-2.0
 *
 * How the shelves of a reader are filled. With the link locked.
 *
 *   - pump: learn the partitions (TOPIC.INFO) if all are wanted, or places are to be looked at; then
 *     keep each shelf filled: when half of what it may hold was read, so much is asked for as has room
 *   - the broker sends that in parts, each a parcel: one is read by the host, while another one is on
 *     its way and the broker puts the next one together
 *   - the first reply of a shelf tells the end; `to` is pinned to it, so that a
 *     replay of a busy topic comes to an end
 *   - following, each reply tells how many partitions there are, and a READ that waits is answered
 *     when there are more: these get shelves as well
 */
#include <stdlib.h>

#include "client/src/reader/reader_priv.h"
#include "client/src/result.h"
#include "common/container.h"
#include "common/wire.h"

#define ALL_BYTES          (64u * ZSP_MIB) /* on all shelves together, about */
#define SHELF_BYTES_MIN    (128u * ZSP_KIB)
#define SHELF_PARCELS_MAX  32u      /* when they are small */
#define SHELVES_PARKED_MAX 64u      /* with more, waiting requests are short, to take turns */
#define MESSAGES_MAX       1000000u /* of one reply; the bytes decide before */
#define WAIT_MS            20000
#define WAIT_MS_SHORT      500
#define PAUSE_MS           100

static void arrived(struct zspool_reader *self)
{
    self->current = NULL;
    zsp_reader_update_ready(self);
    zsp_link_notify(self->client->link);
    zsp_link_kick(self->client->link, &self->port);
}
static bool is_passing(int code)
{
    return code == ZSP_ECLOSED || zsp_err_retriable(code);
}

/* --- Which partitions --------------------------------------------------------------- */

int zsp_reader_add_shelves(struct zspool_reader *self, uint32_t first, uint32_t end)
{
    struct zsp_shelf **shelves =
        realloc(self->shelves, (self->shelf_count + end - first) * sizeof(struct zsp_shelf *));
    if (!shelves) {
        return ZSP_ENOMEM;
    }
    self->shelves = shelves;
    uint32_t count = self->shelf_count;
    for (uint32_t partition = first; partition < end; partition++) {
        struct zsp_shelf *shelf = calloc(1, sizeof *shelf);
        if (!shelf) {
            while (count > self->shelf_count) {
                free(shelves[--count]);
            }
            return ZSP_ENOMEM;
        }
        shelf->reader = self;
        shelf->partition = partition;
        shelf->to = self->options.to;
        TAILQ_INIT(&shelf->parcels);
        shelves[count++] = shelf;
    }
    self->shelf_count = count;
    return 0;
}

/* All partitions are wanted, also those that the topic gets later. One that is looked for by a message in it
 * is there already. */
static bool wants_later_ones(const struct zspool_reader *self)
{
    return self->options.follow && self->options.partition == ZSPOOL_PARTITION_ALL &&
           self->options.from.kind != ZSPOOL_POSITION_ID;
}

/* How many partitions the topic has, a reply tells. */
static void note_partitions(struct zspool_reader *self, const msgpack_object *map,
                            struct zsp_err *err)
{
    const uint64_t told = zsp_reply_uint(map, "partitions", 0);
    const uint32_t known = self->shelf_count;
    if (!wants_later_ones(self) || told <= known || told > ZSP_PARTITIONS_MAX) {
        return;
    }
    if (zsp_reader_add_shelves(self, known, (uint32_t)told) != 0) {
        zsp_err_set(err, ZSP_ENOMEM, "no memory for %u partitions", (unsigned)told);
    }
    for (uint32_t i = known; i < self->shelf_count; i++) {
        self->shelves[i]->is_later = true;
    }
}

/* The topic has so many partitions. */
static void begin(struct zspool_reader *self, uint32_t count)
{
    const int32_t only = self->options.partition; /* is there: a place in it was looked at */
    const bool all = only == ZSPOOL_PARTITION_ALL;
    const uint32_t first = all ? 0 : (uint32_t)only;
    if (zsp_reader_add_shelves(self, first, all ? count : first + 1) != 0) {
        zsp_err_set(&self->halt.error, ZSP_ENOMEM, "no memory for %u partitions", count);
        return;
    }
    zsp_reader_place_shelves(self);
}

static void info_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_reader *self = CONTAINER_OF(request, struct zspool_reader, info);
    self->info_out = false;
    if (is_passing(answer->code)) {
        self->info_at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else if (answer->code != 0) {
        self->halt.error = *answer->err;
    } else {
        const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
        const uint32_t count = rows ? rows->size : 0;
        if (count == 0 || count > ZSP_PARTITIONS_MAX) {
            zsp_err_set(&self->halt.error, ZSP_EBAD_REQUEST, "topic %s: no partitions told",
                        self->topic);
        } else if (zsp_reader_check_places(self, rows, &self->halt.error) == 0) {
            begin(self, count);
        }
    }
    arrived(self);
}

static void ask_partitions(struct zspool_reader *self, int64_t now_ms)
{
    if (self->info_out || now_ms < self->info_at_ms) {
        self->port.wake_ms = self->info_out ? INT64_MAX : self->info_at_ms;
        return;
    }
    zsp_writer_reset(&self->info_args);
    wire_write_map(&self->info_args, 1);
    wire_write_text_str(&self->info_args, "topic", zsp_slice_str(self->topic));
    self->info.verb = "TOPIC.INFO";
    self->info.done_fn = info_done;
    self->info_out = zsp_link_send_args(self->client->link, &self->port, &self->info,
                                        &self->info_args, now_ms) == 0;
}

/* --- READ ------------------------------------------------------------------------------ */

/* What `to` means does not change while we read. */
static void pin(struct zsp_shelf *shelf, const msgpack_object *map)
{
    const uint64_t start = zsp_reply_uint(map, "start", 0);
    const uint64_t end = zsp_reply_uint(map, "end", 0);
    zspool_position_t *to = &shelf->to;
    switch (to->kind) {
    case ZSPOOL_POSITION_NONE:
        if (shelf->reader->options.follow) {
            return;
        }
        to->value = end;
        break;
    case ZSPOOL_POSITION_LATEST:
        to->value = end;
        break;
    case ZSPOOL_POSITION_EARLIEST:
        to->value = start;
        break;
    case ZSPOOL_POSITION_LAST:
        to->value = end - start > to->value ? end - to->value : start;
        break;
    case ZSPOOL_POSITION_OFFSET:
    case ZSPOOL_POSITION_TIME:
    case ZSPOOL_POSITION_AGO:
    case ZSPOOL_POSITION_ID:
        return;
    }
    to->kind = ZSPOOL_POSITION_OFFSET;
}

/* What it brought goes on the shelf; *ret_any = there was something. */
static int take_messages(struct zsp_shelf *shelf, const struct zsp_answer *answer, bool *ret_any,
                         struct zsp_err *err)
{
    struct zsp_parcel *parcel = NULL;
    const int rc = zsp_parcel_new(answer, &shelf->reader->parcels, &parcel, err);
    if (rc != 0) {
        return rc;
    }
    shelf->overtaken = false;
    shelf->next_offset = zsp_reply_uint(answer->map, "next", shelf->next_offset);
    *ret_any = parcel != NULL;
    if (parcel) {
        TAILQ_INSERT_TAIL(&shelf->parcels, parcel, link);
        shelf->parcel_count++;
        shelf->bytes += parcel->bytes;
    }
    return 0;
}

static void take_reply(struct zsp_shelf *shelf, const struct zsp_answer *answer,
                       struct zsp_err *err)
{
    const struct zspool_reader *self = shelf->reader;
    bool any = false;
    if (take_messages(shelf, answer, &any, err) != 0) {
        return;
    }
    if (!shelf->begun) {
        pin(shelf, answer->map);
    }
    shelf->begun = true;
    const struct zsp_slice reason = zsp_reply_text(answer->map, "reason");
    const bool is_end = reason.data && zsp_slice_equal_str(reason, "end");
    shelf->finished = is_end && !self->options.follow;
    shelf->caught_up = is_end || (reason.data && (zsp_slice_equal_str(reason, "timeout") ||
                                                  zsp_slice_equal_str(reason, "grown")));
    if (shelf->to.kind == ZSPOOL_POSITION_OFFSET && shelf->next_offset >= shelf->to.value) {
        shelf->finished = true;
    }
    if (!any && reason.data && zsp_slice_equal_str(reason, "shutting_down")) {
        shelf->at_ms = answer->now_ms + PAUSE_MS;
    }
    if (reason.data && zsp_slice_equal_str(reason, "corrupt")) {
        zsp_err_set(err, ZSP_ECORRUPT,
                    "topic %s: partition %u: stored messages are damaged before offset %llu",
                    self->topic, shelf->partition, (unsigned long long)shelf->next_offset);
    }
}

/* A message that is looked for is in one partition: in the others there is nothing to read, unless it is
 * in none. */
static bool is_elsewhere(const struct zsp_shelf *shelf, int code)
{
    const struct zspool_reader *self = shelf->reader;
    const bool by_id = self->options.from.kind == ZSPOOL_POSITION_ID ||
                       self->options.to.kind == ZSPOOL_POSITION_ID;
    if (code != ZSP_ENOT_FOUND || !by_id || shelf->begun) {
        return false;
    }
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        const struct zsp_shelf *other = self->shelves[i];
        if (other != shelf && (other->begun || !other->finished)) {
            return true;
        }
    }
    return false;
}

static struct zsp_shelf *shelf_of(struct zsp_request *request)
{
    return CONTAINER_OF(request, struct zsp_shelf, request);
}

/* A part that cannot be taken ends the READ: what follows it is for nobody. */
static void read_part(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_shelf *shelf = shelf_of(request);
    struct zspool_reader *self = shelf->reader;
    struct zsp_err err = {0};
    bool any = false;
    if (take_messages(shelf, answer, &any, &err) != 0) {
        zsp_link_forget(self->client->link, request);
        shelf->out = false;
        self->behind = NULL;
        self->halt.error = err;
    }
    arrived(self);
}

static void read_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zsp_shelf *shelf = shelf_of(request);
    struct zspool_reader *self = shelf->reader;
    struct zsp_err err = {0};
    shelf->out = false;
    if (is_passing(answer->code)) {
        shelf->at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else if (is_elsewhere(shelf, answer->code)) {
        shelf->finished = true;
    } else if (answer->code != 0) {
        err = *answer->err;
    } else {
        take_reply(shelf, answer, &err);
        note_partitions(self, answer->map, &err);
    }
    if (err.code != 0) {
        const bool overtaken = err.code == ZSP_EOUT_OF_RANGE && (shelf->begun || shelf->placed);
        self->behind = overtaken ? shelf : NULL;
        self->halt.error = err;
        self->halt.error.code = overtaken ? ZSP_EOVERTAKEN : err.code;
    }
    arrived(self);
}

/* What a shelf may hold. */
static size_t shelf_bytes(const struct zspool_reader *self)
{
    size_t bytes = self->options.prefetch_bytes;
    const size_t share = ALL_BYTES / self->shelf_count;
    bytes = share < bytes ? share : bytes;
    return bytes < SHELF_BYTES_MIN ? SHELF_BYTES_MIN : bytes;
}

/* So much is asked for; 0 = it is filled. */
static size_t wanted_bytes(const struct zsp_shelf *shelf)
{
    const size_t most = shelf_bytes(shelf->reader);
    return shelf->bytes <= most / 2 && shelf->parcel_count < SHELF_PARCELS_MAX ? most - shelf->bytes
                                                                               : 0;
}

static int64_t wait_ms(const struct zsp_shelf *shelf)
{
    const struct zspool_reader *self = shelf->reader;
    if (!self->options.follow || !shelf->caught_up) {
        return 0;
    }
    const int64_t max_ms = (int64_t)zsp_link_hello(self->client->link)->max_wait_ms;
    const int64_t wanted_ms = self->shelf_count > SHELVES_PARKED_MAX ? WAIT_MS_SHORT : WAIT_MS;
    return wanted_ms < max_ms ? wanted_ms : max_ms;
}

static void write_read(struct zsp_shelf *shelf, size_t bytes, bool in_parts, int64_t wait)
{
    const struct zspool_reader *self = shelf->reader;
    struct zsp_writer *out = &shelf->args;
    const bool has_to = shelf->to.kind != ZSPOOL_POSITION_NONE;
    const struct zsp_hello *hello = zsp_link_hello(self->client->link);
    const bool zstd = zsp_hello_has(hello, ZSP_CODEC_ZSTD_NAME);
    zspool_position_t from = self->options.from;
    const bool goes_on = shelf->begun || shelf->placed;
    if (shelf->overtaken || (!goes_on && shelf->is_later && from.kind != ZSPOOL_POSITION_TIME)) {
        from = (zspool_position_t){.kind = ZSPOOL_POSITION_EARLIEST};
    } else if (goes_on) {
        from = (zspool_position_t){.kind = ZSPOOL_POSITION_OFFSET, .value = shelf->next_offset};
    }
    const bool tells_known = wants_later_ones(self) && zsp_hello_has(hello, "read_grown");
    zsp_writer_reset(out);
    wire_write_map(out, 6u + has_to + zstd + (self->filter ? 1u : 0u) + tells_known + in_parts);
    wire_write_text_str(out, "topic", zsp_slice_str(self->topic));
    wire_write_text_uint(out, "partition", shelf->partition);
    wire_write_text(out, "from");
    zsp_write_position(out, &from);
    if (has_to) {
        wire_write_text(out, "to");
        zsp_write_position(out, &shelf->to);
    }
    if (zstd) {
        zsp_write_accept(out);
    }
    if (self->filter) {
        wire_write_text_str(out, "filter", zsp_slice_str(self->filter));
    }
    if (tells_known) {
        wire_write_text_uint(out, "partitions", self->shelf_count);
    }
    wire_write_text_uint(out, "max_messages", MESSAGES_MAX);
    wire_write_text_uint(out, "max_bytes", bytes);
    if (in_parts) {
        wire_write_text(out, "parts");
        wire_write_bool(out, true);
    }
    wire_write_text_uint(out, "wait_ms", (uint64_t)wait);
}

/* False: no credit, the others need not try. */
static bool pump_shelf(struct zsp_shelf *shelf, int64_t now_ms)
{
    struct zspool_reader *self = shelf->reader;
    const size_t bytes = shelf->out || shelf->finished ? 0 : wanted_bytes(shelf);
    if (bytes == 0) {
        return true;
    }
    if (now_ms < shelf->at_ms) {
        self->port.wake_ms = shelf->at_ms < self->port.wake_ms ? shelf->at_ms : self->port.wake_ms;
        return true;
    }
    const int64_t wait = wait_ms(shelf);
    /* The first reply is a whole one: it tells where the end is. */
    const bool in_parts =
        shelf->begun && zsp_hello_has(zsp_link_hello(self->client->link), "parts");
    write_read(shelf, bytes, in_parts, wait);
    shelf->request.verb = "READ";
    shelf->request.part_fn = in_parts ? read_part : NULL;
    shelf->request.wait_ms = wait;
    shelf->request.done_fn = read_done;
    if (zsp_link_send_args(self->client->link, &self->port, &shelf->request, &shelf->args,
                           now_ms) != 0) {
        return false;
    }
    shelf->out = true;
    return true;
}

static void fix_position(const struct zspool_reader *self, zspool_position_t *position)
{
    if (position->kind == ZSPOOL_POSITION_AGO) {
        const int64_t now_ms = zsp_wall_ms() + zsp_link_clock_ahead_ms(self->client->link);
        const uint64_t now = now_ms > 0 ? (uint64_t)now_ms : 0;
        position->kind = ZSPOOL_POSITION_TIME;
        position->value = position->value < now ? now - position->value : 0;
    }
}

void zsp_reader_pump(struct zsp_port *port, int64_t now_ms)
{
    struct zspool_reader *self = CONTAINER_OF(port, struct zspool_reader, port);
    port->wake_ms = INT64_MAX;
    if (!zsp_link_up(self->client->link) || zsp_halt_stands(&self->halt)) {
        return;
    }
    if (!self->positions_fixed) {
        fix_position(self, &self->options.from);
        fix_position(self, &self->options.to);
        for (uint32_t i = 0; i < self->shelf_count; i++) {
            self->shelves[i]->to = self->options.to;
        }
        self->positions_fixed = true;
    }
    if (self->shelf_count == 0) {
        ask_partitions(self, now_ms);
        return;
    }
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (!pump_shelf(self->shelves[i], now_ms)) {
            break;
        }
    }
}
