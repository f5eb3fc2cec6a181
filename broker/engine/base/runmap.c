/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/base/run_node.h"

#include "common/assert.h"
#include "common/err.h"

#define NONE RUN_NO_NODE
/* Nodes of a map that are given back when it ends; those of a small one are all. */
#define SWEEP_AT_ONCE 1024u
/* Runs that are looked at in any case, to know whether there are few. */
#define COUNT_FEW 4096u
/* Runs that one of many new ones may have around it, so that all are rather built anew. */
#define REBUILD_MOST 8u

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
static void gather(struct run_slab *slab, struct run_node *node)
{
    slab->work++;
    unsigned below = class_of(&node->run);
    int64_t due_ms = own_due(node);
    const uint32_t children[2] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
        if (children[i] != NONE) {
            const struct run_node *child = run_node_at(slab, children[i]);
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
    const uint32_t made = run_node_take(slab);
    struct run_node *node = run_node_at(slab, made);
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
    struct run_node *node = run_node_at(slab, tree);
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
    struct run_node *a = run_node_at(slab, left);
    struct run_node *b = run_node_at(slab, right);
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
        node = run_node_at(slab, tree);
        tree = node->right;
    }
    return node;
}

static struct run_node *leftmost(const struct run_slab *slab, uint32_t tree)
{
    struct run_node *node = NULL;
    while (tree != NONE) {
        node = run_node_at(slab, tree);
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
    return &run_node_at(self->slab, self->head)->head;
}

static uint32_t root_of(const struct runmap *self)
{
    return self->head != NONE ? head_of(self)->root : NONE;
}

static void free_tree(struct runmap *self, uint32_t tree)
{
    while (tree != NONE) {
        struct run_node *node = run_node_at(self->slab, tree);
        const uint32_t right = node->right;
        free_tree(self, node->left);
        head_of(self)->count[node->run.state] -= node->count;
        reasons_drop(self->slab->reasons, node->run.reasons);
        run_node_give(self->slab, tree);
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
        run_node_discard(self->slab, head_of(self)->root);
        run_node_give(self->slab, self->head);
        run_node_sweep(self->slab, SWEEP_AT_ONCE);
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
    self->head = run_node_take(self->slab);
    *head_of(self) = (struct run_head){.root = NONE};
}

static void set_root(struct runmap *self, uint32_t root)
{
    head_of(self)->root = root;
    if (root == NONE) {
        run_node_give(self->slab, self->head);
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

/* --- Many at once ------------------------------------------------------------------ */

/* A tree that is built from left to right. The nodes down its right side are open: what lies left
 * of each is complete, and instead of its right child it names the open one above it. */
struct build {
    struct runmap *map;
    uint32_t last; /* open: the rightmost node; NONE = there is none yet */
};

/* Close the open nodes that are not above `rank`: the root of what they are; NONE = there is none. */
static uint32_t build_close(struct build *self, uint64_t rank)
{
    struct run_slab *slab = self->map->slab;
    uint32_t tree = NONE;
    while (self->last != NONE && run_node_at(slab, self->last)->rank < rank) {
        struct run_node *node = run_node_at(slab, self->last);
        const uint32_t above = node->right;
        node->right = tree;
        gather(slab, node);
        tree = self->last;
        self->last = above;
    }
    return tree;
}

/* Append a run; there is a node for it. */
static void build_add(struct build *self, uint64_t first, uint64_t end, const struct run *run)
{
    struct run_slab *slab = self->map->slab;
    struct run_node *last = self->last != NONE ? run_node_at(slab, self->last) : NULL;
    head_of(self->map)->count[run->state] += end - first;
    if (last && end_of(last) == first && run_equal(&last->run, run) &&
        end - first <= UINT32_MAX - last->count) {
        last->count += (uint32_t)(end - first);
        return;
    }
    const uint32_t made = new_node(slab, first, end, run);
    struct run_node *node = run_node_at(slab, made);
    node->left = build_close(self, node->rank);
    node->right = self->last;
    self->last = made;
}

/* Old runs and the new ones that take their place. */
struct merge {
    struct build build;
    const struct run_span *next, *end; /* of the new ones */
    uint64_t pos;                      /* all before it is built */
};

/* Put in all new runs that begin before `to`, and forget of [pos, ...) what they cover. */
static void merge_new(struct merge *self, uint64_t to)
{
    for (; self->next < self->end && self->next->first < to; self->next++) {
        zsp_assert(self->next->first >= self->pos);
        if (self->next->run.state != RUN_NONE) {
            build_add(&self->build, self->next->first, self->next->end, &self->next->run);
        }
        self->pos = self->next->end;
    }
}

/* An old run, but for what new ones take of it. */
static void merge_old(struct merge *self, const struct run_node *node)
{
    const uint64_t end = end_of(node);
    uint64_t from = node->first;
    while (from < end) {
        merge_new(self, from + 1);
        from = self->pos > from ? self->pos : from;
        const uint64_t to =
            self->next < self->end && self->next->first < end ? self->next->first : end;
        if (from < to) {
            build_add(&self->build, from, to, &node->run);
            from = to;
        }
    }
}

static void merge_tree(struct merge *self, uint32_t tree)
{
    while (tree != NONE) {
        const struct run_node *node = run_node_at(self->build.map->slab, tree);
        merge_tree(self, node->left);
        merge_old(self, node);
        tree = node->right;
    }
}

/* How many runs lie in [first, end), counted up to `most`. */
static int count_one(void *arg, const struct run_span *span)
{
    (void)span;
    uint32_t *left = arg;
    return --*left == 0;
}

static uint32_t count_runs(const struct runmap *self, uint64_t first, uint64_t end, uint32_t most)
{
    uint32_t left = most;
    (void)runmap_visit(self, first, end, count_one, &left); /* ends at `most` */
    return most - left;
}

/* Build what lies in the range of `spans` anew: `old` runs and these. */
static void rebuild(struct runmap *self, const struct run_span *spans, size_t count)
{
    struct run_slab *slab = self->slab;
    uint32_t left, rest, middle, right;
    cut(slab, root_of(self), spans[0].first, &left, &rest);
    cut(slab, rest, spans[count - 1].end, &middle, &right);
    struct merge merge = {.build = {.map = self}, .next = spans, .end = spans + count};
    merge_tree(&merge, middle);
    merge_new(&merge, UINT64_MAX);
    const uint32_t built = build_close(&merge.build, UINT64_MAX);
    free_tree(self, middle);
    left = seam(self, left, built);
    set_root(self, seam(self, left, right));
}

int runmap_set_all(struct runmap *self, const struct run_span *spans, size_t count)
{
    if (count < 2) {
        return count == 0 ? 0 : runmap_set(self, spans->first, spans->end, &spans->run);
    }
    const uint32_t most = REBUILD_MOST * (uint32_t)count;
    const uint32_t old = count_runs(self, spans[0].first, spans[count - 1].end, most);
    int rc = 0;
    if (old == most) { /* few among many */
        for (size_t i = 0; i < count && rc == 0; i++) {
            rc = runmap_set(self, spans[i].first, spans[i].end, &spans[i].run);
        }
        return rc;
    }
    rc = run_slab_reserve(self->slab, old + 2 * (uint32_t)count + RUNMAP_NODES);
    if (rc == 0) {
        if (self->head == NONE) {
            open_head(self);
        }
        rebuild(self, spans, count);
    }
    return rc;
}

/* --- Looking ------------------------------------------------------------------------- */

static void fill_span(const struct run_node *node, struct run_span *ret)
{
    *ret = (struct run_span){.first = node->first, .end = end_of(node), .run = node->run};
}

/* The leftmost node of the classes that ends after `from`. Only along the path of
 * `from` can a subtree that holds the class have nothing to offer: O(depth). */
static uint32_t find(const struct run_slab *slab, uint32_t tree, uint64_t from, unsigned classes)
{
    while (tree != NONE) {
        const struct run_node *node = run_node_at(slab, tree);
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
    fill_span(run_node_at(self->slab, found), ret);
    return true;
}

unsigned runmap_classes(const struct runmap *self)
{
    const uint32_t tree = root_of(self);
    return tree == NONE ? 0 : run_node_at(self->slab, tree)->below;
}

bool runmap_due(const struct runmap *self, struct run_span *ret)
{
    uint32_t tree = root_of(self);
    if (tree == NONE || run_node_at(self->slab, tree)->below_due_ms == INT64_MAX) {
        return false;
    }
    const int64_t due_ms = run_node_at(self->slab, tree)->below_due_ms;
    for (;;) {
        const struct run_node *node = run_node_at(self->slab, tree);
        if (node->left != NONE && run_node_at(self->slab, node->left)->below_due_ms == due_ms) {
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
    struct run_slab *slab;
    uint64_t first, end;
    int (*fn)(void *arg, const struct run_span *span);
    void *arg;
};

static int visit(const struct visit *self, uint32_t tree)
{
    while (tree != NONE) {
        const struct run_node *node = run_node_at(self->slab, tree);
        self->slab->work++;
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

struct gap_walk {
    uint64_t first, end;
};

static int pass_run(void *arg, const struct run_span *span)
{
    struct gap_walk *walk = arg;
    if (span->first > walk->first) {
        walk->end = span->first;
        return 1;
    }
    walk->first = span->end;
    return 0;
}

bool runmap_next_gap(const struct runmap *self, uint64_t from, uint64_t to, uint64_t *ret_first,
                     uint64_t *ret_end)
{
    struct gap_walk walk = {.first = from, .end = to};
    if (from < to) {
        (void)runmap_visit(self, from, to, pass_run, &walk); /* ends at the gap */
    }
    *ret_first = walk.first;
    *ret_end = walk.end;
    return walk.first < walk.end;
}

/* --- Counting --------------------------------------------------------------------------- */

struct count_walk {
    struct run_counts counts;
    uint64_t left; /* runs that may be looked at */
};

static int count_run(void *arg, const struct run_span *span)
{
    struct count_walk *walk = arg;
    walk->counts.of[span->run.state] += span->end - span->first;
    return --walk->left == 0;
}

/* What is outside, when that are fewer than `most` runs. */
static bool count_outside(const struct runmap *self, uint64_t first, uint64_t end, uint64_t most,
                          struct run_counts *ret)
{
    struct count_walk walk = {.left = most};
    if ((first > 0 && runmap_visit(self, 0, first, count_run, &walk) != 0) ||
        runmap_visit(self, end, UINT64_MAX, count_run, &walk) != 0) {
        return false;
    }
    *ret = walk.counts;
    return true;
}

/* Does [first, end) cover the larger part of all that lies between the first run and the last? */
static bool covers_most(const struct runmap *self, uint64_t first, uint64_t end)
{
    const struct run_node *lowest = run_node_at(self->slab, root_of(self));
    const struct run_node *highest = lowest;
    while (lowest->left != NONE) {
        lowest = run_node_at(self->slab, lowest->left);
    }
    while (highest->right != NONE) {
        highest = run_node_at(self->slab, highest->right);
    }
    const uint64_t whole = end_of(highest) - lowest->first;
    first = first > lowest->first ? first : lowest->first;
    end = end < end_of(highest) ? end : end_of(highest);
    return end - first > whole / 2;
}

struct run_counts runmap_count_in(const struct runmap *self, uint64_t first, uint64_t end)
{
    struct count_walk walk = {.left = COUNT_FEW};
    struct run_counts outside;
    if (self->head == NONE || runmap_visit(self, first, end, count_run, &walk) == 0) {
        return walk.counts;
    }
    const uint64_t most = covers_most(self, first, end) ? UINT64_MAX : COUNT_FEW;
    if (count_outside(self, first, end, most, &outside)) {
        for (int state = 0; state < RUN_STATES; state++) {
            walk.counts.of[state] = head_of(self)->count[state] - outside.of[state];
        }
        return walk.counts;
    }
    walk = (struct count_walk){.left = UINT64_MAX};
    (void)runmap_visit(self, first, end, count_run, &walk); /* to its end */
    return walk.counts;
}

int runmap_drop(struct runmap *self, uint64_t first, uint64_t end)
{
    struct run_slab *slab = self->slab;
    const int rc = run_slab_reserve(slab, RUNMAP_NODES);
    if (rc < 0 || self->head == NONE) {
        return rc;
    }
    const struct run_counts counts = runmap_count_in(self, first, end);
    uint32_t left, rest, middle, right;
    cut(slab, root_of(self), first, &left, &rest);
    cut(slab, rest, end, &middle, &right);
    for (int state = 0; state < RUN_STATES; state++) {
        head_of(self)->count[state] -= counts.of[state];
    }
    run_node_discard(slab, middle);
    run_node_sweep(slab, SWEEP_AT_ONCE);
    set_root(self, join(slab, left, right));
    return 0;
}
