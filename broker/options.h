/* SPDX-License-Identifier: MPL-2.0
 *
 * The command line of zspoold, read into a configuration together with the
 * configuration file and the environment.
 */
#ifndef ZSP_BROKER_OPTIONS_H
#define ZSP_BROKER_OPTIONS_H

#include <stdbool.h>

#include "broker/server/config.h"
#include "common/err.h"

struct options {
    struct config config; /* all sources applied and checked */
    bool check_config;    /* --check-config: do not start */
    bool show;            /* --show: print the configuration */
};

/* Read everything. Prints help or usage and exits (0 or `usage_exit`) where the
 * command line asks for it.
 *
 * Errors: ZSP_EBAD_CONFIG */
int options_read(struct options *self, int argc, char **argv, char *const *environment,
                 int usage_exit, struct zsp_err *err);

#endif
