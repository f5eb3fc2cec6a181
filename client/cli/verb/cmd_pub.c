/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool pub: arguments, or pieces of input, become messages.
 *
 *   - send what is read, as it comes; print confirms as they come
 *   - at the end, and after the first thing that is wrong or a Ctrl-C, wait for
 *     what was sent, and tell how much of it is confirmed if that is not all
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/input.h"
#include "client/cli/json.h"
#include "client/cli/message_reader.h"
#include "client/cli/terminal.h"
#include "client/cli/verbs.h"

#define REPORTS       256
#define HEADERS_MAX   64u
#define FAILURES_TOLD 10u /* then only counted */
#define FLUSH_MS      200 /* between two looks at the progress */

struct pub {
    const struct cli_verb *verb;
    /* options */
    bool nul, written, from_json;
    const char *delimiter, *key, *key_delimiter, *type, *id, *codec, *priority;
    int64_t delay_ms, ttl_ms;
    int32_t partition;
    struct cli_list header_texts, files;

    char *delimiter_bytes, *key_delimiter_bytes; /* unescaped */
    size_t delimiter_len, key_delimiter_len;
    zspool_header_t headers[HEADERS_MAX];
    const char *topic;
    uint64_t priority_number;

    zspool_client_t *client;
    zspool_producer_t *producer;
    struct message_text *text; /* with --from-json */
    struct progress progress;
    uint64_t bytes_done; /* of inputs before the current one */
    FILE *page;          /* confirms to print, a stream into page_bytes */
    char *page_bytes;
    size_t page_len;
    uint64_t sent, confirmed;
    uint64_t failures; /* reports of failure */
    int exit_code;     /* of these */
};

/* --- Options ------------------------------------------------------------------------- */

/* NULL = no memory, or an unknown escape. */
static char *unescape(const char *text, size_t *ret_len)
{
    char *bytes = malloc(strlen(text) + 1);
    size_t len = 0;
    while (bytes && *text) {
        if (!cli_read_escaped(&text, &bytes[len++])) {
            free(bytes);
            return NULL;
        }
    }
    *ret_len = len;
    return bytes;
}

/* --codec NAME[:LEVEL] */
static int read_codec(const struct pub *self, zspool_producer_options_t *ret)
{
    static const char name[] = "zstd";
    const char *text = self->codec;
    if (!text || strcmp(text, "none") == 0) {
        return 0;
    }
    char *end = NULL;
    const size_t len = sizeof name - 1;
    const bool known = strncmp(text, name, len) == 0;
    const long level = known && text[len] == ':' ? strtol(text + len + 1, &end, 10) : 0;
    if (!known || (text[len] != '\0' && (!end || *end != '\0' || level < 1 || level > 19))) {
        return cli_usage(self->verb, "--codec \"%s\" is neither none nor zstd[:LEVEL] with 1..19",
                         text);
    }
    ret->codec = ZSPOOL_CODEC_ZSTD;
    ret->codec_level = (int)level;
    return 0;
}

static int read_headers(struct pub *self)
{
    if (self->header_texts.count > HEADERS_MAX) {
        return cli_usage(self->verb, "more than %u headers", HEADERS_MAX);
    }
    for (size_t i = 0; i < self->header_texts.count; i++) {
        const char *text = self->header_texts.items[i];
        const char *equals = strchr(text, '=');
        if (!equals || equals == text) {
            return cli_usage(self->verb, "-H \"%s\" is no NAME=VALUE", text);
        }
        self->headers[i].name = (zspool_bytes_t){text, (size_t)(equals - text)};
        self->headers[i].value = zspool_text(equals + 1);
        self->headers[i].is_text = true;
    }
    return 0;
}

/* What does not go together. */
static int check_options(const struct pub *self, int messages)
{
    const bool cuts = self->nul || self->delimiter;
    if (self->nul && self->delimiter) {
        return cli_usage(self->verb, "-0 and -D exclude each other");
    }
    if (messages > 0 && (cuts || self->files.count > 0 || self->from_json)) {
        return cli_usage(self->verb,
                         "-0, -D, --file and --from-json are for input, not for MESSAGE arguments");
    }
    if (self->from_json && (cuts || self->key || self->key_delimiter || self->type || self->id ||
                            self->header_texts.count > 0 || self->priority || self->delay_ms != 0 ||
                            self->ttl_ms != 0)) {
        return cli_usage(self->verb,
                         "--from-json takes all of a message from the input: no -0 -D -k -K -H "
                         "-P --type --id --delay --ttl");
    }
    if (self->key && self->key_delimiter) {
        return cli_usage(self->verb, "-k and -K exclude each other");
    }
    if (self->key_delimiter && !*self->key_delimiter) {
        return cli_usage(self->verb, "-K wants a DELIM of at least one byte");
    }
    if (self->id && messages != 1) {
        return cli_usage(self->verb, "--id wants exactly one MESSAGE argument");
    }
    if (self->ttl_ms != 0 && self->delay_ms >= self->ttl_ms) {
        return cli_usage(self->verb, "--ttl would be over before --delay");
    }
    return 0;
}

