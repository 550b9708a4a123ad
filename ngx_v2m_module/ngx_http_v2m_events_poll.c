/*
 * The one poll of a worker process, for all its streams of events: a query for
 * the jobs of their users that changed.  With no stream there is no poll.
 *
 * As clocks differ and a change is stored after the time that it is given,
 * each query goes back some seconds further than the one before it was made;
 * what it finds again is known by "seen".  What even so is missed of a single
 * watched job, and that it was removed, is found by asking for these jobs
 * themselves now and then.
 */

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_events.h"
#include "ngx_http_v2m_task.h"
#include "v2m_jobs.h"
#include "v2m_jobs_watch.h"
#include "v2m_pause.h"

/* While the store is away. */
#define NGX_HTTP_V2M_EVENTS_PAUSE 1000 /* ms, at least */

struct ngx_http_v2m_events_user_s {
    ngx_str_node_t node; /* the name follows */
    ngx_queue_t    listeners;
    ngx_int_t      count;
};

/* The state in which a job was last found. */
typedef struct {
    ngx_str_node_t node; /* its id */
    ngx_queue_t    queue;
    v2m_id_t       id;
    int64_t        updated_ms;
    uint32_t       hash;
} ngx_http_v2m_seen_t;

/* A query under way, in a pool of its own. */
typedef struct {
    ngx_pool_t               *pool;
    v2m_mongo_t              *mongo;
    v2m_jobs_watch_t          watch;
    int64_t                   begun_ms;
    ngx_http_v2m_event_list_t found;
} ngx_http_v2m_poll_t;

/* Of this worker process. */
typedef struct {
    ngx_rbtree_t      users;
    ngx_rbtree_node_t users_end;
    ngx_rbtree_t      seen;
    ngx_rbtree_node_t seen_end;
    ngx_queue_t       seen_queue;
    ngx_queue_t       listeners;
    ngx_int_t         count;
    ngx_event_t       timer;
    ngx_uint_t        running;
    ngx_uint_t        away;     /* the store was, when last asked */
    int64_t           known_ms; /* all that was stored until then is seen */
    int64_t           asked_ms; /* for single jobs, v2m_clock_ms() */

    ngx_http_v2m_events_main_conf_t *emcf;
} ngx_http_v2m_events_t;

static void ngx_http_v2m_events_timer(ngx_event_t *event);
static int  ngx_http_v2m_poll_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_poll_finished(void *data, int rc,
                                       const v2m_error_t *error);

static ngx_http_v2m_events_t ngx_http_v2m_events;


static void
ngx_http_v2m_events_init(ngx_http_v2m_events_main_conf_t *emcf)
{
    ngx_http_v2m_events_t *events = &ngx_http_v2m_events;

    if (events->emcf != NULL) {
        return;
    }

    events->emcf = emcf;

    ngx_rbtree_init(&events->users, &events->users_end,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&events->seen, &events->seen_end,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&events->seen_queue);
    ngx_queue_init(&events->listeners);

    events->timer.handler = ngx_http_v2m_events_timer;
    events->timer.log = ngx_cycle->log;
}


static ngx_http_v2m_events_user_t *
ngx_http_v2m_events_find_user(const char *name)
{
    ngx_str_t text;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    return (ngx_http_v2m_events_user_t *) ngx_str_rbtree_lookup(
        &ngx_http_v2m_events.users, &text, ngx_crc32_long(text.data, text.len));
}


static ngx_http_v2m_events_user_t *
ngx_http_v2m_events_add_user(const char *name)
{
    size_t                      length;
    ngx_http_v2m_events_user_t *user;

    length = ngx_strlen(name);

    user = calloc(1, sizeof(ngx_http_v2m_events_user_t) + length + 1);
    if (user == NULL) {
        return NULL;
    }

    user->node.str.data = (u_char *) (user + 1);
    user->node.str.len = length;
    user->node.node.key = ngx_crc32_long((u_char *) name, length);

    ngx_memcpy(user->node.str.data, name, length);
    ngx_queue_init(&user->listeners);
    ngx_rbtree_insert(&ngx_http_v2m_events.users, &user->node.node);

    return user;
}


