/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/recover/torn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

#define PIECE_BYTES (1u * ZSP_MIB)

static int read_piece(struct fs *fs, int file, uint8_t *data, size_t len, uint64_t pos,
                      struct zsp_err *err)
{
    size_t done = 0;
    while (done < len) {
        size_t got = 0;
        const int rc =
            fs->ops->read(fs->self, file, data + done, len - done, pos + done, &got, err);
        if (rc < 0) {
            return rc;
        }
        if (got == 0) {
            return zsp_err_set(err, ZSP_EIO, "the file ended at pos %" PRIu64, pos + done);
        }
        done += got;
    }
    return 0;
}

static int write_copy(struct fs *fs, const char *name, struct zsp_slice bytes, const char *why,
                      struct zsp_err *err)
{
    char path[LAYOUT_PATH_MAX];
    int len = snprintf(path, sizeof path, "cut/%s", name);
    zsp_assert(len > 0 && (size_t)len < sizeof path);
    bool sync_failed;
    int rc = layout_write_file(fs, "cut", path, bytes, &sync_failed, err);
    if (rc < 0) {
        return rc;
    }
    len = snprintf(path, sizeof path, "cut/%s.txt", name);
    zsp_assert(len > 0 && (size_t)len < sizeof path);
    char text[512];
    len = snprintf(text, sizeof text, "%s\n", why);
    const size_t text_len = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    return layout_write_file(fs, "cut", path, (struct zsp_slice){(const uint8_t *)text, text_len},
                             &sync_failed, err);
}

int torn_set_aside(struct log_store *store, const char *name, int file, uint64_t from, uint64_t to,
                   const char *why, struct zsp_err *err)
{
    const size_t len = (size_t)(to - from);
    uint8_t *data = malloc(len ? len : 1);
    if (!data) {
        return zsp_err_set(err, ZSP_ENOMEM, "copy %zu bytes of a torn tail", len);
    }
    struct zsp_err local = {0};
    int rc = read_piece(store->fs, file, data, len, from, &local);
    if (rc == 0) {
        rc = write_copy(store->fs, name, (struct zsp_slice){data, len}, why, &local);
    }
    free(data);
    store->stats.cut_bytes += len;
    if (rc == ZSP_ENO_SPACE) {
        zsp_diag(store->options.diag, ZSP_WARNING,
                 "%s: %zu bytes of a torn tail cut off; no room for a copy in cut/%s", why, len,
                 name);
        return 0;
    }
    if (rc < 0) {
        if (err) {
            *err = local;
        }
        return rc;
    }
    zsp_diag(store->options.diag, ZSP_WARNING, "%s: %zu bytes of a torn tail moved to cut/%s", why,
             len, name);
    return 0;
}

int torn_zero(struct fs *fs, int file, uint64_t from, uint64_t to, struct zsp_err *err)
{
    static const uint8_t zeros[64 * 1024];
    for (uint64_t pos = from; pos < to;) {
        const uint64_t left = to - pos;
        const struct zsp_slice piece = {zeros, left < sizeof zeros ? (size_t)left : sizeof zeros};
        const int rc = layout_write_at(fs, file, piece, pos, err);
        if (rc < 0) {
            return rc;
        }
        pos += piece.len;
    }
    return 0;
}

int torn_rewrite(struct fs *fs, int file, uint64_t from, uint64_t to, struct zsp_err *err)
{
    uint8_t *data = malloc(PIECE_BYTES);
    if (!data) {
        return zsp_err_set(err, ZSP_ENOMEM, "rewrite a tail");
    }
    int rc = 0;
    for (uint64_t pos = from; pos < to && rc == 0;) {
        const size_t len = to - pos < PIECE_BYTES ? (size_t)(to - pos) : PIECE_BYTES;
        rc = read_piece(fs, file, data, len, pos, err);
        if (rc == 0) {
            rc = layout_write_at(fs, file, (struct zsp_slice){data, len}, pos, err);
        }
        pos += len;
    }
    free(data);
    return rc;
}
