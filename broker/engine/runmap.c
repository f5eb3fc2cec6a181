/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/runmap.h"

#include <stdlib.h>

#include "common/assert.h"
#include "common/err.h"

#define CHUNK_SHIFT 10u
#define CHUNK_NODES (1u << CHUNK_SHIFT)
#define SPARE_NODES (CHUNK_NODES / 2) /* kept, so that no step needs a chunk and gives it back */
#define NONE        0u
#define NO_CHUNK    UINT32_MAX

/* Of a map that is not empty. */
struct run_head {
    uint64_t count[RUN_STATES]; /* messages by state */
    uint32_t root;
};

/* A run of a tree, or the head of a map. */
struct run_node {
    union {
        struct run_head head;
        struct {
            uint64_t first;
            uint32_t count;
            uint32_t rank; /* drawn; a parent's is not below its children's */
            uint32_t left, right;
            struct run run;
            int64_t below_due_ms; /* the least due_ms of WAITING runs below, or INT64_MAX */
            uint32_t below;       /* classes of runs in the subtree */
        };
    };
};

/* --- Slab ------------------------------------------------------------------------ */

struct run_chunk {
    uint32_t next, prev; /* of those with room; or next, of the vacant slots */
    uint32_t free_first; /* a node, linked through left; NONE = only from `touched` on */
    uint16_t free_count;
    uint16_t touched; /* nodes from here on were never used */
};
_Static_assert(CHUNK_NODES <= UINT16_MAX, "nodes of a chunk");

void run_slab_init(struct run_slab *self, struct reasons *reasons)
{
    *self = (struct run_slab){.used = 1,
                              .room_first = NO_CHUNK,
                              .room_last = NO_CHUNK,
                              .vacant_first = NO_CHUNK,
                              .draw = 2463534242u,
                              .reasons = reasons};
}

void run_slab_fini(struct run_slab *self)
{
    for (uint32_t i = 0; i < self->slot_count; i++) {
        free(self->nodes[i]);
    }
    free(self->nodes);
    free(self->chunks);
    run_slab_init(self, NULL);
}

static void unlink_chunk(struct run_slab *self, uint32_t at)
{
    const struct run_chunk *const chunk = &self->chunks[at];
    *(chunk->prev != NO_CHUNK ? &self->chunks[chunk->prev].next : &self->room_first) = chunk->next;
    *(chunk->next != NO_CHUNK ? &self->chunks[chunk->next].prev : &self->room_last) = chunk->prev;
}

static void link_first(struct run_slab *self, uint32_t at)
{
    self->chunks[at].prev = NO_CHUNK;
    self->chunks[at].next = self->room_first;
    *(self->room_first != NO_CHUNK ? &self->chunks[self->room_first].prev : &self->room_last) = at;
    self->room_first = at;
}

static void link_last(struct run_slab *self, uint32_t at)
{
    self->chunks[at].next = NO_CHUNK;
    self->chunks[at].prev = self->room_last;
    *(self->room_last != NO_CHUNK ? &self->chunks[self->room_last].next : &self->room_first) = at;
    self->room_last = at;
}

/* Have a vacant slot. */
static int grow_slots(struct run_slab *self)
{
    if (self->vacant_first != NO_CHUNK) {
        return 0;
    }
    if (self->slot_count == self->slot_capacity) {
        const uint32_t capacity = self->slot_capacity > 0 ? self->slot_capacity * 2 : 4;
        struct run_node **nodes = realloc(self->nodes, capacity * sizeof(struct run_node *));
        self->nodes = nodes ? nodes : self->nodes;
        struct run_chunk *chunks = nodes ? realloc(self->chunks, capacity * sizeof *chunks) : NULL;
        if (!chunks) {
            return ZSP_ENOMEM;
        }
        self->chunks = chunks;
        self->slot_capacity = capacity;
    }
    self->nodes[self->slot_count] = NULL;
    self->chunks[self->slot_count].next = NO_CHUNK;
    self->vacant_first = self->slot_count++;
    return 0;
}

