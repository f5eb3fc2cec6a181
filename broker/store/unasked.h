/* SPDX-License-Identifier: MPL-2.0
 *
 * What a start finds on the disk or in the journal, and no topic of the engine asked for.
 *
 *   - It is told and left alone: nothing is deleted because metadata of it is missing.
 *   - Its batches that only the journal holds are written to their segments all the same.
 *   - But a directory in which there was never anything is what a crash left of a creation:
 *     no file in it holds a byte, and the journal knows of no message. It is removed.
 */
#ifndef ZSP_STORE_UNASKED_H
#define ZSP_STORE_UNASKED_H

struct log_store;
struct zsp_err;

/* All that the engine wants was opened, and the redo entries are still at hand.
 * Errors: those of the file system, ZSP_ENOMEM */
int unasked_settle(struct log_store *store, struct zsp_err *err);
/* The journal is synced: leftovers go.
 * Errors: as unasked_settle() */
int unasked_remove(struct log_store *store, struct zsp_err *err);

#endif
