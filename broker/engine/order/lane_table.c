/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/lane_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/err.h"
#include "common/hash.h"
#include "common/limits.h"

#define BLOCK_LANES 256u
#define BUCKETS_MIN 16u

void lane_table_init(struct lane_table *self, uint64_t seed)
{
    *self = (struct lane_table){.seed = seed, .used = 1};
    zsp_table_init(&self->chunks, seed);
}

static bool is_copied(const struct lane *lane)
{
    return lane->key_len > LANE_INLINE_KEY;
}

/* That of lanes, of which there are none any more. */
static void free_room(struct lane_table *self)
{
    for (uint32_t i = 0; i < self->block_count; i++) {
        free(self->blocks[i]);
    }
    free((void *)self->blocks);
    free(self->buckets);
    self->blocks = NULL;
    self->buckets = NULL;
    self->block_count = self->bucket_count = self->used = self->free_first = 0;
}

void lane_table_fini(struct lane_table *self)
{
    struct lane_chunk *chunk = NULL;
    size_t cursor = 0;
    for (uint32_t i = lane_table_next(self, 0); i != 0; i = lane_table_next(self, i)) {
        if (is_copied(lane_at(self, i))) {
            free(lane_at(self, i)->key.copy);
        }
        lane_holds_free(&lane_at(self, i)->held);
    }
    while ((chunk = zsp_table_next(&self->chunks, &cursor))) {
        free(chunk);
    }
    zsp_table_fini(&self->chunks);
    free_room(self);
    lane_table_init(self, self->seed);
}

bool lane_table_is_empty(const struct lane_table *self)
{
    return self->count == 0 && self->chunks.count == 0;
}

size_t lane_table_bytes(const struct lane_table *self)
{
    return self->count * (sizeof(struct lane) + sizeof *self->buckets) + self->key_bytes +
           self->chunks.count * sizeof(struct lane_chunk);
}

void lane_table_trim(struct lane_table *self)
{
    if (self->count == 0 && self->block_count > 1) {
        free_room(self);
        self->used = 1;
    }
}

/* --- Lanes ---------------------------------------------------------------------------------- */

struct lane *lane_at(const struct lane_table *self, uint32_t lane)
{
    zsp_assert(lane != LANE_FREE && lane < self->used);
    return &self->blocks[lane / BLOCK_LANES][lane % BLOCK_LANES];
}

struct zsp_slice lane_key(const struct lane *self)
{
    return (struct zsp_slice){is_copied(self) ? self->key.copy : self->key.bytes, self->key_len};
}

struct zsp_slice lane_key_told(const struct lane *self)
{
    const struct zsp_slice key = lane_key(self);
    return (struct zsp_slice){key.data, key.len < ZSP_KEY_TOLD_MAX ? key.len : ZSP_KEY_TOLD_MAX};
}

/* A free lane is one without messages that has no key either. */
static bool is_free(const struct lane *lane)
{
    return lane->key_len == UINT32_MAX;
}

uint32_t lane_table_next(const struct lane_table *self, uint32_t lane)
{
    for (uint32_t i = lane + 1; i < self->used; i++) {
        if (!is_free(lane_at(self, i))) {
            return i;
        }
    }
    return 0;
}

static uint32_t *bucket_of(const struct lane_table *self, uint32_t hash)
{
    return &self->buckets[hash & (self->bucket_count - 1)];
}

/* Room for one lane more in the buckets. */
static int grow_buckets(struct lane_table *self)
{
    if (self->count < self->bucket_count) {
        return 0;
    }
    const uint32_t wanted = self->bucket_count > 0 ? self->bucket_count * 2 : BUCKETS_MIN;
    uint32_t *const made = calloc(wanted, sizeof *made);
    if (!made) {
        return ZSP_ENOMEM;
    }
    free(self->buckets);
    self->buckets = made;
    self->bucket_count = wanted;
    for (uint32_t i = lane_table_next(self, 0); i != 0; i = lane_table_next(self, i)) {
        struct lane *const lane = lane_at(self, i);
        lane->next_same = *bucket_of(self, lane->hash);
        *bucket_of(self, lane->hash) = i;
    }
    return 0;
}

