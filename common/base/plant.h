/*
 * Planted bugs: faults that the deterministic simulation or the audit must find, so that the harness itself is tested. They exist
 * only in a test build configured with FT_PLANTED; everywhere else FT_PLANT is the constant 0 and the compiler
 * drops what depends on it. A test reads back from the shipped programs that none is in them.
 */
#ifndef FT_BASE_PLANT_H
#define FT_BASE_PLANT_H

#define FT_PLANTS(X)                                                                                         \
    X(NOTHING, "no bug")                                                                                     \
    X(SPEND_AFTER_SEND, "the journal is not written before the masked input goes out")                       \
    X(NO_DUPLICATE_CHECK, "an upload that comes twice is added twice")                                       \
    X(DROPOUT_MASKS_KEPT, "what dropouts left in the sum is not taken out")                                  \
    X(BELOW_MINIMUM, "a sum over fewer than the minimum is revealed")                                        \
    X(TOLD_BEFORE_STORED, "a round is told to be committed before it is stored")                             \
    X(RESEND_DIFFERS, "a resend has other bytes")                                                            \
    X(RECORD_NOT_STORED, "a session is announced and never stored")                                       \
    X(STALE_MODEL, "an update is computed on an older model")                                                \
    X(SYNC_SKIPPED, "what the aggregator must have on disk before it goes on is only in memory")             \
    X(MASK_REUSED, "the same masks in every round")

/* Faults of privacy, which no message shows: the audit must find them (tests/protocol/simulate/test_simulate_audit.c),
 * and what looks over a shop's shoulder the last (tests/protocol/participant/test_participant_private.c). */
#define FT_PRIVACY_PLANTS(X)                                                                                 \
    X(NOISE_LEFT_OUT, "a share of noise is all zeros")                                                       \
    X(NOISE_REUSED, "the same noise in every round")                                                         \
    X(CLIP_OFF, "no vector is scaled down, and the gate lets everything through")                            \
    X(SAMPLE_KEPT, "customers are drawn once, not anew for every contribution")                             \
    X(LEDGER_AFTER_SEND, "the ledger is written once the masked input has gone out")

enum ft_plant {
#define X(name, text) FT_PLANT_##name,
    FT_PLANTS(X)
#undef X
        FT_PLANT_COUNT,
#define X(name, text) FT_PLANT_##name,
    FT_PRIVACY_PLANTS(X)
#undef X
};

#ifdef FT_PLANTED
extern enum ft_plant ft_planted; /* the one in force; common/base/plant.c */
#define FT_PLANT(name) (ft_planted == FT_PLANT_##name)
#else
#define FT_PLANT(name) 0
#endif

#endif
