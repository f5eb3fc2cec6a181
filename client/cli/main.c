/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool: the command line. Finds the verb and runs it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/verbs.h"
#include "common/heap.h"

static const struct cli_verb *const verbs[] = {
    &cli_pub,   &cli_pull,      &cli_work, &cli_read,     &cli_settle, &cli_topic,
    &cli_group, &cli_savepoint, &cli_dead, &cli_producer, &cli_ping,   &cli_info,
    &cli_stat,  &cli_bench,     &cli_fsck, &cli_dump,
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static void print_help(void)
{
    printf("Usage: zspool [-s ENDPOINT[,ENDPOINT]...] VERB [ARGUMENT]...\n"
           "Publish, consume and replay messages of a zspool broker.\n\n"
           "Verbs:\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    printf("\nThe broker is that of -s, else of ZSPOOL_SERVER, else %s.\n"
           "`zspool help VERB`, or `zspool VERB --help`, tells more about each.\n\n"
           "Messages for people go to stderr; NO_COLOR and TERM=dumb are respected.\n"
           "Exit codes: 0 ok, 1 error, 2 usage, 3 timeout or nothing to read,\n"
           "4 not found, 5 denied. Where nobody reads the output any more, SIGPIPE\n"
           "ends it, after the messages that were not printed are handed back.\n",
           ZSPOOL_DEFAULT_ENDPOINT);
}

static int find_verb(int argc, char **argv)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i]->name, argv[0]) == 0) {
            return verbs[i]->run_fn(verbs[i], argc, argv);
        }
    }
    const char *names[VERB_COUNT];
    for (size_t i = 0; i < VERB_COUNT; i++) {
        names[i] = verbs[i]->name;
    }
    const char *nearest = cli_nearest(argv[0], names, VERB_COUNT);
    if (nearest) {
        cli_say("there is no verb \"%s\" (is %s meant?); see zspool --help", argv[0], nearest);
    } else {
        cli_say("there is no verb \"%s\"; see zspool --help", argv[0]);
    }
    return CLI_USAGE;
}

/* help [VERB]: the same as VERB --help. */
static int help_verb(int argc, char **argv)
{
    if (argc > 2) {
        cli_say("help wants one VERB; see zspool --help");
        return CLI_USAGE;
    }
    if (argc < 2) {
        print_help();
        return CLI_OK;
    }
    char option[] = "--help";
    char *words[] = {argv[1], option, NULL};
    return find_verb(2, words);
}

static bool is_word(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

/* Options before the verb. Returns how many words they take, -1 = wrong, which is told. */
static int global_options(int argc, char **argv)
{
    int used = 1;
    while (used < argc && argv[used][0] == '-') {
        const char *word = argv[used];
        if (is_word(word, "--help", "-h") || is_word(word, "--version", "-V")) {
            return used; /* stands for a verb */
        }
        if (strcmp(word, "-s") == 0 || strcmp(word, "--server") == 0) {
            if (used + 1 >= argc) {
                cli_say("%s wants ENDPOINTS; see zspool --help", word);
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
        } else if (is_word(word, "--quiet", "-q")) {
            cli_common.quiet = true;
            used++;
        } else {
            cli_say("there is no option %s; see zspool --help", word);
            return -1;
        }
    }
    return used;
}

/* Usage of the command itself, and its verbs. */
static int run(int argc, char **argv)
{
    const char *server = getenv("ZSPOOL_SERVER");
    cli_common.server = server && *server ? server : ZSPOOL_DEFAULT_ENDPOINT;
    const int used = global_options(argc, argv);
    if (used < 0) {
        return CLI_USAGE;
    }
    if (used >= argc) {
        cli_say("no verb given; see zspool --help");
        return CLI_USAGE;
    }
    if (is_word(argv[used], "--help", "-h")) {
        print_help();
        return CLI_OK;
    }
    if (is_word(argv[used], "--version", "-V")) {
        printf("zspool %s\n", zspool_version());
        return CLI_OK;
    }
    if (strcmp(argv[used], "help") == 0) {
        return help_verb(argc - used, argv + used);
    }
    return find_verb(argc - used, argv + used);
}

/* A standard descriptor that is closed would be given to the next file or socket, and written to.
 * What stands in for it fails just as a closed one does. */
static void keep_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            /* The lowest free one is this; without /dev/null there is no more to be done. */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

int main(int argc, char **argv)
{
    zsp_heap_prepare();
    keep_standard_descriptors();
    /* A broken pipe is an error of the write, so that there is time to hand back what was not
     * printed; the end is then the one that shells know from every filter. */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction inherited = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGPIPE, &ignore, &inherited);
    const int code = run(argc, argv);
    const bool flushed = cli_flush();
    if (cli_pipe_broken()) {
        (void)sigaction(SIGPIPE, &inherited, NULL);
        (void)raise(SIGPIPE);
    }
    return !flushed && code == CLI_OK ? CLI_ERROR : code;
}
