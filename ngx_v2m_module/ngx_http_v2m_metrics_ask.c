/*
 * What the metrics tell of the backends: how many jobs there are, and how many
 * messages wait.  It is asked for in the background, and only when somebody
 * wants the metrics: what they tell is what was found for whoever came before.
 */

#include "ngx_http_v2m_metrics_zone.h"

#include <stdlib.h>

#include "ngx_http_v2m_publish.h"
#include "ngx_http_v2m_task.h"
#include "v2m_pause.h"

/* How much longer than counting the jobs took nobody counts them again: a store
 * with very many of them is kept busy a twentieth of the time at most. */
#define NGX_HTTP_V2M_ASK_PAUSE 20

typedef struct {
    v2m_mongo_t     *mongo;
    v2m_jobs_count_t count;
    int64_t          began_ms;
    ngx_msec_t       interval;
} ngx_http_v2m_ask_t;

static int  ngx_http_v2m_ask_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_ask_finished(void *data, int rc,
                                      const v2m_error_t *error);

/* Of this process; there is one zone. */
static ngx_http_v2m_asked_t *ngx_http_v2m_asked;


static void
ngx_http_v2m_ask_jobs(ngx_http_v2m_main_conf_t *mcf, ngx_msec_t interval)
{
    ngx_http_v2m_ask_t *ask;

    ask = calloc(1, sizeof(ngx_http_v2m_ask_t));
    if (ask == NULL) {
        return;
    }

    ask->mongo = mcf->mongo;
    ask->began_ms = v2m_clock_ms();
    ask->interval = interval;

    if (ngx_http_v2m_task_background(mcf->storage_pool, "count the jobs",
                                     ngx_http_v2m_ask_run,
                                     ngx_http_v2m_ask_finished, ask)
        != NGX_OK)
    {
        free(ask);
    }
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_ask_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_ask_t *ask = data;

    return v2m_jobs_count(ask->mongo, &ask->count, error);
}


static void
ngx_http_v2m_ask_finished(void *data, int rc, const v2m_error_t *error)
{
    int64_t               now, pause;
    ngx_uint_t            i;
    ngx_http_v2m_ask_t   *ask = data;
    ngx_http_v2m_asked_t *asked = ngx_http_v2m_asked;

    now = v2m_clock_ms();

    if (rc == V2M_OK) {
        for (i = 0; i < V2M_JOB_STATES; i++) {
            asked->jobs[i] = ask->count.states[i];
        }

        asked->queued_ms = ask->count.queued_ms;
        asked->jobs_ms = now;
    }

    pause = NGX_HTTP_V2M_ASK_PAUSE * (now - ask->began_ms);
    asked->due_ms = now + ngx_max((int64_t) ask->interval, pause);

    free(ask);
}


void
ngx_http_v2m_metrics_depths(const int64_t *messages)
{
    ngx_uint_t            i;
    ngx_http_v2m_asked_t *asked = ngx_http_v2m_asked;

    for (i = 0; i < NGX_HTTP_V2M_QUEUES; i++) {
        asked->queues[i] = messages[i];
    }

    asked->queues_ms = v2m_clock_ms();
}


void
ngx_http_v2m_metrics_ask(ngx_http_v2m_asked_t *asked, ngx_msec_t interval)
{
    int64_t                   due, now;
    ngx_http_v2m_main_conf_t *mcf;

    now = v2m_clock_ms();
    due = asked->due_ms;

    /* one process asks; if it dies, another does after the interval */

    if (now < due
        || !atomic_compare_exchange_strong(&asked->due_ms, &due,
                                           now + (int64_t) interval))
    {
        return;
    }

    ngx_http_v2m_asked = asked;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_v2m_module);

    ngx_http_v2m_ask_jobs(mcf, interval);
    ngx_http_v2m_publisher_measure(
        mcf->publisher, (const char *const *) mcf->queues, NGX_HTTP_V2M_QUEUES);
}
