/* SPDX-License-Identifier: MPL-2.0
 *
 * Files that are cut short anywhere: what the check calls clean, a start serves as if nothing was, and takes
 * messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "tests/broker/store/log_case.h"
#include "tests/support/prng.h"

#define CASES     3000
#define FILES_MAX 200

struct found {
    char paths[FILES_MAX][160];
    size_t count;
    const char *directory;
};

static int note_file(void *arg, const struct fs_entry *entry)
{
    struct found *found = arg;
    if (!entry->is_directory && entry->bytes > 0 && found->count < FILES_MAX) {
        (void)snprintf(found->paths[found->count++], sizeof found->paths[0], "%s/%s",
                       found->directory, entry->name);
    }
    return 0;
}

static void find_files(struct log_case *c, struct found *found)
{
    static const char *const directories[] = {"journal", "topics/7-orders/0", "topics/7-orders/1"};
    found->count = 0;
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        found->directory = directories[i];
        (void)c->fs->ops->list(c->fs->self, directories[i], note_file, found, NULL);
    }
}

static void work(struct log_case *c, struct prng *prng)
{
    const int rounds = (int)prng_between(prng, 1, 6);
    for (int i = 0; i < rounds; i++) {
        log_case_fill(c, (uint32_t)prng_below(prng, CASE_PARTS), "message-",
                      (int)prng_between(prng, 1, 30));
        if (prng_below(prng, 2) == 0) {
            log_case_put(c, "a", STORE_IMAGE, "value");
        }
        c->now.mono_ms += 50;
    }
    if (prng_below(prng, 3) > 0) {
        log_case_close(c);
    } else {
        log_case_kill(c);
    }
}

static void note_damage(void *arg, const struct check_finding *finding)
{
    if (finding->severity == CHECK_DAMAGE) {
        ++*(unsigned *)arg;
    }
}

static bool is_clean(struct log_case *c)
{
    unsigned damages = 0;
    const struct check_options options = {.fs = c->fs, .finding_fn = note_damage, .arg = &damages};
    struct check_summary summary;
    return check_store(&options, &summary, NULL) == 0 && damages == 0;
}

/* Does a start serve all, and take messages? */
static bool serves(struct log_case *c)
{
    bool good = log_case_open(c) == 0;
    for (uint32_t i = 0; good && i < CASE_PARTS; i++) {
        const struct store_part_info info = log_case_info(c, i);
        good = !info.refuses_appends;
        for (uint64_t at = info.start_offset; good && at < info.synced_offset;
             at = c->read.covered.end_offset) {
            good = log_case_read(c, i, at) == 0;
        }
        good = good && log_case_append(c, i, "more") == 0;
        if (good) {
            log_case_run(c);
        }
        good = good && c->append_code == 0;
    }
    return good;
}

static void what_is_clean_is_served(void **state)
{
    (void)state;
    static struct found found;
    unsigned clean = 0;
    for (uint64_t n = 0; n < CASES; n++) {
        struct prng prng = {.state = n + 1};
        void *set_up = NULL;
        assert_int_equal(log_case_set_up(&set_up), 0);
        struct log_case *c = set_up;
        c->options.sync_files_max = n % 2 == 0 ? 0 : 1;
        log_case_reopen(c);
        work(c, &prng);
        find_files(c, &found);
        const char *const path = found.paths[prng_below(&prng, found.count)];
        const uint64_t bytes = log_case_file_size(c, path);
        const uint64_t at = prng_below(&prng, bytes);
        log_case_file_truncate(c, path, at);
        const bool is_good = is_clean(c);
        clean += is_good ? 1 : 0;
        if (is_good && !serves(c)) {
            fail_msg("case %" PRIu64 ": %s cut at %" PRIu64 " of %" PRIu64
                     " is called clean, but a start says: %s %s",
                     n, path, at, bytes, c->err.msg, c->last_warning);
        }
        (void)log_case_tear_down(&set_up);
    }
    assert_in_range(clean, CASES / 10, CASES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_clean_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
