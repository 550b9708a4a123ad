/* Keys for tokens: where they come from, which one is used, and what is
 * refused. */

#include "tokens.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "v2m_base64url.h"

static char directory[] = "/tmp/v2m-keys-XXXXXX";


/* Runs a command in the directory. */
static void
shell(const char *command)
{
    char text[1024];

    snprintf(text, sizeof(text), "cd %s && { %s; } >/dev/null 2>&1", directory,
             command);
    assert_int_equal(system(text), 0);
}


static void
put(const char *name, const char *text)
{
    char  path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
}


static char *
get(const char *name)
{
    char   path[256], *text;
    FILE  *file;
    size_t length;

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "r");
    assert_non_null(file);
    text = calloc(1, 16384);
    assert_non_null(text);
    length = fread(text, 1, 16383, file);
    assert_true(length > 0);
    fclose(file);

    return text;
}


/* The keys are made once; each test copies those that it needs to "use". */
static int
make_directory(void **state)
{
    (void) state;

    assert_non_null(mkdtemp(directory));
    shell("umask 077; mkdir all"
          "; openssl genrsa -out all/rsa.pem 2048"
          "; openssl genrsa -out all/other.pem 2048"
          "; openssl genrsa -out all/weak.pem 1024"
          "; openssl genrsa -aes128 -passout pass:x -out all/locked.pem 2048"
          "; openssl ecparam -name prime256v1 -genkey -noout -out all/ec.pem"
          "; openssl ecparam -name secp384r1 -genkey -noout -out all/p384.pem"
          "; openssl genpkey -algorithm ed25519 -out all/ed.pem"
          "; openssl pkey -in all/rsa.pem -pubout -out all/rsa.pub"
          "; openssl pkey -in all/other.pem -pubout -out all/other.pub"
          "; openssl pkey -in all/ec.pem -pubout -out all/ec.pub"
          "; chmod 644 all/*.pub"
          "; printf %s 'an example of a secret, 32 bytes.' > all/secret"
          "; printf %s 'too short' > all/short");

    return 0;
}


static int
remove_directory(void **state)
{
    (void) state;

    shell("rm -r all use");
    return rmdir(directory);
}


/* The keys of a directory filled by the command; returns what adding it
 * does. */
static int
load(const char *command, const char *sign, v2m_token_keys_t **made,
     v2m_error_t *error)
{
    int  rc;
    char text[900], path[64];

    snprintf(text, sizeof(text), "rm -rf use; mkdir use; cd use; A=../all; %s",
             command);
    shell(text);

    snprintf(path, sizeof(path), "%s/use", directory);
    assert_int_equal(v2m_token_keys_create(made, error), V2M_OK);

    rc = v2m_token_keys_add_directory(*made, path, sign, error);

    if (rc != V2M_OK) {
        v2m_token_keys_destroy(*made);
        *made = NULL;
    }

    return rc;
}


static v2m_token_keys_t *
loaded(const char *command, const char *sign)
{
    v2m_error_t       error = { 0, "" };
    v2m_token_keys_t *made;

    if (load(command, sign, &made, &error) != V2M_OK) {
        fail_msg("%s: %s", command, error.text);
    }

    return made;
}


static char *
create(const v2m_token_keys_t *with)
{
    char       *token;
    v2m_error_t error;

    if (v2m_token_create(with, "a@example.org", 1, NOW, 60, &token, &error)
        != V2M_OK)
    {
        fail_msg("%s", error.text);
    }

    return token;
}


/* Takes the token; the reason it is refused for, "" if it is not. */
static const char *
reason(const v2m_token_keys_t *with, char *token)
{
    v2m_claims_t       claims;
    static v2m_error_t error;

    error.text[0] = '\0';

    if (v2m_token_verify(with, token, strlen(token), NOW, &claims, &error)
        == V2M_OK)
    {
        v2m_claims_free(&claims);
        error.text[0] = '\0';
    }

    free(token);

    return error.text;
}


