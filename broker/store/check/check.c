/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/store/check/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check_priv.h"
#include "broker/store/file/sparse.h"
#include "broker/store/journal/journal_scan.h"
#include "broker/store/journal/redo_damage.h"
#include "broker/store/segment/scan.h"
#include "common/codec.h"
#include "common/record.h"

#define TEXT_MAX       512u
#define PROGRESS_BYTES (4u * ZSP_MIB) /* how often progress is told */
#define REASON_MAX     256u

/* --- Telling --------------------------------------------------------------------------- */

ZSP_PRINTF(3, 0)
static void tell(struct check *self, struct check_finding finding, const char *format, va_list args)
    ZSP_PRINTF(3, 0);

static void tell(struct check *self, struct check_finding finding, const char *format, va_list args)
{
    char text[TEXT_MAX];
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the caller starts it */
    if (vsnprintf(text, sizeof text, format, args) < 0) {
        text[0] = '\0';
    }
    finding.text = text;
    if (finding.severity == CHECK_NOTE) {
        self->summary.notes++;
    } else {
        self->summary.damages++;
        self->summary.lost_messages += finding.offsets.end_offset - finding.offsets.first_offset;
    }
    self->options->finding_fn(self->options->arg, &finding);
}

void check_tell(struct check *self, const struct check_finding *finding, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(self, *finding, format, args);
    va_end(args);
}

void check_tell_path(struct check *self, enum check_severity severity, const char *path,
                     const char *format, ...)
{
    const struct check_finding finding = {
        .severity = severity, .path = path, .pos = CHECK_NO_POS, .end_pos = CHECK_NO_POS};
    va_list args;
    va_start(args, format);
    tell(self, finding, format, args);
    va_end(args);
}

int check_unreadable(struct check *self, const char *path, const struct zsp_err *why,
                     struct zsp_err *err)
{
    if (why->code == ZSP_ENOMEM) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: %s", path, why->msg);
    }
    check_tell_path(self, CHECK_DAMAGE, path, "cannot be read: %s", why->msg);
    return 0;
}

int check_progress(struct check *self, uint64_t bytes, struct zsp_err *err)
{
    struct check_summary *summary = &self->summary;
    summary->read_bytes += bytes;
    if (!self->options->progress_fn || summary->read_bytes - self->told_bytes < PROGRESS_BYTES) {
        return 0;
    }
    self->told_bytes = summary->read_bytes;
    return self->options->progress_fn(self->options->arg, summary->read_bytes, self->total_bytes)
               ? 0
               : zsp_err_set(err, ZSP_EINTERRUPTED, "stopped");
}

static int check_records(const struct store_batch *batch, struct zsp_slice body,
                         struct zsp_err *why)
{
    uint32_t count = 0;
    const int rc = zsp_record_check(body, ZSP_RECORD_MAX, &count, why);
    if (rc < 0) {
        return zsp_err_wrap(why, "its sum holds, its records do not");
    }
    if (count != batch->record_count) {
        return zsp_err_set(why, ZSP_ECOUNT_MISMATCH,
                           "%" PRIu32 " records, the header says %" PRIu32, count,
                           batch->record_count);
    }
    return 0;
}

static int check_packed(const struct store_batch *batch, struct zsp_err *why)
{
    if (batch->raw_bytes == 0 || batch->raw_bytes > ZSP_FRAME_MAX) {
        return zsp_err_set(why, ZSP_EBAD_RECORD, "its records are %" PRIu32 " bytes, at most %u",
                           batch->raw_bytes, ZSP_FRAME_MAX);
    }
    struct zsp_unpacker *unpacker = zsp_unpacker_new();
    uint8_t *raw = malloc(batch->raw_bytes);
    int rc = unpacker && raw ? 0 : zsp_err_set(why, ZSP_ENOMEM, "out of memory");
    if (rc == 0) {
        rc = zsp_unpack(unpacker, batch->body, raw, batch->raw_bytes, why);
    }
    if (rc == 0) {
        rc = check_records(batch, (struct zsp_slice){raw, batch->raw_bytes}, why);
    }
    free(raw);
    zsp_unpacker_destroy(&unpacker);
    return rc;
}

