/*
 * Did you mean: the word of a list that is nearest to a mistyped one.
 */
#ifndef FT_BASE_NEAREST_H
#define FT_BASE_NEAREST_H

#include <stddef.h>

/* Edit distance with neighbours swapped counted as one; words are cut at 63 bytes. */
size_t ft_edit_distance(const char *a, const char *b);

/* Keeps the nearest word seen so far; zero-initialise, offer each, then read `word` (NULL: none near enough). */
struct ft_nearest {
    const char *word;
    size_t distance;
};
void ft_nearest_offer(struct ft_nearest *n, const char *typed, const char *word);

#endif
