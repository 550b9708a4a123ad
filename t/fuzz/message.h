/* The messages in the queues; what was read can be sent and read again. */

#ifndef FUZZ_MESSAGE_H
#define FUZZ_MESSAGE_H

#include "fuzz.h"
#include "v2m_message.h"


static inline int
fuzz_message_same(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other
                                        : strcmp(one, other) == 0;
}


static inline int
fuzz_message(const uint8_t *bytes, size_t length)
{
    int           rc;
    char         *copy, *text;
    v2m_error_t   error;
    v2m_message_t message, again;

    copy = fuzz_copy(bytes, length);
    rc = v2m_message_parse(&message, copy, length, &error);
    free(copy);

    if (rc == V2M_OK) {
        FUZZ_CHECK(strlen(message.video_fid) == V2M_ID_LENGTH);
        FUZZ_CHECK(message.username[0] != '\0');
        FUZZ_CHECK(!fuzz_has_controls(message.username));
        FUZZ_CHECK(message.name == NULL || !fuzz_has_controls(message.name));

        text = v2m_message_format(&message);
        FUZZ_CHECK(text != NULL);
        FUZZ_CHECK(v2m_message_parse(&again, text, strlen(text), &error)
                   == V2M_OK);
        FUZZ_CHECK(strcmp(message.video_fid, again.video_fid) == 0);
        FUZZ_CHECK(strcmp(message.mp3_fid, again.mp3_fid) == 0);
        FUZZ_CHECK(strcmp(message.username, again.username) == 0);
        FUZZ_CHECK(strcmp(message.traceparent, again.traceparent) == 0);
        FUZZ_CHECK(fuzz_message_same(message.name, again.name));
        FUZZ_CHECK(fuzz_message_same(message.error, again.error));
        v2m_message_free(&again);
        free(text);

    } else {
        FUZZ_CHECK(rc == V2M_INVALID && error.text[0] != '\0');
    }

    v2m_message_free(&message);

    return 0;
}

#endif /* FUZZ_MESSAGE_H */
