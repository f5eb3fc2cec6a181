/* SPDX-License-Identifier: MPL-2.0
 *
 * The tables of docs/PROTOCOL.md say what the code says, and its example client
 * is the one that the scenarios run.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/err.h"
#include "common/filter.h"
#include "common/limits.h"
#include "tests/common/document.h"
#include "tests/common/testing.h"

struct error_row {
    const char *name;
    bool retriable;
};

static const struct error_row errors[] = {
#define ERROR_ROW(name, value, wire, retriable, sentence) {(value) > -101 ? wire : NULL, retriable},
    ZSP_ERR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};
#define ERROR_COUNT (sizeof errors / sizeof errors[0])

/* The rows of a table below its head and its line of dashes. */
static struct zsp_slice rows_of(const struct document *document, const char *section)
{
    struct zsp_slice rest = document_section(document, section), line;
    assert_true(document_line(&rest, &line));
    assert_true(document_line(&rest, &line));
    return rest;
}

static void the_error_table_is_the_code_table(void **state)
{
    (void)state;
    struct document document;
    struct zsp_slice line, cell;
    document_init(&document, PROTOCOL_DOCUMENT);
    struct zsp_slice rest = rows_of(&document, "errors");
    for (size_t i = 0; i < ERROR_COUNT && errors[i].name; i++) {
        assert_true(document_line(&rest, &line));
        assert_true(document_cell(line, 0, &cell));
        expect_slice(cell, errors[i].name);
        assert_true(document_cell(line, 1, &cell));
        expect_slice(cell, errors[i].retriable ? "yes" : "no");
        assert_true(document_cell(line, 2, &cell));
        assert_true(cell.len > 0);
    }
    assert_int_equal(rest.len, 0);
    document_fini(&document);
}

struct limit_row {
    const char *name;
    uint64_t value;
};

static const struct limit_row limits[] = {
    {"max_requests", ZSP_REQUESTS_MAX},
    {"max_request_bytes", ZSP_REQUEST_BYTES_MAX},
    {"max_header", ZSP_HEADER_MAX},
    {"max_frame", ZSP_FRAME_MAX},
    {"max_record", ZSP_RECORD_MAX},
    {"max_reply", ZSP_REPLY_MAX},
    {"max_runs", ZSP_RUNS_MAX},
    {"max_wait_ms", ZSP_WAIT_MS_MAX},
    {"max_batches", ZSP_BATCHES_MAX},
    {"", ZSP_BATCH_BYTES},
    {"", ZSP_PUBLISH_BYTES_MAX},
    {"", ZSP_MESSAGE_FRAMES_MAX},
    {"", ZSP_ENVELOPE_FRAMES_MAX},
    {"", ZSP_DEPTH_MAX},
    {"", ZSP_HEADERS_MAX},
    {"", ZSP_CODECS_MAX},
    {"", ZSP_STREAM_MAX},
    {"", ZSP_NAME_MAX},
    {"", ZSP_REASON_MAX},
    {"", ZSP_KEY_TOLD_MAX},
    {"", ZSP_PARTITIONS_MAX},
    {"", ZSP_GROUP_TOPICS_MAX},
    {"", ZSP_SETTLE_LOOKS_MAX},
    {"", ZSP_LIST_MAX},
    {"", ZSP_SAVEPOINTS_MAX},
    {"", ZSP_SAVEPOINT_BYTES},
    {"", ZSP_UNDO_BYTES},
    {"", ZSP_SAVEPOINTS_BYTES_MAX},
    {"", ZSP_LEASE_MS_MAX},
    {"", ZSP_DELAY_MS_MAX},
    {"", ZSP_PRODUCER_WINDOW},
    {"", ZSP_COMMIT_PUBLISHES_MAX},
    {"", ZSP_COMMIT_BYTES_MAX},
    {"", ZSP_COMMIT_PARTS_MAX},
    {"", ZSP_COMMIT_ROWS_MAX},
    {"", ZSP_COMMIT_WINDOW},
    {"", ZSP_PRODUCER_EXPIRE_MS},
    {"", ZSP_EPHEMERAL_EXPIRE_MS},
    {"", ZSP_FILTER_MAX},
    {"", ZSP_FILTER_TERMS_MAX},
    {"", ZSP_FILTER_TEXTS_MAX},
    {"", ZSP_FILTER_DEPTH_MAX},
    {"", ZSP_START_ID_MAX},
    {"", ZSP_LOOK_AHEAD_MAX},
    {"", ZSP_BACKOFF_STEPS_MAX},
    {"", ZSP_REPLAY_EXPIRES_MS_MAX},
    {"", ZSP_PRODUCERS_MAX},
    {"", ZSP_PRODUCER_LOGS_MAX},
    {"", ZSP_COMMIT_RUNS_BYTES},
    {"", ZSP_COMMIT_ANSWERS_BYTES},
};

static void the_limits_table_is_the_header(void **state)
{
    (void)state;
    struct document document;
    struct zsp_slice line, cell;
    document_init(&document, PROTOCOL_DOCUMENT);
    struct zsp_slice rest = rows_of(&document, "limits");
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char value[24];
        (void)snprintf(value, sizeof value, "%" PRIu64, limits[i].value);
        assert_true(document_line(&rest, &line));
        assert_true(document_cell(line, 0, &cell));
        expect_slice(cell, limits[i].name);
        assert_true(document_cell(line, 1, &cell));
        expect_slice(cell, value);
    }
    assert_int_equal(rest.len, 0);
    document_fini(&document);
}

/* Between the fences of the section stands the file, byte for byte. */
static void the_example_client_is_the_one_that_is_run(void **state)
{
    (void)state;
    struct document document, example;
    struct zsp_slice line;
    document_init(&document, PROTOCOL_DOCUMENT);
    document_init(&example, EXAMPLE_CLIENT);
    struct zsp_slice rest = document_section(&document, "client");
    assert_true(document_line(&rest, &line));
    expect_slice(line, "```python");
    assert_true(rest.len >= 4);
    rest.len -= 4; /* the closing fence */
    assert_memory_equal(rest.data + rest.len, "```\n", 4);
    assert_true(zsp_slice_equal(rest, zsp_writer_slice(&example.text)));
    document_fini(&document);
    document_fini(&example);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_table_is_the_code_table),
        cmocka_unit_test(the_limits_table_is_the_header),
        cmocka_unit_test(the_example_client_is_the_one_that_is_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