/* Room for one lane more, whose number is *ret; it is not taken yet. */
static int next_free(struct lane_table *self, uint32_t *ret)
{
    if (self->free_first != 0) {
        *ret = self->free_first;
        return 0;
    }
    if (self->used == self->block_count * BLOCK_LANES || self->block_count == 0) {
        struct lane **blocks =
            realloc((void *)self->blocks, (self->block_count + 1) * sizeof(struct lane *));
        if (!blocks) {
            return ZSP_ENOMEM;
        }
        self->blocks = blocks;
        blocks[self->block_count] = malloc(BLOCK_LANES * sizeof **blocks);
        if (!blocks[self->block_count]) {
            return ZSP_ENOMEM;
        }
        self->block_count++;
    }
    *ret = self->used;
    return 0;
}

static int make_lane(struct lane_table *self, struct zsp_slice key, uint32_t hash, uint32_t *ret)
{
    uint32_t number = 0;
    uint8_t *copy = NULL;
    if (grow_buckets(self) < 0 || next_free(self, &number) < 0) {
        return ZSP_ENOMEM;
    }
    if (key.len > LANE_INLINE_KEY) {
        copy = malloc(key.len);
        if (!copy) {
            return ZSP_ENOMEM;
        }
        memcpy(copy, key.data, key.len);
        self->key_bytes += key.len;
    }
    self->used += number == self->used ? 1 : 0;
    struct lane *const lane = lane_at(self, number);
    if (number == self->free_first) {
        self->free_first = lane->next_same;
    }
    *lane = (struct lane){.key_len = (uint32_t)key.len,
                          .hash = hash,
                          .next_same = *bucket_of(self, hash),
                          .head = LANE_NONE,
                          .tail = LANE_NONE,
                          .ready = LANE_NONE,
                          .back = LANE_NONE};
    if (copy) {
        lane->key.copy = copy;
    } else if (key.len > 0) {
        memcpy(lane->key.bytes, key.data, key.len);
    }
    *bucket_of(self, hash) = number;
    self->count++;
    *ret = number;
    return 0;
}

int lane_table_open(struct lane_table *self, struct zsp_slice key, uint32_t *ret_lane)
{
    const uint32_t hash = (uint32_t)zsp_hash_seeded(key, self->seed);
    uint32_t at = self->bucket_count > 0 ? *bucket_of(self, hash) : 0;
    while (at != 0) {
        const struct lane *const lane = lane_at(self, at);
        if (lane->hash == hash && zsp_slice_equal(lane_key(lane), key)) {
            *ret_lane = at;
            return 0;
        }
        at = lane->next_same;
    }
    return make_lane(self, key, hash, ret_lane);
}

void lane_table_close(struct lane_table *self, uint32_t number)
{
    struct lane *const lane = lane_at(self, number);
    uint32_t *at = bucket_of(self, lane->hash);
    zsp_assert(lane->head == LANE_NONE && lane->holds == 0 && lane->heat == 0);
    while (*at != number) {
        at = &lane_at(self, *at)->next_same;
    }
    *at = lane->next_same;
    if (is_copied(lane)) {
        self->key_bytes -= lane->key_len;
        free(lane->key.copy);
    }
    *lane = (struct lane){.key_len = UINT32_MAX, .next_same = self->free_first};
    self->free_first = number;
    self->count--;
}

/* --- Messages ------------------------------------------------------------------------------- */

static struct lane_chunk *find_chunk(struct lane_table *self, uint64_t number)
{
    if (!self->last || self->last->number != number) {
        struct lane_chunk *const found =
            zsp_table_find(&self->chunks, (struct zsp_slice){(uint8_t *)&number, sizeof number});
        self->last = found ? found : self->last;
        return found;
    }
    return self->last;
}

struct lane_entry *lane_entry(struct lane_table *self, uint64_t offset)
{
    struct lane_chunk *const chunk = find_chunk(self, offset / LANE_CHUNK);
    struct lane_entry *const entry = chunk ? &chunk->entries[offset % LANE_CHUNK] : NULL;
    return entry && entry->state != LANE_UNKNOWN ? entry : NULL;
}

uint64_t lane_entry_skip(struct lane_table *self, uint64_t from, uint64_t end)
{
    while (from < end && !find_chunk(self, from / LANE_CHUNK)) {
        if (self->chunks.count == 0) {
            return end;
        }
        from = (from / LANE_CHUNK + 1) * LANE_CHUNK;
    }
    return from < end ? from : end;
}

