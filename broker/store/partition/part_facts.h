/* SPDX-License-Identifier: MPL-2.0
 *
 * What the journal knows of one partition: its sealed segments, where its active
 * one begins, and its mark. Put together from the store's own objects (fact.h), checked
 * against each other, and nothing else: no file is looked at.
 */
#ifndef ZSP_STORE_PART_FACTS_H
#define ZSP_STORE_PART_FACTS_H

#include "broker/store/journal/carry.h"
#include "broker/store/partition/partition.h"

/* A sealed segment, as the journal tells it. */
struct sealed_fact {
    uint64_t number;
    uint64_t base_offset;
    uint64_t end_offset;
    uint64_t bytes;           /* of its batches */
    int64_t max_before_ms;    /* highest timestamp before it, INT64_MIN = none known */
    int64_t max_timestamp_ms; /* highest up to its end */
    uint64_t epoch;           /* of its last batch */
    uint64_t epoch_before;    /* of the last batch before it, 0 = none known */
    uint64_t last_number;     /* compacted: of the last segment it was made of; else its own */
    uint64_t clean_offset;
    int64_t tombstone_ms;
    uint64_t island_from, island_records;
    bool is_island;
    uint32_t generation; /* of its file */
};

struct part_facts {
    struct sealed_fact *sealed; /* by number; without a gap but for what was compacted */
    size_t sealed_count;
    uint64_t first_segment; /* files of lower numbers are gone */
    uint64_t start_offset;  /* behind all islands */
    uint64_t island_offset; /* no message is below */
    uint64_t active;        /* number of the segment that takes appends */
    bool has_mark;          /* a mark in the active segment is known */
    struct mark mark;       /* that one, else the beginning of the active segment */
    uint64_t base_offset;   /* of the active segment */
    int64_t max_before_ms;  /* before the active segment */
    uint64_t epoch_before;
};

/* Returns 0; 1 when the journal does not know the partition.
 * Errors: ZSP_ECORRUPT  the facts contradict each other; ZSP_ENOMEM */
int part_facts_read(const struct carry *carry, uint64_t topic_id, uint32_t partition,
                    struct part_facts *ret, struct zsp_err *err);
/* Is a file of that name of a segment that retention or compaction was done with, or what a compaction
 * made that did not come to its end? */
bool part_facts_is_over(const struct part_facts *self, uint64_t number, uint32_t generation);
void part_facts_fini(struct part_facts *self);

#endif
