/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/verb/place_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE  512u
#define FIRST_LINE "zspool-read 1"

struct place_file {
    char *path, *new_path;
    char topic_line[LINE_SIZE], partition_line[16]; /* lines 2 and 3, without their ends */
    bool is_known[CLI_PARTITIONS_MAX];
    uint64_t next[CLI_PARTITIONS_MAX];
    zspool_reader_place_t places[CLI_PARTITIONS_MAX]; /* as the library tells and takes them */
    bool is_changed;
    int64_t saved_ms;
};

/* --- Places ----------------------------------------------------------------------------- */

const zspool_reader_place_t *place_file_places(struct place_file *self, size_t *ret_count)
{
    size_t count = 0;
    for (uint32_t i = 0; i < CLI_PARTITIONS_MAX; i++) {
        if (self->is_known[i]) {
            self->places[count++] = (zspool_reader_place_t){i, self->next[i]};
        }
    }
    *ret_count = count;
    return self->places;
}

void place_file_set(struct place_file *self, uint32_t partition, uint64_t offset)
{
    if (!self->is_known[partition] || self->next[partition] != offset) {
        self->is_known[partition] = true;
        self->next[partition] = offset;
        self->is_changed = true;
    }
}

void place_file_take(struct place_file *self, zspool_reader_t *reader)
{
    const int count = zspool_reader_places(reader, self->places, CLI_PARTITIONS_MAX);
    for (int i = 0; i < count; i++) {
        place_file_set(self, self->places[i].partition, self->places[i].offset);
    }
}

/* --- Reading ---------------------------------------------------------------------------- */

/* One line without its end; false at the end of the file, where it is empty, or when it has no end or is
 * too long. */
static bool next_line(FILE *file, char *line)
{
    line[0] = '\0';
    if (!fgets(line, (int)LINE_SIZE, file)) {
        return false;
    }
    const size_t len = strcspn(line, "\n");
    const bool is_whole = line[len] == '\n';
    line[len] = '\0';
    return is_whole;
}

/* "PARTITION OFFSET" */
static bool read_place(struct place_file *self, char *line)
{
    char *blank = strchr(line, ' ');
    uint64_t partition = 0;
    uint64_t offset = 0;
    if (!blank) {
        return false;
    }
    *blank = '\0';
    if (!cli_read_number(line, CLI_PARTITIONS_MAX - 1, &partition) ||
        !cli_read_number(blank + 1, UINT64_MAX, &offset)) {
        return false;
    }
    place_file_set(self, (uint32_t)partition, offset);
    return true;
}

/* A line that says what the file is about. */
static int expect_line(const struct place_file *self, FILE *file, const char *what,
                       const char *wanted)
{
    char line[LINE_SIZE] = "";
    const bool is_there = next_line(file, line);
    if (is_there && strcmp(line, wanted) == 0) {
        return CLI_OK;
    }
    if (ferror(file)) {
        cli_say("%s: cannot read: %s", self->path, strerror(errno));
    } else {
        cli_say("%s: it is about %s \"%s\", not \"%s\": remove it to begin anew", self->path, what,
                line, wanted);
    }
    return CLI_ERROR;
}

static int read_lines(struct place_file *self, FILE *file)
{
    char line[LINE_SIZE];
    unsigned number = 3;
    int code = expect_line(self, file, "something else,", FIRST_LINE);
    code = code == CLI_OK ? expect_line(self, file, "topic and id", self->topic_line) : code;
    code = code == CLI_OK ? expect_line(self, file, "partition", self->partition_line) : code;
    if (code != CLI_OK) {
        return code;
    }
    bool is_good = true;
    while (is_good && next_line(file, line)) {
        number++;
        is_good = read_place(self, line);
    }
    if (ferror(file)) {
        cli_say("%s: cannot read: %s", self->path, strerror(errno));
        return CLI_ERROR;
    }
    if (is_good && (!feof(file) || line[0] != '\0')) { /* one that is not whole is no place */
        number++;
        is_good = false;
    }
    if (!is_good) {
        cli_say("%s: line %u: want a partition and an offset", self->path, number);
        return CLI_ERROR;
    }
    self->is_changed = false;
    return CLI_OK;
}