static struct lane_chunk *make_chunk(struct lane_table *self, uint64_t number)
{
    struct lane_chunk *chunk = find_chunk(self, number);
    if (chunk) {
        return chunk;
    }
    chunk = calloc(1, sizeof *chunk);
    if (!chunk) {
        return NULL;
    }
    chunk->number = number;
    const struct zsp_slice key = {(const uint8_t *)&chunk->number, sizeof chunk->number};
    if (zsp_table_add(&self->chunks, key, chunk) < 0) {
        free(chunk);
        return NULL;
    }
    self->last = chunk;
    return chunk;
}

static void forget(struct lane_table *self, uint64_t offset)
{
    struct lane_chunk *const chunk = find_chunk(self, offset / LANE_CHUNK);
    chunk->entries[offset % LANE_CHUNK] = (struct lane_entry){0};
    if (--chunk->used == 0) {
        const struct zsp_slice key = {(const uint8_t *)&chunk->number, sizeof chunk->number};
        (void)zsp_table_remove(&self->chunks, key);
        self->last = NULL;
        free(chunk);
    }
}

/* The entry of a message that is known. */
static struct lane_entry *known(struct lane_table *self, uint64_t offset)
{
    struct lane_entry *const entry = lane_entry(self, offset);
    zsp_assert(entry);
    return entry;
}

/* What the chain has behind the message, over or not. */
static uint64_t next_of(struct lane_table *self, uint64_t offset)
{
    const uint32_t ahead = known(self, offset)->ahead;
    return ahead > 0 ? offset + ahead : LANE_NONE;
}

static void set_next(struct lane_table *self, uint64_t offset, uint64_t next)
{
    zsp_assert(next == LANE_NONE || (next > offset && next - offset < LANE_REACH));
    known(self, offset)->ahead =
        next == LANE_NONE ? 0 : (uint32_t)(next - offset) & (LANE_REACH - 1);
}

/* The last of the chain before the message; LANE_NONE = it comes first. Behind the tail in O(1). */
static uint64_t place_of(struct lane_table *self, const struct lane *lane, uint64_t offset)
{
    if (lane->head == LANE_NONE || offset < lane->head) {
        return LANE_NONE;
    }
    if (lane->tail < offset) {
        return lane->tail;
    }
    uint64_t at = lane->head;
    for (uint64_t next = next_of(self, at); next < offset; next = next_of(self, at)) {
        at = next;
    }
    return at;
}

static void chain_in(struct lane_table *self, struct lane *lane, uint64_t offset)
{
    const uint64_t before = place_of(self, lane, offset);
    const uint64_t next = before == LANE_NONE ? lane->head : next_of(self, before);
    set_next(self, offset, next);
    if (before == LANE_NONE) {
        lane->head = offset;
    } else {
        set_next(self, before, offset);
    }
    lane->tail = next == LANE_NONE ? offset : lane->tail;
}

static void chain_out(struct lane_table *self, struct lane *lane, uint64_t offset)
{
    const uint64_t next = next_of(self, offset);
    uint64_t before = LANE_NONE;
    if (lane->head == offset) {
        lane->head = next;
    } else {
        before = place_of(self, lane, offset);
        set_next(self, before, next);
    }
    lane->tail = next == LANE_NONE ? before : lane->tail;
    set_next(self, offset, LANE_NONE);
}

static void count(struct lane *lane, enum lane_state state, uint32_t change)
{
    lane->waits += state == LANE_WAITS ? change : 0;
    lane->out += state == LANE_OUT ? change : 0;
    lane->holds += state == LANE_HOLDS ? change : 0;
}

/* --- Figures of all lanes ---------------------------------------------------------------------- */

uint32_t lane_waiting(const struct lane *self)
{
    const uint32_t first = self->out > 0 || lane_is_held(self) ? 0 : 1; /* who waits for nobody */
    return self->waits > first ? self->waits - first : 0;
}

static uint64_t held_waits(const struct lane *lane)
{
    return lane_is_held(lane) ? lane->waits : 0;
}

static uint8_t heat_of(const struct lane *lane)
{
    uint8_t heat = 0;
    for (uint32_t waiting = lane_waiting(lane); waiting > 0; waiting >>= 1) {
        heat++;
    }
    return heat;
}

static void list_remove(struct lane_table *self, struct lane *lane)
{
    struct heat_list *list = &self->heats[lane->heat];
    *(lane->heat_prev != 0 ? &lane_at(self, lane->heat_prev)->heat_next : &list->first) =
        lane->heat_next;
    *(lane->heat_next != 0 ? &lane_at(self, lane->heat_next)->heat_prev : &list->last) =
        lane->heat_prev;
    lane->heat_prev = lane->heat_next = 0;
}

