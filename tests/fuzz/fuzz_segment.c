/* SPDX-License-Identifier: MPL-2.0
 *
 * Any bytes as a segment file: for the walk that tells damage from a torn tail, and for
 * the one that shows files as they are. Headers whose fields hold together get sums that
 * do so, too; else the fuzzer would never come behind them.
 *
 * input: proven mark (8), then the file
 */
#include <string.h>

#include "broker/store/check/inspect.h"
#include "broker/store/segment/log_walk.h"
#include "common/assert.h"
#include "common/hash.h"

#define FILE_BYTES_MAX 65536u

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file system of one file. */
struct one_file {
    uint8_t bytes[FILE_BYTES_MAX];
    size_t len;
};

static int one_open(void *self, const char *path, enum fs_open_mode mode, struct zsp_err *err)
{
    (void)self;
    (void)path;
    (void)mode;
    (void)err;
    return 0;
}

static int one_close(void *self, int file, struct zsp_err *err)
{
    (void)self;
    (void)file;
    (void)err;
    return 0;
}

static int one_read(void *self, int file, void *to, size_t len, uint64_t pos, size_t *ret_len,
                    struct zsp_err *err)
{
    const struct one_file *one = self;
    (void)file;
    (void)err;
    *ret_len = pos < one->len ? one->len - (size_t)pos : 0;
    *ret_len = *ret_len < len ? *ret_len : len;
    memcpy(to, one->bytes + (pos < one->len ? pos : 0), *ret_len);
    return 0;
}

static int one_size(void *self, int file, uint64_t *ret_bytes, struct zsp_err *err)
{
    const struct one_file *one = self;
    (void)file;
    (void)err;
    *ret_bytes = one->len;
    return 0;
}

/* Give every header that could be one the sums of its place. */
static void mend_sums(struct one_file *one, struct batch_place place)
{
    for (place.pos = 0; place.pos + BATCH_HEADER_BYTES <= one->len; place.pos += BATCH_ALIGN) {
        uint8_t *at = one->bytes + place.pos;
        struct batch_header header;
        if (!batch_has_magic(at) || batch_decode_unbound(at, &header, NULL) < 0) {
            continue;
        }
        const size_t left = one->len - (size_t)place.pos - BATCH_HEADER_BYTES;
        if (header.batch.body.len <= left) {
            header.body_sum =
                zsp_hash((struct zsp_slice){at + BATCH_HEADER_BYTES, header.batch.body.len});
        }
        batch_encode(at, &header, &place);
    }
}

static void inspect(struct fs *fs, const struct batch_place *place)
{
    struct inspect_segment segment;
    struct inspect_item item;
    uint64_t pos = 0;
    int found = inspect_segment_open(&segment, fs, "segment", place, NULL);
    zsp_assert(found == 0);
    while ((found = inspect_segment_next(&segment, &item, NULL)) != INSPECT_END) {
        zsp_assert(found >= 0);
        zsp_assert(item.pos == pos);
        zsp_assert(item.end_pos > pos);
        pos = item.end_pos;
    }
    inspect_segment_close(&segment);
}

static void walk(struct fs *fs, const struct batch_place *place, uint64_t proven, uint64_t bytes)
{
    struct log_walk self = {.scan = {.fs = fs, .file_bytes = bytes, .place = *place},
                            .proven = proven,
                            .search_bytes = FILE_BYTES_MAX / 2};
    uint64_t offset = 0;
    bool more = true;
    while (more) {
        struct batch_header header;
        struct walk_gap gap;
        const int found = log_walk_next(&self, true, &header, &gap, NULL);
        zsp_assert(found >= 0);
        zsp_assert(self.scan.place.pos <= bytes);
        zsp_assert(self.scan.offset >= offset);
        offset = self.scan.offset;
        more = found == WALK_BATCH || (found == WALK_DAMAGE && gap.resumed);
    }
    scan_fini(&self.scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[STORE_UUID_BYTES];
    static struct one_file one;
    if (size < 8 || size - 8 > FILE_BYTES_MAX) {
        return 0;
    }
    one.len = size - 8;
    memcpy(one.bytes, data + 8, one.len);
    const struct fs_ops ops = {
        .open = one_open, .close = one_close, .read = one_read, .size = one_size};
    struct fs fs = {&ops, &one};
    const struct batch_place place = {uuid, 7, 0, 0, 0, 0};
    const struct batch_place nowhere = {0};
    inspect(&fs, &place);
    mend_sums(&one, place);
    inspect(&fs, &place);
    inspect(&fs, &nowhere);
    walk(&fs, &place, zsp_get_u64(data), one.len);
    return 0;
}
