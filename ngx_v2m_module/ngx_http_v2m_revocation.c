#include "ngx_http_v2m_revocation.h"

#include <stdlib.h>

#include "ngx_http_v2m_argument.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"
#include "v2m_revoked.h"

#define NGX_HTTP_V2M_REVOCATION_INTERVAL 10000 /* ms */

/* Of an interval, how often each worker process looks whether it is time to
 * read the list, and when it is: so that the interval is the longest. */
#define NGX_HTTP_V2M_REVOCATION_LOOKS 4
#define NGX_HTTP_V2M_REVOCATION_DUE   2

/* What the nginx processes share.  Times are ngx_current_msec, which all
 * processes of a machine agree on. */
typedef struct {
    v2m_revoked_t *revoked;
    int64_t        since; /* where reading the list goes on; 0: at the start */
    ngx_msec_t     asked; /* when somebody began to read it */
    ngx_msec_t     claimed; /* until when nobody else does */
    ngx_uint_t     ever;    /* it was asked for once at least */
    ngx_uint_t     failed;  /* the last try failed */
} ngx_http_v2m_revocation_shared_t;

typedef struct {
    ngx_slab_pool_t                  *slab;
    ngx_http_v2m_revocation_shared_t *shared;
} ngx_http_v2m_revocation_zone_t;

typedef struct {
    ngx_shm_zone_t    *zone; /* NULL: nothing is ever revoked */
    ngx_msec_t         interval;
    ngx_event_t        look; /* of the worker process */
    v2m_database_t    *users;
    ngx_thread_pool_t *pool;
    ngx_msec_t         timeout; /* of the database */
    const char        *needed;  /* by this directive; NULL: by none */
} ngx_http_v2m_revocation_conf_t;

/* One look at the list, malloc'ed. */
typedef struct {
    ngx_http_v2m_revocation_zone_t *zone;
    v2m_database_t                 *users;
    int64_t                         since;
    int                             rc;
    v2m_error_t                     error;
    v2m_revocations_t               revocations;
} ngx_http_v2m_revocation_read_t;

typedef struct {
    v2m_database_t     *users;
    const v2m_claims_t *claims; /* of the request, which stays */
} ngx_http_v2m_logout_t;

static char     *ngx_http_v2m_revocation(ngx_conf_t *cf, ngx_command_t *cmd,
                                         void *conf);
static char     *ngx_http_v2m_logout(ngx_conf_t *cf, ngx_command_t *cmd,
                                     void *conf);
static void     *ngx_http_v2m_revocation_create_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_revocation_init_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_v2m_revocation_init_zone(ngx_shm_zone_t *zone,
                                                   void           *data);
static ngx_int_t ngx_http_v2m_revocation_init_process(ngx_cycle_t *cycle);
static void      ngx_http_v2m_revocation_look(ngx_event_t *event);
static int       ngx_http_v2m_revocation_read(void *data, v2m_error_t *error);
static void      ngx_http_v2m_revocation_was_read(void *data, int rc,
                                                  const v2m_error_t *error);
