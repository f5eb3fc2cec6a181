/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool pub: arguments, or pieces of standard input, become messages.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/json.h"
#include "client/cli/verbs.h"

#define READ_BYTES    65536u
#define REPORTS       256
#define HEADERS_MAX   64u
#define FAILURES_TOLD 10u /* then only counted */

struct pub {
    const struct cli_verb *verb;
    /* options */
    bool nul;
    bool written;
    const char *delimiter, *key, *key_delimiter, *type, *id, *file;
    struct cli_list header_texts;

    char *delimiter_bytes, *key_delimiter_bytes; /* unescaped */
    size_t delimiter_len, key_delimiter_len;
    zspool_header_t headers[HEADERS_MAX];
    zspool_client_t *client;
    zspool_producer_t *producer;
    const char *topic;
    uint64_t failures;
    int exit_code;
};

/* --- Options ------------------------------------------------------------------------- */

/* \n \t \r \0 \\ as in other tools; NULL = no memory, or a backslash before something else. */
static char *unescape(const char *text, size_t *ret_len)
{
    char *bytes = malloc(strlen(text) + 1);
    size_t len = 0;
    for (const char *p = text; bytes && *p; p++) {
        static const char from[] = "ntr0\\";
        static const char to[] = "\n\t\r\0\\";
        char c = *p;
        if (c == '\\') {
            const char *found = p[1] ? strchr(from, p[1]) : NULL;
            if (!found) {
                free(bytes);
                return NULL;
            }
            c = to[found - from];
            p++;
        }
        bytes[len++] = c;
    }
    *ret_len = len;
    return bytes;
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

static int read_delimiters(struct pub *self, int messages)
{
    if (self->nul && self->delimiter) {
        return cli_usage(self->verb, "-0 and -D exclude each other");
    }
    if (messages > 0 && (self->nul || self->delimiter || self->file)) {
        return cli_usage(self->verb, "-0, -D and --file are for input, not for MESSAGE arguments");
    }
    if (self->key && self->key_delimiter) {
        return cli_usage(self->verb, "-k and -K exclude each other");
    }
    if (self->id && messages != 1) {
        return cli_usage(self->verb, "--id wants exactly one MESSAGE argument");
    }
    const char *delimiter = self->nul ? "\\0" : self->delimiter ? self->delimiter : "\\n";
    self->delimiter_bytes = unescape(delimiter, &self->delimiter_len);
    self->key_delimiter_bytes =
        unescape(self->key_delimiter ? self->key_delimiter : "", &self->key_delimiter_len);
    if (!self->delimiter_bytes || !self->key_delimiter_bytes) {
        return cli_usage(self->verb, "a delimiter has an unknown escape");
    }
    return read_headers(self);
}

/* --- Confirms ---------------------------------------------------------------------------- */

static void print_confirm(const zspool_report_t *report)
{
    struct json json = json_begin();
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

/* Print what is reported; how many there were. */
static int take_reports(struct pub *self)
{
    zspool_report_t reports[REPORTS];
    int count;
    int taken = 0;
    while ((count = zspool_reports(self->producer, reports, REPORTS)) > 0) {
        taken += count;
        for (int i = 0; i < count; i++) {
            const zspool_report_t *report = &reports[i];
            if (report->status == 0) {
                print_confirm(report);
                continue;
            }
            if (self->failures++ < FAILURES_TOLD) {
                cli_say("%llu message(s) to %s: %s%s", (unsigned long long)report->count,
                        report->topic, zspool_strerror(report->status),
                        report->maybe ? " (they may be there all the same)" : "");
            }
            self->exit_code = cli_exit_of(report->status);
        }
    }
    return taken;
}

/* --- Messages ------------------------------------------------------------------------------ */

/* 0, or an exit code + 1 when the run is over. */
static int send(struct pub *self, const char *bytes, size_t len)
{
    zspool_error_t err = {0};
    zspool_out_t out = zspool_out(self->topic, bytes, len);
    out.key = zspool_text(self->key);
    out.type = zspool_text(self->type);
    out.id = zspool_text(self->id);
    out.headers = self->headers;
    out.header_count = self->header_texts.count;
    if (self->key_delimiter_len > 0) {
        for (size_t i = 0; i + self->key_delimiter_len <= len; i++) {
            if (memcmp(bytes + i, self->key_delimiter_bytes, self->key_delimiter_len) == 0) {
                out.key = (zspool_bytes_t){bytes, i};
                out.payload.data = bytes + i + self->key_delimiter_len;
                out.payload.len = len - i - self->key_delimiter_len;
                break;
            }
        }
    }
    int rc;
    while ((rc = zspool_send(self->producer, &out, NULL, &err)) == ZSPOOL_EAGAIN) {
        (void)take_reports(self);
        if (zspool_room(self->producer, len, cli_timeout(), &err) != 0) {
            return cli_fail(&err) + 1;
        }
    }
    return rc == 0 ? 0 : cli_fail(&err) + 1;
}

struct input {
    char *bytes;
    size_t len, capacity;
};

static bool more_room(struct input *self)
{
    if (self->capacity - self->len >= READ_BYTES) {
        return true;
    }
    const size_t capacity = self->capacity == 0 ? 2 * READ_BYTES : 2 * self->capacity;
    char *bytes = realloc(self->bytes, capacity);
    if (!bytes) {
        return false;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    return true;
}

static const char *find(const char *bytes, size_t len, const char *what, size_t what_len)
{
    const char *end = bytes + len;
    while (what_len > 0 && (size_t)(end - bytes) >= what_len) {
        const char *hit = memchr(bytes, what[0], (size_t)(end - bytes) - what_len + 1);
        if (!hit || memcmp(hit, what, what_len) == 0) {
            return hit;
        }
        bytes = hit + 1;
    }
    return NULL;
}

/* Send every whole piece; keep the rest. */
static int send_pieces(struct pub *self, struct input *input, size_t *searched)
{
    size_t pos = 0;
    const char *hit;
    while ((hit = find(input->bytes + pos + *searched, input->len - pos - *searched,
                       self->delimiter_bytes, self->delimiter_len))) {
        const size_t len = (size_t)(hit - (input->bytes + pos));
        const int rc = send(self, input->bytes + pos, len);
        if (rc != 0) {
            return rc;
        }
        pos += len + self->delimiter_len;
        *searched = 0;
    }
    input->len -= pos;
    memmove(input->bytes, input->bytes + pos, input->len);
    *searched = input->len >= self->delimiter_len ? input->len - self->delimiter_len + 1 : 0;
    if (self->delimiter_len == 0) {
        *searched = input->len;
    }
    return 0;
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
        (void)cli_flush(); /* confirms nobody reads do not keep messages from going out */
    }
}

static int read_input(struct pub *self, FILE *file)
{
    struct input input = {0};
    size_t searched = 0;
    int rc = 0;
    const int fd = fileno(file);
    while (rc == 0) {
        if (!more_room(&input) || input.len > 2 * (size_t)ZSPOOL_MESSAGE_BYTES_MAX) {
            cli_say("a message is longer than %u bytes", ZSPOOL_MESSAGE_BYTES_MAX);
            rc = CLI_ERROR + 1;
            break;
        }
        if (!wait_for_input(self, fd)) {
            break;
        }
        const ssize_t got = read(fd, input.bytes + input.len, READ_BYTES);
        if (got < 0 && errno == EINTR && !cli_stopped()) {
            continue;
        }
        if (got < 0 && !cli_stopped()) {
            cli_say("cannot read: %s", strerror(errno));
            rc = CLI_ERROR + 1;
        }
        if (got <= 0) {
            break;
        }
        input.len += (size_t)got;
        rc = send_pieces(self, &input, &searched);
        (void)take_reports(self);
        (void)cli_flush();
    }
    if (rc == 0 && input.len > 0 && !cli_stopped()) {
        rc = send(self, input.bytes, input.len);
    }
    free(input.bytes);
    return rc;
}

static int send_all(struct pub *self, char **messages, int count)
{
    int rc = 0;
    if (count > 0) {
        for (int i = 0; i < count && rc == 0; i++) {
            rc = send(self, messages[i], strlen(messages[i]));
        }
        return rc;
    }
    if (!self->file || strcmp(self->file, "-") == 0) {
        return read_input(self, stdin);
    }
    FILE *file = fopen(self->file, "rb");
    if (!file) {
        cli_say("cannot open %s: %s", self->file, strerror(errno));
        return CLI_ERROR + 1;
    }
    rc = read_input(self, file);
    (void)fclose(file); /* was only read */
    return rc;
}

/* --- The run ---------------------------------------------------------------------------------- */

static int publish(struct pub *self, char **messages, int count)
{
    zspool_error_t err = {0};
    zspool_producer_options_t options;
    zspool_producer_options_init(&options);
    options.level = self->written ? ZSPOOL_WRITTEN : ZSPOOL_SYNCED;
    options.reporting = cli_common.json ? ZSPOOL_REPORT_ALL : ZSPOOL_REPORT_FAILED;
    self->producer = zspool_producer_new(self->client, &options, &err);
    if (!self->producer) {
        return cli_fail(&err);
    }
    const int rc = send_all(self, messages, count);
    if (cli_stopped()) {
        zspool_interrupt_clear(self->client); /* what was read is still to be kept */
    }
    const int flushed = zspool_flush(self->producer, cli_timeout(), &err);
    (void)take_reports(self);
    if (flushed == ZSPOOL_ETIMEOUT && self->failures == 0) {
        self->exit_code = cli_fail(&err);
        cli_say("not every message is confirmed");
    }
    if (self->failures > FAILURES_TOLD) {
        cli_say("%llu runs of messages failed in all", (unsigned long long)self->failures);
    }
    zspool_producer_destroy(&self->producer);
    if (rc != 0) {
        return rc - 1;
    }
    if (flushed != 0 && self->exit_code == CLI_OK) {
        return cli_fail(&err);
    }
    return cli_stopped() && self->exit_code == CLI_OK ? CLI_ERROR : self->exit_code;
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
    struct pub self = {.verb = verb};
    const struct cli_option table[] = {
        {'k', "key", CLI_TEXT, "KEY", "key of every message", &self.key},
        {'K', "key-delimiter", CLI_TEXT, "DELIM", "each message is KEY DELIM PAYLOAD",
         &self.key_delimiter},
        {'H', "header", CLI_TEXTS, "NAME=VALUE", "a header; may be given again",
         &self.header_texts},
        {0, "type", CLI_TEXT, "TYPE", "message type", &self.type},
        {0, "id", CLI_TEXT, "ID", "id of the one MESSAGE; stored with it", &self.id},
        {'0', "null", CLI_FLAG, NULL, "input is divided by NUL bytes, not lines", &self.nul},
        {'D', "delimiter", CLI_TEXT, "DELIM", "input is divided by this (\\n \\t \\0 \\\\)",
         &self.delimiter},
        {0, "file", CLI_TEXT, "FILE", "read FILE, not standard input", &self.file},
        {0, "written", CLI_FLAG, NULL, "confirm before the disk has it: faster, weaker",
         &self.written},
        {0, NULL, CLI_FLAG, NULL, NULL, NULL},
    };
    struct cli_args args;
    const int rc = cli_parse(verb, table, argc, argv, &args);
    if (rc != 0) {
        return cli_parsed_exit(rc);
    }
    int code = read_delimiters(&self, args.count - 1);
    if (code == 0) {
        self.topic = args.items[0];
        self.client = cli_client("zspool-pub");
        code = self.client ? publish(&self, args.items + 1, args.count - 1) : CLI_USAGE;
        cli_client_destroy(&self.client);
    }
    free(self.delimiter_bytes);
    free(self.key_delimiter_bytes);
    free(self.header_texts.items);
    return code;
}

const struct cli_verb cli_pub = {
    .name = "pub",
    .synopsis = "[OPTION]... TOPIC [MESSAGE]...",
    .summary = "publish messages: the arguments, or each line of standard input",
    .details = "Returns when every message is confirmed, that is, on the broker's disk.\n"
               "A message published again after a lost connection is not doubled.\n"
               "With -D '' the whole input is one message. --json prints each confirm.\n",
    .example = "  tail -F /var/log/syslog | zspool pub syslog\n"
               "  zspool pub orders -k customer-7 -H source=web '{\"item\": 3}'\n",
    .args_min = 1,
    .args_max = -1,
    .run_fn = run,
};
