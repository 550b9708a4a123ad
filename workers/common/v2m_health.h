/*
 * A worker's state over HTTP, for probes and Prometheus: /healthz, /readyz and
 * /metrics.  The one place that uses libmicrohttpd; it has threads of its own.
 */

#ifndef V2M_HEALTH_H
#define V2M_HEALTH_H

#include "v2m_error.h"
#include "v2m_mongo.h"

typedef struct v2m_health_s v2m_health_t;

/*
 * Listens at "HOST:PORT" ("[::]:9102", "0.0.0.0:9102"), or on 127.0.0.1 where
 * only a port is given.  listen may be NULL or empty: then nothing is started,
 * and *health is NULL.  The worker is ready while it consumes and this store
 * answers.  V2M_INVALID: there is no such address, or it is taken.
 */
int v2m_health_start(v2m_health_t **health, const char *listen,
                     v2m_mongo_t *mongo, v2m_error_t *error);

/* Waits for answers under way.  NULL is allowed. */
void v2m_health_stop(v2m_health_t *health);

#endif /* V2M_HEALTH_H */
