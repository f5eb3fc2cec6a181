/* SPDX-License-Identifier: MPL-2.0
 *
 * Searches for ids: what they need is loaded, then tables and filters are asked, from the newest
 * segment to the oldest, then files. The story is in part_ids.h.
 *
 *   WAITING ---> SEARCHING ---> (answered)
 *   WAITING -> SEARCHING   find_step     filters cannot deny something: a task looks into files
 *   SEARCHING -> WAITING   search_done   older segments are left
 *   WAITING -> answered    find_step
 */
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "broker/store/partition/partition.h"
#include "broker/store/read/part_ids.h"
#include "common/assert.h"

#define PROBES_MAX 262144u /* questions that one task looks up in files */

/* A question to a file. */
struct id_probe {
    uint64_t print;
    uint32_t index;  /* of the print in the search */
    uint32_t source; /* which file */
};

struct id_find {
    struct io io; /* the task */
    struct id_find *next;
    struct store_part *part;
    uint64_t tag;
    int64_t since_ms;
    bool keeps;
    uint32_t count;
    uint64_t *prints;
    uint8_t *found; /* of each print: how many were found */
    uint64_t below; /* segments of lower numbers are left */
    struct store_id_hit *hits;
    uint32_t hit_count, hit_capacity;
    struct id_probe *probes;
    uint32_t probe_count, probe_capacity;
    struct id_source *sources;
    uint32_t source_count, source_capacity;
    bool no_memory;
};

/* --- Requests ------------------------------------------------------------------------------ */

static void enqueue(struct id_finds *self, struct id_find *find)
{
    find->next = NULL;
    *(self->last ? &self->last->next : &self->first) = find;
    self->last = find;
    self->woken = true;
}

static void destroy(struct id_find *find)
{
    free(find->prints);
    free(find->found);
    free(find->hits);
    free(find->probes);
    free(find->sources);
    free(find);
}

int id_finds_add(struct log_store *store, const struct store_find_ids *want, struct zsp_err *err)
{
    zsp_assert(want->count > 0);
    struct id_find *find = calloc(1, sizeof *find);
    if (find) {
        find->prints = malloc(want->count * sizeof *find->prints);
        find->found = calloc(want->count, sizeof *find->found);
    }
    if (!find || !find->prints || !find->found) {
        if (find) {
            destroy(find);
        }
        return zsp_err_set(err, ZSP_ENOMEM, "a search for %u ids", (unsigned)want->count);
    }
    memcpy(find->prints, want->prints, want->count * sizeof *find->prints);
    find->part = want->part;
    find->tag = want->tag;
    find->since_ms = want->since_ms;
    find->keeps = want->keep;
    find->count = want->count;
    find->below = UINT64_MAX;
    find->part->reads++;
    store->id_finds.count++;
    enqueue(&store->id_finds, find);
    return 0;
}

void id_finds_wake(struct log_store *store)
{
    store->id_finds.woken = true;
}

static int compare_hits(const void *a, const void *b)
{
    const struct store_id_hit *left = a;
    const struct store_id_hit *right = b;
    if (left->index != right->index) {
        return left->index < right->index ? -1 : 1;
    }
    return left->offset > right->offset ? -1 : (left->offset < right->offset ? 1 : 0);
}

/* Answer and free. */
static void answer(struct log_store *store, struct id_find *find, const struct zsp_err *err)
{
    struct completion completion = {
        .kind = STORE_IDS_FOUND, .tag = find->tag, .owner = find->part->owner};
    if (!err && find->hit_count > 0) {
        qsort(find->hits, find->hit_count, sizeof *find->hits, compare_hits);
        completion.hits = find->hits;
        completion.hit_count = find->hit_count;
        find->hits = NULL;
    }
    find->part->reads--;
    store->id_finds.count--;
    store_complete(store, &completion, err);
    destroy(find);
}

static void fail(struct log_store *store, struct id_find *find, int code, const char *what)
{
    struct zsp_err err = {0};
    (void)zsp_err_set(&err, code, "%s", what);
    answer(store, find, &err);
}

static void add_hit(struct id_find *find, uint32_t index, uint64_t offset)
{
    if (find->found[index] == STORE_ID_HITS_MAX) {
        return;
    }
    if (find->hit_count == find->hit_capacity) {
        const uint32_t capacity = find->hit_capacity ? find->hit_capacity * 2 : 16;
        struct store_id_hit *hits = realloc(find->hits, capacity * sizeof *hits);
        if (!hits) {
            find->no_memory = true;
            return;
        }
        find->hits = hits;
        find->hit_capacity = capacity;
    }
    find->found[index]++;
    find->hits[find->hit_count++] = (struct store_id_hit){index, offset};
}

/* --- Loading --------------------------------------------------------------------------------- */

