/* SPDX-License-Identifier: MPL-2.0
 *
 * A reader: one shelf per partition, each read ahead by READ requests; messages
 * are taken from the shelf whose next one is the oldest. With the link locked,
 * except the message lent to the host.
 *
 *   - pump: learn the partitions (TOPIC.INFO) if all are wanted, then keep up to two parcels on
 *     each shelf
 *   - the first reply of a shelf tells the end; `to` is pinned to it, so that a
 *     replay of a busy topic comes to an end
 *   - zspool_read: the oldest head, once every shelf has one, is finished, or (following)
 *     has caught up
 */
#include <stdlib.h>
#include <string.h>

#include "client/src/client_priv.h"
#include "client/src/parcel.h"
#include "client/src/result.h"
#include "client/src/wire_out.h"
#include "common/limits.h"
#include "common/wire.h"

#define PREFETCH_BYTES     (1u * ZSP_MIB)
#define ALL_BYTES          (64u * ZSP_MIB) /* on all shelves together, about */
#define SHELF_BYTES_MIN    (64u * ZSP_KIB)
#define SHELF_PARCELS      2u
#define SHELVES_PARKED_MAX 64u      /* with more, waiting requests are short, to take turns */
#define MESSAGES_MAX       1000000u /* of one reply; the bytes decide before */
#define WAIT_MS            20000
#define WAIT_MS_SHORT      500
#define PAUSE_MS           100

struct shelf {
    struct zspool_reader *reader;
    uint32_t partition;
    struct zsp_request request;
    struct zsp_writer args;
    bool out;
    int64_t at_ms;  /* not before, after a refusal that passes */
    bool begun;     /* next_offset is known */
    bool finished;  /* nothing will come any more */
    bool caught_up; /* the last reply held all there was */
    bool
        overtaken; /* by retention, and the host knows: next_offset is no more, go on at the start */
    uint64_t next_offset;
    zspool_position_t to; /* pinned when begun */
    struct zsp_parcel *first, *last;
    uint32_t parcel_count;
};

struct zspool_reader {
    struct zspool_client *client;
    struct zsp_port port;
    struct zsp_ready ready;
    zspool_reader_options_t options; /* defaults filled in; topic unset */
    char topic[ZSP_NAME_MAX + 1];
    struct zsp_parcel_owner parcels;
    bool positions_fixed; /* `ago` became a time */
    struct zsp_request info;
    struct zsp_writer info_args;
    bool info_out;
    int64_t info_at_ms;
    struct shelf *shelves;
    uint32_t shelf_count;
    struct shelf *current;    /* the one chosen last */
    int64_t others_oldest_ms; /* the oldest head of the other shelves; INT64_MIN = look anew */
    const struct shelf *others_oldest; /* whose that is */
    struct zsp_err error;              /* code 0 = none; the host takes it */
    struct shelf *behind; /* overtaken, as `error` tells; NULL = it tells another thing */
    bool halted;          /* the host took an error: its next call goes on */
    bool unwanted;        /* the host is not to be woken, see zspool_reader_want() */
    bool end_told;        /* the host knows of the end: no reason to wake it again */
    zspool_message_t view;
    struct zsp_parcel *lent; /* holds the bytes of `view`, off its shelf */
};

/* --- What is here ------------------------------------------------------------------ */

static bool all_finished(const struct zspool_reader *self)
{
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (!self->shelves[i].finished || self->shelves[i].first) {
            return false;
        }
    }
    return self->shelf_count > 0;
}

static int64_t head_ms(const struct shelf *shelf)
{
    return zsp_parcel_run(shelf->first)->timestamp_ms;
}

/* The shelf with the oldest head, the lowest partition among equals, so that every replay has the
 * same order; NULL when there is none, or one is still awaited. */
static struct shelf *oldest(struct zspool_reader *self)
{
    struct shelf *best = NULL;
    const struct shelf *second = NULL;
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        struct shelf *shelf = &self->shelves[i];
        if (!shelf->first && !shelf->finished && !(self->options.follow && shelf->caught_up)) {
            return NULL;
        }
        if (!shelf->first) {
            continue;
        }
        if (!best || head_ms(shelf) < head_ms(best)) {
            second = best;
            best = shelf;
        } else if (!second || head_ms(shelf) < head_ms(second)) {
            second = shelf;
        }
    }
    self->others_oldest_ms = second ? head_ms(second) : INT64_MAX;
    self->others_oldest = second;
    self->current = best;
    return best;
}

