/*
 * Server-sent events: what the requests (ngx_http_v2m_events.c), their streams
 * (ngx_http_v2m_events_stream.c) and the worker process's one poll for all of
 * them (ngx_http_v2m_events_poll.c) share.
 * Everything is for the event loop, unless it says otherwise.
 */

#ifndef NGX_HTTP_V2M_EVENTS_H
#define NGX_HTTP_V2M_EVENTS_H

#include "ngx_http_v2m_module.h"
#include "v2m_job.h"

/* Jobs that a stream holds back while its client does not read; one more, and
 * the stream ends, for the client to ask anew. */
#define NGX_HTTP_V2M_EVENTS_PENDING 1000

typedef struct ngx_http_v2m_events_user_s ngx_http_v2m_events_user_t;

/* Of the http block. */
typedef struct {
    ngx_msec_t interval;     /* of the poll */
    ngx_msec_t heartbeat;    /* of each stream */
    ngx_int_t  max;          /* streams of a worker process */
    ngx_int_t  max_per_user; /* likewise */
} ngx_http_v2m_events_main_conf_t;

/* A job as it was found, malloc'ed, and shared by the streams that wait to send
 * it. */
typedef struct {
    ngx_uint_t refs;
    v2m_id_t   id;
    int64_t    updated_ms;
    int64_t    since_ms; /* the query that found it gave all changes since */
    uint32_t   hash;     /* of the text */
    ngx_uint_t ended;    /* the job has its end state */
    size_t     length;
    char      *json;
    char      *owner;
} ngx_http_v2m_event_t;

typedef struct {
    ngx_http_v2m_event_t **events;
    size_t                 count;
} ngx_http_v2m_event_list_t;

/* A stream, in its request's pool. */
typedef struct {
    ngx_http_request_t         *request;
    ngx_queue_t                 queue;   /* the worker process's */
    ngx_queue_t                 peers;   /* the user's */
    ngx_http_v2m_events_user_t *user;    /* NULL: not in the queues */
    v2m_id_t                    job;     /* empty: all of the user's */
    int64_t                     expires; /* the token, seconds */

    ngx_event_t            event; /* the heartbeat; posted: there is news */
    ngx_http_v2m_event_t **pending;
    size_t                 count;
    size_t                 capacity;
    uint32_t               last; /* the hash of what was last taken, if so */

    ngx_buf_t   buf; /* being sent */
    ngx_chain_t out;
    u_char     *memory; /* the buffer's, NULL: none is being sent */

    unsigned started : 1; /* the header was sent */
    unsigned taken : 1;
    unsigned asked : 1;   /* the poll under way asks whether the job exists */
    unsigned gone : 1;    /* it does not */
    unsigned comment : 1; /* to be sent */
    unsigned ending : 1;  /* after what is pending */
    unsigned overflowed : 1; /* more was pending than may be */
} ngx_http_v2m_listener_t;

extern ngx_module_t ngx_http_v2m_events_module;

/* The streams */

/* Makes a stream of the request; NULL: out of memory. */
ngx_http_v2m_listener_t *ngx_http_v2m_events_listener(ngx_http_request_t *r);

/* Sends the header, and a first block that sets the event's id for clients to
 * come back with.  NGX_DONE; else what to finalize the request with. */
ngx_int_t ngx_http_v2m_events_start(ngx_http_v2m_listener_t *listener,
                                    int64_t since_ms, uint32_t last);

/* From now on the stream sends what there is. */
void ngx_http_v2m_events_go(ngx_http_v2m_listener_t *listener);

/* There is news for the stream. */
void ngx_http_v2m_events_wake(ngx_http_v2m_listener_t *listener);

/* The events of these jobs, which are used up.  Any thread.  Returns a V2M_*
 * code. */
int  ngx_http_v2m_event_list_make(ngx_http_v2m_event_list_t *list,
                                  v2m_job_t *jobs, size_t count,
                                  v2m_error_t *error);
void ngx_http_v2m_event_list_free(ngx_http_v2m_event_list_t *list);

/* Notes the event as one to be sent, unless a newer one is. */
void ngx_http_v2m_events_put(ngx_http_v2m_listener_t *listener,
                             ngx_http_v2m_event_t    *event);

/* The poll */

/* NGX_OK: the stream hears of changes from now on, until it leaves; NGX_BUSY:
 * the process has too many streams; NGX_DECLINED: its user has; NGX_ERROR. */
ngx_int_t ngx_http_v2m_events_join(ngx_http_v2m_listener_t         *listener,
                                   const char                      *owner,
                                   ngx_http_v2m_events_main_conf_t *emcf);

/* May be called again. */
void ngx_http_v2m_events_leave(ngx_http_v2m_listener_t *listener);

/* Hands what a query for changes since then found to all whom it is news for,
 * and in any case to the target (NULL: none). */
void ngx_http_v2m_events_deliver(const ngx_http_v2m_event_list_t *list,
                                 int64_t                          since_ms,
                                 ngx_http_v2m_listener_t         *target);

#endif /* NGX_HTTP_V2M_EVENTS_H */