static int add_chunk(struct run_slab *self)
{
    if (self->slot_count >= UINT32_MAX >> CHUNK_SHIFT || grow_slots(self) < 0) {
        return ZSP_ENOMEM;
    }
    struct run_node *nodes = calloc(CHUNK_NODES, sizeof *nodes);
    if (!nodes) {
        return ZSP_ENOMEM;
    }
    const uint32_t at = self->vacant_first;
    const uint16_t none = at == 0 ? 1 : 0; /* number 0 is no node: the first chunk stays */
    self->vacant_first = self->chunks[at].next;
    self->nodes[at] = nodes;
    self->chunks[at] = (struct run_chunk){
        .free_first = NONE, .free_count = (uint16_t)(CHUNK_NODES - none), .touched = none};
    self->chunk_count++;
    link_last(self, at);
    return 0;
}

int run_slab_reserve(struct run_slab *self, uint32_t count)
{
    while ((uint64_t)self->chunk_count * CHUNK_NODES < (uint64_t)self->used + count) {
        if (add_chunk(self) < 0) {
            return ZSP_ENOMEM;
        }
    }
    return 0;
}

size_t run_slab_bytes(const struct run_slab *self)
{
    return (size_t)self->chunk_count * CHUNK_NODES * sizeof(struct run_node);
}

static bool is_unused(const struct run_slab *self, uint32_t at)
{
    return at != NO_CHUNK && self->chunks[at].free_count == CHUNK_NODES;
}

void run_slab_trim(struct run_slab *self)
{
    while (is_unused(self, self->room_last) &&
           (self->chunk_count - 1) * (uint64_t)CHUNK_NODES >= self->used + SPARE_NODES) {
        const uint32_t at = self->room_last;
        unlink_chunk(self, at);
        free(self->nodes[at]);
        self->nodes[at] = NULL;
        self->chunks[at].next = self->vacant_first;
        self->vacant_first = at;
        self->chunk_count--;
    }
}

static struct run_node *node_at(const struct run_slab *slab, uint32_t node)
{
    return &slab->nodes[node >> CHUNK_SHIFT][node & (CHUNK_NODES - 1)];
}

/* xorshift32: any shape of the tree is right, so the numbers need no secret. */
static uint32_t draw(struct run_slab *slab)
{
    uint32_t x = slab->draw;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    slab->draw = x;
    return x;
}

static uint32_t take_node(struct run_slab *slab)
{
    const uint32_t at = slab->room_first;
    zsp_assert(at != NO_CHUNK); /* the caller reserved */
    struct run_chunk *const chunk = &slab->chunks[at];
    uint32_t node = chunk->free_first;
    if (node != NONE) {
        chunk->free_first = node_at(slab, node)->left;
    } else {
        node = (at << CHUNK_SHIFT) + chunk->touched++;
    }
    slab->used++;
    if (--chunk->free_count == 0) {
        unlink_chunk(slab, at);
    }
    return node;
}

static void give_node(struct run_slab *slab, uint32_t node)
{
    const uint32_t at = node >> CHUNK_SHIFT;
    struct run_chunk *const chunk = &slab->chunks[at];
    node_at(slab, node)->left = chunk->free_first;
    chunk->free_first = node;
    slab->used--;
    if (++chunk->free_count == 1) {
        link_first(slab, at);
    } else if (chunk->free_count == CHUNK_NODES) {
        unlink_chunk(slab, at);
        link_last(slab, at);
    }
}

/* --- Treap ----------------------------------------------------------------------- */