static struct shelf *choose(struct zspool_reader *self)
{
    struct shelf *shelf = self->current;
    const int64_t others_ms = self->others_oldest_ms;
    if (shelf && shelf->first && others_ms != INT64_MIN &&
        (head_ms(shelf) < others_ms ||
         (head_ms(shelf) == others_ms && shelf < self->others_oldest))) {
        return shelf;
    }
    return oldest(self);
}

static void update_ready(struct zspool_reader *self)
{
    const bool next =
        self->error.code != 0 || (all_finished(self) && !self->end_told) || choose(self) != NULL;
    zsp_client_set_ready(self->client, &self->ready, next && !self->unwanted);
}

static void arrived(struct zspool_reader *self)
{
    self->others_oldest_ms = INT64_MIN;
    update_ready(self);
    zsp_link_notify(self->client->link);
    zsp_link_kick(self->client->link, &self->port);
}

static bool is_passing(int code)
{
    return code == ZSP_ECLOSED || zsp_err_retriable(code);
}

/* --- Which partitions --------------------------------------------------------------- */

static int make_shelves(struct zspool_reader *self, uint32_t count, uint32_t first)
{
    self->shelves = calloc(count, sizeof *self->shelves);
    if (!self->shelves) {
        return ZSP_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        self->shelves[i].reader = self;
        self->shelves[i].partition = first + i;
        self->shelves[i].to = self->options.to;
    }
    self->shelf_count = count;
    return 0;
}

