/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/order/fair.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "broker/engine/ledger/levels.h"
#include "common/assert.h"

/* --- Lanes ------------------------------------------------------------------------------------------ */

static void list_add(struct fair_list *list, struct fair_lane *lane)
{
    lane->list = list;
    lane->next = NULL;
    lane->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = lane;
    list->last = lane;
}

static void list_add_front(struct fair_list *list, struct fair_lane *lane)
{
    lane->list = list;
    lane->next = list->first;
    lane->prev = NULL;
    *(list->first ? &list->first->prev : &list->last) = lane;
    list->first = lane;
}

static void list_remove(struct fair_lane *lane)
{
    *(lane->prev ? &lane->prev->next : &lane->list->first) = lane->next;
    *(lane->next ? &lane->next->prev : &lane->list->last) = lane->prev;
    lane->list = NULL;
}

static struct fair_lane *list_take(struct fair_list *list)
{
    struct fair_lane *const lane = list->first;
    if (lane) {
        list_remove(lane);
    }
    return lane;
}

static void lane_key(uint64_t tenant, unsigned priority, uint8_t ret[FAIR_KEY_LEN])
{
    zsp_put_u64(ret, tenant);
    ret[8] = (uint8_t)priority;
}

/* The lane, made when it is not there. NULL = out of memory. */
static struct fair_lane *lane_of(struct fair *self, uint64_t tenant, unsigned priority)
{
    uint8_t key[FAIR_KEY_LEN];
    lane_key(tenant, priority, key);
    struct fair_lane *lane = zsp_table_find(&self->lanes, (struct zsp_slice){key, sizeof key});
    if (lane && lane->list == &self->lists[priority].idle) { /* it had its turn in this round */
        list_remove(lane);
        list_add(&self->lists[priority].later, lane);
    }
    if (lane) {
        return lane;
    }
    lane = pool_get(&self->groups->fair_lanes);
    if (!lane) {
        return NULL;
    }
    memcpy(lane->key, key, sizeof key);
    lane->tenant = tenant;
    if (zsp_table_add(&self->lanes, (struct zsp_slice){lane->key, sizeof lane->key}, lane) < 0) {
        pool_put(&self->groups->fair_lanes, lane);
        return NULL;
    }
    list_add(&self->lists[priority].fresh, lane);
    return lane;
}

static void drop_entry(struct fair *self, struct fair_lane *lane)
{
    struct fair_entry *const entry = lane->first;
    lane->first = entry->next;
    lane->last = lane->first ? lane->last : NULL;
    pool_put(&self->groups->fair_entries, entry);
    self->entry_count--;
}

/* It is in no list. */
static void drop_lane(struct fair *self, struct fair_lane *lane)
{
    while (lane->first) {
        drop_entry(self, lane);
    }
    (void)zsp_table_remove(&self->lanes, (struct zsp_slice){lane->key, sizeof lane->key});
    pool_put(&self->groups->fair_lanes, lane);
}

static void drop_list(struct fair *self, struct fair_list *list)
{
    struct fair_lane *lane = NULL;
    while ((lane = list_take(list))) {
        drop_lane(self, lane);
    }
}

static struct fair_entry *new_entry(struct fair *self, uint64_t first, uint64_t end)
{
    struct fair_entry *const entry = pool_get(&self->groups->fair_entries);
    if (entry) {
        *entry = (struct fair_entry){.first = first, .end = end};
        self->entry_count++;
    }
    return entry;
}

int fair_add(struct fair *self, uint64_t tenant, unsigned priority, uint64_t first, uint64_t end)
{
    struct fair_lane *const lane = lane_of(self, tenant, priority);
    if (lane && lane->last && lane->last->end == first) {
        lane->last->end = end;
        return 0;
    }
    struct fair_entry *const entry = lane ? new_entry(self, first, end) : NULL;
    if (!entry) {
        return ZSP_ENOMEM; /* an empty lane goes when it has its turn */
    }
    *(lane->last ? &lane->last->next : &lane->first) = entry;
    lane->last = entry;
    return 0;
}

/* It has not had its turn. */
static void has_next_turn(struct fair *self, struct fair_lane *lane, unsigned priority)
{
    list_remove(lane);
    list_add_front(&self->lists[priority].back, lane);
}

void fair_back(struct ledger *ledger, uint64_t first, uint64_t end, unsigned priority)
{
    struct fair *const self = ledger_fair(ledger);
    if (!self || first >= self->next) {
        return;
    }
    struct fair_lane *const lane = lane_of(self, self->tenant_back, priority);
    if (lane) {
        has_next_turn(self, lane, priority);
    }
    if (lane && lane->first && lane->first->first == end) {
        lane->first->first = first;
        return;
    }
    struct fair_entry *const entry = lane ? new_entry(self, first, end) : NULL;
    if (!entry) {
        group_out_of_memory(self->groups);
        return;
    }
    entry->next = lane->first;
    lane->first = entry;
    lane->last = lane->last ? lane->last : entry;
}

