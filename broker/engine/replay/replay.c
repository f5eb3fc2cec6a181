/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/replay/replay_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/verb.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/limits.h"

#define MESSAGES_DEFAULT 1000u
#define BYTES_DEFAULT    (1u * ZSP_MIB)
/* With a filter most of what is read may be left out: bytes of one read, and of those of one reply. */
#define FILTERED_READ_MIN (256u * ZSP_KIB)
#define FILTERED_READ_MAX (1u * ZSP_MIB)
#define FILTERED_MAX      (16u * ZSP_MIB)

#define PLACE(field)      offsetof(struct read_args, field)
static const struct wire_arg read_table[] = {
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"from", WIRE_POSITION, PLACE(from), true, 0, 0},
    {"to", WIRE_POSITION, PLACE(to), false, 0, 0},
    {"max_messages", WIRE_UINT, PLACE(max_messages), false, 1, UINT32_MAX},
    {"max_bytes", WIRE_UINT, PLACE(max_bytes), false, 1, ZSP_STREAM_MAX},
    {"wait_ms", WIRE_UINT, PLACE(wait_ms), false, 0, ZSP_WAIT_MS_MAX},
    {"accept", WIRE_ARRAY, PLACE(accept), false, 0, ZSP_CODECS_MAX},
    {"parts", WIRE_BOOL, PLACE(parts), false, 0, 0},
    {"filter", WIRE_STR, PLACE(filter), false, 0, 0},
    {"partitions", WIRE_UINT, PLACE(partitions), false, 1, ZSP_PARTITIONS_MAX},
};
#undef PLACE

/* --- the object --------------------------------------------------------------------- */

void read_init(struct engine *engine)
{
    pool_init(&engine->readers, sizeof(struct reader));
}

static struct reader *reader_of(struct parked *parked)
{
    return CONTAINER_OF(parked, struct reader, parked);
}

static void leave_room(struct engine *engine, struct reader *self)
{
    *(self->room_prev ? &self->room_prev->room_next : &engine->room_first) = self->room_next;
    *(self->room_next ? &self->room_next->room_prev : &engine->room_last) = self->room_prev;
    self->room_next = self->room_prev = NULL;
    self->wants_room = false;
}

static void unwait(struct engine *engine, struct reader *self)
{
    if (self->state != READER_WAITING) {
        return;
    }
    if (self->wants_room) {
        leave_room(engine, self);
    }
    struct partition *const partition = self->partition;
    *(self->wait_prev ? &self->wait_prev->wait_next : &partition->reader_first) = self->wait_next;
    *(self->wait_next ? &self->wait_next->wait_prev : &partition->reader_last) = self->wait_prev;
    self->wait_next = self->wait_prev = NULL;
    self->state = READER_READING;
}

static void wait_in_partition(struct reader *self)
{
    struct partition *const partition = self->partition;
    self->state = READER_WAITING;
    self->wait_next = NULL;
    self->wait_prev = partition->reader_last;
    *(self->wait_prev ? &self->wait_prev->wait_next : &partition->reader_first) = self;
    partition->reader_last = self;
}

/* At the mark. */
static void wait_for_more(struct engine *engine, struct reader *self)
{
    if (self->has_room) {
        self->has_room = false;
        (void)reply_room(engine, &self->to, 0);
    }
    wait_in_partition(self);
}

static void wait_for_room(struct engine *engine, struct reader *self)
{
    wait_in_partition(self);
    self->wants_room = true;
    self->room_next = NULL;
    self->room_prev = engine->room_last;
    *(self->room_prev ? &self->room_prev->room_next : &engine->room_first) = self;
    engine->room_last = self;
}

static void drop_runs(struct reader *self)
{
    for (uint32_t i = 0; i < self->run_count; i++) {
        zsp_buf_put(&self->runs[i].piece.part.buf);
    }
    free(self->runs);
    self->runs = NULL;
    self->run_count = 0;
}