static unsigned class_of_state(const struct run *run)
{
    switch ((enum run_state)run->state) {
    case RUN_READY:
        return run->limit == 0 ? RUN_CLASS_READY_AT(run_priority(run))
                               : RUN_CLASS_LIMITED_AT(run_priority(run));
    case RUN_RESERVED:
        return RUN_CLASS_RESERVED;
    case RUN_WAITING:
        return RUN_CLASS_WAITING;
    case RUN_LEASED:
        return RUN_CLASS_LEASED;
    case RUN_DEAD:
        return RUN_CLASS_DEAD | (run->limit != 0 ? RUN_CLASS_HOLDING : 0u) |
               (run->started != 0 ? RUN_CLASS_OWING : 0u);
    case RUN_DONE:
        return RUN_CLASS_DONE;
    case RUN_PARKED:
        return RUN_CLASS_PARKED;
    case RUN_NONE:
    case RUN_STATES:
        break;
    }
    return 0;
}

static unsigned class_of(const struct run *run)
{
    return class_of_state(run) | (run->redriven != 0 ? RUN_CLASS_REDRIVEN : 0u);
}

static uint64_t end_of(const struct run_node *node)
{
    return node->first + node->count;
}

static int64_t own_due(const struct run_node *node)
{
    return node->run.state == RUN_WAITING ? node->run.due_ms : INT64_MAX;
}

/* What the subtree holds, from the node and its children. */
static void gather(const struct run_slab *slab, struct run_node *node)
{
    unsigned below = class_of(&node->run);
    int64_t due_ms = own_due(node);
    const uint32_t children[2] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
        if (children[i] != NONE) {
            const struct run_node *child = node_at(slab, children[i]);
            below |= child->below;
            due_ms = child->below_due_ms < due_ms ? child->below_due_ms : due_ms;
        }
    }
    node->below = below;
    node->below_due_ms = due_ms;
}

static uint32_t new_node(struct run_slab *slab, uint64_t first, uint64_t end, const struct run *run)
{
    zsp_assert(end > first);
    zsp_assert(end - first <= UINT32_MAX);
    const uint32_t made = take_node(slab);
    struct run_node *node = node_at(slab, made);
    node->first = first;
    node->count = (uint32_t)(end - first);
    node->rank = draw(slab);
    node->left = node->right = NONE;
    node->run = *run;
    reasons_hold(slab->reasons, run->reasons);
    gather(slab, node);
    return made;
}

/* Split by the first offset: *ret_left gets the nodes below `key`, *ret_right the rest. */
static void split(struct run_slab *slab, uint32_t tree, uint64_t key, uint32_t *ret_left,
                  uint32_t *ret_right)
{
    if (tree == NONE) {
        *ret_left = *ret_right = NONE;
        return;
    }
    struct run_node *node = node_at(slab, tree);
    if (node->first < key) {
        split(slab, node->right, key, &node->right, ret_right);
        *ret_left = tree;
    } else {
        split(slab, node->left, key, ret_left, &node->left);
        *ret_right = tree;
    }
    gather(slab, node);
}

/* One tree of two; all of `left` lies before all of `right`. */
static uint32_t join(struct run_slab *slab, uint32_t left, uint32_t right)
{
    if (left == NONE || right == NONE) {
        return left == NONE ? right : left;
    }
    struct run_node *a = node_at(slab, left);
    struct run_node *b = node_at(slab, right);
    if (a->rank >= b->rank) {
        a->right = join(slab, a->right, right);
        gather(slab, a);
        return left;
    }
    b->left = join(slab, left, b->left);
    gather(slab, b);
    return right;
}

static struct run_node *rightmost(const struct run_slab *slab, uint32_t tree)
{
    struct run_node *node = NULL;
    while (tree != NONE) {
        node = node_at(slab, tree);
        tree = node->right;
    }
    return node;
}

static struct run_node *leftmost(const struct run_slab *slab, uint32_t tree)
{
    struct run_node *node = NULL;
    while (tree != NONE) {
        node = node_at(slab, tree);
        tree = node->left;
    }
    return node;
}

/* Split at an offset, cutting the run that lies across it. The length of a run is
 * not part of what subtrees gather, so it may change in place. */