static int check_sparse(const struct store_batch *batch, struct zsp_err *why)
{
    struct sparse sparse;
    struct sparse_run run;
    int rc = sparse_open(&sparse, batch, why);
    while (rc == 0 && sparse_next(&sparse, &run)) {
        const struct store_batch part = sparse_batch(batch, &run);
        rc = check_records(&part, run.records, why);
    }
    return rc;
}

int check_body(void *arg, const struct store_batch *batch, struct zsp_err *why)
{
    (void)arg;
    switch (batch->codec) {
    case BATCH_CODEC_SPARSE:
        return check_sparse(batch, why);
    case ZSP_CODEC_NONE:
        return check_records(batch, batch->body, why);
    case ZSP_CODEC_ZSTD:
        return check_packed(batch, why);
    default:
        return 1;
    }
}

/* --- Sizes, for the progress -------------------------------------------------------------- */

struct sizes {
    struct check *check;
    const char *path;
    unsigned depth;
};

static void add_sizes(struct check *self, const char *path, unsigned depth);

static int add_size(void *arg, const struct fs_entry *entry)
{
    const struct sizes *sizes = arg;
    char path[LAYOUT_PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", sizes->path, entry->name);
    if (!entry->is_directory) {
        sizes->check->total_bytes += entry->bytes;
    } else if (sizes->depth > 0 && len > 0 && (size_t)len < sizeof path) {
        add_sizes(sizes->check, path, sizes->depth - 1);
    }
    return 0;
}

static void add_sizes(struct check *self, const char *path, unsigned depth)
{
    struct sizes sizes = {self, path, depth};
    (void)self->fs->ops->list(self->fs->self, path, add_size, &sizes, NULL); /* only an estimate */
}

/* --- The journal --------------------------------------------------------------------------- */

static void tell_foreign_journal(void *arg, const char *name)
{
    check_tell_path(arg, CHECK_NOTE, "journal", "%s: unknown file", name);
}

static void tell_journal_damage(struct check *self, const struct journal_scan *scan,
                                const struct zsp_err *why)
{
    char path[LAYOUT_PATH_MAX] = "journal";
    const bool placed = scan->damage_file != 0;
    if (placed) {
        layout_journal_path(path, scan->damage_file);
    }
    self->summary.journal_damaged = true;
    self->summary.journal_damage_file = scan->damage_file;
    self->summary.journal_damage_pos = scan->damage_pos;
    const struct check_finding finding = {
        .severity = CHECK_DAMAGE,
        .path = path,
        .pos = placed ? scan->damage_pos : CHECK_NO_POS,
        .end_pos = CHECK_NO_POS,
    };
    check_tell(self, &finding,
               "%s; %" PRIu64 " records before it hold; zspoold does not start like this",
               placed ? scan_without_pos(scan->damage.msg) : why->msg, scan->record_count);
}

static void tell_journal_torn(struct check *self, const struct journal_scan *scan)
{
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, scan->torn_file);
    self->summary.torn_bytes += scan->torn_end - scan->end_pos;
    const struct check_finding finding = {
        .severity = CHECK_NOTE, .path = path, .pos = scan->end_pos, .end_pos = scan->torn_end};
    check_tell(self, &finding,
               "torn tail of %" PRIu64 " bytes, never confirmed; the next start moves it to cut/",
               scan->torn_end - scan->end_pos);
}

