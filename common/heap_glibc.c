/* SPDX-License-Identifier: MPL-2.0 */
#include "common/heap.h"

#include <malloc.h>

/* Smaller blocks are reused, which is quicker than new pages. */
#define MAP_FROM_BYTES (4 << 20)
#define SPARE_BYTES    (64 << 20) /* kept at the end of the heap */

void zsp_heap_prepare(void)
{
    /* A refusal leaves the defaults. */
    (void)mallopt(M_MMAP_THRESHOLD, MAP_FROM_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

void zsp_heap_trim(void)
{
    (void)malloc_trim(0); /* whether there was something does not matter */
}
