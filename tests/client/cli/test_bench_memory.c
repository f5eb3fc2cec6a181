/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool bench when the allocator says no: it is told, not only an exit code. The linker sends
 * malloc through the function below (--wrap).
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "client/cli/bench/bench.h"
#include "tests/common/testing.h"
#include "tests/support/fake_broker.h"

#define PAYLOAD 1234567u /* nothing else asks for so many bytes */

/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
 * linker's */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return size == PAYLOAD || size == PAYLOAD + 1 ? NULL : __real_malloc(size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static void answer(struct fake_broker *broker, const struct fake_request *request, void *arg)
{
    (void)arg;
    fake_reply(broker, request, "{}");
}

/* What `measure_fn` writes to stderr; it must fail. */
static void stderr_of(int (*measure_fn)(const struct bench *, struct bench_result *),
                      const struct bench *bench, char *to, size_t size)
{
    int ends[2];
    static struct bench_result result;
    assert_int_equal(pipe(ends), 0);
    const int usual = dup(STDERR_FILENO);
    assert_true(usual >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    const int code = measure_fn(bench, &result);
    assert_true(dup2(usual, STDERR_FILENO) >= 0);
    (void)close(usual);
    (void)close(ends[1]);
    const ssize_t len = read(ends[0], to, size - 1);
    (void)close(ends[0]);
    assert_true(len >= 0);
    to[len] = '\0';
    assert_int_equal(code, CLI_ERROR);
}

static int publish(const struct bench *bench, struct bench_result *ret)
{
    return bench_pub(bench, false, ret);
}

static void no_memory_for_a_payload_is_told(void **state)
{
    (void)state;
    struct fake_broker *broker = fake_broker_start(answer, NULL);
    char text[512];
    const char *topic = "t";
    struct bench bench = {.topic = topic,
                          .topics = &topic,
                          .topic_count = 1,
                          .payload_bytes = PAYLOAD,
                          .ms = 1000,
                          .in_flight = 1,
                          .producers = 1,
                          .batch_bytes = 1000,
                          .rate = 1,
                          .level = ZSPOOL_SYNCED};
    cli_common.server = fake_broker_endpoint(broker);
    cli_common.timeout_ms = 30000;
    bench.client = zspool_new(cli_common.server, NULL, NULL);
    assert_non_null(bench.client);
    stderr_of(bench_e2e, &bench, text, sizeof text);
    assert_non_null(strstr(text, "no memory"));
    stderr_of(publish, &bench, text, sizeof text);
    assert_non_null(strstr(text, "no memory"));
    zspool_destroy(&bench.client);
    fake_broker_stop(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_for_a_payload_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