static void tell_redo_damage(void *arg, const struct redo_item *item, enum redo_verdict verdict)
{
    struct check *self = arg;
    char path[LAYOUT_PATH_MAX];
    layout_journal_path(path, item->file);
    const struct check_finding finding = {
        .severity = verdict == REDO_LOST ? CHECK_DAMAGE : CHECK_NOTE,
        .path = path,
        .pos = item->file_pos,
        .end_pos = (uint64_t)item->file_pos + item->len,
    };
    if (verdict != REDO_LOST) {
        check_tell(self, &finding,
                   "the data of a redo entry is damaged; topic %" PRIu64 " partition %" PRIu32
                   " %s: passed over",
                   item->topic_id, item->partition,
                   verdict == REDO_PAID ? "needs it no more" : "has it in its segment");
        return;
    }
    if (!self->summary.journal_damaged) {
        self->summary.journal_damage_file = item->file;
        self->summary.journal_damage_pos = item->file_pos;
    }
    self->summary.journal_damaged = true;
    check_tell(self, &finding,
               "the data of a redo entry is damaged, and topic %" PRIu64 " partition %" PRIu32
               " lacks it at pos %" PRIu64 " of segment %" PRIu64
               "; zspoold does not start like this",
               item->topic_id, item->partition, item->pos, item->segment);
}

/* What the damage of redo entries comes to. */
static int check_redo(struct check *self, struct zsp_err *err)
{
    struct zsp_err why = {0};
    const struct redo_judge judge = {.fs = self->fs,
                                     .carry = &self->carry,
                                     .topics = &self->topics,
                                     .verdict_fn = tell_redo_damage,
                                     .arg = self};
    const int rc = redo_judge(&judge, &self->redo, &why);
    return rc < 0 ? check_unreadable(self, "topics", &why, err) : 0;
}

/* The start count, which no batch may exceed, and the oldest file. */
static int check_journal_facts(struct check *self, const struct journal_scan *scan,
                               struct zsp_err *err)
{
    struct zsp_err why = {0};
    if (journal_scan_redo(scan, &why) < 0) { /* which looks for the oldest file as well */
        check_tell_path(self, CHECK_DAMAGE, "journal", "%s", why.msg);
        self->summary.journal_damaged = true;
    }
    const struct fact key = fact_start(0);
    if (!carry_number(&self->carry, &key, &self->summary.start_count)) {
        check_tell_path(self, CHECK_DAMAGE, "journal", "the start count is malformed");
        self->summary.journal_damaged = true;
    }
    return check_redo(self, err);
}

static int check_journal(struct check *self, struct zsp_err *err)
{
    struct journal_scan scan = {
        .fs = self->fs,
        .uuid = self->uuid,
        .carry = &self->carry,
        .redo = &self->redo,
        .foreign_fn = tell_foreign_journal,
        .foreign_arg = self,
    };
    struct zsp_err why = {0};
    int rc = journal_scan(&scan, &why);
    self->summary.journal_files = scan.number_count;
    self->summary.journal_records = scan.record_count;
    for (size_t i = 0; i < scan.file_count; i++) {
        self->summary.journal_bytes += scan.files[i].bytes;
    }
    if (rc == ZSP_ENOMEM) {
        rc = zsp_err_set(err, rc, "%s", why.msg);
    } else if (rc < 0) {
        tell_journal_damage(self, &scan, &why);
        rc = 0;
    } else if (scan.torn_file != 0) {
        tell_journal_torn(self, &scan);
    }
    if (rc == 0 && scan.any) {
        rc = check_journal_facts(self, &scan, err);
    } else if (rc == 0 && self->topics.count > 0 && !self->summary.journal_damaged) {
        check_tell_path(self, CHECK_DAMAGE, "journal",
                        "there are topics, but the journal is empty");
        self->summary.journal_damaged = true;
    }
    if (rc == 0) {
        rc = check_progress(self, scan.bytes_read, err);
    }
    journal_scan_fini(&scan);
    return rc;
}

/* --- Topics --------------------------------------------------------------------------------- */

static void tell_foreign_topic(void *arg, const char *name)
{
    check_tell_path(arg, CHECK_NOTE, "topics", "%s: unknown name", name);
}

/* Every partition that the journal knows, in the order of its objects; but not of topics that are
 * being removed: what they hold is wanted by nobody. */
