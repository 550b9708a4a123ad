#include "v2m_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_email.h"
#include "v2m_mime.h"

#define V2M_MAIL_NAME_MAX 150 /* characters */


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


void
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
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}


static void
v2m_mail_write_headers(FILE *out, const v2m_mail_t *mail)
{
    char      date[64];
    time_t    seconds;
    struct tm tm;

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
    v2m_mime_header(out, mail->subject);

    fprintf(out,
            "\r\nMessage-ID: <%s@%s>\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n",
            mail->id, strchr(mail->sender->address, '@') + 1);
}


static void
v2m_mail_write_body(FILE *out, const char *type, const char *text)
{
    fprintf(out,
            "Content-Type: %s; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
            type);
    v2m_mime_quoted_printable(out, text);
    fputs("\r\n", out);
}


static void
v2m_mail_write(FILE *out, const v2m_mail_t *mail)
{
    v2m_mail_write_headers(out, mail);

    if (mail->html == NULL) {
        v2m_mail_write_body(out, "text/plain", mail->text);
        return;
    }

    /* '=' followed by '_' is in no quoted-printable text */
    fprintf(out,
            "Content-Type: multipart/alternative;\r\n"
            " boundary=\"=_v2m_%s\"\r\n\r\n--=_v2m_%s\r\n",
            mail->id, mail->id);
    v2m_mail_write_body(out, "text/plain", mail->text);
    fprintf(out, "--=_v2m_%s\r\n", mail->id);
    v2m_mail_write_body(out, "text/html", mail->html);
    fprintf(out, "--=_v2m_%s--\r\n", mail->id);
}


int
v2m_mail_compose(const v2m_mail_t *mail, char **text, size_t *length,
                 v2m_error_t *error)
{
    int   failed;
    FILE *out;

    *text = NULL;

    if (v2m_email_check(mail->to, NULL) != V2M_OK) {
        return v2m_error_set(error, V2M_INVALID,
                             "the user name is no e-mail address");
    }

    out = open_memstream(text, length);
    failed = out == NULL;

    if (!failed) {
        v2m_mail_write(out, mail);
        failed = ferror(out);

        if (fclose(out) != 0) {
            failed = 1;
        }
    }

    if (failed) {
        free(*text);
        *text = NULL;
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}
