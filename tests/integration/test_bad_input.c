/* SPDX-License-Identifier: MPL-2.0
 *
 * What strangers and enemies send: each gets a clear error, the broker lives,
 * its memory is bounded, and what was kept before is still there.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "tests/integration/scene.h"

#define GROWTH_MAX (64u * ZSP_MIB)

static int setup(void **state)
{
    const int rc = scene_setup(state);
    raw_publish(&((struct scene *)*state)->client, "kept", "before");
    return rc;
}

/* Nothing that was confirmed is lost, the broker is well. */
static int teardown(void **state)
{
    struct scene *const self = *state;
    struct raw_client other;
    scene_assert_well(self, GROWTH_MAX);
    raw_client_init(&other, self->broker.endpoint, ZMQ_DEALER);
    raw_call(&other, "READ", "{'topic': 'kept', 'from': 'earliest'}");
    assert_int_equal(raw_uint(&other, "end"), 1);
    raw_client_fini(&other);
    return scene_teardown(state);
}

/* One request in literal form, and the code that must answer it. */
struct bad_request {
    const char *verb;
    const char *args;
    const char *code;
};

static void expect_codes(struct scene *self, const struct bad_request *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        raw_request(&self->client, 0, cases[i].verb, cases[i].args);
        raw_receive(&self->client);
        print_message("%s %s -> %s\n", cases[i].verb, cases[i].args, self->client.text);
        raw_expect_error(&self->client, cases[i].code);
    }
}

#define EXPECT_CODES(self, cases) expect_codes(self, cases, sizeof(cases) / sizeof(cases)[0])

static void unknown_verbs_are_named(void **state)
{
    static const struct bad_request cases[] = {
        {"FROBNICATE", "{}", "unknown_verb"},
        {"publish", "{}", "unknown_verb"},
        {"", "{}", "unknown_verb"},
        {"TOPIC.", "{}", "unknown_verb"},
    };
    EXPECT_CODES(*state, cases);
}

static void unknown_arguments_are_named(void **state)
{
    static const struct bad_request cases[] = {
        {"PULL", "{'group': 'g', 'colour': 1}", "unknown_argument"},
        {"READ", "{'topic': 'kept', 'Topic': 'kept'}", "unknown_argument"},
        {"PING", "{'x': 1}", "unknown_argument"},
        {"HELLO", "{'versions': [1], 'x': 1}", "unknown_argument"},
        {"HELLO", "{'versions': [1], 'resume': b''}", "bad_value"},
        {"HELLO", "{'versions': [1], 'resume': 'x'}", "bad_type"},
        {"HELLO", "{'versions': [1], 'heartbeat_ms': 99}", "bad_value"},
        {"HELLO", "{'versions': [1], 'heartbeat_ms': 18446744073709551615}", "bad_value"},
        {"HELLO", "{'versions': [1], 'heartbeat_ms': true}", "bad_type"},
        {"HELLO", "{'versions': [1], 'coalesce': 'yes'}", "bad_type"},
        {"BYE", "{'x': 1}", "unknown_argument"},
        {"BYE", "{}", "hello_required"},
        {"CANCEL", "{}", "bad_value"},
        {"CANCEL", "{'request': 0}", "bad_value"},
        {"CANCEL", "{'request': b'1'}", "bad_type"},
        {"CANCEL", "{'request': 1}", "hello_required"},
        {"SETTLE", "{'x': null, 'group': 'g', 'runs': []}", "unknown_argument"},
        {"SETTLE", "{'group': 'g', 'runs': [['kept', 0, 0, 1, 7, 'ack']], 'x': null}",
         "unknown_argument"},
    };
    EXPECT_CODES(*state, cases);
}