struct load {
    struct io io;
    struct store_part *part;
    struct id_source source;
    struct id_entry *entries; /* of the segment that takes appends */
    uint32_t count;
    struct id_filter filter; /* of a sealed one */
};

static void load_run(struct job *job, struct fs *fs)
{
    struct load *self = job->owner;
    int rc = id_source_entries(&self->source, fs, &self->entries, &self->count, &job->error);
    if (rc == 0 && self->source.is_sealed) {
        rc = id_filter_init(&self->filter, self->entries, self->count);
        free(self->entries);
        self->entries = NULL;
        if (rc != 0) {
            (void)zsp_err_set(&job->error, rc, "a filter of ids");
        }
    }
}

/* All searches of the partition that wait fail. */
static void fail_waiting(struct log_store *store, const struct store_part *part,
                         const struct zsp_err *err)
{
    struct id_finds *self = &store->id_finds;
    struct id_find *find = self->first;
    self->first = NULL;
    self->last = NULL;
    while (find) {
        struct id_find *next = find->next;
        if (find->part == part) {
            answer(store, find, err);
        } else {
            enqueue(self, find);
        }
        find = next;
    }
}

/* What was loaded becomes the segment's, unless it is sealed meanwhile: then it is loaded again. */
static void load_take(struct log_store *store, struct load *load, struct segment *segment)
{
    struct segment_ids *ids = segment->ids;
    if (load->source.is_sealed) {
        id_table_fini(&ids->recent);
        ids->filter = load->filter;
        ids->has_filter = true;
        memset(&load->filter, 0, sizeof load->filter);
        return;
    }
    if (ids->has_filter || segment->state == SEGMENT_SEALED) {
        return;
    }
    for (uint32_t i = 0; i < load->count; i++) {
        if (id_table_add(&ids->recent, load->entries[i].print, load->entries[i].delta) != 0) {
            store_fail_memory(store, "the ids of messages");
            return;
        }
    }
    ids->is_complete = true;
}

static void load_done(struct log_store *store, struct io *io)
{
    struct load *load = (struct load *)io;
    struct store_part *part = load->part;
    store->works--;
    store->id_finds.loads--;
    part->busy--;
    struct segment *segment = partition_find_segment(part, load->source.segment);
    if (segment && segment->ids) {
        segment->ids->loading = false;
        if (io->job.error.code == 0 && part->has_ids && !store->failed) {
            load_take(store, load, segment);
        } else if (io->job.error.code != 0) {
            fail_waiting(store, part, &io->job.error);
        }
    }
    if (load->source.sync_failed) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ESTORAGE_FAILED, "%s: sync of ids failed",
                          load->source.directory);
        store_fail(store, &err);
    }
    id_filter_fini(&load->filter);
    free(load->entries);
    free(load);
    id_finds_wake(store);
    partition_wake(part);
}

/* False = no memory. */
static bool load_start(struct log_store *store, struct segment *segment)
{
    if (!segment->ids) {
        segment->ids = calloc(1, sizeof *segment->ids);
    }
    struct load *load = segment->ids ? calloc(1, sizeof *load) : NULL;
    if (!load) {
        return false;
    }
    load->part = segment->part;
    id_source_init(&load->source, segment);
    io_task(&load->io, load_run, load_done, load);
    segment->ids->loading = true;
    segment->part->busy++;
    store->works++;
    store->id_finds.loads++;
    store_submit(store, &load->io);
    return true;
}

/* Is all known that is needed to look into this segment? */
static bool is_loaded(const struct id_find *find, const struct segment *segment)
{
    const struct segment_ids *ids = segment->ids;
    if (segment->bytes == 0 || (ids && ids->has_filter)) {
        return true;
    }
    return segment->state == SEGMENT_SEALED ? !find->keeps : ids && ids->is_complete;
}

/* Is the segment of those that are wanted? */
static bool is_wanted(const struct id_find *find, const struct segment *segment)
{
    return segment->number < find->below && segment->max_timestamp_ms >= find->since_ms;
}

/* 1 = all segments are loaded that are wanted, 0 = some are being loaded, or will be. */
static int load_all(struct log_store *store, const struct id_find *find)
{
    const struct store_part *part = find->part;
    int rc = 1;
    for (uint32_t i = part->segment_count; i > 0; i--) {
        struct segment *segment = part->segments[i - 1];
        if (!is_wanted(find, segment) || is_loaded(find, segment)) {
            continue;
        }
        rc = 0;
        if (segment->state == SEGMENT_ACTIVE && deferred_flush(segment->part)) {
            continue; /* the file is looked into when it has everything */
        }
        const bool is_loading = segment->ids && segment->ids->loading;
        if (!is_loading && store->id_finds.loads < ID_LOADS_MAX && !load_start(store, segment)) {
            return ZSP_ENOMEM;
        }
    }
    return rc;
}

