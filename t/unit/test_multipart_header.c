/* The headers of a multipart/form-data body's parts, every form of file name
 * and of Content-Type. */

#include "multipart_feed.h"


/* A body of one part with this header, which must give these events. */
static void
assert_header(const char *header, const char *expected)
{
    char *body;

    assert_int_not_equal(
        asprintf(&body, "--boundary\r\n%s\r\n\r\nx\r\n--boundary--\r\n",
                 header),
        -1);
    assert_body(body, expected);
    free(body);
}


static void
assert_filename(const char *parameter, const char *expected)
{
    char *header, *events;

    assert_int_not_equal(
        asprintf(&header, "Content-Disposition: form-data; name=\"f\"; %s",
                 parameter),
        -1);
    assert_int_not_equal(asprintf(&events, "(f|%s)x.$", expected), -1);
    assert_header(header, events);
    free(events);
    free(header);
}


static void
assert_filename_refused(const char *parameter)
{
    char *header;

    assert_int_not_equal(
        asprintf(&header, "Content-Disposition: form-data; name=\"f\"; %s",
                 parameter),
        -1);
    assert_header(header, "!");
    free(header);
}


static void
test_headers(void **state)
{
    static const char with_nul[] = "--boundary\r\nContent-Disposition: "
                                   "form-data; name=\"a\0b\"\r\n\r\n";

    (void) state;

    assert_header("Content-Disposition: form-data; name=\"f\"", "(f)x.$");
    assert_header("CONTENT-DISPOSITION:FORM-DATA;NAME=f", "(f)x.$");
    assert_header("Content-Disposition:\t form-data \t;\tname=f;\t", "(f)x.$");
    assert_header("Content-Disposition: form-data; name=\"\"", "()x.$");
    assert_header("X-A: b\r\nContent-Disposition: form-data; name=f\r\nX-C:",
                  "(f)x.$");

    /* folded */
    assert_header("Content-Disposition: form-data;\r\n name=f;\r\n\tfilename=g",
                  "(f|g)x.$");
    assert_header("Content-Disposition:\r\n form-data; name=f\r\n ", "(f)x.$");
    assert_header("X-A: b\r\n  c: d\r\nContent-Disposition: form-data; name=f",
                  "(f)x.$");

    /* no header, none that counts, two, malformed ones */
    assert_body("--boundary\r\n\r\nx\r\n--boundary--", "!");
    assert_header("Content-Type: video/mp4", "!");
    assert_header("XContent-Disposition: form-data; name=f", "!");
    assert_header("Content-Disposition : form-data; name=f", "!");
    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Disposition: form-data; name=f",
                  "!");
    assert_header("Content-Disposition: form-data; name=f\r\nno colon", "!");
    assert_header("Content-Disposition: form-data; name=f\r\n: x", "!");
    assert_header("Content-Disposition: attachment; name=f", "!");
    assert_header("Content-Disposition: form-data2; name=f", "!");
    assert_header("Content-Disposition: form-data", "!");
    assert_header("Content-Disposition: ", "!");
    assert_header("Content-Disposition: form-data; filename=g", "!");
    assert_header("Content-Disposition: form-data; name=f; name=f", "!");
    assert_header("Content-Disposition: form-data; name", "!");
    assert_header("Content-Disposition: form-data; name=\"f", "!");
    assert_header("Content-Disposition: form-data; name=\"f\"g", "!");
    assert_header("Content-Disposition: form-data; name =f", "!");
    assert_header("Content-Disposition: form-data; =f", "!");
    assert_header("Content-Disposition: form-data name=f", "!");
    assert_header("Content-Disposition: form-data;; name=f", "!");

    /* control characters: CR or LF alone, NUL */
    assert_header("Content-Disposition: form-data; name=\"a\rb\"", "!");
    assert_header("Content-Disposition: form-data; name=\"a\nb\"", "!");
    assert_header("Content-Disposition: form-data; name=f\nX-A: b", "!");
    assert_body_of(TEST_TYPE, with_nul, sizeof(with_nul) - 1, "!");
}


static void
test_transfer_encoding(void **state)
{
    (void) state;

    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Transfer-Encoding: binary",
                  "(f)x.$");
    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Transfer-Encoding:8BIT ",
                  "(f)x.$");
    assert_header("content-transfer-encoding: 7bit\r\n"
                  "Content-Disposition: form-data; name=f",
                  "(f)x.$");
    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Transfer-Encoding: base64",
                  "!");
    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Transfer-Encoding: quoted-printable",
                  "!");
    assert_header("Content-Disposition: form-data; name=f\r\n"
                  "Content-Transfer-Encoding:",
                  "!");
}