static int check_known(struct check *self, struct zsp_err *err)
{
    const struct carry_object *object;
    TAILQ_FOREACH (object, &self->carry.objects, link) {
        uint64_t topic_id;
        uint32_t partition;
        if (fact_parse(carry_key(object), &topic_id, &partition) != 'P' ||
            carry_is_dropping(&self->carry, topic_id)) {
            continue;
        }
        struct layout_topic *topic = layout_find_topic(&self->topics, topic_id);
        if (topic) {
            topic->asked = true;
        }
        const int rc = check_partition(self, topic ? topic->path : NULL, topic_id, partition, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

struct topic_parts {
    struct check *check;
    const struct layout_topic *topic;
};

static int find_bytes(void *arg, const struct fs_entry *entry)
{
    (void)arg;
    return !entry->is_directory && entry->bytes > 0 ? 1 : 0;
}

/* Is there a file with anything in it? A creation that did not end has made empty ones only. */
static bool holds_bytes(const struct check *self, const char *path)
{
    return self->fs->ops->list(self->fs->self, path, find_bytes, NULL, NULL) == 1;
}

/* A directory of a partition that the journal does not know: its creation did not end, or the
 * journal has lost it. */
static int note_unknown_part(void *arg, const struct fs_entry *entry)
{
    const struct topic_parts *parts = arg;
    char *end = NULL;
    const unsigned long number = strtoul(entry->name, &end, 10);
    if (entry->is_directory && *end == '\0' && number <= UINT32_MAX) {
        const struct fact key = fact_part(parts->topic->id, (uint32_t)number, 0, 0);
        if (carry_find(&parts->check->carry, fact_key(&key))) {
            return 0;
        }
    }
    char path[LAYOUT_PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", parts->topic->path, entry->name);
    if (entry->is_directory && len > 0 && (size_t)len < sizeof path &&
        holds_bytes(parts->check, path)) {
        check_tell_path(
            parts->check, CHECK_DAMAGE, path,
            "it holds messages, but the journal does not know it: the journal's end was "
            "lost; the partition takes no messages");
        return 0;
    }
    check_tell_path(parts->check, CHECK_NOTE, parts->topic->path,
                    "%s: the journal knows no such partition; it is left alone", entry->name);
    return 0;
}

struct topic_search {
    const struct check *check;
    const char *path;
};

static int find_part_bytes(void *arg, const struct fs_entry *entry)
{
    const struct topic_search *search = arg;
    char path[LAYOUT_PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", search->path, entry->name);
    return entry->is_directory && len > 0 && (size_t)len < sizeof path &&
                   holds_bytes(search->check, path)
               ? 1
               : 0;
}

static bool topic_holds_bytes(const struct check *self, const char *path)
{
    struct topic_search search = {self, path};
    return self->fs->ops->list(self->fs->self, path, find_part_bytes, &search, NULL) == 1;
}

static void check_unknown(struct check *self)
{
    for (size_t i = 0; i < self->topics.count; i++) {
        const struct layout_topic *topic = &self->topics.items[i];
        if (topic->asked) {
            self->summary.topics++;
            struct topic_parts parts = {self, topic};
            (void)self->fs->ops->list(self->fs->self, topic->path, note_unknown_part, &parts,
                                      NULL); /* what is missing was told before */
        } else if (carry_is_dropping(&self->carry, topic->id)) {
            check_tell_path(self, CHECK_NOTE, topic->path,
                            "the topic is being removed; the next start goes on with it");
        } else if (topic_holds_bytes(self, topic->path)) {
            check_tell_path(self, CHECK_DAMAGE, topic->path,
                            "it holds messages, but the journal knows no partition of it: the "
                            "journal's end was lost, or it is of another store; it is left alone");
        } else {
            check_tell_path(self, CHECK_NOTE, topic->path,
                            "the journal knows no partition of it; it is left alone");
        }
    }
}

/* --- What was set aside ------------------------------------------------------------------- */

struct aside {
    struct check *check;
    const char *directory;
};

/* "<file>.txt" beside a file in cut/ and quarantine/ says why it is there. */
static void read_reason(struct check *self, const char *path, char *out, size_t size)
{
    char name[LAYOUT_PATH_MAX];
    out[0] = '\0';
    const int len = snprintf(name, sizeof name, "%s.txt", path);
    struct zsp_writer bytes = {0};
    if (len > 0 && (size_t)len < sizeof name &&
        layout_read_file(self->fs, name, size - 1, &bytes, NULL) == 0) {
        memcpy(out, bytes.data ? bytes.data : (const uint8_t *)"", bytes.len);
        out[bytes.len] = '\0';
        out[strcspn(out, "\n")] = '\0';
    }
    zsp_writer_fini(&bytes);
}

static int note_aside(void *arg, const struct fs_entry *entry)
{
    const struct aside *aside = arg;
    char path[LAYOUT_PATH_MAX];
    const int len = snprintf(path, sizeof path, "%s/%s", aside->directory, entry->name);
    const size_t name_len = strlen(entry->name);
    if (len < 0 || (size_t)len >= sizeof path ||
        (name_len > 4 && strcmp(entry->name + name_len - 4, ".txt") == 0)) {
        return 0;
    }
    char reason[REASON_MAX];
    read_reason(aside->check, path, reason, sizeof reason);
    aside->check->summary.set_aside++;
    if (entry->is_directory) {
        check_tell_path(aside->check, CHECK_NOTE, path, "a directory set aside%s%s",
                        reason[0] ? ": " : "", reason);
    } else {
        check_tell_path(aside->check, CHECK_NOTE, path, "%" PRIu64 " bytes set aside%s%s",
                        entry->bytes, reason[0] ? ": " : "", reason);
    }
    return 0;
}

static void list_aside(struct check *self)
{
    static const char *const directories[] = {"cut", "quarantine", "trash"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        struct aside aside = {self, directories[i]};
        const int rc =
            self->fs->ops->list(self->fs->self, directories[i], note_aside, &aside, NULL);
        if (rc < 0) {
            check_tell_path(self, CHECK_NOTE, directories[i],
                            "the directory is missing or cannot be read");
        }
    }
}

/* --- The whole ------------------------------------------------------------------------------ */

/* 0 = go on, 1 = FORMAT is damaged: nothing else can be checked. */
static int check_format(struct check *self, struct zsp_err *err)
{
    struct zsp_err why = {0};
    const int rc = layout_read_format(self->fs, self->uuid, &why);
    if (rc == 0) {
        return 0;
    }
    bool no_journal = true;
    bool no_topics = true;
    if (rc == ZSP_ENOT_FOUND && (layout_is_empty(self->fs, "journal", &no_journal, err) < 0 ||
                                 layout_is_empty(self->fs, "topics", &no_topics, err) < 0)) {
        return err ? err->code : ZSP_EIO;
    }
    if (rc == ZSP_ENOT_FOUND && no_journal && no_topics) {
        return zsp_err_set(err, ZSP_ENOT_FOUND, "there is no store here: no FORMAT, no files");
    }
    if (rc != ZSP_ECORRUPT && rc != ZSP_ENOT_FOUND) {
        return zsp_err_set(err, rc, "%s", why.msg);
    }
    check_tell_path(self, CHECK_DAMAGE, "FORMAT",
                    "%s; without the uuid in it nothing else can be checked",
                    rc == ZSP_ENOT_FOUND ? "missing, but there are files of a store" : why.msg);
    return 1;
}

static int check_all(struct check *self, struct zsp_err *err)
{
    struct zsp_err why = {0};
    int rc = check_format(self, err);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    add_sizes(self, "journal", 0);
    add_sizes(self, "topics", 2);
    rc = layout_read_topics(self->fs, &self->topics, tell_foreign_topic, self, &why);
    if (rc < 0) {
        rc = check_unreadable(self, "topics", &why, err);
    }
    if (rc == 0) {
        rc = check_journal(self, err);
    }
    if (rc == 0) {
        rc = check_known(self, err);
    }
    if (rc == 0) {
        check_unknown(self);
        list_aside(self);
    }
    return rc;
}

int check_store(const struct check_options *options, struct check_summary *ret, struct zsp_err *err)
{
    struct check self = {.options = options, .fs = options->fs};
    carry_init(&self.carry, 0);
    const int rc = check_all(&self, err);
    layout_topics_fini(&self.topics);
    carry_fini(&self.carry);
    redo_log_fini(&self.redo);
    *ret = self.summary;
    return rc;
}
