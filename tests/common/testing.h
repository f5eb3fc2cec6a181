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

/* The slice holds exactly the bytes of `text`. */
static inline void expect_slice(struct zsp_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.data, text, slice.len);
}

#endif
