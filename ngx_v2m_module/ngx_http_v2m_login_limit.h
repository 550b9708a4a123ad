/*
 * Growing delays after failed logins: ngx_http_v2m_login_limit_module, with
 * the directive v2m_login_limit.
 *
 * Failures are counted for each of three: an account tried from one address,
 * an address whatever it tries, and an account whoever tries it.  An account
 * that logged in from an address is known there, and only the first of them
 * ever puts it off, so that nobody elsewhere can lock its owner out.
 *
 * For the event loop.
 */

#ifndef NGX_HTTP_V2M_LOGIN_LIMIT_H
#define NGX_HTTP_V2M_LOGIN_LIMIT_H

#include "ngx_http_v2m_login_limit_zone.h"
#include "ngx_http_v2m_metrics.h"

#define NGX_HTTP_V2M_LIMIT_PAIR    0 /* an account from an address */
#define NGX_HTTP_V2M_LIMIT_ADDRESS 1
#define NGX_HTTP_V2M_LIMIT_ACCOUNT 2
#define NGX_HTTP_V2M_LIMIT_KINDS   3

/* What is tried.  Each is counted for itself, also within one zone. */
typedef struct {
    const char            *what;    /* "failed logins", as texts have it */
    ngx_http_v2m_counter_t refusal; /* NGX_HTTP_V2M_COUNT_REFUSED_* */
} ngx_http_v2m_tries_t;

/* A try that was let through; zeroed: none was. */
typedef struct {
    ngx_shm_zone_t *zone; /* NULL: nothing is limited here */
    u_char          keys[NGX_HTTP_V2M_LIMIT_KINDS][NGX_HTTP_V2M_LIMIT_KEY];
    ngx_msec_t      until[NGX_HTTP_V2M_LIMIT_KINDS]; /* as this try left it */
    ngx_uint_t      first;    /* of the kinds that were counted */
    ngx_uint_t      end;      /* behind the last of them */
    unsigned        many : 1; /* the account's key is shared by others */
} ngx_http_v2m_try_t;

/*
 * Asks whether an account may be tried now from the client's address; user
 * NULL: it is not known yet, and only the address counts.
 * NGX_OK: it counts as a failure at once, as many may be under way, until one
 * of the functions below says otherwise.  429: it may not, and the request's
 * error says when; nothing is counted.  Else an error's status.
 */
ngx_int_t ngx_http_v2m_try_begin(ngx_http_request_t         *r,
                                 const ngx_http_v2m_tries_t *tries,
                                 const ngx_str_t *user, ngx_http_v2m_try_t *it);

/* It was right: the account's failures are forgotten, and it is known at this
 * address from now on. */
void ngx_http_v2m_try_succeeded(ngx_http_v2m_try_t *it);

/* It was neither right nor wrong, as the database was away. */
void ngx_http_v2m_try_undo(ngx_http_v2m_try_t *it);

#endif /* NGX_HTTP_V2M_LOGIN_LIMIT_H */
