#include "v2m_token.h"

#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "v2m_base64url.h"

/* the end of the year 9999: a later time is a mistake, such as milliseconds */
#define V2M_TOKEN_TIME_MAX 253402300799

#define V2M_TOKEN_ID_BYTES 16

/* As libjwt calls them. */
static const jwt_alg_t v2m_token_jwt_algorithms[] = {
    [V2M_TOKEN_HS256] = JWT_ALG_HS256,
    [V2M_TOKEN_RS256] = JWT_ALG_RS256,
    [V2M_TOKEN_ES256] = JWT_ALG_ES256,
};

/* The two of a token's three segments that are read, as base64url text. */
typedef struct {
    const char *header;
    size_t      header_length;
    const char *payload;
    size_t      payload_length;
} v2m_token_parts_t;


static int
v2m_token_split(const char *token, size_t length, v2m_token_parts_t *parts,
                v2m_error_t *error)
{
    const char *last, *first_dot, *second_dot;

    memset(parts, 0, sizeof(v2m_token_parts_t));

    last = token + length;
    first_dot = memchr(token, '.', length);
    second_dot = NULL;

    if (first_dot != NULL) {
        second_dot = memchr(first_dot + 1, '.', last - first_dot - 1);
    }

    if (second_dot != NULL) {
        parts->header = token;
        parts->header_length = first_dot - token;
        parts->payload = first_dot + 1;
        parts->payload_length = second_dot - parts->payload;
    }

    /* a dot is no letter, so there is no fourth part either */

    if (!v2m_base64url_check(parts->header, parts->header_length)
        || !v2m_base64url_check(parts->payload, parts->payload_length)
        || !v2m_base64url_check(second_dot + 1, last - second_dot - 1))
    {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is malformed: it needs three parts "
                             "of base64url");
    }

    return V2M_OK;
}


/* Reads one segment; what names the segment in the error text. */
static int
v2m_token_parse(const char *text, size_t length, const char *what,
                json_t **object, v2m_error_t *error)
{
    char    json[V2M_TOKEN_MAX];
    json_t *value;

    length = v2m_base64url_decode(text, length, json);
    value = json_loadb(json, length, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(value)) {
        json_decref(value);
        return v2m_error_set(error, V2M_DENIED,
                             "the token is malformed: its %s is not a JSON "
                             "object with distinct names",
                             what);
    }

    *object = value;
    return V2M_OK;
}


/*
 * Finds the key and looks at the algorithm before libjwt sees the token, so
 * that the key is never used with another one.  The kid is compared with the
 * names of the issuer's keys and is nothing else; keys that are inside the
 * header, or where it points (jwk, jku, x5c, x5u), are nothing to us; "crit"
 * names what must not be ignored; "typ" sets other uses of the same key apart
 * (RFC 8725 section 3.11).
 */
static int
v2m_token_choose_key(const json_t *header, const v2m_token_issuer_t *issuer,
                     const v2m_token_key_t **key, v2m_error_t *error)
{
    const char   *algorithm, *name;
    const json_t *kid, *type;

    kid = json_object_get(header, "kid");
    type = json_object_get(header, "typ");
    algorithm = json_string_value(json_object_get(header, "alg"));

    /* what is no text is no key's name either, nor is the empty text */

    *key = v2m_token_keys_find(issuer, kid == NULL ? NULL
                                       : json_is_string(kid)
                                           ? json_string_value(kid)
                                           : "");

    if (*key == NULL) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token names no key that is known here");
    }

    name = v2m_token_algorithm_name((*key)->algorithm);

    if (algorithm == NULL || strcmp(algorithm, name) != 0) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is not signed with %s", name);
    }

    if (type != NULL
        && (!json_is_string(type)
            || strcasecmp(json_string_value(type), "JWT") != 0))
    {
        return v2m_error_set(error, V2M_DENIED, "the token is no JWT");
    }

    if (json_object_get(header, "crit") != NULL) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token has a critical extension");
    }

    return V2M_OK;
}


