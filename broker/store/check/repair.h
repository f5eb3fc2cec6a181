/* SPDX-License-Identifier: MPL-2.0
 *
 * Mending a data directory that nobody has open: what a check (check.h) found and has a remedy
 * for. The caller holds the lock. Synchronous.
 *
 *   - An index is made anew from its segment.
 *   - Where messages are lost, their bytes are copied to quarantine/ first, durable, with the
 *     reason. Then batches take their place that say so (BATCH_CODEC_LOST): the offsets are
 *     absent for good, count as done in every group, and the partition takes messages again.
 *
 * Nothing that is good is touched. A crash in between leaves damage that the next check finds
 * as it found this one, and one copy more in quarantine/.
 */
#ifndef ZSP_STORE_REPAIR_H
#define ZSP_STORE_REPAIR_H

#include "broker/store/check/check.h"
#include "broker/store/file/fs.h"

/* `path` is that of the .idx. Errors: ZSP_ECORRUPT, those of the file system, ZSP_ENOMEM */
int repair_index(struct fs *fs, const uint8_t *uuid, const char *path,
                 const struct check_remedy *remedy, struct zsp_err *err);

/* Remove a file of ids. Errors: those of the file system */
int repair_ids(struct fs *fs, const char *path, struct zsp_err *err);

/* `path` is that of the segment file, which may be missing; `why` goes beside the copy, one line.
 * Errors: ZSP_ECORRUPT  the hole cannot be filled: nothing was changed
 *         those of the file system, ZSP_ENOMEM */
int repair_fill(struct fs *fs, const uint8_t *uuid, const char *path,
                const struct check_remedy *remedy, const char *why, struct zsp_err *err);

#endif
