/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool dump: one file of a data directory in readable form, damage and all. Reads with
 * the readers of the store itself (broker/store/check/inspect.h). What kind of file it is, and
 * where it belongs, is told by its path.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/store/check/inspect.h"
#include "broker/store/file/layout.h"
#include "broker/store/file/sparse.h"
#include "broker/store/journal/journal_scan.h"
#include "broker/store/partition/part_facts.h"
#include "client/cli/terminal.h"
#include "client/cli/verb/dump_derived.h"
#include "client/cli/verb/dump_messages.h"
#include "client/cli/verb/journal_object.h"
#include "client/cli/verbs.h"

#define PATH_BYTES        4096u
#define DERIVED_BYTES_MAX (256ull * ZSP_MIB) /* no file of ours comes near */

struct dump_run {
    const struct cli_verb *verb;
    bool records;
    bool damaged; /* something was met that is not as it should be */
    char path[PATH_BYTES];
    char directory[PATH_BYTES]; /* of the file */
    const char *name;           /* of the file, in `path` */
    uint8_t uuid[STORE_UUID_BYTES];
    bool has_uuid;
    char topic[ZSP_NAME_MAX + 1]; /* as the directory tells it */
    struct batch_place place;     /* of a segment, its index */
    struct fs *fs;                /* the file's directory */
};

/* --- Where is this? ------------------------------------------------------------------------- */

/* The whole path leads the message, once: errors of the store begin with the name of the file, or
 * not. */
static int fail(const struct dump_run *self, const struct zsp_err *err)
{
    const size_t len = strlen(self->name);
    const bool is_named = strncmp(err->msg, self->name, len) == 0 && err->msg[len] == ':';
    cli_say("%s: %s", self->path, is_named ? err->msg + len + 2 : err->msg);
    return cli_exit_of(err->code);
}

/* Cut the last component off; returns it, NULL when there is none. */
static char *cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash[1] == '\0') {
        return NULL;
    }
    *slash = '\0';
    return slash + 1;
}

/* The uuid of the store whose data directory this is. */
static void read_uuid(struct dump_run *self, const char *root)
{
    struct fs *fs = fs_posix_new(*root ? root : "/", NULL);
    self->has_uuid = fs && layout_read_format(fs, self->uuid, NULL) == 0;
    if (fs) {
        fs_posix_destroy(&fs);
    }
}

static bool parse_decimal(const char *text, uint64_t *ret)
{
    return cli_read_number(text, UINT64_MAX, ret);
}

/* <root>/topics/<id>-<name>/<partition>/<number>.log */
static void find_segment_place(struct dump_run *self, uint64_t number, uint32_t generation)
{
    char path[PATH_BYTES];
    memcpy(path, self->directory, sizeof path);
    const char *part_name = cut_last(path);
    char *topic_name = part_name ? cut_last(path) : NULL;
    char *dash = topic_name ? strchr(topic_name, '-') : NULL;
    uint64_t partition = 0;
    uint64_t topic_id = 0;
    if (!dash || !parse_decimal(part_name, &partition) || partition > UINT32_MAX) {
        return;
    }
    *dash = '\0';
    (void)snprintf(self->topic, sizeof self->topic, "%s", dash + 1);
    if (!parse_decimal(topic_name, &topic_id) || !cut_last(path)) { /* "topics" */
        return;
    }
    read_uuid(self, path);
    self->place = (struct batch_place){
        self->has_uuid ? self->uuid : NULL, topic_id, (uint32_t)partition, number, 0, generation};
}

static void find_root_above(struct dump_run *self)
{
    char path[PATH_BYTES];
    memcpy(path, self->directory, sizeof path);
    if (cut_last(path)) {
        read_uuid(self, path);
    }
}

/* --- A segment ------------------------------------------------------------------------------- */