ngx_int_t
ngx_http_v2m_events_join(ngx_http_v2m_listener_t *listener, const char *owner,
                         ngx_http_v2m_events_main_conf_t *emcf)
{
    ngx_http_v2m_events_t      *events = &ngx_http_v2m_events;
    ngx_http_v2m_events_user_t *user;

    ngx_http_v2m_events_init(emcf);

    if (events->count >= emcf->max) {
        return NGX_BUSY;
    }

    user = ngx_http_v2m_events_find_user(owner);

    if (user == NULL) {
        user = ngx_http_v2m_events_add_user(owner);
    }

    if (user == NULL) {
        return NGX_ERROR;
    }

    if (user->count >= emcf->max_per_user) {
        return NGX_DECLINED;
    }

    if (events->count == 0 && !events->running) {
        /* whoever joins asks for what there is by himself */
        events->known_ms = v2m_wall_ms();
        events->asked_ms = v2m_clock_ms();
    }

    events->count++;
    user->count++;
    listener->user = user;

    ngx_queue_insert_tail(&events->listeners, &listener->queue);
    ngx_queue_insert_tail(&user->listeners, &listener->peers);

    if (!events->running && !events->timer.timer_set) {
        ngx_add_timer(&events->timer, emcf->interval);
    }

    return NGX_OK;
}


void
ngx_http_v2m_events_leave(ngx_http_v2m_listener_t *listener)
{
    ngx_http_v2m_events_user_t *user = listener->user;

    if (user == NULL) {
        return;
    }

    listener->user = NULL;
    ngx_queue_remove(&listener->queue);
    ngx_queue_remove(&listener->peers);

    ngx_http_v2m_events.count--;

    if (--user->count == 0) {
        ngx_rbtree_delete(&ngx_http_v2m_events.users, &user->node.node);
        free(user);
    }
}


/* Forgets the jobs that no query since then finds again. */
static void
ngx_http_v2m_events_forget(int64_t since_ms)
{
    ngx_queue_t         *q, *next;
    ngx_http_v2m_seen_t *seen;

    for (q = ngx_queue_head(&ngx_http_v2m_events.seen_queue);
         q != ngx_queue_sentinel(&ngx_http_v2m_events.seen_queue); q = next)
    {
        next = ngx_queue_next(q);
        seen = ngx_queue_data(q, ngx_http_v2m_seen_t, queue);

        if (seen->updated_ms < since_ms) {
            ngx_queue_remove(q);
            ngx_rbtree_delete(&ngx_http_v2m_events.seen, &seen->node.node);
            free(seen);
        }
    }
}


/* Whether the job was not yet found like this. */
static ngx_uint_t
ngx_http_v2m_events_news(const ngx_http_v2m_event_t *event)
{
    uint32_t             key;
    ngx_str_t            id;
    ngx_http_v2m_seen_t *seen;

    id.data = (u_char *) event->id;
    id.len = ngx_strlen(event->id);
    key = ngx_crc32_short(id.data, id.len);

    seen = (ngx_http_v2m_seen_t *) ngx_str_rbtree_lookup(
        &ngx_http_v2m_events.seen, &id, key);

    if (seen == NULL) {
        seen = calloc(1, sizeof(ngx_http_v2m_seen_t));
        if (seen == NULL) {
            return 1;
        }

        ngx_memcpy(seen->id, event->id, sizeof(v2m_id_t));
        seen->node.str.data = (u_char *) seen->id;
        seen->node.str.len = id.len;
        seen->node.node.key = key;

        ngx_rbtree_insert(&ngx_http_v2m_events.seen, &seen->node.node);
        ngx_queue_insert_tail(&ngx_http_v2m_events.seen_queue, &seen->queue);

    } else if (event->updated_ms < seen->updated_ms
               || event->hash == seen->hash) {
        return 0;
    }

    seen->updated_ms = event->updated_ms;
    seen->hash = event->hash;

    return 1;
}


