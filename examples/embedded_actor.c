/* SPDX-License-Identifier: MPL-2.0
 *
 * A broker as a czmq actor: serves until Ctrl-C, and says so should its storage
 * fail. What zspoold does, in a program of your own.
 *
 *     embedded_actor DIRECTORY ENDPOINT...
 */
#include <czmq.h>
#include <zspool_broker.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: embedded_actor DIRECTORY ENDPOINT...\n");
        return 2;
    }
    zspool_broker_options_t options;
    zspool_broker_options_init(&options);
    options.directory = argv[1];
    options.endpoints = (const char *const *)argv + 2;
    options.endpoint_count = (size_t)argc - 2;
    zactor_t *broker = zactor_new(zspool_broker_actor, &options);
    zstr_send(broker, "ENDPOINT");

    bool failed = false;
    while (!failed && !zsys_interrupted) {
        char *word = NULL;
        char *text = NULL;
        if (zstr_recvx(broker, &word, &text, NULL) < 2) {
            break; /* interrupted */
        }
        printf("%s %s\n", word, text);
        failed = fflush(stdout) != 0 || streq(word, "FAILED");
        zstr_free(&word);
        zstr_free(&text);
    }
    zactor_destroy(&broker); /* answers what it accepted, as on SIGTERM */
    return failed ? 1 : 0;
}
