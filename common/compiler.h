/* SPDX-License-Identifier: MPL-2.0
 *
 * The few compiler attributes zspool uses, under one spelling. Nothing else
 * belongs here.
 */
#ifndef ZSP_COMPILER_H
#define ZSP_COMPILER_H

#if defined(__GNUC__)
/* The function formats like printf; `fmt` and `first` count from 1. */
#define ZSP_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
/* The result must be looked at. */
#define ZSP_MUST_CHECK __attribute__((warn_unused_result))
#define ZSP_NORETURN   __attribute__((noreturn))
/* A function that may not be there: then its address is NULL. */
#define ZSP_WEAK __attribute__((weak))
#else
#define ZSP_PRINTF(fmt, first)
#define ZSP_MUST_CHECK
#define ZSP_NORETURN
#define ZSP_WEAK
#endif

#endif
