#include "v2m_token.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <jwt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define V2M_TOKEN_ALGORITHM "HS256"

/* the end of the year 9999: a later time is a mistake, such as milliseconds */
#define V2M_TOKEN_TIME_MAX 253402300799

#define V2M_TOKEN_ID_BYTES 16

struct v2m_token_key_s {
    int           length;
    unsigned char secret[];
};

/* The two of a token's three segments that are read, as base64url text. */
typedef struct {
    const char *header;
    size_t      header_length;
    const char *payload;
    size_t      payload_length;
} v2m_token_parts_t;


int
v2m_token_key_create(v2m_token_key_t **key, const unsigned char *secret,
                     size_t length, v2m_error_t *error)
{
    v2m_token_key_t *made;

    *key = NULL;

    if (length < V2M_TOKEN_SECRET_MIN) {
        return v2m_error_set(error, V2M_INVALID,
                             "the secret for tokens has %zu bytes, it needs "
                             "at least %d",
                             length, V2M_TOKEN_SECRET_MIN);
    }

    if (length > INT_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the secret for tokens is too long");
    }

    made = malloc(sizeof(v2m_token_key_t) + length);
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->length = (int) length;
    memcpy(made->secret, secret, length);

    *key = made;
    return V2M_OK;
}


void
v2m_token_key_destroy(v2m_token_key_t *key)
{
    if (key != NULL) {
        explicit_bzero(key->secret, (size_t) key->length);
        free(key);
    }
}


/* Each letter of base64url (RFC 4648 section 5) with its value plus one; what
 * is no letter is 0. */
static const unsigned char v2m_token_letters[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,
    ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64
};


/* There is one text for each sequence of bytes: bits that belong to no byte
 * are zero (RFC 4648 section 3.5). */
static int
v2m_token_is_base64url(const char *text, size_t length)
{
    size_t   i;
    unsigned last, unused;

    if (length == 0) {
        return 0;
    }

    for (i = 0; i < length; i++) {
        if (v2m_token_letters[(unsigned char) text[i]] == 0) {
            return 0;
        }
    }

    last = v2m_token_letters[(unsigned char) text[length - 1]] - 1u;
    unused = (unsigned) (length % 4 * 6 % 8);

    return unused != 6 && (last & ((1u << unused) - 1)) == 0;
}


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

    if (!v2m_token_is_base64url(parts->header, parts->header_length)
        || !v2m_token_is_base64url(parts->payload, parts->payload_length)
        || !v2m_token_is_base64url(second_dot + 1, last - second_dot - 1))
    {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is malformed: it needs three parts "
                             "of base64url");
    }

    return V2M_OK;
}


/* The text was checked by v2m_token_split().  Returns the bytes written; at
 * most 3/4 of the length. */
static size_t
v2m_token_decode(const char *text, size_t length, char *out)
{
    int      bits;
    char    *p;
    size_t   i;
    uint32_t group;

    p = out;
    bits = 0;
    group = 0;

    for (i = 0; i < length; i++) {
        group = group << 6 | (v2m_token_letters[(unsigned char) text[i]] - 1u);
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            *p++ = (char) (group >> bits & 0xff);
        }
    }

    return (size_t) (p - out);
}


