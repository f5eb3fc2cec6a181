/* SPDX-License-Identifier: MPL-2.0
 *
 * What the verbs of the `zspool` command share: the table of options and the
 * help made from it, the client, exit codes, messages for people (stderr only),
 * and the ends of a run (Ctrl-C, a broken pipe). The command stands on
 * <zspool.h> alone.
 */
#ifndef ZSP_CLI_CLI_H
#define ZSP_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zspool.h>

#if defined(__GNUC__)
#define CLI_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define CLI_PRINTF(fmt, first)
#endif

/* Exit codes, as documented in --help. */
enum cli_exit {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_USAGE = 2,
    CLI_TIMEOUT = 3, /* or nothing to read */
    CLI_NOT_FOUND = 4,
    CLI_DENIED = 5
};

/* --- Options ------------------------------------------------------------------- */

struct cli_list {
    const char **items;
    size_t count;
};

/* A setting that can be left alone, set, or unset with the word "default". */
struct cli_setting {
    bool given;
    bool unset;
    uint64_t value;
    const char *word; /* NULL = a number */
};

enum cli_type {
    CLI_FLAG,             /* bool */
    CLI_TEXT,             /* const char * */
    CLI_COUNT,            /* uint64_t, at least 1 */
    CLI_BYTES,            /* uint64_t: 4096, 64KiB, 1MiB, 2GiB */
    CLI_DURATION,         /* int64_t, ms: 500ms, 5s, 10m, 2h, 7d */
    CLI_SPAN,             /* the same, at least 1 ms: where 0 would be no time at all */
    CLI_SECONDS,          /* uint64_t, ms, at least 1: 5, 0.25 */
    CLI_POSITION,         /* zspool_position_t */
    CLI_TEXTS,            /* struct cli_list, may be given again */
    CLI_SETTING_COUNT,    /* struct cli_setting */
    CLI_SETTING_BYTES,    /* struct cli_setting */
    CLI_SETTING_DURATION, /* struct cli_setting, ms */
    CLI_SETTING_WORD,     /* struct cli_setting */
    CLI_PARTITION         /* int32_t */
};

struct cli_option {
    char letter;      /* 0 = none */
    const char *name; /* NULL = the end of the table */
    enum cli_type type;
    const char *arg; /* what the help calls its argument; NULL for a flag */
    const char *help;
    void *place;
};

struct cli_verb {
    const char *name;
    const char *synopsis; /* behind "zspool NAME" */
    const char *summary;  /* one line */
    const char *details;  /* more lines for --help, may be NULL; under 80 columns */
    const char *example;
    int args_min, args_max; /* words that are no options; max -1 = any number */
    int (*run_fn)(const struct cli_verb *self, int argc, char **argv);
};

/* Options that every verb has. */
struct cli_common {
    const char *server;
    int64_t timeout_ms;
    bool json;
    bool quiet; /* no progress, no remarks: errors only */
};
extern struct cli_common cli_common;

/* Is `action` one of them? 0, or CLI_USAGE, which is told. */
int cli_check_action(const struct cli_verb *verb, const char *action, const char *const *actions,
                     size_t count);

/* A flag that only some actions of a verb take ("create", "rm" ...). */
struct cli_action_flag {
    const char *name; /* of the option */
    bool given;
    const char *actions; /* divided by spaces */
};
/* Is each flag that was given one for `action`? 0, or CLI_USAGE, which is told. */
int cli_check_flags(const struct cli_verb *verb, const char *action,
                    const struct cli_action_flag *flags, size_t count);

/* Words that are no options. */
struct cli_args {
    char **items; /* NULL-terminated */
    int count;
};

/* Parse argv (argv[0] = the verb) by the table and the common options; what is left must be as many
 * as the verb takes. Returns 0, or an exit code + 1 when the run is over: help was printed, or
 * usage was wrong and that was told. */
int cli_parse(const struct cli_verb *verb, const struct cli_option *table, int argc, char **argv,
              struct cli_args *ret);
/* Where the run is over: the code behind a nonzero return of cli_parse. */
int cli_parsed_exit(int rc);
/* Wrong usage: tell it, point to --help. Returns CLI_USAGE. */
int cli_usage(const struct cli_verb *verb, const char *format, ...) CLI_PRINTF(2, 3);
/* Print the help of a verb to stdout. */
void cli_help(const struct cli_verb *verb, const struct cli_option *table);

