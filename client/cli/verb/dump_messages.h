/* SPDX-License-Identifier: MPL-2.0
 *
 * The messages of one stored body, for `zspool dump --records`: out of their
 * compression, checked, and printed one a line; with --json as `zspool read` does.
 */
#ifndef ZSP_CLI_DUMP_MESSAGES_H
#define ZSP_CLI_DUMP_MESSAGES_H

#include "common/bytes.h"
#include "common/err.h"

/* A body and what its header tells of it; all borrowed. */
struct dump_messages {
    const char *topic;
    uint32_t partition;
    uint64_t first_offset;
    int64_t timestamp_ms;
    uint8_t priority;
    uint8_t codec;
    uint32_t raw_bytes; /* before compression */
    struct zsp_slice body;
};

/* Returns 0; 1 when nothing here knows the codec, with nothing printed.
 * Errors: ZSP_EBAD_RECORD, ZSP_ETOO_LARGE  the body is not what it should be; ZSP_ENOMEM */
int dump_messages_print(const struct dump_messages *self, struct zsp_err *err);

#endif
