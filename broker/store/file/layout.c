/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/file/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/hash.h"

#define FORMAT_VERSION   2u /* 1 had no redo entries in its journal */
#define FORMAT_BYTES_MAX 512u
#define NUMBER_DIGITS    20u

static const char *const directories[] = {"journal", "topics", "cut", "quarantine", "trash"};

/* --- Names ---------------------------------------------------------------------- */

void layout_topic_path(char out[LAYOUT_PATH_MAX], uint64_t id, struct zsp_slice name)
{
    const int len = snprintf(out, LAYOUT_PATH_MAX, "topics/%" PRIu64 "-%.*s", id,
                             (int)(name.len < ZSP_NAME_MAX ? name.len : ZSP_NAME_MAX),
                             name.data ? (const char *)name.data : "");
    zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
}

void layout_part_path(char out[LAYOUT_PATH_MAX], const char *topic_path, uint32_t partition)
{
    const int len = snprintf(out, LAYOUT_PATH_MAX, "%s/%" PRIu32, topic_path, partition);
    zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
}

void layout_segment_path(char out[LAYOUT_PATH_MAX], const char *part_path, uint64_t number,
                         const char *suffix)
{
    const int len =
        snprintf(out, LAYOUT_PATH_MAX, "%s/%020" PRIu64 "%s", part_path, number, suffix);
    zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
}

void layout_generation_path(char out[LAYOUT_PATH_MAX], const char *part_path, uint64_t number,
                            uint32_t generation, const char *suffix)
{
    if (generation == 0) {
        layout_segment_path(out, part_path, number, suffix);
        return;
    }
    const int len = snprintf(out, LAYOUT_PATH_MAX, "%s/%020" PRIu64 "-%" PRIu32 "%s", part_path,
                             number, generation, suffix);
    zsp_assert(len > 0 && (size_t)len < LAYOUT_PATH_MAX);
}

void layout_journal_path(char out[LAYOUT_PATH_MAX], uint64_t number)
{
    layout_segment_path(out, "journal", number, ".jnl");
}

/* A decimal number of `len` digits; false when there is another byte or it does not fit. */
static bool parse_digits(const char *text, size_t len, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        const unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return len > 0;
}

bool layout_parse_number(const char *name, const char *suffix, uint64_t *ret)
{
    return strlen(name) == NUMBER_DIGITS + strlen(suffix) &&
           strcmp(name + NUMBER_DIGITS, suffix) == 0 && parse_digits(name, NUMBER_DIGITS, ret);
}

bool layout_parse_segment(const char *name, const char *suffix, uint64_t *ret_number,
                          uint32_t *ret_generation)
{
    const size_t suffix_len = strlen(suffix);
    const size_t len = strlen(name);
    uint64_t generation = 0;
    *ret_generation = 0;
    if (layout_parse_number(name, suffix, ret_number)) {
        return true;
    }
    if (len <= NUMBER_DIGITS + 1 + suffix_len || name[NUMBER_DIGITS] != '-' ||
        name[NUMBER_DIGITS + 1] == '0' || strcmp(name + len - suffix_len, suffix) != 0 ||
        !parse_digits(name, NUMBER_DIGITS, ret_number) ||
        !parse_digits(name + NUMBER_DIGITS + 1, len - suffix_len - NUMBER_DIGITS - 1,
                      &generation) ||
        generation > UINT32_MAX) {
        return false;
    }
    *ret_generation = (uint32_t)generation;
    return true;
}

/* --- Whole files ---------------------------------------------------------------- */

int layout_read_at(struct fs *fs, int file, uint8_t *data, size_t len, uint64_t pos,
                   size_t *ret_len, struct zsp_err *err)
{
    *ret_len = 0;
    while (*ret_len < len) {
        size_t got = 0;
        const int rc = fs->ops->read(fs->self, file, data + *ret_len, len - *ret_len,
                                     pos + *ret_len, &got, err);
        if (rc < 0) {
            return rc;
        }
        if (got == 0) {
            break;
        }
        *ret_len += got;
    }
    return 0;
}

