/*
 * A mail: file name, reason, receiver and sender, each up to a zero byte.
 * Whatever they are, its headers are those that there ought to be, and its
 * lines are as SMTP takes them.
 */

#ifndef FUZZ_MAIL_H
#define FUZZ_MAIL_H

#include "fuzz.h"
#include "v2m_email.h"
#include "v2m_mail_job.h"

#define FUZZ_MAIL_HEADERS 8
#define FUZZ_MAIL_LINE    998 /* RFC 5322, 2.1.1 */


static inline int
fuzz_mail_is_header(const char *line)
{
    size_t i;

    static const char *const names[FUZZ_MAIL_HEADERS] = {
        "Date: ",       "From: ",           "To: ",           "Subject: ",
        "Message-ID: ", "Auto-Submitted: ", "MIME-Version: ", "Content-Type: ",
    };

    for (i = 0; i < FUZZ_MAIL_HEADERS; i++) {
        if (strncmp(line, names[i], strlen(names[i])) == 0) {
            return 1;
        }
    }

    return 0;
}


static inline void
fuzz_mail_lines(const char *text, size_t length)
{
    int         headers, count;
    size_t      i, used;
    const char *end;

    headers = 1;
    count = 0;

    for (; length > 0; text += used, length -= used) {
        end = memchr(text, '\n', length);
        FUZZ_CHECK(end != NULL && end > text && end[-1] == '\r');
        used = (size_t) (end - text) + 1;
        FUZZ_CHECK(used <= FUZZ_MAIL_LINE + 2);

        for (i = 0; i + 2 < used; i++) {
            FUZZ_CHECK(text[i] >= 0x20 && text[i] < 0x7F);
        }

        if (headers && *text != ' ') {
            headers = *text != '\r';
            FUZZ_CHECK(!headers || fuzz_mail_is_header(text));
            count += headers;
        }
    }

    FUZZ_CHECK(count == FUZZ_MAIL_HEADERS);
}


static inline int
fuzz_mail(const uint8_t *bytes, size_t length)
{
    int               given;
    char             *name, *reason, *to, *from, *text;
    size_t            text_length;
    v2m_mail_job_t    mail;
    v2m_error_t       error;
    v2m_mail_sender_t sender;

    name = fuzz_text(&bytes, &length);
    reason = fuzz_text(&bytes, &length);
    to = fuzz_text(&bytes, &length);
    from = fuzz_text(&bytes, &length);

    given = v2m_mail_sender_parse(&sender, from, &error) == V2M_OK;

    if (!given) {
        FUZZ_CHECK(v2m_mail_sender_parse(&sender, "v2m@example.com", &error)
                   == V2M_OK);
    }

    memset(&mail, 0, sizeof(mail));
    mail.sender = &sender;
    mail.to = v2m_email_check(to, NULL) == V2M_OK ? to : "ann@example.com";
    mail.id = "0123456789abcdef01234567";
    mail.name = name;
    mail.reason = *reason != '\0' ? reason : NULL;
    mail.url = "https://v2m.example.com";
    mail.date = 1700000000;

    FUZZ_CHECK(v2m_mail_job_compose(&mail, &text, &text_length, &error)
               == V2M_OK);
    fuzz_mail_lines(text, text_length);

    free(text);
    v2m_mail_sender_free(&sender);
    free(name);
    free(reason);
    free(to);
    free(from);

    return 0;
}

#endif /* FUZZ_MAIL_H */
