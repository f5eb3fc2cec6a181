/* SPDX-License-Identifier: MPL-2.0
 *
 * `zspool read --resume`: a file that keeps where a reader is in each partition. It is text, one line
 * each:
 *
 *     zspool-read 1              what it is, and the version of it
 *     orders 17                  the topic, and its id: a topic that is made anew has another one
 *     all                        or the one partition that is read
 *     0 1234                     a partition, and the offset of what comes next there
 *
 * It is written beside itself, synced, and renamed: what is there is always whole.
 */
#ifndef ZSP_CLI_PLACE_FILE_H
#define ZSP_CLI_PLACE_FILE_H

#include "client/cli/cli.h"
#include <zspool.h>

#define PLACE_FILE_SAVE_MS 1000 /* at most so often, until the end */

struct place_file;

/* Read the file, if there is one, for a reader of this partition of the topic, or of all. NULL = told,
 * and *ret_exit is the exit code: the topic is not there, the file cannot be read or written, is about
 * something else, or is no such file. */
struct place_file *place_file_open(const char *path, zspool_client_t *client, const char *topic,
                                   int32_t partition, int *ret_exit);
void place_file_destroy(struct place_file **self_p);

/* The places that it holds; *ret_count 0 = it is new. Lent until one of them changes. */
const zspool_reader_place_t *place_file_places(struct place_file *self, size_t *ret_count);
/* This is what comes next in the partition. */
void place_file_set(struct place_file *self, uint32_t partition, uint64_t offset);
/* Take all places of the reader: what it has returned has left the command. */
void place_file_take(struct place_file *self, zspool_reader_t *reader);
/* Was the last time a while ago? */
bool place_file_is_due(const struct place_file *self);
/* Write it, if something has changed. False: told. */
bool place_file_save(struct place_file *self);

#endif
