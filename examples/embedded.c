/* SPDX-License-Identifier: MPL-2.0
 *
 * A broker, a producer and a worker in one program, over inproc: a queue of work
 * that survives the program. Publishes each word, then prints those that no run
 * has printed yet.
 *
 *     embedded DIRECTORY [WORD...]
 */
#include <stdio.h>
#include <zspool.h>
#include <zspool_broker.h>

static void print_line(void *arg, zspool_broker_level_t level, const char *line)
{
    (void)arg;
    (void)level;
    fprintf(stderr, "broker: %s\n", line);
}

static int publish(zspool_client_t *client, char **words, int count, zspool_error_t *error)
{
    int code = ZSPOOL_OK;
    zspool_producer_t *producer = zspool_producer_new(client, NULL, error);
    if (!producer) {
        return error->code;
    }
    for (int i = 0; i < count && code == ZSPOOL_OK; i++) {
        const zspool_out_t message = zspool_out("words", words[i], strlen(words[i]));
        code = zspool_send(producer, &message, NULL, error);
    }
    if (code == ZSPOOL_OK) {
        code = zspool_flush(producer, 30000, error); /* 0: all of them are on disk */
    }
    zspool_producer_destroy(&producer);
    return code;
}

static int work(zspool_client_t *client, zspool_error_t *error)
{
    static const char *const topics[] = {"words"};
    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "printers";
    options.topics = topics;
    options.topic_count = 1;
    options.end_when_empty = true;
    zspool_consumer_t *consumer = zspool_consumer_new(client, &options, error);
    const zspool_message_t *message;
    int code = consumer ? ZSPOOL_OK : error->code;
    while (code == ZSPOOL_OK && (code = zspool_next(consumer, &message, -1, error)) == ZSPOOL_OK) {
        printf("%.*s\n", (int)message->payload.len, (const char *)message->payload.data);
        code = zspool_settle(consumer, message, ZSPOOL_ACK, NULL, error);
    }
    if (code == ZSPOOL_END) {
        code = zspool_settle_flush(consumer, 30000, error); /* 0: what is done stays done */
    }
    zspool_consumer_destroy(&consumer);
    return code;
}

/* Clients of a broker in the same process use its context. */
static zspool_client_t *connect_to(zspool_broker_t *broker, zspool_error_t *error)
{
    zspool_options_t options;
    zspool_options_init(&options);
    options.zmq_context = zspool_broker_context(broker);
    return zspool_new(zspool_broker_endpoint(broker, 0), &options, error);
}

int main(int argc, char **argv)
{
    zspool_error_t error = {0};
    zspool_broker_options_t options;
    zspool_broker_options_init(&options);
    options.directory = argc > 1 ? argv[1] : NULL;
    options.diag_fn = print_line;
    zspool_broker_t *broker = zspool_broker_new(&options, &error);
    zspool_client_t *client = broker ? connect_to(broker, &error) : NULL;

    int code = client ? publish(client, argv + 2, argc - 2, &error) : error.code;
    if (code == ZSPOOL_OK) {
        code = work(client, &error);
    }
    zspool_destroy(&client);
    if (code == ZSPOOL_OK) {
        code = zspool_broker_stop(broker, ZSPOOL_BROKER_STOP_MS, &error);
    }
    zspool_broker_destroy(&broker);
    if (code != ZSPOOL_OK) {
        fprintf(stderr, "embedded: %s\n", error.message);
    }
    return code == ZSPOOL_OK ? 0 : 1;
}
