/* SPDX-License-Identifier: MPL-2.0 */
#ifndef ZSP_BROKER_HEAP_H
#define ZSP_BROKER_HEAP_H

/* Have the C library give large blocks back to the system when they are freed, so
 * that a peak of large replies does not stay. Before the first large block. */
void heap_prepare(void);

/* Give back what is free between blocks in use. Looks at all of the heap: for once in a while. */
void heap_trim(void);

#endif
