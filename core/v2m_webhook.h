/*
 * Webhooks as gateway and notifier agree on them: which URLs are taken, whose
 * secret is what, and how a call is signed.  After the specification "Standard
 * Webhooks", symmetric signatures (v1):
 * https://github.com/standard-webhooks/standard-webhooks
 *
 * Pure functions, any thread.
 */

#ifndef V2M_WEBHOOK_H
#define V2M_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_hmac.h"

#define V2M_WEBHOOK_URL_MAX  2048
#define V2M_WEBHOOK_KEY_MIN  32 /* bytes: those of a digest */
#define V2M_WEBHOOK_KEYS_MAX 4

/* "whsec_", base64, and a zero. */
#define V2M_WEBHOOK_SECRET_SIZE (6 + V2M_BASE64_SIZE(V2M_HMAC_LENGTH))

/* Master keys, from which each user's secret comes: the first is that of
 * today, others are on their way out.  count 0: there are no webhooks. */
typedef struct {
    char  *keys[V2M_WEBHOOK_KEYS_MAX]; /* malloc'ed */
    size_t count;
} v2m_webhook_keys_t;

/*
 * Checks an http or https URL; http: whether that is allowed.  Host names and
 * paths are ASCII; a user, a password or a fragment are refused.  V2M_INVALID
 * says what it must be, and not what it was: it may have a secret in it.
 */
int v2m_webhook_check_url(const char *url, size_t length, int http,
                          v2m_error_t *error);

/* The host of a checked URL, with a port if it has one: for logs, as the rest
 * may be a secret.  *length of it. */
const char *v2m_webhook_host(const char *url, size_t *length);

/* Reads V2M_WEBHOOK_KEY (1 to 4 keys, with white space between them; none:
 * there are no webhooks) and V2M_WEBHOOK_HTTP ("allow" or "refuse").  For
 * programs that start.  V2M_INVALID names the setting. */
int v2m_webhook_read_keys(v2m_webhook_keys_t *keys, v2m_error_t *error);
int v2m_webhook_read_http(int *http, v2m_error_t *error);

/* Takes the keys of a text apart, as above. */
int v2m_webhook_keys_parse(v2m_webhook_keys_t *keys, const char *text,
                           v2m_error_t *error);

/* Wipes and frees the keys; those of a zeroed structure too. */
void v2m_webhook_keys_wipe(v2m_webhook_keys_t *keys);

/* The user's secret of today, as text.  There must be a key.  V2M_ERROR: see
 * v2m_hmac_sha256(). */
int v2m_webhook_secret(const v2m_webhook_keys_t *keys, const char *username,
                       char         secret[V2M_WEBHOOK_SECRET_SIZE],
                       v2m_error_t *error);

/*
 * The value of the header "webhook-signature": one signature for each key.  The
 * timestamp is in seconds since the epoch.  Malloc'ed; NULL: out of memory, or
 * see v2m_hmac_sha256().
 */
char *v2m_webhook_sign(const v2m_webhook_keys_t *keys, const char *username,
                       const char *id, int64_t timestamp, const char *body);

#endif /* V2M_WEBHOOK_H */