static ngx_int_t ngx_http_v2m_logout_handler(ngx_http_request_t *r);
static int       ngx_http_v2m_logout_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_logout_done(ngx_http_request_t *r, void *data, int rc,
                                     const v2m_error_t *error, ngx_uint_t gone);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_logout = {
    ngx_http_v2m_logout_handler, 1, 0
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_revocation_commands[] = {

    { ngx_string("v2m_revocation"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
      ngx_http_v2m_revocation,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("v2m_logout"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_logout,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_logout },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_revocation_module_ctx = {
    NULL,
    NULL,

    ngx_http_v2m_revocation_create_conf,
    ngx_http_v2m_revocation_init_conf,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_revocation_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_revocation_module_ctx,
    ngx_http_v2m_revocation_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    ngx_http_v2m_revocation_init_process,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


static void *
ngx_http_v2m_revocation_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_revocation_conf_t *rcf;

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_revocation_conf_t));
    if (rcf == NULL) {
        return NULL;
    }

    rcf->interval = NGX_HTTP_V2M_REVOCATION_INTERVAL;

    return rcf;
}


/* Takes NAME:SIZE. */
static char *
ngx_http_v2m_revocation_add_zone(ngx_conf_t *cf, ngx_str_t *value,
                                 ngx_http_v2m_revocation_conf_t *rcf)
{
    ssize_t                         size;
    ngx_str_t                       name;
    ngx_http_v2m_revocation_zone_t *zone;

    if (ngx_http_v2m_zone_argument(value, &name, &size) != NGX_OK) {
        return "needs \"zone=NAME:SIZE\"";
    }

    if (size < NGX_HTTP_V2M_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the size of the zone \"%V\" must be 32k or more",
                           &name);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_revocation_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    rcf->zone =
        ngx_shared_memory_add(cf, &name, size, &ngx_http_v2m_revocation_module);
    if (rcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    rcf->zone->init = ngx_http_v2m_revocation_init_zone;
    rcf->zone->data = zone;

    return NGX_CONF_OK;
}


static char *
ngx_http_v2m_revocation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                           *rv;
    ngx_str_t                      *value, text;
    ngx_int_t                       interval;
    ngx_uint_t                      i;
    ngx_http_v2m_main_conf_t       *mcf;
    ngx_http_v2m_revocation_conf_t *rcf = conf;

    if (rcf->zone != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_strncmp(value[i].data, "zone=", 5) == 0 && rcf->zone == NULL) {
            text.data = value[i].data + 5;
            text.len = value[i].len - 5;

            rv = ngx_http_v2m_revocation_add_zone(cf, &text, rcf);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

        } else if (ngx_strncmp(value[i].data, "interval=", 9) == 0) {
            text.data = value[i].data + 9;
            text.len = value[i].len - 9;

            interval = ngx_parse_time(&text, 0);

            if (interval == NGX_ERROR || interval < 100 || interval > 3600000) {
                return "must have an interval from 100ms to 1h";
            }

            rcf->interval = interval;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (rcf->zone == NULL) {
        return "needs \"zone=NAME:SIZE\"";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);
    mcf->database = 1;

    return NGX_CONF_OK;
}


void
ngx_http_v2m_need_revocation(ngx_conf_t *cf, const char *directive)
{
    ngx_http_v2m_revocation_conf_t *rcf;

    rcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_revocation_module);
    rcf->needed = directive;
}


static char *
ngx_http_v2m_logout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_v2m_need_revocation(cf, "v2m_logout");

    return ngx_http_v2m_endpoint(cf, cmd, conf);
}


static char *
ngx_http_v2m_revocation_init_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_v2m_revocation_conf_t *rcf = conf;

    if (rcf->needed != NULL && rcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"v2m_revocation zone=NAME:SIZE\" in the "
                      "http block",
                      rcf->needed);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_v2m_revocation_init_zone(ngx_shm_zone_t *shm, void *data)
{
    u_char                         *memory;
    size_t                          size;
    ngx_http_v2m_revocation_zone_t *zone = shm->data;
    ngx_http_v2m_revocation_zone_t *before = data;

    zone->slab = (ngx_slab_pool_t *) shm->shm.addr;

    if (before != NULL) {
        zone->shared = before->shared;
        return NGX_OK;
    }

    if (shm->shm.exists) {
        zone->shared = zone->slab->data;
        return NGX_OK;
    }

    zone->shared =
        ngx_slab_calloc(zone->slab, sizeof(ngx_http_v2m_revocation_shared_t));
    if (zone->shared == NULL) {
        return NGX_ERROR;
    }

    /* the table takes what is left, but for the slab's own needs */

    size = zone->slab->pfree * ngx_pagesize;
    memory = ngx_slab_alloc(zone->slab, size);

    if (memory == NULL) {
        return NGX_ERROR;
    }

    zone->shared->revoked = v2m_revoked_create(memory, size);
    if (zone->shared->revoked == NULL) {
        return NGX_ERROR;
    }

    zone->slab->data = zone->shared;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_revocation_init_process(ngx_cycle_t *cycle)
{
    ngx_http_v2m_main_conf_t       *mcf;
    ngx_http_v2m_revocation_conf_t *rcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_module);

    if (mcf == NULL || mcf->users == NULL) {
        return NGX_OK;
    }

    rcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_v2m_revocation_module);

    if (rcf->zone == NULL) {
        return NGX_OK;
    }

    rcf->users = mcf->users;
    rcf->pool = mcf->storage_pool;
    rcf->timeout = mcf->backend_timeout;

    rcf->look.handler = ngx_http_v2m_revocation_look;
    rcf->look.data = rcf;
    rcf->look.log = cycle->log;
    rcf->look.cancelable = 1;

    ngx_add_timer(&rcf->look, 1);

    return NGX_OK;
}