static void wrong_types_are_named(void **state)
{
    static const struct bad_request cases[] = {
        {"READ", "{'topic': 5}", "bad_type"},
        {"READ", "{'topic': b'kept'}", "bad_type"},
        {"READ", "{'topic': 'kept', 'partition': 'zero'}", "bad_type"},
        {"PULL", "{'group': 'g', 'topics': 'kept'}", "bad_type"},
        {"PULL", "{'group': 'g', 'topics': [1]}", "bad_type"},
        {"PULL", "{'group': 'g', 'wait_ms': null}", "bad_type"},
        {"SETTLE", "{'group': 'g', 'runs': {}}", "bad_type"},
    };
    EXPECT_CODES(*state, cases);
}

static void values_out_of_range_are_named(void **state)
{
    static const struct bad_request cases[] = {
        {"PULL", "{'group': 'g', 'wait_ms': 60001}", "bad_value"},
        {"PULL", "{'group': 'g', 'wait_ms': -1}", "bad_value"},
        {"READ", "{'topic': 'kept', 'from': ['offset', 99]}", "out_of_range"},
        {"READ", "{'topic': 'kept', 'from': 'sometime'}", "bad_value"},
        {"READ", "{'topic': 'absent', 'from': 'earliest'}", "not_found"},
        {"READ", "{'topic': 'kept', 'partition': 7, 'from': 'earliest'}", "not_found"},
        {"READ", "{'topic': 'kept'}", "bad_value"},
        {"TOPIC.CREATE", "{'topic': 't', 'partitions': 0}", "bad_value"},
        {"TOPIC.CREATE", "{'topic': 't', 'partitions': 1025}", "bad_value"},
        {"TOPIC.CREATE", "{'topic': 'kept'}", "exists"},
    };
    EXPECT_CODES(*state, cases);
}

/* Each verb, with an argument that it does not have, one of the wrong type, and one that is out of its
 * range or names nothing. */
