/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/partition/part_facts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int contradiction(uint64_t topic_id, uint32_t partition, const char *about,
                         struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ECORRUPT,
                       "topic %" PRIu64 " partition %" PRIu32 ": the journal contradicts itself%s",
                       topic_id, partition, about);
}

static struct zsp_slice find(const struct carry *carry, const struct fact *key)
{
    const struct carry_object *object = carry_find(carry, fact_key(key));
    return object ? carry_value(object) : (struct zsp_slice){NULL, 0};
}

static int add_sealed(struct part_facts *self, const struct segment *segment, struct zsp_err *err)
{
    struct sealed_fact *sealed =
        realloc(self->sealed, (self->sealed_count + 1) * sizeof *self->sealed);
    if (!sealed) {
        return zsp_err_set(err, ZSP_ENOMEM, "facts of a partition");
    }
    self->sealed = sealed;
    const struct segment_rewrite *const rewrite = segment->rewrite;
    sealed[self->sealed_count++] = (struct sealed_fact){
        .number = self->active,
        .base_offset = segment->base_offset,
        .end_offset = segment->end_offset,
        .bytes = segment->bytes,
        .max_before_ms = self->max_before_ms,
        .max_timestamp_ms = segment->max_timestamp_ms,
        .epoch = segment->epoch,
        .epoch_before = self->epoch_before,
        .last_number = segment->generation > 0 ? rewrite->last_number : self->active,
        .clean_offset = rewrite->clean_offset,
        .tombstone_ms = rewrite->tombstone_ms,
        .generation = segment->generation,
        .is_island = segment->is_island,
        .island_from = rewrite->island_from,
        .island_records = rewrite->island_records,
    };
    if (segment->is_island) {
        self->island_offset = self->sealed_count == 1 ? rewrite->island_from : self->island_offset;
        self->start_offset = segment->end_offset;
    }
    self->active = sealed[self->sealed_count - 1].last_number + 1;
    self->base_offset = segment->end_offset;
    self->max_before_ms = segment->max_timestamp_ms;
    self->epoch_before = segment->epoch;
    return 0;
}

/* The facts `S`, one after the other; behind the last one is the active segment. */
static int read_sealed(struct part_facts *self, const struct carry *carry, uint64_t topic_id,
                       uint32_t partition, struct zsp_err *err)
{
    for (;;) {
        const struct fact key = fact_sealed_key(topic_id, partition, self->active);
        const struct zsp_slice value = find(carry, &key);
        if (!value.data) {
            return 0;
        }
        struct segment_rewrite rewrite = {0};
        struct segment segment = {.rewrite = &rewrite};
        if (!fact_read_sealed(value, &segment) || segment.base_offset != self->base_offset ||
            segment.end_offset < segment.base_offset ||
            (segment.is_island && segment.base_offset != self->start_offset) ||
            (segment.generation > 0 &&
             (rewrite.last_number < self->active || rewrite.last_number == UINT64_MAX))) {
            return contradiction(topic_id, partition, " about a segment", err);
        }
        const int rc = add_sealed(self, &segment, err);
        if (rc < 0) {
            return rc;
        }
    }
}

/* The fact `M`; one in a segment that was sealed since says nothing more. */
static int read_mark(struct part_facts *self, const struct carry *carry, uint64_t topic_id,
                     uint32_t partition, struct zsp_err *err)
{
    const struct mark begin = {self->active, 0, self->base_offset, self->max_before_ms,
                               self->epoch_before};
    self->mark = begin;
    const struct mark none = {0};
    const struct fact key = fact_mark(topic_id, partition, &none);
    const struct zsp_slice value = find(carry, &key);
    if (!value.data) {
        return 0;
    }
    struct mark mark;
    if (!fact_read_mark(value, &mark) || mark.segment > begin.segment ||
        (mark.segment < begin.segment && mark.offset > begin.offset) ||
        (mark.segment == begin.segment && mark.offset < begin.offset)) {
        return contradiction(topic_id, partition, " about a mark", err);
    }
    if (mark.segment == begin.segment) {
        self->mark = mark;
        self->has_mark = true;
    }
    return 0;
}

int part_facts_read(const struct carry *carry, uint64_t topic_id, uint32_t partition,
                    struct part_facts *ret, struct zsp_err *err)
{
    struct part_facts self = {.max_before_ms = INT64_MIN};
    const struct fact key = fact_part(topic_id, partition, 0, 0);
    const struct zsp_slice value = find(carry, &key);
    if (!value.data) {
        return 1;
    }
    if (!fact_read_part(value, &self.first_segment, &self.start_offset)) {
        return contradiction(topic_id, partition, "", err);
    }
    self.active = self.first_segment;
    self.base_offset = self.island_offset = self.start_offset;
    int rc = read_sealed(&self, carry, topic_id, partition, err);
    if (rc == 0) {
        rc = read_mark(&self, carry, topic_id, partition, err);
    }
    if (rc < 0) {
        part_facts_fini(&self);
        return rc;
    }
    *ret = self;
    return 0;
}

bool part_facts_is_over(const struct part_facts *self, uint64_t number, uint32_t generation)
{
    size_t low = 0; /* facts below are of segments before it */
    size_t high = self->sealed_count;
    if (number < self->first_segment) {
        return true;
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->sealed[middle].last_number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == self->sealed_count || number < self->sealed[low].number) {
        return false;
    }
    const struct sealed_fact *fact = &self->sealed[low];
    return number != fact->number || generation != fact->generation;
}

void part_facts_fini(struct part_facts *self)
{
    free(self->sealed);
    memset(self, 0, sizeof *self);
}
