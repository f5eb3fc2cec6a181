/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool_broker.h compiles alone, as C11 and before czmq's own header, which names
 * the same type; broker_header_alone.cc is the same as C++17.
 */
#include <zspool_broker.h>

#include <czmq.h>

extern zactor_fn zspool_broker_actor; /* again, by czmq's type; nothing is linked */

int main(void)
{
    zspool_broker_options_t options;
    zspool_broker_options_init(&options);
    return options.size == sizeof options && options.endpoint_count == 0 ? 0 : 1;
}
