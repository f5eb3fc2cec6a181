/* SPDX-License-Identifier: MPL-2.0
 *
 * Any text as a configuration. One that is accepted prints as a text that is
 * accepted again.
 */
#include "broker/server/config.h"
#include "common/assert.h"

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct zsp_err err = {0};
    config_init(&config);
    if (config_read_text(&config, "fuzz", (struct zsp_slice){data, size}, &err) != 0) {
        return 0;
    }
    struct zsp_writer text = {0};
    config_print(&config, &text);
    config_init(&config);
    zsp_assert(config_read_text(&config, "printed", zsp_writer_slice(&text), &err) == 0);
    zsp_writer_fini(&text);
    return 0;
}
