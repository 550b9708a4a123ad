/*
 * Sending mail by SMTP: the one place that uses libcurl for it.  Connections
 * are kept for the next mail.  Functions block, for at most the time-out, and
 * may be called from any thread.
 */

#ifndef V2M_SMTP_H
#define V2M_SMTP_H

#include <stddef.h>

#include "v2m_error.h"

typedef struct v2m_smtp_s v2m_smtp_t;

typedef enum {
    V2M_SMTP_TLS_NEVER,
    V2M_SMTP_TLS_OPPORTUNISTIC, /* when offered; certificates not checked */
    V2M_SMTP_TLS_REQUIRED
} v2m_smtp_tls_t;

typedef struct {
    const char    *url;      /* smtp://host[:port] or smtps://host[:port] */
    const char    *user;     /* NULL: no login */
    const char    *password; /* NULL: no login */
    const char    *ca;       /* PEM text; NULL: the system's authorities */
    v2m_smtp_tls_t tls;      /* for smtp://; smtps:// is always TLS */
    int            timeout_ms;
    int (*stopping)(void); /* a send gives up when it says 1; may be NULL */
} v2m_smtp_options_t;

/* Strings are copied.  To be called before threads are made.  V2M_INVALID: the
 * URL is unusable. */
int v2m_smtp_create(v2m_smtp_t **smtp, const v2m_smtp_options_t *options,
                    v2m_error_t *error);

/* No other call may be under way.  NULL is allowed. */
void v2m_smtp_destroy(v2m_smtp_t *smtp);

/*
 * Sends one mail.  from and to are bare addresses.
 * V2M_UNAVAILABLE: no server, or one that does not work now;
 * V2M_CONFLICT: this very mail was put off: a temporary refusal (4xx), or no
 * answer after its transaction had begun, so that it may even have been taken;
 * V2M_DENIED: the server refuses us or our login, or has no TLS: the operator
 * must act, then it works; V2M_INVALID: the server refused the mail for good.
 */
int v2m_smtp_send(v2m_smtp_t *smtp, const char *from, const char *to,
                  const char *text, size_t length, v2m_error_t *error);

#endif /* V2M_SMTP_H */