void reader_free(struct engine *engine, struct reader *self)
{
    unwait(engine, self);
    reader_drop_ids(self);
    parked_remove(engine, &self->parked);
    zsp_filter_destroy(&self->filter);
    drop_runs(self);
    LIST_REMOVE(self, link);
    pool_put(&engine->readers, self);
}

void read_free_all(struct engine *engine)
{
    struct reader *self = NULL;
    LIST_FOREACH (self, &engine->reader_list, link) {
        reader_drop_ids(self);
        zsp_filter_destroy(&self->filter);
        drop_runs(self);
    }
    LIST_INIT(&engine->reader_list);
    engine->room_first = engine->room_last = NULL;
}

static struct reader *reader_new(struct engine *engine)
{
    struct reader *const self = pool_get(&engine->readers);
    if (!self) {
        return NULL;
    }
    LIST_INSERT_HEAD(&engine->reader_list, self, link);
    return self;
}

/* --- the answer ------------------------------------------------------------------------ */

void reader_fail(struct engine *engine, struct reader *self, const struct zsp_err *error)
{
    reply_error(engine, &self->to, error);
    reader_free(engine, self);
}

static void write_runs(struct engine *engine, struct zsp_writer *out, const struct reader *self)
{
    wire_write_text(out, "runs");
    wire_write_array(out, self->run_count);
    for (uint32_t i = 0; i < self->run_count; i++) {
        const struct reader_run *const run = &self->runs[i];
        const struct wire_run told = {
            .topic = self->partition->topic->name,
            .partition = self->partition->index,
            .first = run->piece.slice.first_offset,
            .count = run->piece.slice.count,
            .timestamp_ms = run->timestamp_ms,
            .deliveries = 1,
            .priority = run->priority,
            .expires_at_ms = run->expires_at_ms,
            .not_before_ms = run->not_before_ms,
            .raw_bytes = run->piece.raw_bytes,
            .skip = run->piece.skip,
        };
        wire_write_run(out, &told);
        reply_body(engine, &run->piece.part);
    }
}

/* Tell what was gathered. `damage` NULL = none. Retention may have passed us since we read. */
static void tell(struct engine *engine, const struct reader *self, const char *reason,
                 const struct store_range *damage)
{
    const uint64_t start = self->partition->start_offset;
    struct zsp_writer *const out = reply_begin(engine, &self->to);
    wire_write_map(out, damage ? 7 : 6);
    write_runs(engine, out, self);
    wire_write_text_uint(out, "next", self->next_offset > start ? self->next_offset : start);
    wire_write_text_uint(out, "start", start);
    wire_write_text_uint(out, "end", self->partition->synced_offset);
    wire_write_text_uint(out, "partitions", self->partition->topic->partition_count);
    wire_write_text(out, "reason");
    wire_write_text(out, reason);
    if (damage) {
        wire_write_text(out, "corrupt");
        wire_write_array(out, 2);
        wire_write_uint(out, damage->first_offset);
        wire_write_uint(out, damage->end_offset);
    }
    reply_end(engine);
}

/* Send what was gathered as a PART; the limits that are left hold for the rest. */
static void send_part(struct engine *engine, struct reader *self)
{
    struct zsp_writer *const out = reply_begin_part(engine, &self->to);
    wire_write_map(out, 2);
    write_runs(engine, out, self);
    wire_write_text_uint(out, "next", self->next_offset);
    reply_end(engine);
    drop_runs(self);
    self->run_capacity = 0;
    self->max_messages -= self->messages;
    self->max_bytes -= self->bytes < self->max_bytes ? self->bytes : self->max_bytes;
    self->messages = self->bytes = self->looked = 0;
    self->has_sent = true;
    self->has_room = false;
    self->may_wait = false;
    self->ending = "end";
}

static void answer(struct engine *engine, struct reader *self, const char *reason,
                   const struct store_range *damage)
{
    tell(engine, self, reason, damage);
    reader_free(engine, self);
}

