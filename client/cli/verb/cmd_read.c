/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool read: replay, without a group.
 */
#include <stdio.h>

#include "client/cli/printer.h"
#include "client/cli/terminal.h"
#include "client/cli/verb/place_file.h"
#include "client/cli/verb/why_text.h"
#include "client/cli/verbs.h"

struct read_run {
    const char *topic, *format, *group, *id, *filter, *resume;
    char *trace; /* an address */
    zspool_position_t from, to;
    int32_t partition;
    uint64_t count;
    bool follow;

    zspool_client_t *client;
    struct printer *printer;
    struct progress progress;
    size_t burst;                                      /* put, not flushed */
    struct place_file *places;                         /* of --resume; NULL = none */
    zspool_reader_place_t burst_places[PRINTER_BURST]; /* of what is in the burst */
    bool has_failed; /* it could not be written, or not all was printed: it is as it is */
    uint64_t printed;
};

/* How many messages there are to read, for the progress line; 0 when only the reading tells. */
static uint64_t count_of(const struct read_run *self, const zspool_partition_info_t *partition)
{
    const uint64_t there = partition->end_offset - partition->start_offset;
    switch (self->from.kind) {
    case ZSPOOL_POSITION_NONE:
    case ZSPOOL_POSITION_EARLIEST:
        return there;
    case ZSPOOL_POSITION_LAST:
        return self->from.value < there ? self->from.value : there;
    case ZSPOOL_POSITION_OFFSET:
        return self->from.value < partition->end_offset ? partition->end_offset - self->from.value
                                                        : 0;
    case ZSPOOL_POSITION_LATEST:
    case ZSPOOL_POSITION_TIME:
    case ZSPOOL_POSITION_AGO:
    case ZSPOOL_POSITION_ID:
        break;
    }
    return 0;
}

static uint64_t expected(const struct read_run *self)
{
    zspool_topic_info_t *info;
    uint64_t count = 0;
    if (self->follow || self->filter || self->resume || self->to.kind != ZSPOOL_POSITION_NONE ||
        zspool_topic_info(self->client, self->topic, cli_timeout(), &info, NULL) != 0) {
        return self->count;
    }
    for (size_t i = 0; i < info->partition_count; i++) {
        const zspool_partition_info_t *partition = &info->partitions[i];
        if (self->partition == ZSPOOL_PARTITION_ALL ||
            (uint32_t)self->partition == partition->partition) {
            count += count_of(self, partition);
        }
    }
    zspool_free(info);
    return self->count > 0 && self->count < count ? self->count : count;
}

/* Note what was printed: all that the reader has returned, but for what of the burst did not leave. */
static void note_places(struct read_run *self, zspool_reader_t *reader, size_t left)
{
    place_file_take(self->places, reader);
    for (size_t i = self->burst; i-- > left;) {
        place_file_set(self->places, self->burst_places[i].partition, self->burst_places[i].offset);
    }
}

/* For --resume; `now`, or once in a while. False: told. */
static bool keep_places(struct read_run *self, zspool_reader_t *reader, bool now)
{
    if (!self->places || self->has_failed || (!now && !place_file_is_due(self->places))) {
        return true;
    }
    note_places(self, reader, self->burst);
    self->has_failed = !place_file_save(self->places);
    return !self->has_failed;
}

/* False = printing has ended. */
static bool flush(struct read_run *self, zspool_reader_t *reader)
{
    const size_t left = printer_flush(self->printer);
    const bool all_left = left == self->burst;
    if (self->places && !all_left) {
        note_places(self, reader, left);
        self->has_failed = true;
        (void)place_file_save(self->places); /* the run ends with an error anyway */
    }
    self->printed += left;
    self->burst = 0;
    progress_show(&self->progress, self->printed, self->printed);
    return all_left && keep_places(self, reader, false);
}

static void put(struct read_run *self, const zspool_message_t *message)
{
    self->burst_places[self->burst] = (zspool_reader_place_t){
        .partition = message->partition,
        .offset = message->offset,
    };
    printer_put(self->printer, message);
    self->burst++;
}

/* Wait for the next message. As zspool_read(), also ZSPOOL_ETIMEOUT when the reader of the output
 * goes meanwhile. */
