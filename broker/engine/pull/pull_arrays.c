/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/pull/pull_arrays.h"

#include <stdlib.h>

#include "broker/engine/pull/pull.h"

/* Sets kept, and what one may hold to be kept: a peak is given back. */
#define SETS_KEPT  4u
#define ITEMS_KEPT 4096u
#define WIRE_KEPT  (256u * ZSP_KIB)

/* What a pull is lent; the fields are those of struct pull. */
struct pull_arrays {
    struct pull_arrays *next;
    struct piece *pieces;
    struct pull_run *runs, *absent;
    struct engine_part *parts;
    size_t piece_capacity, run_capacity, absent_capacity, part_capacity;
    struct zsp_writer wire;
};

static int reserve_pieces(struct pull *pull)
{
    if (pull->piece_capacity >= PULL_PIECES_MAX) {
        return 0;
    }
    struct piece *pieces = realloc(pull->take.pieces, PULL_PIECES_MAX * sizeof *pieces);
    if (!pieces) {
        return ZSP_ENOMEM;
    }
    pull->take.pieces = pieces;
    pull->piece_capacity = PULL_PIECES_MAX;
    return 0;
}

int pull_arrays_take(struct groups *groups, struct pull *pull)
{
    struct pull_arrays *const kept = pull->take.pieces ? NULL : groups->free_arrays;
    if (kept) {
        groups->free_arrays = kept->next;
        groups->free_arrays_count--;
        pull->take.pieces = kept->pieces;
        pull->piece_capacity = kept->piece_capacity;
        pull->runs = kept->runs;
        pull->run_capacity = kept->run_capacity;
        pull->absent = kept->absent;
        pull->absent_capacity = kept->absent_capacity;
        pull->parts = kept->parts;
        pull->part_capacity = kept->part_capacity;
        pull->wire = kept->wire;
        free(kept);
    }
    return reserve_pieces(pull);
}

static bool is_small(const struct pull *pull)
{
    return pull->piece_capacity <= ITEMS_KEPT && pull->run_capacity <= ITEMS_KEPT &&
           pull->absent_capacity <= ITEMS_KEPT && pull->part_capacity <= ITEMS_KEPT &&
           pull->wire.capacity <= WIRE_KEPT;
}

/* The pull has none any more. */
static void forget(struct pull *pull)
{
    pull->take = (struct take){0};
    pull->runs = NULL;
    pull->absent = NULL;
    pull->parts = NULL;
    pull->piece_capacity = pull->run_capacity = pull->absent_capacity = pull->part_capacity = 0;
    pull->wire = (struct zsp_writer){0};
}

void pull_arrays_give(struct groups *groups, struct pull *pull)
{
    const bool has_any = pull->take.pieces || pull->runs || pull->absent || pull->parts;
    const bool is_kept = has_any && groups->free_arrays_count < SETS_KEPT && is_small(pull);
    struct pull_arrays *const kept = is_kept ? malloc(sizeof *kept) : NULL;
    if (!kept) {
        pull_arrays_free(pull);
        return;
    }
    pull_forget_gathered(pull);
    *kept = (struct pull_arrays){
        .next = groups->free_arrays,
        .pieces = pull->take.pieces,
        .piece_capacity = pull->piece_capacity,
        .runs = pull->runs,
        .run_capacity = pull->run_capacity,
        .absent = pull->absent,
        .absent_capacity = pull->absent_capacity,
        .parts = pull->parts,
        .part_capacity = pull->part_capacity,
        .wire = pull->wire,
    };
    groups->free_arrays = kept;
    groups->free_arrays_count++;
    forget(pull);
}

void pull_arrays_free(struct pull *pull)
{
    pull_forget_gathered(pull);
    free(pull->take.pieces);
    free(pull->runs);
    free(pull->absent);
    free(pull->parts);
    zsp_writer_fini(&pull->wire);
    forget(pull);
}

void pull_arrays_fini(struct groups *groups)
{
    while (groups->free_arrays) {
        struct pull_arrays *const set = groups->free_arrays;
        groups->free_arrays = set->next;
        free(set->pieces);
        free(set->runs);
        free(set->absent);
        free(set->parts);
        zsp_writer_fini(&set->wire);
        free(set);
    }
    groups->free_arrays_count = 0;
}
