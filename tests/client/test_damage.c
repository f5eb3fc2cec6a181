/* SPDX-License-Identifier: MPL-2.0
 *
 * What the library tells of messages that were damaged on the broker's disk.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/common/testing.h"
#include "tests/support/served.h"

#define WAIT_MS      30000 /* for what takes milliseconds */
#define HEADER_BYTES 112   /* of a batch, as docs/LOG_FORMAT.md has it */

/* Flip a bit in the body of a stored batch of topic "t"; 0 = the first. */
static void damage(const struct broker_process *broker, int batch)
{
    char path[800];
    static uint8_t bytes[65536];
    (void)snprintf(path, sizeof path, "%s/topics/1-t/0/00000000000000000000.log", broker->data);
    const int file = open(path, O_RDWR);
    assert_true(file >= 0);
    const ssize_t len = read(file, bytes, sizeof bytes);
    ssize_t pos = 0;
    for (; pos + HEADER_BYTES < len; pos += 8) {
        if (memcmp(bytes + pos, "ZSPB", 4) == 0 && batch-- == 0) {
            break;
        }
    }
    assert_true(pos + HEADER_BYTES < len);
    bytes[pos + HEADER_BYTES] ^= 0x10;
    assert_int_equal(pwrite(file, bytes + pos + HEADER_BYTES, 1, pos + HEADER_BYTES), 1);
    assert_int_equal(close(file), 0);
}

/* Three messages, each in a batch of its own; the second gets damaged while the broker is down. */
static void start_with_damage(struct served *f)
{
    served_start(f);
    for (int i = 0; i < 3; i++) {
        served_publish(f->client, 1);
    }
    assert_int_equal(broker_process_stop(&f->broker), 0);
    damage(&f->broker, 1);
    broker_process_start(&f->broker, NULL);
}

static zspool_reader_t *reader_of(const struct served *f)
{
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = "t";
    zspool_reader_t *const reader = zspool_reader_new(f->client, &options, NULL);
    assert_non_null(reader);
    return reader;
}

/* The damage is told in its place, once; what is beyond is read on. */
static void a_reader_is_told_of_damage_and_goes_on_behind_it(void **state)
{
    (void)state;
    struct served f;
    const zspool_message_t *message = NULL;
    zspool_error_t err = {0};
    start_with_damage(&f);
    zspool_reader_t *reader = reader_of(&f);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->offset, 0);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, &err), ZSPOOL_ECORRUPT);
    assert_int_equal(err.code, ZSPOOL_ECORRUPT);
    assert_non_null(strstr(err.message, "topic t: partition 0"));
    assert_non_null(strstr(err.message, "before offset 2"));
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), 0);
    assert_int_equal(message->offset, 2);
    assert_int_equal(zspool_read(reader, &message, WAIT_MS, NULL), ZSPOOL_END);
    zspool_reader_destroy(&reader);
    served_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_is_told_of_damage_and_goes_on_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
