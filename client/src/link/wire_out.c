/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/link/wire_out.h"

#include "client/src/base/range_check.h"
#include "client/src/client_priv.h"
#include "common/codec.h"
#include "common/wire.h"

#define POSITION_ID_MAX 16384u /* fits a request beside all else; a message may have a longer one */

int zsp_position_check(const zspool_position_t *position, struct zsp_err *err)
{
    const int kind = (int)position->kind;
    if (kind < ZSPOOL_POSITION_NONE || kind > ZSPOOL_POSITION_ID) {
        return zsp_err_set_about(err, ZSP_EINVAL, "position", "position of kind %d", kind);
    }
    return kind == ZSPOOL_POSITION_ID
               ? zsp_text_check("id of a position", position->id, POSITION_ID_MAX, err)
               : 0;
}

void zsp_write_position(struct zsp_writer *out, const zspool_position_t *position)
{
    static const enum wire_position_kind kinds[] = {
        [ZSPOOL_POSITION_NONE] = WIRE_POSITION_NONE,
        [ZSPOOL_POSITION_EARLIEST] = WIRE_POSITION_EARLIEST,
        [ZSPOOL_POSITION_LATEST] = WIRE_POSITION_LATEST,
        [ZSPOOL_POSITION_OFFSET] = WIRE_POSITION_OFFSET,
        [ZSPOOL_POSITION_LAST] = WIRE_POSITION_LAST,
        [ZSPOOL_POSITION_TIME] = WIRE_POSITION_TIME,
        [ZSPOOL_POSITION_AGO] = WIRE_POSITION_AGO,
        [ZSPOOL_POSITION_ID] = WIRE_POSITION_ID,
    };
    const struct wire_position told = {
        .kind = kinds[position->kind], .value = position->value, .id = zsp_slice_str(position->id)};
    wire_write_position(out, &told);
}

int zsp_settings_check(const zspool_figure_t *settings, size_t count, struct zsp_err *err)
{
    int rc = zsp_list_check(ZSP_EINVAL, "setting_count", settings, count, ZSP_SETTINGS_MAX, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = zsp_text_check("name of a setting", settings[i].name, ZSP_SETTING_NAME_MAX, err);
        if (rc == 0 && settings[i].is_text && !settings[i].is_unset) {
            rc = zsp_text_check(settings[i].name, settings[i].text, ZSP_SETTING_TEXT_MAX, err);
        }
    }
    return rc;
}

void zsp_write_settings(struct zsp_writer *out, const zspool_figure_t *settings, size_t count)
{
    if (count == 0) {
        return;
    }
    wire_write_text(out, "settings");
    wire_write_map(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const zspool_figure_t *setting = &settings[i];
        wire_write_text(out, setting->name);
        if (setting->is_unset) {
            wire_write_nil(out);
        } else if (setting->is_text) {
            wire_write_text(out, setting->text);
        } else {
            wire_write_int(out, setting->value);
        }
    }
}

void zsp_write_topics(struct zsp_writer *out, const char *const *topics, size_t count)
{
    wire_write_text(out, "topics");
    wire_write_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        wire_write_str(out, zsp_slice_str(topics[i]));
    }
}

void zsp_write_accept(struct zsp_writer *out)
{
    wire_write_text(out, "accept");
    wire_write_array(out, 1);
    wire_write_text(out, ZSP_CODEC_ZSTD_NAME);
}
