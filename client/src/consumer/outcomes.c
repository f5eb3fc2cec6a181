/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/consumer/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

#define SRUN_BYTES_MAX (ZSP_NAME_MAX + 96u) /* one srun without its reason, encoded */

void zsp_outcomes_reset(struct zsp_outcomes *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].reason);
    }
    self->count = 0;
}

void zsp_outcomes_fini(struct zsp_outcomes *self)
{
    zsp_outcomes_reset(self);
    free(self->items);
    *self = (struct zsp_outcomes){0};
}

static bool same_kind(const struct zsp_outcome_run *a, const struct zsp_outcome_run *b)
{
    return a->partition == b->partition && a->lease == b->lease && a->outcome == b->outcome &&
           a->is_unseen == b->is_unseen && a->has_delay == b->has_delay &&
           a->delay_ms == b->delay_ms && !a->reason && !b->reason &&
           (a->topic == b->topic || strcmp(a->topic, b->topic) == 0);
}

static bool make_room(struct zsp_outcomes *self, size_t more)
{
    if (more <= self->capacity - self->count) {
        return true;
    }
    size_t capacity = self->capacity == 0 ? 64 : self->capacity;
    while (capacity - self->count < more) {
        capacity *= 2;
    }
    struct zsp_outcome_run *items = realloc(self->items, capacity * sizeof *items);
    if (!items) {
        return false;
    }
    self->items = items;
    self->capacity = capacity;
    return true;
}

int zsp_outcomes_add(struct zsp_outcomes *self, const struct zsp_outcome_run *run)
{
    if (self->count > 0) {
        struct zsp_outcome_run *last = &self->items[self->count - 1];
        if (same_kind(last, run) && last->first + last->count == run->first) {
            last->count += run->count;
            return 0;
        }
    }
    if (!make_room(self, 1)) {
        return ZSP_ENOMEM;
    }
    struct zsp_outcome_run copy = *run;
    if (run->reason) {
        copy.reason = malloc(run->reason_len + 1);
        if (!copy.reason) {
            return ZSP_ENOMEM;
        }
        memcpy(copy.reason, run->reason, run->reason_len);
        copy.reason[run->reason_len] = '\0';
    }
    self->items[self->count++] = copy;
    return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare(const void *left, const void *right)
{
    const struct zsp_outcome_run *a = left;
    const struct zsp_outcome_run *b = right;
    int order = strcmp(a->topic, b->topic);
    order = order ? order : compare_numbers(a->partition, b->partition);
    order = order ? order : compare_numbers(a->first, b->first);
    order = order ? order : compare_numbers(a->lease, b->lease);
    return order ? order : compare_numbers((uint64_t)a->outcome, (uint64_t)b->outcome);
}

void zsp_outcomes_join(struct zsp_outcomes *self)
{
    if (self->count < 2) {
        return;
    }
    qsort(self->items, self->count, sizeof *self->items, compare);
    size_t kept = 1;
    for (size_t i = 1; i < self->count; i++) {
        struct zsp_outcome_run *last = &self->items[kept - 1];
        const struct zsp_outcome_run *run = &self->items[i];
        if (same_kind(last, run) && last->first + last->count == run->first) {
            last->count += run->count;
        } else {
            self->items[kept++] = *run;
        }
    }
    self->count = kept;
}

static bool same_log(const struct zsp_outcome_run *a, const struct zsp_outcome_run *b)
{
    return a->partition == b->partition &&
           (a->topic == b->topic || strcmp(a->topic, b->topic) == 0);
}

bool zsp_outcomes_meet(const struct zsp_outcomes *self, const struct zsp_outcome_run *run)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct zsp_outcome_run *other = &self->items[i];
        const bool meets = run->first >= other->first ? run->first - other->first < other->count
                                                      : other->first - run->first < run->count;
        if (meets && run->lease != other->lease && same_log(run, other)) {
            return true;
        }
    }
    return false;
}

size_t zsp_outcomes_apart(const struct zsp_outcomes *self, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        /* Those before are apart, and sorted: the last one reaches farthest. */
        const struct zsp_outcome_run *last = &self->items[i - 1];
        const struct zsp_outcome_run *run = &self->items[i];
        if (run->first - last->first < last->count && same_log(run, last)) {
            return i;
        }
    }
    return count;
}

int zsp_outcomes_move(struct zsp_outcomes *self, size_t count, struct zsp_outcomes *to)
{
    if (!make_room(to, count)) {
        return ZSP_ENOMEM;
    }
    memcpy(to->items + to->count, self->items, count * sizeof *self->items);
    to->count += count;
    self->count -= count;
    memmove(self->items, self->items + count, self->count * sizeof *self->items);
    return 0;
}

size_t zsp_outcomes_fit(const struct zsp_outcomes *self, uint64_t header_max, uint64_t run_max)
{
    uint64_t bytes = 2u * ZSP_NAME_MAX;
    size_t fit = 0;
    while (fit < self->count && fit < run_max) {
        bytes += SRUN_BYTES_MAX + self->items[fit].reason_len;
        if (bytes > header_max && fit > 0) {
            break;
        }
        fit++;
    }
    return fit;
}

void zsp_outcomes_write(const struct zsp_outcomes *self, const char *group, struct zsp_writer *out)
{
    wire_write_map(out, 2);
    wire_write_text_str(out, "group", zsp_slice_str(group));
    wire_write_text(out, "runs");
    zsp_outcomes_write_runs(self, out);
}

void zsp_outcomes_write_runs(const struct zsp_outcomes *self, struct zsp_writer *out)
{
    wire_write_array(out, (uint32_t)self->count);
    for (size_t i = 0; i < self->count; i++) {
        const struct zsp_outcome_run *run = &self->items[i];
        const struct wire_srun srun = {
            .topic = zsp_slice_str(run->topic),
            .partition = run->partition,
            .first = run->first,
            .count = run->count,
            .lease = run->lease,
            .outcome = run->outcome,
            .has_delay = run->has_delay,
            .delay_ms = run->delay_ms,
            .reason = {(const uint8_t *)run->reason, run->reason ? run->reason_len : 0},
        };
        wire_write_srun(out, &srun);
    }
}

bool zsp_not_applied_read(const msgpack_object *row, struct zsp_not_applied *ret)
{
    uint64_t partition;
    struct zsp_slice why;
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 5) {
        return false;
    }
    const msgpack_object *cells = row->via.array.ptr;
    if (wire_get_str(&cells[0], "topic", &ret->topic, NULL) != 0 ||
        wire_get_uint(&cells[1], "partition", UINT32_MAX, &partition, NULL) != 0 ||
        wire_get_uint(&cells[2], "first", UINT64_MAX, &ret->first, NULL) != 0 ||
        wire_get_uint(&cells[3], "count", UINT64_MAX, &ret->count, NULL) != 0 ||
        wire_get_str(&cells[4], "why", &why, NULL) != 0) {
        return false;
    }
    ret->partition = (uint32_t)partition;
    if (zsp_slice_equal_str(why, "done")) {
        ret->settled = ZSPOOL_SETTLED_DONE;
    } else if (zsp_slice_equal_str(why, "lost")) {
        ret->settled = ZSPOOL_SETTLED_LOST;
    } else {
        ret->settled = ZSPOOL_SETTLED_UNKNOWN;
    }
    return true;
}
