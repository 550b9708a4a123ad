/*
 * The result codes and the error text that every part of v2m uses.
 *
 * A function that can fail returns V2M_OK or one of the negative codes below
 * and takes a v2m_error_t as its last argument, which it fills on failure.
 * The text is one lower-case sentence without a full stop, written for a
 * person; it names no secret.  Errors of class V2M_INVALID and V2M_DENIED may
 * be shown to a client as they are, all others go to a log only.
 */

#ifndef V2M_ERROR_H
#define V2M_ERROR_H

#define V2M_OK          0
#define V2M_ERROR       -1 /* a fault of ours, or out of memory */
#define V2M_UNAVAILABLE -2 /* a backend is away or slow: try later */
#define V2M_NOT_FOUND   -3 /* there is no such thing */
#define V2M_CONFLICT    -4 /* duplicate key, or a compare-and-set was lost */
#define V2M_INVALID     -5 /* the input is unusable: trying again is no help */
#define V2M_DENIED      -6 /* wrong credentials or an unacceptable token */
#define V2M_FULL        -7 /* no room left in a store or a bounded queue */
#define V2M_CORRUPT     -8 /* stored data contradicts its own description */

#define V2M_ERROR_TEXT 256

typedef struct {
    int  code;
    char text[V2M_ERROR_TEXT];
} v2m_error_t;

/*
 * Fills the error and returns the code, so that a caller can write
 * "return v2m_error_set(...)".  The error may be NULL.  A text that is too
 * long is cut at a character's border.  Thread-safe.
 */
int v2m_error_set(v2m_error_t *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The code's name for logs: "unavailable", "not found", ...  Static text. */
const char *v2m_error_name(int code);

#endif /* V2M_ERROR_H */