/* The header's limit, to the byte; the line ends of the header count. */
static void
test_huge_header(void **state)
{
    int    more;
    char  *header;
    size_t length;

    static const char *const first = "Content-Disposition: form-data; name=f"
                                     "\r\nX-Padding: ";

    (void) state;

    for (more = -1; more <= 1; more++) {
        length = (size_t) (V2M_MULTIPART_HEADER_MAX - 4 + more);
        header = malloc(length + 1);
        assert_non_null(header);
        memset(header, 'x', length);
        memcpy(header, first, strlen(first));
        header[length] = '\0';
        assert_header(header, more <= 0 ? "(f)x.$" : "!");
        free(header);
    }
}


static void
test_names(void **state)
{
    char *header, *expected;
    char  name[V2M_MULTIPART_NAME_MAX + 1];

    (void) state;

    assert_filename("filename=\"a.mp4\"", "a.mp4");
    assert_filename("filename=a.mp4", "a.mp4");
    assert_filename("FileName=a.mp4", "a.mp4");
    assert_filename("filename=\"\"", "");
    assert_filename("filename=", "");
    assert_filename("filename=\"a b;c=d.mp4\"", "a b;c=d.mp4");
    assert_filename("filename=a.mp4; x=\"y; filename=z\"", "a.mp4");

    /* curl's escapes, a browser's, and percent signs that are none */
    assert_filename("filename=\"say \\\"hi\\\".mp4\"", "say \"hi\".mp4");
    assert_filename("filename=\"say %22hi%22.mp4\"", "say \"hi\".mp4");
    assert_filename("filename=\"100%.mp4\"", "100%.mp4");
    assert_filename("filename=\"100%2\"", "100%2");
    assert_filename("filename=\"100%20.mp4\"", "100%20.mp4");

    /* directories, of either system, escaped or not */
    assert_filename("filename=\"/etc/passwd\"", "passwd");
    assert_filename("filename=\"../../a.mp4\"", "a.mp4");
    assert_filename("filename=\"C:\\Users\\x\\a.mp4\"", "a.mp4");
    assert_filename("filename=\"C:\\\\Users\\\\a.mp4\"", "a.mp4");
    assert_filename("filename=\"dir/\"", "");

    /* UTF-8, well-formed and not; characters that control something */
    assert_filename("filename=\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5.mp4\"",
                    "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5.mp4");
    assert_filename("filename=\"a\xE4\xFF.mp4\"",
                    "a\xEF\xBF\xBD\xEF\xBF\xBD.mp4");
    assert_filename("filename=\"a\tb\x7F\xC2\x85.mp4\"", "ab.mp4");

    /* twice, and malformed */
    assert_filename_refused("filename=a; filename=b");
    assert_filename_refused("filename=\"a");
    assert_filename_refused("filename=\"a\\");
    assert_filename_refused("filename=\"a\\\"");
    assert_filename_refused("filename=\"a\"b");
    assert_filename_refused("filename");

    /* as long as a name can be, in the field that is not shortened, and one
     * byte more */

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 2] = '\0';
    assert_int_not_equal(
        asprintf(&header, "Content-Disposition: form-data; name=\"%s\"", name),
        -1);
    assert_int_not_equal(asprintf(&expected, "(%s)x.$", name), -1);
    assert_header(header, expected);
    free(expected);
    free(header);

    name[sizeof(name) - 2] = 'n';
    name[sizeof(name) - 1] = '\0';
    assert_int_not_equal(
        asprintf(&header, "Content-Disposition: form-data; name=\"%s\"", name),
        -1);
    assert_header(header, "!");
    free(header);

    assert_int_not_equal(asprintf(&header, "filename=\"%s\"", name), -1);
    assert_filename_refused(header);
    header[strlen(header) - 2] = '"';
    header[strlen(header) - 1] = '\0';
    name[255] = '\0';
    assert_filename(header, name);
    free(header);
}


