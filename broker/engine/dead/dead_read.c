/* SPDX-License-Identifier: MPL-2.0
 *
 * DEAD.READ: the messages of runs that are dead, with what is known of them. It changes nothing. The
 * runs are looked up when the request comes; then the store is asked for one stretch after the other
 * until the reply is full.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/batch/batch_walk.h"
#include "broker/engine/dead/dead_verbs.h"
#include "common/assert.h"

#define MESSAGES_DEFAULT 1000u
#define BYTES_DEFAULT    (1u * ZSP_MIB)
/* Bytes of the header for one run and what it failed of, beside the topic's name; and for the rest. */
#define RUN_BYTES    (ZSP_REASONS_KEPT * (ZSP_REASON_MAX + 3u) + 128u)
#define HEADER_SPARE 1024u

/* A stretch to be read, of which all the same is known. */
struct dead_piece {
    uint64_t topic_id;
    uint32_t partition;
    struct run_span span; /* holds a reference on its reasons */
};

/* What goes into the reply. */
struct dead_found {
    struct batch_piece piece; /* holds a reference on part.buf */
    size_t of;                /* the piece of `pieces` that it belongs to */
    int64_t timestamp_ms;
    uint8_t priority;
};

struct dead_read {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    LIST_ENTRY(dead_read) link;
    struct dead_piece *pieces;
    size_t piece_count, piece_capacity;
    size_t at;            /* the piece being read, */
    uint64_t next_offset; /* from here on */
    struct dead_found *found;
    size_t found_count, found_capacity;
    uint64_t max_messages, max_bytes;
    uint64_t messages, bytes; /* gathered */
    size_t header_bytes;      /* that `found` takes, at most */
    bool accepts_zstd;
    bool is_cut; /* more runs were asked for than `pieces` has */
};

/* --- The object ------------------------------------------------------------------------------ */

static void end(const struct groups *self, struct dead_read *read)
{
    LIST_REMOVE(read, link);
    for (size_t i = 0; i < read->found_count; i++) {
        zsp_buf_put(&read->found[i].piece.part.buf);
    }
    for (size_t i = 0; i < read->piece_count; i++) {
        reasons_drop(self->slab.reasons, read->pieces[i].span.run.reasons);
    }
    free(read->found);
    free(read->pieces);
    free(read);
}

void dead_reads_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->dead_reads)) {
        end(self, LIST_FIRST(&self->dead_reads));
    }
}

static struct dead_read *new_read(struct groups *self, const struct reply_to *to)
{
    struct dead_read *const read = calloc(1, sizeof *read);
    if (read) {
        read->to = *to;
        LIST_INSERT_HEAD(&self->dead_reads, read, link);
    }
    return read;
}

static void fail(struct engine *engine, struct dead_read *read, const struct zsp_err *error)
{
    reply_error(engine, &read->to, error);
    end(engine->groups, read);
}

/* --- The answer ------------------------------------------------------------------------------- */

/* A piece's topic was there when its messages were read, and may have gone since. */
static const struct topic *topic_of(const struct engine *engine, const struct dead_piece *piece)
{
    return topic_by_id(engine, piece->topic_id);
}

static void write_runs(struct engine *engine, struct zsp_writer *out, const struct dead_read *read)
{
    wire_write_text(out, "runs");
    wire_write_array(out, (uint32_t)read->found_count);
    for (size_t i = 0; i < read->found_count; i++) {
        const struct dead_found *const found = &read->found[i];
        const struct dead_piece *const piece = &read->pieces[found->of];
        const struct wire_run run = {
            .topic = topic_of(engine, piece)->name,
            .partition = piece->partition,
            .first = found->piece.slice.first_offset,
            .count = found->piece.slice.count,
            .timestamp_ms = found->timestamp_ms,
            .deliveries = piece->span.run.deliveries,
            .failures = piece->span.run.failures,
            .priority = found->priority,
            .raw_bytes = found->piece.raw_bytes,
            .skip = found->piece.skip,
        };
        wire_write_run(out, &run);
        reply_body(engine, &found->piece.part);
    }
}

static void write_dead(const struct groups *self, struct zsp_writer *out,
                       const struct dead_read *read)
{
    const struct reasons *const reasons = self->slab.reasons;
    wire_write_text(out, "dead");
    wire_write_array(out, (uint32_t)read->found_count);
    for (size_t i = 0; i < read->found_count; i++) {
        const struct run *const run = &read->pieces[read->found[i].of].span.run;
        const uint32_t count = reasons_count(reasons, run->reasons);
        wire_write_array(out, 2);
        wire_write_uint(out, (uint64_t)run->due_ms);
        wire_write_array(out, count);
        for (uint32_t k = 0; k < count; k++) {
            wire_write_str(out, reasons_text(reasons, run->reasons, k));
        }
    }
}

