/* SPDX-License-Identifier: MPL-2.0
 *
 * One request on its way: filled by who asks, embedded in what it is about, so
 * that asking allocates nothing. From zsp_link_send() until its done_fn is
 * called it belongs to the link's thread.
 */
#ifndef ZSP_CLIENT_CLIENT_REQUEST_H
#define ZSP_CLIENT_CLIENT_REQUEST_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/err.h"

/* What came back. All of it is lent for the call of done_fn. */
struct zsp_answer {
    int code;                  /* 0; the broker's code; ZSP_ECLOSED: the connection went, and
                                * whether the request was carried out is not known */
    const struct zsp_err *err; /* code not 0: the report; never NULL then */
    const msgpack_object *map; /* code 0: the reply's map */
    zmq_msg_t *frames;         /* code 0: body frames; may be moved out */
    size_t frame_count;
    int64_t now_ms; /* monotonic */
};

struct zsp_request {
    /* Set by who asks. */
    const char *verb;
    struct zsp_slice args;       /* one MessagePack map; unchanged until done */
    struct zsp_buf *body;        /* one body frame, or NULL; kept by who asks until done */
    struct zsp_buf *const *more; /* body frames behind it, likewise */
    size_t more_count;
    size_t extra_bytes; /* of credit that it takes beside its frames */
    bool repeats;       /* may be sent again under its id when the session is resumed: its done_fn
                            * hears of a lost connection only if it is not */
    int64_t wait_ms;    /* how long the broker was told to wait, beyond its usual time */
    /* Called once, on the link's thread, with the link locked. */
    void (*done_fn)(struct zsp_request *self, const struct zsp_answer *answer);

    /* The same for each PART of the answer, before that; its map is what the part tells. NULL = none is
     * expected. */
    void (*part_fn)(struct zsp_request *self, const struct zsp_answer *answer);

    /* The link's. */
    uint64_t id;
    int64_t deadline_ms; /* then the broker counts as gone */
    size_t bytes;        /* of credit in use */
    size_t heap_index;
    struct zsp_request *hash_next; /* pending: of its bucket; put by: the next one */
};

#endif
