/* The notifier's mail: addresses, headers, encodings, and what a hostile file
 * name or user name can do to them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_mail_job.h"
#include "v2m_mime.h"

#define TEST_ID "65f000000000000000000abc"

static v2m_mail_sender_t sender = { "v2m", "v2m@example.org" };


static char *
compose(const char *to, const char *name, const char *reason)
{
    char          *text;
    size_t         length;
    v2m_mail_job_t mail;
    v2m_error_t    error;

    mail.sender = &sender;
    mail.to = to;
    mail.id = TEST_ID;
    mail.name = name;
    mail.reason = reason;
    mail.url = "https://v2m.example.org";
    mail.date = 1700000000;

    assert_int_equal(v2m_mail_job_compose(&mail, &text, &length, &error),
                     V2M_OK);
    assert_int_equal(strlen(text), length);

    return text;
}


/* The lines before the first empty one. */
static char *
headers(const char *text)
{
    const char *end;

    end = strstr(text, "\r\n\r\n");
    assert_non_null(end);

    return strndup(text, (size_t) (end - text) + 2);
}


static void
assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}


static void
assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" is in:\n%s", part, text);
    }
}


/* Takes back quoted-printable's soft line breaks. */
static void
unfold(char *text)
{
    char *soft;

    while ((soft = strstr(text, "=\r\n")) != NULL) {
        memmove(soft, soft + 3, strlen(soft + 3) + 1);
    }
}


/* RFC 5322, 2.1.1: CRLF only, and no line over 78 characters. */
static void
assert_lines(const char *text)
{
    size_t      length;
    const char *p;

    for (p = text; *p != '\0'; p += length + 2) {
        length = strcspn(p, "\r\n");
        assert_in_range(length, 0, 78);
        assert_memory_equal(p + length, "\r\n", 2);
    }
}


static void
test_sender(void **state)
{
    size_t            i;
    v2m_error_t       error;
    v2m_mail_sender_t parsed;

    static const char *const bad[] = {
        "",
        "v2m",
        "v2m <v2m@localhost",
        "v2m <v2m@localhost> x",
        "v2m <>",
        "v2m <v2m@localhost\r\n>",
    };

    (void) state;

    assert_int_equal(
        v2m_mail_sender_parse(&parsed, "v2m <v2m@localhost>", &error), V2M_OK);
    assert_string_equal(parsed.name, "v2m");
    assert_string_equal(parsed.address, "v2m@localhost");
    v2m_mail_sender_free(&parsed);

    assert_int_equal(
        v2m_mail_sender_parse(&parsed, "\"Video, Inc.\" <a@b>", &error),
        V2M_OK);
    assert_string_equal(parsed.name, "Video, Inc.");
    v2m_mail_sender_free(&parsed);

    assert_int_equal(v2m_mail_sender_parse(&parsed, "a@b", &error), V2M_OK);
    assert_null(parsed.name);
    assert_string_equal(parsed.address, "a@b");
    v2m_mail_sender_free(&parsed);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(v2m_mail_sender_parse(&parsed, bad[i], &error),
                         V2M_INVALID);
    }
}


