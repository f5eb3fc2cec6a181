/* SPDX-License-Identifier: MPL-2.0
 *
 * The configuration of a broker: one plain struct, validated. Sources, later
 * ones win: defaults, the configuration file (ZPL, see zpl.h), the environment
 * (ZSPOOL_SECTION_KEY), the command line. Every value remembers where it came
 * from. Sizes and times always carry a unit. docs/zspoold.cfg.example lists all
 * keys; a test holds it equal to the defaults.
 */
#ifndef ZSP_SERVER_CONFIG_H
#define ZSP_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/server/endpoint.h"
#include "common/bytes.h"
#include "common/diag.h"
#include "common/err.h"

#define CONFIG_ENDPOINTS_MAX 16u
#define CONFIG_TEXT_MAX      768u /* a path, with its NUL */
#define CONFIG_KEYS_MAX      32u  /* room for origins; at least the number of keys */
#define CONFIG_ORIGIN_MAX    160u

/* Where a value came from; in rising order of weight. */
enum config_source {
    CONFIG_DEFAULT,
    CONFIG_FILE,
    CONFIG_ENVIRONMENT,
    CONFIG_LINE,        /* config_set_line() */
    CONFIG_COMMAND_LINE /* or a host's own option */
};

struct config_origin {
    enum config_source source;
    char text[CONFIG_ORIGIN_MAX]; /* "zspoold.cfg:12", "environment ZSPOOL_DATA_CREATE" */
};

struct config {
    bool embedded; /* in a host, whose own threads may connect: inproc endpoints are fine. Set
                    * before the first source */
    /* network */
    char listen[CONFIG_ENDPOINTS_MAX][ENDPOINT_MAX];
    uint32_t listen_count;
    uint64_t io_threads;         /* of libzmq */
    uint64_t ipc_mode;           /* permission bits of ipc sockets */
    uint64_t session_timeout_ms; /* a session without a request ends */
    /* security */
    bool allow_plain; /* listen beyond this machine without encryption */
    /* data */
    char directory[CONFIG_TEXT_MAX];
    bool create; /* make the directory and a new store in an empty one */
    uint64_t segment_bytes;
    uint64_t journal_file_bytes;
    uint64_t journal_bytes;
    uint64_t unsynced_bytes;
    uint64_t tail_bytes;
    uint64_t min_free_bytes; /* 0 = refuse publishes only when truly full */
    uint64_t fill_bytes;     /* 0 = no zero-filled space ahead */
    uint64_t data_threads;   /* executor threads */
    uint64_t open_files;     /* log files open at once, 0 = by the limit of the process */
    /* topics, groups */
    bool auto_create_topics;
    bool auto_create_groups;
    uint64_t partitions; /* of topics made by a publish */
    uint64_t topics_max; /* 0 = no limit */
    uint64_t partitions_max;
    uint64_t groups_max;
    /* limits */
    uint64_t requests;        /* unanswered ones of a connection */
    uint64_t all_requests;    /* unanswered ones of all connections */
    uint64_t request_bytes;   /* bytes of a connection's unanswered requests */
    uint64_t publish_bytes;   /* of all waiting publishes */
    uint64_t reply_bytes;     /* of replies that a connection has not taken yet */
    uint64_t all_reply_bytes; /* of all connections, see reply_room.h */
    uint64_t sessions;
    /* diag */
    enum zsp_level level;

    struct config_origin origins[CONFIG_KEYS_MAX]; /* by key, in the order of the table */
};

/* All defaults. */
void config_init(struct config *self);

/* Read ZPL text; `file` names it in errors and origins.
 * Errors of this and the following: ZSP_EBAD_CONFIG, telling file and line or
 * variable; *self is then of no further use. */
int config_read_text(struct config *self, const char *file, struct zsp_slice text,
                     struct zsp_err *err);
int config_read_file(struct config *self, const char *path, struct zsp_err *err);

/* Read the variables ZSPOOL_SECTION_KEY of `environment` (as environ). One with a
 * known section and an unknown key is an error, other names are not ours. Lists
 * are separated by commas. */
int config_read_environment(struct config *self, char *const *environment, struct zsp_err *err);

/* Set one key from the command line; `option` names the option for people. */
int config_set(struct config *self, const char *section, const char *key, const char *value,
               const char *option, struct zsp_err *err);

/* Read one setting, "section/key = value"; `name` names the line in errors.
 * Errors: ZSP_EBAD_CONFIG, also for a key that does not exist */
int config_set_line(struct config *self, const char *name, const char *line, struct zsp_err *err);

/* Was the key given by anybody? `section` and `key` exist. */
bool config_given(const struct config *self, const char *section, const char *key);

/* Check what concerns several keys. Call once, after the last source. */
int config_check(const struct config *self, struct zsp_err *err);

/* Append the effective configuration as ZPL, each value with its origin as a
 * comment; reading it back gives the same configuration. */
void config_print(const struct config *self, struct zsp_writer *out);

#endif