static void info_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct zspool_reader *self =
        (struct zspool_reader *)(void *)((char *)request - offsetof(struct zspool_reader, info));
    self->info_out = false;
    if (is_passing(answer->code)) {
        self->info_at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else if (answer->code != 0) {
        self->error = *answer->err;
    } else {
        const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
        const uint32_t count = rows ? rows->size : 0;
        if (count == 0 || count > ZSP_PARTITIONS_MAX) {
            zsp_err_set(&self->error, ZSP_EBAD_REQUEST, "topic %s: no partitions told",
                        self->topic);
        } else if (make_shelves(self, count, 0) != 0) {
            zsp_err_set(&self->error, ZSP_ENOMEM, "no memory for %u partitions", count);
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
static void pin(struct shelf *shelf, const msgpack_object *map)
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
        return;
    }
    to->kind = ZSPOOL_POSITION_OFFSET;
}

static void take_reply(struct shelf *shelf, const struct zsp_answer *answer, struct zsp_err *err)
{
    struct zspool_reader *self = shelf->reader;
    struct zsp_parcel *parcel = NULL;
    if (zsp_parcel_new(answer, &self->parcels, &parcel, err) != 0) {
        return;
    }
    if (!shelf->begun) {
        pin(shelf, answer->map);
    }
    shelf->begun = true;
    shelf->overtaken = false;
    shelf->next_offset = zsp_reply_uint(answer->map, "next", shelf->next_offset);
    if (parcel) {
        if (shelf->last) {
            shelf->last->next = parcel;
        } else {
            shelf->first = parcel;
        }
        shelf->last = parcel;
        shelf->parcel_count++;
    }
    const struct zsp_slice reason = zsp_reply_text(answer->map, "reason");
    const bool is_end = reason.data && zsp_slice_equal_str(reason, "end");
    shelf->finished = is_end && !self->options.follow;
    shelf->caught_up = is_end || (reason.data && zsp_slice_equal_str(reason, "timeout"));
    if (shelf->to.kind == ZSPOOL_POSITION_OFFSET && shelf->next_offset >= shelf->to.value) {
        shelf->finished = true;
    }
    if (!parcel && reason.data && zsp_slice_equal_str(reason, "shutting_down")) {
        shelf->at_ms = answer->now_ms + PAUSE_MS;
    }
    if (reason.data && zsp_slice_equal_str(reason, "corrupt")) {
        zsp_err_set(err, ZSP_ECORRUPT,
                    "topic %s: partition %u: stored messages are damaged before offset %llu",
                    self->topic, shelf->partition, (unsigned long long)shelf->next_offset);
    }
}

static void read_done(struct zsp_request *request, const struct zsp_answer *answer)
{
    struct shelf *shelf =
        (struct shelf *)(void *)((char *)request - offsetof(struct shelf, request));
    struct zspool_reader *self = shelf->reader;
    struct zsp_err err = {0};
    shelf->out = false;
    if (is_passing(answer->code)) {
        shelf->at_ms = answer->now_ms + (answer->code == ZSP_ECLOSED ? 0 : PAUSE_MS);
    } else if (answer->code != 0) {
        err = *answer->err;
    } else {
        take_reply(shelf, answer, &err);
    }
    if (err.code != 0) {
        const bool overtaken = err.code == ZSP_EOUT_OF_RANGE && shelf->begun;
        self->behind = overtaken ? shelf : NULL;
        self->error = err;
        self->error.code = overtaken ? ZSP_EOVERTAKEN : err.code;
    }
    arrived(self);
}

static size_t shelf_bytes(const struct zspool_reader *self)
{
    size_t bytes = self->options.prefetch_bytes / SHELF_PARCELS;
    const size_t share = ALL_BYTES / SHELF_PARCELS / self->shelf_count;
    bytes = share < bytes ? share : bytes;
    return bytes < SHELF_BYTES_MIN ? SHELF_BYTES_MIN : bytes;
}

static int64_t wait_ms(const struct shelf *shelf)
{
    const struct zspool_reader *self = shelf->reader;
    if (!self->options.follow || !shelf->caught_up) {
        return 0;
    }
    const int64_t max_ms = (int64_t)zsp_link_hello(self->client->link)->max_wait_ms;
    const int64_t wanted_ms = self->shelf_count > SHELVES_PARKED_MAX ? WAIT_MS_SHORT : WAIT_MS;
    return wanted_ms < max_ms ? wanted_ms : max_ms;
}

static void write_read(struct shelf *shelf, int64_t wait)
{
    const struct zspool_reader *self = shelf->reader;
    struct zsp_writer *out = &shelf->args;
    const bool has_to = shelf->to.kind != ZSPOOL_POSITION_NONE;
    const bool zstd = zsp_hello_has(zsp_link_hello(self->client->link), ZSP_CODEC_ZSTD_NAME);
    zspool_position_t from = self->options.from;
    if (shelf->overtaken) {
        from = (zspool_position_t){ZSPOOL_POSITION_EARLIEST, 0};
    } else if (shelf->begun) {
        from = (zspool_position_t){ZSPOOL_POSITION_OFFSET, shelf->next_offset};
    }
    zsp_writer_reset(out);
    wire_write_map(out, 6u + has_to + zstd);
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
    wire_write_text_uint(out, "max_messages", MESSAGES_MAX);
    wire_write_text_uint(out, "max_bytes", shelf_bytes(self));
    wire_write_text_uint(out, "wait_ms", (uint64_t)wait);
}

/* False: no credit, the others need not try. */
static bool pump_shelf(struct shelf *shelf, int64_t now_ms)
{
    struct zspool_reader *self = shelf->reader;
    if (shelf->out || shelf->finished || shelf->parcel_count >= SHELF_PARCELS) {
        return true;
    }
    if (now_ms < shelf->at_ms) {
        self->port.wake_ms = shelf->at_ms < self->port.wake_ms ? shelf->at_ms : self->port.wake_ms;
        return true;
    }
    const int64_t wait = wait_ms(shelf);
    write_read(shelf, wait);
    shelf->request.verb = "READ";
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

static void reader_pump(struct zsp_port *port, int64_t now_ms)
{
    struct zspool_reader *self =
        (struct zspool_reader *)(void *)((char *)port - offsetof(struct zspool_reader, port));
    port->wake_ms = INT64_MAX;
    if (!zsp_link_up(self->client->link) || self->error.code != 0 || self->halted) {
        return;
    }
    if (!self->positions_fixed) {
        fix_position(self, &self->options.from);
        fix_position(self, &self->options.to);
        for (uint32_t i = 0; i < self->shelf_count; i++) {
            self->shelves[i].to = self->options.to;
        }
        self->positions_fixed = true;
    }
    if (self->shelf_count == 0) {
        ask_partitions(self, now_ms);
        return;
    }
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (!pump_shelf(&self->shelves[i], now_ms)) {
            break;
        }
    }
}

/* --- Public -------------------------------------------------------------------------------- */

static int check_options(zspool_reader_options_t *self, struct zsp_err *err)
{
    int rc = zsp_name_check_text("topic", self->topic, err);
    if (rc == 0) {
        rc = zsp_position_check(&self->from, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&self->to, err);
    }
    if (rc == 0 && (self->partition < ZSPOOL_PARTITION_ALL ||
                    self->partition >= (int32_t)ZSP_PARTITIONS_MAX)) {
        rc = zsp_err_set(err, ZSP_EINVAL, "partition %d, want 0..%u or all", (int)self->partition,
                         ZSP_PARTITIONS_MAX - 1);
    }
    if (rc == 0 && self->follow && self->to.kind != ZSPOOL_POSITION_NONE) {
        rc = zsp_err_set(err, ZSP_EINVAL, "following has no `to`");
    }
    if (rc == 0 && self->prefetch_bytes > ZSP_REPLY_MAX) {
        rc = zsp_err_set(err, ZSP_EINVAL, "prefetch_bytes is %zu, want up to %u",
                         self->prefetch_bytes, ZSP_REPLY_MAX);
    }
    self->prefetch_bytes = self->prefetch_bytes == 0 ? PREFETCH_BYTES : self->prefetch_bytes;
    if (self->from.kind == ZSPOOL_POSITION_NONE) {
        self->from.kind = ZSPOOL_POSITION_EARLIEST;
    }
    return rc;
}

static bool usable(const struct zspool_reader *self)
{
    return self && zsp_client_usable(self->client);
}

static void call_ready(struct zsp_ready *ready)
{
    struct zspool_reader *self =
        (struct zspool_reader *)(void *)((char *)ready - offsetof(struct zspool_reader, ready));
    self->options.ready_fn(self, self->options.ready_arg);
}

static void reader_free(struct zspool_reader *self)
{
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        struct shelf *shelf = &self->shelves[i];
        while (shelf->first) {
            struct zsp_parcel *next = shelf->first->next;
            zsp_parcel_destroy(&shelf->first);
            shelf->first = next;
        }
        zsp_writer_fini(&shelf->args);
    }
    zsp_parcel_destroy(&self->lent);
    free(self->shelves);
    zsp_writer_fini(&self->info_args);
    zsp_parcel_owner_fini(&self->parcels);
    free(self);
}

