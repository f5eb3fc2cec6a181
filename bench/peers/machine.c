/* SPDX-License-Identifier: MPL-2.0
 *
 * The machine by itself. L2: what writing to a file takes (-m FOLDER). CAL: two seconds
 * of probes that tell how fast the machine is just now; shared hosts drift.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/peers/peer.h"

#define KIB           1024u
#define MIB           (1024u * KIB)
#define PAGE_BYTES    4096u
#define FILE_BYTES    (2048ull * MIB) /* most that one measurement appends */
#define TOUCHED_BYTES (512ull * MIB)
#define PROBE_S       0.25
#define CALLS_A_LOOK  1024u

static void emit(const struct options *options, size_t payload_bytes, struct result *result,
                 const char *notes)
{
    struct options own = *options;
    own.payload_bytes = payload_bytes;
    result->workload = options->workload;
    report(&own, result, "%s", notes);
    if (result->latency) {
        samples_fini(result->latency);
    }
}

/* --- L2: files ----------------------------------------------------------------------------- */

static int file_open(const struct options *options, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/machine.bin", *options->mode ? options->mode : ".");
    (void)unlink(path);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        die("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t done = write(fd, bytes, len);
        if (done < 0) {
            die("write: %s", strerror(errno));
        }
        bytes += done;
        len -= (size_t)done;
    }
}

static void sync_file(int fd)
{
    if (fdatasync(fd) != 0) {
        die("fdatasync: %s", strerror(errno));
    }
}

/* Append blocks, with a sync after each so many bytes (0 = none). Latencies are those of the syncs. */
static void append(const struct options *options, size_t block, uint64_t sync_every,
                   const char *notes)
{
    char path[512], *bytes = payload_new(block);
    struct samples latency = {0};
    struct result result = {.latency = &latency};
    uint64_t unsynced = 0;
    const int fd = file_open(options, path, sizeof path);
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, options->seconds);
    while (result.count < FILE_BYTES / block && now_ns() < stop_ns) {
        write_all(fd, bytes, block);
        result.count++;
        unsynced += block;
        if (sync_every != 0 && unsynced >= sync_every) {
            const uint64_t before_ns = now_ns();
            sync_file(fd);
            samples_add(&latency, now_ns() - before_ns);
            unsynced = 0;
        }
    }
    result.spent = meter_end(&meter);
    emit(options, block, &result, notes);
    sync_file(fd);
    (void)close(fd); /* synced, and not wanted */
    (void)unlink(path);
    free(bytes);
}

static void measure_files(const struct options *options)
{
    /* The first takes page memory that the host may have to back anew; the others take what it left. */
    append(options, MIB, 0, "append 1 MiB, page memory perhaps cold");
    append(options, MIB, 0, "append 1 MiB");
    append(options, 64 * KIB, 0, "append 64 KiB");
    append(options, 4 * KIB, 4 * KIB, "append 4 KiB + fdatasync");
    append(options, MIB, MIB, "append 1 MiB + fdatasync");
    append(options, MIB, 16 * MIB, "append 1 MiB, fdatasync after 16 MiB");
}

/* --- CAL: how fast just now ------------------------------------------------------------------ */

static void probe_copy(const struct options *options)
{
    const size_t bytes = 64 * MIB;
    char *from = payload_new(bytes), *to = allocate(bytes);
    struct result result = {0};
    memset(to, 1, bytes);
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, PROBE_S);
    for (; now_ns() < stop_ns; result.count++) {
        memcpy(to, from, bytes);
        from[result.count % bytes] = to[0]; /* so that no copy can be left out */
    }
    result.spent = meter_end(&meter);
    emit(options, bytes, &result, "memcpy of 64 MiB");
    free(from);
    free(to);
}

static void probe_calls(const struct options *options)
{
    struct result result = {0};
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, PROBE_S);
    while (now_ns() < stop_ns) {
        for (unsigned i = 0; i < CALLS_A_LOOK; i++) {
            (void)syscall(SYS_getppid);
        }
        result.count += CALLS_A_LOOK;
    }
    result.spent = meter_end(&meter);
    emit(options, 0, &result, "system calls (getppid)");
}

static void probe_wakeups(const struct options *options)
{
    int ends[2];
    char byte = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        die("socketpair: %s", strerror(errno));
    }
    const pid_t pid = fork();
    if (pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)close(ends[0]);
        while (read(ends[1], &byte, 1) == 1 && write(ends[1], &byte, 1) == 1) {
        }
        _exit(0);
    }
    (void)close(ends[1]);
    struct samples latency = {0};
    struct result result = {.latency = &latency};
    const struct meter meter = meter_begin(options);
    const uint64_t stop_ns = after_ns(meter.start_ns, 2 * PROBE_S);
    uint64_t sent_ns = meter.start_ns;
    for (; sent_ns < stop_ns; result.count++) {
        if (write(ends[0], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) {
            die("the other process does not answer");
        }
        const uint64_t now = now_ns();
        samples_add(&latency, now - sent_ns);
        sent_ns = now;
    }
    result.spent = meter_end(&meter);
    emit(options, 1, &result, "ping-pong of two processes");
    (void)close(ends[0]);
    (void)waitpid(pid, NULL, 0);
}

static void probe_memory(const struct options *options)
{
    struct result result = {.count = TOUCHED_BYTES / PAGE_BYTES};
    char *memory =
        mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die("mmap: %s", strerror(errno));
    }
    const struct meter meter = meter_begin(options);
    for (size_t i = 0; i < TOUCHED_BYTES; i += PAGE_BYTES) {
        memory[i] = 1;
    }
    result.spent = meter_end(&meter);
    emit(options, PAGE_BYTES, &result, "first touch of 512 MiB of memory");
    (void)munmap(memory, TOUCHED_BYTES);
}

static void calibrate(const struct options *options)
{
    struct options brief = *options;
    brief.seconds = 2 * PROBE_S;
    probe_copy(options);
    probe_calls(options);
    probe_wakeups(options);
    probe_memory(options);
    append(&brief, 4 * KIB, 4 * KIB, "append 4 KiB + fdatasync");
}

int main(int argc, char **argv)
{
    const struct options options = options_read(argc, argv);
    if (is(options.workload, "L2")) {
        measure_files(&options);
    } else if (is(options.workload, "CAL")) {
        calibrate(&options);
    } else {
        die("machine: L2 or CAL");
    }
    return 0;
}
