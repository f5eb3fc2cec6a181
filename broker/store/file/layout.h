/* SPDX-License-Identifier: MPL-2.0
 *
 * The data directory: which names exist, how they are spelled, who may own it.
 *
 *   LOCK FORMAT
 *   journal/<number>.jnl
 *   topics/<id>-<name>/<partition>/<segment number>.log, .idx, .ids, .pri
 *                                 /<segment number>-<generation>.log, .idx, .ids, .pri
 *   cut/ quarantine/ trash/
 *
 * File numbers have 20 digits, so that names sort like numbers. Of a topic's
 * directory only the id counts. All functions are synchronous: they run at
 * start-up or inside a task.
 */
#ifndef ZSP_STORE_LAYOUT_H
#define ZSP_STORE_LAYOUT_H

#include "broker/store/file/batch.h"
#include "broker/store/file/fs.h"

#define LAYOUT_PATH_MAX 384u /* the longest path we make: topic name, numbers, suffix */

/* A directory found below topics/. */
struct layout_topic {
    uint64_t id;
    char *path;    /* "topics/<id>-<name>" */
    bool asked;    /* somebody opened a partition of it */
    bool leftover; /* of a creation, removed by the start; see unasked.h */
};

/* All of them, sorted by id. Zero-initialise. */
struct layout_topics {
    struct layout_topic *items;
    size_t count;
};

/* Open and lock LOCK, making it if `create`. *ret_file stays open.
 * Errors: ZSP_ELOCKED, ZSP_ENOT_FOUND (no LOCK and not `create`), ZSP_EIO, ZSP_ENO_SPACE */
int layout_lock(struct fs *fs, bool create, int *ret_file, struct zsp_err *err);

/* As layout_lock(), for one who only reads, maybe from a read-only file system: nothing is
 * made or changed. Returns 1, with *ret_file < 0, when there is no LOCK: nobody can hold it. */
int layout_lock_reading(struct fs *fs, int *ret_file, struct zsp_err *err);

/* Read FORMAT.
 * Errors: ZSP_ENOT_FOUND no such file; ZSP_EFORMAT a newer version; ZSP_ECORRUPT; ZSP_EIO */
int layout_read_format(struct fs *fs, uint8_t ret_uuid[STORE_UUID_BYTES], struct zsp_err *err);

/* Every file is as this version writes it: say so in FORMAT, so that older brokers refuse the store.
 * Errors: those of layout_read_format(), ZSP_ENO_SPACE */
int layout_raise_format(struct fs *fs, struct zsp_err *err);

/* Make a new store: directories, then FORMAT, all durable. May be repeated after a failure.
 * Errors: ZSP_ECORRUPT there are files of a store, but no FORMAT; ZSP_EIO, ZSP_ENO_SPACE */
int layout_create(struct fs *fs, const uint8_t uuid[STORE_UUID_BYTES], struct zsp_err *err);

/* Is there any entry in the directory? A missing directory is empty. */
int layout_is_empty(struct fs *fs, const char *path, bool *ret, struct zsp_err *err);

/* fs_ops.list of a directory that every store has.
 * Errors: ZSP_ECORRUPT  it is missing */
int layout_list(struct fs *fs, const char *path,
                int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                struct zsp_err *err);

/* Read topics/. Names that are none of ours are reported through `foreign_fn`, if any. */
int layout_read_topics(struct fs *fs, struct layout_topics *ret,
                       void (*foreign_fn)(void *arg, const char *name), void *arg,
                       struct zsp_err *err);
/* The directory of a topic, NULL if there is none. Lent until fini. */
struct layout_topic *layout_find_topic(const struct layout_topics *self, uint64_t id);
void layout_topics_fini(struct layout_topics *self);

void layout_topic_path(char out[LAYOUT_PATH_MAX], uint64_t id, struct zsp_slice name);
void layout_part_path(char out[LAYOUT_PATH_MAX], const char *topic_path, uint32_t partition);
/* `suffix` is ".log", ".idx", ... */
void layout_segment_path(char out[LAYOUT_PATH_MAX], const char *part_path, uint64_t number,
                         const char *suffix);
void layout_journal_path(char out[LAYOUT_PATH_MAX], uint64_t number);
/* The same of a file that was made by compaction, which has its generation in the name; 0 = none. */
void layout_generation_path(char out[LAYOUT_PATH_MAX], const char *part_path, uint64_t number,
                            uint32_t generation, const char *suffix);
/* Number and generation of a segment's file. */
bool layout_parse_segment(const char *name, const char *suffix, uint64_t *ret_number,
                          uint32_t *ret_generation);
/* The number of "<20 digits><suffix>"; false if the name is not of that form. */
bool layout_parse_number(const char *name, const char *suffix, uint64_t *ret);

/* Open an empty file to write to: make it, or drop what is in it. Returns the file.
 * Errors: those of the file system */
int layout_open_empty(struct fs *fs, const char *path, struct zsp_err *err);
/* Write a whole file that appears at once or not at all: path.tmp, sync, rename,
 * directory sync. A failed sync is told by *ret_sync_failed.
 * Errors: those of the file system */
int layout_write_file(struct fs *fs, const char *directory, const char *path,
                      struct zsp_slice bytes, bool *ret_sync_failed, struct zsp_err *err);
/* The same of a file that is derived of a segment's: when that is gone by then, it does not stay. */
int layout_write_derived(struct fs *fs, const char *directory, const char *path,
                         const char *segment_path, struct zsp_slice bytes, bool *ret_sync_failed,
                         struct zsp_err *err);
/* Read a whole file of at most `max` bytes; the writer is reset first.
 * Errors: ZSP_ENOT_FOUND, ZSP_ETOO_LARGE, ZSP_EIO, ZSP_ENOMEM */
int layout_read_file(struct fs *fs, const char *path, uint64_t max, struct zsp_writer *out,
                     struct zsp_err *err);
/* Read `len` bytes at `pos`; short reads are continued. *ret_len is less at the end of the file. */
int layout_read_at(struct fs *fs, int file, uint8_t *data, size_t len, uint64_t pos,
                   size_t *ret_len, struct zsp_err *err);
/* Write all bytes at `pos`; short writes are continued. */
int layout_write_at(struct fs *fs, int file, struct zsp_slice bytes, uint64_t pos,
                    struct zsp_err *err);

#endif
