/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/endpoint.h"

static const struct {
    const char *endpoint;
    bool local;
} GOOD[] = {
    {"tcp://127.0.0.1:7227", true},  {"tcp://127.0.0.1:*", true},
    {"tcp://127.9.9.9:1", true},     {"tcp://localhost:65535", true},
    {"tcp://[::1]:7227", true},      {"ipc:///run/zspool.sock", true},
    {"ipc://relative.sock", true},   {"tcp://*:7227", false},
    {"tcp://0.0.0.0:7227", false},   {"tcp://10.0.0.1:7227", false},
    {"tcp://[::]:7227", false},      {"tcp://eth0:7227", false},
    {"tcp://128.0.0.1:7227", false}, {"tcp://127.0.0.1.example:7227", false},
    {"tcp://127.evil.org:7", false}, {"inproc://orders:1", true},
};

static void addresses_of_this_machine_are_told_from_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct zsp_err err = {0};
        assert_int_equal(endpoint_check(GOOD[i].endpoint, true, &err), ZSP_OK);
        assert_int_equal(endpoint_local(GOOD[i].endpoint), GOOD[i].local);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "127.0.0.1:7227",
                                      "tcp://",
                                      "tcp://127.0.0.1",
                                      "tcp://:7",
                                      "tcp://127.0.0.1:",
                                      "tcp://1.1.1.1:0",
                                      "tcp://1.1.1.1:65536",
                                      "tcp://h:1x",
                                      "tcp://a;tcp://b:1",
                                      "tcp://h/p:1",
                                      "inproc://x",
                                      "udp://x:1",
                                      "ipc://",
                                      "ipc://*",
                                      "ipc://@abstract",
                                      "ws://x:1",
                                      "tcp://%s:7227",
                                      "ipc://a\"b",
                                      "tcp://127.0.0.1:-1",
                                      "TCP://x:1",
                                      "pgm://eth0;239.1.1.1:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct zsp_err err = {0};
        assert_int_equal(endpoint_check(bad[i], false, &err), ZSP_EBAD_VALUE);
        assert_non_null(strstr(err.msg, "endpoint"));
    }
    char path[200] = "ipc://";
    memset(path + 6, 'p', ENDPOINT_IPC_MAX + 1);
    assert_int_equal(endpoint_check(path, false, NULL), ZSP_EBAD_VALUE);
    path[6 + ENDPOINT_IPC_MAX] = '\0';
    assert_int_equal(endpoint_check(path, false, NULL), ZSP_OK);
}

static void inproc_is_for_an_embedded_broker(void **state)
{
    (void)state;
    struct zsp_err err = {0};
    assert_true(endpoint_inproc("inproc://x"));
    assert_false(endpoint_inproc("ipc://inproc"));
    assert_int_equal(endpoint_check("inproc://x", true, &err), ZSP_OK);
    assert_int_equal(endpoint_check("inproc://x", false, &err), ZSP_EBAD_VALUE);
    assert_null(strstr(err.msg, "inproc://NAME"));
    assert_int_equal(endpoint_check("inproc://", true, &err), ZSP_EBAD_VALUE);
    assert_non_null(strstr(err.msg, "inproc://NAME"));
    assert_false(endpoint_ipv6("inproc://a:b:c"));
}

static void ipv6_and_paths_are_seen(void **state)
{
    (void)state;
    assert_true(endpoint_ipv6("tcp://[::1]:7227"));
    assert_false(endpoint_ipv6("tcp://127.0.0.1:7227"));
    assert_false(endpoint_ipv6("ipc://a:b"));
    assert_string_equal(endpoint_ipc_path("ipc:///run/x"), "/run/x");
    assert_null(endpoint_ipc_path("tcp://127.0.0.1:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_this_machine_are_told_from_others),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(inproc_is_for_an_embedded_broker),
        cmocka_unit_test(ipv6_and_paths_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
