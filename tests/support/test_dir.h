/* SPDX-License-Identifier: MPL-2.0
 *
 * One temporary directory per test, below TMPDIR or /tmp, removed with all
 * that is in it.
 */
#ifndef ZSP_TESTS_TEST_DIR_H
#define ZSP_TESTS_TEST_DIR_H

struct test_dir {
    char path[512];
};

/* Make the directory; ends the test when it cannot. */
void test_dir_init(struct test_dir *self);
/* Remove it, and everything below. Links are removed, not followed. */
void test_dir_fini(struct test_dir *self);
/* "<directory>/<name>" in a static-size buffer of the caller. */
const char *test_dir_path(const struct test_dir *self, const char *name, char *ret, int ret_size);

#endif
