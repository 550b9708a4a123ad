/*
 * The hosts in an AMQP URL: several, parted by commas, are the nodes of one
 * cluster, as in MongoDB's connection strings:
 * amqp://USER:PASSWORD@HOST1:PORT,HOST2:PORT/VHOST.
 *
 * Any thread; nothing is kept.
 */

#ifndef V2M_AMQP_HOSTS_H
#define V2M_AMQP_HOSTS_H

#include <stddef.h>

/* How many there are: 1 at least.  The text need not be a good URL. */
size_t v2m_amqp_hosts(const char *url);

/*
 * The URL with one of its hosts alone, counted from 0.  It has the password:
 * the caller wipes and frees it.  V2M_INVALID: a list has nothing at this
 * place; V2M_ERROR: out of memory.
 */
int v2m_amqp_host_url(char **result, const char *url, size_t number);

#endif /* V2M_AMQP_HOSTS_H */