static int read_file(struct place_file *self)
{
    FILE *file = fopen(self->path, "r");
    if (!file && errno == ENOENT) {
        return CLI_OK;
    }
    if (!file) {
        cli_say("%s: cannot read: %s", self->path, strerror(errno));
        return CLI_ERROR;
    }
    const int code = read_lines(self, file);
    (void)fclose(file); /* was read only */
    return code;
}

/* --- Writing ---------------------------------------------------------------------------- */

static bool write_lines(const struct place_file *self, FILE *file)
{
    /* The flush tells of errors. */
    (void)fprintf(file, "%s\n%s\n%s\n", FIRST_LINE, self->topic_line, self->partition_line);
    for (uint32_t i = 0; i < CLI_PARTITIONS_MAX; i++) {
        if (self->is_known[i]) {
            (void)fprintf(file, "%" PRIu32 " %" PRIu64 "\n", i, self->next[i]);
        }
    }
    return fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
}

static bool write_file(struct place_file *self)
{
    FILE *file = fopen(self->new_path, "w");
    bool is_written = file && write_lines(self, file);
    int error = errno;
    if (file && fclose(file) != 0 && is_written) {
        is_written = false;
        error = errno;
    }
    if (is_written && rename(self->new_path, self->path) != 0) {
        is_written = false;
        error = errno;
    }
    if (!is_written) {
        cli_say("%s: cannot write: %s", self->path, strerror(error));
        (void)unlink(self->new_path); /* if it is there at all */
    }
    return is_written;
}

bool place_file_is_due(const struct place_file *self)
{
    return cli_now_ms() - self->saved_ms >= PLACE_FILE_SAVE_MS;
}

bool place_file_save(struct place_file *self)
{
    self->saved_ms = cli_now_ms();
    if (!self->is_changed) {
        return true;
    }
    self->is_changed = false;
    return write_file(self);
}

/* --- Life -------------------------------------------------------------------------------- */

static int describe(struct place_file *self, zspool_client_t *client, const char *topic,
                    int32_t partition)
{
    zspool_error_t err = {0};
    zspool_topic_info_t *info;
    if (zspool_topic_info(client, topic, cli_timeout(), &info, &err) != 0) {
        return cli_fail(&err);
    }
    (void)snprintf(self->topic_line, sizeof self->topic_line, "%s %" PRIu64, topic, info->id);
    if (partition == ZSPOOL_PARTITION_ALL) {
        (void)snprintf(self->partition_line, sizeof self->partition_line, "all");
    } else {
        (void)snprintf(self->partition_line, sizeof self->partition_line, "%" PRId32, partition);
    }
    zspool_free(info);
    return CLI_OK;
}

/* May it be written? Better known before a message is printed than behind it. */
static int check_writable(const struct place_file *self)
{
    FILE *file = fopen(self->new_path, "a");
    if (!file) {
        cli_say("%s: cannot write: %s", self->path, strerror(errno));
        return CLI_ERROR;
    }
    (void)fclose(file);           /* nothing is in it */
    (void)unlink(self->new_path); /* the next one is made anew */
    return CLI_OK;
}

struct place_file *place_file_open(const char *path, zspool_client_t *client, const char *topic,
                                   int32_t partition, int *ret_exit)
{
    struct place_file *self = calloc(1, sizeof *self);
    const size_t new_size = strlen(path) + sizeof ".new";
    if (self) {
        self->path = strdup(path);
        self->new_path = malloc(new_size);
    }
    if (!self || !self->path || !self->new_path) {
        cli_say("no memory for the places of a reader");
        *ret_exit = CLI_ERROR;
        place_file_destroy(&self);
        return NULL;
    }
    (void)snprintf(self->new_path, new_size, "%s.new", path);
    int code = describe(self, client, topic, partition);
    code = code == CLI_OK ? read_file(self) : code;
    code = code == CLI_OK ? check_writable(self) : code;
    if (code != CLI_OK) {
        *ret_exit = code;
        place_file_destroy(&self);
    }
    return self;
}

void place_file_destroy(struct place_file **self_p)
{
    struct place_file *self = *self_p;
    if (self) {
        free(self->path);
        free(self->new_path);
        free(self);
        *self_p = NULL;
    }
}