/* The client takes it back: it gets nothing, and goes on where it asked. */
static void cancel(struct engine *engine, struct reader *self)
{
    if (self->run_count > 0) {
        self->next_offset = self->runs[0].piece.slice.first_offset;
    } /* while it is LOCATING it is 0, and the start is told */
    drop_runs(self);
    tell(engine, self, "cancelled", NULL);
}

/* --- reading ---------------------------------------------------------------------------- */

static void go_on(struct engine *engine, struct reader *self);

/* Errors: ZSP_ENOMEM */
static int add_run(struct reader *self, const struct store_batch *batch,
                   const struct batch_piece *piece)
{
    if (self->run_count == self->run_capacity) {
        const uint32_t capacity = self->run_capacity > 0 ? self->run_capacity * 2 : 8;
        struct reader_run *const runs = realloc(self->runs, capacity * sizeof *runs);
        if (!runs) {
            return ZSP_ENOMEM;
        }
        self->runs = runs;
        self->run_capacity = capacity;
    }
    (void)zsp_buf_get(piece->part.buf);
    self->runs[self->run_count++] = (struct reader_run){
        *piece, batch->timestamp_ms, batch->expires_at_ms, batch->not_before_ms, batch->priority};
    self->messages += piece->slice.count;
    self->bytes += piece->slice.len;
    return 0;
}

/* Is everything gathered that was asked for? */
static bool is_over(const struct reader *self)
{
    return self->messages >= self->max_messages ||
           ((self->messages > 0 || self->has_sent) && self->bytes >= self->max_bytes);
}

/* Does the reply take no more? */
static bool is_full(const struct reader *self)
{
    return is_over(self) || self->run_count >= self->run_max;
}

/* Is what was gathered a part, with more to come behind it? */
static bool is_part(const struct reader *self)
{
    return self->wants_parts && self->messages > 0 && !is_over(self);
}

static bool wants(const void *arg, const struct zsp_record *record)
{
    return zsp_filter_matches(arg, record);
}

/* What comes next of the batch, in *range, is cut to records that are all wanted, or passed over.
 * False in *ret_wanted: it was passed over. */
static int choose(struct reader *self, struct batch_walk *walk, const struct batch_reader *reader,
                  struct store_range *range, bool *ret_wanted, struct zsp_err *err)
{
    const struct batch_chooser chooser = {wants, self->filter};
    uint64_t end = 0;
    const int rc = batch_walk_choose(walk, reader, *range, &chooser, ret_wanted, &end, err);
    if (rc == 0 && *ret_wanted) {
        range->end_offset = end;
    } else if (rc == 0) {
        self->next_offset = end;
    }
    return rc;
}

/* Take what fits of what comes next of a batch; *ret_is_full = a limit left something out. */
static int take_some(struct engine *engine, struct reader *self, struct batch_walk *walk,
                     bool *ret_is_full, struct zsp_err *err)
{
    struct store_range range = {
        .first_offset = self->next_offset,
        .end_offset = self->has_end ? self->end_offset : UINT64_MAX,
    };
    const struct batch_limits limits = {
        .max_messages = self->max_messages - self->messages,
        .max_bytes = self->max_bytes > self->bytes ? self->max_bytes - self->bytes : 0,
        .first_fits = self->messages == 0 && !self->has_sent,
    };
    const struct batch_reader reader = {.unpack = &engine->unpack,
                                        .partition = self->partition,
                                        .accepts_zstd = self->accepts_zstd};
    struct batch_piece piece = {0};
    bool wanted = true;
    int rc = 0;
    if (self->filter) {
        rc = choose(self, walk, &reader, &range, &wanted, err);
    }
    if (rc == 0 && wanted) {
        rc = batch_walk_take(walk, &reader, range, &limits, &piece, err);
    }
    if (rc == 0 && piece.slice.count > 0) {
        rc = add_run(self, walk->batch, &piece);
        self->next_offset = piece.slice.first_offset + piece.slice.count;
    }
    *ret_is_full = piece.slice.is_cut;
    return rc;
}

