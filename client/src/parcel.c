/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "client/src/result.h"
#include "common/limits.h"
#include "common/record.h"
#include "common/wire.h"

/* Unpacked bytes of one reply: runs are at least half of what their frames hold. */
#define UNPACKED_MAX (2u * ZSP_REPLY_MAX + ZSP_FRAME_MAX)

struct zsp_joined {
    struct zsp_joined *next;
    size_t len, capacity;
    uint8_t bytes[];
};

static int bad(struct zsp_err *err, const char *what)
{
    return zsp_err_set(err, ZSP_EBAD_RECORD, "the broker's reply: %s", what);
}

static int no_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "no memory for messages");
}

/* --- Made from a reply ------------------------------------------------------------ */

static int read_run(const msgpack_object *object, struct zsp_interned *topics,
                    struct zsp_parcel_run *ret, struct zsp_err *err)
{
    struct wire_run run;
    const int rc = wire_run_decode(object, &run, err);
    if (rc != 0) {
        return rc;
    }
    ret->topic = zsp_interned_text(topics, run.topic);
    ret->partition = run.partition;
    ret->first = run.first;
    ret->count = run.count;
    ret->lease = run.lease;
    ret->timestamp_ms = run.timestamp_ms;
    ret->deliveries = run.deliveries;
    ret->failures = run.failures;
    ret->priority = run.priority;
    ret->expires_at_ms = run.expires_at_ms;
    ret->not_before_ms = run.not_before_ms;
    ret->raw_bytes = run.raw_bytes;
    ret->skip = run.skip;
    return ret->topic ? 0 : no_memory(err);
}

static int read_runs(struct zsp_parcel *self, const msgpack_object_array *runs,
                     struct zsp_interned *topics, struct zsp_err *err)
{
    self->runs = calloc(runs->size, sizeof *self->runs);
    if (!self->runs) {
        return no_memory(err);
    }
    int rc = 0;
    for (uint32_t i = 0; i < runs->size && rc == 0; i++) {
        struct zsp_parcel_run *run = &self->runs[i];
        rc = read_run(&runs->ptr[i], topics, run, err);
        if (rc == 0 && run->count > UINT64_MAX - self->left) {
            rc = bad(err, "runs of too many messages");
        }
        self->left += rc == 0 ? run->count : 0;
        self->bytes_left += run->raw_bytes;
        if (rc == 0 && self->bytes_left > UNPACKED_MAX) {
            rc = bad(err, "compressed runs of too many bytes");
        }
        self->run_count++;
    }
    return rc;
}

static int move_frames(struct zsp_parcel *self, const struct zsp_answer *answer,
                       struct zsp_err *err)
{
    self->frames = calloc(answer->frame_count, sizeof *self->frames);
    if (!self->frames) {
        return no_memory(err);
    }
    for (size_t i = 0; i < answer->frame_count; i++) {
        (void)zmq_msg_init(&self->frames[i]); /* cannot fail */
        (void)zmq_msg_move(&self->frames[i], &answer->frames[i]);
        self->bytes += zmq_msg_size(&self->frames[i]);
        self->frame_count++;
    }
    self->bytes_left += self->bytes;
    return 0;
}

int zsp_parcel_new(const struct zsp_answer *answer, struct zsp_parcel_owner *owner,
                   struct zsp_parcel **ret, struct zsp_err *err)
{
    const msgpack_object_array *runs = zsp_reply_array(answer->map, "runs");
    if (!runs || runs->size > ZSP_RUNS_MAX || (runs->size == 0) != (answer->frame_count == 0)) {
        return bad(err, "runs and bodies do not fit together");
    }
    if (runs->size == 0) {
        *ret = NULL;
        return 0;
    }
    struct zsp_parcel *self = calloc(1, sizeof *self);
    if (!self) {
        return no_memory(err);
    }
    self->lease_ms = (int64_t)(zsp_reply_uint(answer->map, "lease_ms", 0) & INT32_MAX);
    self->unpacker = &owner->unpacker;
    int rc = read_runs(self, runs, &owner->topics, err);
    if (rc == 0) {
        rc = move_frames(self, answer, err);
    }
    if (rc == 0 && self->left > self->bytes_left) {
        rc = bad(err, "more messages than bytes"); /* a record has at least two */
    }
    if (rc != 0) {
        zsp_parcel_destroy(&self);
        return rc;
    }
    *ret = self;
    return 0;
}

void zsp_parcel_destroy(struct zsp_parcel **self_p)
{
    struct zsp_parcel *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    for (size_t i = 0; i < self->frame_count; i++) {
        (void)zmq_msg_close(&self->frames[i]);
    }
    while (self->joined) {
        struct zsp_joined *next = self->joined->next;
        free(self->joined);
        self->joined = next;
    }
    zsp_recalled_destroy(&self->recalled);
    free(self->frames);
    free(self->runs);
    free(self);
}

