/* SPDX-License-Identifier: MPL-2.0 */
#include <stdlib.h>
#include <string.h>

#include "client/src/producer/producer_priv.h"

static struct zsp_err *err_copy(const struct zsp_err *err)
{
    struct zsp_err *copy = malloc(sizeof *copy);
    if (copy) {
        *copy = *err;
    }
    return copy;
}

/* Overwrites the oldest; without memory the fate is forgotten early. */
static void remember(struct zsp_fates *self, const zspool_report_t *report,
                     const struct zsp_err *err)
{
    if (self->count == self->capacity && self->capacity < ZSP_HISTORY_RUNS) {
        const size_t capacity = self->capacity == 0 ? 256 : self->capacity * 2;
        struct zsp_fate *items = realloc(self->items, capacity * sizeof *items);
        if (items) {
            self->items = items;
            self->capacity = capacity;
            self->next = self->count;
        }
    }
    if (self->capacity == 0) {
        return;
    }
    struct zsp_fate *fate = &self->items[self->next];
    if (self->count == self->capacity) {
        free(fate->err);
    } else {
        self->count++;
    }
    fate->report = *report;
    fate->err = err ? err_copy(err) : NULL;
    self->next = (self->next + 1) % self->capacity;
}

static bool report_room(struct zspool_producer *self)
{
    if (self->report_count < self->report_capacity) {
        return true;
    }
    const size_t capacity = self->report_capacity == 0 ? 64 : self->report_capacity * 2;
    zspool_report_t *reports = calloc(capacity, sizeof *reports);
    if (!reports) {
        return false;
    }
    for (size_t i = 0; i < self->report_count; i++) {
        const size_t from = self->report_first + i; /* never twice around */
        reports[i] =
            self->reports[from < self->report_capacity ? from : from - self->report_capacity];
    }
    free(self->reports);
    self->reports = reports;
    self->report_first = 0;
    self->report_capacity = capacity;
    return true;
}

static void queue_report(struct zspool_producer *self, const zspool_report_t *report)
{
    const bool wanted = self->options.reporting == ZSPOOL_REPORT_ALL ||
                        (self->options.reporting == ZSPOOL_REPORT_FAILED && report->status != 0);
    if (wanted && report_room(self)) {
        self->reports[(self->report_first + self->report_count) % self->report_capacity] = *report;
        self->report_count++;
    }
}

static void watch_written(struct zspool_producer *self, struct zsp_route *route, uint64_t last_seq,
                          const zspool_report_t *report)
{
    if (!self->written) {
        self->written = calloc(ZSP_WRITTEN_RUNS, sizeof *self->written);
    }
    if (self->written) {
        self->written[self->written_next] = (struct zsp_written){route, last_seq, *report};
        self->written_next = (self->written_next + 1) % ZSP_WRITTEN_RUNS;
        self->written_count += self->written_count < ZSP_WRITTEN_RUNS ? 1 : 0;
    }
}

static void fail(struct zspool_producer *self, const zspool_report_t *report,
                 const struct zsp_err *err)
{
    remember(&self->failed, report, err);
    queue_report(self, report);
    if (self->first_failure.code == 0) {
        self->first_failure = *err;
        self->first_failure.maybe = report->maybe;
    }
}

/* --- Where the records are ------------------------------------------------------------------- */

/* A row of a confirm: records of the body, [index, end). */
struct row {
    uint64_t index, end;
    uint64_t first;
    bool duplicate;
};

static bool read_row(const msgpack_object *object, struct row *ret)
{
    struct row row = {.first = ZSPOOL_OFFSET_UNKNOWN};
    uint64_t count;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 5) {
        return false;
    }
    const msgpack_object *items = object->via.array.ptr;
    if (wire_get_uint(&items[0], "index", UINT32_MAX, &row.index, NULL) != 0 ||
        wire_get_uint(&items[1], "count", UINT32_MAX, &count, NULL) != 0 || count == 0) {
        return false;
    }
    (void)wire_get_uint(&items[3], "first", UINT64_MAX - 1, &row.first, NULL); /* or nil */
    row.end = row.index + count;
    row.duplicate = items[4].type == MSGPACK_OBJECT_BOOLEAN && items[4].via.boolean;
    *ret = row;
    return true;
}

