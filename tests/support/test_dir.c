/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/test_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/assert.h"

#define OPEN_DIRECTORIES_MAX 16

void test_dir_init(struct test_dir *self)
{
    const char *base = getenv("TMPDIR");
    const int len =
        snprintf(self->path, sizeof self->path, "%s/zspool-test-XXXXXX", base ? base : "/tmp");
    zsp_assert(len > 0);
    zsp_assert((size_t)len < sizeof self->path);
    const char *made = mkdtemp(self->path);
    zsp_assert(made);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void test_dir_fini(struct test_dir *self)
{
    const int rc = nftw(self->path, remove_entry, OPEN_DIRECTORIES_MAX, FTW_DEPTH | FTW_PHYS);
    zsp_assert(rc == 0);
    self->path[0] = '\0';
}

const char *test_dir_path(const struct test_dir *self, const char *name, char *ret, int ret_size)
{
    const int len = snprintf(ret, (size_t)ret_size, "%s/%s", self->path, name);
    zsp_assert(len > 0);
    zsp_assert(len < ret_size);
    return ret;
}
