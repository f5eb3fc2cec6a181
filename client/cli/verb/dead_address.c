/* SPDX-License-Identifier: MPL-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/verb/dead_run.h"

bool dead_read_address(char *text, zspool_dead_run_t *ret)
{
    uint64_t partition = 0;
    uint64_t first = 0;
    uint64_t last = 0;
    char *const second = strrchr(text, '/');
    if (!second || second == text) {
        return false;
    }
    *second = '\0';
    char *const slash = strrchr(text, '/');
    char *const dots = strstr(second + 1, "..");
    if (!slash || slash == text) {
        *second = '/';
        return false;
    }
    *slash = '\0';
    if (dots) {
        *dots = '\0';
    }
    const bool is_read = cli_read_number(slash + 1, 1023, &partition) &&
                         cli_read_number(second + 1, INT64_MAX, &first) &&
                         (!dots || cli_read_number(dots + 2, INT64_MAX, &last));
    last = dots ? last : first;
    if (is_read && last >= first) {
        *ret = (zspool_dead_run_t){text, (uint32_t)partition, first, last - first + 1};
        return true;
    }
    *slash = *second = '/'; /* whole again, for the message */
    if (dots) {
        *dots = '.';
    }
    return false;
}

const char *dead_write_address(const zspool_dead_run_t *run, char *to)
{
    const int len = snprintf(to, DEAD_ADDRESS_SIZE, "%s/%u/%" PRIu64, run->topic, run->partition,
                             run->first_offset);
    if (run->count > 1 && len > 0 && len < DEAD_ADDRESS_SIZE) {
        (void)snprintf(to + len, (size_t)(DEAD_ADDRESS_SIZE - len), "..%" PRIu64,
                       run->first_offset + run->count - 1);
    }
    return to;
}