/* Of one batch. */
static int take_batch(struct engine *engine, struct reader *self, const struct store_batch *batch,
                      bool *ret_is_full, struct zsp_err *err)
{
    const uint64_t batch_end = batch->first_offset + batch->record_count;
    const uint64_t end =
        self->has_end && self->end_offset < batch_end ? self->end_offset : batch_end;
    struct batch_walk walk;
    batch_walk_begin(&walk, batch);
    int rc = take_some(engine, self, &walk, ret_is_full, err);
    while (rc == 0 && self->filter && !*ret_is_full && self->next_offset < end) {
        if (is_full(self)) {
            *ret_is_full = true;
        } else {
            rc = take_some(engine, self, &walk, ret_is_full, err);
        }
    }
    batch_walk_end(&walk);
    if (rc != 0) {
        return err->code != 0 ? rc : zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    return 0;
}

/* The bytes from `next` on went to retention while the reader was on its way. What is gone is passed
 * over, as if it had been gone before; but a number that was named must exist. */
static void start_has_moved(struct engine *engine, struct reader *self, const struct zsp_err *error)
{
    const bool has_begun = self->run_count > 0 || self->has_sent;
    if ((self->from_is_offset && !has_begun) ||
        self->next_offset >= self->partition->start_offset) {
        reader_fail(engine, self, error);
    } else {
        self->next_offset = self->partition->start_offset;
        go_on(engine, self);
    }
}

static void read_failed(struct engine *engine, struct reader *self,
                        const struct store_completion *completion)
{
    if (completion->error.code == ZSP_ECORRUPT &&
        completion->covered.end_offset > self->next_offset) {
        const struct store_range damage = completion->covered;
        self->next_offset = damage.end_offset;
        answer(engine, self, "corrupt", &damage);
    } else if (completion->error.code == ZSP_EOUT_OF_RANGE) {
        start_has_moved(engine, self, &completion->error);
    } else {
        reader_fail(engine, self, &completion->error);
    }
}

static void is_read(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct reader *const self = (struct reader *)op;
    if (self->is_abandoned) {
        reader_free(engine, self);
        return;
    }
    if (completion->error.code != 0) {
        read_failed(engine, self, completion);
        return;
    }
    const uint64_t before = self->next_offset;
    bool full = false;
    for (uint32_t i = 0; self->filter && i < completion->batch_count; i++) {
        self->looked += completion->batches[i].body.len;
    }
    for (uint32_t i = 0; i < completion->batch_count && !full; i++) {
        struct zsp_err error = {0};
        if (take_batch(engine, self, &completion->batches[i], &full, &error)) {
            reader_fail(engine, self, &error);
            return;
        }
        full = full || (is_full(self) && i + 1 < completion->batch_count);
    }
    if (full && is_part(self) && self->run_count >= self->run_max) {
        go_on(engine, self);
        return;
    }
    if (full) {
        answer(engine, self, "limit", NULL);
        return;
    }
    if (completion->covered.end_offset > self->next_offset) {
        self->next_offset = completion->covered.end_offset;
    }
    if (self->has_end && self->next_offset > self->end_offset && self->end_offset >= before) {
        self->next_offset = self->end_offset;
    }
    if (self->next_offset == before) {
        struct zsp_err error;
        zsp_err_set(&error, ZSP_EINTERNAL, "%s: partition %u: the store read nothing at %" PRIu64,
                    self->partition->topic->object, self->partition->index, before);
        reader_fail(engine, self, &error);
        return;
    }
    go_on(engine, self);
}

static void read_more(struct engine *engine, struct reader *self)
{
    const struct partition *const partition = self->partition;
    uint64_t left = self->max_bytes > self->bytes ? self->max_bytes - self->bytes : 1;
    /* A part is what one read of the store brings. */
    const uint64_t part = engine->options.part_bytes;
    left = self->wants_parts && left > part ? part : left;
    if (self->filter) {
        left = left < FILTERED_READ_MIN ? FILTERED_READ_MIN : left;
        left = left > FILTERED_READ_MAX ? FILTERED_READ_MAX : left;
    }
    const bool ends_before = self->has_end && self->end_offset < partition->synced_offset;
    const struct store_read read = {
        .part = partition->part,
        .from_offset = self->next_offset,
        .to_offset = ends_before ? self->end_offset : partition->synced_offset,
        .max_bytes = (uint32_t)left,
        .tag = engine_op_tag(&self->op),
    };
    struct zsp_err error = {0};
    self->op.done_fn = is_read;
    self->state = READER_READING;
    if (engine->store->ops->read(engine->store, &read, &error)) {
        reader_fail(engine, self, &error);
    }
}

/* Read, if the reply has room; else wait for it, or be refused. */
static void read_with_room(struct engine *engine, struct reader *self)
{
    const uint64_t part = ZSP_FRAME_MAX; /* a batch at least fits */
    const uint64_t wanted = self->wants_parts && self->max_bytes > part ? part : self->max_bytes;
    switch (self->has_room ? ENGINE_ROOM : reply_room(engine, &self->to, wanted)) {
    case ENGINE_ROOM:
        self->has_room = true;
        read_more(engine, self);
        break;
    case ENGINE_ROOM_LATER:
        wait_for_room(engine, self);
        break;
    case ENGINE_NO_ROOM:
        if (self->has_sent) {
            answer(engine, self, "limit", NULL); /* the client reads what is there, and goes on */
            break;
        }
        reply_no_room(engine, &self->to, false);
        reader_free(engine, self);
        break;
    }
}

void read_room_again(struct engine *engine)
{
    const struct reader *const last = engine->room_last; /* who waits on goes behind it */
    struct reader *next = NULL;
    for (struct reader *self = engine->room_first; self; self = next) {
        next = self == last ? NULL : self->room_next;
        unwait(engine, self);
        read_with_room(engine, self);
    }
}

/* Send a part, and wait until it has left: one at a time. */
static void go_on_in_parts(struct engine *engine, struct reader *self)
{
    const bool is_first = !self->has_sent;
    send_part(engine, self);
    if (is_first) {
        /* Its wait is over, but it can still be taken back. */
        parked_remove(engine, &self->parked);
    }
    if (is_first && parked_add(engine, &self->parked, &self->to, 0) < 0) {
        answer(engine, self, "limit", NULL);
        return;
    }
    wait_for_room(engine, self);
}

/* Has the topic more partitions than the client knows of? */
static bool has_grown(const struct reader *self)
{
    return self->known_partitions > 0 &&
           self->partition->topic->partition_count > self->known_partitions;
}

/* Decide what comes next; nothing is at work in the store. */
static void go_on(struct engine *engine, struct reader *self)
{
    const bool at_mark = self->next_offset >= self->partition->synced_offset;
    /* For the last eighth of a reply a batch is not cut: it would be read again for the rest. */
    const bool is_nearly_full =
        self->messages > 0 && self->max_bytes - self->bytes < self->max_bytes / 8;
    const bool has_looked_enough = !at_mark && self->looked >= FILTERED_MAX;
    if ((self->has_end && self->next_offset >= self->end_offset) ||
        ((self->messages > 0 || self->has_sent) && at_mark)) {
        answer(engine, self, "end", NULL);
    } else if ((is_full(self) || is_nearly_full || has_looked_enough) && !is_part(self)) {
        answer(engine, self, "limit", NULL);
    } else if (!at_mark && is_part(self)) {
        go_on_in_parts(engine, self);
    } else if (!at_mark) {
        read_with_room(engine, self);
    } else if (!self->may_wait) {
        answer(engine, self, self->ending, NULL);
    } else if (has_grown(self)) {
        answer(engine, self, "grown", NULL);
    } else {
        wait_for_more(engine, self);
    }
}

void reader_begin(struct engine *engine, struct reader *self)
{
    self->state = READER_READING;
    go_on(engine, self);
}

void read_advanced(struct engine *engine, struct partition *partition)
{
    const struct reader *const last = partition->reader_last; /* who waits on goes behind it */
    struct reader *next = NULL;
    for (struct reader *self = partition->reader_first; self; self = next) {
        next = self == last ? NULL : self->wait_next;
        if (!self->wants_room) {
            unwait(engine, self);
            go_on(engine, self);
        }
    }
}

void read_topic_grown(struct engine *engine, const struct topic *topic)
{
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        read_advanced(engine, topic->partitions[i]); /* who waits decides anew */
    }
}

