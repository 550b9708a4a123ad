#include "v2m_mail_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_mime.h"

#define V2M_MAIL_JOB_NAME_MAX   150 /* characters */
#define V2M_MAIL_JOB_REASON_MAX 500

/* What the texts are made of, clean. */
typedef struct {
    const v2m_mail_job_t *mail;
    char                 *name;   /* NULL: not known */
    char                 *reason; /* NULL: ready */
} v2m_mail_job_content_t;


static void
v2m_mail_job_write_subject(FILE *out, const v2m_mail_job_content_t *content)
{
    fputs(content->reason == NULL ? "Your MP3 is ready"
                                  : "Your video could not be converted",
          out);

    if (content->name != NULL) {
        fprintf(out, ": %s", content->name);
    }
}


static void
v2m_mail_job_write_video(FILE *out, const v2m_mail_job_content_t *content)
{
    if (content->name != NULL) {
        fprintf(out, "your video \"%s\"", content->name);
    } else {
        fputs("your video", out);
    }
}


static void
v2m_mail_job_write_text(FILE *out, const v2m_mail_job_content_t *content)
{
    const v2m_mail_job_t *mail;

    mail = content->mail;

    fputs("Hello,\n\n", out);
    v2m_mail_job_write_video(out, content);

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
v2m_mail_job_write_html_video(FILE *out, const v2m_mail_job_content_t *content)
{
    fputs("<p>Hello,</p>\n<p>your video", out);

    if (content->name != NULL) {
        fputs(" <b>", out);
        v2m_mail_html(out, content->name);
        fputs("</b>", out);
    }
}


static void
v2m_mail_job_write_html(FILE *out, const v2m_mail_job_content_t *content)
{
    const v2m_mail_job_t *mail;

    mail = content->mail;

    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<body>\n", out);
    v2m_mail_job_write_html_video(out, content);

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


typedef void (*v2m_mail_job_write_pt)(FILE                         *out,
                                      const v2m_mail_job_content_t *content);


/* The text that a function writes; NULL when out of memory. */
static char *
v2m_mail_job_written(v2m_mail_job_write_pt         write,
                     const v2m_mail_job_content_t *content)
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


/* A reason is part of a sentence, and may come without or with its stop. */
static char *
v2m_mail_job_clean_reason(const char *reason)
{
    char  *clean;
    size_t length;

    clean = v2m_mime_clean(reason, V2M_MAIL_JOB_REASON_MAX);

    if (clean != NULL) {
        length = strlen(clean);

        while (length > 0
               && (clean[length - 1] == '.' || clean[length - 1] == ' ')) {
            clean[--length] = '\0';
        }
    }

    return clean;
}


static int
v2m_mail_job_frame(const v2m_mail_job_content_t *content, char **text,
                   size_t *length, v2m_error_t *error)
{
    int        rc;
    char       id[sizeof("65f000000000000000000abc.mp3")];
    char      *subject, *plain, *html;
    v2m_mail_t mail;

    snprintf(id, sizeof(id), "%s.mp3", content->mail->id);

    subject = v2m_mail_job_written(v2m_mail_job_write_subject, content);
    plain = v2m_mail_job_written(v2m_mail_job_write_text, content);
    html = v2m_mail_job_written(v2m_mail_job_write_html, content);

    mail.sender = content->mail->sender;
    mail.to = content->mail->to;
    mail.id = id;
    mail.subject = subject;
    mail.text = plain;
    mail.html = html;
    mail.date = content->mail->date;

    rc = subject != NULL && plain != NULL && html != NULL
             ? v2m_mail_compose(&mail, text, length, error)
             : v2m_error_set(error, V2M_ERROR, "out of memory");

    free(subject);
    free(plain);
    free(html);

    return rc;
}


int
v2m_mail_job_compose(const v2m_mail_job_t *mail, char **text, size_t *length,
                     v2m_error_t *error)
{
    int                    rc;
    v2m_mail_job_content_t content;

    memset(&content, 0, sizeof(content));
    content.mail = mail;

    if (mail->name != NULL && *mail->name != '\0') {
        content.name = v2m_mime_clean(mail->name, V2M_MAIL_JOB_NAME_MAX);
    }

    if (mail->reason != NULL) {
        content.reason = v2m_mail_job_clean_reason(mail->reason);
    }

    rc = content.reason != NULL || mail->reason == NULL
             ? v2m_mail_job_frame(&content, text, length, error)
             : v2m_error_set(error, V2M_ERROR, "out of memory");

    free(content.name);
    free(content.reason);

    return rc;
}
