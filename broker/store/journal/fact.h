/* SPDX-License-Identifier: MPL-2.0
 *
 * The store's own objects in the journal. Their keys begin with a zero byte,
 * which the engine's never do; a letter says what it is. Numbers are
 * little-endian.
 *
 *   key                                        value
 *   0 'E'                                      start count (8)
 *   0 'J'                                      oldest journal file that matters (8)
 *   0 'P' topic id (8) partition (4)           first segment kept (8), its base offset (8)
 *   0 'S' topic id (8) partition (4) number (8)   a sealed segment: base offset (8), end offset (8),
 *                                              bytes of batches (8), highest timestamp of the
 *                                              partition to its end (8), epoch of its last batch (8);
 *                                              of a compacted one also: number of the last segment it
 *                                              was made of (8), compacted up to this offset (8), since
 *                                              when its oldest tombstone is (8), generation (4); of an
 *                                              island also: no message of it is below this (8),
 *                                              messages in it (8)
 *   0 'M' topic id (8) partition (4)           the mark: segment (8), pos (8), offset (8), highest
 *                                              timestamp below (8), epoch of the last batch below (8)
 *   0 'D' topic id (8)                         the topic is being removed; empty
 *   0 'R'                                      redo entries of records below this number (8) are synced
 *                                              in their segments
 *
 * And the key of a redo entry, which is no object (redo.h):
 *   0 'B' topic id (8) partition (4)           segment (8), pos (8), the bytes of batches there
 */
#ifndef ZSP_STORE_FACT_H
#define ZSP_STORE_FACT_H

#include "broker/store/store.h"

#define FACT_KEY_MAX   22u
#define FACT_VALUE_MAX 84u

struct mark;
struct segment;
struct store_part;

struct fact {
    uint8_t key[FACT_KEY_MAX];
    size_t key_len;
    uint8_t value[FACT_VALUE_MAX];
    size_t value_len;
};

struct fact fact_start(uint64_t start_count);
struct fact fact_journal(uint64_t oldest_file);
struct fact fact_part(uint64_t topic_id, uint32_t partition, uint64_t first_segment,
                      uint64_t base_offset);
struct fact fact_sealed(const struct segment *segment);
/* The key alone, for a look-up or `gone`. */
struct fact fact_sealed_key(uint64_t topic_id, uint32_t partition, uint64_t number);
struct fact fact_mark(uint64_t topic_id, uint32_t partition, const struct mark *mark);
struct fact fact_dropping(uint64_t topic_id);
struct fact fact_redo_from(uint64_t record);
/* The key of a redo entry. */
struct fact fact_redo_key(uint64_t topic_id, uint32_t partition);

/* The fact as an entry; points into it. */
struct store_entry fact_entry(const struct fact *self, enum store_entry_kind kind);
struct zsp_slice fact_key(const struct fact *self);

/* Is the key one of the store's own? */
bool fact_is_own(struct zsp_slice key);
/* The letter, topic and partition of an own key; 0 = none of the above. Topic
 * and partition are 0 where the kind has none. */
char fact_parse(struct zsp_slice key, uint64_t *ret_topic_id, uint32_t *ret_partition);

/* Values. False = not of the right size. */
bool fact_read_number(struct zsp_slice value, uint64_t *ret);
bool fact_read_part(struct zsp_slice value, uint64_t *ret_first_segment, uint64_t *ret_base_offset);
bool fact_read_mark(struct zsp_slice value, struct mark *ret);
/* Fills what a fact tells of the segment, whose `rewrite` has room for it. */
bool fact_read_sealed(struct zsp_slice value, struct segment *segment);

#endif