void
ngx_http_v2m_events_deliver(const ngx_http_v2m_event_list_t *list,
                            int64_t since_ms, ngx_http_v2m_listener_t *target)
{
    size_t                      i;
    int64_t                     known_ms;
    ngx_uint_t                  news;
    ngx_queue_t                *q;
    ngx_http_v2m_event_t       *event;
    ngx_http_v2m_listener_t    *listener;
    ngx_http_v2m_events_user_t *user;

    known_ms = ngx_max(since_ms, ngx_http_v2m_events.known_ms
                                     - V2M_JOBS_WATCH_OVERLAP_MS);

    for (i = 0; i < list->count; i++) {
        event = list->events[i];
        event->since_ms = since_ms;

        user = ngx_http_v2m_events_find_user(event->owner);
        if (user == NULL) {
            continue;
        }

        /* older ones were asked for by their id, or by one client that comes
         * back after a long time */

        news = event->updated_ms >= known_ms && ngx_http_v2m_events_news(event);

        for (q = ngx_queue_head(&user->listeners);
             q != ngx_queue_sentinel(&user->listeners); q = ngx_queue_next(q))
        {
            listener = ngx_queue_data(q, ngx_http_v2m_listener_t, peers);

            if (listener->job[0] == '\0') {
                if (news || listener == target) {
                    ngx_http_v2m_events_put(listener, event);
                }

            } else if (ngx_strcmp(listener->job, event->id) == 0) {
                listener->asked = 0;
                ngx_http_v2m_events_put(listener, event);
            }
        }
    }
}


static void
ngx_http_v2m_events_end_all(void)
{
    ngx_queue_t             *q;
    ngx_http_v2m_listener_t *listener;

    for (q = ngx_queue_head(&ngx_http_v2m_events.listeners);
         q != ngx_queue_sentinel(&ngx_http_v2m_events.listeners);
         q = ngx_queue_next(q))
    {
        listener = ngx_queue_data(q, ngx_http_v2m_listener_t, queue);
        listener->ending = 1;
        ngx_http_v2m_events_wake(listener);
    }
}


static void
ngx_http_v2m_poll_free(ngx_http_v2m_poll_t *poll)
{
    ngx_http_v2m_event_list_free(&poll->found);
    ngx_destroy_pool(poll->pool);
}