static void list_append(struct lane_table *self, uint32_t number, struct lane *lane)
{
    struct heat_list *list = &self->heats[lane->heat];
    lane->heat_prev = list->last;
    *(list->last != 0 ? &lane_at(self, list->last)->heat_next : &list->first) = number;
    list->last = number;
}

/* The lane has changed; `before` of its messages were held. */
static void look(struct lane_table *self, uint32_t number, uint64_t before)
{
    struct lane *const lane = lane_at(self, number);
    const uint8_t heat = heat_of(lane);
    self->held_waits += held_waits(lane) - before;
    if (heat == lane->heat) {
        return;
    }
    if (lane->heat > 0) {
        list_remove(self, lane);
    }
    lane->heat = heat;
    if (heat > 0) {
        list_append(self, number, lane);
    }
}

/* --- Changes ------------------------------------------------------------------------------------ */

int lane_entry_add(struct lane_table *self, uint64_t offset, uint32_t lane, enum lane_state state)
{
    struct lane_chunk *const chunk = make_chunk(self, offset / LANE_CHUNK);
    if (!chunk) {
        return ZSP_ENOMEM;
    }
    const uint64_t before = lane != LANE_FREE ? held_waits(lane_at(self, lane)) : 0;
    if (lane != LANE_FREE && state == LANE_HOLDS &&
        lane_holds_add(&lane_at(self, lane)->held, offset) < 0) {
        return ZSP_ENOMEM; /* an empty chunk is used by whoever comes next */
    }
    struct lane_entry *const entry = &chunk->entries[offset % LANE_CHUNK];
    zsp_assert(entry->state == LANE_UNKNOWN && state != LANE_UNKNOWN && state != LANE_OVER);
    *entry = (struct lane_entry){.lane = lane, .state = state & 7u};
    chunk->used++;
    if (lane != LANE_FREE) {
        struct lane *const at = lane_at(self, lane);
        count(at, state, 1);
        if (state != LANE_HOLDS) {
            chain_in(self, at, offset);
        }
        look(self, lane, before);
    }
    return 0;
}

int lane_entry_set(struct lane_table *self, uint64_t offset, enum lane_state state)
{
    struct lane_entry *const entry = known(self, offset);
    const enum lane_state was = (enum lane_state)entry->state;
    if (was == state) {
        return 0;
    }
    if (entry->lane == LANE_FREE) {
        entry->state = state & 7u;
        if (state == LANE_OVER || state == LANE_HOLDS) {
            forget(self, offset);
        }
        return 0;
    }
    const uint32_t number = entry->lane;
    struct lane *const lane = lane_at(self, number);
    const uint64_t before = held_waits(lane);
    if (state == LANE_HOLDS && lane_holds_add(&lane->held, offset) < 0) {
        return ZSP_ENOMEM;
    }
    entry->state = state & 7u;
    count(lane, was, UINT32_MAX); /* unsigned: minus one */
    count(lane, state, 1);
    if (was == LANE_HOLDS) {
        lane_holds_remove(&lane->held, offset);
    }
    if (was == LANE_HOLDS && state == LANE_OVER) {
        forget(self, offset);
    } else if (was == LANE_HOLDS) {
        chain_in(self, lane, offset);
    } else if (state == LANE_HOLDS) {
        chain_out(self, lane, offset);
    }
    look(self, number, before);
    return 0;
}

bool lane_is_held(const struct lane *self)
{
    return lane_holds_first(self->held) < self->head;
}

void lane_advance(struct lane_table *self, uint32_t number)
{
    struct lane *const lane = lane_at(self, number);
    const uint64_t before = held_waits(lane);
    while (lane->head != LANE_NONE && known(self, lane->head)->state == LANE_OVER) {
        const uint64_t over = lane->head;
        lane->head = next_of(self, over);
        forget(self, over);
    }
    lane->tail = lane->head == LANE_NONE ? LANE_NONE : lane->tail;
    look(self, number, before);
}

uint64_t lane_after(struct lane_table *self, uint64_t offset)
{
    uint64_t next = next_of(self, offset);
    while (next != LANE_NONE && known(self, next)->state == LANE_OVER) {
        next = next_of(self, next);
    }
    return next;
}
