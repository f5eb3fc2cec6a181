/* SPDX-License-Identifier: MPL-2.0
 *
 * The machine's clocks and its randomness: what the broker's pure parts get
 * handed in. The only place of the broker that asks for either.
 */
#ifndef ZSP_SERVER_NOW_H
#define ZSP_SERVER_NOW_H

#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"
#include "common/err.h"

struct instant now_instant(void);
/* Monotonic microseconds, to measure short work. */
int64_t now_us(void);
/* CPU time that this process has used up to now, of all its threads, microseconds. */
uint64_t now_cpu_us(void);

/* Fill `data` from the kernel. Errors: ZSP_EIO. */
int now_random_bytes(void *data, size_t len, struct zsp_err *err);
/* 64 random bits, for random_fn; `arg` is not used. */
uint64_t now_random(void *arg);

#endif
