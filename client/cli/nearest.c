/* SPDX-License-Identifier: MPL-2.0
 *
 * Which word was meant: the nearest by single-letter edits.
 */
#include <string.h>

#include "client/cli/cli.h"

#define WORD_MAX 32u /* longer words have no near one */

/* How many letters must be inserted, removed, changed, or swapped with their neighbour, to make
 * one of the other. `word` ends at NUL or '='. */
static size_t distance(const char *word, size_t word_len, const char *name, size_t name_len)
{
    size_t rows[3][WORD_MAX + 1]; /* the row being filled, and the two above it */
    for (size_t j = 0; j <= name_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= word_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *twice_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= name_len; j++) {
            size_t least = above[j - 1] + (word[i - 1] != name[j - 1]);
            least = above[j] + 1 < least ? above[j] + 1 : least;
            least = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
            if (i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1] &&
                twice_above[j - 2] + 1 < least) {
                least = twice_above[j - 2] + 1;
            }
            row[j] = least;
        }
    }
    return rows[word_len % 3][name_len];
}

const char *cli_nearest(const char *word, const char *const *names, size_t count)
{
    const size_t word_len = strcspn(word, "=");
    const char *best = NULL;
    size_t best_distance = word_len <= 3 ? 2 : 3; /* as many edits are too many */
    for (size_t i = 0; i < count && word_len <= WORD_MAX; i++) {
        const size_t name_len = strlen(names[i]);
        if (name_len > WORD_MAX) {
            continue;
        }
        const size_t found = distance(word, word_len, names[i], name_len);
        if (found < best_distance) {
            best = names[i];
            best_distance = found;
        }
    }
    return best;
}