/* With messages as JSON on stdout, to be piped on, damage goes to stderr. */
static void tell_damage(struct dump_run *self, uint64_t pos, uint64_t end_pos, const char *text)
{
    self->damaged = true;
    text = scan_without_pos(text);
    if (cli_common.json && self->records) {
        cli_say("%s: pos %" PRIu64 " to %" PRIu64 ": %s", self->name, pos, end_pos, text);
    } else if (cli_common.json) {
        struct json json = json_begin();
        json_uint(&json, "pos", pos);
        json_uint(&json, "end_pos", end_pos);
        json_text(&json, "damage", text);
        json_end(&json);
    } else {
        printf("pos %" PRIu64 " to %" PRIu64 ": %sdamage%s: %s\n", pos, end_pos,
               terminal_style(stdout, TERMINAL_ALARM), terminal_style(stdout, TERMINAL_PLAIN),
               text);
    }
}

static void print_batch_messages(struct dump_run *self, const struct inspect_item *item,
                                 const struct store_batch *batch)
{
    const struct dump_messages messages = {
        .topic = self->topic,
        .partition = self->place.partition,
        .first_offset = batch->first_offset,
        .timestamp_ms = batch->timestamp_ms,
        .priority = batch->priority,
        .codec = batch->codec,
        .raw_bytes = batch->raw_bytes,
        .body = batch->body,
    };
    struct zsp_err err = {0};
    const int rc = dump_messages_print(&messages, &err);
    if (rc < 0) {
        tell_damage(self, item->pos, item->end_pos, err.msg);
    } else if (rc > 0) {
        cli_note("%s: pos %" PRIu64 ": compressed with codec %u; its messages are not shown",
                 self->name, item->pos, batch->codec);
    }
}

/* Of a compacted batch those messages that are there. */
static void print_messages(struct dump_run *self, const struct inspect_item *item)
{
    const struct store_batch *batch = &item->header.batch;
    struct sparse sparse;
    struct sparse_run run;
    struct zsp_err err = {0};
    if (batch->codec != BATCH_CODEC_SPARSE) {
        print_batch_messages(self, item, batch);
        return;
    }
    if (sparse_open(&sparse, batch, &err) < 0) {
        tell_damage(self, item->pos, item->end_pos, err.msg);
        return;
    }
    while (sparse_next(&sparse, &run)) {
        const struct store_batch part = sparse_batch(batch, &run);
        print_batch_messages(self, item, &part);
    }
}

static const char *sums_of(const struct dump_run *self, const struct inspect_item *item)
{
    if (!item->body_good) {
        return "body damaged";
    }
    if (item->header.batch.codec == BATCH_CODEC_LOST) {
        return "given up by a repair";
    }
    if (item->header.batch.codec == BATCH_CODEC_SPARSE) {
        return self->place.uuid ? "ok, compacted" : "body ok, compacted, header unchecked";
    }
    return self->place.uuid ? "ok" : "body ok, header unchecked";
}

static void json_batch(const struct dump_run *self, const struct inspect_item *item)
{
    const struct batch_header *header = &item->header;
    const struct store_batch *batch = &header->batch;
    struct json json = json_begin();
    json_uint(&json, "pos", item->pos);
    json_uint(&json, "offset", batch->first_offset);
    json_uint(&json, "count", batch->record_count);
    json_uint(&json, "bytes", batch->body.len);
    json_time(&json, "timestamp", batch->timestamp_ms);
    json_uint(&json, "priority", batch->priority);
    json_uint(&json, "codec", batch->codec);
    if (batch->raw_bytes > 0) {
        json_uint(&json, "raw_bytes", batch->raw_bytes);
    }
    if (batch->producer_id != 0) {
        json_uint(&json, "producer", batch->producer_id);
        json_uint(&json, "producer_epoch", batch->producer_epoch);
        json_uint(&json, "sequence", batch->sequence);
    }
    if (batch->not_before_ms != 0) {
        json_time(&json, "not_before", batch->not_before_ms);
    }
    if (batch->expires_at_ms != 0) {
        json_time(&json, "expires_at", batch->expires_at_ms);
    }
    json_uint(&json, "synced_to", header->synced_to);
    json_uint(&json, "epoch", header->epoch);
    json_text(&json, "sums", sums_of(self, item));
    json_end(&json);
}

