/* SPDX-License-Identifier: MPL-2.0
 *
 * A whole broker in one object: data directory, log store, executor, engine,
 * driver and server, put together from one configuration. What main.c runs, and
 * what a program that embeds a broker will.
 */
#ifndef ZSP_SERVER_BROKER_H
#define ZSP_SERVER_BROKER_H

#include <stddef.h>

#include "broker/server/config.h"
#include "broker/server/server.h"
#include "common/diag.h"
#include "common/err.h"

struct broker;

struct broker_options {
    const struct config *config; /* lent, checked */
    const struct zsp_diag *diag; /* lent; NULL = silent */
    void *context;               /* lent: a libzmq context; NULL = one of its own */
    struct fs *fs;               /* lent: instead of the files below the data directory, which is
                                  * then not looked at; NULL = those */
    int host_fd;                 /* as in struct server_options */
    void (*host_fn)(void *arg, struct server *server);
    void *host_arg;
    void (*trim_fn)(void); /* likewise */
};

/* Open the data directory, recover, listen. When it returns the broker answers
 * as soon as broker_run() is called.
 *
 * NULL: ZSP_ELOCKED     another broker uses the directory
 *       ZSP_ECORRUPT    the journal is damaged, or this is no data directory of ours
 *       ZSP_EFORMAT     made by a newer version
 *       ZSP_ENOT_FOUND  no store there, and data.create = no
 *       ZSP_EIO, ZSP_EEXISTS, ZSP_ENOMEM, ZSP_ENO_SPACE
 */
struct broker *broker_open(const struct broker_options *options, struct zsp_err *err);

/* Lent by the broker. */
struct server *broker_server(struct broker *self);

/* Serve until drained; results as those of server_run(). */
int broker_run(struct broker *self, struct zsp_err *err);

/* Let the last replies leave, finish jobs that run, close everything: the data
 * directory and the endpoints are free again. A context that was lent is left as
 * it is; frames lent to its sockets may still be on their way. */
void broker_destroy(struct broker **self_p);

#endif
