/* SPDX-License-Identifier: MPL-2.0
 *
 * The driver between an engine and a store that are told what to do: which jobs
 * run when, and what is handed back.
 */
#include "tests/common/testing.h"

#include "broker/server/driver.h"

#define JOBS_MAX 8u

/* A store with jobs to give, and an engine that counts. The functions of both get
 * it as their object. */
struct board {
    struct job jobs[JOBS_MAX];
    size_t job_count, next;
    char story[64]; /* what happened, one letter each: p = pump, 0-9 = that job is done */
    bool keep;      /* the host keeps what it gets */
    struct job *kept[JOBS_MAX];
    size_t kept_count;
};

static void note(struct board *self, char what)
{
    const size_t len = strlen(self->story);
    assert_true(len + 1 < sizeof self->story);
    self->story[len] = what;
}

void engine_pump(struct engine *self, struct instant now)
{
    (void)now;
    note((struct board *)self, 'p');
}

bool engine_awaits_sync(const struct engine *self)
{
    (void)self;
    return true;
}

bool log_store_awaits_sync(const struct log_store *self)
{
    (void)self;
    return false;
}

int64_t engine_deadline_ms(const struct engine *self)
{
    (void)self;
    return 77;
}

struct job *log_store_next_job(struct log_store *self)
{
    struct board *const board = (struct board *)self;
    if (board->next == board->job_count) {
        return NULL;
    }
    board->next++;
    return &board->jobs[board->next - 1];
}

void log_store_job_done(struct log_store *self, struct job *job)
{
    struct board *const board = (struct board *)self;
    note(board, (char)('0' + (job - board->jobs)));
}

static bool run(void *arg, struct job *job)
{
    struct board *const self = arg;
    if (!self->keep) {
        return true;
    }
    self->kept[self->kept_count] = job;
    self->kept_count++;
    return false;
}

static struct job *collect(void *arg)
{
    struct board *const self = arg;
    if (self->kept_count == 0) {
        return NULL;
    }
    self->kept_count--;
    return self->kept[self->kept_count];
}

static void add_job(struct board *self, enum job_kind kind)
{
    self->jobs[self->job_count].kind = kind;
    self->job_count++;
}

static void begin(struct driver *driver, struct board *board)
{
    const struct driver_host host = {.arg = board, .run_fn = run, .collect_fn = collect};
    driver_init(driver, (struct engine *)board, (struct log_store *)board, host);
}

static const struct instant NOW = {.mono_ms = 1, .wall_ms = 1};

static bool step(struct driver *driver)
{
    const bool came_back = driver_pump(driver, NOW);
    return driver_start(driver) || came_back;
}

static void without_jobs_one_step_is_enough(void **state)
{
    (void)state;
    struct board board = {0};
    struct driver driver;
    begin(&driver, &board);
    assert_false(step(&driver));
    assert_string_equal(board.story, "p");
    assert_false(driver_busy(&driver));
    assert_int_equal(driver_deadline_ms(&driver), 77);
}

static void a_sync_waits_for_the_step_after_its_writes(void **state)
{
    (void)state;
    struct board board = {0};
    struct driver driver;
    begin(&driver, &board);
    add_job(&board, JOB_SYNC);
    add_job(&board, JOB_WRITE);
    add_job(&board, JOB_READ);
    add_job(&board, JOB_SYNC);
    assert_true(step(&driver));
    assert_string_equal(board.story, "p12");
    assert_true(driver_busy(&driver));
    assert_true(step(&driver));
    assert_string_equal(board.story, "p12p03");
    assert_false(step(&driver));
    assert_false(driver_busy(&driver));
}

/* Goal: who was waiting for a sync hears of it before the next write is made. */
static void new_jobs_wait_for_the_step_after_a_sync(void **state)
{
    (void)state;
    struct board board = {0};
    struct driver driver;
    begin(&driver, &board);
    add_job(&board, JOB_SYNC);
    assert_true(step(&driver));
    add_job(&board, JOB_WRITE);
    assert_true(step(&driver));
    assert_string_equal(board.story, "pp0");
    assert_true(step(&driver));
    assert_string_equal(board.story, "pp0p1");
}

/* Goal: a step reads a bounded number of bytes, then what was read may be sent. */
static void large_reads_wait_for_the_next_step(void **state)
{
    (void)state;
    struct board board = {0};
    struct driver driver;
    begin(&driver, &board);
    for (size_t i = 0; i < 3; i++) {
        board.jobs[i].len = DRIVER_STEP_BYTES / 2;
        add_job(&board, JOB_READ);
    }
    assert_true(step(&driver));
    assert_string_equal(board.story, "p01");
    assert_true(step(&driver));
    assert_string_equal(board.story, "p01p2");
    assert_int_equal(driver.read_bytes, 3 * DRIVER_STEP_BYTES / 2);
}

static void kept_jobs_come_back_before_the_pump(void **state)
{
    (void)state;
    struct board board = {.keep = true};
    struct driver driver;
    begin(&driver, &board);
    add_job(&board, JOB_TASK);
    assert_false(step(&driver));
    assert_true(driver_busy(&driver));
    assert_string_equal(board.story, "p");
    assert_true(step(&driver));
    assert_string_equal(board.story, "p0p");
    assert_false(driver_busy(&driver));
}

static void a_stop_hands_every_job_back(void **state)
{
    (void)state;
    struct board board = {.keep = true};
    struct driver driver;
    begin(&driver, &board);
    add_job(&board, JOB_TASK);
    add_job(&board, JOB_SYNC);
    assert_true(step(&driver));
    driver_stop(&driver);
    assert_string_equal(board.story, "p01");
    assert_int_equal(board.jobs[0].error.code, 0);
    assert_int_equal(board.jobs[1].error.code, ZSP_EINTERRUPTED);
    assert_false(driver_busy(&driver));
    struct driver never = {0};
    driver_stop(&never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_jobs_one_step_is_enough),
        cmocka_unit_test(a_sync_waits_for_the_step_after_its_writes),
        cmocka_unit_test(new_jobs_wait_for_the_step_after_a_sync),
        cmocka_unit_test(large_reads_wait_for_the_next_step),
        cmocka_unit_test(kept_jobs_come_back_before_the_pump),
        cmocka_unit_test(a_stop_hands_every_job_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
