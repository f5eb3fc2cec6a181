/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/publish_many.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/engine_priv.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/publish_priv.h"
#include "common/assert.h"
#include "common/name.h"

#define ROWS_BYTES (ZSP_HEADER_MAX / 4) /* so many leave at once */
#define ROW_BYTES  (ZSP_HEADER_MAX / 2) /* the largest row; with those before it fits a header */

/* --- reading ------------------------------------------------------------------------- */

struct many_args {
    const msgpack_object *batches;
    struct zsp_slice level, producer;
    struct wire_uint epoch;
};

#define PLACE(field) offsetof(struct many_args, field)
static const struct wire_arg many_table[] = {
    {"batches", WIRE_ARRAY, PLACE(batches), true, 1, ZSP_BATCHES_MAX},
    {"level", WIRE_STR, PLACE(level), false, 0, 0},
    {"producer", WIRE_NAME, PLACE(producer), false, 0, 0},
    {"epoch", WIRE_UINT, PLACE(epoch), false, 1, UINT32_MAX},
};
#undef PLACE

/* The last element of a row. */
#define PLACE(field) offsetof(struct body_args, field)
static const struct wire_arg extras_table[] = {BODY_TERMS(PLACE)};
#undef PLACE

/* One row of `batches`. */
struct batch_row {
    struct publish_args args;
    size_t bytes; /* of its records in the body */
};

/* A number that may be nil or left out. */
static int read_number(const msgpack_object *row, uint32_t index, const struct wire_arg *what,
                       struct wire_uint *ret, struct zsp_err *err)
{
    if (index >= row->via.array.size || row->via.array.ptr[index].type == MSGPACK_OBJECT_NIL) {
        return 0;
    }
    const int rc = wire_get_ranged(&row->via.array.ptr[index], what->name, what->min, what->max,
                                   &ret->value, err);
    ret->set = rc == 0;
    return rc;
}

/* row = [topic, bytes, partition?, count?, seq?, partitions?, extras?] */
static int read_row(const msgpack_object *row, struct batch_row *ret, struct zsp_err *err)
{
    static const struct wire_arg bytes = {"bytes", WIRE_UINT, 0, true, 1, ZSP_FRAME_MAX};
    static const struct wire_arg partition = {"partition", WIRE_UINT, 0,
                                              false,       0,         ZSP_PARTITIONS_MAX - 1};
    static const struct wire_arg count = {"count", WIRE_UINT, 0, false, 1, UINT32_MAX};
    static const struct wire_arg seq = {"seq", WIRE_UINT, 0, false, 1, INT64_MAX};
    static const struct wire_arg partitions = {"partitions", WIRE_UINT, 0,
                                               false,        1,         ZSP_PARTITIONS_MAX};
    *ret = (struct batch_row){0};
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 2 || row->via.array.size > 7) {
        return zsp_err_set_about(err, ZSP_EBAD_TYPE, "batches",
                                 "a batch is an array of 2 to 7 elements");
    }
    struct body_args *const body = &ret->args.body;
    struct wire_uint len = {0};
    int rc = wire_get_str(&row->via.array.ptr[0], "topic", &body->topic, err);
    if (rc == 0) {
        rc = zsp_name_check("topic", body->topic, err);
    }
    if (rc == 0) {
        rc = read_number(row, 1, &bytes, &len, err);
    }
    if (rc == 0) {
        rc = read_number(row, 2, &partition, &body->partition, err);
    }
    if (rc == 0) {
        rc = read_number(row, 3, &count, &body->count, err);
    }
    if (rc == 0) {
        rc = read_number(row, 4, &seq, &ret->args.seq, err);
    }
    if (rc == 0) {
        rc = read_number(row, 5, &partitions, &body->partitions, err);
    }
    if (rc == 0 && row->via.array.size == 7) {
        rc = row->via.array.ptr[6].type != MSGPACK_OBJECT_MAP
                 ? zsp_err_set_about(err, ZSP_EBAD_TYPE, "batches",
                                     "the last element of a batch is a map")
                 : wire_args(&row->via.array.ptr[6], extras_table,
                             sizeof extras_table / sizeof extras_table[0], body, err);
    }
    ret->bytes = (size_t)len.value;
    return rc;
}

