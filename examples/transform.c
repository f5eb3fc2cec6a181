/* SPDX-License-Identifier: MPL-2.0
 *
 * Consume, process, produce, exactly once: takes messages of one topic, puts each in capitals into
 * another, up to ten in one commit with their acks. Kill it at any time, and the broker,
 * too: no message is lost, none is there twice. Start as many as you like.
 *
 *     transform FROM TO GROUP
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zspool.h>

#define BATCH    10
#define PATIENCE 6 /* runs that are refused: a minute */

static char capital(unsigned char letter)
{
    return (char)toupper(letter);
}

/* The work itself, and its result into the commit. */
static int work(zspool_commit_t *commit, const zspool_message_t *message, const char *to,
                zspool_error_t *error)
{
    char *const result = malloc(message->payload.len + 1);
    if (!result) {
        return ZSPOOL_ENOMEM;
    }
    for (size_t i = 0; i < message->payload.len; i++) {
        result[i] = capital(((const unsigned char *)message->payload.data)[i]);
    }
    const zspool_out_t out = zspool_out(to, result, message->payload.len);
    int code = zspool_commit_send(commit, &out, error);
    if (code == ZSPOOL_OK) {
        code = zspool_commit_settle(commit, message, ZSPOOL_ACK, NULL, error);
    }
    free(result);
    return code;
}

/* All of it is kept, or nothing. A lost lease is no failure: others have the messages. While it is
 * not known what became of it, or a refusal may pass (a full topic ...), it is run again; each run
 * pauses between its attempts. */
static int keep(zspool_commit_t *commit, zspool_error_t *error)
{
    for (int refused = 0; refused < PATIENCE; refused += !error->maybe) {
        memset(error, 0, sizeof *error);
        const int code = zspool_commit_run(commit, 10000, NULL, error);
        if (code == ZSPOOL_OK || code == ZSPOOL_ENOT_LEASED) {
            return ZSPOOL_OK;
        }
        if (!zspool_error_retriable(code) && code != ZSPOOL_ESTORAGE_FAILED) {
            return code;
        }
        fprintf(stderr, "transform: %s; trying again\n", error->message);
    }
    return error->code;
}

static int transform(zspool_consumer_t *consumer, zspool_commit_t *commit, const char *to,
                     zspool_error_t *error)
{
    const zspool_message_t *message;
    for (;;) {
        int code = zspool_next(consumer, &message, -1, error);
        int count = 0;
        while (code == ZSPOOL_OK && (code = work(commit, message, to, error)) == ZSPOOL_OK &&
               ++count < BATCH) {
            code = zspool_next(consumer, &message, 0, error); /* what is here already */
        }
        const bool is_none = code == ZSPOOL_ETIMEOUT && count > 0;
        if (code == ZSPOOL_OK || is_none) {
            code = keep(commit, error);
        }
        if (code != ZSPOOL_OK && code != ZSPOOL_ETIMEOUT) {
            return code;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: transform FROM TO GROUP\n");
        return 2;
    }
    const char *server = getenv("ZSPOOL_SERVER");
    zspool_error_t error = {0};
    zspool_client_t *client = zspool_new(server ? server : ZSPOOL_DEFAULT_ENDPOINT, NULL, &error);

    zspool_consumer_options_t options;
    zspool_consumer_options_init(&options);
    options.topics = (const char *const[]){argv[1]};
    options.topic_count = 1;
    options.group = argv[3];
    options.prefetch_messages = 2 * BATCH;
    options.auto_extend = true;
    zspool_consumer_t *consumer = client ? zspool_consumer_new(client, &options, &error) : NULL;
    zspool_commit_t *commit = consumer ? zspool_commit_new(client, consumer, NULL, &error) : NULL;

    const int code = commit ? transform(consumer, commit, argv[2], &error) : error.code;
    fprintf(stderr, "transform: %s\n", error.message);
    zspool_commit_destroy(&commit);
    zspool_consumer_destroy(&consumer);
    zspool_destroy(&client);
    return code == ZSPOOL_OK ? 0 : 1;
}
