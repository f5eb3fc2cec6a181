/* SPDX-License-Identifier: MPL-2.0
 *
 * Sessions over the real broker: who comes back, who leaves, and zombies of every
 * kind: stopped, stalled, resumed by somebody else, never reading.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "tests/integration/scene.h"

/* A request of a session, and its reply; BEATs are passed over. */
static void ask(struct raw_client *client, uint64_t id, const char *verb, const char *args)
{
    raw_request(client, id, verb, args);
    do {
        raw_receive(client);
    } while (client->reply.status == WIRE_BEAT);
    assert_int_equal(client->reply.id, id);
}

static void call(struct raw_client *client, uint64_t id, const char *verb, const char *args)
{
    ask(client, id, verb, args);
    if (!raw_is_ok(client)) {
        fail_msg("%s: %s", verb, client->text);
    }
}

static void hello(struct raw_client *client, const char *more, uint8_t ret_id[RAW_SESSION_BYTES])
{
    char args[200];
    (void)snprintf(args, sizeof args, "{'versions': [1]%s}", more);
    call(client, 1, "HELLO", args);
    raw_session(client, ret_id);
}

static const msgpack_object *run_of(const struct raw_client *client, uint32_t index)
{
    const msgpack_object *const runs = raw_value(client, "runs");
    assert_true(index < runs->via.array.size);
    return runs->via.array.ptr[index].via.array.ptr;
}

static size_t run_count(const struct raw_client *client)
{
    return raw_value(client, "runs")->via.array.size;
}

#define PULL_NOW  "{'group': 'g', 'topics': ['t']}"
#define PULL_WAIT "{'group': 'g', 'topics': ['t'], 'wait_ms': 60000}"

static uint64_t figure(struct scene *self, const char *name)
{
    raw_call(&self->client, "STATS", "{}");
    return raw_uint(&self->client, name);
}

/* --- Coming back ------------------------------------------------------------------------------- */

static void who_comes_back_gets_the_answer_that_was_lost(void **state)
{
    struct scene *const self = *state;
    struct raw_client worker;
    uint8_t id[RAW_SESSION_BYTES];
    raw_publish(&self->client, "t", "a");
    raw_publish(&self->client, "t", "b");
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    hello(&worker, "", id);
    call(&worker, 7, "PULL", PULL_NOW);
    const uint64_t lease = run_of(&worker, 0)[4].via.u64;
    raw_client_fini(&worker);
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    assert_true(raw_resume(&worker, id));
    call(&worker, 7, "PULL", PULL_NOW);
    assert_int_equal(run_of(&worker, 0)[4].via.u64, lease);
    assert_int_equal(raw_body(&worker).len, 2 * 4);
    call(&worker, 8, "PULL", PULL_NOW); /* another request: nothing is left */
    assert_int_equal(run_count(&worker), 0);
    assert_int_equal(figure(self, "lease_count"), 1);
    raw_client_fini(&worker);
}

static void a_pull_that_waited_goes_on_waiting_elsewhere(void **state)
{
    struct scene *const self = *state;
    struct raw_client first;
    struct raw_client second;
    uint8_t id[RAW_SESSION_BYTES];
    raw_client_init(&first, self->broker.endpoint, ZMQ_DEALER);
    raw_client_init(&second, self->broker.endpoint, ZMQ_DEALER);
    hello(&first, "", id);
    raw_request(&first, 2, "PULL", PULL_WAIT);
    call(&first, 3, "PING", "{}");
    assert_true(raw_resume(&second, id));
    raw_request(&second, 2, "PULL", PULL_WAIT);
    call(&second, 3, "PING", "{}"); /* the PULL before it has arrived */
    ask(&first, 4, "PING", "{}");   /* a zombie that still sends */
    raw_expect_error(&first, "hello_required");
    assert_int_equal(figure(self, "parked_count"), 1);
    raw_publish(&self->client, "t", "once");
    raw_receive(&second);
    assert_int_equal(run_count(&second), 1);
    assert_int_equal(figure(self, "lease_count"), 1);
    assert_int_equal(figure(self, "sessions_resumed"), 1);
    assert_int_equal(figure(self, "session_count"), 1);
    raw_client_fini(&first);
    raw_client_fini(&second);
}

static void after_a_restart_leases_are_good_and_sessions_new(void **state)
{
    struct scene *const self = *state;
    struct raw_client worker;
    uint8_t id[RAW_SESSION_BYTES];
    raw_publish(&self->client, "t", "a");
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    hello(&worker, "", id);
    call(&worker, 2, "PULL", PULL_NOW);
    const uint64_t lease = run_of(&worker, 0)[4].via.u64;
    raw_client_fini(&worker);
    scene_restart(self);
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    assert_false(raw_resume(&worker, id));
    char args[120];
    (void)snprintf(args, sizeof args,
                   "{'group': 'g', 'runs': [['t', 0, 0, 1, %" PRIu64 ", 'ack']]}", lease);
    call(&worker, 3, "SETTLE", args);
    assert_int_equal(raw_uint(&worker, "applied"), 1);
    raw_client_fini(&worker);
}

