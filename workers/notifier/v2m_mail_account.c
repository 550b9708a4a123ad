#include "v2m_mail_account.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "v2m_config.h"
#include "v2m_mime.h"
#include "v2m_template.h"

#define V2M_MAIL_ACCOUNT_SUBJECT     "Subject: "
#define V2M_MAIL_ACCOUNT_SUBJECT_MAX 200 /* characters */

typedef struct {
    const char *name; /* of the files */
    int         link; /* without {{url}} the mail would be of no use */
    const char *text; /* built in */
    const char *html;
} v2m_mail_account_kind_t;

#define V2M_MAIL_ACCOUNT_HTML_BEGIN                                            \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<body>\n<p>Hello,</p>\n"
#define V2M_MAIL_ACCOUNT_HTML_END "</body>\n</html>\n"

static const v2m_mail_account_kind_t v2m_mail_account_kinds[V2M_MAIL_KINDS] = {
    [V2M_MAIL_REGISTER] = {
        "register", 1,
        "Subject: Confirm your account\n"
        "\n"
        "Hello,\n"
        "\n"
        "somebody, you hopefully, asked for an account for {{address}}. This "
        "link makes it, and lets you choose its password:\n"
        "\n"
        "{{url}}\n"
        "\n"
        "The link works once, until {{until}}.\n"
        "\n"
        "If it was not you, do nothing: without the link there will be no "
        "account.\n",
        V2M_MAIL_ACCOUNT_HTML_BEGIN
        "<p>somebody, you hopefully, asked for an account for "
        "<b>{{address}}</b>. This link makes it, and lets you choose its "
        "password:</p>\n"
        "<p><a href=\"{{url}}\">Confirm the account</a></p>\n"
        "<p>The link works once, until {{until}}.</p>\n"
        "<p>If it was not you, do nothing: without the link there will be no "
        "account.</p>\n"
        V2M_MAIL_ACCOUNT_HTML_END,
    },
    [V2M_MAIL_RESET] = {
        "reset", 1,
        "Subject: Set a new password\n"
        "\n"
        "Hello,\n"
        "\n"
        "somebody, you hopefully, has forgotten the password of {{address}}. "
        "With this link you set a new one:\n"
        "\n"
        "{{url}}\n"
        "\n"
        "The link works once, until {{until}}. Whoever is signed in with the "
        "old password is signed out then.\n"
        "\n"
        "If it was not you, do nothing: the password stays as it is.\n",
        V2M_MAIL_ACCOUNT_HTML_BEGIN
        "<p>somebody, you hopefully, has forgotten the password of "
        "<b>{{address}}</b>. With this link you set a new one:</p>\n"
        "<p><a href=\"{{url}}\">Set a new password</a></p>\n"
        "<p>The link works once, until {{until}}. Whoever is signed in with "
        "the old password is signed out then.</p>\n"
        "<p>If it was not you, do nothing: the password stays as it is.</p>\n"
        V2M_MAIL_ACCOUNT_HTML_END,
    },
    [V2M_MAIL_KNOWN] = {
        "known", 0,
        "Subject: You have an account already\n"
        "\n"
        "Hello,\n"
        "\n"
        "somebody, you hopefully, asked for an account for {{address}}. There "
        "is one already: sign in with its password, or, if you have forgotten "
        "it, ask for a new one here:\n"
        "\n"
        "{{url}}\n"
        "\n"
        "If it was not you, do nothing: nobody was told that there is an "
        "account.\n",
        V2M_MAIL_ACCOUNT_HTML_BEGIN
        "<p>somebody, you hopefully, asked for an account for "
        "<b>{{address}}</b>. There is one already: sign in with its password, "
        "or, if you have forgotten it, <a href=\"{{url}}\">ask for a new one"
        "</a>.</p>\n"
        "<p>If it was not you, do nothing: nobody was told that there is an "
        "account.</p>\n"
        V2M_MAIL_ACCOUNT_HTML_END,
    },
};

static const char *const v2m_mail_account_names[] = { "url", "address",
                                                      "until" };

#define V2M_MAIL_ACCOUNT_NAMES                                                 \
    (sizeof(v2m_mail_account_names) / sizeof(v2m_mail_account_names[0]))


