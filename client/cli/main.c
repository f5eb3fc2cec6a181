/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool: the command line. Finds the verb and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/verbs.h"

static const struct cli_verb *const verbs[] = {
    &cli_pub,   &cli_pull,     &cli_read, &cli_settle, &cli_topic,
    &cli_group, &cli_producer, &cli_ping, &cli_info,   &cli_bench,
};

static void print_help(void)
{
    printf("Usage: zspool [-s ENDPOINT[,ENDPOINT]...] VERB [ARGUMENT]...\n"
           "Publish, consume and replay messages of a zspool broker.\n\n"
           "Verbs:\n");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    printf("\nThe broker is that of -s, else of ZSPOOL_SERVER, else %s.\n"
           "`zspool VERB --help` tells more about each.\n\n"
           "Exit codes: 0 ok, 1 error, 2 usage, 3 timeout or nothing to read,\n"
           "4 not found, 5 denied.\n",
           ZSPOOL_DEFAULT_ENDPOINT);
}

static int find_verb(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i]->name, argv[0]) == 0) {
            return verbs[i]->run_fn(verbs[i], argc, argv);
        }
    }
    cli_say("there is no verb \"%s\"; see zspool --help", argv[0]);
    return CLI_USAGE;
}

/* Options before the verb: the server, or help. Returns how many words they take, -1 = wrong. */
static int global_options(int argc, char **argv)
{
    int used = 1;
    while (used < argc && argv[used][0] == '-') {
        const char *word = argv[used];
        if (strcmp(word, "-s") == 0 || strcmp(word, "--server") == 0) {
            if (used + 1 >= argc) {
                return -1;
            }
            cli_common.server = argv[used + 1];
            used += 2;
        } else if (strncmp(word, "--server=", 9) == 0) {
            cli_common.server = word + 9;
            used++;
        } else if (strncmp(word, "-s", 2) == 0) {
            cli_common.server = word + 2;
            used++;
        } else if (strcmp(word, "--json") == 0) {
            cli_common.json = true;
            used++;
        } else {
            return -1;
        }
    }
    return used;
}

static bool is_word(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a broken pipe is an error of the write */
    if (argc > 1 && is_word(argv[1], "--help", "-h")) {
        print_help();
        return cli_flush() ? CLI_OK : CLI_ERROR;
    }
    if (argc > 1 && is_word(argv[1], "--version", "-V")) {
        printf("zspool %s\n", zspool_version());
        return cli_flush() ? CLI_OK : CLI_ERROR;
    }
    const char *server = getenv("ZSPOOL_SERVER");
    cli_common.server = server && *server ? server : ZSPOOL_DEFAULT_ENDPOINT;
    const int used = global_options(argc, argv);
    if (used < 0 || used >= argc) {
        cli_say("no verb given; see zspool --help");
        return CLI_USAGE;
    }
    const int code = find_verb(argc - used, argv + used);
    if (!cli_flush() && code == CLI_OK) {
        return CLI_ERROR;
    }
    return code;
}
