/* SPDX-License-Identifier: MPL-2.0
 *
 * The task that makes a file ahead of its use: empty or filled with zeros, and durable,
 * its name as well.
 */
#ifndef ZSP_STORE_NEW_FILE_H
#define ZSP_STORE_NEW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/file/io.h"
#include "broker/store/file/layout.h"

/* The first member of whatever waits for the file. */
struct new_file {
    struct io io;
    /* Set by the owner. One that is there is from a try that failed, or was made ahead before
     * a restart, which has seen that it is empty or zero. */
    char path[LAYOUT_PATH_MAX];
    char directory[LAYOUT_PATH_MAX];
    uint64_t fill_bytes; /* zeros at its beginning */
    /* Once done: */
    int file; /* open, the owner's; < 0: io.job.error tells why */
    bool sync_failed;
};

/* Prepare the job, in zeroed memory. */
void new_file_init(struct new_file *self, void (*done_fn)(struct log_store *store, struct io *io));

#endif