static int read_options(struct pub *self, int messages)
{
    const int rc = check_options(self, messages);
    if (rc != 0) {
        return rc;
    }
    if (self->priority &&
        !cli_read_number(self->priority, ZSPOOL_PRIORITY_MAX, &self->priority_number)) {
        return cli_usage(self->verb, "--priority: \"%s\" is none: want 0 to 9", self->priority);
    }
    const char *delimiter = self->nul ? "\\0" : self->delimiter ? self->delimiter : "\\n";
    self->delimiter_bytes = unescape(delimiter, &self->delimiter_len);
    self->key_delimiter_bytes =
        unescape(self->key_delimiter ? self->key_delimiter : "", &self->key_delimiter_len);
    if (!self->delimiter_bytes || !self->key_delimiter_bytes) {
        return cli_usage(self->verb,
                         "a delimiter has an unknown escape: want \\n \\t \\r \\0 \\\\ or \\xNN");
    }
    self->text = self->from_json ? calloc(1, sizeof *self->text) : NULL;
    self->page = open_memstream(&self->page_bytes, &self->page_len);
    if (!self->page || (self->from_json && !self->text)) {
        cli_say("no memory");
        return CLI_ERROR;
    }
    return read_headers(self);
}

static void fini(struct pub *self)
{
    if (self->page) {
        (void)fclose(self->page); /* memory: nothing can be lost */
    }
    free(self->page_bytes);
    free(self->text);
    free(self->delimiter_bytes);
    free(self->key_delimiter_bytes);
    free(self->header_texts.items);
    free(self->files.items);
}

/* --- Confirms ---------------------------------------------------------------------------- */

static void put_confirm(const struct pub *self, const zspool_report_t *report)
{
    struct json json = json_begin_on(self->page);
    json_text(&json, "topic", report->topic);
    json_uint(&json, "partition", report->partition);
    if (report->first_offset == ZSPOOL_OFFSET_UNKNOWN) {
        json_null(&json, "offset");
    } else {
        json_uint(&json, "offset", report->first_offset);
    }
    json_uint(&json, "count", report->count);
    json_text(&json, "level", report->level == ZSPOOL_WRITTEN ? "written" : "synced");
    json_bool(&json, "duplicate", report->duplicate);
    json_end(&json);
}

static void print_confirms(struct pub *self)
{
    if (fflush(self->page) != 0 || ferror(self->page) != 0) {
        cli_say("no memory for confirms");
        self->exit_code = CLI_ERROR;
    } else if (cli_write_out(self->page_bytes, self->page_len) < self->page_len) {
        self->exit_code = CLI_ERROR; /* nobody reads them: messages go out all the same */
    }
    (void)fseeko(self->page, 0, SEEK_SET); /* memory: cannot fail */
}

/* Which of the two is not there: asked for, as a report does not tell. `to` has 64 bytes. */
static const char *why_not_found(const struct pub *self, const zspool_report_t *report, char *to)
{
    zspool_topic_info_t *info;
    const int rc = zspool_topic_info(self->client, report->topic, cli_timeout(), &info, NULL);
    (void)snprintf(to, 64, "no such topic%s", rc == ZSPOOL_ENOT_FOUND ? "" : " or partition");
    if (rc == 0) {
        if (report->partition >= info->partition_count) {
            (void)snprintf(to, 64, "no partition %u, it has %zu", report->partition,
                           info->partition_count);
        }
        zspool_free(info);
    }
    return to;
}