/* --- Life ------------------------------------------------------------------------------------------- */

static void clear(struct fair *self)
{
    for (unsigned i = 0; i <= ZSP_PRIORITY_MAX; i++) {
        struct fair_lists *const lists = &self->lists[i];
        drop_list(self, &lists->back);
        drop_list(self, &lists->fresh);
        drop_list(self, &lists->now);
        drop_list(self, &lists->later);
        drop_list(self, &lists->idle);
    }
    zsp_assert(self->entry_count == 0);
    fair_forget_read(self);
}

void fair_drop(struct ledger *ledger)
{
    struct fair *const self = ledger_fair(ledger);
    if (!self) {
        return;
    }
    clear(self);
    if (self->is_behind && group_fair_of(ledger->group)) {
        fair_not_behind(group_fair_of(ledger->group), self);
    }
    zsp_table_fini(&self->lanes);
    free(self);
    ledger->ways->fair = NULL;
    ledger_ways_close(ledger);
}

void fair_restart(struct ledger *ledger)
{
    struct fair *const self = ledger_fair(ledger);
    if (self) {
        clear(self);
        self->next = ledger->high;
    }
}

/* NULL = out of memory. */
static struct fair *make(struct groups *groups, struct ledger *ledger)
{
    struct ledger_ways *const ways = ledger_ways_open(ledger);
    struct fair *const self = ways ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        ledger_ways_close(ledger);
        return NULL;
    }
    self->groups = groups;
    self->ledger = ledger;
    self->next = ledger->high;
    zsp_table_init(&self->lanes, groups->ledgers.seed);
    ways->fair = self;
    return self;
}

int fair_look(struct groups *groups, struct ledger *ledger)
{
    struct group_fair *const wanted = group_fair_of(ledger->group);
    if (!wanted) {
        fair_drop(ledger);
        return 0;
    }
    struct fair *const known = ledger_fair(ledger);
    struct fair *const self = known ? known : make(groups, ledger);
    if (!self) {
        return ZSP_ENOMEM;
    }
    self->next = self->next > ledger->high ? self->next : ledger->high;
    if (!self->is_behind && !self->read && self->next < ledger->mark &&
        self->entry_count < FAIR_ENTRIES_MAX / 2) {
        fair_behind(wanted, self);
        if (group_is_awaited(ledger->group)) { /* they may wait for a look that was forgotten */
            group_wake(groups, ledger->group);
        }
    }
    return 0;
}

bool fair_is_used(const struct ledger *ledger)
{
    return ledger_fair(ledger) && ledger_rare_of(ledger)->blocked >= ledger->mark;
}

bool fair_is_known(const struct ledger *ledger)
{
    const struct fair *self = ledger_fair(ledger);
    return !fair_is_used(ledger) || self->next >= ledger->mark ||
           (self->entry_count > 0 &&
            (self->looked == group_fair_turns(group_fair_of(ledger->group)) + 1 ||
             self->entry_count >= FAIR_ENTRIES_MAX / 2));
}

static bool has_lane(const struct fair *self, unsigned priority)
{
    const struct fair_lists *const lists = &self->lists[priority];
    return lists->back.first || lists->fresh.first || lists->now.first || lists->later.first;
}

unsigned fair_priorities(const struct ledger *ledger)
{
    const struct fair *self = ledger_fair(ledger);
    unsigned ret = 0;
    for (unsigned i = 0; i <= ZSP_PRIORITY_MAX; i++) {
        ret |= has_lane(self, i) ? 1u << i : 0;
    }
    return ret;
}

/* --- Taking ----------------------------------------------------------------------------------------- */

/* The first messages of the lane that can be taken; what cannot leaves it. False = the lane is empty. */
static bool next_of(struct fair *self, struct fair_lane *lane, struct run_span *ret)
{
    struct run_span delayed;
    while (lane->first) {
        struct fair_entry *const entry = lane->first;
        if (!ledger_next_fresh(self->ledger, entry->first, ret) || ret->first >= entry->end) {
            drop_entry(self, lane);
            continue;
        }
        entry->first = ret->first;
        ret->end = ret->end < entry->end ? ret->end : entry->end;
        if (!levels_next_delayed(self->ledger, ret->first, &delayed) || delayed.first >= ret->end) {
            return true;
        }
        if (delayed.first > ret->first) {
            ret->end = delayed.first;
            return true;
        }
        if (delayed.end >= entry->end) {
            drop_entry(self, lane);
        } else {
            entry->first = delayed.end;
        }
    }
    return false;
}

/* At most `quantum` messages; *ret_any tells whether there were any. */
static int lane_take(struct fair *self, struct fair_lane *lane, struct take *take,
                     unsigned priority, uint64_t quantum, bool *ret_any)
{
    struct run_span span;
    int rc = 0;
    *ret_any = false;
    while (rc == 0 && quantum > 0 && take->messages > 0 && take->piece_count < take->piece_max &&
           next_of(self, lane, &span)) {
        uint64_t count = span.end - span.first;
        count = count < quantum ? count : quantum;
        count = count < take->messages ? count : take->messages;
        span.end = span.first + count;
        span.run.urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY);
        take->tenant = lane->tenant;
        rc = ledger_take_urgent(self->ledger, take, &span);
        if (rc == 0) {
            lane->first->first = span.end;
            quantum -= count;
            *ret_any = true;
        }
    }
    take->tenant = 0;
    return rc;
}

