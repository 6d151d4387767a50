/*
 * One run on several machines: the processes of an `mpirun`, numbered from 0. Number 0 reads and writes the
 * folder and speaks; all of them train. Without MPI, or outside mpirun, there is one process and every call
 * returns at once.
 *
 * The calls below are made by all processes together, in the same order, from the thread that opened them.
 */
#ifndef FT_SIMULATE_RANKS_H
#define FT_SIMULATE_RANKS_H

#include "common/base/buf.h"
#include "common/base/status.h"

/* Once a process. True when this program was started by an mpirun that it cannot join: it was built without
 * MPI. */
bool ft_sim_ranks_open(void);
void ft_sim_ranks_close(void);
unsigned ft_sim_ranks(void); /* how many */
unsigned ft_sim_rank(void);  /* this one's number */

/* The first failure by number, with its sentence, is everybody's. */
FT_NODISCARD enum ft_status sim_ranks_agree(enum ft_status st, struct ft_error *err);

void sim_ranks_add_u64(uint64_t *v, size_t count);  /* modulo 2^64; the sum is everybody's */
void sim_ranks_add_f64(double *v, size_t count);    /* of numbers that all but one process have as 0: exact */
void sim_ranks_most_u64(uint64_t *v, size_t count); /* the largest */
/* What 0 has is everybody's. */
void sim_ranks_tell(void *v, size_t size);
/* From one to another; each call has its counterpart. */
void sim_ranks_send(unsigned to, const void *v, size_t size);
void sim_ranks_receive(unsigned from, void *v, size_t size);
/* Each has its own part [starts[r], starts[r + 1]) of v, in bytes; everybody gets all of it. */
void sim_ranks_share(void *v, const uint64_t *starts);
/* This process cannot go on where the others wait for it: the whole run ends at once (70), told by the
 * sentence. */
void sim_ranks_give_up(enum ft_status st);
/* Wait for 0, without keeping a processor busy. */
void sim_ranks_wait(void);

#endif
