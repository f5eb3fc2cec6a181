/* SPDX-License-Identifier: MPL-2.0
 *
 * What read.c (requests and their answers) and read_walk.c (what a job brought)
 * share. Included by these two only.
 */
#ifndef ZSP_STORE_READ_PRIV_H
#define ZSP_STORE_READ_PRIV_H

#include "broker/store/file/completions.h"
#include "broker/store/partition/partition.h"
#include "broker/store/read/read.h"

#define READ_BYTES_MIN (64u * ZSP_KIB) /* a job reads at least this, if there is so much */

enum read_kind { READ_RANGE, READ_TIME };

struct read_request {
    struct io io;
    struct read_request *next;
    enum read_kind kind;
    struct store_part *part;
    struct store_read want; /* RANGE; TIME uses the tag */
    int64_t time_ms;        /* TIME */
    bool has_waited;        /* for another request's job, which read the same place */
    bool has_place;         /* `segment` and `pos` are where to go on */
    struct segment_file segment_name;
    uint64_t pos;
    uint64_t offset;         /* of the batch at `pos` */
    size_t least_bytes;      /* the job must bring so much */
    struct segment *segment; /* READING: pinned */
    struct zsp_buf *buf;
};

/* The request waits; it is looked at in the next step. */
void read_enqueue(struct reads *self, struct read_request *request);
/* Answer and free. Takes the batches of `completion`. */
void read_answer(struct log_store *store, struct read_request *request,
                 struct completion *completion, const struct zsp_err *err);
void read_error(struct log_store *store, struct read_request *request, const struct zsp_err *err);
void read_answer_damage(struct log_store *store, struct read_request *request,
                        const struct damage *damage);
/* Where the readable batches of a segment end. */
uint64_t read_readable_bytes(const struct store_part *part, const struct segment *segment);
/* The done_fn of a READ job. */
void read_job_done(struct log_store *store, struct io *io);

#endif
