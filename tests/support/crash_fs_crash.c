/* SPDX-License-Identifier: MPL-2.0
 *
 * Crashes of crash_fs, and looking at the tree as a whole.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/assert.h"
#include "common/bytes.h"
#include "common/hash.h"
#include "tests/support/crash_fs_priv.h"

/* How a file loses its unsynced changes; one way a file, chosen by the seed. */
enum loss {
    LOSE_ALL,
    KEEP_ALL,
    KEEP_PREFIX,  /* the first k changes */
    LOSE_PAGES,   /* each 4 KiB page its own k */
    LOSE_SECTORS, /* each sector its own k */
    LOSE_WAY_COUNT
};

/* How many of the changes a sector keeps. */
static uint64_t sector_cut(struct prng *prng, enum loss loss, uint64_t sector, size_t change_count,
                           uint64_t base)
{
    switch (loss) {
    case LOSE_ALL:
        return 0;
    case KEEP_ALL:
        return change_count;
    case KEEP_PREFIX:
        return base;
    case LOSE_PAGES: {
        /* The same for all sectors of a page, whatever else was drawn. */
        struct prng page = {.state = base ^ (sector / (CRASH_PAGE / CRASH_SECTOR) + 1)};
        return prng_below(&page, change_count + 1);
    }
    case LOSE_SECTORS:
        return prng_chance(prng, 300) ? prng_below(prng, change_count + 1) : change_count;
    case LOSE_WAY_COUNT:
        break;
    }
    zsp_assert(false);
    return 0;
}

/* Apply the part of a write that its sectors kept. */
static void apply_write(struct crash_inode *inode, const struct crash_change *change, size_t index,
                        const uint64_t *cuts)
{
    uint64_t done = 0;
    while (done < change->len) {
        const uint64_t pos = change->pos + done;
        const uint64_t sector = pos / CRASH_SECTOR;
        uint64_t part = CRASH_SECTOR - pos % CRASH_SECTOR;
        part = part < change->len - done ? part : change->len - done;
        if (index < cuts[sector]) {
            crash_bytes_write(&inode->durable, pos, change->data + done, part);
        }
        done += part;
    }
}

static uint64_t largest_end(const struct crash_inode *inode)
{
    uint64_t end = inode->durable.size;
    for (size_t i = 0; i < inode->change_count; i++) {
        end = inode->changes[i].size_then > end ? inode->changes[i].size_then : end;
    }
    return end;
}

void crash_inode_lose_changes(struct crash_inode *inode, struct prng *prng)
{
    const enum loss loss = (enum loss)prng_below(prng, LOSE_WAY_COUNT);
    const uint64_t sectors = largest_end(inode) / CRASH_SECTOR + 1;
    uint64_t *cuts = calloc(sectors, sizeof *cuts);
    zsp_assert(cuts);
    const uint64_t base =
        loss == LOSE_PAGES ? prng_next(prng) : prng_below(prng, inode->change_count + 1);
    for (uint64_t i = 0; i < sectors; i++) {
        cuts[i] = sector_cut(prng, loss, i, inode->change_count, base);
    }
    /* The size moves on its own, often ahead of the data or with it. */
    uint64_t size_cut = base;
    if (loss == LOSE_ALL) {
        size_cut = prng_chance(prng, 300) ? inode->change_count : 0;
    } else if (loss != KEEP_PREFIX) {
        size_cut = prng_chance(prng, 700) ? inode->change_count
                                          : prng_below(prng, inode->change_count + 1);
    }
    uint64_t size = inode->durable.size;
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct crash_change *change = &inode->changes[i];
        if (i < size_cut) {
            size = change->size_then;
        }
        if (!change->is_truncate) {
            apply_write(inode, change, i, cuts);
        } else if (i < size_cut) {
            crash_bytes_resize(&inode->durable, change->pos);
        }
        free(change->data);
    }
    inode->change_count = 0;
    crash_bytes_resize(&inode->durable, size);
    free(cuts);
}

/* Which unsynced changes of names survive: a prefix, as a journalling file
 * system does it, or any set in which each rests on the earlier ones of its names. */
static void lose_names(struct crash_fs *self, struct prng *prng)
{
    const size_t count = self->name_change_count;
    bool *keep = calloc(count + 1, sizeof *keep);
    zsp_assert(keep);
    const bool is_prefix = prng_chance(prng, 500);
    const uint64_t prefix = prng_below(prng, count + 1);
    const unsigned kept_per_mille = (unsigned)prng_below(prng, 1001);
    for (size_t i = 0; i < count; i++) {
        keep[i] = is_prefix ? i < prefix : prng_chance(prng, kept_per_mille);
        for (size_t j = 0; j < i && keep[i]; j++) {
            keep[i] =
                keep[j] || !crash_name_changes_meet(&self->name_changes[j], &self->name_changes[i]);
        }
    }
    crash_names_settle(self, keep);
    self->name_change_count = 0;
    free(keep);
}

