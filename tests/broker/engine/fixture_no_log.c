/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/broker/engine/fixture_log.h"
#include "tests/common/testing.h"

struct fixture_log *fixture_log_new(void)
{
    fail_msg("the log store is not built");
    return NULL;
}

void fixture_log_destroy(struct fixture_log *self)
{
    (void)self;
}

struct store *fixture_log_base(struct fixture_log *self)
{
    (void)self;
    return NULL;
}

struct store *fixture_log_reopen(struct fixture_log *self)
{
    (void)self;
    return NULL;
}

bool fixture_log_run_jobs(struct fixture_log *self)
{
    (void)self;
    return false;
}
