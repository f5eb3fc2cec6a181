/* SPDX-License-Identifier: MPL-2.0
 *
 * A message of the host as a record: what a producer and a commit have in common.
 */
#ifndef ZSP_CLIENT_MESSAGE_OUT_H
#define ZSP_CLIENT_MESSAGE_OUT_H

#include <zspool.h>

#include "common/bytes.h"
#include "common/err.h"

/* Can it be sent? Its size is that of the struct as we know it.
 * Errors: ZSP_EBAD_NAME, ZSP_EBAD_VALUE */
int zsp_message_check(const zspool_out_t *message, struct zsp_err *err);
/* About so many bytes as a record, at least what it has; SIZE_MAX for more than there can be. */
size_t zsp_message_bytes(const zspool_out_t *message);
/* Add its record; `scratch` is for its headers. Both writers tell of a lack of memory. */
void zsp_message_write(struct zsp_writer *out, const zspool_out_t *message,
                       struct zsp_writer *scratch);

#endif
