/*
 * What a worker counts about itself, for Prometheus.  Any thread, never blocks;
 * counts from the process's start.
 */

#ifndef V2M_METRICS_H
#define V2M_METRICS_H

#include <stdint.h>

typedef enum {
    V2M_METRICS_READY,     /* jobs that became an MP3 here */
    V2M_METRICS_FAILED,    /* jobs that failed here */
    V2M_METRICS_SENT,      /* mails */
    V2M_METRICS_REFUSED,   /* mails that were given up */
    V2M_METRICS_PUT_OFF,   /* mails, once for each time */
    V2M_METRICS_HOOK_SENT, /* the same of webhooks */
    V2M_METRICS_HOOK_REFUSED,
    V2M_METRICS_HOOK_PUT_OFF,
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
    V2M_METRICS_CONNECTED, /* 1: to the broker, and consuming */
    V2M_METRICS_BLOCKED,   /* 1: the broker takes no messages */
    V2M_METRICS_GAUGES
} v2m_metrics_gauge_t;

typedef enum {
    V2M_METRICS_HANDLING,   /* a message, from a handler's begin to its end */
    V2M_METRICS_CONVERTING, /* a video, without the commit */
    V2M_METRICS_COMMITTING, /* an MP3 */
    V2M_METRICS_MAILING,    /* a mail, at the mail server */
    V2M_METRICS_HOOKING,    /* a call of a webhook */
    V2M_METRICS_PHASES
} v2m_metrics_phase_t;

void    v2m_metrics_count(v2m_metrics_counter_t counter);
void    v2m_metrics_set(v2m_metrics_gauge_t gauge, int64_t value);
int64_t v2m_metrics_get(v2m_metrics_gauge_t gauge);
void    v2m_metrics_took(v2m_metrics_phase_t phase, int64_t milliseconds);

/* The worker's loop is alive; how long ago it last said so, in ms. */
void    v2m_metrics_alive(void);
int64_t v2m_metrics_silence_ms(void);

/* The counters as Prometheus text; malloc'ed, NULL: out of memory. */
char *v2m_metrics_text(void);

#endif /* V2M_METRICS_H */