static int
v2m_token_check_signature(const v2m_token_key_t *key, const char *token,
                          size_t length, v2m_error_t *error)
{
    int    rc;
    char   text[V2M_TOKEN_MAX + 1];
    jwt_t *jwt;

    memcpy(text, token, length);
    text[length] = '\0';

    rc = jwt_decode(&jwt, text, (unsigned char *) key->verifier,
                    (int) key->verifier_length);

    if (rc == ENOMEM) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (rc != 0) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token's signature is wrong");
    }

    if (jwt_get_alg(jwt) == v2m_token_jwt_algorithms[key->algorithm]) {
        rc = V2M_OK;

    } else {
        rc = v2m_error_set(error, V2M_DENIED, "the token is not signed with %s",
                           v2m_token_algorithm_name(key->algorithm));
    }

    jwt_free(jwt);

    return rc;
}


/* Reads a claim that is a time.  V2M_NOT_FOUND: there is none. */
static int
v2m_token_time(const json_t *claims, const char *name, int64_t *seconds,
               v2m_error_t *error)
{
    double  number;
    json_t *value;

    value = json_object_get(claims, name);
    if (value == NULL) {
        return V2M_NOT_FOUND;
    }

    /* RFC 7519 section 2: a NumericDate may have a fraction */

    number = json_number_value(value);

    if (!(number >= 1 && number <= V2M_TOKEN_TIME_MAX)) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token's %s is not a time in seconds", name);
    }

    *seconds = (int64_t) number;

    return V2M_OK;
}


static int
v2m_token_check_times(const json_t *json, int64_t now, v2m_claims_t *claims,
                      v2m_error_t *error)
{
    int     rc;
    int64_t not_before;

    rc = v2m_token_time(json, "exp", &claims->expires, error);

    if (rc == V2M_NOT_FOUND) {
        return v2m_error_set(error, V2M_DENIED, "the token has no exp");
    }

    if (rc != V2M_OK) {
        return rc;
    }

    if (now >= claims->expires + V2M_TOKEN_LEEWAY) {
        return v2m_error_set(error, V2M_DENIED, "the token has expired");
    }

    rc = v2m_token_time(json, "iat", &claims->issued, error);

    if (rc == V2M_OK && claims->issued > now + V2M_TOKEN_LEEWAY) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token was issued in the future");
    }

    if (rc == V2M_DENIED) {
        return rc;
    }

    not_before = 0;
    rc = v2m_token_time(json, "nbf", &not_before, error);

    if (rc == V2M_OK && not_before > now + V2M_TOKEN_LEEWAY) {
        return v2m_error_set(error, V2M_DENIED, "the token is not valid yet");
    }

    return rc == V2M_DENIED ? rc : V2M_OK;
}


static int
v2m_token_is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char) *text < 0x20 || *text == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static int
v2m_token_is_username(const char *text)
{
    return text != NULL && *text != '\0' && v2m_token_is_printable(text);
}


/* One audience at least is one of the issuer's; of our own tokens none: this
 * service has no name of its own, so a token made for someone in particular
 * was made for someone else (RFC 7519 section 4.1.3). */
static int
v2m_token_is_audience(const json_t *audience, const v2m_token_issuer_t *issuer)
{
    size_t        i;
    const char   *text;
    const json_t *one;

    if (issuer->url == NULL) {
        return audience == NULL;
    }

    text = json_string_value(audience);

    for (i = 0; text != NULL && i < issuer->audience_count; i++) {
        if (strcmp(text, issuer->audiences[i]) == 0) {
            return 1;
        }
    }

    json_array_foreach(audience, i, one)
    {
        if (json_is_string(one) && v2m_token_is_audience(one, issuer)) {
            return 1;
        }
    }

    return 0;
}