/* Whether this process is to read the list now; then nobody else does until
 * that has had its time. */
static ngx_uint_t
ngx_http_v2m_revocation_claim(ngx_http_v2m_revocation_conf_t *rcf,
                              int64_t                        *since)
{
    ngx_uint_t                        due;
    ngx_http_v2m_revocation_zone_t   *zone;
    ngx_http_v2m_revocation_shared_t *shared;

    zone = rcf->zone->data;
    shared = zone->shared;

    ngx_shmtx_lock(&zone->slab->mutex);

    due = !shared->ever
          || ((ngx_msec_int_t) (ngx_current_msec - shared->claimed) >= 0
              && ngx_current_msec - shared->asked
                     >= rcf->interval / NGX_HTTP_V2M_REVOCATION_DUE);

    if (due) {
        shared->ever = 1;
        shared->asked = ngx_current_msec;
        shared->claimed = ngx_current_msec + 3 * rcf->timeout;
        *since = shared->since;
    }

    ngx_shmtx_unlock(&zone->slab->mutex);

    return due;
}


static void
ngx_http_v2m_revocation_release(ngx_http_v2m_revocation_zone_t *zone)
{
    ngx_shmtx_lock(&zone->slab->mutex);
    zone->shared->claimed = ngx_current_msec;
    ngx_shmtx_unlock(&zone->slab->mutex);
}


static void
ngx_http_v2m_revocation_look(ngx_event_t *event)
{
    int64_t                         since;
    ngx_http_v2m_revocation_read_t *read;
    ngx_http_v2m_revocation_conf_t *rcf = event->data;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_add_timer(event, rcf->interval / NGX_HTTP_V2M_REVOCATION_LOOKS);

    if (!ngx_http_v2m_revocation_claim(rcf, &since)) {
        return;
    }

    read = calloc(1, sizeof(ngx_http_v2m_revocation_read_t));

    if (read != NULL) {
        read->zone = rcf->zone->data;
        read->users = rcf->users;
        read->since = since;

        if (ngx_http_v2m_task_background(rcf->pool, "read the revoked tokens",
                                         ngx_http_v2m_revocation_read,
                                         ngx_http_v2m_revocation_was_read, read)
            == NGX_OK)
        {
            return;
        }

        free(read);
    }

    ngx_http_v2m_revocation_release(rcf->zone->data);
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_revocation_read(void *data, v2m_error_t *error)
{
    ngx_http_v2m_revocation_read_t *read = data;

    /* a database that is away is logged once, not each time */

    read->rc = v2m_revocations_read(read->users, read->since,
                                    &read->revocations, &read->error);

    return V2M_OK;
}


static void
ngx_http_v2m_revocation_full(const ngx_http_v2m_revocation_zone_t *zone)
{
    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "v2m: more tokens are revoked than the zone of "
                  "\"v2m_revocation\" has room for (%uz): all tokens issued "
                  "until now are revoked instead, make the zone larger",
                  v2m_revoked_capacity(zone->shared->revoked));
}


