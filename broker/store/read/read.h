/* SPDX-License-Identifier: MPL-2.0
 *
 * Read requests: ranges of batches, and "first batch at or after a time".
 *
 * The happy path of a range:
 *   - reads_add() queues it; flush() calls read_step();
 *   - the tail buffers hold the offset: answered at once, by reference;
 *   - the read cache holds it: the same; or a job that is out reads there: wait for that
 *     one, once, then look again;
 *   - else the segment is found, its file and index made ready (segment_ready), and one
 *     READ job brings many batches into one buffer;
 *   - read_done() checks every sum and answers; the batches share the buffer, which
 *     stays in the read cache for others.
 * A time is looked for in the same way, header by header, until one is late enough.
 *
 * What can go wrong: the offset is out of range; a known damage covers it, or a sum
 * does not hold: ZSP_ECORRUPT with the range, and the partition remembers it; the
 * read itself fails: ZSP_EIO; the topic is dropped: ZSP_ENOT_FOUND.
 *
 *   WAITING ---> READING ---> (answered)
 *   WAITING -> READING   read_step   a job is out
 *   READING -> WAITING   read_done   it needs more: a larger buffer, the next stretch
 *   WAITING, READING -> answered  read_answer
 *
 * At most READS_MAX jobs are out at once: that bounds the memory of buffers.
 */
#ifndef ZSP_STORE_READ_H
#define ZSP_STORE_READ_H

#include "broker/store/file/io.h"
#include "broker/store/store.h"

#define READS_MAX 16u /* READ jobs out at once */

struct read_request;

/* Zero-initialise. */
struct reads {
    struct read_request *first; /* WAITING, in the order of the calls */
    struct read_request *last;
    struct read_request *at_work; /* READING */
    size_t out;                   /* jobs; as many as are at work */
    size_t count;                 /* requests not answered */
    bool woken;                   /* look at all that wait in the next flush */
};

/* Errors: ZSP_ENOMEM */
int reads_add(struct log_store *store, const struct store_read *read, struct zsp_err *err);
int reads_add_time(struct log_store *store, struct store_part *part, int64_t time_ms, uint64_t tag,
                   struct zsp_err *err);
/* Something changed that a request may wait for. */
void reads_wake(struct log_store *store);
/* Look at all requests that wait. */
void reads_step(struct log_store *store);
/* The store has failed: answer all that wait. */
void reads_fail(struct log_store *store);

#endif
