/*
 * Feeds bodies to the reader of multipart/form-data, in pieces of exactly
 * sized memory, and puts down what it gives as text.
 */

#ifndef MULTIPART_FEED_H
#define MULTIPART_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_multipart.h"

#define TEST_TYPE "multipart/form-data; boundary=boundary"

#define PART(name)                                                             \
    "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_PART(name, filename)                                              \
    "\r\nContent-Disposition: form-data; name=\"" name                         \
    "\"; filename=\"" filename "\"\r\nContent-Type: video/mp4\r\n\r\n"

/*
 * What a reader gave, as text: "(name)" or "(name|file name)" for a part, its
 * data, "." for its end, "$" for the closing boundary, "!" for an error.  Two
 * pieces of data are one, as where they are cut does not matter.
 */
typedef struct {
    char  *text;
    size_t length;
    size_t capacity;
    int    in_part;
    char   error[V2M_ERROR_TEXT];
} test_events_t;

typedef struct {
    v2m_multipart_t reader;
    test_events_t   events;
    int             failed;
} test_feed_t;


static inline void
events_add(test_events_t *events, const void *data, size_t length)
{
    while (events->length + length + 1 > events->capacity) {
        events->capacity = events->capacity ? events->capacity * 2 : 256;
        events->text = realloc(events->text, events->capacity);
        assert_non_null(events->text);
    }

    memcpy(events->text + events->length, data, length);
    events->length += length;
    events->text[events->length] = '\0';
}


static inline void
events_add_text(test_events_t *events, const char *text)
{
    events_add(events, text, strlen(text));
}


static inline void
feed_begin(test_feed_t *feed, const char *type)
{
    char       *copy;
    size_t      length;
    v2m_error_t error;

    memset(feed, 0xA5, sizeof(*feed));
    memset(&feed->events, 0, sizeof(feed->events));
    events_add(&feed->events, "", 0);
    feed->failed = 0;

    length = strlen(type);
    copy = malloc(length);
    assert_non_null(copy);
    memcpy(copy, type, length);

    assert_int_equal(v2m_multipart_init(&feed->reader, copy, length, &error),
                     V2M_OK);
    free(copy);
}


static inline void
feed_event(test_feed_t *feed, v2m_multipart_event_t event)
{
    test_events_t   *events = &feed->events;
    v2m_multipart_t *reader = &feed->reader;

    switch (event) {
    case V2M_MULTIPART_PART:
        assert_false(events->in_part);
        events->in_part = 1;
        events_add_text(events, "(");
        events_add_text(events, reader->name);

        if (reader->has_filename) {
            events_add_text(events, "|");
            events_add_text(events, reader->filename);
        } else {
            assert_string_equal(reader->filename, "");
        }

        events_add_text(events, ")");
        break;

    case V2M_MULTIPART_DATA:
        assert_true(events->in_part);
        assert_int_not_equal(reader->length, 0);
        events_add(events, reader->data, reader->length);
        break;

    case V2M_MULTIPART_END:
        assert_true(events->in_part);
        events->in_part = 0;
        events_add_text(events, ".");
        break;

    case V2M_MULTIPART_DONE:
        assert_false(events->in_part);
        events_add_text(events, "$");
        break;

    default:
        fail();
    }
}


/* Feeds a piece from memory of exactly its size, gone afterwards. */
static inline void
feed_piece(test_feed_t *feed, const void *data, size_t length)
{
    int                   rc;
    v2m_error_t           error;
    unsigned char        *piece;
    const unsigned char  *position, *before;
    v2m_multipart_event_t event;

    if (feed->failed) {
        return;
    }

    piece = malloc(length > 0 ? length : 1);
    assert_non_null(piece);
    memcpy(piece, data, length);
    position = piece;

    for (;;) {
        before = position;
        rc = v2m_multipart_read(&feed->reader, &position, piece + length,
                                &event, &error);

        assert_true(position >= before && position <= piece + length);

        if (rc != V2M_OK) {
            assert_int_equal(rc, V2M_INVALID);
            assert_int_equal(error.code, V2M_INVALID);
            feed->failed = 1;
            events_add_text(&feed->events, "!");
            strcpy(feed->events.error, error.text);
            break;
        }

        if (event == V2M_MULTIPART_MORE) {
            assert_ptr_equal(position, piece + length);
            break;
        }

        feed_event(feed, event);
    }

    free(piece);
}


/* The events of a body fed in pieces that end at the places given. */
static inline test_events_t
feed_cut(const char *type, const void *body, size_t length, const size_t *cuts,
         size_t count)
{
    size_t      i, from;
    test_feed_t feed;

    feed_begin(&feed, type);

    for (i = 0, from = 0; i < count; i++) {
        feed_piece(&feed, (const char *) body + from, cuts[i] - from);
        from = cuts[i];
    }

    feed_piece(&feed, (const char *) body + from, length - from);

    return feed.events;
}


static inline test_events_t
feed_bytes(const char *type, const void *body, size_t length)
{
    size_t      i;
    test_feed_t feed;

    feed_begin(&feed, type);

    for (i = 0; i < length; i++) {
        feed_piece(&feed, (const char *) body + i, 1);
    }

    return feed.events;
}


static inline void
assert_events(const test_events_t *events, const void *text, size_t length)
{
    if (events->length != length || memcmp(events->text, text, length) != 0) {
        fail_msg("events \"%s\" (%zu bytes) instead of \"%s\" (%zu bytes)",
                 events->text, events->length, (const char *) text, length);
    }
}


/* Whole and byte by byte. */
static inline void
assert_body_of(const char *type, const char *body, size_t length,
               const char *expected)
{
    test_events_t events;

    events = feed_cut(type, body, length, NULL, 0);
    assert_events(&events, expected, strlen(expected));
    free(events.text);

    events = feed_bytes(type, body, length);
    assert_events(&events, expected, strlen(expected));
    free(events.text);
}


static inline void
assert_body(const char *body, const char *expected)
{
    assert_body_of(TEST_TYPE, body, strlen(body), expected);
}

#endif /* MULTIPART_FEED_H */
