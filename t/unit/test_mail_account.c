/* The mails about accounts: the built-in templates, an operator's own, and what
 * is wrong with those. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_mail_account.h"
#include "v2m_template.h"

#define TEST_URL "https://v2m.example.org/#password=abc_-1"

static v2m_mail_sender_t sender = { "v2m", "v2m@example.org" };


static int
make_directory(void **state)
{
    char *directory;

    directory = strdup("/tmp/test_mail_account.XXXXXX");
    *state = directory;

    return mkdtemp(directory) == NULL;
}


static int
remove_directory(void **state)
{
    size_t i;
    char  *path;

    static const char *const files[] = {
        "register.txt", "register.html", "reset.txt",
        "reset.html",   "known.txt",     "known.html",
    };

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_true(asprintf(&path, "%s/%s", (char *) *state, files[i]) > 0);
        unlink(path);
        free(path);
    }

    rmdir(*state);
    free(*state);

    return 0;
}


static void
put(void **state, const char *name, const char *text)
{
    char *path;
    FILE *file;

    assert_true(asprintf(&path, "%s/%s", (char *) *state, name) > 0);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    free(path);
}


/* Without quoted-printable's soft line breaks. */
static char *
compose(v2m_mail_templates_t templates, v2m_mail_kind_t kind, const char *to)
{
    char              *text, *soft;
    size_t             length;
    v2m_error_t        error;
    v2m_mail_account_t mail;

    mail.sender = &sender;
    mail.to = to;
    mail.id = "17.2.account";
    mail.url = TEST_URL;
    mail.until = 1700003600;
    mail.date = 1700000000;

    assert_int_equal(v2m_mail_account_compose(&mail, &templates[kind], &text,
                                              &length, &error),
                     V2M_OK);
    assert_int_equal(strlen(text), length);

    while ((soft = strstr(text, "=\r\n")) != NULL) {
        memmove(soft, soft + 3, strlen(soft + 3) + 1);
    }

    return text;
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


static void
test_built_in(void **state)
{
    int                  kind;
    char                *text;
    v2m_error_t          error;
    v2m_mail_templates_t templates;

    static const char *const subjects[] = {
        [V2M_MAIL_REGISTER] = "\r\nSubject: Confirm your account\r\n",
        [V2M_MAIL_RESET] = "\r\nSubject: Set a new password\r\n",
        [V2M_MAIL_KNOWN] = "\r\nSubject: You have an account already\r\n",
    };

    (void) state;

    assert_int_equal(v2m_mail_templates_read(templates, NULL, &error), V2M_OK);

    for (kind = 0; kind < V2M_MAIL_KINDS; kind++) {
        text = compose(templates, (v2m_mail_kind_t) kind, "user@example.org");
        assert_contains(text, subjects[kind]);
        assert_contains(text, "\r\nTo: <user@example.org>\r\n");
        assert_contains(text, "\r\nMessage-ID: <17.2.account@example.org>\r\n");
        assert_contains(text, "\r\nAuto-Submitted: auto-generated\r\n");
        assert_contains(text, "\r\nhttps://v2m.example.org/#password=3Dabc_-1"
                              "\r\n");
        assert_contains(text, "<a href=3D\"https://v2m.example.org/#password"
                              "=3Dabc_-1\">");
        assert_contains(text, "user@example.org. ");
        assert_contains(text, "<b>user@example.org</b>");
        assert_lacks(text, "{{");

        if (kind != V2M_MAIL_KNOWN) {
            assert_contains(text, "until 2023-11-14 23:13 UTC.");
        }

        free(text);
    }

    v2m_mail_templates_free(templates);
}


/* What an address has in it is neither a template nor HTML. */
static void
test_injection(void **state)
{
    char                *text;
    v2m_error_t          error;
    v2m_mail_templates_t templates;

    assert_int_equal(v2m_mail_templates_read(templates, NULL, &error), V2M_OK);

    text = compose(templates, V2M_MAIL_RESET, "{{url}}&amp@example.org");
    assert_contains(text, "of {{url}}&amp@example.org.");
    assert_contains(text, "<b>{{url}}&amp;amp@example.org</b>");

    free(text);
    v2m_mail_templates_free(templates);

    put(state, "known.txt", "Subject: K\n\n{{address}}\n");
    put(state, "known.html", "<i class='{{address}}'>you</i>\n");

    assert_int_equal(v2m_mail_templates_read(templates, *state, &error),
                     V2M_OK);

    text = compose(templates, V2M_MAIL_KNOWN, "a'/hidden/b@example.org");
    assert_contains(text, "=3D'a&#39;/hidden/b@example.org'");

    free(text);
    v2m_mail_templates_free(templates);
}


static void
test_own(void **state)
{
    char                *text;
    v2m_error_t          error;
    v2m_mail_templates_t templates;

    put(state, "register.txt",
        "Subject: Willkommen, {{address}}\r\n\r\nGr\xc3\xbc\xc3\x9f"
        "e: {{url}} {{url}}\r\n");
    put(state, "known.txt", "Subject: K\n\n{{address}} gibt es schon.\n");
    put(state, "known.html", "<p>{{address}}</p>\n");

    assert_int_equal(v2m_mail_templates_read(templates, *state, &error),
                     V2M_OK);

    text = compose(templates, V2M_MAIL_REGISTER, "user@example.org");
    assert_contains(text, "\r\nSubject: Willkommen, user@example.org\r\n");
    assert_contains(text, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
    assert_contains(text, "\r\n\r\nGr=C3=BC=C3=9Fe: " /* the text alone */
                          "https://v2m.example.org/#password=3Dabc_-1 "
                          "https://v2m.example.org/#password=3Dabc_-1\r\n");
    assert_lacks(text, "multipart");
    free(text);

    text = compose(templates, V2M_MAIL_KNOWN, "user@example.org");
    assert_contains(text, "multipart/alternative");
    assert_contains(text, "\r\n<p>user@example.org</p>\r\n");
    free(text);

    text = compose(templates, V2M_MAIL_RESET, "user@example.org");
    assert_contains(text, "\r\nSubject: Set a new password\r\n");
    free(text);

    v2m_mail_templates_free(templates);
}


static void
test_wrong(void **state)
{
    size_t               i;
    v2m_error_t          error;
    v2m_mail_templates_t templates;

    static const struct {
        const char *file;
        const char *text;
        const char *says;
    } cases[] = {
        { "reset.txt", "Hello {{url}}", "must begin with a line" },
        { "reset.txt", "Subject: x\n{{url}}\n\n", "must begin with a line" },
        { "reset.txt", "Subject: x\n\nno link", "it has no {{url}}" },
        { "reset.txt", "Subject: x\n\n{{url}} {{name}}",
          "nothing called {{name}}" },
        { "reset.txt", "Subject: x\n\n{{url}} {{", "a {{ has no }}" },
        { "reset.txt", "Subject: \xff\n\n{{url}}", "it is no UTF-8" },
        { "reset.txt", "Subject: x\ry\n\n{{url}}", "a control character" },
        { "reset.txt", "", "has no {{url}}" },
        { "reset.html", "<a href=\"{{url}}\">", "needs reset.txt" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        remove_directory(state);
        make_directory(state);
        put(state, cases[i].file, cases[i].text);
        assert_int_equal(v2m_mail_templates_read(templates, *state, &error),
                         V2M_INVALID);
        assert_contains(error.text, cases[i].says);
        assert_contains(error.text, cases[i].file);
    }

    put(state, "reset.txt", "Subject: x\n\n{{url}}");
    put(state, "reset.html", "<p>no link</p>");
    assert_int_equal(v2m_mail_templates_read(templates, *state, &error),
                     V2M_INVALID);
    assert_string_equal(error.text, "reset.html of V2M_MAIL_TEMPLATES: it has "
                                    "no {{url}}");

    assert_int_equal(v2m_mail_templates_read(templates, "/nowhere", &error),
                     V2M_INVALID);
    assert_contains(error.text, "must be a directory");
}


static void
test_has(void **state)
{
    (void) state;

    assert_true(v2m_template_has("a {{address}} {{url}}", "url"));
    assert_false(v2m_template_has("a {{address}} {{urls}}", "url"));
    assert_false(v2m_template_has("{{url", "url"));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),
        cmocka_unit_test_setup_teardown(test_injection, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_own, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_wrong, make_directory,
                                        remove_directory),
        cmocka_unit_test(test_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
