/* SPDX-License-Identifier: MPL-2.0
 *
 * An error that waits for the host, in a consumer or a reader. What it stopped stands still until
 * the host has taken the error and calls again. Used with the link locked.
 */
#ifndef ZSP_CLIENT_HALT_H
#define ZSP_CLIENT_HALT_H

#include <stdbool.h>

#include "common/err.h"

struct zsp_halt {
    struct zsp_err error; /* code 0 = none */
    bool is_told;         /* the host has it: its next call goes on */
};

/* Must nothing new be asked for? */
bool zsp_halt_stands(const struct zsp_halt *self);
/* Give the error to the host. Returns its code. */
int zsp_halt_tell(struct zsp_halt *self, struct zsp_err *ret);
/* The host calls. True = it was told of an error: go on. */
bool zsp_halt_end(struct zsp_halt *self);

#endif