/* Takes the subject off the text. */
static int
v2m_mail_account_split(v2m_mail_template_t *form, v2m_error_t *error)
{
    char  *subject, *end;
    size_t prefix;

    prefix = sizeof(V2M_MAIL_ACCOUNT_SUBJECT) - 1;
    end = strstr(form->text, "\n\n");

    if (strncmp(form->text, V2M_MAIL_ACCOUNT_SUBJECT, prefix) != 0
        || end == NULL || strchr(form->text, '\n') != end)
    {
        return v2m_error_set(error, V2M_INVALID,
                             "it must begin with a line \"Subject: ...\" and "
                             "an empty one");
    }

    *end = '\0';
    subject = v2m_mime_clean(form->text + prefix, V2M_MAIL_ACCOUNT_SUBJECT_MAX);
    if (subject == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    form->subject = subject;
    memmove(form->text, end + 2, strlen(end + 2) + 1);

    return V2M_OK;
}


/* What is wrong with one of the two files is named by its ending. */
static int
v2m_mail_account_check(const v2m_mail_account_kind_t *kind, const char *ending,
                       const char *text, v2m_error_t *error)
{
    int         rc;
    v2m_error_t cause;

    rc = v2m_template_check(text, v2m_mail_account_names,
                            V2M_MAIL_ACCOUNT_NAMES, &cause);

    if (rc == V2M_OK && kind->link && !v2m_template_has(text, "url")) {
        rc = v2m_error_set(&cause, V2M_INVALID, "it has no {{url}}");
    }

    return rc == V2M_OK
               ? V2M_OK
               : v2m_error_set(error, rc, "%s.%s of V2M_MAIL_TEMPLATES: %s",
                               kind->name, ending, cause.text);
}


static int
v2m_mail_account_form(v2m_mail_template_t           *form,
                      const v2m_mail_account_kind_t *kind, v2m_error_t *error)
{
    int         rc;
    v2m_error_t cause;

    rc = v2m_mail_account_check(kind, "txt", form->text, error);

    if (rc == V2M_OK && form->html != NULL) {
        rc = v2m_mail_account_check(kind, "html", form->html, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_mail_account_split(form, &cause);

    return rc == V2M_OK
               ? V2M_OK
               : v2m_error_set(error, rc, "%s.txt of V2M_MAIL_TEMPLATES: %s",
                               kind->name, cause.text);
}


/* Lines may end with CRLF in a file; the last line's LF is not read. */
static void
v2m_mail_account_drop_returns(char *text)
{
    char *out;

    for (out = text; *text != '\0'; text++) {
        if (text[0] != '\r' || (text[1] != '\n' && text[1] != '\0')) {
            *out++ = *text;
        }
    }

    *out = '\0';
}


/* *text stays NULL when there is no such file. */
static int
v2m_mail_account_read(char **text, const char *directory, const char *name,
                      const char *ending, v2m_error_t *error)
{
    int   rc;
    char *path;

    if (asprintf(&path, "%s/%s.%s", directory, name, ending) < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = access(path, F_OK) != 0 && errno == ENOENT
             ? V2M_OK
             : v2m_config_file("V2M_MAIL_TEMPLATES", path, text, error);

    if (*text != NULL) {
        v2m_mail_account_drop_returns(*text);
    }

    free(path);

    return rc;
}


static int
v2m_mail_account_find(v2m_mail_template_t           *form,
                      const v2m_mail_account_kind_t *kind,
                      const char *directory, v2m_error_t *error)
{
    int rc;

    if (directory != NULL) {
        rc = v2m_mail_account_read(&form->text, directory, kind->name, "txt",
                                   error);

        if (rc == V2M_OK) {
            rc = v2m_mail_account_read(&form->html, directory, kind->name,
                                       "html", error);
        }

        if (rc != V2M_OK || form->text != NULL) {
            return rc;
        }

        if (form->html != NULL) {
            return v2m_error_set(error, V2M_INVALID,
                                 "%s.html of V2M_MAIL_TEMPLATES needs %s.txt "
                                 "beside it",
                                 kind->name, kind->name);
        }
    }

    form->text = strdup(kind->text);
    form->html = strdup(kind->html);

    return form->text != NULL && form->html != NULL
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "out of memory");
}


int
v2m_mail_templates_read(v2m_mail_templates_t templates, const char *directory,
                        v2m_error_t *error)
{
    int         i, rc;
    struct stat status;

    memset(templates, 0, sizeof(v2m_mail_templates_t));

    if (directory != NULL
        && (stat(directory, &status) != 0 || !S_ISDIR(status.st_mode)))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "V2M_MAIL_TEMPLATES must be a directory: there "
                             "is none at \"%s\"",
                             directory);
    }

    for (i = 0, rc = V2M_OK; i < V2M_MAIL_KINDS && rc == V2M_OK; i++) {
        rc = v2m_mail_account_find(&templates[i], &v2m_mail_account_kinds[i],
                                   directory, error);

        if (rc == V2M_OK) {
            rc = v2m_mail_account_form(&templates[i],
                                       &v2m_mail_account_kinds[i], error);
        }
    }

    if (rc != V2M_OK) {
        v2m_mail_templates_free(templates);
    }

    return rc;
}


void
v2m_mail_templates_free(v2m_mail_templates_t templates)
{
    int i;

    for (i = 0; i < V2M_MAIL_KINDS; i++) {
        free(templates[i].subject);
        free(templates[i].text);
        free(templates[i].html);
    }

    memset(templates, 0, sizeof(v2m_mail_templates_t));
}


int
v2m_mail_account_compose(const v2m_mail_account_t  *mail,
                         const v2m_mail_template_t *form, char **text,
                         size_t *length, v2m_error_t *error)
{
    int        rc;
    char       until[64];
    char      *subject, *plain, *html;
    time_t     seconds;
    struct tm  tm;
    v2m_mail_t framed;

    const v2m_template_value_t values[V2M_MAIL_ACCOUNT_NAMES] = {
        { "url", mail->url },
        { "address", mail->to },
        { "until", until },
    };

    *text = NULL;

    seconds = (time_t) mail->until;
    gmtime_r(&seconds, &tm);
    strftime(until, sizeof(until), "%Y-%m-%d %H:%M UTC", &tm);

    subject = v2m_template_fill(form->subject, values, V2M_MAIL_ACCOUNT_NAMES,
                                V2M_TEMPLATE_TEXT);
    plain = v2m_template_fill(form->text, values, V2M_MAIL_ACCOUNT_NAMES,
                              V2M_TEMPLATE_TEXT);
    html = form->html != NULL ? v2m_template_fill(
               form->html, values, V2M_MAIL_ACCOUNT_NAMES, V2M_TEMPLATE_HTML)
                              : NULL;

    framed.sender = mail->sender;
    framed.to = mail->to;
    framed.id = mail->id;
    framed.subject = subject;
    framed.text = plain;
    framed.html = html;
    framed.date = mail->date;

    rc =
        subject != NULL && plain != NULL && (html != NULL || form->html == NULL)
            ? v2m_mail_compose(&framed, text, length, error)
            : v2m_error_set(error, V2M_ERROR, "out of memory");

    v2m_config_wipe(subject);
    v2m_config_wipe(plain);
    v2m_config_wipe(html);

    return rc;
}
