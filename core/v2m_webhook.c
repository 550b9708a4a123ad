#include "v2m_webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "v2m_config.h"

/* What a secret is derived for, before the user's name. */
#define V2M_WEBHOOK_PURPOSE "v2m webhook "

#define V2M_WEBHOOK_SECRET_PREFIX "whsec_"
#define V2M_WEBHOOK_VERSION       "v1,"
#define V2M_WEBHOOK_SPACE         " \t\r\n"

static const char v2m_webhook_alnum[] = "abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char v2m_webhook_hex[] = "0123456789abcdefABCDEF";


/* Whether a character is a letter or digit, or one of the others given. */
static int
v2m_webhook_is(char character, const char *others)
{
    return character != '\0'
           && (strchr(v2m_webhook_alnum, character) != NULL
               || strchr(others, character) != NULL);
}


/* The end of a host: a name, an IPv4 address, or an IPv6 address in brackets;
 * NULL: it is none. */
static const char *
v2m_webhook_host_end(const char *p, const char *end)
{
    const char *begin;

    begin = p;

    if (p < end && *p == '[') {
        for (p++; p < end && *p != ']'; p++) {
            if (*p == '\0'
                || (*p != ':' && *p != '.' && !strchr(v2m_webhook_hex, *p))) {
                return NULL;
            }
        }

        return p < end && p > begin + 1 ? p + 1 : NULL;
    }

    while (p < end && v2m_webhook_is(*p, ".-_")) {
        p++;
    }

    return p > begin ? p : NULL;
}


/* The end of ":PORT", which may be missing; NULL: it is wrong. */
static const char *
v2m_webhook_port_end(const char *p, const char *end)
{
    int port;

    if (p == end || *p != ':') {
        return p;
    }

    for (p++, port = 0; p < end && *p >= '0' && *p <= '9'; p++) {
        port = port * 10 + (*p - '0');

        if (port > 65535) {
            return NULL;
        }
    }

    return port > 0 ? p : NULL;
}


static int
v2m_webhook_is_url(const char *url, size_t length, int http)
{
    const char *p, *end;

    if (length > V2M_WEBHOOK_URL_MAX) {
        return 0;
    }

    end = url + length;

    if (length > 8 && strncasecmp(url, "https://", 8) == 0) {
        p = url + 8;
    } else if (http && length > 7 && strncasecmp(url, "http://", 7) == 0) {
        p = url + 7;
    } else {
        return 0;
    }

    p = v2m_webhook_host_end(p, end);

    if (p != NULL) {
        p = v2m_webhook_port_end(p, end);
    }

    if (p == NULL || (p < end && *p != '/' && *p != '?')) {
        return 0;
    }

    /* RFC 3986: what a path and a query may have */

    while (p < end && v2m_webhook_is(*p, "-._~:/?@[]!$&'()*+,;=%")) {
        p++;
    }

    return p == end;
}


int
v2m_webhook_check_url(const char *url, size_t length, int http,
                      v2m_error_t *error)
{
    if (v2m_webhook_is_url(url, length, http)) {
        return V2M_OK;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "option \"webhook\" must be a URL that begins with "
                         "%s, of at most %d ASCII characters, without a user, "
                         "a password or a #fragment",
                         http ? "https:// or http://" : "https://",
                         V2M_WEBHOOK_URL_MAX);
}


const char *
v2m_webhook_host(const char *url, size_t *length)
{
    const char *host;

    host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    *length = strcspn(host, "/?");

    return host;
}


int
v2m_webhook_read_keys(v2m_webhook_keys_t *keys, v2m_error_t *error)
{
    int   rc;
    char *text;

    memset(keys, 0, sizeof(*keys));

    rc = v2m_config_string("V2M_WEBHOOK_KEY", "", &text, error);

    if (rc == V2M_OK) {
        rc = v2m_webhook_keys_parse(keys, text, error);
        v2m_config_wipe(text);
    }

    return rc;
}


