/* SPDX-License-Identifier: MPL-2.0 */
#include "common/heap.h"

void zsp_heap_prepare(void)
{
    /* Nothing to ask for: other C libraries give large blocks back by themselves. */
}

void zsp_heap_trim(void)
{
    /* Likewise. */
}