/* The row of record `index`; *at is where the last one was. Without rows all is as it was told. */
static struct row row_of(const struct zsp_batch *batch, const zspool_report_t *told, uint64_t index,
                         uint32_t *at)
{
    const msgpack_object *rows = batch->at;
    const uint32_t count = rows && rows->type == MSGPACK_OBJECT_ARRAY ? rows->via.array.size : 0;
    struct row row;
    for (; count > 1 && *at < count; (*at)++) {
        if (read_row(&rows->via.array.ptr[*at], &row) && index >= row.index && index < row.end) {
            return row;
        }
    }
    return (struct row){0, UINT64_MAX, count > 1 ? ZSPOOL_OFFSET_UNKNOWN : told->first_offset,
                        told->duplicate};
}

void zsp_batch_report(struct zsp_batch *batch, const zspool_report_t *told,
                      const struct zsp_err *err)
{
    struct zspool_producer *self = batch->producer;
    zspool_report_t report = *told;
    report.topic = batch->route->topic->name;
    report.partition = batch->route->partition;
    uint64_t index = 0;
    uint64_t in_run = 0;
    uint32_t at = 0;
    for (size_t i = 0; i < batch->run_count;) {
        const struct row row = row_of(batch, told, index, &at);
        const uint64_t left = batch->runs[i].count - in_run;
        report.first_ticket = batch->runs[i].first + in_run;
        report.count = left < row.end - index ? left : row.end - index;
        report.duplicate = row.duplicate;
        report.first_offset = row.first == ZSPOOL_OFFSET_UNKNOWN ? ZSPOOL_OFFSET_UNKNOWN
                                                                 : row.first + (index - row.index);
        if (err) {
            fail(self, &report, err);
        } else {
            remember(&self->kept, &report, NULL);
            queue_report(self, &report);
        }
        index += report.count;
        in_run += report.count;
        if (in_run == batch->runs[i].count) {
            in_run = 0;
            i++;
        }
        if (!err && report.level == ZSPOOL_WRITTEN) {
            watch_written(self, batch->route, batch->seq + index - 1, &report);
        }
    }
    batch->reported = true;
    zsp_producer_update_ready(self);
    zsp_link_notify(self->client->link);
}

void zsp_batch_resolve(struct zsp_batch *batch, const zspool_report_t *told,
                       const struct zsp_err *err)
{
    struct zspool_producer *self = batch->producer;
    if (!batch->reported) {
        zsp_batch_report(batch, told, err);
    }
    zsp_route_take(batch);
    zsp_batch_drop(batch);
    zsp_producer_update_ready(self);
    zsp_link_notify(self->client->link);
}

void zsp_producer_report_losses(struct zspool_producer *self)
{
    struct zsp_err err = {0};
    zsp_err_set(&err, ZSP_ESTORAGE_FAILED,
                "confirmed as written, and lost: the broker's machine went down");
    for (size_t i = 0; i < self->written_count; i++) {
        struct zsp_written *written = &self->written[i];
        if (!written->route || written->last_seq <= written->route->broker_seq) {
            continue;
        }
        zspool_report_t report = written->report;
        report.status = ZSPOOL_ESTORAGE_FAILED;
        report.lost = true;
        report.first_offset = ZSPOOL_OFFSET_UNKNOWN;
        fail(self, &report, &err);
        written->route = NULL;
    }
}

bool zsp_producer_has_room(const struct zspool_producer *self, size_t bytes)
{
    const size_t max = self->options.max_bytes;
    const bool fits = self->bytes == 0 || (self->bytes < max && bytes <= max - self->bytes);
    return fits && self->report_count < ZSP_REPORTS_MAX;
}

bool zsp_producer_room_is_told(const struct zspool_producer *self)
{
    return self->want_room && zsp_producer_has_room(self, self->wanted_bytes);
}

void zsp_producer_update_ready(struct zspool_producer *self)
{
    zsp_client_set_ready(self->client, &self->ready,
                         self->report_count > 0 || zsp_producer_room_is_told(self));
}

static void fates_free(struct zsp_fates *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].err);
    }
    free(self->items);
}

void zsp_producer_free_reports(struct zspool_producer *self)
{
    fates_free(&self->kept);
    fates_free(&self->failed);
    free(self->reports);
    free(self->written);
}
