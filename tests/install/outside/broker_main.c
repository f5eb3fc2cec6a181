/* SPDX-License-Identifier: MPL-2.0
 *
 * A program outside the tree that uses an installed libzspool-broker, and libzspool.
 */
#include <stdio.h>
#include <zspool_broker.h>

int main(int argc, char **argv)
{
    zspool_error_t error = {0};
    zspool_broker_options_t options;
    zspool_broker_options_init(&options);
    options.directory = argc > 1 ? argv[1] : NULL;
    zspool_broker_t *broker = zspool_broker_new(&options, &error);
    zspool_options_t client_options;
    zspool_options_init(&client_options);
    client_options.zmq_context = zspool_broker_context(broker);
    zspool_client_t *client =
        broker ? zspool_new(zspool_broker_endpoint(broker, 0), &client_options, &error) : NULL;
    zspool_info_t info;
    zspool_info_init(&info);
    const int code = client ? zspool_connect(client, 30000, &info, &error) : error.code;
    zspool_destroy(&client);
    zspool_broker_destroy(&broker);
    printf("%s %s\n", code == 0 ? "libzspool-broker" : error.message, zspool_broker_version());
    return code == 0 ? 0 : 1;
}
