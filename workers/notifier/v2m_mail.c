#include "v2m_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_email.h"
#include "v2m_mime.h"

#define V2M_MAIL_NAME_MAX   150 /* characters */
#define V2M_MAIL_REASON_MAX 500

/* What the two forms of the text are made of, clean. */
typedef struct {
    const v2m_mail_t *mail;
    char             *name;   /* NULL: not known */
    char             *reason; /* NULL: ready */
} v2m_mail_content_t;


/* What stands before the '<', without the quotes; NULL when there is none. */
static int
v2m_mail_display_name(char **name, const char *text, size_t length)
{
    char *raw;

    while (length > 0 && text[length - 1] == ' ') {
        length--;
    }

    if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
        text++;
        length -= 2;
    }

    *name = NULL;

    if (length == 0) {
        return V2M_OK;
    }

    raw = strndup(text, length);
    if (raw != NULL) {
        *name = v2m_mime_clean(raw, V2M_MAIL_NAME_MAX);
        free(raw);
    }

    return *name != NULL ? V2M_OK : V2M_ERROR;
}


int
v2m_mail_sender_parse(v2m_mail_sender_t *sender, const char *text,
                      v2m_error_t *error)
{
    int         rc;
    size_t      length;
    const char *open;

    memset(sender, 0, sizeof(*sender));

    rc = V2M_OK;
    open = strchr(text, '<');
    length = strlen(text);

    if (open == NULL) {
        sender->address = strdup(text);

    } else if (text[length - 1] == '>') {
        rc = v2m_mail_display_name(&sender->name, text, (size_t) (open - text));
        sender->address = strndup(open + 1, strlen(open) - 2);
    }

    if (rc != V2M_OK || sender->address == NULL
        || v2m_email_check(sender->address, NULL) != V2M_OK)
    {
        v2m_mail_sender_free(sender);
        return v2m_error_set(error, V2M_INVALID,
                             "the sender of mails must be \"Name "
                             "<address@domain>\" or an address alone");
    }

    return V2M_OK;
}


void
v2m_mail_sender_free(v2m_mail_sender_t *sender)
{
    free(sender->name);
    free(sender->address);
    memset(sender, 0, sizeof(*sender));
}


static void
v2m_mail_html(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}


static void
v2m_mail_write_subject(FILE *out, const v2m_mail_content_t *content)
{
    fputs(content->reason == NULL ? "Your MP3 is ready"
                                  : "Your video could not be converted",
          out);

    if (content->name != NULL) {
        fprintf(out, ": %s", content->name);
    }
}


static void
v2m_mail_write_video(FILE *out, const v2m_mail_content_t *content)
{
    if (content->name != NULL) {
        fprintf(out, "your video \"%s\"", content->name);
    } else {
        fputs("your video", out);
    }
}


static void
v2m_mail_write_text(FILE *out, const v2m_mail_content_t *content)
{
    const v2m_mail_t *mail;

    mail = content->mail;

    fputs("Hello,\n\n", out);
    v2m_mail_write_video(out, content);

    if (content->reason == NULL) {
        fprintf(out,
                " is now an MP3. You find it here:\n\n"
                "%s/download?fid=%s\n\n"
                "The download asks for the token of your login. With curl:\n\n"
                "curl -OJ -H \"Authorization: Bearer $TOKEN\" \\\n"
                "    \"%s/download?fid=%s\"\n\n"
                "Its id is %s.\n",
                mail->url, mail->id, mail->url, mail->id, mail->id);
        return;
    }

    fprintf(out,
            " could not be converted to an MP3.\n\n"
            "The reason: %s.\n\n"
            "What you can do: check that the file plays and has sound, then "
            "upload it again at %s. If that does not help, ask who runs the "
            "service and name the id %s.\n",
            content->reason, mail->url, mail->id);
}


static void
v2m_mail_write_html_video(FILE *out, const v2m_mail_content_t *content)
{
    fputs("<p>Hello,</p>\n<p>your video", out);

    if (content->name != NULL) {
        fputs(" <b>", out);
        v2m_mail_html(out, content->name);
        fputs("</b>", out);
    }
}


static void
v2m_mail_write_html(FILE *out, const v2m_mail_content_t *content)
{
    const v2m_mail_t *mail;

    mail = content->mail;

    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<body>\n", out);
    v2m_mail_write_html_video(out, content);

    if (content->reason == NULL) {
        fputs(" is now an MP3.</p>\n<p><a href=\"", out);
        v2m_mail_html(out, mail->url);
        fprintf(out, "/download?fid=%s\">Download it</a></p>\n", mail->id);
        fprintf(out,
                "<p>The download asks for the token of your login. Its id is "
                "<code>%s</code>.</p>\n",
                mail->id);

    } else {
        fputs(" could not be converted to an MP3.</p>\n<p>The reason: ", out);
        v2m_mail_html(out, content->reason);
        fputs(".</p>\n<p>What you can do: check that the file plays and has "
              "sound, then <a href=\"",
              out);
        v2m_mail_html(out, mail->url);
        fprintf(out,
                "\">upload it again</a>. If that does not help, ask who runs "
                "the service and name the id <code>%s</code>.</p>\n",
                mail->id);
    }

    fputs("</body>\n</html>\n", out);
}