static ngx_int_t
ngx_http_v2m_poll_ask_for_owners(ngx_http_v2m_poll_t *poll)
{
    char                       *name;
    ngx_queue_t                *q;
    ngx_http_v2m_listener_t    *listener;
    ngx_http_v2m_events_user_t *user;

    poll->watch.owners =
        ngx_palloc(poll->pool, ngx_http_v2m_events.count * sizeof(char *));
    if (poll->watch.owners == NULL) {
        return NGX_ERROR;
    }

    for (q = ngx_queue_head(&ngx_http_v2m_events.listeners);
         q != ngx_queue_sentinel(&ngx_http_v2m_events.listeners);
         q = ngx_queue_next(q))
    {
        listener = ngx_queue_data(q, ngx_http_v2m_listener_t, queue);
        user = listener->user;

        if (ngx_queue_head(&user->listeners) != &listener->peers) {
            continue;
        }

        name = ngx_pnalloc(poll->pool, user->node.str.len + 1);
        if (name == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(name, user->node.str.data, user->node.str.len + 1);
        poll->watch.owners[poll->watch.owner_count++] = name;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_poll_ask_for_jobs(ngx_http_v2m_poll_t *poll)
{
    v2m_id_t                *ids;
    ngx_queue_t             *q;
    ngx_http_v2m_listener_t *listener;

    ids = ngx_palloc(poll->pool, ngx_http_v2m_events.count * sizeof(v2m_id_t));
    if (ids == NULL) {
        return NGX_ERROR;
    }

    poll->watch.ids = (const v2m_id_t *) ids;

    for (q = ngx_queue_head(&ngx_http_v2m_events.listeners);
         q != ngx_queue_sentinel(&ngx_http_v2m_events.listeners);
         q = ngx_queue_next(q))
    {
        listener = ngx_queue_data(q, ngx_http_v2m_listener_t, queue);

        if (listener->started && listener->job[0] != '\0') {
            listener->asked = 1;
            ngx_memcpy(ids[poll->watch.id_count++], listener->job,
                       sizeof(v2m_id_t));
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_poll_begin(void)
{
    ngx_pool_t               *pool;
    ngx_http_v2m_poll_t      *poll;
    ngx_http_v2m_events_t    *events = &ngx_http_v2m_events;
    ngx_http_v2m_main_conf_t *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_v2m_module);

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    poll = ngx_pcalloc(pool, sizeof(ngx_http_v2m_poll_t));
    if (poll == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    poll->pool = pool;
    poll->mongo = mcf->mongo;
    poll->begun_ms = v2m_wall_ms();
    poll->watch.since_ms = events->known_ms - V2M_JOBS_WATCH_OVERLAP_MS;

    if (ngx_http_v2m_poll_ask_for_owners(poll) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    if (v2m_clock_ms() - events->asked_ms >= (int64_t) events->emcf->heartbeat)
    {
        events->asked_ms = v2m_clock_ms();

        if (ngx_http_v2m_poll_ask_for_jobs(poll) != NGX_OK) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }
    }

    if (ngx_http_v2m_task_background(mcf->storage_pool, "look for changed jobs",
                                     ngx_http_v2m_poll_run,
                                     ngx_http_v2m_poll_finished, poll)
        != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    events->running = 1;

    return NGX_OK;
}


static void
ngx_http_v2m_events_timer(ngx_event_t *event)
{
    ngx_http_v2m_events_t *events = &ngx_http_v2m_events;

    if (events->count == 0) {
        ngx_http_v2m_events_forget(INT64_MAX);
        return;
    }

    if (ngx_exiting) {
        /* not "cancelable", so that the process gets here before it ends */
        ngx_http_v2m_events_end_all();
        return;
    }

    if (ngx_http_v2m_poll_begin() != NGX_OK) {
        ngx_add_timer(
            event, ngx_max(events->emcf->interval, NGX_HTTP_V2M_EVENTS_PAUSE));
    }
}


/* On a thread. */
static int
ngx_http_v2m_poll_run(void *data, v2m_error_t *error)
{
    int                  rc;
    size_t               count;
    v2m_job_t           *jobs;
    ngx_http_v2m_poll_t *poll = data;

    rc = v2m_jobs_watch(poll->mongo, &poll->watch, &jobs, &count, error);

    return rc == V2M_OK
               ? ngx_http_v2m_event_list_make(&poll->found, jobs, count, error)
               : rc;
}


/* Ends the streams of jobs that were asked for and not found; with the store
 * away tells all of them that it is. */
static void
ngx_http_v2m_poll_conclude(ngx_uint_t away, ngx_uint_t tell)
{
    ngx_queue_t             *q;
    ngx_http_v2m_listener_t *listener;

    for (q = ngx_queue_head(&ngx_http_v2m_events.listeners);
         q != ngx_queue_sentinel(&ngx_http_v2m_events.listeners);
         q = ngx_queue_next(q))
    {
        listener = ngx_queue_data(q, ngx_http_v2m_listener_t, queue);

        if (tell) {
            listener->comment = 1;
            ngx_http_v2m_events_wake(listener);
        }

        if (listener->asked && !away) {
            listener->gone = 1;
            listener->ending = 1;
            ngx_http_v2m_events_wake(listener);
        }

        listener->asked = 0;
    }
}


static void
ngx_http_v2m_poll_finished(void *data, int rc, const v2m_error_t *error)
{
    ngx_msec_t             pause;
    ngx_uint_t             away;
    ngx_http_v2m_poll_t   *poll = data;
    ngx_http_v2m_events_t *events = &ngx_http_v2m_events;

    away = (rc != V2M_OK);
    pause = events->emcf->interval;
    events->running = 0;

    if (away) {
        pause = ngx_max(pause, NGX_HTTP_V2M_EVENTS_PAUSE);

    } else {
        ngx_http_v2m_events_deliver(&poll->found, poll->watch.since_ms, NULL);
        ngx_http_v2m_events_forget(poll->watch.since_ms);
        events->known_ms = poll->begun_ms;
    }

    ngx_http_v2m_poll_conclude(away, away != events->away);
    ngx_http_v2m_poll_free(poll);

    events->away = away;

    ngx_add_timer(&events->timer, pause);
}