static void cut(struct run_slab *slab, uint32_t tree, uint64_t key, uint32_t *ret_left,
                uint32_t *ret_right)
{
    split(slab, tree, key, ret_left, ret_right);
    struct run_node *last = rightmost(slab, *ret_left);
    if (last && end_of(last) > key) {
        const uint32_t rest = new_node(slab, key, end_of(last), &last->run);
        last->count = (uint32_t)(key - last->first);
        *ret_right = join(slab, rest, *ret_right);
    }
}

static struct run_head *head_of(const struct runmap *self)
{
    return &node_at(self->slab, self->head)->head;
}

static uint32_t root_of(const struct runmap *self)
{
    return self->head != NONE ? head_of(self)->root : NONE;
}

static void free_tree(struct runmap *self, uint32_t tree)
{
    while (tree != NONE) {
        struct run_node *node = node_at(self->slab, tree);
        const uint32_t right = node->right;
        free_tree(self, node->left);
        head_of(self)->count[node->run.state] -= node->count;
        reasons_drop(self->slab->reasons, node->run.reasons);
        give_node(self->slab, tree);
        tree = right;
    }
}

/* --- Map -------------------------------------------------------------------------- */

bool run_equal(const struct run *a, const struct run *b)
{
    return a->lease == b->lease && a->last_lease == b->last_lease && a->due_ms == b->due_ms &&
           a->deliveries == b->deliveries && a->failures == b->failures &&
           a->reasons == b->reasons && a->state == b->state && a->urgency == b->urgency &&
           a->last_outcome == b->last_outcome && a->limit == b->limit && a->started == b->started &&
           a->redriven == b->redriven;
}

void runmap_init(struct runmap *self, struct run_slab *slab)
{
    *self = (struct runmap){.slab = slab, .head = NONE};
}

void runmap_fini(struct runmap *self)
{
    if (self->head != NONE) {
        free_tree(self, head_of(self)->root);
        give_node(self->slab, self->head);
    }
    self->head = NONE;
}

uint64_t runmap_count(const struct runmap *self, enum run_state state)
{
    return self->head != NONE ? head_of(self)->count[state] : 0;
}

/* Give the map a head for its first run; room for it is reserved. */
static void open_head(struct runmap *self)
{
    self->head = take_node(self->slab);
    *head_of(self) = (struct run_head){.root = NONE};
}

static void set_root(struct runmap *self, uint32_t root)
{
    head_of(self)->root = root;
    if (root == NONE) {
        give_node(self->slab, self->head);
        self->head = NONE;
    }
}

/* May `left` grow over `right`, which begins where it ends? */
static bool may_merge(const struct run_node *left, const struct run_node *right)
{
    return end_of(left) == right->first && right->count <= UINT32_MAX - left->count &&
           run_equal(&left->run, &right->run);
}

/* Append a run behind `left`: as a node, or by making its last node longer. */
static uint32_t append(struct runmap *self, uint32_t left, uint64_t first, uint64_t end,
                       const struct run *run)
{
    struct run_slab *slab = self->slab;
    struct run_node *last = rightmost(slab, left);
    head_of(self)->count[run->state] += end - first;
    if (last && end_of(last) == first && run_equal(&last->run, run) &&
        end - first <= UINT32_MAX - last->count) {
        last->count += (uint32_t)(end - first);
        return left;
    }
    return join(slab, left, new_node(slab, first, end, run));
}

/* Join two trees; when the runs at the seam are equal they become one. */
static uint32_t seam(struct runmap *self, uint32_t left, uint32_t right)
{
    struct run_slab *slab = self->slab;
    struct run_node *last = rightmost(slab, left);
    const struct run_node *next = leftmost(slab, right);
    if (last && next && may_merge(last, next)) {
        uint32_t gone, rest;
        split(slab, right, next->first + 1, &gone, &rest);
        last->count += next->count;
        head_of(self)->count[next->run.state] += next->count; /* free_tree takes it off again */
        free_tree(self, gone);
        right = rest;
    }
    return join(slab, left, right);
}

