/*
 * Statuses: what a fallible call returns, and the exit code a program ends with for it.
 *
 * Peers, disks and memory fail: return a status. Our own mistakes are asserts, kept on in release builds.
 * A status says what class of thing went wrong; struct ft_error carries the sentence for a person.
 */
#ifndef FT_BASE_STATUS_H
#define FT_BASE_STATUS_H

#define FT_NODISCARD __attribute__((warn_unused_result))
#define FT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Exit codes, stable: 0 done; 1 a check found problems; the rest follow sysexits where they can. */
enum ft_exit {
    FT_EXIT_OK = 0,
    FT_EXIT_FINDINGS = 1,
    FT_EXIT_USAGE = 64,
    FT_EXIT_DATA = 65,     /* bad input data */
    FT_EXIT_NOINPUT = 66,  /* input missing, unknown object */
    FT_EXIT_PEER = 69,     /* peer unreachable */
    FT_EXIT_INTERNAL = 70, /* internal error, out of memory, disk full */
    FT_EXIT_LATER = 75,    /* not now, try later */
    FT_EXIT_VERIFY = 76,   /* signature, log or protocol verification failed */
    FT_EXIT_REFUSED = 77,  /* refused by policy, consent, role or budget */
    FT_EXIT_CONFIG = 78,   /* bad configuration */
};

/* name, text, exit code */
#define FT_STATUS_MAP(X)                                                                                     \
    X(OK, "success", FT_EXIT_OK)                                                                             \
    X(ERR_NOMEM, "out of memory", FT_EXIT_INTERNAL)                                                          \
    X(ERR_LIMIT, "value exceeds a limit", FT_EXIT_DATA)                                                      \
    X(ERR_STATE, "call not allowed in this state", FT_EXIT_INTERNAL)                                         \
    X(ERR_ARGUMENT, "invalid argument", FT_EXIT_USAGE)                                                       \
    X(ERR_FORMAT, "malformed input", FT_EXIT_DATA)                                                           \
    X(ERR_NONFINITE, "a NaN or infinity where a number is needed", FT_EXIT_DATA)                             \
    X(ERR_DUPLICATE, "already there", FT_EXIT_DATA)                                                          \
    X(ERR_NOTFOUND, "not found", FT_EXIT_NOINPUT)                                                            \
    X(ERR_COHORT, "too few inputs to reveal a sum", FT_EXIT_VERIFY)                                          \
    X(ERR_VERIFY, "verification failed", FT_EXIT_VERIFY)                                                     \
    X(ERR_EQUIVOCATION, "the peer told two different stories", FT_EXIT_VERIFY)                               \
    X(ERR_REFUSED, "refused by policy", FT_EXIT_REFUSED)                                                     \
    X(ERR_CONFIG, "bad configuration", FT_EXIT_CONFIG)                                                       \
    X(ERR_IO, "input or output failed", FT_EXIT_INTERNAL)                                                    \
    X(ERR_FULL, "no space left", FT_EXIT_INTERNAL)                                                           \
    X(ERR_PEER, "peer unreachable", FT_EXIT_PEER)                                                            \
    X(ERR_TIMEOUT, "deadline passed", FT_EXIT_PEER)                                                          \
    X(ERR_LATER, "not now, try later", FT_EXIT_LATER)                                                        \
    X(ERR_CANCELLED, "cancelled", FT_EXIT_LATER)                                                             \
    X(ERR_INTERNAL, "internal error", FT_EXIT_INTERNAL)

enum ft_status {
#define X(name, text, code) FT_##name,
    FT_STATUS_MAP(X)
#undef X
        FT_STATUS_COUNT
};

const char *ft_status_str(enum ft_status st);  /* "value exceeds a limit" */
const char *ft_status_name(enum ft_status st); /* "ERR_LIMIT" */
int ft_status_exit(enum ft_status st);         /* one of enum ft_exit */

/* Run a fallible call; on failure keep its status in `st` and leave by `out`. */
#define FT_TRY(call)                                                                                         \
    do {                                                                                                     \
        st = (call);                                                                                         \
        if (st != FT_OK)                                                                                     \
            goto out;                                                                                        \
    } while (0)

/*
 * A failure told to a person: what was found, where, what was expected. The caller owns the struct; the
 * first failure sets it, later ones leave it. Never put a row, a customer id, a key or a mask in the text.
 */
struct ft_error {
    enum ft_status status;
    char text[480];
};

/* Set *err (NULL is allowed) unless it is already set, and return `st`: `return ft_fail(err, FT_ERR_..., ...)`. */
enum ft_status ft_fail(struct ft_error *err, enum ft_status st, const char *fmt, ...) FT_PRINTF(3, 4);

#endif