static int wait_for_next(struct read_run *self, zspool_reader_t *reader,
                         const zspool_message_t **ret, zspool_error_t *err)
{
    if (!self->follow) {
        return zspool_read(reader, ret, cli_timeout(), err);
    }
    bool is_told = false;
    int rc;
    while ((rc = zspool_read(reader, ret, CLI_LOOK_MS, err)) == ZSPOOL_ETIMEOUT &&
           !cli_reader_gone()) {
        cli_note_absence(self->client, &is_told);
        if (!keep_places(self, reader, false)) {
            break;
        }
    }
    return rc;
}

static int print_all(struct read_run *self, zspool_reader_t *reader)
{
    zspool_error_t err = {0};
    while (!cli_stopped() && (self->count == 0 || self->printed + self->burst < self->count)) {
        const zspool_message_t *message;
        int rc = zspool_read(reader, &message, 0, &err);
        if (rc == ZSPOOL_ETIMEOUT) { /* nothing at hand: the moment to print, and then to wait */
            if (!flush(self, reader)) {
                return CLI_ERROR;
            }
            rc = wait_for_next(self, reader, &message, &err);
            if (rc != 0 && (cli_pipe_broken() || self->has_failed)) {
                return CLI_ERROR;
            }
        }
        if (rc == ZSPOOL_END || rc == ZSPOOL_EINTERRUPTED) {
            break;
        }
        if (rc == ZSPOOL_EOVERTAKEN && (self->follow || self->resume)) {
            cli_say("%s: some messages went before they were read", err.message);
            continue;
        }
        if (rc != 0) {
            (void)flush(self, reader);
            return cli_fail(&err);
        }
        put(self, message);
        if (printer_is_full(self->printer) && !flush(self, reader)) {
            return CLI_ERROR;
        }
    }
    if (!flush(self, reader)) {
        return CLI_ERROR;
    }
    if (self->printed > 0 || cli_stopped()) {
        return CLI_OK;
    }
    cli_note("topic %s: there is nothing to read%s%s", self->topic,
             self->from.kind != ZSPOOL_POSITION_NONE || self->to.kind != ZSPOOL_POSITION_NONE
                 ? " in this range"
                 : "",
             self->filter ? " that matches the filter" : "");
    return CLI_TIMEOUT;
}

static int replay(struct read_run *self)
{
    zspool_error_t err = {0};
    zspool_reader_options_t options;
    zspool_reader_options_init(&options);
    options.topic = self->topic;
    options.partition = self->partition;
    options.from = self->from;
    options.to = self->to;
    options.follow = self->follow;
    options.filter = self->filter;
    if (self->resume) {
        int code = CLI_OK;
        self->places =
            place_file_open(self->resume, self->client, self->topic, self->partition, &code);
        if (!self->places) {
            return code;
        }
        options.places = place_file_places(self->places, &options.place_count);
    }
    zspool_reader_t *reader = zspool_reader_new(self->client, &options, &err);
    if (!reader) {
        place_file_destroy(&self->places);
        return cli_fail(&err);
    }
    char what[64];
    (void)snprintf(what, sizeof what, "read %s", self->topic);
    self->progress = progress_begin(what, 0, true);
    if (self->progress.is_on) {
        self->progress.whole = expected(self);
    }
    int code = print_all(self, reader);
    progress_end(&self->progress);
    if (!keep_places(self, reader, true)) {
        code = CLI_ERROR;
    }
    zspool_reader_destroy(&reader);
    place_file_destroy(&self->places);
    return code;
}

/* Is anything given that chooses or prints messages? */
static bool chooses(const struct read_run *self)
{
    return self->from.kind != ZSPOOL_POSITION_NONE || self->to.kind != ZSPOOL_POSITION_NONE ||
           self->partition != ZSPOOL_PARTITION_ALL || self->count > 0 || self->id || self->filter ||
           self->follow || self->format || self->resume;
}

