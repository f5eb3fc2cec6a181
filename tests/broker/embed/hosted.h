/* SPDX-License-Identifier: MPL-2.0
 *
 * A program that embeds a broker, as a fixture: a directory, options that suit
 * tests, the broker's lines and its failure. Every function that waits has a
 * deadline and ends the test when it passes.
 *
 *     struct hosted hosted;
 *     hosted_init(&hosted);
 *     hosted.options.endpoints = ...            defaults otherwise
 *     hosted_start(&hosted);
 *     zspool_client_t *client = hosted_client(&hosted, 0);
 *     ...
 *     hosted_fini(&hosted);                     stops what runs
 */
#ifndef ZSP_TESTS_HOSTED_H
#define ZSP_TESTS_HOSTED_H

#include <pthread.h>
#include <stdbool.h>
#include <zspool.h>

#include "broker/embed/embedded_broker.h"
#include "tests/support/test_dir.h"

#define HOSTED_WAIT_MS   30000 /* for what takes milliseconds */
#define HOSTED_LINES_MAX 65536

struct hosted {
    struct test_dir dir;
    char data[600];
    const char *settings[4];
    zspool_broker_options_t options;
    struct fs *fs; /* lent; NULL = the real one */
    zspool_broker_t *broker;
    zspool_error_t error; /* of the last start that failed */

    pthread_mutex_t mutex;
    /* Locked. */
    char lines[HOSTED_LINES_MAX]; /* what the broker said, each line with a newline */
    size_t lines_len;
    unsigned failures;      /* calls of failed_fn */
    zspool_error_t failure; /* the last one */
};

void hosted_init(struct hosted *self);
void hosted_fini(struct hosted *self);

/* The same for cmocka: *state is a struct hosted of the test's own. */
int hosted_set_up(void **state);
int hosted_tear_down(void **state);
#define HOSTED_TEST(test) cmocka_unit_test_setup_teardown(test, hosted_set_up, hosted_tear_down)

/* Start; must work. */
void hosted_start(struct hosted *self);
/* Start; must fail with `code` and a message that holds `text`. */
void hosted_refuse(struct hosted *self, int code, const char *text);

/* Has the broker said so? */
bool hosted_said(struct hosted *self, const char *text);
/* How often failed_fn was called; *ret_failure (may be NULL) = the last time. */
unsigned hosted_failures(struct hosted *self, zspool_error_t *ret_failure);

/* A client of endpoint `index`, not waited for. */
zspool_client_t *hosted_client(const struct hosted *self, size_t index);

/* Publish one message and wait for its confirm; 0 or the error. */
int hosted_publish(zspool_client_t *client, const char *topic, const char *text);
/* A consumer of one topic, with the usual options. */
zspool_consumer_t *hosted_consumer(zspool_client_t *client, const char *topic, const char *group);
/* Take and ack the next message of the group, which must be `text`. */
void hosted_take(zspool_client_t *client, const char *topic, const char *group, const char *text);

#endif