static void
test_each_algorithm(void **state)
{
    char             *token, header[256];
    size_t            i, length;
    v2m_token_keys_t *made;

    static const struct {
        const char *command, *header;
    } kinds[] = {
        { "cp $A/rsa.pem one.pem", "RS256" },
        { "cp $A/rsa.pem one.rs256.pem", "RS256" },
        { "cp $A/ec.pem one.pem", "ES256" },
        { "cp $A/ec.pem one.ES256.pem", "ES256" },
        { "cp $A/secret one.secret", "HS256" },
    };

    (void) state;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        made = loaded(kinds[i].command, NULL);
        token = create(made);

        length = strcspn(token, ".");
        assert_true(length < sizeof(header));
        length = v2m_base64url_decode(token, length, header);
        header[length] = '\0';

        assert_non_null(strstr(header, kinds[i].header));
        assert_non_null(strstr(header, "\"kid\":\"one\""));

        assert_string_equal(reason(made, token), "");
        v2m_token_keys_destroy(made);
    }
}


static void
test_refused_files(void **state)
{
    size_t            i;
    v2m_error_t       error;
    v2m_token_keys_t *made;

    static const struct {
        const char *command, *sign, *text;
    } wrong[] = {
        { "cp $A/short a.secret", NULL,
          "the key \"a.secret\": the secret for tokens has 9 bytes, it needs "
          "at least 32" },
        { "cp $A/weak.pem a.pem", NULL,
          "the key \"a.pem\": the RSA key has 1024 bits, it needs 2048 to "
          "16384" },
        { "cp $A/p384.pem a.pem", NULL,
          "the key \"a.pem\": the key is neither RSA nor on the curve P-256" },
        { "cp $A/ed.pem a.pem", NULL,
          "the key \"a.pem\": the key is neither RSA nor on the curve P-256" },
        { "cp $A/locked.pem a.pem", NULL,
          "the key \"a.pem\": there is no PEM text of a public key or of a "
          "private key without a password" },
        { "echo hello > a.pem", NULL,
          "the key \"a.pem\": there is no PEM text of a public key or of a "
          "private key without a password" },
        { "cp $A/ec.pem a.rs256.pem", NULL,
          "the key \"a.rs256.pem\": the key is not for RS256" },
        { "cp $A/rsa.pem a.hs256.pem", NULL,
          "the key \"a.hs256.pem\": hs256 is no algorithm for a PEM file "
          "here" },
        { "cp $A/rsa.pem a.ps256.pem", NULL,
          "the key \"a.ps256.pem\": ps256 is no algorithm for a PEM file "
          "here" },
        { "cp $A/rsa.pem a.pem; chmod 604 a.pem", NULL,
          "the key \"a.pem\": it is secret and everyone may read it: take "
          "that away with \"chmod o-r\"" },
        { "cp $A/secret a.secret; chmod 644 a.secret", NULL,
          "the key \"a.secret\": it is secret and everyone may read it: take "
          "that away with \"chmod o-r\"" },
        { "cp $A/rsa.pub a.pem; chmod 666 a.pem", NULL,
          "the key \"a.pem\": its group or everyone may write it: take that "
          "away with \"chmod go-w\"" },
        { "ln -s nowhere a.pem", NULL,
          "the key \"a.pem\": cannot read it: No such file or directory" },
        { "mkdir a.pem", NULL, "the key \"a.pem\": it is no file" },
        { "mkfifo a.pem", NULL, "the key \"a.pem\": it is no file" },
        { "cp $A/rsa.pem a.pem; cp $A/ec.pub a.es256.pem", NULL,
          "there are two keys of the name \"a\"" },
        { "cp $A/rsa.pem a.pem; cp $A/ec.pem b.pem", NULL,
          "both \"a\" and \"b\" can sign: say which one does with \"sign=\"" },
        { "cp $A/rsa.pub a.pem", "a", "there is no key \"a\" that can sign" },
        { "cp $A/rsa.pem a.pem", "b", "there is no key \"b\" that can sign" },
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error.text[0] = '\0';
        assert_int_equal(load(wrong[i].command, wrong[i].sign, &made, &error),
                         V2M_INVALID);
        assert_string_equal(error.text, wrong[i].text);
    }

    assert_int_equal(load("cp $A/rsa.pem rsa", NULL, &made, &error),
                     V2M_INVALID);
    assert_non_null(strstr(error.text, "is named KID.pem"));
    assert_int_equal(load("cp $A/rsa.pem 'a b.pem'", NULL, &made, &error),
                     V2M_INVALID);
    assert_non_null(strstr(error.text, "is named KID.pem"));
    assert_int_equal(load("touch .hidden.pem", NULL, &made, &error),
                     V2M_INVALID);
    assert_non_null(strstr(error.text, "has no key"));
    assert_int_equal(load("cd ..; rmdir use", NULL, &made, &error),
                     V2M_INVALID);
    assert_non_null(strstr(error.text, "No such file or directory"));
}


