/*
 * What the command's calls of the service share: whose they are, and how their
 * failures are told and what the program ends with then.
 */

#ifndef V2M_CLIENT_H
#define V2M_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "v2m_account.h"
#include "v2m_call.h"

/* What the program ends with. */
#define V2M_CLIENT_DONE   0
#define V2M_CLIENT_FAILED 1 /* a job failed, or a file, or the call */
#define V2M_CLIENT_USAGE  2
#define V2M_CLIENT_DENIED 3 /* not logged in */
#define V2M_CLIENT_AWAY   4 /* the service is away or too busy */

typedef struct {
    v2m_account_t account;
    const char   *query;     /* conversion options, "a=1&b=2"; "" for none */
    int64_t       resumable; /* files of so many bytes go by tus */
    int           progress;  /* is shown */
} v2m_client_t;

/* A header with a fresh Idempotency-Key, by which the service knows a call that
 * is repeated; 0: the system has no random number. */
#define V2M_CLIENT_KEY 64
int v2m_client_key(char header[V2M_CLIENT_KEY]);

/* Makes the call with the account's token, or with what it has of its own; the
 * path is put after the service's address.  As v2m_call(), and V2M_DENIED:
 * there is no token. */
int v2m_client_ask(v2m_client_t *client, v2m_call_t *call, const char *path,
                   v2m_call_answer_t *answer, v2m_error_t *error);

/* What came of v2m_client_ask(), as what the program ends with; complains when
 * that is not V2M_CLIENT_DONE, an answer of class 2xx.  The call is about this
 * file or job; NULL: about none. */
int v2m_client_judge(const char *about, int rc, const v2m_call_answer_t *answer,
                     const v2m_error_t *error);

/* Both in one.  *value: the JSON of the answer, to be json_decref()ed; value
 * may be NULL. */
int v2m_client_call(v2m_client_t *client, const char *about, v2m_call_t *call,
                    const char *path, json_t **value);

/* 24 hex digits; nothing else becomes part of an address or a file's name. */
int v2m_client_is_id(const char *text);

/* A string of a job, or "". */
const char *v2m_client_text(const json_t *job, const char *name);

/* On standard error, beside what is shown of progress. */
void v2m_client_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif /* V2M_CLIENT_H */
