/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/server/server_stage.h"

#include "tests/common/testing.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

static bool never_run(void *arg, struct job *job)
{
    (void)arg;
    (void)job;
    return true;
}

static struct job *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static void stop(void *arg, struct server *server)
{
    const struct stage *const self = arg;
    uint64_t count = 0;
    if (read(self->stop_fd, &count, sizeof count) == (ssize_t)sizeof count) {
        server_drain(server, SERVER_DRAIN_MS);
    }
}

static void *serve(void *arg)
{
    struct stage *const self = arg;
    struct zsp_err err = {0};
    self->result = server_run(self->server, &err);
    return NULL;
}

struct stage *stage_new(const char *settings)
{
    struct stage *const self = calloc(1, sizeof *self);
    struct zsp_err err = {0};
    assert_non_null(self);
    config_init(&self->config);
    assert_int_equal(config_read_text(&self->config, "test", zsp_slice_str(settings), NULL), 0);
    assert_int_equal(config_set(&self->config, "network", "listen", "tcp://127.0.0.1:*", "t", NULL),
                     0);
    self->stop_fd = eventfd(0, 0);
    const struct driver_host host = {.run_fn = never_run, .collect_fn = nothing};
    driver_init(&self->driver, fake_engine_base(&self->engine), NULL, host);
    self->context = zmq_ctx_new();
    const struct server_options options = {.context = self->context,
                                           .config = &self->config,
                                           .engine = fake_engine_base(&self->engine),
                                           .driver = &self->driver,
                                           .jobs_fd = eventfd(0, 0),
                                           .host_fd = self->stop_fd,
                                           .host_fn = stop,
                                           .host_arg = self};
    self->server = server_new(&options, &err);
    if (!self->server) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(pthread_create(&self->thread, NULL, serve, self), 0);
    raw_client_init(&self->client, server_endpoint(self->server, 0), ZMQ_DEALER);
    return self;
}

void stage_stop(struct stage *self)
{
    const uint64_t one = 1;
    assert_int_equal(write(self->stop_fd, &one, sizeof one), sizeof one);
}

int stage_join(struct stage *self)
{
    if (!self->joined) {
        assert_int_equal(pthread_join(self->thread, NULL), 0);
        self->joined = true;
    }
    return self->result;
}

void stage_destroy(struct stage *self)
{
    if (!self->joined) {
        stage_stop(self);
        (void)stage_join(self);
    }
    raw_client_fini(&self->client);
    server_destroy(&self->server);
    assert_int_equal(zmq_ctx_term(self->context), 0);
    fake_engine_fini(&self->engine);
    (void)close(self->stop_fd);
    free(self);
}

int stage_setup(void **state)
{
    *state = stage_new("");
    return 0;
}

int stage_teardown(void **state)
{
    stage_destroy(*state);
    return 0;
}

void stage_hello(struct raw_client *client, uint64_t id)
{
    raw_request(client, id, "HELLO", "{'versions': [1], 'client': 'test'}");
    raw_receive(client);
    assert_true(raw_is_ok(client));
}
