/* SPDX-License-Identifier: MPL-2.0
 *
 * The options of an embedded broker, as its host gave them, turned into the one
 * configuration that every broker is made from.
 */
#ifndef ZSP_EMBED_EMBEDDED_CONFIG_H
#define ZSP_EMBED_EMBEDDED_CONFIG_H

#include "broker/embed/zspool_broker.h"
#include "broker/server/config.h"
#include "common/err.h"

/* A copy of options that may be of an older or newer version of the struct; what
 * `given` lacks is zero. Errors: ZSP_EINVAL */
int embedded_options_read(zspool_broker_options_t *to, const zspool_broker_options_t *given,
                          struct zsp_err *err);

/* The checked configuration. Errors: ZSP_EINVAL, ZSP_EBAD_CONFIG */
int embedded_config_read(struct config *config, const zspool_broker_options_t *options,
                         struct zsp_err *err);

#endif