/* As Kubernetes lays out a volume of a Secret. */
static void
test_mounted_secret(void **state)
{
    v2m_token_keys_t *made;

    (void) state;

    made = loaded("mkdir ..1; cp $A/rsa.pem ..1/a.pem; chmod 440 ..1/a.pem;"
                  "ln -s ..1 ..data; ln -s ..data/a.pem a.pem",
                  NULL);
    assert_string_equal(reason(made, create(made)), "");
    v2m_token_keys_destroy(made);
}


static void
test_rotation(void **state)
{
    char             *before;
    v2m_token_keys_t *one, *two, *three;

    (void) state;

    one = loaded("cp $A/rsa.pem old.pem", NULL);
    before = create(one);
    assert_string_equal(reason(one, strdup(before)), "");

    /* the old one only verifies, whether its private part is there or not */

    two = loaded("cp $A/rsa.pem old.pem; cp $A/ec.pem new.pem", "new");
    assert_string_equal(reason(two, strdup(before)), "");
    assert_string_equal(reason(two, create(two)), "");
    assert_string_equal(reason(one, create(two)),
                        "the token names no key that is known here");
    v2m_token_keys_destroy(two);

    two = loaded("cp $A/rsa.pub old.pem; cp $A/ec.pem new.pem", NULL);
    assert_string_equal(reason(two, strdup(before)), "");

    three = loaded("cp $A/ec.pem new.pem", NULL);
    assert_string_equal(reason(three, before),
                        "the token names no key that is known here");
    assert_string_equal(reason(three, create(two)), "");

    v2m_token_keys_destroy(one);
    v2m_token_keys_destroy(two);
    v2m_token_keys_destroy(three);
}


/* From the one secret to a directory of keys. */
static void
test_secret_beside_directory(void **state)
{
    v2m_token_keys_t *made, *public;

    (void) state;

    made = loaded("cp $A/rsa.pem a.pem", NULL);
    assert_string_equal(reason(made, sign(HEADER, CLAIMS)),
                        "the token names no key that is known here");

    assert_int_equal(v2m_token_keys_add_secret(made,
                                               (const unsigned char *) SECRET,
                                               strlen(SECRET), NULL),
                     V2M_OK);
    assert_string_equal(reason(made, sign(HEADER, CLAIMS)), "");
    assert_string_equal(
        reason(made, sign("{\"alg\":\"HS256\",\"kid\":\"b\"}", CLAIMS)),
        "the token names no key that is known here");
    assert_string_equal(reason(made, create(made)), "");
    assert_string_equal(reason(keys, create(made)),
                        "the token is not signed with HS256");
    v2m_token_keys_destroy(made);

    /* where the directory cannot sign, the secret does */

    public = loaded("cp $A/rsa.pub a.pem", NULL);
    assert_null(v2m_token_keys_signer(public));
    assert_int_equal(v2m_token_keys_add_secret(public,
                                               (const unsigned char *) SECRET,
                                               strlen(SECRET), NULL),
                     V2M_OK);
    assert_string_equal(reason(keys, create(public)), "");
    v2m_token_keys_destroy(public);
}