typedef void (*v2m_mail_write_pt)(FILE *out, const v2m_mail_content_t *content);


/* The text that a function writes; NULL when out of memory. */
static char *
v2m_mail_written(v2m_mail_write_pt write, const v2m_mail_content_t *content)
{
    int    failed;
    char  *text;
    FILE  *out;
    size_t length;

    text = NULL;

    out = open_memstream(&text, &length);
    if (out == NULL) {
        return NULL;
    }

    write(out, content);
    failed = ferror(out);

    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }

    return text;
}


static int
v2m_mail_write_part(FILE *out, const v2m_mail_content_t *content,
                    const char *type, v2m_mail_write_pt write)
{
    char *text;

    text = v2m_mail_written(write, content);
    if (text == NULL) {
        return V2M_ERROR;
    }

    fprintf(out,
            "--=_v2m_%s\r\n"
            "Content-Type: %s; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
            content->mail->id, type);
    v2m_mime_quoted_printable(out, text);
    fputs("\r\n", out);

    free(text);

    return V2M_OK;
}


static int
v2m_mail_write_headers(FILE *out, const v2m_mail_content_t *content)
{
    char              date[64], *subject;
    time_t            seconds;
    struct tm         tm;
    const v2m_mail_t *mail;

    mail = content->mail;

    subject = v2m_mail_written(v2m_mail_write_subject, content);
    if (subject == NULL) {
        return V2M_ERROR;
    }

    seconds = (time_t) mail->date;
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);

    fprintf(out, "Date: %s\r\nFrom: ", date);

    if (mail->sender->name != NULL) {
        v2m_mime_phrase(out, mail->sender->name);
        fputs("\r\n ", out);
    }

    fprintf(out, "<%s>\r\nTo: <%s>\r\nSubject: ", mail->sender->address,
            mail->to);
    v2m_mime_header(out, subject);
    free(subject);

    /* '=' followed by '_' is in no quoted-printable text */
    fprintf(out,
            "\r\nMessage-ID: <%s.mp3@%s>\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: multipart/alternative;\r\n"
            " boundary=\"=_v2m_%s\"\r\n\r\n",
            mail->id, strchr(mail->sender->address, '@') + 1, mail->id);

    return V2M_OK;
}


static int
v2m_mail_write(FILE *out, const v2m_mail_content_t *content)
{
    if (v2m_mail_write_headers(out, content) != V2M_OK
        || v2m_mail_write_part(out, content, "text/plain", v2m_mail_write_text)
               != V2M_OK
        || v2m_mail_write_part(out, content, "text/html", v2m_mail_write_html)
               != V2M_OK)
    {
        return V2M_ERROR;
    }

    fprintf(out, "--=_v2m_%s--\r\n", content->mail->id);

    return ferror(out) ? V2M_ERROR : V2M_OK;
}


/* A reason is part of a sentence, and may come without or with its stop. */
static char *
v2m_mail_clean_reason(const char *reason)
{
    char  *clean;
    size_t length;

    clean = v2m_mime_clean(reason, V2M_MAIL_REASON_MAX);

    if (clean != NULL) {
        length = strlen(clean);

        while (length > 0
               && (clean[length - 1] == '.' || clean[length - 1] == ' ')) {
            clean[--length] = '\0';
        }
    }

    return clean;
}


int
v2m_mail_compose(const v2m_mail_t *mail, char **text, size_t *length,
                 v2m_error_t *error)
{
    int                rc;
    FILE              *out;
    v2m_mail_content_t content;

    if (v2m_email_check(mail->to, NULL) != V2M_OK) {
        return v2m_error_set(error, V2M_INVALID,
                             "the user name is no e-mail address");
    }

    memset(&content, 0, sizeof(content));
    content.mail = mail;
    *text = NULL;

    rc = V2M_ERROR;
    out = open_memstream(text, length);

    if (mail->name != NULL && *mail->name != '\0') {
        content.name = v2m_mime_clean(mail->name, V2M_MAIL_NAME_MAX);
    }

    if (mail->reason != NULL) {
        content.reason = v2m_mail_clean_reason(mail->reason);
    }

    if (out != NULL && (content.reason != NULL || mail->reason == NULL)) {
        rc = v2m_mail_write(out, &content);
    }

    if (out != NULL && fclose(out) != 0) {
        rc = V2M_ERROR;
    }

    free(content.name);
    free(content.reason);

    if (rc != V2M_OK) {
        free(*text);
        *text = NULL;
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}
