/*
 * Power cuts for SQLite: a file system in memory, as SQLite's default one while it is open, that remembers
 * what was written since each file's last sync. At a cut every such write is kept, lost, or its sectors
 * filled with garbage, on its own; what was synced stays. One connection at a time: locks are not kept.
 */
#ifndef FT_TEST_POWER_H
#define FT_TEST_POWER_H

#include <stdint.h>

/* Make it the default file system. Files are named as on disk and forgotten by power_close. */
void power_open(void);
void power_close(void);

/* After `events` more writes, truncations, syncs and deletions every operation fails, as before a cut; 0:
 * none does. The write that hits the end is under way when the power goes. */
void power_arm(uint64_t events);
/* The cut itself, once connections are closed; what is decided comes from the seed. Files work again. */
void power_cut(uint64_t seed);

uint64_t power_events(void); /* so far */
uint64_t power_lost(void);   /* writes that cuts lost or spoilt, wholly or in part */

#endif
