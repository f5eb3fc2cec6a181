/* SPDX-License-Identifier: MPL-2.0
 *
 * A file system in memory that forgets, as a kernel does when the power goes.
 * Its model:
 *
 *   - A write or truncate changes the cache; sync() makes the file's data and
 *     size durable, nothing else does.
 *   - A name made, moved or removed is durable after sync_dir() of its
 *     directory. A synced file without a durable name is gone after a crash, a
 *     durable name of an unsynced file leads to a part of it, or to nothing.
 *   - At a crash, each 512-byte sector of a file holds its last synced bytes
 *     changed by the first k of the unsynced writes to it, for a k of its own:
 *     writes are lost, reordered between sectors and torn inside a write. The
 *     size is that after some unsynced change; what was never written reads zero.
 *   - Unsynced names: any set of changes, each only with the earlier ones of the
 *     same name (a rename is one change of two names).
 *
 * Everything is decided by a seed. For one thread.
 */
#ifndef ZSP_TESTS_CRASH_FS_H
#define ZSP_TESTS_CRASH_FS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/file/fs.h"

/* An empty file system. Never NULL. */
struct fs *crash_fs_new(void);
void crash_fs_destroy(struct fs **self_p);

/* --- Crashes; both close all files and drop all locks ---------------------------- */

/* Power loss: what is left is a legal image of what was not synced, durable. */
void crash_fs_power_loss(struct fs *self, uint64_t seed);
/* Only the process died: the cache stays as it is, unsynced still. */
void crash_fs_process_crash(struct fs *self);

/* The n-th call from now (0 = the next) and all later ones fail without effect,
 * until a crash. */
void crash_fs_freeze_at(struct fs *self, uint64_t call_index);
bool crash_fs_frozen(const struct fs *self);
/* Calls since crash_fs_new(). */
uint64_t crash_fs_calls(const struct fs *self);

/* --- Trouble ----------------------------------------------------------------------- */

/* Room for file bytes in all, counted in 4 KiB pages; UINT64_MAX = no limit. A
 * write that does not fit writes what fits. */
void crash_fs_set_limit(struct fs *self, uint64_t bytes);
uint64_t crash_fs_used(const struct fs *self);
/* The n-th sync of a file from now (0 = the next) fails with ZSP_EIO as kernels do it: each
 * unsynced change is on disk or is not, by `seed`, and all of them count as clean
 * from then on, so that a later sync does not write them. What the cache shows
 * until then may be gone after the process has ended, too. */
void crash_fs_fail_sync(struct fs *self, uint64_t sync_index, uint64_t seed);
/* This share of read_now calls says ZSP_EAGAIN; decided by `seed`. */
void crash_fs_set_cold(struct fs *self, unsigned per_mille, uint64_t seed);
/* Flip a bit of a file, on disk and in the cache. False: no such byte. */
bool crash_fs_flip(struct fs *self, const char *path, uint64_t pos, unsigned bit);

/* --- For people -------------------------------------------------------------------- */

/* Copy the tree as it is now into an existing real directory. */
int crash_fs_export(const struct fs *self, const char *directory, struct zsp_err *err);
/* A hash over all names and bytes as they are now; equal trees, equal hashes. */
uint64_t crash_fs_hash(const struct fs *self);

#endif