int
v2m_webhook_read_http(int *http, v2m_error_t *error)
{
    int   rc;
    char *text;

    rc = v2m_config_string("V2M_WEBHOOK_HTTP", "refuse", &text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    *http = strcmp(text, "allow") == 0;

    if (!*http && strcmp(text, "refuse") != 0) {
        rc = v2m_error_set(error, V2M_INVALID,
                           "V2M_WEBHOOK_HTTP must be allow or refuse");
    }

    free(text);

    return rc;
}


int
v2m_webhook_keys_parse(v2m_webhook_keys_t *keys, const char *text,
                       v2m_error_t *error)
{
    size_t length;

    memset(keys, 0, sizeof(*keys));

    for (text += strspn(text, V2M_WEBHOOK_SPACE); *text != '\0';
         text += strspn(text, V2M_WEBHOOK_SPACE))
    {
        length = strcspn(text, V2M_WEBHOOK_SPACE);

        if (length < V2M_WEBHOOK_KEY_MIN || keys->count == V2M_WEBHOOK_KEYS_MAX)
        {
            v2m_webhook_keys_wipe(keys);
            return v2m_error_set(error, V2M_INVALID,
                                 "V2M_WEBHOOK_KEY must be one key, or up to %d "
                                 "with spaces or line ends between them, each "
                                 "of %d bytes or more",
                                 V2M_WEBHOOK_KEYS_MAX, V2M_WEBHOOK_KEY_MIN);
        }

        keys->keys[keys->count] = strndup(text, length);

        if (keys->keys[keys->count++] == NULL) {
            v2m_webhook_keys_wipe(keys);
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        text += length;
    }

    return V2M_OK;
}


void
v2m_webhook_keys_wipe(v2m_webhook_keys_t *keys)
{
    size_t i;

    for (i = 0; i < keys->count; i++) {
        v2m_config_wipe(keys->keys[i]);
    }

    memset(keys, 0, sizeof(*keys));
}


/* A user's secret: bytes. */
static int
v2m_webhook_derive(unsigned char secret[V2M_HMAC_LENGTH], const char *key,
                   const char *username)
{
    int   done;
    char *text;

    if (asprintf(&text, V2M_WEBHOOK_PURPOSE "%s", username) == -1) {
        return 0;
    }

    done = v2m_hmac_sha256(secret, key, strlen(key), text, strlen(text));
    free(text);

    return done;
}


int
v2m_webhook_secret(const v2m_webhook_keys_t *keys, const char *username,
                   char secret[V2M_WEBHOOK_SECRET_SIZE], v2m_error_t *error)
{
    unsigned char bytes[V2M_HMAC_LENGTH];

    if (!v2m_webhook_derive(bytes, keys->keys[0], username)) {
        return v2m_error_set(error, V2M_ERROR, "cannot derive a secret");
    }

    strcpy(secret, V2M_WEBHOOK_SECRET_PREFIX);
    v2m_base64(secret + sizeof(V2M_WEBHOOK_SECRET_PREFIX) - 1, bytes,
               sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));

    return V2M_OK;
}


char *
v2m_webhook_sign(const v2m_webhook_keys_t *keys, const char *username,
                 const char *id, int64_t timestamp, const char *body)
{
    int           length, done;
    char         *text, *header, *end;
    size_t        i;
    unsigned char secret[V2M_HMAC_LENGTH], digest[V2M_HMAC_LENGTH];

    length = asprintf(&text, "%s.%" PRId64 ".%s", id, timestamp, body);
    if (length == -1) {
        return NULL;
    }

    /* with a space, or the zero, after each of them */
    header = malloc(keys->count
                        * (sizeof(V2M_WEBHOOK_VERSION) - 1
                           + V2M_BASE64_SIZE(V2M_HMAC_LENGTH))
                    + 1);
    done = header != NULL;
    end = header;

    for (i = 0; done && i < keys->count; i++) {
        done = v2m_webhook_derive(secret, keys->keys[i], username)
               && v2m_hmac_sha256(digest, secret, sizeof(secret), text,
                                  (size_t) length);

        if (done) {
            end = stpcpy(end,
                         i > 0 ? " " V2M_WEBHOOK_VERSION : V2M_WEBHOOK_VERSION);
            v2m_base64(end, digest, sizeof(digest));
            end += strlen(end);
        }
    }

    explicit_bzero(secret, sizeof(secret));
    free(text);

    if (!done) {
        free(header);
        return NULL;
    }

    return header;
}
