/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool fsck: is a data directory, which no broker has open, as it should be? Reads
 * with the readers of the store itself (broker/store/check.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/store/check.h"
#include "broker/store/layout.h"
#include "client/cli/json.h"
#include "client/cli/terminal.h"
#include "client/cli/verbs.h"

struct fsck_run {
    const struct cli_verb *verb;
    struct fs *fs;
    struct progress progress;
    uint64_t unsynced_max;
};

/* --- Findings ----------------------------------------------------------------------------- */

static void json_finding(const struct check_finding *finding)
{
    struct json json = json_begin();
    json_text(&json, "finding", finding->severity == CHECK_NOTE ? "note" : "damage");
    json_text(&json, "path", finding->path);
    if (finding->pos != CHECK_NO_POS) {
        json_uint(&json, "pos", finding->pos);
        if (finding->end_pos != CHECK_NO_POS) {
            json_uint(&json, "end_pos", finding->end_pos);
        }
    }
    if (finding->offsets.end_offset > finding->offsets.first_offset) {
        json_uint(&json, "first_offset", finding->offsets.first_offset);
        json_uint(&json, "end_offset", finding->offsets.end_offset);
    }
    if (finding->severity == CHECK_DAMAGE) {
        json_bool(&json, "rebuildable", finding->rebuildable);
    }
    json_text(&json, "text", finding->text);
    json_end(&json);
}

static void print_finding(const struct check_finding *finding)
{
    const bool damage = finding->severity == CHECK_DAMAGE;
    printf("%s%s%s: %s: ", terminal_style(stdout, damage ? TERMINAL_ALARM : TERMINAL_PLAIN),
           damage ? "damage" : "note", terminal_style(stdout, TERMINAL_PLAIN), finding->path);
    if (finding->pos != CHECK_NO_POS) {
        printf("pos %" PRIu64 ": ", finding->pos);
    }
    fputs(finding->text, stdout);
    const struct store_range *lost = &finding->offsets;
    if (lost->end_offset == lost->first_offset + 1) {
        printf("; offset %" PRIu64 " cannot be read", lost->first_offset);
    } else if (lost->end_offset > lost->first_offset) {
        printf("; offsets %" PRIu64 " to %" PRIu64 " cannot be read", lost->first_offset,
               lost->end_offset - 1);
    }
    putchar('\n');
}

static void tell_finding(void *arg, const struct check_finding *finding)
{
    (void)arg;
    if (cli_common.quiet && finding->severity == CHECK_NOTE) {
        return;
    }
    progress_make_way();
    if (cli_common.json) {
        json_finding(finding);
    } else {
        print_finding(finding);
    }
}

static bool show_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    struct fsck_run *self = arg;
    self->progress.whole = total_bytes;
    progress_show(&self->progress, done_bytes, 0);
    return true;
}

/* --- The summary ---------------------------------------------------------------------------- */

static void json_summary(const struct check_summary *sum, int64_t ms)
{
    struct json json = json_begin();
    json_text(&json, "summary", sum->damages == 0 ? "clean" : "damaged");
    json_uint(&json, "damages", sum->damages);
    json_uint(&json, "notes", sum->notes);
    json_uint(&json, "lost_messages", sum->lost_messages);
    json_uint(&json, "journal_files", sum->journal_files);
    json_uint(&json, "journal_records", sum->journal_records);
    json_uint(&json, "journal_bytes", sum->journal_bytes);
    json_uint(&json, "topics", sum->topics);
    json_uint(&json, "partitions", sum->partitions);
    json_uint(&json, "segments", sum->segments);
    json_uint(&json, "indexes", sum->indexes);
    json_uint(&json, "batches", sum->batches);
    json_uint(&json, "messages", sum->messages);
    json_uint(&json, "log_bytes", sum->log_bytes);
    json_uint(&json, "torn_bytes", sum->torn_bytes);
    json_uint(&json, "set_aside", sum->set_aside);
    json_uint(&json, "starts", sum->start_count);
    json_uint(&json, "read_bytes", sum->read_bytes);
    json_int(&json, "ms", ms);
    json_end(&json);
}