int runmap_set(struct runmap *self, uint64_t first, uint64_t end, const struct run *run)
{
    zsp_assert(first < end);
    struct run_slab *slab = self->slab;
    int rc = run_slab_reserve(slab, RUNMAP_NODES);
    if (rc < 0) {
        return rc;
    }
    if (self->head == NONE) {
        if (run->state == RUN_NONE) {
            return 0;
        }
        open_head(self);
    }
    /* The caller's reasons may be held only by the nodes that go. */
    const struct run kept = *run;
    reasons_hold(slab->reasons, kept.reasons);
    uint32_t left, rest, middle, right;
    cut(slab, root_of(self), first, &left, &rest);
    cut(slab, rest, end, &middle, &right);
    free_tree(self, middle);
    if (kept.state != RUN_NONE) {
        left = append(self, left, first, end, &kept);
        left = seam(self, left, right);
    } else {
        left = join(slab, left, right);
    }
    set_root(self, left);
    reasons_drop(slab->reasons, kept.reasons);
    return 0;
}

static void fill_span(const struct run_node *node, struct run_span *ret)
{
    *ret = (struct run_span){.first = node->first, .end = end_of(node), .run = node->run};
}

/* The leftmost node of the classes that ends after `from`. Only along the path of
 * `from` can a subtree that holds the class have nothing to offer: O(depth). */
static uint32_t find(const struct run_slab *slab, uint32_t tree, uint64_t from, unsigned classes)
{
    while (tree != NONE) {
        const struct run_node *node = node_at(slab, tree);
        if ((node->below & classes) == 0) {
            return NONE;
        }
        if (end_of(node) > from) {
            const uint32_t found = find(slab, node->left, from, classes);
            if (found != NONE) {
                return found;
            }
            if (class_of(&node->run) & classes) {
                return tree;
            }
        }
        tree = node->right;
    }
    return NONE;
}

bool runmap_next(const struct runmap *self, uint64_t from, unsigned classes, struct run_span *ret)
{
    const uint32_t found = find(self->slab, root_of(self), from, classes);
    if (found == NONE) {
        return false;
    }
    fill_span(node_at(self->slab, found), ret);
    return true;
}

unsigned runmap_classes(const struct runmap *self)
{
    const uint32_t tree = root_of(self);
    return tree == NONE ? 0 : node_at(self->slab, tree)->below;
}

bool runmap_due(const struct runmap *self, struct run_span *ret)
{
    uint32_t tree = root_of(self);
    if (tree == NONE || node_at(self->slab, tree)->below_due_ms == INT64_MAX) {
        return false;
    }
    const int64_t due_ms = node_at(self->slab, tree)->below_due_ms;
    for (;;) {
        const struct run_node *node = node_at(self->slab, tree);
        if (node->left != NONE && node_at(self->slab, node->left)->below_due_ms == due_ms) {
            tree = node->left;
        } else if (own_due(node) == due_ms) {
            fill_span(node, ret);
            return true;
        } else {
            tree = node->right;
        }
    }
}

struct visit {
    const struct run_slab *slab;
    uint64_t first, end;
    int (*fn)(void *arg, const struct run_span *span);
    void *arg;
};

static int visit(const struct visit *self, uint32_t tree)
{
    while (tree != NONE) {
        const struct run_node *node = node_at(self->slab, tree);
        if (node->first > self->first) {
            int rc = visit(self, node->left);
            if (rc != 0) {
                return rc;
            }
        }
        if (node->first >= self->end) {
            return 0;
        }
        if (end_of(node) > self->first) {
            struct run_span span;
            fill_span(node, &span);
            span.first = span.first > self->first ? span.first : self->first;
            span.end = span.end < self->end ? span.end : self->end;
            int rc = self->fn(self->arg, &span);
            if (rc != 0) {
                return rc;
            }
        }
        tree = node->right;
    }
    return 0;
}

int runmap_visit(const struct runmap *self, uint64_t first, uint64_t end,
                 int (*fn)(void *arg, const struct run_span *span), void *arg)
{
    const struct visit walk = {self->slab, first, end, fn, arg};
    return visit(&walk, root_of(self));
}