int layout_write_at(struct fs *fs, int file, struct zsp_slice bytes, uint64_t pos,
                    struct zsp_err *err)
{
    while (bytes.len > 0) {
        /* pwritev does not change what it writes; iovec has no const. */
        struct iovec iov = {(void *)(uintptr_t)bytes.data, bytes.len};
        size_t written = 0;
        const int rc = fs->ops->write(fs->self, file, &iov, 1, pos, &written, err);
        if (rc < 0) {
            return rc;
        }
        if (written == 0) {
            return zsp_err_set(err, ZSP_EIO, "write at pos %" PRIu64 ": nothing was written", pos);
        }
        bytes.data += written;
        bytes.len -= written;
        pos += written;
    }
    return 0;
}

int layout_open_empty(struct fs *fs, const char *path, struct zsp_err *err)
{
    int file = fs->ops->open(fs->self, path, FS_CREATE, err);
    if (file != ZSP_EEXISTS) {
        return file;
    }
    file = fs->ops->open(fs->self, path, FS_WRITE, err);
    const int rc = file < 0 ? file : fs->ops->truncate(fs->self, file, 0, err);
    if (file >= 0 && rc < 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* the truncate is what failed */
    }
    return rc < 0 ? rc : file;
}

static int write_and_sync(struct fs *fs, const char *path, struct zsp_slice bytes,
                          bool *ret_sync_failed, struct zsp_err *err)
{
    const int file = layout_open_empty(fs, path, err); /* a crash may have left one */
    if (file < 0) {
        return file;
    }
    int rc = layout_write_at(fs, file, bytes, 0, err);
    if (rc == 0) {
        rc = fs->ops->sync(fs->self, file, err);
        *ret_sync_failed = rc < 0;
    }
    /* Synced or given up: nothing is lost by a failing close. */
    (void)fs->ops->close(fs->self, file, NULL);
    return rc < 0 ? rc : 0;
}

int layout_write_file(struct fs *fs, const char *directory, const char *path,
                      struct zsp_slice bytes, bool *ret_sync_failed, struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    *ret_sync_failed = false;
    char temporary[LAYOUT_PATH_MAX];
    const int len = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    zsp_assert(len > 0 && (size_t)len < sizeof temporary);
    int rc = write_and_sync(fs, temporary, bytes, ret_sync_failed, err);
    if (rc == 0) {
        rc = fs->ops->rename(fs->self, temporary, path, err);
    }
    if (rc < 0 && !*ret_sync_failed) {
        (void)fs->ops->unlink(fs->self, temporary, NULL); /* it would take room, for nothing */
    } else if (rc >= 0) {
        rc = fs->ops->sync_dir(fs->self, directory, err);
        *ret_sync_failed = rc < 0;
    }
    return rc < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}

int layout_write_derived(struct fs *fs, const char *directory, const char *path,
                         const char *segment_path, struct zsp_slice bytes, bool *ret_sync_failed,
                         struct zsp_err *err)
{
    const int rc = layout_write_file(fs, directory, path, bytes, ret_sync_failed, err);
    const int file = rc == 0 ? fs->ops->open(fs->self, segment_path, FS_READ, NULL) : rc;
    if (file >= 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* nothing was written */
    } else if (rc == 0 && file == ZSP_ENOT_FOUND) {
        (void)fs->ops->unlink(fs->self, path, NULL); /* else at the next start */
    }
    return rc;
}