/* S2: the text of a public key, which anyone has, as the secret of an HMAC. */
static void
test_public_key_as_secret(void **state)
{
    char             *token, *pem;
    size_t            i;
    v2m_token_keys_t *made;

    static const char *const names[] = { "all/rsa.pub", "all/ec.pub" };
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"rsa\"}",
        "{\"alg\":\"HS256\",\"kid\":\"ec\"}"
    };

    (void) state;

    made = loaded("cp $A/rsa.pem rsa.pem; cp $A/ec.pub ec.pem", NULL);

    for (i = 0; i < 2; i++) {
        pem = get(names[i]);

        token =
            sign_with(AV_HMAC_SHA256, pem, headers[i], CLAIMS, strlen(CLAIMS));
        assert_string_equal(reason(made, token),
                            i == 0 ? "the token is not signed with RS256"
                                   : "the token is not signed with ES256");

        /* and the algorithm that the key has, with that signature */

        token = sign_with(AV_HMAC_SHA256, pem,
                          i == 0 ? "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"
                                 : "{\"alg\":\"ES256\",\"kid\":\"ec\"}",
                          CLAIMS, strlen(CLAIMS));
        assert_string_equal(reason(made, token),
                            "the token's signature is wrong");
        free(pem);
    }

    v2m_token_keys_destroy(made);
}


/* S1, S3, S4: whatever a header says of keys, ours are used or none. */
static void
test_headers(void **state)
{
    char              header[4096], kid[3000];
    size_t            i;
    v2m_token_keys_t *made;

    static const char *const kids[] = {
        "\"../../etc/passwd\"",
        "\"/dev/null\"",
        "\"one.secret\"",
        "\"one\\u0000\"",
        "\"one\\n\"",
        "\"ONE\"",
        "\"' OR 1=1 --\"",
        "\"one' UNION SELECT 'k\"",
        "\"\"",
        "1",
        "null",
        "[\"one\"]",
        "{\"one\":1}",
    };

    (void) state;

    made = loaded("cp $A/secret one.secret; cp $A/rsa.pub two.pem", NULL);

    assert_string_equal(
        reason(made, sign("{\"alg\":\"HS256\",\"kid\":\"one\"}", CLAIMS)), "");

    for (i = 0; i < sizeof(kids) / sizeof(kids[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":%s}",
                 kids[i]);
        assert_true(*reason(made, sign(header, CLAIMS)) != '\0');
    }

    memset(kid, 'k', sizeof(kid) - 1);
    kid[sizeof(kid) - 1] = '\0';
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    assert_string_equal(reason(made, sign(header, CLAIMS)),
                        "the token names no key that is known here");

    assert_string_equal(
        reason(made, sign("{\"alg\":\"none\",\"kid\":\"one\"}", CLAIMS)),
        "the token is not signed with HS256");
    assert_string_equal(
        reason(made, sign("{\"alg\":\"none\",\"kid\":\"two\"}", CLAIMS)),
        "the token is not signed with RS256");

    /* signed by a key of its own, which it brings along */

    assert_string_equal(
        reason(made, sign_with(AV_HMAC_SHA256, OTHER,
                               "{\"alg\":\"HS256\",\"kid\":\"one\",\"jwk\":"
                               "{\"kty\":\"oct\",\"kid\":\"one\",\"k\":\"YW5v"
                               "dGhlciBzZWNyZXQgdGhhdCBoYXMgMzIgYnl0ZXMu\"},"
                               "\"jku\":\"http://127.0.0.1:1/\","
                               "\"x5u\":\"file:///etc/passwd\"}",
                               CLAIMS, strlen(CLAIMS))),
        "the token's signature is wrong");

    v2m_token_keys_destroy(made);
}


static void
test_public_set(void **state)
{
    char             *text;
    json_t           *set, *list, *jwk;
    v2m_token_keys_t *made;

    (void) state;

    made = loaded("cp $A/rsa.pem r.pem; cp $A/ec.pub e.pem;"
                  "cp $A/secret s.secret",
                  "r");
    text = v2m_token_keys_public(made);
    assert_null(strstr(text, "an example"));
    assert_null(strstr(text, "\"d\""));

    set = json_loads(text, 0, NULL);
    list = json_object_get(set, "keys");
    assert_int_equal(json_array_size(list), 2);

    jwk = json_array_get(list, 0);
    assert_string_equal(json_string_value(json_object_get(jwk, "kid")), "e");
    assert_string_equal(json_string_value(json_object_get(jwk, "kty")), "EC");
    assert_string_equal(json_string_value(json_object_get(jwk, "crv")),
                        "P-256");
    assert_string_equal(json_string_value(json_object_get(jwk, "alg")),
                        "ES256");
    assert_int_equal(strlen(json_string_value(json_object_get(jwk, "x"))), 43);

    jwk = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(jwk, "kid")), "r");
    assert_string_equal(json_string_value(json_object_get(jwk, "use")), "sig");
    assert_string_equal(json_string_value(json_object_get(jwk, "e")), "AQAB");
    assert_int_equal(strlen(json_string_value(json_object_get(jwk, "n"))), 342);

    json_decref(set);
    free(text);
    v2m_token_keys_destroy(made);
}


