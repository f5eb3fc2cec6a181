/* SPDX-License-Identifier: MPL-2.0
 *
 * What the files of crash_fs share among themselves.
 */
#ifndef ZSP_TESTS_CRASH_FS_PRIV_H
#define ZSP_TESTS_CRASH_FS_PRIV_H

#include <stddef.h>

#include "tests/support/crash_fs.h"
#include "tests/support/prng.h"

#define CRASH_SECTOR   512u
#define CRASH_PAGE     4096u
#define CRASH_FILES    1024 /* open at a time */
#define CRASH_NAME_MAX 256

/* Growing bytes; what lies beyond `size` is kept zero. */
struct crash_bytes {
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
};

/* One unsynced change of a file, in order. */
struct crash_change {
    bool is_truncate;
    uint64_t pos;       /* write: where; truncate: the new size */
    uint64_t len;       /* write */
    uint8_t *data;      /* write: a copy */
    uint64_t size_then; /* of the file, after the change */
};

struct crash_inode {
    uint32_t number; /* its index; 0 = the root directory */
    bool is_directory;
    uint32_t open_count;
    bool locked;
    bool evicted; /* after a failed sync: its pages leave the cache with the process */
    struct crash_bytes cache;
    struct crash_bytes durable;
    struct crash_change *changes;
    size_t change_count, change_capacity;
};

/* A name in a directory. */
struct crash_name {
    uint32_t directory;
    uint32_t inode;
    char name[CRASH_NAME_MAX];
};

/* Sorted by nothing, found by walking: there are few. */
struct crash_names {
    struct crash_name *items;
    size_t count, capacity;
};

/* One unsynced change of names: `removed` goes, `added` comes; either may be absent. */
struct crash_name_change {
    bool removes, adds;
    struct crash_name removed;
    struct crash_name added;
};

struct crash_file {
    bool is_open;
    bool writable;
    bool holds_lock;
    uint32_t inode;
};

struct crash_fs {
    struct fs base;
    struct crash_inode **inodes; /* NULL = free */
    size_t inode_count, inode_capacity;
    struct crash_names now;
    struct crash_names durable;
    struct crash_name_change *name_changes;
    size_t name_change_count, name_change_capacity;
    struct crash_file files[CRASH_FILES];
    uint64_t calls;
    uint64_t freeze_at; /* UINT64_MAX = never */
    uint64_t limit;
    uint64_t fail_sync; /* syncs until one fails, UINT64_MAX = none will */
    struct prng fail_prng;
    unsigned cold_per_mille;
    struct prng cold;
};

/* The unsynced changes of a file end as a power loss ends them (crash_fs_crash.c). */
void crash_inode_lose_changes(struct crash_inode *inode, struct prng *prng);

void *crash_grow(void *items, size_t *capacity, size_t count, size_t size);

/* Bytes. */
void crash_bytes_resize(struct crash_bytes *self, uint64_t size);
void crash_bytes_write(struct crash_bytes *self, uint64_t pos, const uint8_t *data, uint64_t len);

/* Names (crash_fs_names.c). */
struct crash_inode *crash_inode_new(struct crash_fs *self, bool is_directory);
void crash_inode_destroy(struct crash_inode *inode);
/* Free what no name, no unsynced change and no open file leads to. */
void crash_inodes_collect(struct crash_fs *self);
const struct crash_name *crash_name_find(const struct crash_names *names, uint32_t directory,
                                         const char *name);
void crash_names_put(struct crash_names *names, const struct crash_name *name);
void crash_names_remove(struct crash_names *names, const struct crash_name *name);
/* Make the change in `now` and remember it as unsynced. */
void crash_name_change(struct crash_fs *self, const struct crash_name *removed,
                       const struct crash_name *added);
/* Make the kept changes durable, forget the others; keep[i] belongs to change i. */
void crash_names_settle(struct crash_fs *self, const bool *keep);
/* Make durable what happened in a directory, with all it rests on. */
void crash_names_sync(struct crash_fs *self, uint32_t directory);
bool crash_name_changes_meet(const struct crash_name_change *a, const struct crash_name_change *b);

/* The inode of a path, NULL = not there. */
struct crash_inode *crash_path_find(const struct crash_fs *self, const char *path);
/* The directory that a path lies in, and its last name. NULL = not there. */
struct crash_inode *crash_path_parent(const struct crash_fs *self, const char *path,
                                      const char **ret_name);

#endif
