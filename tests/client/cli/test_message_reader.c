/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/cli/message_reader.h"

struct given {
    struct message_text text;
    char *copy; /* on the heap, without a NUL, so that sanitizers see a read beyond its end */
};

static bool read_text(struct given *self, const char *json)
{
    const size_t len = strlen(json);
    self->copy = malloc(len > 0 ? len : 1);
    assert_non_null(self->copy);
    memcpy(self->copy, json, len);
    return message_read(&self->text, self->copy, len);
}

static void assert_bytes(zspool_bytes_t bytes, const char *wanted, size_t len)
{
    assert_non_null(bytes.data);
    assert_int_equal(bytes.len, len);
    assert_memory_equal(bytes.data, wanted, len);
}

static void all_parts_of_a_message_are_taken(void **state)
{
    (void)state;
    struct given given;
    assert_true(read_text(
        &given,
        "{\"topic\":\"t\",\"partition\":3,\"offset\":18446744073709551615,"
        "\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"key\":\"k\",\"type\":\"T\",\"id\":"
        "\"I\",\"priority\":0,\"not_before\":7,\"expires_at\":"
        "\"1970-01-01T00:00:02.000Z\",\"headers\":{\"a\":\"1\",\"b\":{\"base64\":\"/w==\"},\"a\":"
        "\"\"},\"created_at\":\"1970-01-01T00:00:01.500Z\",\"payload\":\"p\\u0000\","
        "\"deliveries\":1,\"failures\":0,\"lease\":7}"));
    const zspool_out_t *out = &given.text.out;
    assert_null(out->topic);
    assert_bytes(out->payload, "p\0", 2);
    assert_bytes(out->key, "k", 1);
    assert_bytes(out->type, "T", 1);
    assert_bytes(out->id, "I", 1);
    assert_int_equal(out->created_at_ms, 1500);
    assert_true(out->has_priority);
    assert_int_equal(out->priority, 0);
    assert_int_equal(out->not_before_ms, 7);
    assert_int_equal(out->expires_at_ms, 2000);
    assert_int_equal(out->header_count, 3);
    assert_bytes(out->headers[0].value, "1", 1);
    assert_true(out->headers[0].is_text);
    assert_bytes(out->headers[1].value, "\xff", 1);
    assert_false(out->headers[1].is_text);
    assert_bytes(out->headers[2].value, "", 0);
    free(given.copy);
}

static void absent_and_empty_parts_are_told_apart(void **state)
{
    (void)state;
    struct given given;
    assert_true(read_text(&given, "{\"payload_base64\":\"\",\"key\":\"\",\"type\":null,"
                                  "\"headers\":{},\"created_at\":253402300800000}"));
    const zspool_out_t *out = &given.text.out;
    assert_bytes(out->payload, "", 0);
    assert_bytes(out->key, "", 0);
    assert_null(out->type.data);
    assert_null(out->id.data);
    assert_int_equal(out->header_count, 0);
    assert_int_equal(out->created_at_ms, 253402300800000);
    free(given.copy);
}

static void what_is_not_a_message_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"[]", "want an object"},
        {"{}", "want payload"},
        {"{\"payload\":null}", "payload: want a string"},
        {"{\"payload\":5}", "payload: want a string"},
        {"{\"payload\":\"a\",\"payload\":\"b\"}", "payload is there twice"},
        {"{\"payload\":\"a\",\"payload_base64\":\"\"}", "payload_base64 is there twice"},
        {"{\"payload\":\"a\",\"offset\":1,\"offset\":1}", "offset is there twice"},
        {"{\"payload_base64\":\"*\"}", "payload_base64: want base64"},
        {"{\"paylod\":\"a\"}", "there is no member \"paylod\""},
        {"{\"\\u001b[2J\":1}", "there is no member \"?[2J\""},
        {"{\"payload\":\"a\"} x", "want nothing behind"},
        {"{\"payload\":\"a\"", "want , or }"},
        {"{\"payload\":\"a\",}", "want \""},
        {"{\"payload\" \"a\"}", "want :"},
        {"{\"payload\":\"a\",\"priority\":10}", "priority: want 0 to 9"},
        {"{\"payload\":\"a\",\"priority\":-1}", "priority: want 0 to 9"},
        {"{\"payload\":\"a\",\"expires_at\":\"noon\"}", "expires_at: want"},
        {"{\"payload\":\"a\",\"not_before\":{}}", "not_before: want"},
        {"{\"payload\":\"a\",\"lease\":{}}", "lease: want a number or a string"},
        {"{\"payload\":\"a\",\"key\":[]}", "key: want a string"},
        {"{\"payload\":\"a\",\"created_at\":\"noon\"}", "created_at: want"},
        {"{\"payload\":\"a\",\"created_at\":-1}", "created_at: want"},
        {"{\"payload\":\"a\",\"headers\":[]}", "headers: want an object"},
        {"{\"payload\":\"a\",\"headers\":{\"h\":1}}", "a header: want a string"},
        {"{\"payload\":\"a\",\"headers\":{\"h\":{}}}", "a header: want text, or"},
        {"{\"payload\":\"a\",\"headers\":{\"h\":{\"base64\":1}}}", "base64 of a header: want a"},
        {"{\"payload\":\"a\",\"headers\":{\"h\":{\"base64\":\"\",\"x\":1}}}", "want base64 alone"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct given given;
        assert_false(read_text(&given, cases[i].json));
        if (!strstr(given.text.why, cases[i].why)) {
            fail_msg("%s: %s", cases[i].json, given.text.why);
        }
        free(given.copy);
    }
}

/* Every prefix of a good text is refused, and none is read beyond its end. */
static void no_prefix_of_a_message_is_one(void **state)
{
    (void)state;
    static const char json[] = "{\"payload\":\"\\ud83d\\ude00\",\"headers\":{\"a\":{\"base64\":"
                               "\"/w==\"}},\"created_at\":12,\"key\":null}";
    for (size_t len = 0; len < sizeof json - 1; len++) {
        struct message_text text;
        char *copy = malloc(len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, json, len);
        assert_false(message_read(&text, copy, len));
        free(copy);
    }
}

static void headers_are_bounded(void **state)
{
    (void)state;
    for (size_t count = ZSPOOL_HEADERS_MAX; count <= ZSPOOL_HEADERS_MAX + 1; count++) {
        char json[8192] = "{\"payload\":\"\",\"headers\":{\"0\":\"\"";
        size_t len = strlen(json);
        for (size_t i = 1; i < count; i++) {
            len += (size_t)snprintf(json + len, sizeof json - len, ",\"%zu\":\"\"", i);
        }
        (void)snprintf(json + len, sizeof json - len, "}}");
        struct given given;
        assert_int_equal(read_text(&given, json), count == ZSPOOL_HEADERS_MAX);
        free(given.copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_of_a_message_are_taken),
        cmocka_unit_test(absent_and_empty_parts_are_told_apart),
        cmocka_unit_test(what_is_not_a_message_is_refused),
        cmocka_unit_test(no_prefix_of_a_message_is_one),
        cmocka_unit_test(headers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
