/* SPDX-License-Identifier: MPL-2.0
 *
 * Bytes written as hex text, for golden vectors. Anything but hex digits is
 * skipped, so that vectors may be grouped with spaces.
 */
#ifndef ZSP_TESTS_HEX_H
#define ZSP_TESTS_HEX_H

#include <string.h>

#include "common/bytes.h"

static inline int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Append the bytes that `hex` spells. */
static inline void hex_append(struct zsp_writer *out, const char *hex)
{
    int high = -1;
    for (; *hex; hex++) {
        const int digit = hex_digit(*hex);
        if (digit >= 0 && high >= 0) {
            zsp_write_u8(out, (uint8_t)(high << 4 | digit));
            high = -1;
        } else if (digit >= 0) {
            high = digit;
        }
    }
}

/* `out` emptied, then filled with the bytes that `hex` spells. */
static inline struct zsp_slice hex_bytes(struct zsp_writer *out, const char *hex)
{
    zsp_writer_reset(out);
    hex_append(out, hex);
    return zsp_writer_slice(out);
}

#endif