#define ISSUER "https://id.example.com/realms/one"

/* Keys with an issuer whose JWK Set is the text; what adding it does. */
static int
add_issuer(const char *set, v2m_token_keys_t **made, v2m_error_t *error)
{
    int                        rc;
    char                       path[64];
    static const char *const   audiences[] = { "v2m", "other" };
    v2m_token_issuer_options_t options = {
        .url = ISSUER,
        .file = path,
        .audiences = audiences,
        .audience_count = 2,
        .user = "preferred_username",
        .admin = "v2m_admin",
    };

    put("jwks.json", set);
    snprintf(path, sizeof(path), "%s/jwks.json", directory);

    assert_int_equal(make_secret(made, SECRET, strlen(SECRET), error), V2M_OK);

    rc = v2m_token_keys_add_issuer(*made, &options, error);
    shell("rm jwks.json");

    if (rc != V2M_OK) {
        v2m_token_keys_destroy(*made);
        *made = NULL;
    }

    return rc;
}


/* A token of the signer's with these claims: the payload of one that
 * v2m_token_create() made is replaced, and openssl signs it. */
static char *
sign_rsa(const char *key, const char *header, const char *payload)
{
    char         *token, *p, command[300];
    FILE         *pipe;
    size_t        length;
    unsigned char signature[512];

    token = malloc((strlen(header) + strlen(payload)) * 4 / 3 + 1024);
    assert_non_null(token);
    p = token + base64url(token, header, strlen(header));
    *p++ = '.';
    p += base64url(p, payload, strlen(payload));

    put("input", token);
    snprintf(command, sizeof(command),
             "openssl dgst -sha256 -sign %s/all/%s %s/input", directory, key,
             directory);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    length = fread(signature, 1, sizeof(signature), pipe);
    assert_int_equal(pclose(pipe), 0);
    shell("rm input");

    *p++ = '.';
    base64url(p, signature, length);

    return token;
}


/* The JWK Set of the directory's keys, as another service gives it out. */
static char *
public_set(const char *command)
{
    char             *text;
    v2m_token_keys_t *made;

    made = loaded(command, NULL);
    text = v2m_token_keys_public(made);
    v2m_token_keys_destroy(made);

    return text;
}

#define FOREIGN "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"r\"}"
#define WHO     "\"preferred_username\":\"bob\",\"exp\":1700003600"