static void each_verb_refuses_what_it_cannot_use(void **state)
{
    static const struct bad_request cases[] = {
        {"PRODUCER.OPEN", "{'producer': 'p', 'x': 1}", "unknown_argument"},
        {"PRODUCER.OPEN", "{'producer': 'p', 'ephemeral': 1}", "bad_type"},
        {"PRODUCER.INFO", "{'producer': ['p']}", "bad_type"},
        {"PRODUCER.INFO", "{'producer': 'p', 'epoch': 1}", "unknown_argument"},
        {"PRODUCER.INFO", "{'producer': 'nobody'}", "not_found"},
        {"PULL", "{'group': 'g', 'topics': ['kept'], 'max_messages': 0}", "bad_value"},
        {"PULL", "{'group': 'g', 'topics': ['kept'], 'settle': 'ack'}", "bad_type"},
        {"SETTLE", "{'group': 'nobody', 'runs': [['kept', 0, 0, 1, 7, 'ack']]}", "not_found"},
        {"SETTLE", "{'group': 'g', 'runs': [['kept', 0, 0, 1, 7, 'eat']]}", "bad_value"},
        {"SETTLE", "{'group': 'g', 'runs': [['kept', 0]]}", "bad_value"},
        {"COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 1, 'level': 'written', 'publish': []}",
         "bad_value"},
        {"COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': {}}", "bad_type"},
        {"COMMIT", "{'producer': 'p', 'epoch': 0, 'seq': 1, 'settle': {}}", "bad_value"},
        {"COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 1, 'outcomes': {}}", "unknown_argument"},
        {"COMMIT", "{'producer': 'p', 'epoch': 1, 'seq': 1, 'publish': [{'topic': 'kept'}]}",
         "bad_request"},
        {"COMMIT",
         "{'producer': 'nobody', 'epoch': 1, 'seq': 1, 'settle': {'group': 'g', 'runs': [['kept', "
         "0, 0, 1, 7, 'ack']]}}",
         "not_found"},
        {"SEEK", "{'group': 'g', 'to': 'earliest', 'x': 1}", "unknown_argument"},
        {"SEEK", "{'group': 'g', 'to': 5}", "bad_type"},
        {"SEEK", "{'group': 'nobody', 'topic': 'kept', 'to': 'earliest'}", "not_found"},
        {"TOPIC.SET", "{'topic': 'kept', 'partitions': 0}", "bad_value"},
        {"TOPIC.SET", "{'topic': 'kept', 'partitions': 1025}", "bad_value"},
        {"TOPIC.SET", "{'topic': 'kept', 'partitions': '4'}", "bad_type"},
        {"TOPIC.SET", "{'topic': 'kept', 'partitions': 4, 'force': 1}", "bad_type"},
        {"TOPIC.SET", "{'topic': 'kept'}", "bad_value"},
        {"TOPIC.SET", "{'topic': 'absent', 'partitions': 4}", "not_found"},
        {"TOPIC.INFO", "{'topic': 'kept', 'x': 1}", "unknown_argument"},
        {"TOPIC.INFO", "{'topic': 'absent'}", "not_found"},
        {"TOPIC.LIST", "{'limit': 1001}", "bad_value"},
        {"TOPIC.LIST", "{'match': 1}", "bad_type"},
        {"TOPIC.DELETE", "{'topic': 'absent'}", "not_found"},
        {"TOPIC.DELETE", "{'topic': 'kept', 'dry_run': 1}", "bad_type"},
        {"TOPIC.PURGE", "{'topic': 'kept'}", "bad_value"},
        {"TOPIC.PURGE", "{'topic': 'kept', 'before': ['offset', 99]}", "out_of_range"},
        {"TOPIC.PURGE", "{'topic': 'kept', 'before': 'latest', 'partition': 1024}", "bad_value"},
        {"TOPIC.PURGE", "{'topic': 'absent', 'before': 'latest'}", "not_found"},
        {"GROUP.CREATE", "{'group': 'h', 'settings': {'lease_ms': -1}}", "bad_value"},
        {"GROUP.CREATE", "{'group': 'h', 'settings': []}", "bad_type"},
        {"GROUP.CREATE", "{'group': 'h', 'mode': 'upside-down'}", "bad_value"},
        {"GROUP.SET", "{'group': 'nobody', 'settings': {}}", "not_found"},
        {"GROUP.SET", "{'group': 'nobody', 'mode': 'shared'}", "unknown_argument"},
        {"GROUP.INFO", "{'group': 'nobody'}", "not_found"},
        {"GROUP.LIST", "{'limit': 0}", "bad_value"},
        {"GROUP.DELETE", "{'group': 'nobody'}", "not_found"},
        {"GROUP.PAUSE", "{'group': 'nobody'}", "not_found"},
        {"GROUP.RESUME", "{'group': 5}", "bad_type"},
        {"SAVEPOINT.SAVE", "{'group': 'nobody', 'name': 's'}", "not_found"},
        {"SAVEPOINT.SAVE", "{'group': 'g', 'name': '../s'}", "bad_name"},
        {"SAVEPOINT.SAVE", "{'group': 'g', 'name': 's', 'replace': 'yes'}", "bad_type"},
        {"SAVEPOINT.LIST", "{'group': 'nobody'}", "not_found"},
        {"SAVEPOINT.DROP", "{'group': 'nobody', 'name': 's'}", "not_found"},
        {"SAVEPOINT.RESTORE", "{'group': 'nobody', 'name': 's'}", "not_found"},
        {"SAVEPOINT.RESTORE", "{'group': 'g'}", "bad_value"},
        {"SAVEPOINT.UNDO", "{'group': 'g', 'name': 's'}", "unknown_argument"},
        {"STATS", "{'verbose': true}", "unknown_argument"},
    };
    struct scene *const self = *state;
    raw_call(&self->client, "GROUP.CREATE", "{'group': 'g', 'topics': ['kept']}");
    EXPECT_CODES(self, cases);
}

