/* SPDX-License-Identifier: MPL-2.0
 *
 * A program outside the tree that uses an installed libzspool.
 */
#include <stdio.h>
#include <zspool.h>

int main(void)
{
    zspool_error_t err = {0};
    zspool_client_t *client = zspool_new(ZSPOOL_DEFAULT_ENDPOINT, NULL, &err);
    if (!client) {
        printf("%s\n", err.message);
        return 1;
    }
    zspool_destroy(&client);
    printf("libzspool %s\n", zspool_version());
    return 0;
}
