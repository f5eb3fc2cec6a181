/* SPDX-License-Identifier: MPL-2.0
 *
 * A JSON text (RFC 8259), read from left to right, for the command's own input.
 * Nothing is allocated: strings are unescaped where they are, so the text is changed. No
 * tree, no recursion: the caller asks for what it expects.
 */
#ifndef ZSP_CLI_JSON_READER_H
#define ZSP_CLI_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zspool.h>

#include "client/cli/cli.h"

struct json_reader {
    char *begin, *pos, *end; /* the text; not NUL-terminated */
    char why[160];           /* after a failure: what is wrong, and at which byte, the first is 1 */
};

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT, /* its { was read: members follow */
    JSON_ARRAY   /* its [ was read */
};

struct json_value {
    enum json_kind kind;
    zspool_bytes_t string; /* STRING: valid UTF-8, may hold NUL; data is never NULL */
    bool is_uint;          /* NUMBER: an integer from 0 to 2^64 - 1, written as digits only */
    uint64_t uint;
};

struct json_reader json_reader_init(char *text, size_t len);

/* All of these: true, or false with `why` filled. */

/* Read a value; of an object or an array its beginning only. */
bool json_read_value(struct json_reader *self, struct json_value *ret);
/* Inside an object, `first` for its first member: read the name of the next member and the colon, and
 * set *ret_is_member, or its } and clear it. */
bool json_read_member(struct json_reader *self, bool first, bool *ret_is_member,
                      zspool_bytes_t *ret_name);
/* Nothing but white space is left. */
bool json_read_end(struct json_reader *self);
/* A failure that the caller found, at the place where the reader stands. Returns false. */
bool json_read_fail(struct json_reader *self, const char *format, ...) CLI_PRINTF(2, 3);

/* Base64 of RFC 4648, padded, decoded where it is: the first *ret_len bytes of `text`. False = it is
 * none, and nothing was changed. */
bool json_decode_base64(char *text, size_t len, size_t *ret_len);

#endif