static void print_batch(const struct dump_run *self, const struct inspect_item *item)
{
    const struct batch_header *header = &item->header;
    const struct store_batch *batch = &header->batch;
    char time[32];
    cli_write_time(batch->timestamp_ms, time);
    printf("pos %" PRIu64 ": offset %" PRIu64 ", %" PRIu32 " records, %zu bytes, %s, priority %u",
           item->pos, batch->first_offset, batch->record_count, batch->body.len, time,
           batch->priority);
    if (batch->codec != 0 && batch->codec != BATCH_CODEC_LOST &&
        batch->codec != BATCH_CODEC_SPARSE) {
        printf(", codec %u (%" PRIu32 " bytes before)", batch->codec, batch->raw_bytes);
    }
    if (batch->producer_id != 0) {
        printf(", producer %" PRIu64 " epoch %" PRIu32 " sequence %" PRIu64, batch->producer_id,
               batch->producer_epoch, batch->sequence);
    }
    printf(", synced to %" PRIu64 ", epoch %" PRIu64 ".%" PRIu64 ", %s\n", header->synced_to,
           header->epoch >> 32, header->epoch & UINT32_MAX, sums_of(self, item));
}

static void show_batch(struct dump_run *self, const struct inspect_item *item)
{
    const bool messages_only = cli_common.json && self->records;
    if (cli_common.json && !messages_only) {
        json_batch(self, item);
    } else if (!messages_only) {
        print_batch(self, item);
    }
    if (item->what.code != 0) {
        tell_damage(self, item->pos, item->end_pos, item->what.msg);
    }
    if (!item->body_good) {
        tell_damage(self, item->pos, item->end_pos, "body sum does not hold");
    } else if (self->records && item->header.batch.codec != BATCH_CODEC_LOST) {
        print_messages(self, item);
    }
}

static void show_zeros(const struct dump_run *self, const struct inspect_item *item)
{
    if (cli_common.json && !self->records) {
        struct json json = json_begin();
        json_uint(&json, "pos", item->pos);
        json_uint(&json, "end_pos", item->end_pos);
        json_bool(&json, "zeros", true);
        json_end(&json);
    } else if (!cli_common.json) {
        printf("pos %" PRIu64 " to %" PRIu64 ": zeros\n", item->pos, item->end_pos);
    }
}

/* Batches, from wherever; the place, if it is known, is in self->place. */
static int dump_batches(struct dump_run *self)
{
    if (!self->place.uuid) {
        cli_note("%s lies in no store: header sums, which bind a batch to its place, are not "
                 "checked",
                 self->name);
    }
    struct zsp_err err = {0};
    struct inspect_segment segment;
    if (inspect_segment_open(&segment, self->fs, self->name, &self->place, &err) < 0) {
        return fail(self, &err);
    }
    struct inspect_item item;
    int rc;
    while ((rc = inspect_segment_next(&segment, &item, &err)) != INSPECT_END && rc >= 0 &&
           !ferror(stdout)) {
        if (rc == INSPECT_ITEM) {
            show_batch(self, &item);
        } else if (rc == INSPECT_ZEROS) {
            show_zeros(self, &item);
        } else {
            tell_damage(self, item.pos, item.end_pos, item.what.msg);
        }
    }
    inspect_segment_close(&segment);
    return rc < 0 ? fail(self, &err) : CLI_OK;
}

static int dump_segment(struct dump_run *self, uint64_t number, uint32_t generation)
{
    find_segment_place(self, number, generation);
    return dump_batches(self);
}

/* Does the file begin like a segment, whatever it is called? What was set aside does. */
static bool begins_with_batch(const struct dump_run *self)
{
    uint8_t magic[4];
    size_t got = 0;
    const int file = self->fs->ops->open(self->fs->self, self->name, FS_READ, NULL);
    if (file < 0) {
        return false;
    }
    const int rc = self->fs->ops->read(self->fs->self, file, magic, sizeof magic, 0, &got, NULL);
    (void)self->fs->ops->close(self->fs->self, file, NULL); /* only read */
    return rc >= 0 && got == sizeof magic && batch_has_magic(magic);
}

/* --- A journal file ---------------------------------------------------------------------------- */

