/* SPDX-License-Identifier: MPL-2.0
 *
 * What step.c and step_record.c share.
 */
#ifndef ZSP_ENGINE_STEP_PRIV_H
#define ZSP_ENGINE_STEP_PRIV_H

#include <stddef.h>

/* Room for one more item of `size` bytes; NULL (and nothing lost) when out of memory. */
void *step_grow(void *items, size_t count, size_t *capacity, size_t size);

#endif