void read_partition_gone(struct engine *engine, struct partition *partition,
                         const struct zsp_err *error)
{
    while (partition->reader_first) {
        reader_fail(engine, partition->reader_first, error);
    }
}

/* The wait ends from outside. */
static void wait_ends(struct engine *engine, struct parked *parked, enum parked_end why)
{
    struct reader *const self = reader_of(parked);
    const bool is_at_work = self->state != READER_WAITING;
    switch (why) {
    case PARKED_TIMEOUT:
    case PARKED_DRAIN:
        self->may_wait = false;
        self->ending = why == PARKED_TIMEOUT ? "timeout" : "shutting_down";
        if (!is_at_work && (why == PARKED_DRAIN || !self->wants_room)) {
            unwait(engine, self);
            answer(engine, self, self->ending, NULL);
        }
        break;
    case PARKED_CANCELLED:
        cancel(engine, self);
        self->is_abandoned = true;
        if (!is_at_work) {
            reader_free(engine, self);
        }
        break;
    case PARKED_ABANDONED:
        self->is_abandoned = true;
        if (!is_at_work) {
            reader_free(engine, self);
        }
        break;
    case PARKED_FAILED:
        unwait(engine, self);
        break;
    }
}

/* --- the verb ------------------------------------------------------------------------------- */

