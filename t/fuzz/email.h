/* Addresses: of users, who get mails, and of the sender. */

#ifndef FUZZ_EMAIL_H
#define FUZZ_EMAIL_H

#include "fuzz.h"
#include "v2m_email.h"
#include "v2m_mail.h"


/* What passes may stand in a header and an SMTP command as it is. */
static inline void
fuzz_email_harmless(const char *address)
{
    for (; *address != '\0'; address++) {
        FUZZ_CHECK(*address > 0x20 && *address < 0x7F);
        FUZZ_CHECK(strchr("<>()[],;:\\\"", *address) == NULL);
    }
}


static inline int
fuzz_email(const uint8_t *bytes, size_t length)
{
    int               is_address;
    char             *text;
    v2m_error_t       error;
    v2m_mail_sender_t sender;

    text = fuzz_text(&bytes, &length);
    is_address = v2m_email_check(text, &error) == V2M_OK;

    if (is_address) {
        fuzz_email_harmless(text);
    }

    if (v2m_mail_sender_parse(&sender, text, &error) == V2M_OK) {
        FUZZ_CHECK(v2m_email_check(sender.address, &error) == V2M_OK);
        FUZZ_CHECK(
            sender.name == NULL
            || (fuzz_is_utf8(sender.name) && !fuzz_has_controls(sender.name)));
        v2m_mail_sender_free(&sender);

    } else {
        FUZZ_CHECK(error.code == V2M_INVALID && !is_address);
    }

    free(text);

    return 0;
}

#endif /* FUZZ_EMAIL_H */
