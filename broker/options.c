/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_OPTIONS_MAX CONFIG_ENDPOINTS_MAX

enum option_key { OPTION_DATA = 'd', OPTION_LISTEN = 'l', OPTION_CHECK = 0x100, OPTION_SHOW };

/* The command line as it was given; pointers into argv. */
struct command_line {
    const char *file;
    const char *data;
    const char *listen[LISTEN_OPTIONS_MAX];
    size_t listen_count;
    bool check_config;
    bool show;
};

static const struct argp_option option_table[] = {
    {NULL, 'c', "FILE", 0, "Read the configuration from FILE", 0},
    {"data", OPTION_DATA, "DIR", 0, "Keep everything in DIR", 0},
    {"listen", OPTION_LISTEN, "ENDPOINT", 0,
     "Listen on tcp://HOST:PORT or ipc://PATH (again for more)", 0},
    {"check-config", OPTION_CHECK, NULL, 0, "Check the configuration and exit", 0},
    {"show", OPTION_SHOW, NULL, 0, "With --check-config: print it, and where it comes from", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

/* Above and, behind the \v, below the options. */
static const char documentation[] =
    "Keep messages and hand them out: the zspool broker.\v"
    "Every key of the configuration file is also an environment variable, "
    "ZSPOOL_SECTION_KEY; options win over variables, variables over the file.\n\n"
    "SIGTERM and SIGINT stop the broker after what it accepted is answered; a "
    "second one stops it at once.\n\n"
    "Exit status: 0 stopped on request, 1 error, 2 usage or configuration, 3 the "
    "storage failed, 4 the data is damaged or of a newer format, 5 another broker "
    "uses the data directory.";

static error_t take_option(int key, char *value, struct argp_state *state)
{
    struct command_line *const line = state->input;
    switch (key) {
    case 'c':
        line->file = value;
        return 0;
    case OPTION_DATA:
        line->data = value;
        return 0;
    case OPTION_LISTEN:
        if (line->listen_count == LISTEN_OPTIONS_MAX) {
            argp_error(state, "more than %u --listen options", LISTEN_OPTIONS_MAX);
            return EINVAL;
        }
        line->listen[line->listen_count] = value;
        line->listen_count++;
        return 0;
    case OPTION_CHECK:
        line->check_config = true;
        return 0;
    case OPTION_SHOW:
        line->show = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", value);
        return EINVAL;
    case ARGP_KEY_END:
        if (line->show && !line->check_config) {
            argp_error(state, "--show goes with --check-config");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int apply(struct config *config, const struct command_line *line, char *const *environment,
                 struct zsp_err *err)
{
    config_init(config);
    int rc = line->file ? config_read_file(config, line->file, err) : ZSP_OK;
    if (rc == ZSP_OK) {
        rc = config_read_environment(config, environment, err);
    }
    if (rc == ZSP_OK && line->data) {
        rc = config_set(config, "data", "directory", line->data, "--data", err);
    }
    for (size_t i = 0; i < line->listen_count && rc == ZSP_OK; i++) {
        rc = config_set(config, "network", "listen", line->listen[i], "--listen", err);
    }
    return rc == ZSP_OK ? config_check(config, err) : rc;
}

int options_read(struct options *self, int argc, char **argv, char *const *environment,
                 int usage_exit, struct zsp_err *err)
{
    static const struct argp argp = {
        .options = option_table, .parser = take_option, .doc = documentation};
    struct command_line line = {0};
    argp_program_version = "zspoold " ZSP_VERSION_TEXT;
    argp_err_exit_status = usage_exit;
    if (argp_parse(&argp, argc, argv, 0, NULL, &line) != 0) {
        exit(usage_exit);
    }
    self->check_config = line.check_config;
    self->show = line.show;
    return apply(&self->config, &line, environment, err);
}
