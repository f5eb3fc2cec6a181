/* SPDX-License-Identifier: MPL-2.0
 *
 * Is what the host gave in its range? A report names the value, and tells what was given and the range, for
 * people and in the fields of their own.
 */
#ifndef ZSP_CLIENT_RANGE_CHECK_H
#define ZSP_CLIENT_RANGE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Is it in min..max? Errors: `code` */
int zsp_range_check(int code, const char *what, int64_t given, int64_t min, int64_t max,
                    struct zsp_err *err);
/* The same for a number of things: up to `max`, which is far below what is counted here. */
int zsp_count_check(int code, const char *what, size_t given, uint32_t max, struct zsp_err *err);
/* Is there a list of so many? */
int zsp_list_check(int code, const char *what, const void *list, size_t count, uint32_t max,
                   struct zsp_err *err);
/* Is it one of a topic, or ZSPOOL_PARTITION_ALL? Errors: ZSP_EINVAL */
int zsp_partition_check(int32_t partition, struct zsp_err *err);

#endif
