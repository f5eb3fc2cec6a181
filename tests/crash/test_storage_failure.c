/* SPDX-License-Identifier: MPL-2.0
 *
 * A disk that fails under a real zspoold: fail-stop with exit code 3, nothing
 * confirmed that is not kept, and a restart is the recovery. Damage in the
 * journal: exit code 4, with the file's name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/common/testing.h"
#include "tests/crash/load.h"
#include "tests/crash/strace.h"

#define EXIT_STORAGE 3
#define EXIT_DAMAGED 4

/* The n-th call fails; returns true when the broker noticed. */
static bool fail_at(const char *calls, const char *action, unsigned n)
{
    struct broker_process broker;
    struct load load;
    bool failed = false;
    broker_process_init(&broker);
    load_init(&load, n);
    if (strace_start(&broker, calls, action, n)) {
        failed = !load_connect(&load, &broker) || !load_run(&load, 1500);
        if (failed) {
            assert_int_equal(broker_process_wait(&broker), EXIT_STORAGE);
        } else {
            broker_process_kill(&broker);
        }
        load_disconnect(&load);
    } else {
        assert_true(broker_process_wait(&broker) > 0); /* it failed while it started */
    }
    broker_process_start(&broker, NULL);
    load_verify(&load, &broker);
    load_fini(&load);
    assert_int_equal(broker_process_stop(&broker), 0);
    load_check_files(&broker);
    broker_process_fini(&broker);
    return failed;
}

static void a_failed_sync_stops_the_broker_with_its_own_code(void **state)
{
    (void)state;
    if (!strace_works()) {
        skip();
    }
    unsigned failures = 0;
    for (unsigned n = 1; n <= 15; n += 2) {
        failures += fail_at("fdatasync", "error=EIO", n) ? 1u : 0u;
    }
    print_message("%u fail-stops under load\n", failures);
    assert_true(failures > 0);
}

/* A write that fails for another reason than a full disk: to a segment it fails
 * its publishes, to the journal it is fail-stop. Either way the books agree. */
static void failed_writes_lose_nothing_confirmed(void **state)
{
    (void)state;
    if (!strace_works()) {
        skip();
    }
    for (unsigned n = 1; n <= 13; n += 3) {
        struct broker_process broker;
        struct load load;
        broker_process_init(&broker);
        load_init(&load, n);
        load.tolerant = true;
        if (strace_start(&broker, "pwritev", "error=EIO", n) && load_connect(&load, &broker)) {
            (void)load_run(&load, 500);
        }
        load_disconnect(&load);
        if (broker_process_alive(&broker)) {
            broker_process_kill(&broker);
        } else {
            assert_true(broker_process_wait(&broker) > 0);
        }
        broker_process_start(&broker, NULL);
        load_verify(&load, &broker);
        load_fini(&load);
        broker_process_fini(&broker);
    }
}

/* --- A full disk ---------------------------------------------------------------------------------- */

/* A small file system over the test's directory, seen by the broker alone, with a
 * file in it whose removal makes room. $0 is the directory. */
static const char small_disk[] = "mount -t tmpfs -o size=12m tmpfs \"$0\" && "
                                 "head -c 6000000 /dev/zero >\"$0/ballast\" && exec \"$@\"";

/* Start it there; false = this machine lets nobody mount. */
static bool start_on_small_disk(struct broker_process *broker)
{
    const char *const wrapper[] = {"unshare",        "-rm", "sh", "-c", small_disk,
                                   broker->dir.path, NULL};
    assert_int_equal(setenv("ZSPOOL_DATA_MIN_FREE", "0B", 1), 0);
    assert_int_equal(setenv("ZSPOOL_DATA_SEGMENT_SIZE", "1MiB", 1), 0);
    const bool ready = broker_process_try_start(broker, wrapper, NULL);
    assert_int_equal(unsetenv("ZSPOOL_DATA_MIN_FREE"), 0);
    assert_int_equal(unsetenv("ZSPOOL_DATA_SEGMENT_SIZE"), 0);
    if (!ready) {
        print_message("SKIPPED: no mount namespace\n");
        (void)broker_process_wait(broker);
    }
    return ready;
}