/* S6: whose token it is, and for whom. */
static void
test_issuer(void **state)
{
    char             *set;
    size_t            i;
    v2m_error_t       error;
    v2m_claims_t      claims;
    v2m_token_keys_t *made;
    char             *token;
    char              payload[256];

    static const v2m_token_issuer_options_t again = { .url = ISSUER,
                                                      .file = "x" };
    static const struct {
        const char *claim;
        int         expected;
    } admins[] = {
        { "\"v2m_admin\":true", 1 },     { "\"v2m_admin\":false", 0 },
        { "\"v2m_admin\":\"true\"", 0 }, { "\"v2m_admin\":1", 0 },
        { "\"admin\":true", 0 },
    };
    static const struct {
        const char *key, *header, *claims, *reason;
    } tokens[] = {
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}", "" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":[\"account\",\"other\"]," WHO "}",
          "" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"account\"," WHO "}",
          "the token is for another audience" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":[\"account\",5,null]," WHO "}",
          "the token is for another audience" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":{\"v2m\":1}," WHO "}",
          "the token is for another audience" },
        { "rsa.pem", FOREIGN, "{\"iss\":\"" ISSUER "\"," WHO "}",
          "the token is for another audience" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\",\"exp\":1700003600,"
          "\"username\":\"a@example.org\"}",
          "the token names no user" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\","
          "\"preferred_username\":\"bob\"}",
          "the token has no exp" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\","
          "\"preferred_username\":\"bob\",\"exp\":1600000000}",
          "the token has expired" },

        /* its keys are good for its own tokens only */
        { "rsa.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "/\",\"aud\":\"v2m\"," WHO "}",
          "the token is not signed with HS256" },
        { "rsa.pem", FOREIGN, "{\"aud\":\"v2m\"," WHO "}",
          "the token is not signed with HS256" },
        { "rsa.pem", FOREIGN,
          "{\"iss\":[\"" ISSUER "\"],\"aud\":\"v2m\"," WHO "}",
          "the token is not signed with HS256" },

        /* another key, a name that it has not, none at all */
        { "other.pem", FOREIGN,
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}",
          "the token's signature is wrong" },
        { "rsa.pem", "{\"alg\":\"RS256\",\"kid\":\"x\"}",
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}",
          "the token names no key that is known here" },
        { "rsa.pem", "{\"alg\":\"RS256\"}",
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}",
          "the token names no key that is known here" },
        { "rsa.pem", "{\"alg\":\"RS256\",\"kid\":\"e\"}",
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}",
          "the token is not signed with ES256" },
        { "rsa.pem", "{\"alg\":\"HS256\",\"kid\":\"r\"}",
          "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\"," WHO "}",
          "the token is not signed with RS256" },
    };

    (void) state;

    set = public_set("cp $A/rsa.pub r.pem; cp $A/ec.pub e.pem");
    assert_int_equal(add_issuer(set, &made, &error), V2M_OK);

    for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        token = sign_rsa(tokens[i].key, tokens[i].header, tokens[i].claims);
        assert_string_equal(reason(made, token), tokens[i].reason);
    }

    /* our own are as before, and cannot be said to be the issuer's */

    assert_string_equal(reason(made, sign(HEADER, CLAIMS)), "");
    assert_true(*reason(made, sign(HEADER, "{\"iss\":\"" ISSUER "\","
                                           "\"aud\":\"v2m\"," WHO "}"))
                != '\0');

    /* who is an administrator the issuer says by the claim given for it */

    for (i = 0; i < sizeof(admins) / sizeof(admins[0]); i++) {
        snprintf(payload, sizeof(payload),
                 "{\"iss\":\"" ISSUER "\",\"aud\":\"v2m\",%s," WHO "}",
                 admins[i].claim);
        token = sign_rsa("rsa.pem", FOREIGN, payload);
        assert_int_equal(verify_bytes(made, token, strlen(token), NOW, &claims),
                         V2M_OK);
        assert_string_equal(claims.username, "bob");
        assert_int_equal(claims.admin, admins[i].expected);
        v2m_claims_free(&claims);
        free(token);
    }

    assert_int_equal(v2m_token_keys_add_issuer(made, &again, &error),
                     V2M_CONFLICT);

    v2m_token_keys_destroy(made);
    free(set);
}