static void answer(struct engine *engine, struct dead_read *read)
{
    struct zsp_err error;
    for (size_t i = 0; i < read->found_count; i++) {
        if (!topic_of(engine, &read->pieces[read->found[i].of])) {
            (void)catalog_went_meanwhile(&error, "topic", "the topic");
            fail(engine, read, &error);
            return;
        }
    }
    const bool more = read->is_cut || read->at < read->piece_count;
    struct zsp_writer *const out = reply_begin(engine, &read->to);
    wire_write_map(out, 3);
    write_runs(engine, out, read);
    write_dead(engine->groups, out, read);
    wire_write_text_bool(out, "more", more);
    reply_end(engine);
    end(engine->groups, read);
}

/* --- Reading ----------------------------------------------------------------------------------- */

static void read_on(struct engine *engine, struct dead_read *read);

static bool is_full(const struct dead_read *read)
{
    return read->messages >= read->max_messages ||
           (read->messages > 0 && read->bytes >= read->max_bytes) ||
           read->header_bytes > ZSP_HEADER_MAX - HEADER_SPARE - RUN_BYTES - ZSP_NAME_MAX ||
           read->found_count >= ZSP_RUNS_MAX;
}

static int add(struct dead_read *read, const struct store_batch *batch,
               const struct batch_piece *piece)
{
    if (read->found_count == read->found_capacity) {
        const size_t capacity = read->found_capacity > 0 ? read->found_capacity * 2 : 8;
        struct dead_found *const grown = realloc(read->found, capacity * sizeof *grown);
        if (!grown) {
            return ZSP_ENOMEM;
        }
        read->found = grown;
        read->found_capacity = capacity;
    }
    (void)zsp_buf_get(piece->part.buf);
    read->found[read->found_count++] =
        (struct dead_found){*piece, read->at, batch->timestamp_ms, batch->priority};
    read->messages += piece->slice.count;
    read->bytes += piece->slice.len;
    read->header_bytes += RUN_BYTES + ZSP_NAME_MAX;
    return 0;
}

static int take(struct engine *engine, struct dead_read *read, const struct store_batch *batch,
                struct zsp_err *err)
{
    const struct dead_piece *const piece = &read->pieces[read->at];
    const struct topic *const topic = topic_of(engine, piece);
    const struct store_range range = {read->next_offset, piece->span.end};
    const struct batch_limits limits = {
        .max_messages = read->max_messages - read->messages,
        .max_bytes = read->max_bytes > read->bytes ? read->max_bytes - read->bytes : 0,
        .first_fits = read->messages == 0,
    };
    const struct batch_reader reader = {.unpack = &engine->unpack,
                                        .partition = topic->partitions[piece->partition],
                                        .accepts_zstd = read->accepts_zstd};
    struct batch_walk walk;
    struct batch_piece got = {0};
    batch_walk_begin(&walk, batch);
    int rc = batch_walk_take(&walk, &reader, range, &limits, &got, err);
    if (rc == 0 && got.slice.count > 0) {
        rc = add(read, batch, &got);
        read->next_offset = got.slice.first_offset + got.slice.count;
    }
    if (rc == 0 && got.slice.is_cut) {
        read->max_messages = read->messages; /* that was the last one that fits */
    }
    batch_walk_end(&walk);
    return rc == 0 || err->code != 0 ? rc : zsp_err_set(err, rc, "dead: out of memory");
}

static void is_read(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct dead_read *const read = (struct dead_read *)op;
    struct zsp_err error = completion->error;
    if (error.code == 0 && !topic_of(engine, &read->pieces[read->at])) {
        (void)catalog_went_meanwhile(&error, "topic", "the topic");
    }
    for (uint32_t i = 0; i < completion->batch_count && error.code == 0 && !is_full(read); i++) {
        (void)take(engine, read, &completion->batches[i], &error);
    }
    if (error.code != 0) {
        fail(engine, read, &error);
        return;
    }
    if (!is_full(read) && completion->covered.end_offset > read->next_offset) {
        read->next_offset =
            completion->covered.end_offset; /* the rest of it is not there any more */
    }
    read_on(engine, read);
}

