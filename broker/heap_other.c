/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/heap.h"

void heap_prepare(void)
{
    /* Nothing to ask for: other C libraries give large blocks back by themselves. */
}

void heap_trim(void)
{
    /* Likewise. */
}
