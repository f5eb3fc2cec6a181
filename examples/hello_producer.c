/* SPDX-License-Identifier: MPL-2.0
 *
 * A whole producer: ten orders, and the certainty that they are on disk.
 *
 *     hello_producer [ENDPOINT]
 */
#include <stdio.h>
#include <zspool.h>

static int publish(zspool_producer_t *producer, zspool_error_t *error)
{
    for (int i = 1; i <= 10; i++) {
        char text[32];
        const int len = snprintf(text, sizeof text, "order %d", i);
        const zspool_out_t message = zspool_out("orders", text, (size_t)len);
        const int code = zspool_send(producer, &message, NULL, error); /* copies, does not wait */
        if (code != ZSPOOL_OK) {
            return code;
        }
    }
    return zspool_flush(producer, 10000, error); /* 0: every one of them is on disk */
}

int main(int argc, char **argv)
{
    zspool_error_t error = {0};
    zspool_client_t *client =
        zspool_new(argc > 1 ? argv[1] : ZSPOOL_DEFAULT_ENDPOINT, NULL, &error);
    zspool_producer_t *producer = client ? zspool_producer_new(client, NULL, &error) : NULL;
    if (!producer || publish(producer, &error) != ZSPOOL_OK) {
        fprintf(stderr, "hello_producer: %s\n", error.message);
    }
    zspool_producer_destroy(&producer);
    zspool_destroy(&client);
    return error.code == ZSPOOL_OK ? 0 : 1;
}