static void note_failure(struct pub *self, const zspool_report_t *report)
{
    if (report->lost) {
        self->confirmed -= report->count;
    }
    if (self->failures++ < FAILURES_TOLD) {
        char text[64];
        const char *why = report->status == ZSPOOL_ENOT_FOUND ? why_not_found(self, report, text)
                                                              : zspool_strerror(report->status);
        cli_say("%llu message(s) to %s/%u: %s%s", (unsigned long long)report->count, report->topic,
                report->partition, why, report->maybe ? " (they may be there all the same)" : "");
    }
    self->exit_code = cli_exit_of(report->status);
}

/* Take what is reported; how many reports there were. */
static int take_reports(struct pub *self)
{
    zspool_report_t reports[REPORTS];
    int count;
    int taken = 0;
    while ((count = zspool_reports(self->producer, reports, REPORTS)) > 0) {
        taken += count;
        for (int i = 0; i < count; i++) {
            if (reports[i].status != 0) {
                note_failure(self, &reports[i]);
                continue;
            }
            self->confirmed += reports[i].count;
            if (cli_common.json) {
                put_confirm(self, &reports[i]);
            }
        }
    }
    if (taken > 0 && cli_common.json) {
        print_confirms(self);
    }
    return taken;
}

/* --- Messages ------------------------------------------------------------------------------ */

/* 0, or an exit code + 1 when the run is over; what went wrong was not told. */
static int send(struct pub *self, zspool_out_t *out, zspool_error_t *err)
{
    out->topic = self->topic;
    out->partition = self->partition;
    int rc;
    while ((rc = zspool_send(self->producer, out, NULL, err)) == ZSPOOL_EAGAIN) {
        (void)take_reports(self);
        rc = zspool_room(self->producer, out->payload.len, cli_timeout(), err);
        if (rc != 0) {
            break;
        }
    }
    self->sent += rc == 0;
    return rc == 0 ? 0 : cli_exit_of(rc) + 1;
}

/* A message of what the options say. */
static zspool_out_t message_of(const struct pub *self, const char *bytes, size_t len)
{
    zspool_out_t out = zspool_out(NULL, bytes, len);
    out.key = zspool_text(self->key);
    out.type = zspool_text(self->type);
    out.id = zspool_text(self->id);
    out.headers = self->headers;
    out.header_count = self->header_texts.count;
    out.delay_ms = self->delay_ms;
    out.ttl_ms = self->ttl_ms;
    if (self->priority) {
        zspool_out_set_priority(&out, (unsigned)self->priority_number);
    }
    const size_t cut_len = self->key_delimiter_len;
    for (size_t i = 0; cut_len > 0 && cut_len <= len && i <= len - cut_len; i++) {
        if (memcmp(bytes + i, self->key_delimiter_bytes, cut_len) == 0) {
            out.key = (zspool_bytes_t){bytes, i};
            out.payload = (zspool_bytes_t){bytes + i + cut_len, len - i - cut_len};
            break;
        }
    }
    return out;
}

static bool is_blank(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\0' || !strchr(" \t\r", bytes[i])) {
            return false;
        }
    }
    return true;
}

/* 0, or an exit code + 1 when the run is over, which was told. */
static int send_piece(struct pub *self, const struct input *input, char *bytes, size_t len)
{
    zspool_error_t err = {0};
    zspool_out_t out;
    if (!self->from_json) {
        out = message_of(self, bytes, len);
    } else if (is_blank(bytes, len)) {
        return 0;
    } else if (message_read(self->text, bytes, len)) {
        out = self->text->out;
    } else {
        cli_say("%s: line %llu: %s", input->name, (unsigned long long)input->number,
                self->text->why);
        return CLI_ERROR + 1;
    }
    const int rc = send(self, &out, &err);
    if (rc != 0) {
        cli_say("%s: %s %llu: %s", input->name, input_unit(input),
                (unsigned long long)input->number, err.message);
    }
    return rc;
}

/* Tell what is confirmed, or failed, as it comes, until there is input to read. False =
 * interrupted. */
static bool wait_for_input(struct pub *self, int fd)
{
    bool listens = true; /* to the client, while it has news when it says so */
    for (;;) {
        const int ready = cli_wait_readable(fd, listens ? zspool_fd(self->client) : -1);
        if (ready != 1) {
            return ready == 0;
        }
        listens = take_reports(self) > 0;
    }
}

