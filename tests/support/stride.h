/* SPDX-License-Identifier: MPL-2.0
 *
 * Loops over all places where something can go wrong are whole in the plain build. AddressSanitizer makes
 * each place some seven times as long: every third one is enough for it, where possible another one in
 * each loop.
 */
#ifndef ZSP_TESTS_STRIDE_H
#define ZSP_TESTS_STRIDE_H

#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 3u
#else
#define STRIDE 1u
#endif

#endif
