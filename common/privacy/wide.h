/* FT_WIDE: a function compiled for several widths of vectors, of which the machine's best is taken when the program
 * starts. Sanitizers and other compilers take the plain one. */
#ifndef FT_PRIVACY_WIDE_H
#define FT_PRIVACY_WIDE_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(FT_SANITIZED)
#define FT_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FT_WIDE
#endif

#endif
