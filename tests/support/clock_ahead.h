/* SPDX-License-Identifier: MPL-2.0
 *
 * The clocks of a test program, which it can set ahead while something waits: what takes a minute is over
 * at once, and nothing is over before the test says so. The program is linked with
 * --wrap=clock_gettime; libraries that are shared objects keep the true time.
 *
 * Who waits on a condition already does not wake up by it.
 */
#ifndef ZSP_TESTS_CLOCK_AHEAD_H
#define ZSP_TESTS_CLOCK_AHEAD_H

/* From now on, in all threads, clocks are so much further ahead than they were. */
void clock_ahead(int seconds);
/* The true time again. */
void clock_true(void);

#endif
