/* SPDX-License-Identifier: MPL-2.0
 *
 * Options: one table per verb drives getopt_long, the values and the help.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/terminal.h"

#define OPTIONS_MAX 40
#define HELP_LETTER 'h'
#define LONG_ONLY   256 /* values of getopt_long for options without a letter: above any char */
#define HELP_COLUMN 26  /* where the texts of the help begin */

struct cli_common cli_common = {.timeout_ms = 10000};

static const struct cli_option common_table[] = {
    {'s', "server", CLI_TEXT, "ENDPOINTS", "brokers to try in turn, separated by commas",
     &cli_common.server},
    {0, "timeout", CLI_DURATION, "TIME", "wait so long for the broker (10s)",
     &cli_common.timeout_ms},
    {0, "json", CLI_FLAG, NULL, "print JSON, one object a line", &cli_common.json},
    {'q', "quiet", CLI_FLAG, NULL, "no progress, no remarks: errors only", &cli_common.quiet},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL},
};

/* --- Help -------------------------------------------------------------------------- */

/* A verb may give a common option a meaning of its own. */
static bool has_option(const struct cli_option *table, const char *name)
{
    for (const struct cli_option *o = table; o && o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Those of a table, less those that `except` has, too. */
static void print_options(const struct cli_option *table, const struct cli_option *except)
{
    for (const struct cli_option *o = table; o && o->name; o++) {
        if (has_option(except, o->name)) {
            continue;
        }
        char left[64];
        const char *arg = o->arg ? o->arg : "";
        if (o->letter) {
            (void)snprintf(left, sizeof left, "  -%c, --%s %s", o->letter, o->name, arg);
        } else {
            (void)snprintf(left, sizeof left, "      --%s %s", o->name, arg);
        }
        if (strlen(left) >= HELP_COLUMN) {
            printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->help);
        } else {
            printf("%-*s%s\n", HELP_COLUMN, left, o->help);
        }
    }
}

void cli_help(const struct cli_verb *verb, const struct cli_option *table)
{
    printf("Usage: zspool %s %s\n%s\n", verb->name, verb->synopsis, verb->summary);
    if (verb->details) {
        printf("\n%s", verb->details);
    }
    printf("\n");
    print_options(table, NULL);
    print_options(common_table, table);
    printf("%-*s%s\n", HELP_COLUMN, "  -h, --help", "print this");
    printf("\nExamples:\n%s", verb->example);
}

int cli_usage(const struct cli_verb *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *style = terminal_style(stderr, TERMINAL_ALARM);
    fprintf(stderr, "%szspool %s:%s ", style, verb->name,
            *style ? terminal_style(stderr, TERMINAL_PLAIN) : "");
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a line above starts it */
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see zspool %s --help\n", verb->name);
    return CLI_USAGE;
}

/* --- Values --------------------------------------------------------------------------- */

static bool add_text(struct cli_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items) {
        return false;
    }
    items[list->count] = text;
    list->items = items;
    list->count++;
    return true;
}

static bool read_setting(enum cli_type type, const char *text, struct cli_setting *setting)
{
    int64_t ms = 0;
    setting->given = true;
    if (strcmp(text, "default") == 0) {
        setting->unset = true;
        return true;
    }
    if (type == CLI_SETTING_WORD) {
        setting->word = text;
        return true;
    }
    if (type == CLI_SETTING_COUNT) {
        return cli_read_number(text, INT64_MAX, &setting->value);
    }
    if (type == CLI_SETTING_BYTES) {
        return cli_read_bytes(text, &setting->value);
    }
    const bool read = cli_read_duration(text, &ms);
    setting->value = (uint64_t)ms;
    return read;
}

static bool read_partition(const char *text, int32_t *ret)
{
    uint64_t number;
    if (!cli_read_number(text, 1023, &number)) {
        return false;
    }
    *ret = (int32_t)number;
    return true;
}

/* What would have been right. */
static const char *accepted(enum cli_type type)
{
    switch (type) {
    case CLI_POSITION:
        return CLI_POSITIONS;
    case CLI_DURATION:
        return "a number with ms, s, m, h or d";
    case CLI_SPAN:
        return "a number above 0 with ms, s, m, h or d";
    case CLI_SECONDS:
        return "seconds, like 5 or 0.25";
    case CLI_SETTING_DURATION:
    case CLI_SETTING_WORD:
        return "a number with ms, s, m, h or d, or default";
    case CLI_BYTES:
        return "a number, also with KiB, MiB, GiB or TiB";
    case CLI_SETTING_BYTES:
        return "a number, also with KiB, MiB, GiB or TiB, or default";
    case CLI_COUNT:
        return "a number from 1 to 4294967295";
    case CLI_SETTING_COUNT:
        return "a number, or default";
    case CLI_PARTITION:
        return "a number from 0 to 1023";
    case CLI_FLAG:
    case CLI_TEXT:
    case CLI_TEXTS:
        break;
    }
    return "a text";
}

static bool read_value(const struct cli_option *option, const char *text)
{
    switch (option->type) {
    case CLI_FLAG:
        *(bool *)option->place = true;
        return true;
    case CLI_TEXT:
        *(const char **)option->place = text;
        return true;
    case CLI_COUNT:
        return cli_read_number(text, UINT32_MAX, option->place) && *(uint64_t *)option->place > 0;
    case CLI_BYTES:
        return cli_read_bytes(text, option->place);
    case CLI_DURATION:
        return cli_read_duration(text, option->place);
    case CLI_SPAN:
        return cli_read_duration(text, option->place) && *(int64_t *)option->place > 0;
    case CLI_SECONDS:
        return cli_read_seconds(text, option->place);
    case CLI_POSITION:
        return cli_read_position(text, option->place);
    case CLI_TEXTS:
        return add_text(option->place, text);
    case CLI_PARTITION:
        return read_partition(text, option->place);
    case CLI_SETTING_COUNT:
    case CLI_SETTING_BYTES:
    case CLI_SETTING_DURATION:
    case CLI_SETTING_WORD:
        return read_setting(option->type, text, option->place);
    }
    return false;
}