static int read_open_file(struct fs *fs, int file, uint64_t max, struct zsp_writer *out,
                          struct zsp_err *err)
{
    uint64_t bytes = 0;
    int rc = fs->ops->size(fs->self, file, &bytes, err);
    if (rc < 0) {
        return rc;
    }
    if (bytes > max) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "%" PRIu64 " bytes, at most %" PRIu64, bytes, max);
    }
    uint8_t *data = zsp_write_room(out, (size_t)bytes);
    if (!data && bytes > 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "read %" PRIu64 " bytes", bytes);
    }
    size_t done = 0;
    while (done < bytes) {
        size_t got = 0;
        rc = fs->ops->read(fs->self, file, data + done, (size_t)bytes - done, done, &got, err);
        if (rc < 0) {
            return rc;
        }
        if (got == 0) {
            return zsp_err_set(err, ZSP_EIO, "the file ended at pos %zu of %" PRIu64, done, bytes);
        }
        done += got;
    }
    return 0;
}

int layout_read_file(struct fs *fs, const char *path, uint64_t max, struct zsp_writer *out,
                     struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    zsp_writer_reset(out);
    const int file = fs->ops->open(fs->self, path, FS_READ, err);
    if (file < 0) {
        return zsp_err_wrap(err, "%s", path);
    }
    const int rc = read_open_file(fs, file, max, out, err);
    (void)fs->ops->close(fs->self, file, NULL); /* only read */
    return rc < 0 ? zsp_err_wrap(err, "%s", path) : 0;
}

/* --- Lock and format -------------------------------------------------------------- */

static int take_lock(struct fs *fs, int file, int *ret_file, struct zsp_err *err)
{
    if (file < 0) {
        return zsp_err_wrap(err, "LOCK");
    }
    const int rc = fs->ops->lock(fs->self, file, err);
    if (rc < 0) {
        (void)fs->ops->close(fs->self, file, NULL); /* the lock is what failed */
        return zsp_err_wrap(err, "LOCK");
    }
    *ret_file = file;
    return 0;
}

int layout_lock(struct fs *fs, bool create, int *ret_file, struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    int file = fs->ops->open(fs->self, "LOCK", FS_WRITE, err);
    if (file == ZSP_ENOT_FOUND && create) {
        file = fs->ops->open(fs->self, "LOCK", FS_CREATE, err);
    }
    return take_lock(fs, file, ret_file, err);
}

int layout_lock_reading(struct fs *fs, int *ret_file, struct zsp_err *err)
{
    struct zsp_err local = {0};
    err = err ? err : &local;
    *ret_file = -1;
    const int file = fs->ops->open(fs->self, "LOCK", FS_READ, err);
    if (file == ZSP_ENOT_FOUND) {
        *err = (struct zsp_err){0};
        return 1;
    }
    return take_lock(fs, file, ret_file, err);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The text of FORMAT up to the sum line, which covers it. */
static size_t format_text(char *out, size_t size, unsigned version, const char *uuid)
{
    const int len = snprintf(out, size, "zspool store\nversion %u\nuuid %s\n", version, uuid);
    zsp_assert(len > 0 && (size_t)len < size);
    return (size_t)len;
}

/* The rest of the line that begins with `word`; false if there is none. Moves *text on. */
static bool take_line(const char **text, const char *word, char *out, size_t size)
{
    const size_t word_len = strlen(word);
    if (strncmp(*text, word, word_len) != 0) {
        return false;
    }
    const char *begin = *text + word_len;
    const char *end = strchr(begin, '\n');
    if (!end || (size_t)(end - begin) >= size) {
        return false;
    }
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    *text = end + 1;
    return true;
}

static bool parse_uuid(const char *hex, uint8_t uuid[STORE_UUID_BYTES])
{
    for (size_t i = 0; i < STORE_UUID_BYTES; i++) {
        const int high = hex_digit(hex[2 * i]);
        const int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        uuid[i] = (uint8_t)(high * 16 + low);
    }
    return hex[2 * STORE_UUID_BYTES] == '\0';
}

static int parse_format(const char *text, uint8_t uuid[STORE_UUID_BYTES], uint64_t *ret_version,
                        struct zsp_err *err)
{
    const char *rest = text;
    char line[64];
    uint64_t version = 0;
    if (!take_line(&rest, "zspool store", line, sizeof line) || line[0] != '\0' ||
        !take_line(&rest, "version ", line, sizeof line) ||
        !parse_digits(line, strlen(line), &version) || version == 0) {
        return zsp_err_set(err, ZSP_ECORRUPT, "FORMAT is damaged");
    }
    if (version > FORMAT_VERSION) {
        return zsp_err_set(err, ZSP_EFORMAT,
                           "FORMAT: store of version %" PRIu64 ", this broker knows %u", version,
                           FORMAT_VERSION);
    }
    char hex[2 * STORE_UUID_BYTES + 1];
    if (!take_line(&rest, "uuid ", hex, sizeof hex)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "FORMAT is damaged");
    }
    const struct zsp_slice summed = {(const uint8_t *)text, (size_t)(rest - text)};
    char sum[17];
    char want[17];
    const int len = snprintf(want, sizeof want, "%016" PRIx64, zsp_hash(summed));
    zsp_assert(len == 16);
    if (!take_line(&rest, "sum ", sum, sizeof sum) || *rest != '\0' || strcmp(sum, want) != 0 ||
        !parse_uuid(hex, uuid)) {
        return zsp_err_set(err, ZSP_ECORRUPT, "FORMAT is damaged");
    }
    *ret_version = version;
    return 0;
}

