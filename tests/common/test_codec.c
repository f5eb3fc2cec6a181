/* SPDX-License-Identifier: MPL-2.0
 *
 * Compressed bodies, and everything that is no compressed body.
 */
#include <stdlib.h>

#include <zstd.h>

#include "common/codec.h"
#include "common/limits.h"
#include "tests/common/testing.h"

#define RAW_BYTES 10000u

struct fixture {
    struct zsp_packer *packer;
    struct zsp_unpacker *unpacker;
    uint8_t raw[RAW_BYTES], packed[RAW_BYTES], out[RAW_BYTES];
    size_t packed_len;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->packer = zsp_packer_new(ZSP_CODEC_LEVEL_DEFAULT);
    f->unpacker = zsp_unpacker_new();
    assert_non_null(f->packer);
    assert_non_null(f->unpacker);
    for (size_t i = 0; i < RAW_BYTES; i++) {
        f->raw[i] = (uint8_t)(i / 7 * 31);
    }
    const int64_t len =
        zsp_pack(f->packer, (struct zsp_slice){f->raw, RAW_BYTES}, f->packed, sizeof f->packed);
    assert_true(len > 0);
    f->packed_len = (size_t)len;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    zsp_packer_destroy(&f->packer);
    zsp_unpacker_destroy(&f->unpacker);
    free(f);
    return 0;
}

/* Unpack and insist on a refusal that says `why`. */
static void refused(struct fixture *f, struct zsp_slice packed, size_t raw_bytes, const char *why)
{
    struct zsp_err err = {0};
    assert_true(raw_bytes <= sizeof f->out);
    assert_int_equal(zsp_unpack(f->unpacker, packed, f->out, raw_bytes, &err), ZSP_EBAD_RECORD);
    if (!strstr(err.msg, why)) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    }
}

static void a_body_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct zsp_slice packed = {f->packed, f->packed_len};
    assert_true(f->packed_len < RAW_BYTES / 4);
    for (int i = 0; i < 2; i++) {
        memset(f->out, 0, sizeof f->out);
        assert_int_equal(zsp_unpack(f->unpacker, packed, f->out, RAW_BYTES, NULL), 0);
        assert_memory_equal(f->out, f->raw, RAW_BYTES);
    }
}

static void what_does_not_shrink_is_told(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 1;
    for (size_t i = 0; i < RAW_BYTES; i++) {
        random = random * 1664525u + 1013904223u;
        f->raw[i] = (uint8_t)(random >> 24);
    }
    const struct zsp_slice raw = {f->raw, RAW_BYTES};
    assert_int_equal(zsp_pack(f->packer, raw, f->packed, RAW_BYTES - 1), 0);
}

static void every_level_that_is_offered_can_be_read_back(void **state)
{
    struct fixture *f = *state;
    for (int level = ZSP_CODEC_LEVEL_MIN; level <= ZSP_CODEC_LEVEL_MAX; level++) {
        struct zsp_packer *packer = zsp_packer_new(level);
        const int64_t len =
            zsp_pack(packer, (struct zsp_slice){f->raw, RAW_BYTES}, f->packed, sizeof f->packed);
        assert_true(len > 0);
        const struct zsp_slice packed = {f->packed, (size_t)len};
        assert_int_equal(zsp_unpack(f->unpacker, packed, f->out, RAW_BYTES, NULL), 0);
        zsp_packer_destroy(&packer);
    }
}

static void another_size_than_told_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct zsp_slice packed = {f->packed, f->packed_len};
    refused(f, packed, RAW_BYTES - 1, "tells 10000 bytes, wanted 9999");
    refused(f, packed, 1, "tells 10000 bytes, wanted 1");
}

/* Goal: a frame that does not tell its size is held to the one that was told. */
static void a_frame_without_its_size_is_measured(void **state)
{
    struct fixture *f = *state;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)));
    const size_t len = ZSTD_compress2(context, f->packed, sizeof f->packed, f->raw, 9000);
    assert_false(ZSTD_isError(len));
    const struct zsp_slice packed = {f->packed, len};
    assert_int_equal(zsp_unpack(f->unpacker, packed, f->out, 9000, NULL), 0);
    refused(f, packed, 8999, "more than 8999 bytes");
    refused(f, packed, 9001, "less than 9001 bytes");
    (void)ZSTD_freeCCtx(context);
}