/* --- Leaving ----------------------------------------------------------------------------------- */

static void bye_gives_the_messages_to_who_waits(void **state)
{
    struct scene *const self = *state;
    struct raw_client leaving;
    uint8_t id[RAW_SESSION_BYTES];
    raw_publish(&self->client, "t", "a");
    raw_client_init(&leaving, self->broker.endpoint, ZMQ_DEALER);
    hello(&leaving, "", id);
    call(&leaving, 2, "PULL", PULL_NOW);
    raw_request(&leaving, 3, "PULL", PULL_WAIT);
    raw_request(&self->client, 0, "PULL", PULL_WAIT);
    raw_request(&leaving, 4, "BYE", "{}");
    raw_receive(&leaving);
    assert_int_equal(leaving.reply.id, 3);
    assert_true(zsp_slice_equal_str(raw_str(&leaving, "reason"), "cancelled"));
    raw_receive(&leaving);
    assert_int_equal(leaving.reply.id, 4);
    assert_int_equal(raw_uint(&leaving, "released"), 1);
    raw_receive(&self->client);
    assert_int_equal(run_count(&self->client), 1);
    assert_false(raw_resume(&leaving, id));
    raw_client_fini(&leaving);
}

static void a_cancelled_pull_takes_nothing(void **state)
{
    struct scene *const self = *state;
    uint8_t id[RAW_SESSION_BYTES];
    struct raw_client worker;
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    hello(&worker, "", id);
    raw_request(&worker, 2, "PULL", PULL_WAIT);
    raw_request(&worker, 3, "CANCEL", "{'request': 2}");
    raw_receive(&worker);
    assert_int_equal(worker.reply.id, 2);
    assert_true(zsp_slice_equal_str(raw_str(&worker, "reason"), "cancelled"));
    raw_receive(&worker);
    assert_true(raw_value(&worker, "cancelled")->via.boolean);
    raw_publish(&self->client, "t", "a");
    raw_call(&self->client, "PULL", PULL_NOW);
    assert_int_equal(run_count(&self->client), 1);
    raw_client_fini(&worker);
}

/* --- Zombies ------------------------------------------------------------------------------------- */

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* A worker in a process of its own: takes a message, says so on its output, and is alive until it
 * is told that its session is over. */
static int be_a_worker(const char *endpoint)
{
    struct raw_client client;
    uint8_t id[RAW_SESSION_BYTES];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    raw_client_init(&client, endpoint, ZMQ_DEALER);
    hello(&client, ", 'heartbeat_ms': 300", id);
    call(&client, 2, "PULL", PULL_WAIT);
    (void)!write(STDOUT_FILENO, "p", 1);
    for (uint64_t request = 3;; request++) {
        ask(&client, request, "PING", "{}");
        if (!raw_is_ok(&client)) {
            (void)!write(STDOUT_FILENO, "e", 1);
            return 0;
        }
        pause_ms(20); /* as long as it lives it says so */
    }
}

static char read_word(int fd)
{
    char word = 0;
    assert_int_equal(read(fd, &word, 1), 1);
    return word;
}

/* Goal: a worker whose process stands still loses its message long before the lease ends; when it
 * goes on it is told. */
static void a_stopped_worker_loses_its_leases(void **state)
{
    struct scene *const self = *state;
    int fds[2];
    raw_publish(&self->client, "t", "a");
    raw_call(&self->client, "GROUP.CREATE",
             "{'group': 'g', 'topics': ['t'], 'settings': {'lease_ms': 3600000}}");
    assert_int_equal(pipe(fds), 0);
    char program[512] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    const pid_t pid = fork();
    if (pid == 0) { /* a child of threads may only exec */
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execl(program, "worker", self->broker.endpoint, (char *)NULL);
        _exit(1);
    }
    (void)close(fds[1]); /* so that a worker that dies ends the reading */
    assert_true(pid > 0);
    assert_int_equal(read_word(fds[0]), 'p');
    raw_request(&self->client, 0, "PULL", PULL_WAIT);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    raw_receive(&self->client);
    assert_int_equal(run_count(&self->client), 1);
    assert_int_equal(figure(self, "sessions_silent"), 1);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(read_word(fds[0]), 'e');
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(fds[0]);
}

/* The broker stands still for longer than its clients may be silent; the sign of life waits in its
 * socket meanwhile. */
static void stall(struct scene *self, const char *heartbeat, long stall_ms)
{
    struct raw_client worker;
    uint8_t id[RAW_SESSION_BYTES];
    raw_publish(&self->client, "t", "a");
    raw_client_init(&worker, self->broker.endpoint, ZMQ_DEALER);
    hello(&worker, heartbeat, id);
    call(&worker, 2, "PULL", PULL_NOW);
    broker_process_signal(&self->broker, SIGSTOP);
    raw_request(&worker, 3, "PING", "{}");
    pause_ms(stall_ms); /* the stall is what is tested */
    broker_process_signal(&self->broker, SIGCONT);
    do {
        raw_receive(&worker);
    } while (worker.reply.status == WIRE_BEAT);
    assert_int_equal(worker.reply.id, 3);
    call(&worker, 4, "PING", "{}");
    assert_int_equal(figure(self, "sessions_silent"), 0);
    assert_int_equal(figure(self, "lease_count"), 1);
    raw_client_fini(&worker);
}