static int read_format(struct fs *fs, uint8_t ret_uuid[STORE_UUID_BYTES], uint64_t *ret_version,
                       struct zsp_err *err)
{
    struct zsp_writer text = {0};
    int rc = layout_read_file(fs, "FORMAT", FORMAT_BYTES_MAX, &text, err);
    if (rc == ZSP_ETOO_LARGE) {
        rc = zsp_err_set(err, ZSP_ECORRUPT, "FORMAT is damaged: too long");
    }
    if (rc == 0) {
        zsp_write_u8(&text, 0);
        if (text.failed) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "FORMAT");
        } else {
            rc = parse_format((const char *)text.data, ret_uuid, ret_version, err);
        }
    }
    zsp_writer_fini(&text);
    return rc;
}

int layout_read_format(struct fs *fs, uint8_t ret_uuid[STORE_UUID_BYTES], struct zsp_err *err)
{
    uint64_t version;
    return read_format(fs, ret_uuid, &version, err);
}

static int count_entry(void *arg, const struct fs_entry *entry)
{
    (void)entry;
    *(bool *)arg = false;
    return 1; /* one is enough */
}

int layout_is_empty(struct fs *fs, const char *path, bool *ret, struct zsp_err *err)
{
    *ret = true;
    const int rc = fs->ops->list(fs->self, path, count_entry, ret, err);
    return rc < 0 && rc != ZSP_ENOT_FOUND ? rc : 0;
}

static int write_format(struct fs *fs, const uint8_t uuid[STORE_UUID_BYTES], struct zsp_err *err)
{
    char hex[2 * STORE_UUID_BYTES + 1];
    for (size_t i = 0; i < STORE_UUID_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", uuid[i]); /* always two digits */
    }
    char text[FORMAT_BYTES_MAX];
    size_t len = format_text(text, sizeof text, FORMAT_VERSION, hex);
    const uint64_t sum = zsp_hash((struct zsp_slice){(const uint8_t *)text, len});
    const int more = snprintf(text + len, sizeof text - len, "sum %016" PRIx64 "\n", sum);
    zsp_assert(more > 0 && (size_t)more < sizeof text - len);
    bool sync_failed;
    return layout_write_file(fs, "", "FORMAT",
                             (struct zsp_slice){(const uint8_t *)text, len + (size_t)more},
                             &sync_failed, err);
}

int layout_raise_format(struct fs *fs, struct zsp_err *err)
{
    uint8_t uuid[STORE_UUID_BYTES] = {0};
    uint64_t version = 0;
    const int rc = read_format(fs, uuid, &version, err);
    return rc < 0 || version == FORMAT_VERSION ? rc : write_format(fs, uuid, err);
}

