/* SPDX-License-Identifier: MPL-2.0
 *
 * Compressed bodies: the records of a batch as one zstd frame, on the wire and on
 * disk. The only file that knows zstd.
 *
 * Foreign frames are never trusted: exactly one frame, of a size that was told and
 * is bounded by the caller, a window of at most ZSP_FRAME_MAX, no dictionary. The
 * memory is the caller's buffer and a context of fixed size, whatever the bytes say.
 */
#ifndef ZSP_CODEC_H
#define ZSP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/compiler.h"
#include "common/err.h"

/* Numbers are on disk (batch header): never reused. */
enum zsp_codec { ZSP_CODEC_NONE = 0, ZSP_CODEC_ZSTD = 1 };

#define ZSP_CODEC_ZSTD_NAME "zstd" /* on the wire */

/* Levels of zstd that are used; more takes long for little. */
#define ZSP_CODEC_LEVEL_MIN     1
#define ZSP_CODEC_LEVEL_DEFAULT 3
#define ZSP_CODEC_LEVEL_MAX     19

/* Compression, with memory that is reused. One thread at a time. */
struct zsp_packer;
/* `level` is in its range. NULL: out of memory. */
struct zsp_packer *zsp_packer_new(int level);
void zsp_packer_destroy(struct zsp_packer **self_p);

/* Compress `raw` (not empty) into `out`, which has `capacity` bytes: how many of them, 0 when the
 * frame has no room there. Errors: ZSP_ENOMEM */
ZSP_MUST_CHECK int64_t zsp_pack(struct zsp_packer *self, struct zsp_slice raw, uint8_t *out,
                                size_t capacity);

/* Decompression, with memory that is reused. One thread at a time. */
struct zsp_unpacker;
/* NULL: out of memory. */
struct zsp_unpacker *zsp_unpacker_new(void);
void zsp_unpacker_destroy(struct zsp_unpacker **self_p);

/* Decompress one frame of exactly `raw_bytes` (1 or more) into `out`, which has that room.
 *
 * Errors: ZSP_EBAD_RECORD  not one whole frame, nothing else, of that size; a window beyond
 *                          ZSP_FRAME_MAX, a dictionary; err says which
 */
ZSP_MUST_CHECK int zsp_unpack(struct zsp_unpacker *self, struct zsp_slice packed, uint8_t *out,
                              size_t raw_bytes, struct zsp_err *err);

#endif