zspool_reader_t *zspool_reader_new(zspool_client_t *client, const zspool_reader_options_t *options,
                                   zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_reader_t *self = NULL;
    uint64_t seed = 0;
    if (!zsp_client_usable(client) || !options || zsp_random(&seed, sizeof seed) != 0) {
        zsp_err_set(&report, ZSP_EINVAL, "no options, no client, or one made before fork()");
        goto fail;
    }
    self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a reader");
        goto fail;
    }
    zsp_interned_init(&self->parcels.topics, seed);
    if (zsp_options_read(&self->options, sizeof self->options, options, "zspool_reader_options_t",
                         &report) != 0 ||
        check_options(&self->options, &report) != 0) {
        goto fail;
    }
    memcpy(self->topic, self->options.topic, strlen(self->options.topic));
    self->options.topic = NULL;
    if (self->options.partition != ZSPOOL_PARTITION_ALL &&
        make_shelves(self, 1, (uint32_t)self->options.partition) != 0) {
        zsp_err_set(&report, ZSP_ENOMEM, "no memory for a reader");
        goto fail;
    }
    self->client = client;
    self->others_oldest_ms = INT64_MIN;
    self->ready.call_fn = self->options.ready_fn ? call_ready : NULL;
    self->port.pump_fn = reader_pump;
    self->port.wake_ms = INT64_MAX;
    zsp_link_lock(client->link);
    zsp_link_add(client->link, &self->port);
    client->objects++;
    zsp_link_unlock(client->link);
    return self;
fail:
    if (self) {
        reader_free(self);
    }
    (void)zsp_err_export(&report, err);
    return NULL;
}

