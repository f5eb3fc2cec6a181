/* SPDX-License-Identifier: MPL-2.0
 *
 * The bytes of one stored batch: a header of fixed size, the body as it was
 * received, zeros up to the next multiple of BATCH_ALIGN.
 *
 *    pos size  field
 *      0    4  magic "ZSPB"
 *      4    1  version, 1
 *      5    1  codec: 0 = none, 1 = zstd (common/codec.h)
 *      6    1  priority, 0-9
 *      7    1  zero
 *      8    4  header bytes, 112
 *     12    4  body bytes, 1..ZSP_FRAME_MAX
 *     16    4  record count, >= 1
 *     20    4  raw size, 0 = not compressed
 *     24    8  offset of the first record
 *     32    8  timestamp, wall ms
 *     40    8  producer id, 0 = none
 *     48    4  producer epoch
 *     52    4  zero
 *     56    8  sequence of the first record, 0 = none
 *     64    8  not before, wall ms, 0 = none
 *     72    8  expires at, wall ms, 0 = none
 *     80    8  synced to: the partition's mark when this was written
 *     88    8  broker epoch: start count << 32 | rollback count
 *     96    8  body sum: XXH3-64 of the body
 *    104    8  header sum: XXH3-64 of bytes 0..103, seeded with the binding
 *
 * All numbers are little-endian. The binding is the XXH3-64 of store uuid (16),
 * topic id (8), partition (4), generation of the file (4), segment number (8), pos of the
 * header in the file (8): a batch is valid only where it was written.
 */
#ifndef ZSP_STORE_BATCH_H
#define ZSP_STORE_BATCH_H

#include "broker/store/store.h"
#include "common/limits.h"

#define BATCH_HEADER_BYTES 112u
#define BATCH_ALIGN        8u
/* A codec that is none: the batch stands for offsets whose messages are lost (repair.h). It holds
 * zeros; the offsets are absent. */
#define BATCH_CODEC_LOST 255u
/* Likewise: some of its offsets are absent, since compaction took their messages. The body tells which
 * are there (sparse.h). */
#define BATCH_CODEC_SPARSE 254u
#define STORE_UUID_BYTES   16u

/* Where a batch lies. */
struct batch_place {
    const uint8_t *uuid; /* STORE_UUID_BYTES, borrowed */
    uint64_t topic_id;
    uint32_t partition;
    uint64_t segment;
    uint64_t pos;
    uint32_t generation; /* of the segment's file: 0 as appended, else how often it was compacted */
};

struct batch_header {
    struct store_batch batch; /* frame is NULL; body.len is set, body.data is not */
    uint64_t synced_to;
    uint64_t epoch;
    uint64_t body_sum;
};

/* Bytes of a stored batch with header and padding. */
uint64_t batch_bytes(uint64_t body_bytes);

/* The binding of a file that belongs to the segment: that of a batch at pos 0, whatever `pos` is. */
uint64_t batch_segment_binding(const struct batch_place *place);

/* Write the header; every field of `header` is used but the frame. */
void batch_encode(uint8_t out[BATCH_HEADER_BYTES], const struct batch_header *header,
                  const struct batch_place *place);

/* Read and check a header. The offsets it covers are known not to wrap.
 *
 * Errors: ZSP_ECORRUPT  not a valid header for this place; err says what is wrong
 */
int batch_decode(const uint8_t bytes[BATCH_HEADER_BYTES], const struct batch_place *place,
                 struct batch_header *ret, struct zsp_err *err);

/* The same for a header whose place is not known, so that its sum says nothing: the fields only
 * hold together. For looking at lone files; nothing may be concluded from it. */
int batch_decode_unbound(const uint8_t bytes[BATCH_HEADER_BYTES], struct batch_header *ret,
                         struct zsp_err *err);

/* Do the bytes begin like a header? Says nothing about validity. */
bool batch_has_magic(const uint8_t *bytes);

/* Does the body's sum hold? */
bool batch_body_valid(const struct batch_header *header, struct zsp_slice body);

#endif
