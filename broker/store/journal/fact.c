/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/journal/fact.h"

#include <string.h>

#include "broker/store/partition/partition.h"
#include "broker/store/segment/segment.h"
#include "common/assert.h"

static void key_begin(struct fact *self, char letter)
{
    memset(self, 0, sizeof *self);
    self->key[0] = 0;
    self->key[1] = (uint8_t)letter;
    self->key_len = 2;
}

static void key_u64(struct fact *self, uint64_t value)
{
    zsp_put_u64(self->key + self->key_len, value);
    self->key_len += 8;
}

static void key_u32(struct fact *self, uint32_t value)
{
    zsp_put_u32(self->key + self->key_len, value);
    self->key_len += 4;
}

static void value_u32(struct fact *self, uint32_t value)
{
    zsp_put_u32(self->value + self->value_len, value);
    self->value_len += 4;
}

static void value_u64(struct fact *self, uint64_t value)
{
    zsp_put_u64(self->value + self->value_len, value);
    self->value_len += 8;
}

struct fact fact_start(uint64_t start_count)
{
    struct fact fact;
    key_begin(&fact, 'E');
    value_u64(&fact, start_count);
    return fact;
}

struct fact fact_journal(uint64_t oldest_file)
{
    struct fact fact;
    key_begin(&fact, 'J');
    value_u64(&fact, oldest_file);
    return fact;
}

struct fact fact_part(uint64_t topic_id, uint32_t partition, uint64_t first_segment,
                      uint64_t base_offset)
{
    struct fact fact;
    key_begin(&fact, 'P');
    key_u64(&fact, topic_id);
    key_u32(&fact, partition);
    value_u64(&fact, first_segment);
    value_u64(&fact, base_offset);
    return fact;
}

struct fact fact_sealed_key(uint64_t topic_id, uint32_t partition, uint64_t number)
{
    struct fact fact;
    key_begin(&fact, 'S');
    key_u64(&fact, topic_id);
    key_u32(&fact, partition);
    key_u64(&fact, number);
    return fact;
}

struct fact fact_sealed(const struct segment *segment)
{
    struct fact fact =
        fact_sealed_key(segment->part->topic_id, segment->part->number, segment->number);
    value_u64(&fact, segment->base_offset);
    value_u64(&fact, segment->end_offset);
    value_u64(&fact, segment->bytes);
    value_u64(&fact, (uint64_t)segment->max_timestamp_ms);
    value_u64(&fact, segment->epoch);
    const struct segment_rewrite *const rewrite = segment_rewrite(segment);
    if (segment->generation > 0) {
        value_u64(&fact, rewrite->last_number);
        value_u64(&fact, rewrite->clean_offset);
        value_u64(&fact, (uint64_t)rewrite->tombstone_ms);
        value_u32(&fact, segment->generation);
    }
    if (segment->is_island) {
        value_u64(&fact, rewrite->island_from);
        value_u64(&fact, rewrite->island_records);
    }
    return fact;
}

struct fact fact_mark(uint64_t topic_id, uint32_t partition, const struct mark *mark)
{
    struct fact fact;
    key_begin(&fact, 'M');
    key_u64(&fact, topic_id);
    key_u32(&fact, partition);
    value_u64(&fact, mark->segment);
    value_u64(&fact, mark->pos);
    value_u64(&fact, mark->offset);
    value_u64(&fact, (uint64_t)mark->max_timestamp_ms);
    value_u64(&fact, mark->epoch);
    return fact;
}

struct fact fact_dropping(uint64_t topic_id)
{
    struct fact fact;
    key_begin(&fact, 'D');
    key_u64(&fact, topic_id);
    return fact;
}

struct fact fact_redo_from(uint64_t record)
{
    struct fact fact;
    key_begin(&fact, 'R');
    value_u64(&fact, record);
    return fact;
}

struct fact fact_redo_key(uint64_t topic_id, uint32_t partition)
{
    struct fact fact;
    key_begin(&fact, 'B');
    key_u64(&fact, topic_id);
    key_u32(&fact, partition);
    return fact;
}

struct store_entry fact_entry(const struct fact *self, enum store_entry_kind kind)
{
    const struct zsp_slice value = {self->value, kind == STORE_GONE ? 0 : self->value_len};
    return (struct store_entry){fact_key(self), kind, value};
}

struct zsp_slice fact_key(const struct fact *self)
{
    return (struct zsp_slice){self->key, self->key_len};
}

bool fact_is_own(struct zsp_slice key)
{
    return key.len > 0 && key.data[0] == 0;
}

char fact_parse(struct zsp_slice key, uint64_t *ret_topic_id, uint32_t *ret_partition)
{
    *ret_topic_id = 0;
    *ret_partition = 0;
    if (key.len < 2 || key.data[0] != 0) {
        return 0;
    }
    const char letter = (char)key.data[1];
    const bool has_part = letter == 'P' || letter == 'S' || letter == 'M' || letter == 'B';
    const bool is_alone = letter == 'E' || letter == 'J' || letter == 'R';
    const bool has_topic = has_part || letter == 'D';
    const size_t want = 2u + (has_topic ? 8u : 0) + (has_part ? 4u : 0) + (letter == 'S' ? 8u : 0);
    if (key.len != want || (!has_topic && !is_alone)) {
        return 0;
    }
    if (has_topic) {
        *ret_topic_id = zsp_get_u64(key.data + 2);
    }
    if (has_part) {
        *ret_partition = zsp_get_u32(key.data + 10);
    }
    return letter;
}

bool fact_read_number(struct zsp_slice value, uint64_t *ret)
{
    if (value.len != 8) {
        return false;
    }
    *ret = zsp_get_u64(value.data);
    return true;
}

bool fact_read_part(struct zsp_slice value, uint64_t *ret_first_segment, uint64_t *ret_base_offset)
{
    if (value.len != 16) {
        return false;
    }
    *ret_first_segment = zsp_get_u64(value.data);
    *ret_base_offset = zsp_get_u64(value.data + 8);
    return true;
}

bool fact_read_mark(struct zsp_slice value, struct mark *ret)
{
    if (value.len != 40) {
        return false;
    }
    ret->segment = zsp_get_u64(value.data);
    ret->pos = zsp_get_u64(value.data + 8);
    ret->offset = zsp_get_u64(value.data + 16);
    ret->max_timestamp_ms = (int64_t)zsp_get_u64(value.data + 24);
    ret->epoch = zsp_get_u64(value.data + 32);
    return true;
}

bool fact_read_sealed(struct zsp_slice value, struct segment *segment)
{
    if (value.len != 40 && value.len != 68 && value.len != 84) {
        return false;
    }
    segment->is_island = value.len == 84;
    struct segment_rewrite *const rewrite = segment->rewrite;
    *rewrite = (struct segment_rewrite){0};
    if (segment->is_island) {
        rewrite->island_from = zsp_get_u64(value.data + 68);
        rewrite->island_records = zsp_get_u64(value.data + 76);
    }
    if (value.len >= 68) {
        rewrite->last_number = zsp_get_u64(value.data + 40);
        rewrite->clean_offset = zsp_get_u64(value.data + 48);
        rewrite->tombstone_ms = (int64_t)zsp_get_u64(value.data + 56);
        segment->generation = zsp_get_u32(value.data + 64);
    }
    segment->base_offset = zsp_get_u64(value.data);
    segment->end_offset = zsp_get_u64(value.data + 8);
    segment->bytes = zsp_get_u64(value.data + 16);
    segment->max_timestamp_ms = (int64_t)zsp_get_u64(value.data + 24);
    segment->epoch = zsp_get_u64(value.data + 32);
    return true;
}
