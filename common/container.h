/* SPDX-License-Identifier: MPL-2.0 */
#ifndef ZSP_CONTAINER_H
#define ZSP_CONTAINER_H

#include <stddef.h>

/* The object of `type` that embeds what `pointer` points at as its member `member`. */
#define CONTAINER_OF(pointer, type, member) \
    ((type *)zsp_container_at((pointer), offsetof(type, member)))

/* By way of void *: that the result is aligned follows from how the member got there. */
static inline void *zsp_container_at(void *member, size_t offset)
{
    return (char *)member - offset;
}

#endif