static void hostile_names_are_refused(void **state)
{
    struct scene *const self = *state;
    char name[512];
    memset(name, 'n', 300);
    name[300] = '\0';
    char args[600];
    (void)snprintf(args, sizeof args, "{'topic': '%s'}", name);
    const struct bad_request cases[] = {
        {"TOPIC.CREATE", "{'topic': '../../etc/passwd'}", "bad_name"},
        {"TOPIC.CREATE", "{'topic': '/abs'}", "bad_name"},
        {"TOPIC.CREATE", "{'topic': ''}", "bad_name"},
        {"TOPIC.CREATE", "{'topic': '.hidden'}", "bad_name"},
        {"TOPIC.CREATE", "{'topic': 'a b'}", "bad_name"},
        {"TOPIC.CREATE", args, "bad_name"},
        {"PULL", "{'group': '..', 'topics': ['kept']}", "bad_name"},
        {"PRODUCER.OPEN", "{'producer': 'a/b'}", "bad_name"},
    };
    EXPECT_CODES(self, cases);
}

static void what_is_not_built_says_so(void **state)
{
    static const struct bad_request cases[] = {
        {"READ", "{'topic': 'kept', 'from': ['id', 'x']}", "unsupported"},
    };
    EXPECT_CODES(*state, cases);
}

/* --- Headers made by hand ------------------------------------------------------------------ */

static void send_header(struct scene *self, const void *bytes, size_t len)
{
    const struct zsp_slice frame = {bytes, len};
    raw_send(&self->client, &frame, 1);
    raw_receive(&self->client);
}

/* Five bytes that claim four billion items, in every place. */
static void lying_counts_are_refused_before_memory_is_taken(void **state)
{
    struct scene *const self = *state;
    static const struct zsp_slice headers[] = {
        {(const uint8_t *)"\xdd\xff\xff\xff\xff", 5},
        {(const uint8_t *)"\xdf\xff\xff\xff\xff", 5},
        {(const uint8_t *)"\x94\x01\xa4PING\x00\xdf\xff\xff\xff\xff", 13},
        {(const uint8_t *)"\x94\x01\xa4PING\x00\x81\xa1x\xdd\xff\xff\xff\xff", 16},
        {(const uint8_t *)"\x94\x01\xdb\xff\xff\xff\xff", 7},
        {(const uint8_t *)"\x94\x01\xc6\x7f\xff\xff\xff", 7},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        send_header(self, headers[i].data, headers[i].len);
        raw_expect_error(&self->client, "bad_request");
    }
    scene_assert_well(self, 16u * ZSP_MIB);
}

static void other_shapes_are_no_request(void **state)
{
    struct scene *const self = *state;
    static const struct zsp_slice headers[] = {
        {(const uint8_t *)"x", 1},                                /* a number */
        {(const uint8_t *)"\x93\x01\xa4PING\x00", 8},             /* three items */
        {(const uint8_t *)"\x95\x01\xa4PING\x00\x80\xc0", 10},    /* five */
        {(const uint8_t *)"\x94\x01\xa4PING\x00\x80\xc0", 10},    /* bytes left over */
        {(const uint8_t *)"\x94\x01\xa4PING\x00\x90", 9},         /* args is an array */
        {(const uint8_t *)"\x94\x01\xa4PING\xff\x80", 9},         /* id is negative */
        {(const uint8_t *)"\x94\x01\x05\x00\x80", 5},             /* verb is a number */
        {(const uint8_t *)"\x94\x01\xa4P\xffNG\x00\x80", 9},      /* verb is no UTF-8 */
        {(const uint8_t *)"\x94\x01\xa4PING\x00\x81\xc1\xc0", 11} /* a byte that means nothing */
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        send_header(self, headers[i].data, headers[i].len);
        if (self->client.reply.status != WIRE_ERR) {
            fail_msg("case %zu: %s", i, self->client.text);
        }
    }
    send_header(self, "\x94\x02\xa4PING\x07\x80", 9);
    raw_expect_error(&self->client, "version_mismatch");
}