/* Names of directories that did not survive lead nowhere. */
static void drop_unreachable_names(struct crash_fs *self)
{
    bool *reached = calloc(self->inode_count, sizeof *reached);
    zsp_assert(reached);
    reached[0] = true;
    bool again = true;
    while (again) {
        again = false;
        for (size_t i = 0; i < self->durable.count; i++) {
            const struct crash_name *name = &self->durable.items[i];
            if (reached[name->directory] && !reached[name->inode]) {
                reached[name->inode] = true;
                again = true;
            }
        }
    }
    size_t left = 0;
    for (size_t i = 0; i < self->durable.count; i++) {
        if (reached[self->durable.items[i].directory]) {
            self->durable.items[left++] = self->durable.items[i];
        }
    }
    self->durable.count = left;
    free(reached);
}

/* What the disk has is what is there. */
static void reload(struct crash_inode *inode)
{
    crash_bytes_resize(&inode->cache, 0);
    if (inode->durable.size > 0) {
        crash_bytes_write(&inode->cache, 0, inode->durable.data, inode->durable.size);
    }
}

void crash_fs_process_crash(struct fs *self)
{
    struct crash_fs *fs = self->self;
    for (size_t i = 0; i < fs->inode_count; i++) {
        struct crash_inode *inode = fs->inodes[i];
        if (inode && inode->evicted && inode->change_count == 0) {
            reload(inode);
        }
        if (inode) {
            inode->evicted = false;
        }
    }
    for (int i = 0; i < CRASH_FILES; i++) {
        if (fs->files[i].is_open) {
            fs->inodes[fs->files[i].inode]->open_count = 0;
            fs->inodes[fs->files[i].inode]->locked = false;
            fs->files[i].is_open = false;
        }
    }
    fs->freeze_at = UINT64_MAX;
    fs->fail_sync = UINT64_MAX;
}

void crash_fs_power_loss(struct fs *self, uint64_t seed)
{
    struct crash_fs *fs = self->self;
    struct prng prng = {.state = seed};
    crash_fs_process_crash(self);
    lose_names(fs, &prng);
    drop_unreachable_names(fs);
    fs->now.count = 0;
    for (size_t i = 0; i < fs->durable.count; i++) {
        crash_names_put(&fs->now, &fs->durable.items[i]);
    }
    for (size_t i = 0; i < fs->inode_count; i++) {
        struct crash_inode *inode = fs->inodes[i];
        if (!inode || inode->is_directory) {
            continue;
        }
        if (inode->change_count > 0) {
            crash_inode_lose_changes(inode, &prng);
        }
        reload(inode);
    }
    crash_inodes_collect(fs);
}

/* --- Looking at the tree ---------------------------------------------------------- */

/* Order-free: the sum over all files of the hash of path and content. */
static uint64_t hash_below(const struct crash_fs *self, uint32_t directory, uint64_t path_hash)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < self->now.count; i++) {
        const struct crash_name *name = &self->now.items[i];
        if (name->directory != directory) {
            continue;
        }
        const struct crash_inode *inode = self->inodes[name->inode];
        uint64_t hash = zsp_hash_seeded(zsp_slice_str(name->name), path_hash);
        if (inode->is_directory) {
            sum += hash_below(self, inode->number, hash);
        } else if (inode->cache.size > 0) {
            hash = zsp_hash_seeded(
                (struct zsp_slice){.data = inode->cache.data, .len = inode->cache.size}, hash);
        }
        sum += hash;
    }
    return sum;
}

uint64_t crash_fs_hash(const struct fs *self)
{
    return hash_below(self->self, 0, 1);
}

static int export_file(const struct crash_inode *inode, const char *path, struct zsp_err *err)
{
    FILE *file = fopen(path, "wb");
    if (!file) {
        return zsp_err_set_errno(err, ZSP_EIO, errno, "create %s", path);
    }
    const size_t written =
        inode->cache.size > 0 ? fwrite(inode->cache.data, 1, inode->cache.size, file) : 0;
    if (fclose(file) != 0 || written != inode->cache.size) {
        return zsp_err_set(err, ZSP_EIO, "write %s", path);
    }
    return 0;
}

static int export_below(const struct crash_fs *self, uint32_t directory, const char *path,
                        struct zsp_err *err)
{
    for (size_t i = 0; i < self->now.count; i++) {
        const struct crash_name *name = &self->now.items[i];
        if (name->directory != directory) {
            continue;
        }
        char below[1024];
        const int len = snprintf(below, sizeof below, "%s/%s", path, name->name);
        zsp_assert(len > 0);
        zsp_assert((size_t)len < sizeof below);
        const struct crash_inode *inode = self->inodes[name->inode];
        int rc = 0;
        if (!inode->is_directory) {
            rc = export_file(inode, below, err);
        } else if (mkdir(below, 0750) < 0) {
            rc = zsp_err_set_errno(err, ZSP_EIO, errno, "mkdir %s", below);
        } else {
            rc = export_below(self, inode->number, below, err);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int crash_fs_export(const struct fs *self, const char *directory, struct zsp_err *err)
{
    return export_below(self->self, 0, directory, err);
}