static int ask(struct engine *engine, struct dead_read *read, struct zsp_err *err)
{
    const struct dead_piece *const piece = &read->pieces[read->at];
    const struct topic *const topic = topic_of(engine, piece);
    if (!topic) {
        return catalog_went_meanwhile(err, "topic", "the topic");
    }
    const uint64_t left = read->max_bytes > read->bytes ? read->max_bytes - read->bytes : 1;
    const struct store_read wanted = {
        .part = topic->partitions[piece->partition]->part,
        .from_offset = read->next_offset,
        .to_offset = piece->span.end,
        .max_bytes = (uint32_t)left,
        .tag = engine_op_tag(&read->op),
    };
    read->op.done_fn = is_read;
    return engine->store->ops->read(engine->store, &wanted, err);
}

static void read_on(struct engine *engine, struct dead_read *read)
{
    struct zsp_err error = {0};
    while (read->at < read->piece_count && read->next_offset >= read->pieces[read->at].span.end) {
        read->at++;
        read->next_offset = read->at < read->piece_count ? read->pieces[read->at].span.first : 0;
    }
    if (read->at == read->piece_count || is_full(read)) {
        answer(engine, read);
    } else if (ask(engine, read, &error) < 0) {
        fail(engine, read, &error);
    }
}

/* --- The request ----------------------------------------------------------------------------------- */

static const struct wire_arg read_table[] = {
    {"group", WIRE_NAME, DEAD_ARG(group), true, 0, 0},
    {"runs", WIRE_ARRAY, DEAD_ARG(runs), true, 1, ZSP_RUNS_MAX},
    {"max_messages", WIRE_UINT, DEAD_ARG(max_messages), false, 1, UINT32_MAX},
    {"max_bytes", WIRE_UINT, DEAD_ARG(max_bytes), false, 1, ZSP_REPLY_MAX},
    {"accept", WIRE_ARRAY, DEAD_ARG(accept), false, 0, ZSP_CODECS_MAX},
};

struct choosing {
    struct groups *groups;
    struct dead_read *read;
};

static int choose(void *arg, struct ledger *ledger, const struct run_span *span)
{
    const struct choosing *const self = arg;
    struct dead_read *const read = self->read;
    if (read->piece_count == read->piece_capacity) {
        const size_t capacity = read->piece_capacity > 0 ? read->piece_capacity * 2 : 8;
        struct dead_piece *const grown = realloc(read->pieces, capacity * sizeof *grown);
        if (!grown) {
            return ZSP_ENOMEM;
        }
        read->pieces = grown;
        read->piece_capacity = capacity;
    }
    read->pieces[read->piece_count++] = (struct dead_piece){
        .topic_id = ledger_topic_id(ledger),
        .partition = ledger_partition_index(ledger),
        .span = *span,
    };
    reasons_hold(self->groups->slab.reasons, span->run.reasons);
    read->is_cut = read->piece_count == ZSP_RUNS_MAX; /* a reply is hardly for so many */
    return read->is_cut ? 1 : 0;
}

int verb_dead_read(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct dead_args args = {0};
    struct group *group = NULL;
    bool accepts_zstd = false;
    int rc =
        wire_args(request->args, read_table, sizeof read_table / sizeof read_table[0], &args, err);
    if (rc == 0 && args.accept) {
        rc = wire_get_accept(args.accept, "accept", &accepts_zstd, err);
    }
    if (rc == 0) {
        rc = group_require(engine, args.group, &group, err);
    }
    struct dead_read *const read = rc == 0 ? new_read(engine->groups, &request->to) : NULL;
    if (!read) {
        return rc < 0 ? rc : zsp_err_set(err, ZSP_ENOMEM, "dead: out of memory");
    }
    read->accepts_zstd = accepts_zstd;
    read->max_messages = args.max_messages.set ? args.max_messages.value : MESSAGES_DEFAULT;
    read->max_bytes = args.max_bytes.set ? args.max_bytes.value : BYTES_DEFAULT;
    struct choosing choosing = {engine->groups, read};
    rc = dead_read_runs(group, &args, choose, &choosing, err);
    if (rc < 0) {
        end(engine->groups, read);
        return err->code != 0 ? rc : zsp_err_set(err, rc, "dead: %s", zsp_strerror(rc));
    }
    if (reply_room(engine, &read->to, read->max_bytes) != ENGINE_ROOM) {
        reply_no_room(engine, &read->to, false);
        end(engine->groups, read);
        return 0;
    }
    read->next_offset = read->pieces[0].span.first;
    read_on(engine, read);
    return 0;
}