static void
test_ready(void **state)
{
    char *text;

    (void) state;

    text = compose("user@example.org", "holiday.mp4", NULL);

    assert_lines(text);
    assert_contains(text, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n");
    assert_contains(text, "From: \"v2m\"\r\n <v2m@example.org>\r\n");
    assert_contains(text, "\r\nTo: <user@example.org>\r\n");
    assert_contains(text, "\r\nSubject: Your MP3 is ready: holiday.mp4\r\n");
    assert_contains(text, "\r\nMessage-ID: <" TEST_ID ".mp3@example.org>\r\n");
    assert_contains(text, "\r\nAuto-Submitted: auto-generated\r\n");
    assert_contains(text, "\r\nMIME-Version: 1.0\r\n");
    assert_contains(text, "multipart/alternative;\r\n boundary=\"=_v2m_" TEST_ID
                          ".mp3\"\r\n\r\n--=_v2m_" TEST_ID ".mp3\r\n");
    assert_contains(text, "Content-Type: text/plain; charset=utf-8\r\n");
    assert_contains(text, "Content-Type: text/html; charset=utf-8\r\n");
    assert_contains(text, "\r\nhttps://v2m.example.org/download?fid=3D" TEST_ID
                          "\r\n");
    assert_contains(text, "\r\n--=_v2m_" TEST_ID ".mp3--\r\n");

    free(text);
}


static void
test_failed(void **state)
{
    char *text;

    (void) state;

    text = compose("user@example.org", "a.mp4", "the file has no audio track.");

    assert_lines(text);
    assert_contains(text, "Subject: Your video could not be converted: a.mp4");
    unfold(text);
    assert_contains(text, "The reason: the file has no audio track.\r\n");
    assert_contains(text, TEST_ID);
    assert_lacks(text, "download?fid");

    free(text);
}


static void
test_without_name(void **state)
{
    char *text;

    (void) state;

    text = compose("user@example.org", NULL, NULL);
    assert_contains(text, "\r\nSubject: Your MP3 is ready\r\n");
    assert_contains(text, "your video is now an MP3");
    free(text);
}


static void
test_injection(void **state)
{
    char       *text, *head;
    const char *html;

    (void) state;

    text = compose("user@example.org",
                   "a\r\nBcc: other@example.org\r\n\r\n<script>&\"x\".mp4",
                   "bad\r\n.\r\nRSET <b>");
    head = headers(text);

    assert_lines(text);
    assert_lacks(head, "\r\nBcc:");
    assert_lacks(text, "\r\n.\r\n");

    unfold(text);
    html = strstr(text, "text/html");
    assert_non_null(html);
    assert_lacks(html, "<script>");
    assert_lacks(html, "RSET <b>");
    assert_contains(html, "&lt;script&gt;&amp;&quot;x&quot;.mp4");
    assert_contains(html, "RSET &lt;b&gt;");

    free(head);
    free(text);
}


static void
test_refused_recipient(void **state)
{
    char          *text;
    size_t         length;
    v2m_mail_job_t mail;
    v2m_error_t    error;

    (void) state;

    memset(&mail, 0, sizeof(mail));
    mail.sender = &sender;
    mail.to = "nobody\r\nBcc: other@example.org";
    mail.id = TEST_ID;
    mail.url = "http://localhost";

    assert_int_equal(v2m_mail_job_compose(&mail, &text, &length, &error),
                     V2M_INVALID);
}


/* Takes a folded header of encoded words apart again. */
static char *
decode_words(const char *header)
{
    char       *text, *out;
    unsigned    bits, count;
    const char *p, *digit;

    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    out = text = calloc(1, strlen(header) + 1);

    for (p = header; (p = strstr(p, "=?UTF-8?B?")) != NULL;) {
        p += strlen("=?UTF-8?B?");
        bits = count = 0;

        for (; (digit = strchr(digits, *p)) != NULL; p++) {
            bits = bits << 6 | (unsigned) (digit - digits);

            if (++count % 4 != 1) {
                *out++ = (char) (bits >> (6 - 2 * ((count - 1) % 4)));
            }
        }
    }

    return text;
}


static void
test_encoded_subject(void **state)
{
    int   i;
    char  name[600], *text, *head, *subject;
    char *expected;

    (void) state;

    name[0] = '\0';
    for (i = 0; i < 40; i++) {
        strcat(name, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xb5");
    }

    text = compose("user@example.org", name, NULL);
    head = headers(text);
    assert_lines(text);

    subject = decode_words(strstr(head, "Subject: "));
    assert_true(asprintf(&expected, "Your MP3 is ready: %s", name) > 0);
    assert_string_equal(subject, expected);

    free(expected);
    free(subject);
    free(head);
    free(text);
}


/* Text that looks like an encoded word would be shown decoded. */
static void
test_disguised_subject(void **state)
{
    char *text, *head, *subject;

    (void) state;

    text = compose("user@example.org", "=?UTF-8?Q?=41?=", NULL);
    head = headers(text);
    subject = decode_words(strstr(head, "Subject: "));
    assert_string_equal(subject, "Your MP3 is ready: =?UTF-8?Q?=41?=");

    free(subject);
    free(head);
    free(text);
}


static void
test_clean(void **state)
{
    size_t i;
    char  *clean;

    static const struct {
        const char *text;
        const char *clean;
    } cases[] = {
        { "plain", "plain" },
        { "tab\tnew\nline\x7f", "tab new line " },
        { "c1\xc2\x9bx", "c1 x" },
        { "\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac" },
        { "\xc3", "\xef\xbf\xbd" },
        { "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "1234567890123", "1234567890" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clean = v2m_mime_clean(cases[i].text,
                               i + 1 == sizeof(cases) / sizeof(cases[0]) ? 10
                                                                         : 100);
        assert_string_equal(clean, cases[i].clean);
        free(clean);
    }
}


static void
test_quoted_printable(void **state)
{
    char  *text, line[200];
    FILE  *out;
    size_t i, length;

    static const struct {
        const char *text;
        const char *encoded;
    } cases[] = {
        { "a=b\n", "a=3Db\r\n" },
        { "end \nx ", "end=20\r\nx=20" },
        { "\xc3\xa4", "=C3=A4" },
        { "tab\tx", "tab=09x" },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        out = open_memstream(&text, &length);
        v2m_mime_quoted_printable(out, cases[i].text);
        fclose(out);
        assert_string_equal(text, cases[i].encoded);
        free(text);
    }

    /* every length of line, with the encoded byte at every place */
    for (i = 70; i < 80; i++) {
        memset(line, 'x', sizeof(line));
        line[i] = '=';
        line[150] = '\0';

        out = open_memstream(&text, &length);
        v2m_mime_quoted_printable(out, line);
        fputs("\r\n", out);
        fclose(out);
        assert_lines(text);
        assert_contains(text, "=3D");
        free(text);
    }
}


static void
test_phrase(void **state)
{
    char  *text;
    FILE  *out;
    size_t length;

    (void) state;

    out = open_memstream(&text, &length);
    v2m_mime_phrase(out, "a \"b\" \\c");
    fclose(out);
    assert_string_equal(text, "\"a \\\"b\\\" \\\\c\"");
    free(text);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sender),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_without_name),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_refused_recipient),
        cmocka_unit_test(test_encoded_subject),
        cmocka_unit_test(test_disguised_subject),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_quoted_printable),
        cmocka_unit_test(test_phrase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