static int send_pieces(struct pub *self, struct input *input)
{
    char *bytes;
    size_t len;
    int rc = 0;
    while (rc == 0 && !cli_stopped()) {
        switch (input_next(input, &bytes, &len)) {
        case INPUT_PIECE:
            rc = send_piece(self, input, bytes, len);
            break;
        case INPUT_MORE:
            (void)take_reports(self);
            progress_show(&self->progress, self->bytes_done + input->bytes_read, self->confirmed);
            if (wait_for_input(self, input->fd) && !input_fill(input)) {
                rc = CLI_ERROR + 1;
            }
            break;
        case INPUT_END:
            return 0;
        case INPUT_FAILED:
            return CLI_ERROR + 1;
        }
    }
    return rc;
}

static int send_input(struct pub *self, int fd, const char *name)
{
    const struct input_cut cut = {self->delimiter_bytes, self->delimiter_len,
                                  self->from_json ? MESSAGE_TEXT_MAX : ZSPOOL_MESSAGE_BYTES_MAX};
    struct input input;
    input_init(&input, cut, fd, name);
    const int rc = send_pieces(self, &input);
    self->bytes_done += input.bytes_read;
    input_fini(&input);
    return rc;
}

static int send_file(struct pub *self, const char *path)
{
    if (strcmp(path, "-") == 0) {
        return send_input(self, STDIN_FILENO, "standard input");
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_say("cannot open %s: %s", path, strerror(errno));
        return CLI_ERROR + 1;
    }
    const int rc = send_input(self, fd, path);
    (void)close(fd); /* was only read */
    return rc;
}

/* How many bytes there are to read, for the progress line; 0 when a pipe or the like is among them. */
static uint64_t bytes_of_inputs(const struct pub *self)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < self->files.count || i == 0; i++) {
        const char *path = self->files.count > 0 ? self->files.items[i] : "-";
        struct stat st;
        if ((strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) : stat(path, &st)) != 0 ||
            !S_ISREG(st.st_mode)) {
            return 0;
        }
        bytes += (uint64_t)st.st_size;
    }
    return bytes;
}

static int send_all(struct pub *self, char **messages, int count)
{
    int rc = 0;
    for (int i = 0; i < count && rc == 0; i++) {
        zspool_error_t err = {0};
        zspool_out_t out = message_of(self, messages[i], strlen(messages[i]));
        rc = send(self, &out, &err);
        if (rc != 0) {
            cli_say("MESSAGE %d: %s", i + 1, err.message);
        }
    }
    if (count > 0) {
        return rc;
    }
    self->progress.whole = self->progress.is_on ? bytes_of_inputs(self) : 0;
    if (self->files.count == 0) {
        return send_input(self, STDIN_FILENO, "standard input");
    }
    for (size_t i = 0; i < self->files.count && rc == 0 && !cli_stopped(); i++) {
        rc = send_file(self, self->files.items[i]);
    }
    return rc;
}

/* --- The run ---------------------------------------------------------------------------------- */

/* Wait for the fate of all that was sent, as long as some of it becomes known within the timeout.
 * 0, or what zspool_flush() says. */
static int flush(struct pub *self, zspool_error_t *err)
{
    int idle_ms = 0; /* since something became known */
    for (;;) {
        const uint64_t known = self->confirmed + self->failures;
        const int left_ms = cli_timeout() - idle_ms;
        const int wait_ms = left_ms < FLUSH_MS ? left_ms : FLUSH_MS;
        const int rc = zspool_flush(self->producer, wait_ms, err);
        (void)take_reports(self);
        if (rc != ZSPOOL_ETIMEOUT) {
            return rc;
        }
        idle_ms = self->confirmed + self->failures == known ? idle_ms + wait_ms : 0;
        if (idle_ms >= cli_timeout()) {
            return rc;
        }
        progress_show(&self->progress, self->bytes_done, self->confirmed);
    }
}

/* Send and flush; the exit code. */
static int publish_all(struct pub *self, char **messages, int count)
{
    zspool_error_t err = {0};
    const int rc = send_all(self, messages, count);
    const bool interrupted = cli_stopped();
    if (interrupted) {
        zspool_interrupt_clear(self->client); /* what was read is still to be kept */
    }
    const int flushed = flush(self, &err);
    progress_end(&self->progress);
    int code = rc != 0 ? rc - 1 : self->exit_code;
    if (flushed != 0 && self->failures == 0) {
        const int failed = cli_fail(&err);
        code = code == CLI_OK ? failed : code;
    }
    if (self->failures > FAILURES_TOLD) {
        cli_say("%llu runs of messages failed in all", (unsigned long long)self->failures);
    }
    if (code == CLI_OK && interrupted) {
        code = CLI_ERROR; /* the input may have had more */
    }
    if (code != CLI_OK) {
        cli_say("%llu of %llu messages sent are confirmed%s", (unsigned long long)self->confirmed,
                (unsigned long long)self->sent, interrupted ? "; interrupted" : "");
    }
    return code;
}

