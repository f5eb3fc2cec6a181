/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/range_check.h"

#include <stdio.h>
#include <zspool.h>

#include "common/limits.h"

int zsp_range_check(int code, const char *what, int64_t given, int64_t min, int64_t max,
                    struct zsp_err *err)
{
    char wanted[48];
    char got[24];
    if (given >= min && given <= max) {
        return 0;
    }
    (void)snprintf(wanted, sizeof wanted, "%lld..%lld", (long long)min, (long long)max);
    (void)snprintf(got, sizeof got, "%lld", (long long)given);
    zsp_err_set(err, code, "%s is %s, want %s", what, got, wanted);
    zsp_err_detail(err, what, wanted, got);
    return code;
}

int zsp_count_check(int code, const char *what, size_t given, uint32_t max, struct zsp_err *err)
{
    return zsp_range_check(code, what, given > INT64_MAX ? INT64_MAX : (int64_t)given, 0, max, err);
}

int zsp_list_check(int code, const char *what, const void *list, size_t count, uint32_t max,
                   struct zsp_err *err)
{
    if (count > 0 && !list) {
        return zsp_err_set_about(err, code, what, "%s is %zu, and there is no list", what, count);
    }
    return zsp_count_check(code, what, count, max, err);
}

int zsp_partition_check(int32_t partition, struct zsp_err *err)
{
    return zsp_range_check(ZSP_EINVAL, "partition", partition, ZSPOOL_PARTITION_ALL,
                           ZSP_PARTITIONS_MAX - 1, err);
}