static int trace(const struct cli_verb *verb, struct read_run *self, int topic_count)
{
    if (!self->trace || !self->group || topic_count > 0) {
        return cli_usage(verb, "--trace ADDRESS and -g GROUP go together, without a topic");
    }
    if (chooses(self)) {
        return cli_usage(verb, "--trace tells of one message: nothing else chooses or prints");
    }
    self->client = cli_client("zspool-read");
    const int code =
        self->client ? trace_run(verb, self->client, self->group, self->trace) : CLI_ERROR;
    cli_client_destroy(&self->client);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct read_run self = {.partition = ZSPOOL_PARTITION_ALL};
    const struct cli_option table[] = {
        {0, "from", CLI_POSITION, "POSITION", "begin there (earliest)", &self.from},
        {0, "to", CLI_POSITION, "POSITION", "end before that (the end as it is now)", &self.to},
        {0, "id", CLI_TEXT, "ID", "only the newest message with this id", &self.id},
        {'p', "partition", CLI_PARTITION, "NUMBER", "only this partition (all, by time)",
         &self.partition},
        {'n', "count", CLI_COUNT, "COUNT", "end after COUNT messages", &self.count},
        {0, "filter", CLI_TEXT, "FILTER", "only what matches, as of zspool group", &self.filter},
        {'f', "follow", CLI_FLAG, NULL, "go on with new messages, until Ctrl-C", &self.follow},
        {0, "resume", CLI_TEXT, "FILE", "go on where FILE says, and keep there where it is",
         &self.resume},
        {0, "format", CLI_TEXT, "FORMAT", "print messages by this", &self.format},
        {0, "trace", CLI_TEXT, "ADDRESS", "tell how this message stands in the group", &self.trace},
        {'g', "group", CLI_TEXT, "GROUP", "the group of --trace", &self.group},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    if (self.follow && self.to.kind != ZSPOOL_POSITION_NONE) {
        return cli_usage(verb, "-f and --to exclude each other");
    }
    if (self.trace || self.group) {
        return trace(verb, &self, args.count);
    }
    if (args.count != 1) {
        return cli_usage(verb, "which topic?");
    }
    if (self.resume && !*self.resume) {
        return cli_usage(verb, "--resume wants the name of a FILE");
    }
    if (self.resume && (self.id || self.from.kind == ZSPOOL_POSITION_ID)) {
        return cli_usage(verb, "--resume keeps offsets: it goes with no id");
    }
    if (self.id &&
        (self.follow || self.count > 0 || self.filter || self.from.kind != ZSPOOL_POSITION_NONE ||
         self.to.kind != ZSPOOL_POSITION_NONE)) {
        return cli_usage(verb, "--id goes with none of --from, --to, -n, --filter and -f");
    }
    if (self.id) {
        self.from = (zspool_position_t){.kind = ZSPOOL_POSITION_ID, .id = self.id};
        self.count = 1;
    }
    self.topic = args.items[0];
    int code = CLI_USAGE;
    self.printer = printer_new(verb, self.format, &code);
    if (!self.printer) {
        return code;
    }
    self.client = cli_client("zspool-read");
    if (self.client) {
        code = replay(&self);
    }
    cli_client_destroy(&self.client);
    printer_destroy(&self.printer);
    return code;
}

const struct cli_verb cli_read = {
    .name = "read",
    .synopsis = "[OPTION]... TOPIC | --trace ADDRESS -g GROUP",
    .summary = "replay messages; groups are not touched",
    .details = "Each payload is printed with a newline; messages of several partitions by time.\n"
               "A POSITION is earliest, latest, an offset, -N (the last N of each partition),\n"
               "10m (ago), 2026-01-31T12:00:00Z, @UNIXTIME, or id:X, the newest message with\n"
               "the id X, in topics with a dedup window. Offsets and ids must be in the log;\n"
               "the others are moved to what is there. Exit code 3 when there was nothing.\n"
               "With -f, what retention took before it was read is told, and the rest follows;\n"
               "partitions that the topic gets later are read from their first message on.\n"
               "--resume FILE makes a run go on where the one before ended, in each partition;\n"
               "--from counts when there is no FILE yet. What was printed is not printed again;\n"
               "only after a crash (kill -9) that of the last second.\n"
               "FORMAT: %t topic, %p partition, %o offset, %T timestamp in ms, %k key,\n"
               "%s payload, %h headers, %i id, %y type, %P priority, %K and %S lengths\n"
               "(-1: none), %d deliveries, %f failures, %l lease, %% percent; and\n"
               "\\n \\t \\r \\0 \\\\ \\xNN.\n",
    .example = "  zspool read orders --from 10m --json\n"
               "  zspool read orders -f --format '%T %p/%o %k: %s\\n'\n"
               "  zspool read orders -f --resume orders.place --json >> orders.jsonl\n"
               "  zspool read --trace orders/3/1000 -g billing\n"
               "  zspool read orders --from 1000 --to 2000 -p 3 | wc -l\n",
    .args_min = 0,
    .args_max = 1,
    .run_fn = run,
};
