/* SPDX-License-Identifier: MPL-2.0
 *
 * A member of a group: takes messages, prints each as "address payload", says
 * what became of it, and ends when nothing is ready. Start as many as you like.
 *
 *     worker TOPIC GROUP
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zspool.h>

/* The work itself. False: it failed, somebody shall try again. */
static bool work(const zspool_message_t *message)
{
    printf("%s/%" PRIu32 "/%" PRIu64 " %.*s\n", message->topic, message->partition, message->offset,
           (int)message->payload.len, (const char *)message->payload.data);
    return fflush(stdout) == 0;
}

static int consume(zspool_consumer_t *consumer, zspool_error_t *error)
{
    const zspool_message_t *message;
    int code;
    while ((code = zspool_next(consumer, &message, -1, error)) == ZSPOOL_OK) {
        const zspool_outcome_t outcome = work(message) ? ZSPOOL_ACK : ZSPOOL_RETRY;
        code = zspool_settle(consumer, message, outcome, NULL, error);
        if (code != ZSPOOL_OK) {
            return code;
        }
    }
    /* Outcomes travel in batches; after this all of them are durable. */
    return code == ZSPOOL_END ? zspool_settle_flush(consumer, 30000, error) : code;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: worker TOPIC GROUP\n");
        return 2;
    }
    const char *server = getenv("ZSPOOL_SERVER");
    zspool_error_t error = {0};
    zspool_client_t *client = zspool_new(server ? server : ZSPOOL_DEFAULT_ENDPOINT, NULL, &error);

    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.topics = (const char *const[]){argv[1]};
    options.topic_count = 1;
    options.group = argv[2];
    options.end_when_empty = true; /* leave out to wait for more */
    zspool_consumer_t *consumer = client ? zspool_consumer_new(client, &options, &error) : NULL;

    const int code = consumer ? consume(consumer, &error) : error.code;
    if (code != ZSPOOL_OK) {
        fprintf(stderr, "worker: %s\n", error.message);
    }
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    return code == ZSPOOL_OK ? 0 : 1;
}
