/* SPDX-License-Identifier: MPL-2.0 */
#include "client/cli/terminal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define FIRST_MS  300 /* work that is over sooner has no progress line */
#define EVERY_MS  150
#define BAR_CELLS 24

/* There is one terminal; is a progress line on it? */
static bool line_is_drawn;

static bool is_smart(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

/* --- Colours ------------------------------------------------------------------- */

const char *terminal_style(FILE *to, enum terminal_style style)
{
    const char *no_color = getenv("NO_COLOR");
    if ((no_color && *no_color) || !is_smart(fileno(to))) {
        return "";
    }
    switch (style) {
    case TERMINAL_PLAIN:
        return "\033[0m";
    case TERMINAL_HEADING:
        return "\033[1m";
    case TERMINAL_ALARM:
        return "\033[1;31m";
    }
    return "";
}

/* --- Figures -------------------------------------------------------------------- */

bool terminal_is_out(void)
{
    return isatty(STDOUT_FILENO) != 0;
}

/* Three digits that matter, and the largest unit of which there is at least one. */
static const char *scaled(double figure, double step, const char *const *units, char *to)
{
    size_t unit = 0;
    while (figure >= step && units[unit + 1]) {
        figure /= step;
        unit++;
    }
    const int digits = unit == 0 || figure >= 100 ? 0 : figure >= 10 ? 1 : 2;
    (void)snprintf(to, TERMINAL_FIGURE_SIZE, "%.*f%s", digits, figure, units[unit]);
    return to;
}

const char *terminal_human_bytes(uint64_t bytes, char *to)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", NULL};
    return scaled((double)bytes, 1024, units, to);
}

const char *terminal_human_count(double count, char *to)
{
    static const char *const units[] = {"", "k", "M", "G", "T", NULL};
    return scaled(count, 1000, units, to);
}

const char *terminal_bytes(uint64_t bytes, char *to)
{
    if (terminal_is_out()) {
        return terminal_human_bytes(bytes, to);
    }
    (void)snprintf(to, TERMINAL_FIGURE_SIZE, "%" PRIu64, bytes);
    return to;
}

const char *terminal_human_ms(uint64_t ms, char *to)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (ms % units[unit].ms != 0 || (ms == 0 && units[unit].ms > 1000)) {
        unit++;
    }
    (void)snprintf(to, TERMINAL_FIGURE_SIZE, "%" PRIu64 "%s", ms / units[unit].ms,
                   units[unit].name);
    return to;
}

/* --- Progress --------------------------------------------------------------------- */

struct progress progress_begin(const char *what, uint64_t whole, bool prints)
{
    struct progress self = {.what = what, .whole = whole};
    self.is_on = !cli_common.quiet && is_smart(STDERR_FILENO) && !(prints && terminal_is_out());
    self.begun_ms = self.is_on ? cli_now_ms() : 0;
    self.drawn_ms = self.begun_ms + FIRST_MS - EVERY_MS;
    return self;
}

static void draw_bar(double share)
{
    char bar[BAR_CELLS + 1];
    const size_t full = (size_t)(share * BAR_CELLS);
    memset(bar, ' ', BAR_CELLS);
    memset(bar, '=', full);
    if (full < BAR_CELLS) {
        bar[full] = '>';
    }
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, " [%s] %3d%%", bar, (int)(share * 100));
}

void progress_show(struct progress *self, uint64_t done, uint64_t messages)
{
    if (!self->is_on) {
        return;
    }
    const int64_t now = cli_now_ms();
    if (now < self->drawn_ms + EVERY_MS) {
        return;
    }
    self->drawn_ms = now;
    char count[TERMINAL_FIGURE_SIZE];
    char rate[TERMINAL_FIGURE_SIZE];
    const double seconds = (double)(now - self->begun_ms) / 1000;
    fprintf(stderr, "\r%.40s", self->what);
    if (self->whole > 0) {
        draw_bar(done < self->whole ? (double)done / (double)self->whole : 1);
    }
    fprintf(stderr, " %s messages, %s/s\033[K", terminal_human_count((double)messages, count),
            terminal_human_count((double)messages / seconds, rate));
    (void)fflush(stderr); /* a line that is lost is drawn again */
    line_is_drawn = true;
}

void progress_make_way(void)
{
    if (line_is_drawn) {
        fputs("\r\033[K", stderr);
        line_is_drawn = false;
    }
}

void progress_end(struct progress *self)
{
    progress_make_way();
    self->is_on = false;
}