static int
v2m_token_check_user(const json_t *json, const v2m_token_issuer_t *issuer,
                     const char **username, v2m_error_t *error)
{
    json_t *value;

    value = json_object_get(json, issuer->user ? issuer->user : "username");

    if (value == NULL && issuer->user == NULL) {
        value = json_object_get(json, "sub");
    }

    *username = json_string_value(value);

    if (!v2m_token_is_username(*username)) {
        return v2m_error_set(error, V2M_DENIED, "the token names no user");
    }

    if (!v2m_token_is_audience(json_object_get(json, "aud"), issuer)) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is for another audience");
    }

    return V2M_OK;
}


/* The digest of two texts; kind tells them from others. */
static int
v2m_token_digest(const char *kind, const char *first, const char *second,
                 size_t second_length, unsigned char id[V2M_CLAIMS_ID],
                 v2m_error_t *error)
{
    int    rc, length;
    char  *text;
    size_t size;

    size = strlen(kind) + strlen(first) + second_length + 3;

    text = malloc(size);
    if (text == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    length = sprintf(text, "%s\n%s\n", kind, first);
    memcpy(text + length, second, second_length);

    rc = v2m_digest(text, (size_t) length + second_length, id, error);
    free(text);

    return rc;
}


int
v2m_claims_user_id(const char *username, unsigned char id[V2M_CLAIMS_ID],
                   v2m_error_t *error)
{
    return v2m_token_digest("user", "", username, strlen(username), id, error);
}


/* A token without a jti is named by what is signed; the signature itself may
 * have other forms (ECDSA has two). */
static int
v2m_token_name(const json_t *json, const v2m_token_parts_t *parts,
               const v2m_token_issuer_t *issuer, v2m_claims_t *claims,
               v2m_error_t *error)
{
    int         rc;
    const char *jti, *url;

    jti = json_string_value(json_object_get(json, "jti"));
    url = issuer->url != NULL ? issuer->url : "";

    rc = jti != NULL && *jti != '\0'
             ? v2m_token_digest("jti", url, jti, strlen(jti), claims->id, error)
             : v2m_token_digest("jws", url, parts->header,
                                (size_t) (parts->payload - parts->header)
                                    + parts->payload_length,
                                claims->id, error);

    return rc == V2M_OK
               ? v2m_claims_user_id(claims->username, claims->user_id, error)
               : rc;
}


static int
v2m_token_read_claims(const json_t *json, const v2m_token_parts_t *parts,
                      const v2m_token_issuer_t *issuer, int64_t now,
                      v2m_claims_t *claims, v2m_error_t *error)
{
    int         rc;
    const char *username, *admin;

    rc = v2m_token_check_times(json, now, claims, error);

    if (rc == V2M_OK) {
        rc = v2m_token_check_user(json, issuer, &username, error);
    }

    if (rc == V2M_OK) {
        /* who administers this service is for others to say only where they
         * were given a claim for it */
        admin = issuer->url == NULL ? "admin" : issuer->admin;
        claims->admin =
            admin != NULL && json_is_true(json_object_get(json, admin));
        claims->username = strdup(username);
        claims->json = json_dumps(json, JSON_COMPACT);

        if (claims->username == NULL || claims->json == NULL) {
            rc = v2m_error_set(error, V2M_ERROR, "out of memory");

        } else {
            rc = v2m_token_name(json, parts, issuer, claims, error);
        }
    }

    if (rc != V2M_OK) {
        v2m_claims_free(claims);
    }

    return rc;
}


int
v2m_token_verify(const v2m_token_keys_t *keys, const char *token, size_t length,
                 int64_t now, v2m_claims_t *claims, v2m_error_t *error)
{
    int                       rc;
    json_t                   *header, *payload;
    v2m_token_parts_t         parts;
    const v2m_token_key_t    *key;
    const v2m_token_issuer_t *issuer;

    memset(claims, 0, sizeof(v2m_claims_t));

    if (length > V2M_TOKEN_MAX) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is longer than %d bytes",
                             V2M_TOKEN_MAX);
    }

    header = payload = NULL;

    rc = v2m_token_split(token, length, &parts, error);

    if (rc == V2M_OK) {
        rc = v2m_token_parse(parts.header, parts.header_length, "header",
                             &header, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_parse(parts.payload, parts.payload_length, "payload",
                             &payload, error);
    }

    if (rc == V2M_OK) {
        /* the iss is believed as far as to try that issuer's keys */

        issuer = v2m_token_keys_issuer(
            keys, json_string_value(json_object_get(payload, "iss")));

        rc = v2m_token_choose_key(header, issuer, &key, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_check_signature(key, token, length, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_read_claims(payload, &parts, issuer, now, claims, error);
    }

    json_decref(header);
    json_decref(payload);

    return rc;
}


static int
v2m_token_make_id(char id[V2M_TOKEN_ID_BYTES * 2 + 1], v2m_error_t *error)
{
    size_t        i;
    unsigned char bytes[V2M_TOKEN_ID_BYTES];

    /* so few bytes come in one piece */

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes)) {
        return v2m_error_set(error, V2M_ERROR, "getrandom() failed: %s",
                             strerror(errno));
    }

    for (i = 0; i < sizeof(bytes); i++) {
        sprintf(id + 2 * i, "%02x", bytes[i]);
    }

    return V2M_OK;
}