static void json_record(const struct inspect_item *item)
{
    struct json json = json_begin();
    json_uint(&json, "pos", item->pos);
    json_uint(&json, "record", item->record.number);
    json_uint(&json, "epoch", item->record.epoch);
    json_int(&json, "broker_ms", item->record.broker_ms);
    json_uint(&json, "synced_to", item->record.synced_to);
    json_open_array(&json, "entries");
    struct zsp_reader reader = zsp_reader_init(item->parts.body);
    struct store_entry entry;
    while (journal_next_entry(&reader, &entry)) {
        static const char *const kinds[] = {"image", "delta", "gone", "redo"};
        json_open_item(&json);
        json_text(&json, "kind", kinds[entry.kind]);
        (void)journal_object_print(&json, entry.key, entry.value); /* hex is fine */
        json_close_object(&json);
    }
    json_close_array(&json);
    json_end(&json);
}

static void print_journal_record(const struct inspect_item *item)
{
    printf("pos %" PRIu64 ": record %" PRIu64 ", epoch %" PRIu64 ".%" PRIu64
           ", broker time %" PRId64 " ms, synced to %" PRIu64 ", %" PRIu32 " entries\n",
           item->pos, item->record.number, item->record.epoch >> 32,
           item->record.epoch & UINT32_MAX, item->record.broker_ms, item->record.synced_to,
           item->record.entry_count);
    struct zsp_reader reader = zsp_reader_init(item->parts.body);
    struct store_entry entry;
    while (journal_next_entry(&reader, &entry)) {
        static const char *const kinds[] = {"image", "delta", "gone ", "redo "};
        printf("  %s", kinds[entry.kind]);
        (void)journal_object_print(NULL, entry.key, entry.value); /* hex is fine */
        putchar('\n');
    }
}

/* Data of redo entries that is not what it was. */
static void tell_bad_data(struct dump_run *self, const struct inspect_item *item)
{
    const uint64_t data_pos = item->pos + JOURNAL_HEADER_BYTES + item->record.body_bytes;
    struct zsp_reader body = zsp_reader_init(item->parts.body);
    struct zsp_reader data = zsp_reader_init(item->parts.data);
    struct store_entry entry;
    struct journal_redo redo;
    struct zsp_slice bytes;
    while (journal_next_entry(&body, &entry)) {
        if (entry.kind == STORE_REDO && journal_read_redo(entry.value, &data, &redo, &bytes) &&
            !journal_redo_valid(&redo, bytes)) {
            const uint64_t pos = data_pos + (uint64_t)(bytes.data - item->parts.data.data);
            tell_damage(self, pos, pos + bytes.len, "sum of a redo entry's data does not hold");
        }
    }
}

static void show_record(struct dump_run *self, const struct inspect_item *item)
{
    if (cli_common.json) {
        json_record(item);
    } else {
        print_journal_record(item);
    }
    if (item->what.code != 0) {
        tell_damage(self, item->pos, item->end_pos, item->what.msg);
    }
    tell_bad_data(self, item);
}

static int dump_journal(struct dump_run *self, uint64_t number)
{
    find_root_above(self);
    if (!self->has_uuid) {
        cli_say("%s lies in no store, and a record's sum binds it to its place: put the file into "
                "journal/ beside the FORMAT of its store",
                self->path);
        return CLI_ERROR;
    }
    struct zsp_err err = {0};
    struct inspect_journal journal;
    const struct journal_place place = {self->uuid, number, 0};
    if (inspect_journal_open(&journal, self->fs, self->name, &place, &err) < 0) {
        inspect_journal_close(&journal);
        return fail(self, &err);
    }
    struct inspect_item item;
    enum inspect_found found;
    while ((found = inspect_journal_next(&journal, &item)) != INSPECT_END && !ferror(stdout)) {
        if (found == INSPECT_ITEM) {
            show_record(self, &item);
        } else if (found == INSPECT_ZEROS) {
            show_zeros(self, &item);
        } else {
            tell_damage(self, item.pos, item.end_pos, item.what.msg);
        }
    }
    inspect_journal_close(&journal);
    return CLI_OK;
}