static int publish(struct pub *self, char **messages, int count)
{
    zspool_error_t err = {0};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = self->written ? ZSPOOL_WRITTEN : ZSPOOL_SYNCED;
    options.reporting = ZSPOOL_REPORT_ALL;
    const int wrong = read_codec(self, &options);
    if (wrong != 0) {
        return wrong;
    }
    self->producer = zspool_producer_new(self->client, &options, &err);
    if (!self->producer) {
        return cli_fail(&err);
    }
    char what[64];
    (void)snprintf(what, sizeof what, "pub %s", self->topic);
    self->progress = progress_begin(what, 0, cli_common.json);
    const int code = publish_all(self, messages, count);
    zspool_producer_destroy(&self->producer);
    return code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct pub self = {.verb = verb, .partition = ZSPOOL_PARTITION_ANY};
    const struct cli_option table[] = {
        {'k', "key", CLI_TEXT, "KEY", "key of every message", &self.key},
        {'K', "key-delimiter", CLI_TEXT, "DELIM", "KEY DELIM PAYLOAD: key up to the first DELIM",
         &self.key_delimiter},
        {'H', "header", CLI_TEXTS, "NAME=VALUE", "a header; may be given again",
         &self.header_texts},
        {0, "type", CLI_TEXT, "TYPE", "message type", &self.type},
        {0, "id", CLI_TEXT, "ID", "id of the one MESSAGE; stored with it", &self.id},
        {'P', "priority", CLI_TEXT, "0-9", "9 overtakes all others (4)", &self.priority},
        {0, "delay", CLI_DURATION, "TIME", "hand out after so long", &self.delay_ms},
        {0, "ttl", CLI_SPAN, "TIME", "do not hand out any more after so long", &self.ttl_ms},
        {'p', "partition", CLI_PARTITION, "NUMBER", "this partition (by key, else in turn)",
         &self.partition},
        {0, "file", CLI_TEXTS, "FILE", "read FILE, not stdin; may be given again", &self.files},
        {'0', "null", CLI_FLAG, NULL, "input is divided by NUL bytes, not lines", &self.nul},
        {'D', "delimiter", CLI_TEXT, "DELIM", "input is divided by this; '' = not at all",
         &self.delimiter},
        {0, "from-json", CLI_FLAG, NULL, "each line is a message as `read --json` prints it",
         &self.from_json},
        {0, "written", CLI_FLAG, NULL, "confirm before the disk has it: faster, weaker",
         &self.written},
        {0, "codec", CLI_TEXT, "CODEC", "compress: zstd, zstd:1 (fast) .. zstd:19 (none)",
         &self.codec},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    int code = read_options(&self, args.count - 1);
    if (code == 0) {
        self.topic = args.items[0];
        self.client = cli_client("zspool-pub");
        code = self.client ? publish(&self, args.items + 1, args.count - 1) : CLI_USAGE;
        cli_client_destroy(&self.client);
    }
    fini(&self);
    return code;
}

const struct cli_verb cli_pub = {
    .name = "pub",
    .synopsis = "[OPTION]... TOPIC [MESSAGE]...",
    .summary = "publish messages: the arguments, or each line of standard input",
    .details = "Returns when every message is confirmed, that is, on the broker's disk; else\n"
               "it tells how many are. What is sent again after a lost connection is not\n"
               "doubled. DELIM may hold \\n \\t \\r \\0 \\\\ \\xNN. A message never spans two\n"
               "FILEs, so that with -D '' each FILE is one. --from-json reads over where a\n"
               "message was (topic, offset, lease ...). --json prints each confirm.\n"
               "--delay and --ttl are rounded up a little, to a 256th at most.\n",
    .example = "  tail -F /var/log/syslog | zspool pub syslog\n"
               "  zspool pub orders -k customer-7 -H source=web '{\"item\": 3}'\n"
               "  zspool pub orders -P 9 --ttl 1h 'out of stock: 17'\n"
               "  zspool pub pictures -D '' --file a.png --file b.png\n"
               "  zspool read orders --json | zspool pub orders-copy --from-json\n",
    .args_min = 1,
    .args_max = -1,
    .run_fn = run,
};
