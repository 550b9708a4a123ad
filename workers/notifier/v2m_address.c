#include "v2m_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2M_ADDRESS_SEPARATORS ", \t\r\n"
#define V2M_ADDRESS_IPV4_BITS  96 /* before the four bytes of a mapped one */

/* The first four bytes of a network, and how many of their bits count. */
typedef struct {
    uint32_t prefix;
    int      bits;
} v2m_address_prefix_t;

/* IANA's IPv4 Special-Purpose Address Registry, without what is globally
 * reachable; and multicast. */
static const v2m_address_prefix_t v2m_address_ipv4[] = {
    { 0x00000000, 8 },  /* this network */
    { 0x0a000000, 8 },  /* private */
    { 0x64400000, 10 }, /* shared, behind a carrier's translation */
    { 0x7f000000, 8 },  /* loopback */
    { 0xa9fe0000, 16 }, /* link-local */
    { 0xac100000, 12 }, /* private */
    { 0xc0000000, 24 }, /* protocol assignments */
    { 0xc0000200, 24 }, /* documentation */
    { 0xc0586300, 24 }, /* 6to4 relays, deprecated */
    { 0xc0a80000, 16 }, /* private */
    { 0xc6120000, 15 }, /* benchmarks */
    { 0xc6336400, 24 }, /* documentation */
    { 0xcb007100, 24 }, /* documentation */
    { 0xe0000000, 4 },  /* multicast */
    { 0xf0000000, 4 },  /* reserved, and the limited broadcast */
};

/* The same of IPv6, inside of 2000::/3. */
static const v2m_address_prefix_t v2m_address_ipv6[] = {
    { 0x20010000, 23 }, /* protocol assignments, Teredo */
    { 0x20010db8, 32 }, /* documentation */
    { 0x3fff0000, 20 }, /* documentation */
};

static const unsigned char v2m_address_mapped[12] = { 0, 0, 0, 0, 0,    0,
                                                      0, 0, 0, 0, 0xff, 0xff };

/* RFC 6052 */
static const unsigned char v2m_address_nat64[12] = { 0x00, 0x64, 0xff, 0x9b };


static uint32_t
v2m_address_word(const unsigned char *bytes)
{
    return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16
           | (uint32_t) bytes[2] << 8 | bytes[3];
}


static int
v2m_address_listed(uint32_t word, const v2m_address_prefix_t *list,
                   size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if ((word ^ list[i].prefix) >> (32 - list[i].bits) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
v2m_address_is_public_ipv4(const unsigned char *bytes)
{
    return !v2m_address_listed(v2m_address_word(bytes), v2m_address_ipv4,
                               sizeof(v2m_address_ipv4)
                                   / sizeof(v2m_address_ipv4[0]));
}


static void
v2m_address_map(v2m_address_t address, const void *ipv4)
{
    memcpy(address, v2m_address_mapped, sizeof(v2m_address_mapped));
    memcpy(address + sizeof(v2m_address_mapped), ipv4, 4);
}


int
v2m_address_of(v2m_address_t address, const struct sockaddr *socket)
{
    switch (socket->sa_family) {
    case AF_INET:
        v2m_address_map(address,
                        &((const struct sockaddr_in *) socket)->sin_addr);
        return 1;

    case AF_INET6:
        memcpy(address, &((const struct sockaddr_in6 *) socket)->sin6_addr,
               V2M_ADDRESS_LENGTH);
        return 1;

    default:
        return 0;
    }
}


int
v2m_address_is_public(const v2m_address_t address)
{
    if (memcmp(address, v2m_address_mapped, sizeof(v2m_address_mapped)) == 0
        || memcmp(address, v2m_address_nat64, sizeof(v2m_address_nat64)) == 0)
    {
        return v2m_address_is_public_ipv4(address + 12);
    }

    /* 6to4: RFC 3056 */

    if (address[0] == 0x20 && address[1] == 0x02) {
        return v2m_address_is_public_ipv4(address + 2);
    }

    return (address[0] & 0xe0) == 0x20
           && !v2m_address_listed(v2m_address_word(address), v2m_address_ipv6,
                                  sizeof(v2m_address_ipv6)
                                      / sizeof(v2m_address_ipv6[0]));
}


static int
v2m_network_parse(v2m_network_t *network, char *text)
{
    int           most;
    char         *bits, *end;
    unsigned long number;
    unsigned char ipv4[4];

    bits = strchr(text, '/');

    if (bits != NULL) {
        *bits++ = '\0';
    }

    most = 128;

    if (inet_pton(AF_INET, text, ipv4) == 1) {
        v2m_address_map(network->address, ipv4);
        most -= V2M_ADDRESS_IPV4_BITS;

    } else if (inet_pton(AF_INET6, text, network->address) != 1) {
        return 0;
    }

    number = (unsigned long) most;

    if (bits != NULL) {
        if (*bits < '0' || *bits > '9') {
            return 0;
        }

        number = strtoul(bits, &end, 10);

        if (*end != '\0' || number > (unsigned long) most) {
            return 0;
        }
    }

    network->bits = 128 - most + (int) number;

    return 1;
}


int
v2m_networks_parse(v2m_networks_t *networks, const char *text,
                   v2m_error_t *error)
{
    char           word[64];
    size_t         length;
    v2m_network_t *grown;

    memset(networks, 0, sizeof(*networks));

    for (text += strspn(text, V2M_ADDRESS_SEPARATORS); *text != '\0';
         text += strspn(text, V2M_ADDRESS_SEPARATORS))
    {
        length = strcspn(text, V2M_ADDRESS_SEPARATORS);
        snprintf(word, sizeof(word), "%.*s", (int) length, text);

        grown = realloc(networks->networks,
                        (networks->count + 1) * sizeof(v2m_network_t));
        if (grown == NULL) {
            v2m_networks_free(networks);
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        networks->networks = grown;

        if (length >= sizeof(word)
            || !v2m_network_parse(&grown[networks->count++], word))
        {
            v2m_networks_free(networks);
            return v2m_error_set(error, V2M_INVALID,
                                 "\"%.*s\" is no network such as 10.1.0.0/16 "
                                 "or fd00::/8",
                                 length < sizeof(word) ? (int) length
                                                       : (int) sizeof(word),
                                 text);
        }

        text += length;
    }

    return V2M_OK;
}


void
v2m_networks_free(v2m_networks_t *networks)
{
    free(networks->networks);
    memset(networks, 0, sizeof(*networks));
}


static int
v2m_network_has(const v2m_network_t *network, const v2m_address_t address)
{
    int whole, rest;

    whole = network->bits / 8;
    rest = network->bits % 8;

    return memcmp(network->address, address, (size_t) whole) == 0
           && (rest == 0
               || (network->address[whole] ^ address[whole]) >> (8 - rest)
                      == 0);
}


int
v2m_networks_have(const v2m_networks_t *networks, const v2m_address_t address)
{
    size_t i;

    for (i = 0; i < networks->count; i++) {
        if (v2m_network_has(&networks->networks[i], address)) {
            return 1;
        }
    }

    return 0;
}
