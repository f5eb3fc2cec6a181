/* SPDX-License-Identifier: MPL-2.0
 *
 * What recovery does with the end of a file: the bytes of a torn tail are set
 * aside and zeroed; what is kept is written again, because the page cache may
 * show bytes that never reached the disk. Synchronous, start-up only.
 */
#ifndef ZSP_STORE_TORN_H
#define ZSP_STORE_TORN_H

#include "broker/store/file/fs.h"
#include "common/bytes.h"

struct log_store;

/* Copy file bytes [from, to) to cut/<name>, or cut/<name>-2 and so on when that is there,
 * durable, with a line in a .txt beside it that says why. On a full disk the copy is given up with
 * a warning: the bytes were never confirmed, and a broker that cannot start frees no room.
 * Errors: ZSP_EIO, ZSP_ENOMEM */
int torn_set_aside(struct log_store *store, const char *name, int file, uint64_t from, uint64_t to,
                   const char *why, struct zsp_err *err);
/* Write zeros over [from, to). */
int torn_zero(struct fs *fs, int file, uint64_t from, uint64_t to, struct zsp_err *err);
/* Write the bytes of [from, to) again as they are read. */
int torn_rewrite(struct fs *fs, int file, uint64_t from, uint64_t to, struct zsp_err *err);

#endif
