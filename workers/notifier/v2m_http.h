/*
 * Calls of URLs that users gave: the one place that uses libcurl for HTTP.
 * Nothing but http and https is spoken, no redirect is followed, no proxy is
 * used, and each address is judged when it is connected to, so that a name
 * that means another address the next moment gains nothing.
 *
 * Functions block, for at most the time-out, and may be called from any thread.
 */

#ifndef V2M_HTTP_H
#define V2M_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_address.h"
#include "v2m_error.h"

typedef struct v2m_http_s v2m_http_t;

typedef struct {
    const char           *ca;   /* PEM text; NULL: the system's authorities */
    int                   http; /* 0: https alone */
    const v2m_networks_t *allowed; /* beside public addresses */
    int                   timeout_ms;
    int (*stopping)(void); /* a call gives up when it says 1; may be NULL */
} v2m_http_options_t;

typedef struct {
    int     status;         /* of the answer */
    int64_t retry_after_ms; /* that the server asked for; 0: nothing */
} v2m_http_answer_t;

/* Strings and networks stay the caller's.  To be called before threads are
 * made. */
int v2m_http_create(v2m_http_t **http, const v2m_http_options_t *options,
                    v2m_error_t *error);

/* No other call may be under way.  NULL is allowed. */
void v2m_http_destroy(v2m_http_t *http);

/*
 * Sends a JSON body with these headers ("NAME: VALUE", NULL ends the list).
 * V2M_OK: there was an answer, of whatever status; what its body says is
 * ignored.  V2M_UNAVAILABLE: there was none, for now.  V2M_DENIED: the host has
 * no address that may be called.  V2M_INVALID: the URL is unusable.  Error
 * texts name neither the URL nor an address.
 */
int v2m_http_post(const v2m_http_t *http, const char *url,
                  const char *const *headers, const char *body,
                  v2m_http_answer_t *answer, v2m_error_t *error);

#endif /* V2M_HTTP_H */