static void
ngx_http_v2m_revocation_was_read(void *data, int rc, const v2m_error_t *error)
{
    size_t                            i;
    ngx_uint_t                        failed, full;
    ngx_http_v2m_revocation_read_t   *read = data;
    ngx_http_v2m_revocation_shared_t *shared;

    shared = read->zone->shared;
    full = 0;

    ngx_shmtx_lock(&read->zone->slab->mutex);

    failed = shared->failed;
    shared->failed = read->rc != V2M_OK;
    shared->claimed = ngx_current_msec;

    if (read->rc == V2M_OK) {
        shared->since = read->revocations.since;

        for (i = 0; i < read->revocations.count; i++) {
            if (v2m_revoked_add(shared->revoked, &read->revocations.list[i],
                                ngx_time())
                == V2M_FULL)
            {
                full = 1;
            }
        }
    }

    ngx_shmtx_unlock(&read->zone->slab->mutex);

    if (full) {
        ngx_http_v2m_revocation_full(read->zone);
    }

    if (read->rc != V2M_OK && !failed) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "v2m: cannot read which tokens were revoked, those known "
                      "to be stay so: %s",
                      read->error.text);

    } else if (read->rc == V2M_OK && failed) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "v2m: which tokens were revoked can be read again");
    }

    v2m_revocations_free(&read->revocations);
    free(read);
}


ngx_uint_t
ngx_http_v2m_is_revoked(ngx_http_request_t *r, const v2m_claims_t *claims)
{
    ngx_uint_t                      found;
    ngx_http_v2m_revocation_zone_t *zone;
    ngx_http_v2m_revocation_conf_t *rcf;

    rcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_revocation_module);

    if (rcf->zone == NULL) {
        return 0;
    }

    zone = rcf->zone->data;

    if (v2m_revoked_is_empty(zone->shared->revoked)) {
        return 0;
    }

    ngx_shmtx_lock(&zone->slab->mutex);
    found = v2m_revoked_check(zone->shared->revoked, claims);
    ngx_shmtx_unlock(&zone->slab->mutex);

    return found;
}


static ngx_int_t
ngx_http_v2m_logout_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_logout_t    *logout;
    ngx_http_v2m_main_conf_t *mcf;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_v2m_method_not_allowed(r, "POST");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_logout_t),
                                    ngx_http_v2m_logout_run,
                                    ngx_http_v2m_logout_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    logout = ngx_http_v2m_task_data(task);
    logout->users = mcf->users;
    logout->claims = &ctx->claims;

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_logout_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_logout_t *logout = data;

    return v2m_revocations_add_token(logout->users, logout->claims, error);
}


void
ngx_http_v2m_revoke_here(ngx_http_request_t     *r,
                         const v2m_revocation_t *revocation)
{
    int                             rc;
    ngx_http_v2m_revocation_zone_t *zone;
    ngx_http_v2m_revocation_conf_t *rcf;

    rcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_revocation_module);
    zone = rcf->zone->data;

    ngx_shmtx_lock(&zone->slab->mutex);
    rc = v2m_revoked_add(zone->shared->revoked, revocation, ngx_time());
    ngx_shmtx_unlock(&zone->slab->mutex);

    if (rc == V2M_FULL) {
        ngx_http_v2m_revocation_full(zone);
    }
}


static void
ngx_http_v2m_logout_done(ngx_http_request_t *r, void *data, int rc,
                         const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t              status;
    v2m_revocation_t       revocation;
    ngx_http_v2m_logout_t *logout = data;

    if (rc == V2M_OK) {
        revocation = v2m_revocation_of(logout->claims);
        ngx_http_v2m_revoke_here(r, &revocation);
    }

    if (gone) {
        return;
    }

    if (rc == V2M_OK) {
        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;
        status = ngx_http_send_header(r);

    } else {
        /* whatever it is, such as a missing table, is the database's */
        status = ngx_http_v2m_failure(r, "log out", V2M_UNAVAILABLE, error);
    }

    ngx_http_finalize_request(r, status);
}