/* Reads one segment; what names the segment in the error text. */
static int
v2m_token_parse(const char *text, size_t length, const char *what,
                json_t **object, v2m_error_t *error)
{
    char    json[V2M_TOKEN_MAX];
    json_t *value;

    length = v2m_token_decode(text, length, json);
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
 * The algorithm is looked at before libjwt sees the token, so that the key is
 * never used with another one.  Names of keys inside the header (jwk, jku,
 * x5u, kid) are nothing to us; "crit" names what must not be ignored; "typ"
 * sets other uses of the same key apart (RFC 8725 section 3.11).
 */
static int
v2m_token_check_header(const v2m_token_parts_t *parts, v2m_error_t *error)
{
    int         rc;
    json_t     *header, *type;
    const char *algorithm;

    rc = v2m_token_parse(parts->header, parts->header_length, "header", &header,
                         error);
    if (rc != V2M_OK) {
        return rc;
    }

    algorithm = json_string_value(json_object_get(header, "alg"));
    type = json_object_get(header, "typ");

    if (algorithm == NULL || strcmp(algorithm, V2M_TOKEN_ALGORITHM) != 0) {
        rc = v2m_error_set(error, V2M_DENIED,
                           "the token is not signed with " V2M_TOKEN_ALGORITHM);

    } else if (type != NULL
               && (!json_is_string(type)
                   || strcasecmp(json_string_value(type), "JWT") != 0))
    {
        rc = v2m_error_set(error, V2M_DENIED, "the token is no JWT");

    } else if (json_object_get(header, "crit") != NULL) {
        rc = v2m_error_set(error, V2M_DENIED,
                           "the token has a critical extension");
    }

    json_decref(header);

    return rc;
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

    rc = jwt_decode(&jwt, text, key->secret, key->length);

    if (rc == ENOMEM) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (rc != 0) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token's signature is wrong");
    }

    if (jwt_get_alg(jwt) == JWT_ALG_HS256) {
        rc = V2M_OK;

    } else {
        rc = v2m_error_set(error, V2M_DENIED,
                           "the token is not signed with " V2M_TOKEN_ALGORITHM);
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
v2m_token_is_username(const char *text)
{
    if (text == NULL || *text == '\0') {
        return 0;
    }

    for (; *text != '\0'; text++) {
        if ((unsigned char) *text < 0x20 || *text == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static int
v2m_token_check_user(const json_t *json, const char **username,
                     v2m_error_t *error)
{
    json_t *value;

    value = json_object_get(json, "username");

    if (value == NULL) {
        value = json_object_get(json, "sub");
    }

    *username = json_string_value(value);

    if (!v2m_token_is_username(*username)) {
        return v2m_error_set(error, V2M_DENIED, "the token names no user");
    }

    /* this service has no name of its own, so a token made for someone in
     * particular was made for someone else (RFC 7519 section 4.1.3) */

    if (json_object_get(json, "aud") != NULL) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is for another audience");
    }

    return V2M_OK;
}


static int
v2m_token_read_claims(const v2m_token_parts_t *parts, int64_t now,
                      v2m_claims_t *claims, v2m_error_t *error)
{
    int         rc;
    json_t     *json;
    const char *username;

    rc = v2m_token_parse(parts->payload, parts->payload_length, "payload",
                         &json, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_token_check_times(json, now, claims, error);

    if (rc == V2M_OK) {
        rc = v2m_token_check_user(json, &username, error);
    }

    if (rc == V2M_OK) {
        claims->admin = json_is_true(json_object_get(json, "admin"));
        claims->username = strdup(username);
        claims->json = json_dumps(json, JSON_COMPACT);

        if (claims->username == NULL || claims->json == NULL) {
            rc = v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    json_decref(json);

    if (rc != V2M_OK) {
        v2m_claims_free(claims);
    }

    return rc;
}


int
v2m_token_verify(const v2m_token_key_t *key, const char *token, size_t length,
                 int64_t now, v2m_claims_t *claims, v2m_error_t *error)
{
    int               rc;
    v2m_token_parts_t parts;

    memset(claims, 0, sizeof(v2m_claims_t));

    if (length > V2M_TOKEN_MAX) {
        return v2m_error_set(error, V2M_DENIED,
                             "the token is longer than %d bytes",
                             V2M_TOKEN_MAX);
    }

    rc = v2m_token_split(token, length, &parts, error);

    if (rc == V2M_OK) {
        rc = v2m_token_check_header(&parts, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_check_signature(key, token, length, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_read_claims(&parts, now, claims, error);
    }

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
v2m_token_create(const v2m_token_key_t *key, const char *username, int admin,
                 int64_t now, int64_t lifetime, char **token,
                 v2m_error_t *error)
{
    int    rc;
    char   id[V2M_TOKEN_ID_BYTES * 2 + 1];
    jwt_t *jwt;

    *token = NULL;

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

    if (jwt_set_alg(jwt, JWT_ALG_HS256, key->secret, key->length) == 0
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
        text = strdup(json_string_value(value));

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
