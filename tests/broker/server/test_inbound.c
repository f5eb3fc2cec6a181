/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/server/inbound.h"

static void bytes_that_nobody_has_read_are_seen(void **state)
{
    (void)state;
    int ends[2];
    char byte = 0;
    assert_false(inbound_is_behind(-1));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_false(inbound_is_behind(ends[0]));
    assert_int_equal(write(ends[1], "p", 1), 1);
    assert_true(inbound_is_behind(ends[0]));
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(close(ends[1]), 0);
    assert_false(inbound_is_behind(ends[0])); /* an end is no byte */
    assert_int_equal(close(ends[0]), 0);
    assert_false(inbound_is_behind(ends[0]));
}

/* What a message tells of the way that it came. */
static int fd_of_one_message(const char *endpoint)
{
    static struct inbound message;
    void *const context = zmq_ctx_new();
    void *const router = zmq_socket(context, ZMQ_ROUTER);
    void *const dealer = zmq_socket(context, ZMQ_DEALER);
    char real[256];
    size_t len = sizeof real;
    assert_int_equal(zmq_bind(router, endpoint), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, real, &len), 0);
    assert_int_equal(zmq_connect(dealer, real), 0);
    assert_int_equal(zmq_send(dealer, "p", 1, 0), 1);
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 30000), 1);
    assert_int_equal(inbound_receive(&message, router, NULL), 0);
    const int fd = inbound_fd(&message);
    int type = 0;
    socklen_t type_len = sizeof type;
    assert_true(fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0);
    inbound_clear(&message);
    assert_int_equal(zmq_close(dealer), 0);
    assert_int_equal(zmq_close(router), 0);
    assert_int_equal(zmq_ctx_term(context), 0);
    return fd;
}

static void a_message_tells_its_descriptor(void **state)
{
    (void)state;
    assert_true(fd_of_one_message("tcp://127.0.0.1:*") >= 0);
    assert_true(fd_of_one_message("ipc://*") >= 0);
    assert_int_equal(fd_of_one_message("inproc://here"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_nobody_has_read_are_seen),
        cmocka_unit_test(a_message_tells_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
