/* SPDX-License-Identifier: MPL-2.0 */
#include "common/assert.h"

#include <stdio.h>
#include <stdlib.h>

void zsp_assert_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "zspool: %s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