/* Goal: a stall of the broker makes nobody silent, neither a long one, after which there is a grace,
 * nor one that is too short for that. */
static void a_stalled_broker_blames_nobody(void **state)
{
    stall(*state, ", 'heartbeat_ms': 1000", 4000);
}

static void a_broker_that_hesitates_blames_nobody(void **state)
{
    stall(*state, ", 'heartbeat_ms': 400", 1350);
}

/* Goal: what a session does not read is bounded, and goes with it when somebody resumes it. */
static void a_session_that_never_reads_is_bounded_and_can_be_resumed(void **state)
{
    struct scene *const self = *state;
    struct raw_client slow;
    struct raw_client again;
    uint8_t id[RAW_SESSION_BYTES];
    uint8_t *const payload = calloc(1, ZSP_MIB);
    struct zsp_writer record = {0};
    raw_record(&record, (struct zsp_slice){payload, ZSP_MIB - 64});
    for (int i = 0; i < 8; i++) {
        raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 't'}", zsp_writer_slice(&record));
        raw_receive(&self->client);
        assert_true(raw_is_ok(&self->client));
    }
    raw_client_init_slow(&slow, self->broker.endpoint);
    hello(&slow, "", id);
    for (uint64_t i = 2; i < 202; i++) {
        raw_request(&slow, i, "READ", "{'topic': 't', 'from': 'earliest', 'max_bytes': 8388608}");
    }
    raw_request(&slow, 202, "PULL", PULL_NOW);
    while (figure(self, "over_credit") == 0) {
    }
    scene_assert_well(self, 256u * ZSP_MIB);
    raw_client_init(&again, self->broker.endpoint, ZMQ_DEALER);
    assert_true(raw_resume(&again, id));
    assert_int_equal(figure(self, "request_count"), 1); /* STATS itself */
    assert_int_equal(figure(self, "stuck_count"), 0);
    call(&again, 202, "PULL", "{'group': 'g', 'topics': ['t'], 'max_messages': 1}");
    assert_int_equal(run_count(&again), 1);
    raw_client_fini(&slow);
    raw_client_fini(&again);
    scene_assert_well(self, 256u * ZSP_MIB);
    zsp_writer_fini(&record);
    free(payload);
}

/* Goal: when all places are taken, a session whose client is gone makes room before one whose
 * client is there. */
static void a_detached_session_makes_room_first(void **state)
{
    (void)state;
    struct scene self = {0};
    struct raw_client there;
    struct raw_client gone;
    struct raw_client newest;
    uint8_t id[RAW_SESSION_BYTES];
    uint8_t gone_id[RAW_SESSION_BYTES];
    assert_int_equal(setenv("ZSPOOL_LIMITS_SESSIONS", "2", 1), 0);
    broker_process_init(&self.broker);
    broker_process_start(&self.broker, NULL);
    assert_int_equal(unsetenv("ZSPOOL_LIMITS_SESSIONS"), 0);
    raw_client_init(&self.client, self.broker.endpoint, ZMQ_DEALER);
    raw_client_init(&there, self.broker.endpoint, ZMQ_DEALER);
    raw_client_init(&gone, self.broker.endpoint, ZMQ_DEALER);
    raw_client_init(&newest, self.broker.endpoint, ZMQ_DEALER);
    hello(&there, "", id);
    hello(&gone, ", 'heartbeat_ms': 60000", gone_id);
    raw_request(&gone, 2, "PULL", PULL_WAIT);
    call(&gone, 3, "PING", "{}");
    raw_client_fini(&gone);
    while (figure(&self, "detached_count") == 0) {
        raw_publish(&self.client, "t", "who is there?");
    }
    hello(&newest, "", id);
    assert_int_equal(figure(&self, "session_count"), 2);
    call(&there, 2, "PING", "{}");
    assert_false(raw_resume(&newest, gone_id));
    raw_client_fini(&there);
    raw_client_fini(&newest);
    raw_client_fini(&self.client);
    broker_process_fini(&self.broker);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], "worker") == 0) {
        return be_a_worker(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        SCENE_TEST(who_comes_back_gets_the_answer_that_was_lost),
        SCENE_TEST(a_pull_that_waited_goes_on_waiting_elsewhere),
        SCENE_TEST(after_a_restart_leases_are_good_and_sessions_new),
        SCENE_TEST(bye_gives_the_messages_to_who_waits),
        SCENE_TEST(a_cancelled_pull_takes_nothing),
        SCENE_TEST(a_stopped_worker_loses_its_leases),
        SCENE_TEST(a_stalled_broker_blames_nobody),
        SCENE_TEST(a_broker_that_hesitates_blames_nobody),
        cmocka_unit_test(a_detached_session_makes_room_first),
        SCENE_TEST(a_session_that_never_reads_is_bounded_and_can_be_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
