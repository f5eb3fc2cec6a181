/* SPDX-License-Identifier: MPL-2.0
 *
 * Publishes each line of stdin and ends when all of them are on disk.
 *
 *     producer TOPIC < FILE
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zspool.h>

/* Hand one line over; when the producer is full, wait until it has room again. */
static int publish(zspool_producer_t *producer, const char *topic, const char *line, size_t len,
                   uint64_t *ret_ticket, zspool_error_t *error)
{
    const zspool_out_t message = zspool_out(topic, line, len);
    int code = zspool_send(producer, &message, ret_ticket, error);
    while (code == ZSPOOL_EAGAIN) {
        code = zspool_room(producer, len, -1, error);
        if (code == ZSPOOL_OK) {
            code = zspool_send(producer, &message, ret_ticket, error);
        }
    }
    return code;
}

static int publish_lines(zspool_producer_t *producer, const char *topic, zspool_error_t *error)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    uint64_t ticket = 0;
    int code = ZSPOOL_OK;
    while (code == ZSPOOL_OK && (len = getline(&line, &room, stdin)) > 0) {
        const size_t text_len = (size_t)len - (line[len - 1] == '\n' ? 1 : 0);
        code = publish(producer, topic, line, text_len, &ticket, error);
    }
    free(line);
    if (code == ZSPOOL_OK) {
        code = zspool_flush(producer, 60000, error); /* 0: every one of them is on disk */
    }
    zspool_report_t report;
    if (code == ZSPOOL_OK && ticket > 0 &&
        zspool_wait(producer, ticket, 0, &report, error) == ZSPOOL_OK) {
        printf("%" PRIu64 " messages kept, the last one at %s/%" PRIu32 "/%" PRIu64 "\n", ticket,
               report.topic, report.partition, report.first_offset);
    }
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: producer TOPIC < FILE\n");
        return 2;
    }
    const char *server = getenv("ZSPOOL_SERVER");
    zspool_error_t error = {0};
    zspool_client_t *client = zspool_new(server ? server : ZSPOOL_DEFAULT_ENDPOINT, NULL, &error);
    zspool_producer_t *producer = client ? zspool_producer_new(client, NULL, &error) : NULL;

    const int code = producer ? publish_lines(producer, argv[1], &error) : error.code;
    if (code != ZSPOOL_OK) {
        fprintf(stderr, "producer: %s\n", error.message);
    }
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    return code == ZSPOOL_OK ? 0 : 1;
}
