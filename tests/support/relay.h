/*
 * A line to a server on loopback that a test can break: it passes connections on, in a thread of its own,
 * until it is told to cut them, to turn new ones away, or to swallow what comes. The listening port stays the
 * same all the while.
 */
#ifndef FT_TESTS_RELAY_H
#define FT_TESTS_RELAY_H

#include <stdatomic.h>
#include <stdint.h>

struct relay;

struct relay *relay_open(uint16_t server_port); /* aborts the test where it cannot */
uint16_t relay_port(const struct relay *relay);
int relay_accepted(const struct relay *relay); /* connections so far, those turned away too */

/* Cut every connection: both ends see it closed once this has returned. The next `turned_away` connections
 * are closed as soon as they are made. */
void relay_cut(struct relay *relay, int turned_away);
/* From now on nothing is passed on, and nothing is closed: a line that has died in silence. */
void relay_silence(struct relay *relay);
void relay_close(struct relay *relay);

#endif