/* What sets of others contain beside keys for us. */
static void
test_sets(void **state)
{
    char             *set;
    size_t            i;
    json_t           *good, *list, *jwk;
    v2m_error_t       error;
    v2m_token_keys_t *made;

    static const struct {
        const char *jwk, *reason;
    } keys_of_others[] = {
        /* passed over */
        { "{\"kty\":\"oct\",\"k\":\"AAAA\"}", NULL },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", NULL },
        { "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
          NULL },
        { "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AAAA\",\"e\":\"AQAB\"}",
          NULL },
        { "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AAAA\"}", NULL },
        { "{\"kty\":\"RSA\",\"alg\":\"HS256\",\"n\":\"AAAA\"}", NULL },
        { "{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"],\"n\":\"AAAA\"}", NULL },
        { "{\"kty\":7}", NULL },
        { "5", NULL },

        /* wrong */
        { "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
          "bits, it needs 2048" },
        { "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"!\",\"e\":\"AQAB\"}",
          "the member \"n\" is not base64url" },
        { "{\"kty\":\"RSA\",\"kid\":\"a\",\"e\":\"AQAB\"}",
          "the member \"n\" is not base64url" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}",
          "have 32 bytes each" },
        { "{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
          "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
          "the numbers of the key are no key" },
        { "{\"kty\":\"RSA\",\"kid\":5,\"n\":\"AAAA\",\"e\":\"AQAB\"}",
          "its kid is no text" },
        { "{\"kty\":\"RSA\",\"d\":\"AAAA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}",
          "it is a private key" },
    };

    (void) state;

    set = public_set("cp $A/rsa.pub r.pem");
    good = json_loads(set, 0, NULL);
    free(set);

    for (i = 0; i < sizeof(keys_of_others) / sizeof(keys_of_others[0]); i++) {
        jwk = json_loads(keys_of_others[i].jwk, JSON_DECODE_ANY, NULL);
        assert_non_null(jwk);

        list = json_object_get(good, "keys");
        json_array_insert_new(list, 0, jwk);
        set = json_dumps(good, 0);
        json_array_remove(list, 0);

        if (keys_of_others[i].reason == NULL) {
            assert_int_equal(add_issuer(set, &made, &error), V2M_OK);
            v2m_token_keys_destroy(made);

        } else {
            assert_int_equal(add_issuer(set, &made, &error), V2M_INVALID);
            assert_non_null(strstr(error.text, keys_of_others[i].reason));
        }

        free(set);
    }

    json_decref(good);

    assert_int_equal(add_issuer("{\"keys\":[]}", &made, &error), V2M_INVALID);
    assert_non_null(strstr(error.text, "it has no key"));
    assert_int_equal(add_issuer("[]", &made, &error), V2M_INVALID);
    assert_non_null(strstr(error.text, "it is no JWK Set"));
    assert_int_equal(add_issuer("hello", &made, &error), V2M_INVALID);
    assert_non_null(strstr(error.text, "it is no JWK Set"));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_algorithm),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_mounted_secret),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_secret_beside_directory),
        cmocka_unit_test(test_public_key_as_secret),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_public_set),
        cmocka_unit_test(test_issuer),
        cmocka_unit_test(test_sets),
    };
    int failed;

    if (make_keys(NULL) != 0 || make_directory(NULL) != 0) {
        return 1;
    }

    failed = cmocka_run_group_tests(tests, NULL, remove_directory);
    destroy_keys(NULL);

    return failed;
}
