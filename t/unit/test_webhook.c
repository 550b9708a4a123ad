/*
 * URLs, secrets and signatures of webhooks, and the addresses that may be
 * called.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "v2m_address.h"
#include "v2m_breaker.h"
#include "v2m_webhook.h"

static const char key_1[] = "0123456789abcdef0123456789abcdef";
static const char key_2[] = "fedcba9876543210fedcba9876543210";


static void
test_hmac(void **state)
{
    size_t        i;
    char          hex[2 * V2M_HMAC_LENGTH + 1];
    unsigned char digest[V2M_HMAC_LENGTH];

    (void) state;

    /* RFC 4231, test case 2 */
    assert_true(
        v2m_hmac_sha256(digest, "Jefe", 4, "what do ya want for nothing?", 28));

    for (i = 0; i < sizeof(digest); i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }

    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
                             "5a003f089d2739839dec58b964ec3843");
}


static void
test_base64(void **state)
{
    size_t i;
    char   text[V2M_BASE64_SIZE(6)];

    /* RFC 4648, section 10 */
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };

    (void) state;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        v2m_base64(text, (const unsigned char *) vectors[i][0],
                   strlen(vectors[i][0]));
        assert_string_equal(text, vectors[i][1]);
    }
}


/* Computed by Python's hmac, hashlib and base64:
 *
 *   secret = HMAC(key, "v2m webhook ann@example.com")
 *   signature = HMAC(secret, "msg_1.1700000000.{}")
 */
static void
test_signature(void **state)
{
    char              *header;
    char               secret[V2M_WEBHOOK_SECRET_SIZE];
    v2m_error_t        error;
    v2m_webhook_keys_t keys;

    (void) state;

    assert_int_equal(v2m_webhook_keys_parse(&keys, key_1, &error), V2M_OK);
    assert_int_equal(
        v2m_webhook_secret(&keys, "ann@example.com", secret, &error), V2M_OK);
    assert_string_equal(secret,
                        "whsec_hR3hEdzq0uQekJPil+gMkOo+XgrTH4r7x1+xdU1Wl5w=");

    header =
        v2m_webhook_sign(&keys, "ann@example.com", "msg_1", 1700000000, "{}");
    assert_string_equal(header,
                        "v1,VAHRbtmb1XXIKzTcoabiIEW2E5bCUggsO4TefK8wotY=");
    free(header);
    v2m_webhook_keys_wipe(&keys);

    /* while a key is changed: the new one first, and both sign */
    assert_int_equal(
        v2m_webhook_keys_parse(&keys,
                               "fedcba9876543210fedcba9876543210\n"
                               "0123456789abcdef0123456789abcdef\n",
                               &error),
        V2M_OK);
    assert_int_equal(keys.count, 2);
    assert_string_equal(keys.keys[0], key_2);

    header =
        v2m_webhook_sign(&keys, "ann@example.com", "msg_1", 1700000000, "{}");
    assert_string_equal(header,
                        "v1,UA2BS7i14ko9gkWZMEr1b5cSZCjaSOLMjkzYRXQv8ig= "
                        "v1,VAHRbtmb1XXIKzTcoabiIEW2E5bCUggsO4TefK8wotY=");
    free(header);
    v2m_webhook_keys_wipe(&keys);
}


static void
test_users_have_secrets_of_their_own(void **state)
{
    char               ann[V2M_WEBHOOK_SECRET_SIZE];
    char               bob[V2M_WEBHOOK_SECRET_SIZE];
    v2m_error_t        error;
    v2m_webhook_keys_t keys;

    (void) state;

    assert_int_equal(v2m_webhook_keys_parse(&keys, key_1, &error), V2M_OK);
    v2m_webhook_secret(&keys, "ann@example.com", ann, &error);
    v2m_webhook_secret(&keys, "bob@example.com", bob, &error);
    assert_string_not_equal(ann, bob);
    v2m_webhook_keys_wipe(&keys);
}


static void
test_keys(void **state)
{
    size_t             i;
    v2m_error_t        error;
    v2m_webhook_keys_t keys;

    static const char *const wrong[] = {
        "short",
        "0123456789abcdef0123456789abcdef short",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcdef "
        "0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcdef "
        "0123456789abcdef0123456789abcdef",
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(v2m_webhook_keys_parse(&keys, wrong[i], &error),
                         V2M_INVALID);
        assert_non_null(strstr(error.text, "V2M_WEBHOOK_KEY"));
        assert_null(strstr(error.text, "0123"));
        assert_int_equal(keys.count, 0);
    }

    assert_int_equal(v2m_webhook_keys_parse(&keys, " \n", &error), V2M_OK);
    assert_int_equal(keys.count, 0);
}


