/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/recover/torn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/log_store_priv.h"
#include "common/assert.h"

#define PIECE_BYTES (1u * ZSP_MIB)
#define COPIES_MAX  1000u /* of one name; then the last one is replaced */

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

static bool exists(struct fs *fs, const char *path)
{
    const int file = fs->ops->open(fs->self, path, FS_READ, NULL);
    if (file >= 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* nothing was written */
    }
    return file >= 0;
}

/* "cut/<name>", or with a number behind it when there is one of that name, which an earlier start
 * made before it had zeroed all of what it copied. */
static void free_path(struct fs *fs, const char *name, char path[LAYOUT_PATH_MAX])
{
    int len = snprintf(path, LAYOUT_PATH_MAX, "cut/%s", name);
    for (unsigned i = 2; exists(fs, path) && i <= COPIES_MAX; i++) {
        len = snprintf(path, LAYOUT_PATH_MAX, "cut/%s-%u", name, i);
    }
    zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
}

static int write_copy(struct fs *fs, const char *path, struct zsp_slice bytes, const char *why,
                      struct zsp_err *err)
{
    bool sync_failed;
    const int rc = layout_write_file(fs, "cut", path, bytes, &sync_failed, err);
    if (rc < 0) {
        return rc;
    }
    char reason_path[LAYOUT_PATH_MAX];
    int len = snprintf(reason_path, sizeof reason_path, "%s.txt", path);
    zsp_assert(len > 0 && (size_t)len < sizeof reason_path);
    char text[512];
    len = snprintf(text, sizeof text, "%s\n", why);
    const size_t text_len = len < 0 ? 0 : (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    return layout_write_file(fs, "cut", reason_path,
                             (struct zsp_slice){(const uint8_t *)text, text_len}, &sync_failed,
                             err);
}

int torn_set_aside(struct log_store *store, const char *name, int file, uint64_t from, uint64_t to,
                   const char *why, struct zsp_err *err)
{
    const size_t len = (size_t)(to - from);
    uint8_t *data = malloc(len ? len : 1);
    if (!data) {
        return zsp_err_set(err, ZSP_ENOMEM, "copy %zu bytes of a torn tail", len);
    }
    char path[LAYOUT_PATH_MAX];
    free_path(store->fs, name, path);
    struct zsp_err local = {0};
    int rc = read_piece(store->fs, file, data, len, from, &local);
    if (rc == 0) {
        rc = write_copy(store->fs, path, (struct zsp_slice){data, len}, why, &local);
    }
    free(data);
    store->stats.cut_bytes += len;
    if (rc == ZSP_ENO_SPACE) {
        zsp_diag(store->options.diag, ZSP_WARNING,
                 "%s: %zu bytes of a torn tail cut off; no room for a copy in %s", why, len, path);
        return 0;
    }
    if (rc < 0) {
        if (err) {
            *err = local;
        }
        return rc;
    }
    zsp_diag(store->options.diag, ZSP_WARNING, "%s: %zu bytes of a torn tail moved to %s", why, len,
             path);
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