static void deep_nesting_is_refused(void **state)
{
    struct scene *const self = *state;
    uint8_t bytes[2000];
    static const uint8_t start[] = "\x94\x01\xa4PING\x00\x81\xa1x";
    memcpy(bytes, start, sizeof start - 1);
    memset(bytes + sizeof start - 1, 0x91, sizeof bytes - (sizeof start - 1));
    send_header(self, bytes, sizeof bytes);
    raw_expect_error(&self->client, "bad_request");
}

static void a_header_beyond_its_limit_is_too_large(void **state)
{
    struct scene *const self = *state;
    uint8_t *const bytes = calloc(1, ZSP_HEADER_MAX + 1);
    send_header(self, bytes, ZSP_HEADER_MAX + 1);
    raw_expect_error(&self->client, "too_large");
    free(bytes);
}

/* --- Frames ------------------------------------------------------------------------------------ */

static void ten_thousand_frames_are_too_many(void **state)
{
    struct scene *const self = *state;
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("PUBLISH"), 0);
    wire_write_map(&header, 1);
    wire_write_text_str(&header, "topic", zsp_slice_str("kept"));
    struct zsp_slice *const frames = calloc(10000, sizeof *frames);
    frames[0] = zsp_writer_slice(&header);
    for (size_t i = 1; i < 10000; i++) {
        frames[i] = zsp_slice_str("\x91\xc4\x01x");
    }
    raw_send(&self->client, frames, 10000);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "too_large");
    free(frames);
    zsp_writer_fini(&header);
}

static void empty_frames_are_refused(void **state)
{
    struct scene *const self = *state;
    struct zsp_writer header = {0};
    wire_write_request(&header, zsp_slice_str("PUBLISH"), 0);
    wire_write_map(&header, 1);
    wire_write_text_str(&header, "topic", zsp_slice_str("kept"));
    const struct zsp_slice empty = {(const uint8_t *)"", 0};
    const struct zsp_slice with_body[] = {empty, zsp_writer_slice(&header), empty};
    raw_send(&self->client, with_body, 3);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "bad_request");
    const struct zsp_slice three[] = {empty, empty, empty};
    raw_send(&self->client, three, 3);
    raw_receive(&self->client);
    raw_expect_error(&self->client, "bad_request");
    zsp_writer_fini(&header);
}

static void bodies_must_be_records(void **state)
{
    struct scene *const self = *state;
    static const struct {
        const char *body;
        size_t len;
    } bad[] = {{"hello", 5},
               {"\x91", 1},
               {"\x91\xc4\x05x", 4},
               {"\x91\xc4\x01x\x91", 5},
               {"\x90", 1},
               {"\xdd\xff\xff\xff\xff", 5},
               {"\x91\xa1x", 3},
               {"\x93\xc4\x01x\xc0\xa1\xff", 7},
               {"\x97\xc4\x01x\xc0\xc0\xc0\xc0\xc0\xc0", 10}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 'kept'}",
                         (struct zsp_slice){(const uint8_t *)bad[i].body, bad[i].len});
        raw_receive(&self->client);
        raw_expect_error(&self->client, "bad_record");
    }
    raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 'kept', 'count': 2}",
                     zsp_slice_str("\x91\xc4\x01x"));
    raw_receive(&self->client);
    raw_expect_error(&self->client, "count_mismatch");
    raw_ask(&self->client, "PUBLISH", "{'topic': 'kept'}");
    assert_int_equal(self->client.reply.status, WIRE_ERR);
}

static void frames_over_the_limit_are_told_or_cut_off(void **state)
{
    struct scene *const self = *state;
    uint8_t *const bytes = calloc(1, 2 * ZSP_FRAME_MAX + 1);
    raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 'kept'}",
                     (struct zsp_slice){bytes, ZSP_FRAME_MAX + 1});
    raw_receive(&self->client);
    raw_expect_error(&self->client, "too_large");
    /* Beyond twice the limit the connection goes; others are not concerned. */
    struct raw_client rude;
    raw_client_init(&rude, self->broker.endpoint, ZMQ_DEALER);
    raw_request_body(&rude, 0, "PUBLISH", "{'topic': 'kept'}",
                     (struct zsp_slice){bytes, 2 * ZSP_FRAME_MAX + 1});
    assert_false(raw_receive_within(&rude, 500));
    raw_client_fini(&rude);
    free(bytes);
}