/* The one of `names` that `word` is most likely a slip of; NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

/* --- Values ----------------------------------------------------------------------- */

/* All of these: true, or false when the text is not such a value. */
bool cli_read_number(const char *text, uint64_t max, uint64_t *ret);
bool cli_read_bytes(const char *text, uint64_t *ret);
bool cli_read_duration(const char *text, int64_t *ret_ms);
bool cli_read_seconds(const char *text, uint64_t *ret_ms);
/* earliest, latest, digits = offset, -N = the last N, 10m = ago, RFC 3339 or @unix = time. */
bool cli_read_position(const char *text, zspool_position_t *ret);
#define CLI_POSITIONS \
    "earliest, latest, an offset, -N, 10m, 2026-01-31T12:00:00Z, @UNIXTIME or id:X"
/* A position as cli_read_position() takes it; `to` has at least 32 bytes. */
void cli_write_position(const zspool_position_t *position, char *to);
/* RFC 3339 with offset, milliseconds since 1970. */
bool cli_read_time(const char *text, int64_t *ret_ms);
/* RFC 3339, UTC, with milliseconds; `to` has at least 32 bytes, ms <= CLI_TIME_MAX_MS. */
void cli_write_time(int64_t ms, char *to);
#define CLI_TIME_MAX_MS 253402300799999 /* 9999-12-31T23:59:59.999Z */
/* The byte that *text begins with, or an escape of one (\n \t \r \0 \\ \xNN) stands for; *text
 * moves behind it. False, with *text unmoved, when a backslash is no such escape. */
bool cli_read_escaped(const char **text, char *ret);

/* --- Talking ------------------------------------------------------------------------- */

/* An error: "zspool: ..." on stderr. */
void cli_say(const char *format, ...) CLI_PRINTF(1, 2);
/* A remark: the same, unless --quiet. */
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);
/* Tell an error of the library; returns the exit code for it. */
int cli_fail(const zspool_error_t *err);
int cli_exit_of(int code);
/* Ask on the terminal whether to go on, unless `yes`. Returns CLI_OK to go on, CLI_ERROR for no,
 * CLI_USAGE when there is no terminal to ask on, which is told. */
int cli_confirm(bool yes, const char *format, ...) CLI_PRINTF(2, 3);

/* A client of the server asked for, interrupted by SIGINT, SIGTERM and SIGHUP; NULL = told. The first
 * signal asks the run to finish; another, not at the same moment, ends the process at once. */
zspool_client_t *cli_client(const char *name);
/* One wish to stop may arrive as two signals: timeout(1) sends to the process and to its group. */
#define CLI_SAME_WISH_MS   300

#define CLI_PARTITIONS_MAX 1024u /* of a topic */

/* Monotonic milliseconds. Async-signal-safe. */
int64_t cli_now_ms(void);
/* Did SIGINT, SIGTERM or SIGHUP come? */
bool cli_stopped(void);
/* Wait until one of two descriptors (the second may be -1) can be read, or such a signal comes; none
 * is missed. Returns 0 or 1, the index of the one that can be read, or -1 when stopped. */
int cli_wait_readable(int first_fd, int second_fd);
void cli_client_destroy(zspool_client_t **client_p);
/* For a run that may wait for ever: remark, once, that there is no connection now. */
void cli_note_absence(zspool_client_t *client, bool *is_told);
int cli_timeout(void);

/* Flush stdout. Returns false when nobody reads it any more or it cannot be written, which is told
 * once. */
bool cli_flush(void);
/* Write all of `bytes` to stdout, past stdio; a signal does not cut it short. Returns how many were
 * written: fewer when nobody reads them any more, or on an error, which is told. */
size_t cli_write_out(const char *bytes, size_t len);
/* Did stdout turn out to have no reader any more? */
bool cli_pipe_broken(void);
/* The same, looked up now: for who waits long without a write that would tell, every
 * CLI_LOOK_MS. */
bool cli_reader_gone(void);
#define CLI_LOOK_MS 1000

#endif
