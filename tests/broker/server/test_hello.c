/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/common/testing.h"

#include "broker/server/hello.h"
#include "common/limits.h"
#include "tests/support/literal.h"

struct parsed {
    struct wire_decoder *decoder;
    struct zsp_writer text;
    struct wire_request request;
};

/* A HELLO with these arguments, decoded as the server would. */
static int read_hello(const char *args, struct hello_args *ret, struct zsp_err *err)
{
    struct parsed parsed = {.decoder = wire_decoder_new()};
    wire_write_request(&parsed.text, zsp_slice_str("HELLO"), 1);
    literal_write(&parsed.text, args);
    assert_int_equal(
        wire_request_decode(parsed.decoder, zsp_writer_slice(&parsed.text), &parsed.request, err),
        0);
    const int rc = hello_read(parsed.request.args, ret, err);
    wire_decoder_destroy(&parsed.decoder);
    zsp_writer_fini(&parsed.text);
    return rc;
}

static void a_hello_offers_versions_and_codecs(void **state)
{
    (void)state;
    struct hello_args args;
    assert_int_equal(read_hello("{'versions': [1]}", &args, NULL), ZSP_OK);
    assert_null(args.client.data);
    assert_int_equal(read_hello("{'versions': [7, 1], 'client': 'x 1.0', 'name': 'worker-1',"
                                " 'codecs': ['zstd']}",
                                &args, NULL),
                     ZSP_OK);
    assert_int_equal(args.client.len, 5);
    assert_null(args.resume.data);
    assert_int_equal(args.terms.heartbeat_ms, 0);
    assert_false(args.terms.coalesce);
    assert_int_equal(read_hello("{'versions': [1], 'resume': b'0123456789abcdef',"
                                " 'heartbeat_ms': 60000, 'coalesce': true}",
                                &args, NULL),
                     ZSP_OK);
    assert_int_equal(args.resume.len, SESSION_ID_BYTES);
    assert_int_equal(args.terms.heartbeat_ms, 60000);
    assert_true(args.terms.coalesce);
}

static void anything_else_in_a_hello_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        int code;
    } cases[] = {{"{}", ZSP_EBAD_VALUE},
                 {"{'versions': []}", ZSP_EBAD_VALUE},
                 {"{'versions': 1}", ZSP_EBAD_TYPE},
                 {"{'versions': ['1']}", ZSP_EBAD_TYPE},
                 {"{'versions': [2, 3]}", ZSP_EVERSION_MISMATCH},
                 {"{'versions': [1], 'resume': b'0123456789abcde'}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'resume': b'0123456789abcdef0'}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'resume': '0123456789abcdef'}", ZSP_EBAD_TYPE},
                 {"{'versions': [1], 'heartbeat_ms': 99}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'heartbeat_ms': 60001}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'heartbeat_ms': 0}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'heartbeat_ms': -1}", ZSP_EBAD_VALUE},
                 {"{'versions': [1], 'coalesce': 1}", ZSP_EBAD_TYPE},
                 {"{'versions': [1], 'name': '../x'}", ZSP_EBAD_NAME},
                 {"{'versions': [1], 'colour': 'blue'}", ZSP_EUNKNOWN_ARGUMENT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_args args;
        struct zsp_err err = {0};
        const int code = read_hello(cases[i].args, &args, &err);
        if (code != cases[i].code) {
            fail_msg("%s: %s", cases[i].args, err.msg);
        }
    }
}

static void the_reply_tells_the_limits(void **state)
{
    (void)state;
    static struct config config;
    static const uint8_t bytes[16] = "fedcba987654321";
    const struct session session = {.number = 1, .id = "fedcba987654321"};
    struct zsp_writer text = {0};
    struct wire_decoder *decoder = wire_decoder_new();
    struct wire_reply reply;
    config_init(&config);
    hello_write(&text, &(struct hello_reply){.id = 5,
                                             .instance = bytes,
                                             .session = &session,
                                             .is_resumed = true,
                                             .knows_zstd = true,
                                             .config = &config,
                                             .now_ms = 1700000000000});
    assert_int_equal(wire_reply_decode(decoder, zsp_writer_slice(&text), &reply, NULL), 0);
    assert_int_equal(reply.id, 5);
    const msgpack_object *const limits = wire_map_find(reply.map, "limits");
    assert_non_null(limits);
    assert_int_equal(limits->via.map.size, 9);
    assert_int_equal(wire_map_find(limits, "max_frame")->via.u64, ZSP_FRAME_MAX);
    assert_int_equal(wire_map_find(limits, "max_requests")->via.u64, ZSP_REQUESTS_MAX);
    assert_int_equal(wire_map_find(reply.map, "session_timeout_ms")->via.u64, ZSP_SESSION_MS);
    assert_true(wire_map_find(reply.map, "resumed")->via.boolean);
    assert_int_equal(wire_map_find(reply.map, "session")->via.bin.size, 16);
    assert_int_equal(wire_map_find(reply.map, "codecs")->via.array.size, 1);
    wire_decoder_destroy(&decoder);
    zsp_writer_fini(&text);
}

static void verbs_of_the_connection_are_known(void **state)
{
    (void)state;
    assert_int_equal(hello_verb(zsp_slice_str("HELLO")), HELLO_HELLO);
    assert_int_equal(hello_verb(zsp_slice_str("PING")), HELLO_PING);
    assert_int_equal(hello_verb(zsp_slice_str("BYE")), HELLO_BYE);
    assert_int_equal(hello_verb(zsp_slice_str("CANCEL")), HELLO_NONE);
    assert_int_equal(hello_verb(zsp_slice_str("PUBLISH")), HELLO_NONE);
    assert_int_equal(hello_verb(zsp_slice_str("hello")), HELLO_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_offers_versions_and_codecs),
        cmocka_unit_test(anything_else_in_a_hello_is_refused_by_name),
        cmocka_unit_test(the_reply_tells_the_limits),
        cmocka_unit_test(verbs_of_the_connection_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