static void
test_extended_names(void **state)
{
    (void) state;

    assert_filename("filename*=UTF-8''a.mp4", "a.mp4");
    assert_filename("filename*=utf-8'en'%C3%A4%E2%82%AC%20b.mp4",
                    "\xC3\xA4\xE2\x82\xAC b.mp4");
    assert_filename("filename*=UTF-8''", "");
    assert_filename("filename*=iso-8859-1''%E4.mp4", "\xEF\xBF\xBD.mp4");

    /* it wins, before and behind the other one */
    assert_filename("filename=old.mp4; filename*=UTF-8''new.mp4", "new.mp4");
    assert_filename("filename*=UTF-8''new.mp4; filename=old.mp4", "new.mp4");

    /* decoded, then made harmless */
    assert_filename("filename*=UTF-8''..%2F..%2Fa%00%0D%0Ab%5Cc.mp4", "c.mp4");
    assert_filename("filename*=UTF-8''a%00%0D%0Ab%22.mp4", "ab\".mp4");

    assert_filename_refused("filename*=a.mp4");
    assert_filename_refused("filename*=UTF-8'a.mp4");
    assert_filename_refused("filename*=");
    assert_filename_refused("filename*='");
    assert_filename_refused("filename*=UTF-8''a%");
    assert_filename_refused("filename*=UTF-8''a%4");
    assert_filename_refused("filename*=UTF-8''a%4g");
    assert_filename_refused("filename*=UTF-8''a%g4");
    assert_filename_refused("filename*=UTF-8''a; filename*=UTF-8''b");
}


static void
assert_type(const char *type, size_t length, int expected)
{
    char           *copy;
    v2m_error_t     error;
    v2m_multipart_t reader;

    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, type, length);
    error.code = V2M_OK;

    if (v2m_multipart_init(&reader, copy, length, &error) != expected) {
        fail_msg("the type \"%s\" gives no %d", type, expected);
    }

    assert_int_equal(error.code, expected);
    free(copy);
}


static void
test_types(void **state)
{
    char          type[256], body[512];
    size_t        i;
    test_events_t events;

    static const char with_nul[] = "multipart/form-data; boundary=\"a\0b\"";
    static const char *const good[][2] = {
        { "multipart/form-data; boundary=abc", "abc" },
        { "multipart/form-data;boundary=abc", "abc" },
        { "  Multipart/Form-DATA \t;\tBOUNDARY=AbC ;", "AbC" },
        { "multipart/form-data; charset=utf-8; boundary=abc; x=\"y;z\"",
          "abc" },
        { "multipart/form-data; boundary=\"abc\"", "abc" },
        { "multipart/form-data; boundary=\"a b\"", "a b" },
        { "multipart/form-data; boundary=\" a\"", " a" },
        { "multipart/form-data; boundary=---0'()+_,-./:=?",
          "---0'()+_,-./:=?" },
        { "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
          "----WebKitFormBoundary7MA4YWxkTrZu0gW" },
        { "multipart/form-data; boundary=1", "1" },
    };
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"abc",
        "multipart/form-data; boundary=\"abc \"",
        "multipart/form-data; boundary=\" \"",
        "multipart/form-data; boundary=a@b",
        "multipart/form-data; boundary=\"a\tb\"",
        "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data; boundary=\"a%22b\"",
        "multipart/form-data; boundary=\"a\xC3\xA4\"",
        "multipart/form-data; boundary=\"a\rb\"",
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=a; boundary=",
        "multipart/form-data; boundary=a x",
        "multipart/form-data; boundary=a;;",
        "multipart/form-data boundary=a",
        "multipart/form-data; xboundary=a",
    };
    static const char *const other[] = {
        "",
        " ",
        "multipart/mixed; boundary=abc",
        "multipart/form-dat",
        "multipart/form-data2; boundary=abc",
        "multipart/form-data,; boundary=abc",
        "video/mp4",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(body, sizeof(body), "--%s%sx\r\n--%s--", good[i][1], PART("f"),
                 good[i][1]);
        assert_body_of(good[i][0], body, strlen(body), "(f)x.$");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_type(bad[i], strlen(bad[i]), V2M_INVALID);
    }

    for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_type(other[i], strlen(other[i]), V2M_NOT_FOUND);
    }

    assert_type(with_nul, sizeof(with_nul) - 1, V2M_INVALID);

    /* the longest boundary, every byte of which is compared, and a longer */

    for (i = 1; i <= V2M_MULTIPART_BOUNDARY_MAX; i++) {
        snprintf(type, sizeof(type), "multipart/form-data; boundary=%.*s",
                 (int) i,
                 "0123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789");
        snprintf(body, sizeof(body), "--%s%sx\r\n--%s--", type + 30, PART("f"),
                 type + 30);
        events = feed_bytes(type, body, strlen(body));
        assert_events(&events, "(f)x.$", 6);
        free(events.text);

        body[2 + i - 1] ^= 1;
        events = feed_bytes(type, body, strlen(body));
        assert_events(&events, "$", 1);
        free(events.text);
    }

    strcat(type, "0");
    assert_type(type, strlen(type), V2M_INVALID);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_transfer_encoding),
        { "S17 huge header", test_huge_header, NULL, NULL, NULL },
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_extended_names),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
