/* SPDX-License-Identifier: MPL-2.0
 *
 * The clocks and the random numbers of the process. Any thread.
 */
#ifndef ZSP_CLIENT_HOST_CLOCK_H
#define ZSP_CLIENT_HOST_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic milliseconds. */
int64_t zsp_now_ms(void);
/* The monotonic time `timeout_ms` from now; INT64_MAX for a negative timeout. */
int64_t zsp_deadline_ms(int64_t timeout_ms);
/* What is left until then, for another call that takes a timeout: -1 for INT64_MAX. */
int zsp_left_ms(int64_t deadline_ms);
/* Wall milliseconds since 1970. */
int64_t zsp_wall_ms(void);
/* Fill with random bytes from the system. Errors: ZSP_EIO */
int zsp_random(void *bytes, size_t len);

#endif
