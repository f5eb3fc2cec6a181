/* SPDX-License-Identifier: MPL-2.0
 *
 * cmocka with the headers it wants before it, and comparisons of slices.
 */
#ifndef ZSP_TESTS_TESTING_H
#define ZSP_TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/bytes.h"

#define assert_slice(slice, text)                                 \
    do {                                                          \
        const struct zsp_slice slice_ = (slice);                  \
        assert_int_equal(slice_.len, strlen(text));               \
        assert_memory_equal(slice_.data, text, strlen(text) + 0); \
    } while (0)

#endif