static void a_cut_frame_is_refused(void **state)
{
    struct fixture *f = *state;
    struct zsp_err err;
    for (size_t len = 0; len < f->packed_len; len++) {
        const struct zsp_slice packed = {f->packed, len};
        assert_int_equal(zsp_unpack(f->unpacker, packed, f->out, RAW_BYTES, &err), ZSP_EBAD_RECORD);
    }
}

/* Goal: a flipped bit is refused or gives as many bytes, never more, never a crash. */
static void flipped_bits_do_no_harm(void **state)
{
    struct fixture *f = *state;
    for (size_t bit = 0; bit < f->packed_len * 8; bit++) {
        f->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const struct zsp_slice packed = {f->packed, f->packed_len};
        const int rc = zsp_unpack(f->unpacker, packed, f->out, RAW_BYTES, NULL);
        assert_true(rc == 0 || rc == ZSP_EBAD_RECORD);
        f->packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void nothing_may_follow_the_frame(void **state)
{
    struct fixture *f = *state;
    uint8_t *end = f->packed + f->packed_len;
    *end = 0;
    refused(f, (struct zsp_slice){f->packed, f->packed_len + 1}, RAW_BYTES, "1 bytes behind");
    memcpy(end, f->packed, f->packed_len);
    refused(f, (struct zsp_slice){f->packed, 2 * f->packed_len}, RAW_BYTES, "behind the zstd");
    const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7};
    memcpy(end, skippable, sizeof skippable);
    refused(f, (struct zsp_slice){f->packed, f->packed_len + sizeof skippable}, RAW_BYTES,
            "9 bytes behind");
}

static void other_beginnings_are_no_frame(void **state)
{
    struct fixture *f = *state;
    const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7};
    const uint8_t legacy[] = {0x27, 0xB5, 0x2F, 0xFD, 0, 0, 0, 0, 0}; /* zstd 0.7 */
    refused(f, (struct zsp_slice){skippable, sizeof skippable}, 1, "no zstd frame");
    refused(f, (struct zsp_slice){legacy, sizeof legacy}, 1, "no zstd frame");
    refused(f, (struct zsp_slice){f->raw, RAW_BYTES}, 1, "no zstd frame");
    refused(f, (struct zsp_slice){NULL, 0}, 1, "no zstd frame");
}

static void a_dictionary_is_refused(void **state)
{
    struct fixture *f = *state;
    f->packed[4] |= 1; /* one byte of a dictionary's id */
    refused(f, (struct zsp_slice){f->packed, f->packed_len}, RAW_BYTES, "dictionary");
}

/* Goal: few bytes cannot ask for much memory. Method: a frame that tells a window of 2^41 bytes,
 * one that tells 2^60 bytes of content, and one that repeats a byte for ever. */
static void bombs_allocate_nothing(void **state)
{
    struct fixture *f = *state;
    const uint8_t window[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xF8, 0x01, 0x00, 0x00};
    const uint8_t content[] = {0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0};
    const uint8_t repeated[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, /* 2 MiB of window, */
                                0x03, 0x00, 0x10, 'x'};             /* 128 KiB of x */
    refused(f, (struct zsp_slice){window, sizeof window}, 100, "window of 2199023255552 bytes");
    refused(f, (struct zsp_slice){content, sizeof content}, 100, "tells 1152921504606846976");
    refused(f, (struct zsp_slice){repeated, sizeof repeated}, 100, "more than 100 bytes");
}

static void a_window_as_large_as_a_body_is_allowed(void **state)
{
    struct fixture *f = *state;
    /* 2^23 bytes: descriptor 13 << 3; one eighth more is too much. One raw block of "x". */
    uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 13u << 3, 0x09, 0x00, 0x00, 'x'};
    assert_int_equal(
        zsp_unpack(f->unpacker, (struct zsp_slice){frame, sizeof frame}, f->out, 1, NULL), 0);
    assert_int_equal(f->out[0], 'x');
    frame[5]++;
    refused(f, (struct zsp_slice){frame, sizeof frame}, 1, "window of 9437184 bytes");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_body_comes_back_as_it_was),
        TEST(what_does_not_shrink_is_told),
        TEST(every_level_that_is_offered_can_be_read_back),
        TEST(another_size_than_told_is_refused),
        TEST(a_frame_without_its_size_is_measured),
        TEST(a_cut_frame_is_refused),
        TEST(flipped_bits_do_no_harm),
        TEST(nothing_may_follow_the_frame),
        TEST(other_beginnings_are_no_frame),
        TEST(a_dictionary_is_refused),
        TEST(bombs_allocate_nothing),
        TEST(a_window_as_large_as_a_body_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
