#include "aggregator/simulate/engine/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(FT_HAVE_MPI)
#include <mpi.h>

#define PIECE ((size_t)1 << 28) /* bytes of one message: MPI counts in int */

static int ranks = 1, self;

static bool
started_by_mpirun(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL || getenv("PMI_RANK") != NULL ||
           getenv("PMIX_RANK") != NULL;
}

bool
ft_sim_ranks_open(void)
{
    int given;
    if (!started_by_mpirun())
        return false;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &self);
    return false;
}

void
ft_sim_ranks_close(void)
{
    int begun = 0;
    MPI_Initialized(&begun);
    if (begun)
        MPI_Finalize();
    ranks = 1;
    self = 0;
}

/* A vector in pieces that an int can count. */
#define IN_PIECES(v, count, type, call)                                                                      \
    for (size_t done = 0, n; done < (count); done += n) {                                                    \
        n = (count)-done < PIECE / sizeof(type) ? (count)-done : PIECE / sizeof(type);                       \
        type *at = (type *)(v) + done;                                                                       \
        call;                                                                                                \
    }

void
sim_ranks_add_u64(uint64_t *v, size_t count)
{
    if (ranks > 1)
        IN_PIECES(v, count, uint64_t,
                  MPI_Allreduce(MPI_IN_PLACE, at, (int)n, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD))
}

void
sim_ranks_most_u64(uint64_t *v, size_t count)
{
    if (ranks > 1)
        IN_PIECES(v, count, uint64_t,
                  MPI_Allreduce(MPI_IN_PLACE, at, (int)n, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD))
}

void
sim_ranks_add_f64(double *v, size_t count)
{
    if (ranks > 1)
        IN_PIECES(v, count, double,
                  MPI_Allreduce(MPI_IN_PLACE, at, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD))
}

static void
tell_from(int root, void *v, size_t size)
{
    if (ranks > 1)
        IN_PIECES(v, size, uint8_t, MPI_Bcast(at, (int)n, MPI_BYTE, root, MPI_COMM_WORLD))
}

void
sim_ranks_tell(void *v, size_t size)
{
    tell_from(0, v, size);
}

void
sim_ranks_send(unsigned to, const void *v, size_t size)
{
    IN_PIECES(v, size, const uint8_t, MPI_Send(at, (int)n, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD))
}

void
sim_ranks_receive(unsigned from, void *v, size_t size)
{
    IN_PIECES(v, size, uint8_t,
              MPI_Recv(at, (int)n, MPI_BYTE, (int)from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE))
}

void
sim_ranks_share(void *v, const uint64_t *starts)
{
    for (int r = 0; r < ranks; r++)
        tell_from(r, (uint8_t *)v + starts[r], (size_t)(starts[r + 1] - starts[r]));
}

void
sim_ranks_wait(void)
{
    const struct timespec moment = { .tv_nsec = 500000 };
    MPI_Request request;
    int done = 0;
    if (ranks == 1)
        return;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (;;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done)
            return;
        (void)nanosleep(&moment, NULL);
    }
}

void
sim_ranks_give_up(enum ft_status st)
{
    if (ranks == 1)
        return;
    fprintf(stderr, "process %d: %s\n", self, ft_status_str(st));
    MPI_Abort(MPI_COMM_WORLD, FT_EXIT_INTERNAL);
}

enum ft_status
sim_ranks_agree(enum ft_status st, struct ft_error *err)
{
    struct {
        int status;
        char text[sizeof err->text];
    } told = { .status = (int)st };
    struct ft_error own = { 0 };
    int first;

    if (ranks == 1)
        return st;
    err = err != NULL ? err : &own;
    first = st != FT_OK ? self : ranks;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == ranks)
        return FT_OK;
    memcpy(told.text, err->status != FT_OK ? err->text : ft_status_str(st), sizeof told.text);
    tell_from(first, &told, sizeof told);
    if (self != first) {
        err->status = FT_OK;
        (void)ft_fail(err, (enum ft_status)told.status, "%s", told.text);
    }
    return (enum ft_status)told.status;
}

unsigned
ft_sim_ranks(void)
{
    return (unsigned)ranks;
}

unsigned
ft_sim_rank(void)
{
    return (unsigned)self;
}

#else

bool
ft_sim_ranks_open(void)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    return size != NULL && strcmp(size, "1") != 0;
}

void
ft_sim_ranks_close(void)
{
}

unsigned
ft_sim_ranks(void)
{
    return 1;
}

unsigned
ft_sim_rank(void)
{
    return 0;
}

enum ft_status
sim_ranks_agree(enum ft_status st, struct ft_error *err)
{
    (void)err;
    return st;
}

void
sim_ranks_add_u64(uint64_t *v, size_t count)
{
    (void)v;
    (void)count;
}

void
sim_ranks_add_f64(double *v, size_t count)
{
    (void)v;
    (void)count;
}

void
sim_ranks_most_u64(uint64_t *v, size_t count)
{
    (void)v;
    (void)count;
}

void
sim_ranks_tell(void *v, size_t size)
{
    (void)v;
    (void)size;
}

void
sim_ranks_send(unsigned to, const void *v, size_t size)
{
    (void)to;
    (void)v;
    (void)size;
}

void
sim_ranks_receive(unsigned from, void *v, size_t size)
{
    (void)from;
    (void)v;
    (void)size;
}

void
sim_ranks_share(void *v, const uint64_t *starts)
{
    (void)v;
    (void)starts;
}

void
sim_ranks_wait(void)
{
}

void
sim_ranks_give_up(enum ft_status st)
{
    (void)st;
}

#endif
