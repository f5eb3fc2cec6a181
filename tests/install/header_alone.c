/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool.h compiles alone, as C11; header_alone.cc is the same as C++17.
 */
#include <zspool.h>

int main(void)
{
    zspool_options_t options;
    zspool_options_init(&options);
    const zspool_out_t out = zspool_out("t", "x", 1);
    return options.size == sizeof options && out.partition == ZSPOOL_PARTITION_ANY ? 0 : 1;
}
