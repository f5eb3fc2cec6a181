/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool fsck: is a data directory, which no broker has open, as it should be? Reads
 * with the readers of the store itself (broker/store/check/check.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "broker/store/check/repair.h"
#include "broker/store/file/layout.h"
#include "client/cli/json.h"
#include "client/cli/terminal.h"
#include "client/cli/verbs.h"

/* A finding with a remedy. */
struct fault {
    char path[LAYOUT_PATH_MAX];
    char why[512];
    struct check_remedy remedy;
};

#define FAULTS_MAX 10000u /* mended in one round; another follows */
#define ROUNDS_MAX 100u

struct fsck_run {
    const struct cli_verb *verb;
    const char *directory;
    bool repair, dry_run, yes;
    struct fs *fs;
    uint8_t uuid[STORE_UUID_BYTES];
    struct fault *faults; /* of the last check */
    size_t fault_count;
    struct check_summary summary; /* the same */
    struct progress progress;
    uint64_t unsynced_max;
};

/* --- Findings ----------------------------------------------------------------------------- */

static const char *remedy_name(const struct check_remedy *remedy)
{
    return remedy->kind == CHECK_FILL         ? "fill"
           : remedy->kind == CHECK_REMOVE_IDS ? "remove"
                                              : "index";
}

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
    if (finding->remedy.kind != CHECK_NO_REMEDY) {
        json_text(&json, "repair", remedy_name(&finding->remedy));
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

/* Remember it for a repair. What does not fit, the next round finds again. */
static void keep_fault(struct fsck_run *self, const struct check_finding *finding)
{
    if (finding->remedy.kind == CHECK_NO_REMEDY || self->fault_count == FAULTS_MAX) {
        return;
    }
    struct fault *faults = realloc(self->faults, (self->fault_count + 1) * sizeof *faults);
    if (!faults) {
        return;
    }
    self->faults = faults;
    struct fault *fault = &faults[self->fault_count++];
    fault->remedy = finding->remedy;
    (void)snprintf(fault->path, sizeof fault->path, "%s", finding->path);
    (void)snprintf(fault->why, sizeof fault->why, "%.300s: %.180s\n", finding->path, finding->text);
}

static void tell_finding(void *arg, const struct check_finding *finding)
{
    keep_fault(arg, finding);
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
    json_uint(&json, "given_up", sum->given_up);
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

/* --- The check --------------------------------------------------------------------------------- */

static int fail(const char *directory, const struct zsp_err *err)
{
    cli_say("%s: %s", directory, err->msg);
    return cli_exit_of(err->code);
}

static int check(struct fsck_run *self)
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
    self->fault_count = 0;
    struct zsp_err err = {0};
    const int64_t begun_ms = cli_now_ms();
    self->progress = progress_begin("fsck", 0, true);
    const int rc = check_store(&options, &self->summary, &err);
    progress_end(&self->progress);
    if (rc < 0) {
        return fail(self->directory, &err);
    }
    const int64_t ms = cli_now_ms() - begun_ms;
    if (cli_common.json) {
        json_summary(&self->summary, ms);
    } else {
        print_summary(&self->summary, ms);
    }
    return self->summary.damages == 0 ? CLI_OK : CLI_ERROR;
}

/* --- Repair ------------------------------------------------------------------------------------ */

static uint64_t messages_of(const struct fault *fault)
{
    const struct check_remedy *remedy = &fault->remedy;
    return remedy->kind == CHECK_FILL ? remedy->offsets.end_offset - remedy->offsets.first_offset
                                      : 0;
}

static void tell_repair(const struct fault *fault, bool done)
{
    const uint64_t lost = messages_of(fault);
    if (cli_common.json) {
        struct json json = json_begin();
        json_text(&json, done ? "repaired" : "would_repair", fault->path);
        json_text(&json, "repair", remedy_name(&fault->remedy));
        json_uint(&json, "given_up", lost);
        json_end(&json);
    } else if (fault->remedy.kind == CHECK_FILL) {
        printf("%s: %s: %" PRIu64 " messages from offset %" PRIu64 " are given up\n",
               done ? "repaired" : "would repair", fault->path, lost,
               fault->remedy.offsets.first_offset);
    } else if (fault->remedy.kind == CHECK_REMOVE_IDS) {
        printf("%s: %s: removed; it is made anew when it is needed\n",
               done ? "repaired" : "would repair", fault->path);
    } else {
        printf("%s: %s: made anew\n", done ? "repaired" : "would repair", fault->path);
    }
}

static int mend(struct fsck_run *self, const struct fault *fault)
{
    struct zsp_err err = {0};
    const int rc = fault->remedy.kind == CHECK_FILL ? repair_fill(self->fs, self->uuid, fault->path,
                                                                  &fault->remedy, fault->why, &err)
                   : fault->remedy.kind == CHECK_REMOVE_IDS
                       ? repair_ids(self->fs, fault->path, &err)
                       : repair_index(self->fs, self->uuid, fault->path, &fault->remedy, &err);
    if (rc < 0) {
        return fail(self->directory, &err);
    }
    tell_repair(fault, true);
    return CLI_OK;
}

/* Is there anything to do, and may it be done? Returns CLI_OK to go on. */
static int agree(struct fsck_run *self)
{
    uint64_t lost = 0;
    for (size_t i = 0; i < self->fault_count; i++) {
        lost += messages_of(&self->faults[i]);
        if (self->dry_run) {
            tell_repair(&self->faults[i], false);
        }
    }
    if (self->dry_run || lost == 0) {
        return CLI_OK;
    }
    return cli_confirm(self->yes,
                       "Give up %" PRIu64 " messages that cannot be read (a copy of their bytes "
                       "goes to quarantine/)?",
                       lost);
}

static const char no_remedy[] = "the damage that is left has no safe repair";

/* Mend what the last check found, and check again, until there is nothing to mend. */
static int repair(struct fsck_run *self)
{
    struct zsp_err err = {0};
    if (self->summary.journal_damaged) {
        cli_say("%s: the journal is damaged, and there is no safe repair for that: put it back "
                "from a backup, or save the messages with `zspool dump --records --json`",
                self->directory);
        return CLI_ERROR;
    }
    if (self->fault_count == 0) {
        cli_say("%s: %s", self->directory, no_remedy);
        return CLI_ERROR;
    }
    int code = agree(self);
    if (code != CLI_OK || self->dry_run) {
        return self->dry_run && self->summary.damages > 0 ? CLI_ERROR : code;
    }
    if (layout_read_format(self->fs, self->uuid, &err) < 0) {
        return fail(self->directory, &err);
    }
    for (unsigned round = 0; round < ROUNDS_MAX && self->fault_count > 0; round++) {
        for (size_t i = 0; i < self->fault_count && code == CLI_OK; i++) {
            code = mend(self, &self->faults[i]);
        }
        if (code != CLI_OK) {
            return code;
        }
        code = check(self);
        if (code != CLI_OK && self->fault_count == 0) {
            cli_say("%s: %s", self->directory, no_remedy);
        }
        code = code == CLI_ERROR && self->fault_count > 0 ? CLI_OK : code;
    }
    return self->summary.damages == 0 ? CLI_OK : CLI_ERROR;
}

/* --- The run ---------------------------------------------------------------------------------- */

static int check_and_repair(struct fsck_run *self)
{
    const int code = check(self);
    const bool mendable = self->fault_count > 0 || self->summary.damages > 0;
    return self->repair && mendable && code <= CLI_ERROR ? repair(self) : code;
}

/* A repair makes the lock file of a store that came without one; what is no store is left as it is. */
static int take_lock(struct fsck_run *self, int *ret_file, struct zsp_err *err)
{
    const bool writes = self->repair && !self->dry_run;
    return writes && layout_read_format(self->fs, self->uuid, NULL) == 0
               ? layout_lock(self->fs, true, ret_file, err)
               : layout_lock_reading(self->fs, ret_file, err);
}

static int run_locked(struct fsck_run *self)
{
    struct zsp_err err = {0};
    int lock = -1;
    const int rc = take_lock(self, &lock, &err);
    if (rc == ZSP_ELOCKED) {
        cli_say("%s: %s: a broker has it open; stop it first, or check a copy", self->directory,
                err.msg);
        return CLI_ERROR;
    }
    if (rc < 0) {
        return fail(self->directory, &err);
    }
    const int code = check_and_repair(self);
    if (lock >= 0) {
        (void)self->fs->ops->close(self->fs->self, lock, NULL); /* only locked */
    }
    free(self->faults);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct fsck_run self = {.verb = verb};
    const struct cli_option table[] = {
        {0, "repair", CLI_FLAG, NULL, "mend what can be mended without guessing", &self.repair},
        {0, "dry-run", CLI_FLAG, NULL, "repair: only tell what would be done", &self.dry_run},
        {0, "yes", CLI_FLAG, NULL, "repair: do not ask", &self.yes},
        {0, "unsynced", CLI_BYTES, "BYTES", "the setting data/unsynced of the broker (64MiB)",
         &self.unsynced_max},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    if ((self.dry_run || self.yes) && !self.repair) {
        return cli_usage(verb, "--dry-run and --yes go with --repair");
    }
    self.directory = args.items[0];
    struct zsp_err err = {0};
    self.fs = fs_posix_new(self.directory, &err);
    if (!self.fs) {
        cli_say("%s", err.msg);
        return cli_exit_of(err.code);
    }
    const int code = run_locked(&self);
    fs_posix_destroy(&self.fs);
    return code;
}

const struct cli_verb cli_fsck = {
    .name = "fsck",
    .synopsis = "[OPTION]... DIRECTORY",
    .summary = "check a data directory that no broker has open",
    .details = "Reads everything: journal, segments, indexes. What a crash may leave, as a torn\n"
               "tail, is a note; bytes that are not what they were, or not there, are damage.\n"
               "--repair makes indexes anew. Where messages are lost it keeps a copy of their\n"
               "bytes in quarantine/ and gives the offsets up: groups count them as done, and\n"
               "the partition takes messages again. Nothing else is changed; a damaged journal\n"
               "is left alone. Exit code 0: clean, 1: damage, or a broker has it open.\n",
    .example = "  zspool fsck /var/lib/zspool\n"
               "  zspool fsck /var/lib/zspool --repair --dry-run\n",
    .args_min = 1,
    .args_max = 1,
    .run_fn = run,
};
