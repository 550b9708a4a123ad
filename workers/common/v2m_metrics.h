/*
 * What a worker counts about itself, for Prometheus.  Any thread, never blocks;
 * counts from the process's start.
 */

#ifndef V2M_METRICS_H
#define V2M_METRICS_H

#include <stdint.h>

typedef enum {
    V2M_METRICS_READY,  /* jobs that became an MP3 here */
    V2M_METRICS_FAILED, /* jobs that failed here, each also for one reason: */
    V2M_METRICS_FAILED_FILE,     /* nothing can be made of the file */
    V2M_METRICS_FAILED_LIMIT,    /* it took too long */
    V2M_METRICS_FAILED_CRASH,    /* the transcoder crashed, or misbehaved */
    V2M_METRICS_FAILED_VIDEO,    /* the stored video is gone or damaged */
    V2M_METRICS_FAILED_ATTEMPTS, /* other trouble, too many times */
    V2M_METRICS_SENT,            /* mails */
    V2M_METRICS_REFUSED,         /* mails that were given up */
    V2M_METRICS_PUT_OFF,         /* mails, once for each time */
    V2M_METRICS_HOOK_SENT,       /* the same of webhooks */
    V2M_METRICS_HOOK_REFUSED,
    V2M_METRICS_HOOK_PUT_OFF,
    V2M_METRICS_ACCOUNT_SENT, /* and of mails about accounts */
    V2M_METRICS_ACCOUNT_REFUSED,
    V2M_METRICS_ACCOUNT_PUT_OFF,
    V2M_METRICS_ATTEMPTS,
    V2M_METRICS_REPEATED, /* of these, such that were not the first */
    V2M_METRICS_DONE,     /* what became of deliveries */
    V2M_METRICS_GIVEN_BACK,
    V2M_METRICS_DEAD,
    V2M_METRICS_COUNTERS
} v2m_metrics_counter_t;

typedef enum {
    V2M_METRICS_IN_HAND,   /* deliveries that are not settled */
    V2M_METRICS_HELD,      /* of these, such that wait for their next attempt */
    V2M_METRICS_HANDLERS,  /* threads that handle messages */
    V2M_METRICS_BUSY,      /* of these, such that are at one */
    V2M_METRICS_CONNECTED, /* 1: to the broker, and consuming */
    V2M_METRICS_BLOCKED,   /* 1: the broker takes no messages */
    V2M_METRICS_GAUGES
} v2m_metrics_gauge_t;

typedef enum {
    V2M_METRICS_QUEUE,      /* a message, from its publishing to its first
                               arrival at a worker */
    V2M_METRICS_HANDLING,   /* a message, from a handler's begin to its end */
    V2M_METRICS_CONVERTING, /* a video that became an MP3, all in all */
    V2M_METRICS_FETCHING,   /* of this: waiting for bytes of the video */
    V2M_METRICS_ENCODING,   /* waiting for the transcoder */
    V2M_METRICS_STORING,    /* writing the MP3 and committing it */
    V2M_METRICS_MAILING,    /* a mail, at the mail server */
    V2M_METRICS_HOOKING,    /* a call of a webhook */
    V2M_METRICS_PHASES
} v2m_metrics_phase_t;

void    v2m_metrics_count(v2m_metrics_counter_t counter);
void    v2m_metrics_set(v2m_metrics_gauge_t gauge, int64_t value);
int64_t v2m_metrics_get(v2m_metrics_gauge_t gauge);

/* How long it took, in microseconds. */
void v2m_metrics_took(v2m_metrics_phase_t phase, int64_t us);

/* The worker's loop is alive; how long ago it last said so, in ms. */
void    v2m_metrics_alive(void);
int64_t v2m_metrics_silence_ms(void);

/* The counters as Prometheus text; malloc'ed, NULL: out of memory. */
char *v2m_metrics_text(void);

#endif /* V2M_METRICS_H */
