#include "common/base/nearest.h"

#include <string.h>

#define WORD_MAX 63

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance, three rows of the table at a time. */
size_t
ft_edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *two = rows[0], *one = rows[1], *now = rows[2];
    const size_t a_size = strnlen(a, WORD_MAX), b_size = strnlen(b, WORD_MAX);

    for (size_t j = 0; j <= b_size; j++)
        one[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = least(least(one[j] + 1, now[j - 1] + 1), one[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], two[j - 2] + 1);
        }
        size_t *spare = two;
        two = one;
        one = now;
        now = spare;
    }
    return one[b_size];
}

void
ft_nearest_offer(struct ft_nearest *n, const char *typed, const char *word)
{
    const size_t distance = ft_edit_distance(typed, word);
    /* A third of the word may be wrong, and at least one character. */
    const size_t limit = strlen(word) / 3 > 1 ? strlen(word) / 3 : 1;

    if (distance > limit || (n->word != NULL && distance >= n->distance))
        return;
    n->word = word;
    n->distance = distance;
}
