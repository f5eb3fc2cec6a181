/* SPDX-License-Identifier: MPL-2.0
 *
 * The last look at the files, when the broker is quiet: nothing lies there that belongs to nothing.
 *
 *   - an index, a file of ids or of priorities has its segment beside it, of the same generation
 *   - no segment is there twice: what was compacted is gone
 *   - no file is half made, and no topic is on its way out
 */
#include <stdio.h>
#include <string.h>

#include "broker/store/file/fs.h"
#include "broker/store/file/layout.h"
#include "tests/sim/sim.h"

/* Names of a directory of a partition. */
#define NAMES_MAX 4096
/* Work in the background has so many events to come to its end. */
#define LOOKS       400
#define LOOK_EVENTS 50

struct seen_file {
    uint64_t number;
    uint32_t generation;
    const char *suffix;
    bool is_log;
};

struct file_walk {
    struct fs *disk;
    const char *path;
    struct seen_file files[NAMES_MAX];
    size_t count;
    char stray[600]; /* "" = none yet */
};

static void note_stray(struct file_walk *self, const char *name, const char *what)
{
    if (self->stray[0] == '\0') {
        (void)snprintf(self->stray, sizeof self->stray, "%s/%s %s", self->path, name, what);
    }
}

static int add_file(void *arg, const struct fs_entry *entry)
{
    static const char *const suffixes[] = {".log", ".idx", ".ids", ".pri"};
    struct file_walk *self = arg;
    struct seen_file file = {0};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (layout_parse_segment(entry->name, suffixes[i], &file.number, &file.generation)) {
            file.suffix = suffixes[i];
            file.is_log = i == 0;
            if (self->count < NAMES_MAX) {
                self->files[self->count++] = file;
            }
            return 0;
        }
    }
    note_stray(self, entry->name, "is none of a partition's files");
    return 0;
}

static void judge_files(struct file_walk *self)
{
    char name[64];
    for (size_t i = 0; i < self->count; i++) {
        const struct seen_file *file = &self->files[i];
        bool is_twice = false;
        bool has_log = false;
        for (size_t k = 0; k < self->count; k++) {
            const struct seen_file *other = &self->files[k];
            if (other->is_log && other->number == file->number) {
                has_log = has_log || other->generation == file->generation;
                is_twice = is_twice || (file->is_log && k != i);
            }
        }
        (void)snprintf(name, sizeof name, "%u-%u%s", (unsigned)file->number, file->generation,
                       file->suffix);
        if (is_twice) {
            note_stray(self, name, "is a segment that is there twice");
        } else if (!has_log) {
            note_stray(self, name, "belongs to a segment that is gone");
        }
    }
}

/* Walk a directory below the path of the walk. */
static void walk(struct file_walk *self, const char *name,
                 int (*entry_fn)(void *arg, const struct fs_entry *entry))
{
    char path[512];
    const char *above = self->path;
    (void)snprintf(path, sizeof path, "%s%s%s", above, above[0] != '\0' ? "/" : "", name);
    self->path = path;
    (void)self->disk->ops->list(self->disk->self, path, entry_fn, self, NULL);
    if (entry_fn == add_file) {
        judge_files(self);
        self->count = 0;
    }
    self->path = above;
}

static int add_partition(void *arg, const struct fs_entry *entry)
{
    walk(arg, entry->name, add_file);
    return 0;
}

static int add_topic(void *arg, const struct fs_entry *entry)
{
    walk(arg, entry->name, add_partition);
    return 0;
}

static int add_trash(void *arg, const struct fs_entry *entry)
{
    note_stray(arg, entry->name, "is still there");
    return 0;
}

void files_final(struct sim *sim)
{
    static struct file_walk look;
    for (int i = 0; i < LOOKS && !sim->model.failed; i++) {
        look = (struct file_walk){.disk = sim->world.disk, .path = ""};
        walk(&look, "topics", add_topic);
        walk(&look, "trash", add_trash);
        if (look.stray[0] == '\0') {
            return;
        }
        sim_loop(sim, LOOK_EVENTS, NULL);
    }
    (void)model_fail(&sim->model, "in the end %s", look.stray);
}