int
v2m_token_create(const v2m_token_keys_t *keys, const char *username, int admin,
                 int64_t now, int64_t lifetime, char **token,
                 v2m_error_t *error)
{
    int                    rc;
    char                   id[V2M_TOKEN_ID_BYTES * 2 + 1];
    jwt_t                 *jwt;
    const v2m_token_key_t *key;

    *token = NULL;

    key = v2m_token_keys_signer(keys);
    if (key == NULL) {
        return v2m_error_set(error, V2M_ERROR, "there is no key to sign with");
    }

    if (!v2m_token_is_username(username)) {
        return v2m_error_set(error, V2M_INVALID,
                             "the user's name is empty or has a control "
                             "character");
    }

    rc = v2m_token_make_id(id, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (jwt_new(&jwt) != 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (jwt_set_alg(jwt, v2m_token_jwt_algorithms[key->algorithm],
                    (unsigned char *) key->signer, (int) key->signer_length)
            == 0
        && (key->kid == NULL || jwt_add_header(jwt, "kid", key->kid) == 0)
        && jwt_add_grant(jwt, "username", username) == 0
        && jwt_add_grant(jwt, "sub", username) == 0
        && jwt_add_grant_int(jwt, "iat", (long) now) == 0
        && jwt_add_grant_int(jwt, "exp", (long) (now + lifetime)) == 0
        && jwt_add_grant_bool(jwt, "admin", admin != 0) == 0
        && jwt_add_grant(jwt, "jti", id) == 0)
    {
        *token = jwt_encode_str(jwt);
    }

    jwt_free(jwt);

    if (*token == NULL) {
        return v2m_error_set(error, V2M_ERROR, "cannot make a token");
    }

    return V2M_OK;
}


char *
v2m_claims_get(const v2m_claims_t *claims, const char *name, size_t length)
{
    char   *text;
    json_t *json, *value;

    json = json_loads(claims->json, 0, NULL);
    value = json_object_getn(json, name, length);

    if (value == NULL) {
        text = NULL;

    } else if (json_is_string(value)) {
        text = v2m_token_is_printable(json_string_value(value))
                   ? strdup(json_string_value(value))
                   : NULL;

    } else {
        text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    }

    json_decref(json);

    return text;
}


void
v2m_claims_free(v2m_claims_t *claims)
{
    free(claims->username);
    free(claims->json);
    memset(claims, 0, sizeof(v2m_claims_t));
}
