/* SPDX-License-Identifier: MPL-2.0
 *
 * One blocking request: submit, wait, read the reply. What all of the
 * administration is made of.
 *
 *     WAITING --sent--> SENT --answered--> DONE
 *        ^                |
 *        +--connection----+ lost, if the call is repeatable; else DONE with ZSP_ECLOSED
 *
 * A caller whose time is over leaves; the answer, should it come, is dropped.
 */
#ifndef ZSP_CLIENT_CLIENT_CALL_H
#define ZSP_CLIENT_CLIENT_CALL_H

#include <stdbool.h>

#include "client/src/client_priv.h"

/* Read a reply, on the link's thread with the link locked; `answer` is lent. What it
 * returns is what the call returns. */
typedef int zsp_call_read_fn(const struct zsp_answer *answer, void *arg, struct zsp_err *err);

struct zsp_call_spec {
    const char *verb;
    struct zsp_writer *args;       /* one map; its content is taken */
    struct zsp_slice body;         /* copied; data NULL = none */
    struct zsp_buf *const *bodies; /* body frames instead of `body`, lent for the call */
    size_t body_count;
    bool repeatable;           /* may be sent again after a lost connection */
    bool in_session;           /* the same, but by the same session alone: it knows the answer */
    int64_t wait_ms;           /* how long the broker is told to wait */
    zsp_call_read_fn *read_fn; /* NULL = the reply's content does not matter */
    void *arg;
    unsigned *ret_sent; /* how often it was sent, whatever zsp_call() returns; NULL = who cares */
};

/* Errors: those of the broker and of read_fn; ZSP_ETIMEOUT and ZSP_EINTERRUPTED (`maybe` tells
 *         whether it was sent), ZSP_ECLOSED (with `maybe`), ZSP_ETOO_LARGE, ZSP_ENOMEM. What the
 *         broker answers is about the last sending: an earlier one may have been applied */
int zsp_call(struct zspool_client *client, const struct zsp_call_spec *spec, int timeout_ms,
             struct zsp_err *err);

#endif
