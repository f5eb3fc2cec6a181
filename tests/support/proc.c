/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

unsigned proc_count(const char *directory, bool (*counts)(const char *name))
{
    DIR *const entries = opendir(directory);
    unsigned count = 0;
    zsp_assert(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] != '.' && (!counts || counts(entry->d_name))) {
            count++;
        }
    }
    (void)closedir(entries); /* it was only read */
    return count;
}

uint64_t proc_thread_status(const char *thread, const char *field, int base)
{
    char path[64];
    char line[256];
    uint64_t value = 0;
    (void)snprintf(path, sizeof path, PROC_THREADS "/%.20s/status", thread);
    FILE *const file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, field, strlen(field)) == 0) {
            value = strtoull(line + strlen(field), NULL, base);
        }
    }
    if (file) {
        (void)fclose(file); /* it was only read */
    }
    return value;
}