static void print_summary(const struct check_summary *sum, int64_t ms)
{
    char journal[TERMINAL_FIGURE_SIZE];
    char log[TERMINAL_FIGURE_SIZE];
    char read[TERMINAL_FIGURE_SIZE];
    printf("journal: %" PRIu64 " files, %" PRIu64 " records, %s, %" PRIu64 " starts\n",
           sum->journal_files, sum->journal_records,
           terminal_human_bytes(sum->journal_bytes, journal), sum->start_count);
    printf("log: %" PRIu64 " topics, %" PRIu64 " partitions, %" PRIu64 " segments, %" PRIu64
           " indexes\n"
           "     %" PRIu64 " batches, %" PRIu64 " messages, %s\n",
           sum->topics, sum->partitions, sum->segments, sum->indexes, sum->batches, sum->messages,
           terminal_human_bytes(sum->log_bytes, log));
    printf("read: %s in %.1f s, %.2f GiB/s\n", terminal_human_bytes(sum->read_bytes, read),
           (double)ms / 1e3,
           ms > 0 ? (double)sum->read_bytes / (double)ms * 1e3 / (1024.0 * 1024 * 1024) : 0.0);
    if (sum->damages == 0) {
        printf("clean\n");
        return;
    }
    printf("%sdamaged%s: %" PRIu64 " place%s; %" PRIu64 " message%s cannot be read\n",
           terminal_style(stdout, TERMINAL_ALARM), terminal_style(stdout, TERMINAL_PLAIN),
           sum->damages, sum->damages == 1 ? "" : "s", sum->lost_messages,
           sum->lost_messages == 1 ? "" : "s");
    if (sum->journal_damaged) {
        printf("The journal is damaged: partitions were judged by what it says before that.\n");
    }
}

/* --- The run ---------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *directory, const struct zsp_err *err)
{
    cli_say("%s: %s", directory, err->msg);
    return cli_exit_of(err->code);
}

static int check(struct fsck_run *self, const char *directory)
{
    const struct check_options options = {
        .fs = self->fs,
        .unsynced_bytes_max = self->unsynced_max,
        .body_fn = check_body,
        .sequences = true,
        .finding_fn = tell_finding,
        .progress_fn = show_progress,
        .arg = self,
    };
    struct check_summary summary;
    struct zsp_err err = {0};
    const int64_t begun_ms = now_ms();
    self->progress = progress_begin("fsck", 0, true);
    const int rc = check_store(&options, &summary, &err);
    progress_end(&self->progress);
    if (rc < 0) {
        return fail(directory, &err);
    }
    const int64_t ms = now_ms() - begun_ms;
    if (cli_common.json) {
        json_summary(&summary, ms);
    } else {
        print_summary(&summary, ms);
    }
    return summary.damages == 0 ? CLI_OK : CLI_ERROR;
}

static int run_locked(struct fsck_run *self, const char *directory)
{
    struct zsp_err err = {0};
    int lock;
    const int rc = layout_lock_reading(self->fs, &lock, &err);
    if (rc == ZSP_ELOCKED) {
        cli_say("%s: %s: a broker has it open; stop it first, or check a copy", directory, err.msg);
        return CLI_ERROR;
    }
    if (rc < 0) {
        return fail(directory, &err);
    }
    const int code = check(self, directory);
    if (lock >= 0) {
        (void)self->fs->ops->close(self->fs->self, lock, NULL); /* only locked */
    }
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct fsck_run self = {.verb = verb};
    const struct cli_option table[] = {
        {0, "unsynced", CLI_BYTES, "BYTES", "the setting data/unsynced of the broker (64MiB)",
         &self.unsynced_max},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    struct zsp_err err = {0};
    self.fs = fs_posix_new(args.items[0], &err);
    if (!self.fs) {
        cli_say("%s", err.msg);
        return cli_exit_of(err.code);
    }
    const int code = run_locked(&self, args.items[0]);
    fs_posix_destroy(&self.fs);
    return code;
}

const struct cli_verb cli_fsck = {
    .name = "fsck",
    .synopsis = "[OPTION]... DIRECTORY",
    .summary = "check a data directory that no broker has open",
    .details = "Reads everything: journal, segments, indexes. Nothing is changed. What a crash\n"
               "may leave, as a torn tail, is a note; bytes that are not what they were, or\n"
               "not there, are damage. Exit code 0: clean, 1: damage, or a broker has the\n"
               "directory open.\n",
    .example = "  zspool fsck /var/lib/zspool\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