/* --- Looking ------------------------------------------------------------------------------------ */

static void look_in_table(struct id_find *find, const struct segment *segment)
{
    uint32_t deltas[ID_SAME_MAX];
    for (uint32_t i = 0; i < find->count; i++) {
        const size_t count = id_table_find(&segment->ids->recent, find->prints[i], deltas);
        for (size_t k = 0; k < count; k++) {
            add_hit(find, i, segment->base_offset + deltas[k]);
        }
    }
}

static bool grow_probes(struct id_find *find)
{
    const uint32_t capacity = find->probe_capacity ? find->probe_capacity * 2 : 16;
    struct id_probe *probes = realloc(find->probes, capacity * sizeof *probes);
    if (!probes) {
        find->no_memory = true;
        return false;
    }
    find->probes = probes;
    find->probe_capacity = capacity;
    return true;
}

static void add_source(struct id_find *find, const struct segment *segment)
{
    if (find->source_count == find->source_capacity) {
        const uint32_t capacity = find->source_capacity ? find->source_capacity * 2 : 4;
        struct id_source *sources = realloc(find->sources, capacity * sizeof *sources);
        if (!sources) {
            find->no_memory = true;
            return;
        }
        find->sources = sources;
        find->source_capacity = capacity;
    }
    struct id_source *source = &find->sources[find->source_count++];
    id_source_init(source, segment);
    source->is_sealed = true; /* its file is written, its fact perhaps not yet */
}

/* Note what the filter, if there is one, cannot deny. */
static void look_in_filter(struct id_find *find, const struct segment *segment)
{
    const struct id_filter *filter =
        segment->ids && segment->ids->has_filter ? &segment->ids->filter : NULL;
    const uint32_t before = find->probe_count;
    for (uint32_t i = 0; i < find->count; i++) {
        if (find->found[i] == STORE_ID_HITS_MAX ||
            (filter && !id_filter_may_have(filter, find->prints[i]))) {
            continue;
        }
        if (find->probe_count == find->probe_capacity && !grow_probes(find)) {
            return;
        }
        find->probes[find->probe_count++] =
            (struct id_probe){find->prints[i], i, find->source_count};
    }
    if (find->probe_count > before) {
        add_source(find, segment);
    }
}

static void look(struct id_find *find)
{
    const struct store_part *part = find->part;
    for (uint32_t i = part->segment_count; i > 0 && find->probe_count < PROBES_MAX; i--) {
        const struct segment *segment = part->segments[i - 1];
        if (!is_wanted(find, segment)) {
            continue;
        }
        find->below = segment->number;
        if (segment->ids && !segment->ids->has_filter && segment->ids->is_complete) {
            look_in_table(find, segment);
        } else if (segment->bytes > 0) {
            look_in_filter(find, segment);
        }
    }
}

/* Segments before what is wanted need no filters any more. */
static void drop_old(const struct id_find *find)
{
    const struct store_part *part = find->part;
    for (uint32_t i = 0; i < part->segment_count; i++) {
        struct segment *segment = part->segments[i];
        if (segment->state != SEGMENT_SEALED || segment->max_timestamp_ms >= find->since_ms) {
            break;
        }
        if (segment->ids && !segment->ids->loading) {
            segment_ids_drop(segment);
        }
    }
}

/* --- In files ---------------------------------------------------------------------------------------- */

static int compare_probes(const void *a, const void *b)
{
    const struct id_probe *left = a;
    const struct id_probe *right = b;
    if (left->source != right->source) {
        return left->source < right->source ? -1 : 1;
    }
    if (left->print != right->print) {
        return left->print < right->print ? -1 : 1;
    }
    return left->index < right->index ? -1 : (left->index > right->index ? 1 : 0);
}

/* The questions [first, end) to one file. */
static int search_file(struct id_find *self, struct fs *fs, uint32_t first, uint32_t end,
                       struct zsp_err *err)
{
    struct id_source *source = &self->sources[self->probes[first].source];
    struct id_search search;
    int rc = id_source_search(source, fs, &search, err);
    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = first; i < end && rc >= 0; i++) {
        uint32_t deltas[ID_SAME_MAX];
        rc = id_search_find(&search, self->probes[i].print, deltas, err);
        for (int k = 0; k < rc; k++) {
            add_hit(self, self->probes[i].index, source->facts.base_offset + deltas[k]);
        }
    }
    id_search_end(&search);
    (void)fs->ops->close(fs->self, search.file, NULL); /* only read */
    return rc;
}

