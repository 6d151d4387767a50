/*
 * Runs a fuzz target without libFuzzer: every file of the given folders, then seeded changes of each (a bit
 * flipped, bytes cut, doubled or overwritten). The same inputs on every machine. FT_FUZZ_CHANGES sets how
 * many changes of each file are tried (default 300).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __asan_on_error(void);

static char current[600];
static long current_change;

/* Called by AddressSanitizer before its report: which input it was. */
void
__asan_on_error(void)
{
    fprintf(stderr, "fuzz: input %s, change %ld\n", current, current_change);
}

static uint64_t
draw(uint64_t *state) /* SplitMix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* In its own block, so that a read past the end is seen. */
static void
try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t
change(uint8_t *data, size_t size, size_t capacity, uint64_t *seed)
{
    const size_t at = size > 0 ? draw(seed) % size : 0;
    const size_t run = 1 + draw(seed) % 16;

    if (size == 0)
        return 0;
    switch (draw(seed) % 5) {
    case 0:
        data[at] ^= (uint8_t)(1u << draw(seed) % 8);
        return size;
    case 1:
        data[at] = (uint8_t)draw(seed);
        return size;
    case 2:
        return at; /* cut here */
    case 3: {      /* take a run out */
        const size_t gone = run < size - at ? run : size - at;
        memmove(data + at, data + at + gone, size - at - gone);
        return size - gone;
    }
    default: { /* put a run in twice */
        const size_t twice = run < size - at ? run : size - at;
        if (size + twice > capacity)
            return size;
        memmove(data + at + twice, data + at, size - at);
        return size + twice;
    }
    }
}

static int
run_file(const char *path, long changes)
{
    static uint8_t original[INPUT_MAX], work[INPUT_MAX + 4096];
    FILE *file = fopen(path, "rb");
    uint64_t seed = 1;
    size_t size;

    if (file == NULL) {
        perror(path);
        return 1;
    }
    size = fread(original, 1, sizeof original, file);
    fclose(file);
    snprintf(current, sizeof current, "%s", path);
    current_change = 0;
    try_input(original, size);
    for (long i = 1; i <= changes; i++) {
        size_t changed = size;
        current_change = i;
        memcpy(work, original, size);
        for (uint64_t n = 1 + draw(&seed) % 3; n > 0; n--)
            changed = change(work, changed, sizeof work, &seed);
        try_input(work, changed);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    const char *wanted = getenv("FT_FUZZ_CHANGES");
    const long changes = wanted != NULL ? strtol(wanted, NULL, 10) : 300;
    int failed = 0, files = 0;

    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        const int count = scandir(argv[i], &entries, NULL, alphasort);
        if (count < 0) {
            perror(argv[i]);
            return 1;
        }
        for (int e = 0; e < count; e++) {
            char path[600];
            struct stat info;
            snprintf(path, sizeof path, "%s/%s", argv[i], entries[e]->d_name);
            if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
                failed |= run_file(path, changes);
                files++;
            }
            free(entries[e]);
        }
        free(entries);
    }
    if (files == 0) {
        fprintf(stderr, "fuzz: no input found\n");
        return 1;
    }
    printf("fuzz: %d inputs, %ld changes of each\n", files, changes);
    return failed;
}