static void records_over_the_limit_are_too_large(void **state)
{
    struct scene *const self = *state;
    uint8_t *const bytes = calloc(1, ZSP_RECORD_MAX + 1);
    struct zsp_writer body = {0};
    raw_record(&body, (struct zsp_slice){bytes, ZSP_RECORD_MAX + 1});
    raw_request_body(&self->client, 0, "PUBLISH", "{'topic': 'kept'}", zsp_writer_slice(&body));
    raw_receive(&self->client);
    raw_expect_error(&self->client, "too_large");
    zsp_writer_fini(&body);
    free(bytes);
}

/* --- Leases that one does not hold ---------------------------------------------------------------- */

static void foreign_leases_change_nothing(void **state)
{
    struct scene *const self = *state;
    raw_call(&self->client, "PULL", "{'group': 'g', 'topics': ['kept'], 'wait_ms': 5000}");
    raw_call(&self->client, "SETTLE", "{'group': 'g', 'runs': [['kept', 0, 0, 1, 12345, 'ack']]}");
    assert_int_equal(raw_uint(&self->client, "applied"), 0);
    assert_int_equal(raw_value(&self->client, "not_applied")->via.array.size, 1);
    raw_call(&self->client, "SETTLE", "{'group': 'g', 'runs': [['kept', 0, 5, 3, 12345, 'ack']]}");
    assert_int_equal(raw_uint(&self->client, "applied"), 0);
    raw_ask(&self->client, "SETTLE", "{'group': 'g', 'runs': [['kept', 0, 0, 1, 1, 'maybe']]}");
    raw_expect_error(&self->client, "bad_value");
    raw_ask(&self->client, "SETTLE", "{'group': 'absent', 'runs': []}");
    assert_int_equal(self->client.reply.status, WIRE_ERR);
}

/* --- Not even ZeroMQ -------------------------------------------------------------------------------- */

static int connect_tcp(const struct scene *self)
{
    const char *const colon = strrchr(self->broker.endpoint, ':');
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void other_protocols_and_junk_harm_nobody(void **state)
{
    struct scene *const self = *state;
    static const struct zsp_slice junk[] = {
        {(const uint8_t *)"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        {(const uint8_t *)"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", 10},
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
        {(const uint8_t *)"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11},
        {(const uint8_t *)"", 0},
    };
    int fds[sizeof junk / sizeof junk[0]];
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        fds[i] = connect_tcp(self);
        assert_int_equal(write(fds[i], junk[i].data, junk[i].len), (ssize_t)junk[i].len);
    }
    raw_call(&self->client, "PING", "{}");
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        (void)close(fds[i]);
    }
}

#define PROVE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROVE(unknown_verbs_are_named),
        PROVE(unknown_arguments_are_named),
        PROVE(wrong_types_are_named),
        PROVE(values_out_of_range_are_named),
        PROVE(each_verb_refuses_what_it_cannot_use),
        PROVE(hostile_names_are_refused),
        PROVE(what_is_not_built_says_so),
        PROVE(lying_counts_are_refused_before_memory_is_taken),
        PROVE(other_shapes_are_no_request),
        PROVE(deep_nesting_is_refused),
        PROVE(a_header_beyond_its_limit_is_too_large),
        PROVE(ten_thousand_frames_are_too_many),
        PROVE(empty_frames_are_refused),
        PROVE(bodies_must_be_records),
        PROVE(frames_over_the_limit_are_told_or_cut_off),
        PROVE(records_over_the_limit_are_too_large),
        PROVE(foreign_leases_change_nothing),
        PROVE(other_protocols_and_junk_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
