/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/base/halt.h"

bool zsp_halt_stands(const struct zsp_halt *self)
{
    return self->error.code != 0 || self->is_told;
}

int zsp_halt_tell(struct zsp_halt *self, struct zsp_err *ret)
{
    *ret = self->error;
    self->error = (struct zsp_err){0};
    self->is_told = true;
    return ret->code;
}

bool zsp_halt_end(struct zsp_halt *self)
{
    const bool was_told = self->is_told;
    self->is_told = false;
    return was_told;
}
