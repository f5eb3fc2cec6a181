/* SPDX-License-Identifier: MPL-2.0 */
#ifndef ZSP_BROKER_HEAP_H
#define ZSP_BROKER_HEAP_H

/* Have the C library give large blocks back to the system when they are freed, so
 * that a peak of large replies does not stay. Before the first large block. */
void heap_prepare(void);

#endif
