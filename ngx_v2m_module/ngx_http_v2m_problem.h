/*
 * Errors as problem details (RFC 9457), application/problem+json.
 *
 * A handler says what is wrong with ngx_http_v2m_problem() and returns the
 * status; nginx then does all it does for an error (error_page, discarding
 * the body, closing), and a filter puts the JSON in place of nginx's own page.
 * So the errors of nginx itself and of its other modules look the same.
 */

#ifndef NGX_HTTP_V2M_PROBLEM_H
#define NGX_HTTP_V2M_PROBLEM_H

#include "ngx_http_v2m_metrics.h"

/* Sets the detail of the request's error (copied) and returns the status. */
ngx_int_t ngx_http_v2m_problem(ngx_http_request_t *r, ngx_int_t status,
                               const char *detail);

/* The same for a limit, by which the refusal is counted: one of
 * NGX_HTTP_V2M_COUNT_REFUSED_*. */
ngx_int_t ngx_http_v2m_over_limit(ngx_http_request_t    *r,
                                  ngx_http_v2m_counter_t refusal,
                                  ngx_int_t status, const char *detail);

/* 405 with an Allow header; allow: static text such as "GET, HEAD". */
ngx_int_t ngx_http_v2m_method_not_allowed(ngx_http_request_t *r,
                                          const char         *allow);

/*
 * The one place that turns the result of a core or auth function into an
 * HTTP status.  Logs what a backend or we ourselves did wrong; operation says
 * what was being done ("store the video"), detail what a client is told.
 */
ngx_int_t ngx_http_v2m_failure(ngx_http_request_t *r, const char *operation,
                               int rc, const v2m_error_t *error);

/* Puts the filter into nginx's chains; for postconfiguration. */
void ngx_http_v2m_problem_init(void);

#endif /* NGX_HTTP_V2M_PROBLEM_H */
