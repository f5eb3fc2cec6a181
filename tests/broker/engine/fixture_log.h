/* SPDX-License-Identifier: MPL-2.0
 *
 * The segmented log in a temporary directory, its jobs run in place: the
 * second store under an engine fixture.
 */
#ifndef ZSP_TESTS_FIXTURE_LOG_H
#define ZSP_TESTS_FIXTURE_LOG_H

#include <stdbool.h>

#include "broker/store/store.h"

struct fixture_log;

struct fixture_log *fixture_log_new(void);
void fixture_log_destroy(struct fixture_log *self);
struct store *fixture_log_base(struct fixture_log *self);
/* Where its files are. */
const char *fixture_log_path(const struct fixture_log *self);
/* Close the store and open it again: what was written is there. */
struct store *fixture_log_reopen(struct fixture_log *self);
/* Run all jobs there are. Returns whether there was one. */
bool fixture_log_run_jobs(struct fixture_log *self);

#endif