void zspool_reader_want(zspool_reader_t *self, bool wanted)
{
    if (usable(self)) {
        zsp_link_lock(self->client->link);
        self->unwanted = !wanted;
        update_ready(self);
        zsp_link_unlock(self->client->link);
    }
}

void zspool_reader_destroy(zspool_reader_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    struct zspool_reader *self = *self_p;
    *self_p = NULL;
    if (!usable(self)) {
        return; /* a child of fork() */
    }
    struct zsp_link *link = self->client->link;
    zsp_link_lock(link);
    if (self->info_out) {
        zsp_link_forget(link, &self->info);
    }
    for (uint32_t i = 0; i < self->shelf_count; i++) {
        if (self->shelves[i].out) {
            zsp_link_forget(link, &self->shelves[i].request);
        }
    }
    zsp_client_set_ready(self->client, &self->ready, false);
    zsp_link_remove(link, &self->port);
    self->client->objects--;
    zsp_link_unlock(link);
    reader_free(self);
}

/* What the broker sent cannot be read from this offset on: forget what lies behind it, so that the
 * next call asks for it again. */
static void begin_again(struct zspool_reader *self, struct shelf *shelf, uint64_t offset)
{
    while (shelf->first) {
        struct zsp_parcel *next = shelf->first->next;
        zsp_parcel_destroy(&shelf->first);
        shelf->first = next;
    }
    if (shelf->out) {
        zsp_link_forget(self->client->link, &shelf->request);
        shelf->out = false;
    }
    shelf->last = NULL;
    shelf->parcel_count = 0;
    shelf->next_offset = offset;
    shelf->overtaken = false;
    shelf->finished = false;
    shelf->caught_up = false;
    self->current = NULL;
    self->halted = true;
}

/* Take the next message off its shelf. The parcel it lies in leaves the shelf with its last
 * message, and lives until the message after that is asked for. */
static int take(struct zspool_reader *self, struct shelf *shelf, struct zsp_err *err)
{
    struct zsp_parcel *parcel = shelf->first;
    const uint64_t offset = zsp_parcel_offset(parcel);
    const int rc = zsp_parcel_take(parcel, &self->view, err);
    if (rc != 0) {
        begin_again(self, shelf, offset);
        return rc;
    }
    if (parcel->left > 0) {
        return 0;
    }
    shelf->first = parcel->next;
    shelf->last = shelf->first ? shelf->last : NULL;
    shelf->parcel_count--;
    self->lent = parcel;
    self->others_oldest_ms = INT64_MIN;
    zsp_link_kick(self->client->link, &self->port);
    return 0;
}

static int read_locked(struct zspool_reader *self, int64_t deadline_ms, struct zsp_err *err)
{
    zsp_parcel_destroy(&self->lent);
    if (self->halted) {
        self->halted = false;
        zsp_link_kick(self->client->link, &self->port);
    }
    for (;;) {
        struct shelf *shelf = choose(self);
        if (shelf) {
            return take(self, shelf, err);
        }
        if (self->error.code != 0) {
            *err = self->error;
            self->error = (struct zsp_err){0};
            if (self->behind) {
                self->behind->overtaken = true;
                self->behind->caught_up = false;
                self->behind = NULL;
            }
            self->halted = true;
            return err->code;
        }
        if (all_finished(self)) {
            self->end_told = true;
            return ZSPOOL_END;
        }
        const int rc = zsp_link_wait(self->client->link, deadline_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
}

int zspool_read(zspool_reader_t *self, const zspool_message_t **ret_message, int timeout_ms,
                zspool_error_t *err)
{
    struct zsp_err report;
    report.code = 0;
    if (!usable(self) || !ret_message) {
        zsp_err_set(&report, ZSP_EINVAL,
                    "no place for the message, no reader, or one made before fork()");
        return zsp_err_export(&report, err);
    }
    const int64_t deadline_ms = timeout_ms == 0 ? 0 : zsp_deadline_ms(timeout_ms);
    zsp_link_lock(self->client->link);
    const int rc = read_locked(self, deadline_ms, &report);
    update_ready(self);
    zsp_link_unlock(self->client->link);
    if (rc == 0) {
        *ret_message = &self->view;
    }
    return rc >= 0 ? rc : zsp_err_export(&report, err);
}
