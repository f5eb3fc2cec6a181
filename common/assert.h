/* SPDX-License-Identifier: MPL-2.0
 *
 * Assertions that stay on in every build. They check what only a bug of ours
 * can break; whatever comes from disk, network, user, operating system or
 * allocator is an error instead, see err.h. One condition each, no side effect.
 */
#ifndef ZSP_ASSERT_H
#define ZSP_ASSERT_H

#include "common/compiler.h"

#define zsp_assert(condition) \
    ((condition) ? (void)0 : zsp_assert_failed(#condition, __FILE__, __LINE__))

/* Print one line to stderr and abort. Called by the macro only. */
ZSP_NORETURN void zsp_assert_failed(const char *condition, const char *file, int line);

#endif