static void move_all(struct fair_list *from, struct fair_list *to)
{
    struct fair_lane *lane = NULL;
    while ((lane = list_take(from))) {
        list_add(to, lane);
    }
}

/* Whose turn it is. */
static struct fair_lane *next_lane(struct fair *self, unsigned priority)
{
    struct fair_lists *const lists = &self->lists[priority];
    struct fair_lane *lane = list_take(&lists->back);
    if (lane) {
        return lane;
    }
    if (!lists->now.first) {
        move_all(&lists->fresh, &lists->now);
        move_all(&lists->later, &lists->now);
        drop_list(self, &lists->idle);
    }
    lane = self->is_turn_of_now ? NULL : list_take(&lists->fresh);
    lane = lane ? lane : list_take(&lists->now);
    self->is_turn_of_now = !self->is_turn_of_now;
    return lane;
}

/* A lane that is in no list has had its turn: of nothing, when not `any`. */
static void turn_is_over(struct fair *self, struct fair_lane *lane, unsigned priority, bool any)
{
    struct fair_lists *const lists = &self->lists[priority];
    struct run_span span;
    const bool has_more = next_of(self, lane, &span);
    if (has_more && lane->owed > 0) {
        lane->owed--;
        list_add_front(&lists->now, lane);
    } else if (has_more) {
        list_add(&lists->later, lane);
    } else if (any) {
        lane->owed = 0;
        list_add(&lists->idle, lane);
    } else {
        drop_lane(self, lane);
    }
}

int fair_take_fresh(struct ledger *ledger, struct take *take, unsigned priority)
{
    struct fair *const self = ledger_fair(ledger);
    int rc = 0;
    while (rc == 0 && take->messages > 0 && take->piece_count < take->piece_max) {
        struct fair_lane *const lane = next_lane(self, priority);
        bool any = false;
        if (!lane) {
            break;
        }
        const bool is_alone = !has_lane(self, priority);
        rc = lane_take(self, lane, take, priority, is_alone ? UINT64_MAX : 1, &any);
        turn_is_over(self, lane, priority, any);
    }
    return rc;
}

void fair_turn_back(struct ledger *ledger, uint64_t tenant, unsigned priority, uint32_t count)
{
    struct fair *const self = ledger_fair(ledger);
    uint8_t key[FAIR_KEY_LEN];
    lane_key(tenant, priority, key);
    struct fair_lane *const lane =
        self ? zsp_table_find(&self->lanes, (struct zsp_slice){key, sizeof key}) : NULL;
    if (lane && lane->list == &self->lists[priority].idle) { /* as if it had not come */
        list_remove(lane);
        drop_lane(self, lane);
    } else if (lane) {
        has_next_turn(self, lane, priority);
        lane->owed = count < FAIR_OWED_MAX - lane->owed ? lane->owed + count : FAIR_OWED_MAX;
    }
}

/* --- What a pull has reserved ------------------------------------------------------------------------ */

/* Which part of the turns the messages before `end` are in: the first, the second, the next two, four, ...
 * The cut of a reply in one of them leaves out none who had a turn in those before. */
static uint32_t part_of_turns(uint64_t end)
{
    uint32_t part = 1;
    for (uint64_t last = end - 1; last > 0; last >>= 1) {
        part++;
    }
    return part;
}

/* The most urgent first; of one priority what was out before, then by parts of the turns; within each by
 * offset, so that it is few reads. */
static int by_order(const void *left, const void *right)
{
    const struct piece *a = left;
    const struct piece *b = right;
    int order = (a->priority < b->priority) - (a->priority > b->priority);
    order = order != 0 ? order : (a->order > b->order) - (a->order < b->order);
    return order != 0 ? order : (a->first > b->first) - (a->first < b->first);
}

void fair_sort(struct take *take)
{
    struct piece *const pieces = take->pieces;
    uint32_t stretch = 0; /* of pieces of one ledger and priority */
    uint64_t turns = 0;   /* of that */
    if (take->piece_count < 2 || take->alone) {
        return;
    }
    for (size_t i = 0; i < take->piece_count; i++) {
        struct piece *const piece = &pieces[i];
        if (i > 0 &&
            (piece->ledger != pieces[i - 1].ledger || piece->priority != pieces[i - 1].priority)) {
            stretch++;
            turns = 0;
        }
        const bool is_turn = piece->tenant != 0 || turns > 0;
        turns += is_turn ? piece->end - piece->first : 0;
        piece->order = (is_turn ? part_of_turns(turns) : 0) << FAIR_STRETCH_BITS | stretch;
    }
    qsort(pieces, take->piece_count, sizeof *pieces, by_order);
}