static void
test_urls(void **state)
{
    size_t      i;
    char        url[V2M_WEBHOOK_URL_MAX + 2];
    v2m_error_t error;

    static const char *const good[] = {
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.com/Hook",
        "https://example.com:8443/a/b?c=d&e=%20f",
        "https://example.com?x=1",
        "https://192.0.2.1/x",
        "https://[2001:db8::1]:443/x",
        "https://a-b.c_d.example/~x/@y/:z;v=1,2",
    };

    static const char *const bad[] = {
        "",
        "https://",
        "https:///path",
        "https:/example.com",
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "//example.com/",
        "example.com",
        "https://ann:secret@example.com/",
        "https://ann@example.com/",
        "https://example.com/#top",
        "https://example.com:0/",
        "https://example.com:/",
        "https://example.com:65536/",
        "https://example.com:99999999999/",
        "https://example.com:80x/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://example.com/\"",
        "https://example.com/<x>",
        "https://ex\xc3\xa4mple.com/",
        "https://[::1/",
        "https://[]/",
        "https://[::1]x/",
        "https://[::1%25eth0]/",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (v2m_webhook_check_url(good[i], strlen(good[i]), 0, &error)
            != V2M_OK) {
            fail_msg("%s is refused", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (v2m_webhook_check_url(bad[i], strlen(bad[i]), 0, &error)
            != V2M_INVALID) {
            fail_msg("%s is taken", bad[i]);
        }
    }

    /* a zero in it: what comes behind would be cut off */
    assert_int_equal(v2m_webhook_check_url("https://a\0b", 11, 0, &error),
                     V2M_INVALID);
    assert_int_equal(v2m_webhook_check_url("https://a/\0b", 12, 0, &error),
                     V2M_INVALID);

    assert_int_equal(v2m_webhook_check_url("http://a/", 9, 1, &error), V2M_OK);
    assert_int_equal(v2m_webhook_check_url("ftp://a/", 8, 1, &error),
                     V2M_INVALID);

    memset(url, 'a', sizeof(url));
    memcpy(url, "https://h/", 10);
    assert_int_equal(v2m_webhook_check_url(url, V2M_WEBHOOK_URL_MAX, 0, &error),
                     V2M_OK);
    assert_int_equal(
        v2m_webhook_check_url(url, V2M_WEBHOOK_URL_MAX + 1, 0, &error),
        V2M_INVALID);
}


static void
test_host(void **state)
{
    size_t      length;
    const char *host;

    (void) state;

    host = v2m_webhook_host("https://example.com:8443/secret?x", &length);
    assert_int_equal(length, 16);
    assert_memory_equal(host, "example.com:8443", 16);

    host = v2m_webhook_host("https://example.com?secret", &length);
    assert_int_equal(length, 11);
    assert_memory_equal(host, "example.com", 11);
}


static void
parse_address(v2m_address_t address, const char *text)
{
    struct sockaddr_in  ipv4;
    struct sockaddr_in6 ipv6;

    memset(&ipv4, 0, sizeof(ipv4));
    memset(&ipv6, 0, sizeof(ipv6));
    ipv4.sin_family = AF_INET;
    ipv6.sin6_family = AF_INET6;

    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
        assert_true(v2m_address_of(address, (struct sockaddr *) &ipv4));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
        assert_true(v2m_address_of(address, (struct sockaddr *) &ipv6));
    }
}


static void
test_addresses(void **state)
{
    size_t          i;
    v2m_address_t   address;
    struct sockaddr local;

    /* the first and the last of each network, and their neighbours */
    static const char *const private[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.255",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:1ff:ffff::",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2002:a9fe:a9fe::",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    };

    static const char *const public[] = {
        "1.0.0.0",         "8.8.8.8",         "9.255.255.255",
        "11.0.0.0",        "100.63.255.255",  "100.128.0.0",
        "126.255.255.255", "128.0.0.0",       "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",  "172.32.0.0",
        "192.0.1.0",       "192.0.3.0",       "192.167.255.255",
        "192.169.0.0",     "198.17.255.255",  "198.20.0.0",
        "223.255.255.255", "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8",
        "2002:808:808::1", "2001:200::1",     "2001:db7:ffff::1",
        "2001:db9::1",     "2606:4700::1111", "2a00:1450::1",
        "3ffe::1",         "3fff:1000::1",
    };

    (void) state;

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        parse_address(address, private[i]);

        if (v2m_address_is_public(address)) {
            fail_msg("%s counts as public", private[i]);
        }
    }

    for (i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        parse_address(address, public[i]);

        if (!v2m_address_is_public(address)) {
            fail_msg("%s counts as private", public[i]);
        }
    }

    memset(&local, 0, sizeof(local));
    local.sa_family = AF_UNIX;
    assert_false(v2m_address_of(address, &local));
}


static void
test_networks(void **state)
{
    size_t         i;
    v2m_address_t  address;
    v2m_error_t    error;
    v2m_networks_t networks;

    static const char *const in[] = {
        "127.0.0.1",  "127.255.255.255",  "10.1.0.0",
        "10.1.1.255", "::ffff:127.0.0.1", "192.168.7.9",
        "::1",        "fd00:1:2:3::4",    "fd00:1:3fff:ffff::",
    };

    static const char *const out[] = {
        "128.0.0.1",     "10.1.2.0", "10.0.255.255", "192.168.7.8", "::2",
        "fd00:1:4000::", "fd00::1",  "8.8.8.8",      "::",          "::7f00:1",
    };

    static const char *const wrong[] = {
        "127.0.0.0/33",
        "127.0.0.0/",
        "127.0.0.0/-1",
        "127.0.0.0/8x",
        "127.0.0",
        "localhost",
        "::1/129",
        "10.0.0.0/8;::1",
        "/8",
        "10.0.0.0/ 8",
        "1111111111111111111111111111111111111111111111111111111111111111111",
    };

    (void) state;

    assert_int_equal(
        v2m_networks_parse(&networks,
                           " 127.0.0.0/8, 10.1.0.0/23\n192.168.7.9 ::1,"
                           "fd00:1::/34,",
                           &error),
        V2M_OK);
    assert_int_equal(networks.count, 5);

    for (i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        parse_address(address, in[i]);

        if (!v2m_networks_have(&networks, address)) {
            fail_msg("%s is not in", in[i]);
        }
    }

    for (i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
        parse_address(address, out[i]);

        if (v2m_networks_have(&networks, address)) {
            fail_msg("%s is in", out[i]);
        }
    }

    v2m_networks_free(&networks);

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (v2m_networks_parse(&networks, wrong[i], &error) != V2M_INVALID) {
            fail_msg("%s is taken", wrong[i]);
        }
    }

    /* all of IPv4, all of both, and none */

    assert_int_equal(v2m_networks_parse(&networks, "0.0.0.0/0", &error),
                     V2M_OK);
    parse_address(address, "10.0.0.1");
    assert_true(v2m_networks_have(&networks, address));
    parse_address(address, "::1");
    assert_false(v2m_networks_have(&networks, address));
    v2m_networks_free(&networks);

    assert_int_equal(v2m_networks_parse(&networks, "::/0", &error), V2M_OK);
    parse_address(address, "fe80::1");
    assert_true(v2m_networks_have(&networks, address));
    v2m_networks_free(&networks);

    assert_int_equal(v2m_networks_parse(&networks, " ", &error), V2M_OK);
    assert_false(v2m_networks_have(&networks, address));
    v2m_networks_free(&networks);
}


static void
test_breaker(void **state)
{
    int           i;
    char          name[32];
    v2m_breaker_t breaker;

    (void) state;

    v2m_breaker_init(&breaker);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 1000), 0);

    v2m_breaker_note(&breaker, "ann", 1999, 1000);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 1000), 0);

    v2m_breaker_note(&breaker, "ann", 2000, 1000);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 1000), 8000);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 8999), 1);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 9000), 0);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "anna", 1000), 0);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "an", 1000), 0);

    v2m_breaker_note(&breaker, "ann", INT64_MAX, 1000);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 1000), 300000);

    /* of too many the one whose time ends first is forgotten */

    for (i = 0; i < V2M_BREAKER_USERS; i++) {
        snprintf(name, sizeof(name), "user %d", i);
        v2m_breaker_note(&breaker, name, 3000 + i, 1000);
    }

    assert_int_equal(v2m_breaker_wait_ms(&breaker, "user 0", 1000), 0);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "user 1", 1000), 12004);
    assert_int_equal(v2m_breaker_wait_ms(&breaker, "ann", 1000), 300000);

    v2m_breaker_destroy(&breaker);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_users_have_secrets_of_their_own),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_breaker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