/* --- getopt_long ------------------------------------------------------------------------- */

struct parser {
    const struct cli_option *options[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 4];
    size_t count;
};

static void add_options(struct parser *self, const struct cli_option *table,
                        const struct cli_option *except)
{
    size_t len = strlen(self->letters);
    for (const struct cli_option *o = table; o && o->name && self->count < OPTIONS_MAX; o++) {
        if (has_option(except, o->name)) {
            continue;
        }
        self->options[self->count] = o;
        self->longs[self->count] = (struct option){
            .name = o->name,
            .has_arg = o->arg ? required_argument : no_argument,
            .val = LONG_ONLY + (int)self->count,
        };
        if (o->letter) {
            self->letters[len++] = o->letter;
            if (o->arg) {
                self->letters[len++] = ':';
            }
        }
        self->count++;
    }
    self->letters[len] = '\0';
}

static const struct cli_option *option_of(const struct parser *self, int value)
{
    if (value >= LONG_ONLY) {
        return self->options[value - LONG_ONLY];
    }
    for (size_t i = 0; i < self->count; i++) {
        if (self->options[i]->letter == value) {
            return self->options[i];
        }
    }
    return NULL;
}

/* getopt_long refused `word`: unknown, ambiguous, or a flag with an argument. */
static int wrong_option(const struct cli_verb *verb, const struct parser *parser, const char *word)
{
    if (optopt >= LONG_ONLY) {
        return cli_usage(verb, "--%s takes no argument", parser->options[optopt - LONG_ONLY]->name);
    }
    if (optopt == HELP_LETTER) {
        return cli_usage(verb, "--help takes no argument");
    }
    if (optopt != 0) {
        return cli_usage(verb, "there is no option -%c", optopt);
    }
    const char *names[OPTIONS_MAX];
    for (size_t i = 0; i < parser->count; i++) {
        names[i] = parser->options[i]->name;
    }
    const char *nearest = cli_nearest(word + 2, names, parser->count);
    return nearest ? cli_usage(verb, "there is no option %s (is --%s meant?)", word, nearest)
                   : cli_usage(verb, "there is no option %s", word);
}

int cli_parse(const struct cli_verb *verb, const struct cli_option *table, int argc, char **argv,
              struct cli_args *ret)
{
    struct parser parser = {.letters = ":h"};
    add_options(&parser, table, NULL);
    add_options(&parser, common_table, table);
    parser.longs[parser.count] =
        (struct option){.name = "help", .has_arg = no_argument, .val = HELP_LETTER};
    opterr = 0;
    optind = 1;
    int value;
    while ((value = getopt_long(argc, argv, parser.letters, parser.longs, NULL)) != -1) {
        if (value == HELP_LETTER) {
            cli_help(verb, table);
            return CLI_OK + 1;
        }
        if (value == ':') {
            return cli_usage(verb, "%s wants an argument", argv[optind - 1]) + 1;
        }
        const struct cli_option *option = value == '?' ? NULL : option_of(&parser, value);
        if (!option) {
            return wrong_option(verb, &parser, argv[optind - 1]) + 1;
        }
        if (!read_value(option, optarg)) {
            return cli_usage(verb, "--%s: \"%s\" is no %s: want %s", option->name, optarg,
                             option->arg, accepted(option->type)) +
                   1;
        }
    }
    *ret = (struct cli_args){argv + optind, argc - optind};
    if (ret->count < verb->args_min) {
        return cli_usage(verb, "arguments are missing: zspool %s %s", verb->name, verb->synopsis) +
               1;
    }
    if (verb->args_max >= 0 && ret->count > verb->args_max) {
        return cli_usage(verb, "what is \"%s\"?", ret->items[verb->args_max]) + 1;
    }
    return 0;
}

int cli_parsed_exit(int rc)
{
    return rc - 1;
}

int cli_check_action(const struct cli_verb *verb, const char *action, const char *const *actions,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(action, actions[i]) == 0) {
            return 0;
        }
    }
    const char *nearest = cli_nearest(action, actions, count);
    return nearest ? cli_usage(verb, "there is no \"%s %s\" (is %s meant?)", verb->name, action,
                               nearest)
                   : cli_usage(verb, "there is no \"%s %s\"", verb->name, action);
}

/* Is `word` one of the words in `list`? */
static bool is_among(const char *word, const char *list)
{
    const size_t len = strlen(word);
    for (const char *hit = strstr(list, word); hit; hit = strstr(hit + 1, word)) {
        const bool begins = hit == list || hit[-1] == ' ';
        if (begins && (hit[len] == '\0' || hit[len] == ' ')) {
            return true;
        }
    }
    return false;
}

int cli_check_flags(const struct cli_verb *verb, const char *action,
                    const struct cli_action_flag *flags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (flags[i].given && !is_among(action, flags[i].actions)) {
            return cli_usage(verb, "--%s is not for %s, but for: %s", flags[i].name, action,
                             flags[i].actions);
        }
    }
    return 0;
}
