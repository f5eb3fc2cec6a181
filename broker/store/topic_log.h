/* SPDX-License-Identifier: MPL-2.0
 *
 * Topics come and go: the directories of their partitions, and their removal.
 *
 * A creation:
 *   - topic_log_create() makes the partitions in memory, in state CREATING: appends queue;
 *   - a task makes directories and the first segment file of each, all synced;
 *   - the fact of each partition is put into the journal and synced: STORE_TOPIC_CREATED.
 *   No room, or another failure: the completion says so, and the handles are dead.
 *   A directory of the same id that nobody knows is moved to quarantine/ first.
 *
 * A removal:
 *   - topic_log_end() puts into one record that the engine's topic is no more and that its logs
 *     are being removed;
 *   - topic_log_drop() fails what waits; what is in flight ends by itself;
 *   - the journal says that the topic's facts are gone and that it is being removed;
 *   - a task moves the directory to trash/, durable: STORE_TOPIC_DROPPED;
 *   - a task deletes what is in trash/; the journal forgets the removal.
 *   A start resumes a removal that the journal speaks of, and removes what a crash left of a creation
 *   (unasked.h).
 */
#ifndef ZSP_STORE_TOPIC_LOG_H
#define ZSP_STORE_TOPIC_LOG_H

#include "broker/store/store.h"

struct fs;
struct log_store;

/* As store_ops.topic_create, .topic_end and .topic_drop. */
int topic_log_create(struct log_store *store, const struct store_topic *topic, uint32_t first,
                     void *const *owners, struct store_part **ret_parts, uint64_t tag,
                     struct zsp_err *err);
int topic_log_end(struct log_store *store, uint64_t topic_id, const struct store_entry *entry,
                  uint64_t tag, struct zsp_err *err);
int topic_log_drop(struct log_store *store, const struct store_topic *topic,
                   struct store_part *const *parts, uint64_t tag, struct zsp_err *err);

/* Directories and first segment file of partitions [first, end), durable. What is
 * there already is taken if it is empty. *ret_sync_failed tells of a failed sync.
 * Errors: ZSP_EEXISTS a segment file that is not empty; those of the file system */
int topic_log_make_files(struct fs *fs, const char *topic_path, uint32_t first, uint32_t end,
                         bool *ret_sync_failed, struct zsp_err *err);

/* Free the partitions of failed creations that nobody points to any more. */
void topic_log_free_orphans(struct log_store *store);

/* Removals that wait go on when nothing points to their partitions any more. */
void topic_log_step(struct log_store *store);

/* Start-up: take up the removals that the journal speaks of.
 * Errors: ZSP_ENOMEM */
int topic_log_resume(struct log_store *store, struct zsp_err *err);
/* Start-up: the journal, once it is synced, says that a topic which nobody knows is being removed, and
 * that its facts are gone. */
void topic_log_disown(struct log_store *store, uint64_t topic_id);
/* Start-up: remove its directory, at once: it is small.
 * Errors: ZSP_ENOMEM, those of the file system */
int topic_log_remove(struct log_store *store, uint64_t topic_id, struct zsp_err *err);
/* Forget the removals that wait. */
void topic_log_fini(struct log_store *store);

#endif
