/*
 * Which addresses a webhook may be at: those of the public Internet, and such
 * as the operator allows.  Pure functions, any thread.
 *
 * An address is the 16 bytes of an IPv6 address; an IPv4 address is one of
 * ::ffff:0:0/96, as RFC 4291 maps it.
 */

#ifndef V2M_ADDRESS_H
#define V2M_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#include "v2m_error.h"

#define V2M_ADDRESS_LENGTH 16

typedef unsigned char v2m_address_t[V2M_ADDRESS_LENGTH];

typedef struct {
    v2m_address_t address;
    int           bits; /* of it that count, 0 to 128 */
} v2m_network_t;

typedef struct {
    v2m_network_t *networks; /* malloc'ed */
    size_t         count;
} v2m_networks_t;

/* The address of a socket; 0: it is of another family. */
int v2m_address_of(v2m_address_t address, const struct sockaddr *socket);

/*
 * 0 for an address that the registries of special-purpose addresses (RFC 6890,
 * as IANA keeps them) do not call globally reachable, for multicast, and for
 * what IPv6 has outside of its global unicast 2000::/3.  Of an address that
 * stands for an IPv4 address (mapped, 6to4, NAT64), that one decides.
 */
int v2m_address_is_public(const v2m_address_t address);

/*
 * Takes a list such as "10.1.0.0/16, 192.168.7.9 fd00::/8" apart, with commas
 * or white space between its networks.  V2M_INVALID names the one that is
 * wrong.  To be freed with v2m_networks_free().
 */
int v2m_networks_parse(v2m_networks_t *networks, const char *text,
                       v2m_error_t *error);

void v2m_networks_free(v2m_networks_t *networks);

/* Whether one of the networks has the address. */
int v2m_networks_have(const v2m_networks_t *networks,
                      const v2m_address_t   address);

#endif /* V2M_ADDRESS_H */
