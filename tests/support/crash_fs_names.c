/* SPDX-License-Identifier: MPL-2.0
 *
 * Inodes and names of crash_fs. Names exist twice: as they are now, and as a
 * crash would leave them; between the two stand the unsynced changes.
 */
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/support/crash_fs_priv.h"

void *crash_grow(void *items, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) {
        return items;
    }
    size_t grown = *capacity > 0 ? 2 * *capacity : 16;
    while (grown < count) {
        grown *= 2;
    }
    void *memory = realloc(items, grown * size);
    zsp_assert(memory);
    *capacity = grown;
    return memory;
}

struct crash_inode *crash_inode_new(struct crash_fs *self, bool is_directory)
{
    struct crash_inode *inode = calloc(1, sizeof *inode);
    zsp_assert(inode);
    inode->is_directory = is_directory;
    for (size_t i = 0; i < self->inode_count; i++) {
        if (!self->inodes[i]) {
            inode->number = (uint32_t)i;
            self->inodes[i] = inode;
            return inode;
        }
    }
    self->inodes = crash_grow(self->inodes, &self->inode_capacity, self->inode_count + 1,
                              sizeof(struct crash_inode *));
    inode->number = (uint32_t)self->inode_count;
    self->inodes[self->inode_count++] = inode;
    return inode;
}

void crash_inode_destroy(struct crash_inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        free(inode->changes[i].data);
    }
    free(inode->changes);
    free(inode->cache.data);
    free(inode->durable.data);
    free(inode);
}

static void mark_names(const struct crash_names *names, bool *used)
{
    for (size_t i = 0; i < names->count; i++) {
        used[names->items[i].inode] = true;
        used[names->items[i].directory] = true;
    }
}

void crash_inodes_collect(struct crash_fs *self)
{
    bool *used = calloc(self->inode_count, sizeof *used);
    zsp_assert(used);
    used[0] = true;
    mark_names(&self->now, used);
    mark_names(&self->durable, used);
    for (size_t i = 0; i < self->name_change_count; i++) {
        const struct crash_name_change *change = &self->name_changes[i];
        if (change->adds) {
            used[change->added.inode] = true;
            used[change->added.directory] = true;
        }
        if (change->removes) {
            used[change->removed.directory] = true;
        }
    }
    for (size_t i = 0; i < self->inode_count; i++) {
        if (self->inodes[i] && !used[i] && self->inodes[i]->open_count == 0) {
            crash_inode_destroy(self->inodes[i]);
            self->inodes[i] = NULL;
        }
    }
    free(used);
}

static bool same_place(const struct crash_name *a, const struct crash_name *b)
{
    return a->directory == b->directory && strcmp(a->name, b->name) == 0;
}

const struct crash_name *crash_name_find(const struct crash_names *names, uint32_t directory,
                                         const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct crash_name *item = &names->items[i];
        if (item->directory == directory && strcmp(item->name, name) == 0) {
            return item;
        }
    }
    return NULL;
}

void crash_names_remove(struct crash_names *names, const struct crash_name *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (same_place(&names->items[i], name)) {
            names->items[i] = names->items[--names->count];
            return;
        }
    }
}

void crash_names_put(struct crash_names *names, const struct crash_name *name)
{
    crash_names_remove(names, name);
    names->items = crash_grow(names->items, &names->capacity, names->count + 1, sizeof *name);
    names->items[names->count++] = *name;
}

static void apply(struct crash_names *names, const struct crash_name_change *change)
{
    if (change->removes) {
        crash_names_remove(names, &change->removed);
    }
    if (change->adds) {
        crash_names_put(names, &change->added);
    }
}

void crash_name_change(struct crash_fs *self, const struct crash_name *removed,
                       const struct crash_name *added)
{
    self->name_changes = crash_grow(self->name_changes, &self->name_change_capacity,
                                    self->name_change_count + 1, sizeof *self->name_changes);
    struct crash_name_change *change = &self->name_changes[self->name_change_count++];
    memset(change, 0, sizeof *change);
    if (removed) {
        change->removes = true;
        change->removed = *removed;
    }
    if (added) {
        change->adds = true;
        change->added = *added;
    }
    apply(&self->now, change);
}

bool crash_name_changes_meet(const struct crash_name_change *a, const struct crash_name_change *b)
{
    return (a->adds && b->adds && same_place(&a->added, &b->added)) ||
           (a->adds && b->removes && same_place(&a->added, &b->removed)) ||
           (a->removes && b->adds && same_place(&a->removed, &b->added)) ||
           (a->removes && b->removes && same_place(&a->removed, &b->removed));
}

void crash_names_settle(struct crash_fs *self, const bool *keep)
{
    for (size_t i = 0; i < self->name_change_count; i++) {
        if (keep[i]) {
            apply(&self->durable, &self->name_changes[i]);
        }
    }
}

void crash_names_sync(struct crash_fs *self, uint32_t directory)
{
    const size_t count = self->name_change_count;
    bool *keep = calloc(count + 1, sizeof *keep);
    zsp_assert(keep);
    for (size_t i = count; i-- > 0;) {
        const struct crash_name_change *change = &self->name_changes[i];
        keep[i] = keep[i] || (change->adds && change->added.directory == directory) ||
                  (change->removes && change->removed.directory == directory);
        for (size_t j = 0; j < i && keep[i]; j++) {
            keep[j] = keep[j] || crash_name_changes_meet(&self->name_changes[j], change);
        }
    }
    crash_names_settle(self, keep);
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!keep[i]) {
            self->name_changes[left++] = self->name_changes[i];
        }
    }
    self->name_change_count = left;
    free(keep);
}

/* The entry of one path component that ends at `end`. */
static struct crash_inode *step(const struct crash_fs *self, const struct crash_inode *directory,
                                const char *begin, const char *end)
{
    char name[CRASH_NAME_MAX];
    const size_t len = (size_t)(end - begin);
    zsp_assert(len < sizeof name);
    memcpy(name, begin, len);
    name[len] = '\0';
    const struct crash_name *found = crash_name_find(&self->now, directory->number, name);
    return found ? self->inodes[found->inode] : NULL;
}

struct crash_inode *crash_path_parent(const struct crash_fs *self, const char *path,
                                      const char **ret_name)
{
    struct crash_inode *inode = self->inodes[0];
    const char *slash = strchr(path, '/');
    while (slash) {
        inode = step(self, inode, path, slash);
        if (!inode || !inode->is_directory) {
            return NULL;
        }
        path = slash + 1;
        slash = strchr(path, '/');
    }
    zsp_assert(strlen(path) < CRASH_NAME_MAX);
    *ret_name = path;
    return inode;
}

struct crash_inode *crash_path_find(const struct crash_fs *self, const char *path)
{
    if (path[0] == '\0') {
        return self->inodes[0];
    }
    const char *name = NULL;
    const struct crash_inode *parent = crash_path_parent(self, path, &name);
    return parent ? step(self, parent, name, name + strlen(name)) : NULL;
}