static void set_limits(struct reader *self, const struct read_args *args)
{
    self->max_messages = args->max_messages.set ? args->max_messages.value : MESSAGES_DEFAULT;
    self->max_bytes = args->max_bytes.set ? args->max_bytes.value : BYTES_DEFAULT;
    self->run_max = reply_runs_max(self->partition->topic->name.len);
    self->may_wait = args->wait_ms.value > 0;
    self->ending = "end";
    self->known_partitions = (uint32_t)args->partitions.value;
}

int verb_read(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct read_args args = {0};
    bool accepts_zstd = false;
    int rc =
        wire_args(request->args, read_table, sizeof read_table / sizeof read_table[0], &args, err);
    if (rc == 0 && args.accept) {
        rc = wire_get_accept(args.accept, "accept", &accepts_zstd, err);
    }
    if (rc == 0 && args.parts.value == 0 && args.max_bytes.value > ZSP_REPLY_MAX) {
        rc = zsp_err_set(err, ZSP_EBAD_VALUE, "max_bytes is %llu, without parts at most %u",
                         (unsigned long long)args.max_bytes.value, ZSP_REPLY_MAX);
        zsp_err_detail(err, "max_bytes", NULL, NULL);
    }
    if (rc != 0) {
        return rc;
    }
    struct topic *topic = NULL;
    struct partition *partition = NULL;
    rc = topic_require(engine, args.topic, &topic, err);
    if (rc == 0) {
        rc = topic_partition(topic, args.partition.value, &partition, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct reader *const self = reader_new(engine);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->partition = partition;
    self->to = request->to;
    self->accepts_zstd = accepts_zstd;
    self->wants_parts = args.parts.value != 0;
    set_limits(self, &args);
    self->parked.end_fn = wait_ends;
    rc = args.filter.data ? zsp_filter_new(args.filter, &self->filter, err) : 0;
    if (rc == 0) {
        rc = reader_resolve(engine, self, &args, err);
    }
    if (rc == 0 && parked_add(engine, &self->parked, &request->to, args.wait_ms.value)) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    if (rc != 0) {
        reader_free(engine, self);
        return rc;
    }
    reader_locate(engine, self);
    return 0;
}
