/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/embed/hosted.h"

#include <stdio.h>

#include "tests/common/testing.h"

static void take_line(void *arg, zspool_broker_level_t level, const char *line)
{
    struct hosted *const self = arg;
    (void)level;
    assert_int_equal(pthread_mutex_lock(&self->mutex), 0);
    const int len =
        snprintf(self->lines + self->lines_len, HOSTED_LINES_MAX - self->lines_len, "%s\n", line);
    assert_true(len > 0 && (size_t)len < HOSTED_LINES_MAX - self->lines_len);
    self->lines_len += (size_t)len;
    assert_int_equal(pthread_mutex_unlock(&self->mutex), 0);
}

static void take_failure(void *arg, const zspool_error_t *error)
{
    struct hosted *const self = arg;
    assert_int_equal(pthread_mutex_lock(&self->mutex), 0);
    self->failures++;
    self->failure = *error;
    assert_int_equal(pthread_mutex_unlock(&self->mutex), 0);
}

void hosted_init(struct hosted *self)
{
    memset(self, 0, sizeof *self);
    assert_int_equal(pthread_mutex_init(&self->mutex, NULL), 0);
    test_dir_init(&self->dir);
    (void)test_dir_path(&self->dir, "data", self->data, sizeof self->data);
    self->settings[0] = "data/min_free = 0B";
    self->settings[1] = "data/fill_ahead = 0B";
    zspool_broker_options_init(&self->options);
    self->options.directory = self->data;
    self->options.settings = self->settings;
    self->options.setting_count = 2;
    self->options.diag_fn = take_line;
    self->options.diag_arg = self;
    self->options.failed_fn = take_failure;
    self->options.failed_arg = self;
}

void hosted_fini(struct hosted *self)
{
    zspool_broker_destroy(&self->broker);
    test_dir_fini(&self->dir);
    assert_int_equal(pthread_mutex_destroy(&self->mutex), 0);
}

int hosted_set_up(void **state)
{
    struct hosted *const hosted = calloc(1, sizeof *hosted);
    assert_non_null(hosted);
    hosted_init(hosted);
    *state = hosted;
    return 0;
}

int hosted_tear_down(void **state)
{
    hosted_fini(*state);
    free(*state);
    return 0;
}

void hosted_start(struct hosted *self)
{
    struct zsp_err err = {0};
    assert_null(self->broker);
    self->broker = embedded_new(&self->options, self->fs, &err);
    if (!self->broker) {
        fail_msg("%d: %s", err.code, err.msg);
    }
}

void hosted_refuse(struct hosted *self, int code, const char *text)
{
    memset(&self->error, 0, sizeof self->error);
    assert_null(self->broker);
    self->broker = zspool_broker_new(&self->options, &self->error);
    assert_null(self->broker);
    if (self->error.code != code || !strstr(self->error.message, text)) {
        fail_msg("wanted %d '%s', got %d '%s'", code, text, self->error.code, self->error.message);
    }
}

bool hosted_said(struct hosted *self, const char *text)
{
    assert_int_equal(pthread_mutex_lock(&self->mutex), 0);
    const bool said = strstr(self->lines, text) != NULL;
    assert_int_equal(pthread_mutex_unlock(&self->mutex), 0);
    return said;
}

unsigned hosted_failures(struct hosted *self, zspool_error_t *ret_failure)
{
    assert_int_equal(pthread_mutex_lock(&self->mutex), 0);
    const unsigned count = self->failures;
    if (ret_failure) {
        *ret_failure = self->failure;
    }
    assert_int_equal(pthread_mutex_unlock(&self->mutex), 0);
    return count;
}

zspool_client_t *hosted_client(const struct hosted *self, size_t index)
{
    zspool_error_t error = {0};
    zspool_options_t options;
    zspool_options_init(&options);
    options.zmq_context = zspool_broker_context(self->broker);
    zspool_client_t *const client =
        zspool_new(zspool_broker_endpoint(self->broker, index), &options, &error);
    if (!client) {
        fail_msg("%s", error.message);
    }
    return client;
}

int hosted_publish(zspool_client_t *client, const char *topic, const char *text)
{
    zspool_producer_t *producer = zspool_producer_new(client, NULL, NULL);
    assert_non_null(producer);
    const zspool_out_t out = zspool_out(topic, text, strlen(text));
    uint64_t ticket = 0;
    assert_int_equal(zspool_send(producer, &out, &ticket, NULL), 0);
    const int rc = zspool_wait(producer, ticket, HOSTED_WAIT_MS, NULL, NULL);
    zspool_producer_destroy(&producer);
    return rc;
}

/* `message_limit` 0 = the usual. */
static zspool_consumer_t *consumer_of(zspool_client_t *client, const char *topic, const char *group,
                                      uint32_t message_limit)
{
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.topics = &topic;
    options.topic_count = 1;
    options.group = group;
    options.message_limit = message_limit > 0 ? message_limit : options.message_limit;
    zspool_consumer_t *consumer = zspool_consumer_new(client, &options, NULL);
    assert_non_null(consumer);
    return consumer;
}

zspool_consumer_t *hosted_consumer(zspool_client_t *client, const char *topic, const char *group)
{
    return consumer_of(client, topic, group, 0);
}

void hosted_take(zspool_client_t *client, const char *topic, const char *group, const char *text)
{
    /* One, so that no pull is left behind that would take the next one. */
    zspool_consumer_t *consumer = consumer_of(client, topic, group, 1);
    const zspool_message_t *message = NULL;
    assert_int_equal(zspool_next(consumer, &message, HOSTED_WAIT_MS, NULL), 0);
    expect_slice((struct zsp_slice){message->payload.data, message->payload.len}, text);
    assert_int_equal(zspool_settle(consumer, message, ZSPOOL_ACK, NULL, NULL), 0);
    assert_int_equal(zspool_settle_flush(consumer, HOSTED_WAIT_MS, NULL), 0);
    zspool_consumer_destroy(&consumer);
}