/* --- Files beside a sealed segment ------------------------------------------------------------ */

static int dump_beside(struct dump_run *self, dump_derived_fn *show_fn, uint64_t number,
                       uint32_t generation)
{
    find_segment_place(self, number, generation);
    if (!self->place.uuid) {
        cli_say("%s lies in no store, and its sum binds it to its place", self->path);
        return CLI_ERROR;
    }
    struct zsp_err err = {0};
    struct zsp_writer bytes = {0};
    int rc = layout_read_file(self->fs, self->name, DERIVED_BYTES_MAX, &bytes, &err);
    if (rc == 0) {
        rc = show_fn(zsp_writer_slice(&bytes), &self->place, &err);
        if (rc == ZSP_ECORRUPT) {
            tell_damage(self, 0, bytes.len, err.msg);
            rc = 0;
        }
    }
    zsp_writer_fini(&bytes);
    return rc < 0 ? fail(self, &err) : CLI_OK;
}

/* --- FORMAT -------------------------------------------------------------------------------------- */

static int dump_format(struct dump_run *self)
{
    struct zsp_err err = {0};
    const int rc = layout_read_format(self->fs, self->uuid, &err);
    if (rc == ZSP_ECORRUPT) {
        tell_damage(self, 0, 0, err.msg);
        return CLI_OK;
    }
    if (rc < 0) {
        return fail(self, &err);
    }
    char hex[2 * STORE_UUID_BYTES + 1];
    for (size_t i = 0; i < STORE_UUID_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", self->uuid[i]); /* always two digits */
    }
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "store", hex);
        json_end(&json);
    } else {
        printf("store %s\n", hex);
    }
    return CLI_OK;
}

/* --- A data directory ------------------------------------------------------------------------- */

static void show_part(const struct layout_topics *topics, uint64_t topic_id, uint32_t partition,
                      const struct part_facts *facts)
{
    const struct layout_topic *topic = layout_find_topic(topics, topic_id);
    char path[LAYOUT_PATH_MAX];
    layout_part_path(path, topic ? topic->path : "topics/?", partition);
    uint64_t sealed_bytes = 0;
    for (size_t i = 0; i < facts->sealed_count; i++) {
        sealed_bytes += facts->sealed[i].bytes;
    }
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, "path", path);
        json_uint(&json, "topic", topic_id);
        json_uint(&json, "partition", partition);
        json_uint(&json, "start", facts->start_offset);
        json_uint(&json, "mark", facts->mark.offset);
        json_uint(&json, "first_segment", facts->first_segment);
        json_uint(&json, "active_segment", facts->active);
        json_uint(&json, "bytes", sealed_bytes + facts->mark.pos);
        json_end(&json);
        return;
    }
    printf("%s: offsets %" PRIu64 " to %" PRIu64 ", segments %" PRIu64 " to %" PRIu64 ", %" PRIu64
           " bytes\n",
           path, facts->start_offset, facts->mark.offset, facts->first_segment, facts->active,
           sealed_bytes + facts->mark.pos);
}

/* What the journal tells of every partition. */
static void show_parts(struct dump_run *self, const struct carry *carry,
                       const struct layout_topics *topics)
{
    struct zsp_err err = {0};
    const struct carry_object *object;
    TAILQ_FOREACH (object, &carry->objects, link) {
        uint64_t topic_id;
        uint32_t partition;
        if (fact_parse(carry_key(object), &topic_id, &partition) != 'P') {
            continue;
        }
        struct part_facts facts = {0};
        const int rc = part_facts_read(carry, topic_id, partition, &facts, &err);
        if (rc == 0) {
            show_part(topics, topic_id, partition, &facts);
        } else if (rc < 0) {
            self->damaged = true;
            cli_say("%s", err.msg);
        }
        part_facts_fini(&facts);
    }
}