int layout_create(struct fs *fs, const uint8_t uuid[STORE_UUID_BYTES], struct zsp_err *err)
{
    for (size_t i = 0; i < 2; i++) { /* journal and topics */
        bool empty;
        int rc = layout_is_empty(fs, directories[i], &empty, err);
        if (rc == 0 && !empty) {
            rc = zsp_err_set(err, ZSP_ECORRUPT, "%s/ has files, but FORMAT is missing",
                             directories[i]);
        }
        if (rc < 0) {
            return rc;
        }
    }
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        const int rc = fs->ops->mkdir(fs->self, directories[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    const int rc = fs->ops->sync_dir(fs->self, "", err);
    return rc < 0 ? rc : write_format(fs, uuid, err);
}

/* --- Topics ------------------------------------------------------------------------ */

struct topic_walk {
    struct layout_topics *topics;
    void (*foreign_fn)(void *arg, const char *name);
    void *arg;
    bool no_memory;
};

static int topic_entry(void *arg, const struct fs_entry *entry)
{
    struct topic_walk *walk = arg;
    const char *dash = strchr(entry->name, '-');
    uint64_t id;
    if (!entry->is_directory || !dash || strlen(entry->name) > NUMBER_DIGITS + 1 + ZSP_NAME_MAX ||
        !parse_digits(entry->name, (size_t)(dash - entry->name), &id)) {
        if (walk->foreign_fn) {
            walk->foreign_fn(walk->arg, entry->name);
        }
        return 0;
    }
    struct layout_topics *topics = walk->topics;
    if ((topics->count & (topics->count - 1)) == 0) { /* full at each power of two */
        const size_t capacity = topics->count ? topics->count * 2 : 1;
        struct layout_topic *items = realloc(topics->items, capacity * sizeof *items);
        if (!items) {
            walk->no_memory = true;
            return 1;
        }
        topics->items = items;
    }
    const size_t path_bytes = sizeof "topics/" + strlen(entry->name);
    char *const path = malloc(path_bytes);
    if (!path) {
        walk->no_memory = true;
        return 1;
    }
    (void)snprintf(path, path_bytes, "topics/%s", entry->name);
    topics->items[topics->count++] = (struct layout_topic){.id = id, .path = path};
    return 0;
}

static int compare_topics(const void *a, const void *b)
{
    const struct layout_topic *x = a;
    const struct layout_topic *y = b;
    if (x->id != y->id) {
        return x->id < y->id ? -1 : 1;
    }
    return strcmp(x->path, y->path);
}

int layout_list(struct fs *fs, const char *path,
                int (*entry_fn)(void *arg, const struct fs_entry *entry), void *arg,
                struct zsp_err *err)
{
    const int rc = fs->ops->list(fs->self, path, entry_fn, arg, err);
    if (rc == ZSP_ENOT_FOUND) {
        return zsp_err_set(err, ZSP_ECORRUPT, "the directory %s is missing", path);
    }
    return rc;
}

int layout_read_topics(struct fs *fs, struct layout_topics *ret,
                       void (*foreign_fn)(void *arg, const char *name), void *arg,
                       struct zsp_err *err)
{
    struct topic_walk walk = {ret, foreign_fn, arg, false};
    const int rc = layout_list(fs, "topics", topic_entry, &walk, err);
    if (walk.no_memory) {
        return zsp_err_set(err, ZSP_ENOMEM, "list of topics/");
    }
    if (rc < 0) {
        return rc;
    }
    if (ret->count > 1) {
        qsort(ret->items, ret->count, sizeof *ret->items, compare_topics);
    }
    return 0;
}

struct layout_topic *layout_find_topic(const struct layout_topics *self, uint64_t id)
{
    size_t first = 0;
    size_t end = self->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (self->items[middle].id < id) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first < self->count && self->items[first].id == id ? &self->items[first] : NULL;
}

void layout_topics_fini(struct layout_topics *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->items[i].path);
    }
    free(self->items);
    memset(self, 0, sizeof *self);
}