/* A page that turns out to be damaged while others were good: the file goes, and is made anew. */
static int search_again(struct id_find *self, struct fs *fs, uint32_t first, uint32_t end,
                        struct zsp_err *err)
{
    struct id_source *source = &self->sources[self->probes[first].source];
    char path[LAYOUT_PATH_MAX];
    id_source_path(source, ".ids", path);
    (void)fs->ops->unlink(fs->self, path, NULL);
    *err = (struct zsp_err){0};
    return search_file(self, fs, first, end, err);
}

static void search_run(struct job *job, struct fs *fs)
{
    struct id_find *self = job->owner;
    qsort(self->probes, self->probe_count, sizeof *self->probes, compare_probes);
    uint32_t first = 0;
    while (first < self->probe_count) {
        uint32_t end = first + 1;
        while (end < self->probe_count && self->probes[end].source == self->probes[first].source) {
            end++;
        }
        int rc = search_file(self, fs, first, end, &job->error);
        if (rc == ZSP_ECORRUPT) {
            rc = search_again(self, fs, first, end, &job->error);
        }
        if (rc < 0) {
            return;
        }
        first = end;
    }
}

/* Is the segment that could not be read gone meanwhile? Then its messages are, too. */
static bool is_any_gone(const struct id_find *find)
{
    for (uint32_t i = 0; i < find->source_count; i++) {
        if (!partition_find_segment(find->part, find->sources[i].segment)) {
            return true;
        }
    }
    return false;
}

static void search_done(struct log_store *store, struct io *io)
{
    struct id_find *find = (struct id_find *)io;
    bool sync_failed = false;
    for (uint32_t i = 0; i < find->source_count; i++) {
        sync_failed = sync_failed || find->sources[i].sync_failed;
    }
    store->works--;
    store->id_finds.searches--;
    find->part->busy--;
    if (sync_failed) {
        struct zsp_err err = {0};
        (void)zsp_err_set(&err, ZSP_ESTORAGE_FAILED, "%s: sync of ids failed", find->part->path);
        store_fail(store, &err);
    }
    if (store->failed) {
        answer(store, find, &store->failure);
        return;
    }
    if (io->job.error.code == ZSP_ENOT_FOUND && is_any_gone(find)) {
        find->below = UINT64_MAX; /* all over again, without it */
        find->hit_count = 0;
        memset(find->found, 0, find->count);
    } else if (io->job.error.code != 0) {
        answer(store, find, &io->job.error);
        return;
    }
    find->probe_count = 0;
    find->source_count = 0;
    enqueue(&store->id_finds, find);
}

static void search_start(struct log_store *store, struct id_find *find)
{
    io_task(&find->io, search_run, search_done, find);
    find->part->busy++;
    store->works++;
    store->id_finds.searches++;
    store_submit(store, &find->io);
}

/* --- The whole ------------------------------------------------------------------------------------------ */

/* Move a waiting search on. True = it waits no more. */
static bool find_step(struct log_store *store, struct id_find *find)
{
    const struct store_part *part = find->part;
    if (part->state == PART_DROPPED) {
        fail(store, find, ZSP_ENOT_FOUND, "the topic was deleted");
        return true;
    }
    if (part->state == PART_CREATING) {
        return false;
    }
    if (!part->has_ids) {
        fail(store, find, ZSP_EUNSUPPORTED, "the partition has no index of ids");
        return true;
    }
    if (find->keeps) {
        drop_old(find);
    }
    const int rc = load_all(store, find);
    if (rc < 0) {
        fail(store, find, rc, "no memory for ids");
        return true;
    }
    if (rc == 0 || store->id_finds.searches == ID_SEARCHES_MAX) {
        return false;
    }
    look(find);
    if (find->no_memory) {
        fail(store, find, ZSP_ENOMEM, "no memory for ids");
    } else if (find->probe_count > 0) {
        search_start(store, find);
    } else {
        answer(store, find, NULL);
    }
    return true;
}

void id_finds_step(struct log_store *store)
{
    struct id_finds *self = &store->id_finds;
    if (!self->woken) {
        return;
    }
    self->woken = false;
    struct id_find *find = self->first;
    self->first = NULL;
    self->last = NULL;
    struct id_find *waiting = NULL;
    struct id_find **waiting_end = &waiting;
    while (find && !store->failed) {
        struct id_find *next = find->next;
        if (!find_step(store, find)) {
            find->next = NULL;
            *waiting_end = find;
            waiting_end = &find->next;
        }
        find = next;
    }
    *waiting_end = find;
    while (waiting) {
        struct id_find *next = waiting->next;
        waiting->next = NULL;
        *(self->last ? &self->last->next : &self->first) = waiting;
        self->last = waiting;
        waiting = next;
    }
}

void id_finds_fail(struct log_store *store)
{
    struct id_finds *self = &store->id_finds;
    while (self->first) {
        struct id_find *find = self->first;
        self->first = find->next;
        self->last = self->first ? self->last : NULL;
        answer(store, find, &store->failure);
    }
}
