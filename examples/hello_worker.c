/* SPDX-License-Identifier: MPL-2.0
 *
 * A whole worker: a member of group "billing" that takes orders until Ctrl-C.
 * Start as many as you like; each order goes to one of them.
 *
 *     hello_worker [ENDPOINT]
 */
#include <signal.h>
#include <stdio.h>
#include <zspool.h>

static zspool_client_t *client;

static void stop(int signal_number)
{
    (void)signal_number;
    zspool_interrupt(client); /* may be called in a signal handler */
}

static int work(zspool_consumer_t *consumer, zspool_error_t *error)
{
    const zspool_message_t *message;
    int code;
    while ((code = zspool_next(consumer, &message, -1, error)) == ZSPOOL_OK) {
        printf("%.*s\n", (int)message->payload.len, (const char *)message->payload.data);
        fflush(stdout);
        code = zspool_settle(consumer, message, ZSPOOL_ACK, NULL, error); /* or ZSPOOL_RETRY ... */
        if (code != ZSPOOL_OK) {
            return code;
        }
    }
    return code == ZSPOOL_EINTERRUPTED ? ZSPOOL_OK : code;
}

int main(int argc, char **argv)
{
    zspool_error_t error = {0};
    client = zspool_new(argc > 1 ? argv[1] : ZSPOOL_DEFAULT_ENDPOINT, NULL, &error);

    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.group = "billing";
    options.topics = (const char *const[]){"orders"};
    options.topic_count = 1;
    zspool_consumer_t *consumer = client ? zspool_consumer_new(client, &options, &error) : NULL;

    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    const int code = consumer ? work(consumer, &error) : error.code;
    if (code != ZSPOOL_OK) {
        fprintf(stderr, "hello_worker: %s\n", error.message);
    }
    zspool_consumer_destroy(&consumer); /* sends what was acked, hands back what was not taken */
    zspool_destroy(&client);
    return code == ZSPOOL_OK ? 0 : 1;
}
