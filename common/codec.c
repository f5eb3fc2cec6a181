/* SPDX-License-Identifier: MPL-2.0 */
#include "common/codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/assert.h"
#include "common/limits.h"

/* The front of a frame (RFC 8878, 3.1.1): magic, descriptor, window descriptor. */
#define FRAME_MAGIC     0xFD2FB528u
#define DESCRIPTOR_POS  4u
#define WINDOW_POS      5u
#define FRONT_BYTES     6u
#define HAS_DICTIONARY  0x03u /* of the descriptor: bytes of a dictionary id, coded */
#define SINGLE_SEGMENT  0x20u /* the window is the content, no window descriptor */
#define WINDOW_LOG_BASE 10u

/* --- Compression ---------------------------------------------------------------------- */

struct zsp_packer {
    ZSTD_CCtx *context;
};

struct zsp_packer *zsp_packer_new(int level)
{
    zsp_assert(level >= ZSP_CODEC_LEVEL_MIN);
    zsp_assert(level <= ZSP_CODEC_LEVEL_MAX);
    struct zsp_packer *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->context = ZSTD_createCCtx();
    if (!self->context ||
        ZSTD_isError(ZSTD_CCtx_setParameter(self->context, ZSTD_c_compressionLevel, level))) {
        zsp_packer_destroy(&self);
    }
    return self;
}

void zsp_packer_destroy(struct zsp_packer **self_p)
{
    struct zsp_packer *const self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    (void)ZSTD_freeCCtx(self->context); /* it cannot fail */
    free(self);
}

int64_t zsp_pack(struct zsp_packer *self, struct zsp_slice raw, uint8_t *out, size_t capacity)
{
    zsp_assert(raw.len > 0);
    const size_t len = ZSTD_compress2(self->context, out, capacity, raw.data, raw.len);
    if (!ZSTD_isError(len)) {
        return (int64_t)len;
    }
    const ZSTD_ErrorCode code = ZSTD_getErrorCode(len);
    zsp_assert(code == ZSTD_error_dstSize_tooSmall || code == ZSTD_error_memory_allocation);
    return code == ZSTD_error_dstSize_tooSmall ? 0 : ZSP_ENOMEM;
}

/* --- Decompression --------------------------------------------------------------------- */

struct zsp_unpacker {
    ZSTD_DCtx *context;
};

struct zsp_unpacker *zsp_unpacker_new(void)
{
    struct zsp_unpacker *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->context = ZSTD_createDCtx();
    if (!self->context) {
        zsp_unpacker_destroy(&self);
    }
    return self;
}

void zsp_unpacker_destroy(struct zsp_unpacker **self_p)
{
    struct zsp_unpacker *const self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    (void)ZSTD_freeDCtx(self->context); /* it cannot fail */
    free(self);
}

/* What a window descriptor asks a decoder to keep. */
static uint64_t window_bytes(uint8_t descriptor)
{
    const uint64_t base = UINT64_C(1) << (WINDOW_LOG_BASE + (descriptor >> 3));
    return base + base / 8 * (descriptor & 7u);
}

/* One call decompresses into one buffer and needs no window; who decompresses piece by
 * piece does, so everybody is spared a large one. */
static int check_front(struct zsp_slice packed, struct zsp_err *err)
{
    if (packed.len < FRONT_BYTES || zsp_get_u32(packed.data) != FRAME_MAGIC) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "no zstd frame begins here");
    }
    const uint8_t descriptor = packed.data[DESCRIPTOR_POS];
    if (descriptor & HAS_DICTIONARY) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "the zstd frame wants a dictionary");
    }
    if (!(descriptor & SINGLE_SEGMENT) && window_bytes(packed.data[WINDOW_POS]) > ZSP_FRAME_MAX) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body",
                                 "the zstd frame wants a window of %" PRIu64 " bytes, at most %u",
                                 window_bytes(packed.data[WINDOW_POS]), ZSP_FRAME_MAX);
    }
    return 0;
}

/* The size that the frame may tell, and where it ends. */
static int check_sizes(struct zsp_slice packed, size_t raw_bytes, struct zsp_err *err)
{
    const unsigned long long told = ZSTD_getFrameContentSize(packed.data, packed.len);
    if (told == ZSTD_CONTENTSIZE_ERROR) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body",
                                 "the zstd frame's header is damaged");
    }
    if (told != ZSTD_CONTENTSIZE_UNKNOWN && told != raw_bytes) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body",
                                 "the zstd frame tells %llu bytes, wanted %zu", told, raw_bytes);
    }
    const size_t len = ZSTD_findFrameCompressedSize(packed.data, packed.len);
    if (ZSTD_isError(len)) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "the zstd frame is not whole: %s",
                                 ZSTD_getErrorName(len));
    }
    if (len != packed.len) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "%zu bytes behind the zstd frame",
                                 packed.len - len);
    }
    return 0;
}

int zsp_unpack(struct zsp_unpacker *self, struct zsp_slice packed, uint8_t *out, size_t raw_bytes,
               struct zsp_err *err)
{
    zsp_assert(raw_bytes > 0);
    int rc = check_front(packed, err);
    if (rc == 0) {
        rc = check_sizes(packed, raw_bytes, err);
    }
    if (rc != 0) {
        return rc;
    }
    const size_t len = ZSTD_decompressDCtx(self->context, out, raw_bytes, packed.data, packed.len);
    if (ZSTD_isError(len) && ZSTD_getErrorCode(len) != ZSTD_error_dstSize_tooSmall) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body", "the zstd frame is damaged: %s",
                                 ZSTD_getErrorName(len));
    }
    if (len != raw_bytes) {
        return zsp_err_set_about(err, ZSP_EBAD_RECORD, "body",
                                 "the zstd frame holds %s than %zu bytes",
                                 ZSTD_isError(len) ? "more" : "less", raw_bytes);
    }
    return 0;
}