void zsp_parcels_destroy(struct zsp_parcel_list *list)
{
    while (!TAILQ_EMPTY(list)) {
        struct zsp_parcel *parcel = TAILQ_FIRST(list);
        TAILQ_REMOVE(list, parcel, link);
        zsp_parcel_destroy(&parcel);
    }
}

void zsp_parcel_owner_fini(struct zsp_parcel_owner *self)
{
    zsp_interned_fini(&self->topics);
    zsp_unpacker_destroy(&self->unpacker);
}

/* --- Taken out ----------------------------------------------------------------------- */

static struct zsp_joined *joined_new(struct zsp_parcel *self, size_t capacity)
{
    struct zsp_joined *joined = malloc(sizeof *joined + capacity);
    if (joined) {
        joined->next = self->joined;
        joined->len = 0;
        joined->capacity = capacity;
        self->joined = joined;
    }
    return joined;
}

/* Put bytes behind `rest`. Messages lie in the joined bytes, which therefore never move: where they
 * have no room the rest is copied, to twice the room, so that a record in many pieces is copied a
 * few times only. */
static bool join(struct zsp_parcel *self, struct zsp_slice bytes)
{
    struct zsp_slice *const rest = &self->rest;
    struct zsp_joined *joined = self->joined;
    const bool is_last = joined && rest->data + rest->len == joined->bytes + joined->len;
    if (!is_last || bytes.len > joined->capacity - joined->len) {
        joined = joined_new(self, 2 * (rest->len + bytes.len));
        if (!joined) {
            return false;
        }
        memcpy(joined->bytes, rest->data, rest->len);
        joined->len = rest->len;
        rest->data = joined->bytes;
    }
    memcpy(joined->bytes + joined->len, bytes.data, bytes.len);
    joined->len += bytes.len;
    rest->len += bytes.len;
    return true;
}

/* The next frame; what is left of this one moves in front of it. False: there is no
 * next one, or no memory. */
static bool next_frame(struct zsp_parcel *self)
{
    if (self->frame_index == self->frame_count) {
        return false;
    }
    zmq_msg_t *frame = &self->frames[self->frame_index];
    const struct zsp_slice bytes = {zmq_msg_data(frame), zmq_msg_size(frame)};
    if (self->rest.len == 0) {
        self->rest = bytes;
    } else if (!join(self, bytes)) {
        return false;
    }
    self->frame_index++;
    return true;
}

/* Unpack the frame in `rest` and pass over what is not of the run. */
static int unpack(struct zsp_parcel *self, const struct zsp_parcel_run *run, struct zsp_err *err)
{
    *self->unpacker = *self->unpacker ? *self->unpacker : zsp_unpacker_new();
    struct zsp_joined *joined = *self->unpacker ? joined_new(self, run->raw_bytes) : NULL;
    if (!joined) {
        return no_memory(err);
    }
    int rc = zsp_unpack(*self->unpacker, self->rest, joined->bytes, run->raw_bytes, err);
    if (rc != 0) {
        return zsp_err_wrap(err, "the broker's reply");
    }
    joined->len = run->raw_bytes;
    self->rest = (struct zsp_slice){joined->bytes, run->raw_bytes};
    for (uint32_t i = 0; i < run->skip && rc == 0; i++) {
        struct zsp_slice record;
        rc = zsp_record_next(&self->rest, &record);
    }
    self->bytes_left -= run->raw_bytes - self->rest.len;
    return rc == 0 ? 0 : bad(err, "a compressed run skips more records than it has");
}

/* Before the first record of a run: a compressed one is a whole frame. */
static int begin_run(struct zsp_parcel *self, struct zsp_err *err)
{
    const struct zsp_parcel_run *run = &self->runs[self->run_index];
    if (run->raw_bytes == 0 || self->run_begun) {
        return 0;
    }
    if (self->rest.len > 0 || !next_frame(self)) {
        return bad(err, "no frame for a compressed run");
    }
    self->bytes_left -= self->rest.len; /* its records count, unpacked */
    self->run_begun = true;
    return unpack(self, run, err);
}

/* Behind the last record of a run: what else a compressed one holds is not ours. */
static void end_run(struct zsp_parcel *self)
{
    if (self->runs[self->run_index].raw_bytes > 0) {
        self->bytes_left -= self->rest.len;
        self->rest = (struct zsp_slice){NULL, 0};
    }
    self->run_index++;
    self->in_run = 0;
    self->run_begun = false;
}

/* The next record, which may go on in the next frames. */
static int next_record(struct zsp_parcel *self, struct zsp_record *ret, struct zsp_err *err)
{
    for (;;) {
        const size_t bytes = self->rest.len;
        if (zsp_record_take(&self->rest, ret) == 0) {
            self->bytes_left -= bytes - self->rest.len;
            return 0;
        }
        struct zsp_slice rest = self->rest;
        struct zsp_slice record;
        if (zsp_record_next(&rest, &record) == 0) {
            return zsp_record_decode(record, ret, err); /* it is whole, and not well-formed */
        }
        if (!next_frame(self)) {
            return bad(err, "fewer records than its runs tell");
        }
    }
}

