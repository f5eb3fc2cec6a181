/* SPDX-License-Identifier: MPL-2.0 */
#ifndef ZSP_COMMON_HEAP_H
#define ZSP_COMMON_HEAP_H

/* Have the C library keep at hand what frames of messages take, and give back to the system what is
 * larger. By itself it may give the memory of each frame back and take it anew, page by page, which
 * halves the throughput of large messages. For programs; in a library the heap is its host's.
 * Before the first large block. */
void zsp_heap_prepare(void);

/* Give back what is free between blocks in use. Looks at all of the heap: for once in a while. */
void zsp_heap_trim(void);

#endif
