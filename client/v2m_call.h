/*
 * One call of the service over HTTP: the one place of the client that uses
 * libcurl.  Certificates are verified, redirects are not followed, and no
 * secret leaves but in the Authorization header.
 */

#ifndef V2M_CALL_H
#define V2M_CALL_H

#include <stdint.h>
#include <stdio.h>

#include "v2m_error.h"
#include "v2m_screen.h"

#define V2M_CALL_HEADER 1024

/* A header of an answer. */
typedef struct {
    const char *name;                   /* NULL: the end of a list */
    char        value[V2M_CALL_HEADER]; /* "": it is not there, or longer */
} v2m_call_header_t;

/* Zeroed before its fields are set; strings, lists and files stay the
 * caller's. */
typedef struct {
    const char *url;
    const char *method;
    const char *token; /* NULL: none */
    const char *email; /* HTTP Basic instead, with password; NULL: none */
    const char *password;
    FILE       *body;      /* NULL: none */
    int64_t     body_from; /* where in it what is sent begins */
    const char *type;      /* of the body; NULL: application/octet-stream */
    const char *const *headers; /* more, "NAME: VALUE", up to a NULL; or NULL */
    v2m_call_header_t *wanted;  /* are looked up in the answer; or NULL */
    FILE              *out; /* takes what a 2xx brings; NULL: the answer does */
    int64_t            from; /* > 0: ask for the range from here on, if ... */
    const char        *version; /* ... it is still this one (If-Range) */
    v2m_screen_line_t *line;    /* shows how far it is; NULL: nothing does */
    int                once;    /* is not tried again */
    int                keyed;   /* has an Idempotency-Key */
} v2m_call_t;

typedef struct {
    long   status;
    long   wait_s; /* as Retry-After says, 0: nothing */
    char  *text;   /* malloc'ed; NULL: nothing came */
    size_t length;
    int    repeated; /* an earlier try may have done it */
} v2m_call_answer_t;

/* No Retry-After is waited for longer. */
#define V2M_CALL_WAIT_S 60

/* Once, before the first call and before threads are made. */
int  v2m_call_init(v2m_error_t *error);
void v2m_call_exit(void);

/* The part of an URL, percent-encoded; malloc'ed, NULL when out of memory. */
char *v2m_call_escape(const char *text);

/*
 * Makes the call; one that the service cannot serve now (429, 502, 503, 504,
 * and 409 while a key is in use), or that does not reach it, is tried again
 * with growing pauses, as long as Retry-After says when that is longer, five
 * times in all; not one with "out" of which something came.  V2M_UNAVAILABLE:
 * there was no answer. V2M_ERROR: "out" or "body" failed, or the call was
 * interrupted.  The answer is to be freed with v2m_call_answer_free(), whatever
 * comes of it.
 */
int v2m_call(const v2m_call_t *call, v2m_call_answer_t *answer,
             v2m_error_t *error);

/* Wipes it: it may hold a token. */
void v2m_call_answer_free(v2m_call_answer_t *answer);

/* Ends the calls and pauses that are under way; for a signal handler. */
void v2m_call_interrupt(void);
int  v2m_call_interrupted(void);

/* Waits for so long; 0: it was interrupted. */
int v2m_call_pause(int64_t milliseconds);

#endif /* V2M_CALL_H */