/* What a message has from its run and its place. */
static inline void fill_place(const struct zsp_parcel *self, zspool_message_t *ret)
{
    const struct zsp_parcel_run *run = &self->runs[self->run_index];
    ret->topic = run->topic;
    ret->partition = run->partition;
    ret->offset = run->first + self->in_run;
    ret->timestamp_ms = run->timestamp_ms;
    ret->deliveries = run->lease ? run->deliveries : 0;
    ret->failures = run->failures;
    ret->priority = run->priority;
    ret->expires_at_ms = run->expires_at_ms;
    ret->not_before_ms = run->not_before_ms;
    ret->lease = run->lease;
    ret->lease_ms = run->lease ? self->lease_ms : 0;
}

static void fill(const struct zsp_record *record, zspool_message_t *ret)
{
    ret->payload = (zspool_bytes_t){record->payload.data, record->payload.len};
    ret->key = (zspool_bytes_t){record->key.data, record->key.len};
    ret->type = (zspool_bytes_t){record->type.data, record->type.len};
    ret->id = (zspool_bytes_t){record->id.data, record->id.len};
    ret->headers = (zspool_bytes_t){record->headers.data, record->headers.len};
    ret->header_count = record->header_count;
    ret->created_at_ms = record->has_created_at ? (int64_t)record->created_at_ms : 0;
}

/* The next record if it is a payload alone, without the way over a decoded one. */
static inline bool take_plain(struct zsp_parcel *self, zspool_message_t *ret)
{
    const uint8_t *const pos = self->rest.data;
    struct zsp_slice payload;
    const uint8_t *const next = zsp_record_plain(self->rest, &payload);
    if (!next) {
        return false;
    }
    const size_t len = (size_t)(next - pos);
    self->rest.data = next;
    self->rest.len -= len;
    self->bytes_left -= len;
    ret->payload = (zspool_bytes_t){payload.data, payload.len};
    ret->key = ret->type = ret->id = ret->headers = (zspool_bytes_t){NULL, 0};
    ret->header_count = 0;
    ret->created_at_ms = 0;
    return true;
}

int zsp_parcel_take(struct zsp_parcel *self, zspool_message_t *ret, struct zsp_err *err)
{
    if (self->left == 0) {
        return 1;
    }
    int rc = begin_run(self, err);
    if (rc == 0 && !take_plain(self, ret)) {
        struct zsp_record record;
        rc = next_record(self, &record, err);
        if (rc == 0) {
            fill(&record, ret);
        }
    }
    if (rc != 0) {
        self->left = 0;
        self->bytes_left = 0;
        return rc;
    }
    fill_place(self, ret);
    self->left--;
    self->in_run++;
    if (self->in_run == self->runs[self->run_index].count) {
        end_run(self);
    }
    return 0;
}

int zsp_parcel_peek(struct zsp_parcel *self, zspool_message_t *ret, struct zsp_err *err)
{
    struct zsp_record record;
    if (self->left == 0) {
        return 1;
    }
    int rc = begin_run(self, err);
    if (rc == 0) {
        const size_t bytes_left = self->bytes_left;
        rc = next_record(self, &record, err);
        if (rc == 0) { /* the record stays: it lies in one piece now */
            self->rest.data -= bytes_left - self->bytes_left;
            self->rest.len += bytes_left - self->bytes_left;
            self->bytes_left = bytes_left;
        }
    }
    if (rc == 0) {
        fill(&record, ret);
        fill_place(self, ret);
    }
    return rc;
}

const struct zsp_parcel_run *zsp_parcel_run(const struct zsp_parcel *self)
{
    return &self->runs[self->run_index];
}

uint64_t zsp_parcel_left_in_run(const struct zsp_parcel *self)
{
    return self->runs[self->run_index].count - self->in_run;
}

uint64_t zsp_parcel_offset(const struct zsp_parcel *self)
{
    return self->runs[self->run_index].first + self->in_run;
}

int zspool_message_header(const zspool_message_t *message, size_t index,
                          zspool_header_t *ret_header)
{
    if (!message || !ret_header || index >= message->header_count) {
        return ZSPOOL_EINVAL;
    }
    const struct zsp_record record = {.headers = {message->headers.data, message->headers.len},
                                      .header_count = (uint32_t)message->header_count};
    struct zsp_slice rest = zsp_record_headers(&record);
    struct zsp_slice name;
    struct zsp_slice value;
    bool is_text = false;
    for (size_t i = 0; i <= index; i++) {
        if (zsp_record_header_next(&rest, &name, &value, &is_text) != 0) {
            return ZSPOOL_EINVAL;
        }
    }
    ret_header->name = (zspool_bytes_t){name.data, name.len};
    ret_header->value = (zspool_bytes_t){value.data, value.len};
    ret_header->is_text = is_text;
    return ZSPOOL_OK;
}
