/* SPDX-License-Identifier: MPL-2.0
 *
 * Where the ids of one segment come from: its `.ids`, or the segment itself, record by record.
 * Synchronous, for tasks; works on copies, and opens its own files.
 */
#ifndef ZSP_STORE_ID_SOURCE_H
#define ZSP_STORE_ID_SOURCE_H

#include "broker/store/file/layout.h"
#include "broker/store/index/id_file.h"
#include "broker/store/segment/segment.h"

struct id_source {
    uint8_t uuid[STORE_UUID_BYTES];
    uint64_t topic_id;
    uint32_t partition;
    struct segment_file segment;
    struct index_facts facts; /* only [0, facts.bytes) is looked at */
    bool is_sealed;           /* it has, or is to have, a file of ids */
    char directory[LAYOUT_PATH_MAX];
    bool sync_failed; /* of a file that was written: the store has to fail */
};

/* Copy what there is to be known of a segment. */
void id_source_init(struct id_source *self, const struct segment *segment);
/* The place of its pos 0. */
struct batch_place id_source_place(const struct id_source *self);

/* The path of its file with that suffix. */
void id_source_path(const struct id_source *self, const char *suffix, char out[LAYOUT_PATH_MAX]);
/* Sorted entries of all records that have an id; `*ret` is the caller's to free. A sealed segment's
 * file is read, or made when it is missing or bad; no room for it is no error.
 * Errors: ZSP_EIO, ZSP_ENOT_FOUND  the segment cannot be read; ZSP_ENOMEM */
int id_source_entries(struct id_source *self, struct fs *fs, struct id_entry **ret,
                      uint32_t *ret_count, struct zsp_err *err);
/* Open the file of a sealed segment for searches, made anew if it is missing or bad; the caller
 * closes search->file and ends the search.
 * Errors: as above; ZSP_ENO_SPACE */
int id_source_search(struct id_source *self, struct fs *fs, struct id_search *search,
                     struct zsp_err *err);
/* Write the file of sorted entries. Errors: ZSP_ENOMEM, ZSP_ENO_SPACE, ZSP_EIO */
int id_source_write(struct id_source *self, struct fs *fs, const struct id_entry *entries,
                    uint32_t count, struct zsp_err *err);

#endif
