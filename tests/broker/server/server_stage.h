/* SPDX-License-Identifier: MPL-2.0
 *
 * A server over real sockets, on a thread of its own, with an engine that the
 * test directs, and a client connected to it.
 */
#ifndef ZSP_TESTS_SERVER_STAGE_H
#define ZSP_TESTS_SERVER_STAGE_H

#include <pthread.h>
#include <stdbool.h>

#include "broker/server/config.h"
#include "broker/server/driver.h"
#include "broker/server/server.h"
#include "tests/broker/server/fake_engine.h"
#include "tests/support/raw_client.h"

struct stage {
    struct config config;
    struct fake_engine engine;
    struct driver driver;
    void *context;
    struct server *server;
    pthread_t thread;
    int stop_fd;
    int result; /* of server_run() */
    bool joined;
    struct raw_client client;
};

/* Serves from now on; `settings` = ZPL text over the defaults. */
struct stage *stage_new(const char *settings);
/* Have it drain. */
void stage_stop(struct stage *self);
/* Wait for the end of server_run(); what it returned. */
int stage_join(struct stage *self);
void stage_destroy(struct stage *self);

/* cmocka's: a stage with the defaults. */
int stage_setup(void **state);
int stage_teardown(void **state);

/* A HELLO without wishes; it succeeds. */
void stage_hello(struct raw_client *client, uint64_t id);

#endif