/* A summary, from the journal alone; a broker may be at work. */
static int dump_directory(struct dump_run *self)
{
    struct zsp_err err = {0};
    const int code = dump_format(self);
    if (code != CLI_OK || self->damaged) {
        return code;
    }
    struct layout_topics topics = {0};
    struct carry carry;
    carry_init(&carry, 0);
    struct journal_scan scan = {.fs = self->fs, .uuid = self->uuid, .carry = &carry};
    int rc = layout_read_topics(self->fs, &topics, NULL, NULL, &err);
    if (rc == 0) {
        rc = journal_scan(&scan, &err);
    }
    if (rc == ZSP_ECORRUPT) {
        self->damaged = true;
        cli_say("%s; what follows is what it says before that", err.msg);
        rc = 0;
    }
    if (rc == 0) {
        show_parts(self, &carry, &topics);
    }
    journal_scan_fini(&scan);
    carry_fini(&carry);
    layout_topics_fini(&topics);
    return rc < 0 ? fail(self, &err) : CLI_OK;
}

/* --- The run ----------------------------------------------------------------------------------------- */

static int dump_file(struct dump_run *self)
{
    uint64_t number;
    uint32_t generation;
    if (strcmp(self->name, "FORMAT") == 0) {
        return dump_format(self);
    }
    if (layout_parse_segment(self->name, ".log", &number, &generation)) {
        return dump_segment(self, number, generation);
    }
    if (layout_parse_segment(self->name, ".idx", &number, &generation)) {
        return dump_beside(self, dump_index, number, generation);
    }
    if (layout_parse_segment(self->name, ".ids", &number, &generation)) {
        return dump_beside(self, dump_ids, number, generation);
    }
    if (layout_parse_segment(self->name, ".pri", &number, &generation)) {
        return dump_beside(self, dump_terms, number, generation);
    }
    if (layout_parse_number(self->name, ".jnl", &number)) {
        return dump_journal(self, number);
    }
    if (begins_with_batch(self)) {
        return dump_batches(self);
    }
    cli_say("%s is no file of a store: FORMAT, or 20 digits (of a compacted segment also "
            "-GENERATION) and .log, .idx, .ids, .pri or .jnl",
            self->path);
    return CLI_USAGE;
}

/* Fills path, directory and name. */
static bool find_file(struct dump_run *self, const char *path)
{
    char *real = realpath(path, NULL);
    if (!real || strlen(real) >= sizeof self->path) {
        free(real);
        return false;
    }
    memcpy(self->path, real, strlen(real) + 1);
    memcpy(self->directory, real, strlen(real) + 1);
    free(real);
    const char *name = cut_last(self->directory);
    self->name = name ? self->path + (name - self->directory) : NULL;
    return name != NULL;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct dump_run self = {.verb = verb};
    const struct cli_option table[] = {
        {0, "records", CLI_FLAG, NULL, "segments: the messages, too; with --json only them",
         &self.records},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    struct stat status;
    if (!find_file(&self, args.items[0]) || stat(self.path, &status) != 0) {
        cli_say("%s: there is no such file", args.items[0]);
        return CLI_NOT_FOUND;
    }
    const bool is_directory = S_ISDIR(status.st_mode);
    struct zsp_err err = {0};
    const char *directory = is_directory ? self.path : self.directory;
    self.fs = fs_posix_new(*directory ? directory : "/", &err);
    if (!self.fs) {
        return fail(&self, &err);
    }
    const int code = is_directory ? dump_directory(&self) : dump_file(&self);
    fs_posix_destroy(&self.fs);
    return code == CLI_OK && self.damaged ? CLI_ERROR : code;
}

const struct cli_verb cli_dump = {
    .name = "dump",
    .synopsis = "[OPTION]... FILE",
    .summary = "show a file of a data directory, damaged or not",
    .details = "FILE is a segment (.log), an index (.idx), ids of its messages (.ids), their\n"
               "priorities and delays (.pri), a journal file (.jnl), FORMAT, or the directory,\n"
               "for a summary; a broker may be writing to it. What was set aside\n"
               "in cut/ or quarantine/ is shown, too, if it begins with a batch. What cannot\n"
               "be made out is told with its place, and the dump goes on behind it; the exit\n"
               "code is then 1.\n"
               "--records --json prints messages as `zspool read --json` does.\n",
    .example = "  zspool dump data/topics/1-orders/0/00000000000000000000.log --records\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