static void make_room(const struct broker_process *broker)
{
    char path[700];
    (void)snprintf(path, sizeof path, "/proc/%d/root%s/ballast", (int)broker->pid,
                   broker->dir.path);
    assert_int_equal(unlink(path), 0);
}

/* Publish until `wanted` is how it goes: refused, or served. */
static void load_until(struct load *load, struct broker_process *broker, bool wanted)
{
    bool served = !wanted;
    for (unsigned i = 0; i < 2000 && served != wanted; i++) {
        assert_true(load_connect(load, broker));
        served = load_run(load, 100);
        load_disconnect(load);
    }
    assert_int_equal(served, wanted);
}

/* Publishes are refused while the disk is full, then service is back without a
 * restart, and the books agree. */
static void a_full_disk_refuses_and_service_comes_back(void **state)
{
    (void)state;
    struct broker_process broker;
    struct load load;
    broker_process_init(&broker);
    if (!start_on_small_disk(&broker)) {
        broker_process_fini(&broker);
        skip();
    }
    load_init(&load, 7);
    load.tolerant = true;
    load_until(&load, &broker, false);
    make_room(&broker);
    load_until(&load, &broker, true);
    load_verify(&load, &broker);
    load_fini(&load);
    assert_int_equal(broker_process_stop(&broker), 0);
    broker_process_fini(&broker);
}

/* --- Damage -------------------------------------------------------------------------------------- */

/* The path of the first journal file. */
static void find_journal(const struct broker_process *broker, char *ret, size_t size)
{
    char directory[700];
    (void)snprintf(directory, sizeof directory, "%s/journal", broker->data);
    DIR *const entries = opendir(directory);
    assert_non_null(entries);
    ret[0] = '\0';
    const struct dirent *entry = NULL;
    while ((entry = readdir(entries))) {
        if (strstr(entry->d_name, ".jnl")) {
            (void)snprintf(ret, size, "%s/%s", directory, entry->d_name);
        }
    }
    assert_int_equal(closedir(entries), 0);
    assert_true(ret[0] != '\0');
}

static void flip_byte(const char *path, off_t pos)
{
    uint8_t byte = 0;
    const int file = open(path, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, pos), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, pos), 1);
    assert_int_equal(close(file), 0);
}

static void a_damaged_journal_is_named_and_not_started(void **state)
{
    (void)state;
    struct broker_process broker;
    struct load load;
    char journal[1200];
    broker_process_init(&broker);
    load_init(&load, 1);
    broker_process_start(&broker, NULL);
    assert_true(load_connect(&load, &broker));
    assert_true(load_run(&load, 200));
    load_disconnect(&load);
    assert_int_equal(broker_process_stop(&broker), 0);
    find_journal(&broker, journal, sizeof journal);
    flip_byte(journal, 100);
    const char *const arguments[] = {"--data", broker.data, "--listen", "tcp://127.0.0.1:*", NULL};
    assert_int_equal(broker_process_run(&broker, arguments), EXIT_DAMAGED);
    assert_true(broker_process_wrote(&broker, "journal is damaged"));
    assert_true(broker_process_wrote(&broker, " at pos "));
    /* Nothing was repaired behind our back: undone, it starts and all is there. */
    flip_byte(journal, 100);
    broker_process_start(&broker, NULL);
    load_verify(&load, &broker);
    load_fini(&load);
    broker_process_fini(&broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_stops_the_broker_with_its_own_code),
        cmocka_unit_test(failed_writes_lose_nothing_confirmed),
        cmocka_unit_test(a_full_disk_refuses_and_service_comes_back),
        cmocka_unit_test(a_damaged_journal_is_named_and_not_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