/* All rows, which together are the body. The caller frees them. */
static int read_rows(const struct many_args *args, size_t body_len, struct batch_row **ret,
                     struct zsp_err *err)
{
    const msgpack_object_array *const list = &args->batches->via.array;
    struct batch_row *const rows = malloc(list->size * sizeof *rows);
    if (!rows) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    size_t left = body_len;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < list->size; i++) {
        rc = read_row(&list->ptr[i], &rows[i], err);
        if (rc != 0) {
            zsp_err_wrap(err, "batch %u", i);
        } else if (rows[i].bytes > left || rows[i].bytes == 0) {
            rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "batches",
                                   "batch %u: %zu bytes, the body has %zu more", i, rows[i].bytes,
                                   left);
        } else {
            left -= rows[i].bytes;
            rows[i].args.producer = args->producer;
            rows[i].args.epoch = args->epoch;
        }
    }
    if (rc == 0 && left > 0) {
        rc = zsp_err_set_about(err, ZSP_EBAD_VALUE, "batches",
                               "%zu bytes of the body are of no batch", left);
    }
    if (rc != 0) {
        free(rows);
        return rc;
    }
    *ret = rows;
    return 0;
}

/* --- the answer ------------------------------------------------------------------------- */

static void many_free(struct publish_many *self)
{
    LIST_REMOVE(self, link);
    zsp_writer_fini(&self->rows);
    free(self);
}

/* Answer with what is known and not told. */
static void tell(struct engine *engine, struct publish_many *self)
{
    const bool is_over = self->left == 0;
    struct zsp_writer *const out =
        is_over ? reply_begin(engine, &self->to) : reply_begin_part(engine, &self->to);
    wire_write_map(out, 3);
    wire_write_text(out, "rows");
    wire_write_array(out, self->row_count);
    zsp_write_bytes(out, zsp_writer_slice(&self->rows));
    wire_write_text(out, "timestamp_ms");
    wire_write_int(out, self->timestamp_ms);
    wire_write_text(out, "level");
    wire_write_text(out, self->level == STORE_WRITTEN ? "written" : "synced");
    out->failed = out->failed || self->rows.failed;
    reply_end(engine);
    zsp_writer_reset(&self->rows);
    self->row_count = 0;
}

struct zsp_writer *publish_many_row(struct publish_many *self, uint32_t index)
{
    self->row_pos = self->rows.len;
    self->row_index = index;
    return &self->rows;
}

static void write_refusal(struct publish_many *self, const struct zsp_err *error)
{
    wire_write_array(&self->rows, 3);
    wire_write_uint(&self->rows, self->row_index);
    wire_write_nil(&self->rows);
    wire_write_error_map(&self->rows, error);
}

void publish_many_row_end(struct engine *engine, struct publish_many *self)
{
    const size_t len = self->rows.len - self->row_pos;
    if (len > ROW_BYTES) {
        struct zsp_err error;
        zsp_err_set_about(&error, ZSP_ETOO_LARGE, "batches",
                          "the answer takes %zu bytes, a row of it at most %u", len, ROW_BYTES);
        error.maybe = true;
        self->rows.len = self->row_pos;
        write_refusal(self, &error);
    }
    zsp_assert(self->left > 0);
    self->left--;
    self->row_count++;
    if (self->left == 0) {
        tell(engine, self);
        if (!self->is_due) {
            many_free(self);
        }
    } else if (self->rows.len > ROWS_BYTES) {
        tell(engine, self);
    } else if (!self->is_due) {
        self->is_due = true;
        self->next = engine->many_due;
        engine->many_due = self;
    }
}

void publish_many_refuse(struct engine *engine, struct publish_many *self, uint32_t index,
                         const struct zsp_err *error)
{
    struct zsp_err told = *error;
    told.code = told.code <= ZSP_EINVAL ? ZSP_EINTERNAL : told.code;
    (void)publish_many_row(self, index);
    write_refusal(self, &told);
    publish_many_row_end(engine, self);
}

void publish_many_tell(struct engine *engine)
{
    while (engine->many_due) {
        struct publish_many *const self = engine->many_due;
        engine->many_due = self->next;
        self->is_due = false;
        if (self->left == 0) {
            many_free(self);
        } else if (self->row_count > 0 && !engine->failed) {
            tell(engine, self);
        }
    }
}

void publish_many_free_all(struct engine *engine)
{
    engine->many_due = NULL;
    while (!LIST_EMPTY(&engine->many_list)) {
        many_free(LIST_FIRST(&engine->many_list));
    }
}

/* --- the verb ------------------------------------------------------------------------------ */

uint32_t publish_many_count(const msgpack_object *args)
{
    const msgpack_object *const list = wire_map_find(args, "batches");
    return list && list->type == MSGPACK_OBJECT_ARRAY ? list->via.array.size : 0;
}

/* What holds for all of them. Errors: definite */
static int read_origin(struct engine *engine, const struct many_args *args,
                       const struct request *request, struct publish_origin *ret,
                       struct zsp_err *err)
{
    if (request->to.id == 0) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST,
                           "many batches need a session: their answer may come in parts");
    }
    ret->to = request->to;
    int rc = publish_read_level(args->level, &ret->level, err);
    if (rc == 0 && args->epoch.set && !args->producer.data) {
        zsp_err_set(err, ZSP_EBAD_VALUE, "a sequenced publish needs the argument producer");
        zsp_err_detail(err, "producer", NULL, NULL);
        return ZSP_EBAD_VALUE;
    }
    if (rc == 0 && args->producer.data) {
        rc = producer_check(engine, args->producer, args->epoch.value, &ret->producer, err);
    }
    return rc;
}

static struct publish_many *many_new(struct engine *engine, const struct publish_origin *origin,
                                     uint32_t count)
{
    struct publish_many *const self = calloc(1, sizeof *self);
    if (self) {
        self->to = origin->to;
        self->level = origin->level;
        self->timestamp_ms = engine->now.wall_ms;
        self->left = count;
        LIST_INSERT_HEAD(&engine->many_list, self, link);
    }
    return self;
}

/* Small ones are copied by whoever receives them, too: no batch keeps the memory of the others. */
static void begin_row(struct engine *engine, const struct publish_origin *origin,
                      const struct batch_row *row, struct zsp_slice records)
{
    struct zsp_err error = {0};
    struct zsp_buf *frame = zsp_buf_copy(records);
    const int rc = frame ? publish_take(engine, origin, &row->args, frame, &error)
                         : zsp_err_set(&error, ZSP_ENOMEM, "out of memory");
    zsp_buf_put(&frame);
    if (rc != 0) {
        publish_many_refuse(engine, origin->many, origin->row, &error);
    }
}

int publish_many_begin(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct many_args args = {0};
    struct publish_origin origin = {0};
    struct batch_row *rows = NULL;
    int rc =
        wire_args(request->args, many_table, sizeof many_table / sizeof many_table[0], &args, err);
    if (rc == 0) {
        rc = read_origin(engine, &args, request, &origin, err);
    }
    if (rc == 0) {
        rc = read_rows(&args, request->bodies[0]->len, &rows, err);
    }
    if (rc != 0) {
        return rc;
    }
    zsp_assert(rows);
    const uint32_t count = args.batches->via.array.size;
    origin.many = many_new(engine, &origin, count);
    if (!origin.many) {
        free(rows);
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    const uint8_t *pos = request->bodies[0]->data;
    for (uint32_t i = 0; i < count; i++) {
        origin.row = i;
        begin_row(engine, &origin, &rows[i], (struct zsp_slice){pos, rows[i].bytes});
        pos += rows[i].bytes;
    }
    free(rows);
    return 0;
}
