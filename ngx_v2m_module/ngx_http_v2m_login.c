/*
 * POST /login: ngx_http_v2m_login_module.
 */

#include "ngx_http_v2m_login.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

#include "ngx_http_v2m_login_limit.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"
#include "v2m_config.h"
#include "v2m_login.h"

/* The threads that hash passwords: niceness, and the slice that they ask for
 * (nanoseconds, the longest there is): who asks for long slices is interrupted
 * by whoever asks for shorter ones. */
#define NGX_HTTP_V2M_LOGIN_NICE  10
#define NGX_HTTP_V2M_LOGIN_SLICE 100000000

/* What sched_setattr(2) takes; the C library has no name for it before 2.41. */
typedef struct {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t  nice;
    uint32_t priority;
    uint64_t runtime; /* the slice, nanoseconds */
    uint64_t deadline;
    uint64_t period;
} ngx_http_v2m_scheduling_t;

typedef struct {
    ngx_http_v2m_try_t      attempt; /* for the loop only */
    ngx_uint_t              nice;    /* the pool does nothing else */
    v2m_database_t         *users;
    int                     cost; /* of password hashes */
    const v2m_token_keys_t *keys;
    time_t                  now;
    time_t                  lifetime;
    char                    email[V2M_USERS_NAME_MAX + 1];
    char                    password[V2M_PASSWORD_MAX + 1];
    char                   *token;
} ngx_http_v2m_login_t;

typedef struct {
    ngx_int_t cost;
} ngx_http_v2m_login_conf_t;

static void     *ngx_http_v2m_login_create_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_login_init_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_v2m_login_handler(ngx_http_request_t *r);
static int       ngx_http_v2m_login_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_login_done(ngx_http_request_t *r, void *data, int rc,
                                    const v2m_error_t *error, ngx_uint_t gone);


static const ngx_http_v2m_tries_t ngx_http_v2m_login_tries = {
    "failed logins", NGX_HTTP_V2M_COUNT_REFUSED_LOGINS
};

static ngx_http_v2m_endpoint_t ngx_http_v2m_login_endpoint = {
    ngx_http_v2m_login_handler, 0, 1
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_login_commands[] = {

    { ngx_string("v2m_login"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_login_endpoint },

    { ngx_string("v2m_password_cost"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_login_conf_t, cost),
      NULL },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_login_module_ctx = {
    NULL,
    NULL,

    ngx_http_v2m_login_create_conf,
    ngx_http_v2m_login_init_conf,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_login_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_login_module_ctx,
    ngx_http_v2m_login_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


static void *
ngx_http_v2m_login_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_login_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_login_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->cost = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_v2m_login_init_conf(ngx_conf_t *cf, void *conf)
{
    int64_t                    cost;
    v2m_error_t                error;
    ngx_http_v2m_login_conf_t *lcf = conf;

    if (lcf->cost == NGX_CONF_UNSET) {
        if (v2m_config_integer("V2M_PASSWORD_COST", V2M_PASSWORD_COST,
                               V2M_PASSWORD_COST_MIN, V2M_PASSWORD_COST_MAX,
                               &cost, &error)
            != V2M_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: %s", error.text);
            return NGX_CONF_ERROR;
        }

        lcf->cost = cost;
    }

    if (lcf->cost < V2M_PASSWORD_COST_MIN || lcf->cost > V2M_PASSWORD_COST_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"v2m_password_cost\" must be from %d to %d",
                           V2M_PASSWORD_COST_MIN, V2M_PASSWORD_COST_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_v2m_password_cost(ngx_http_request_t *r)
{
    ngx_http_v2m_login_conf_t *conf;

    conf = ngx_http_get_module_main_conf(r, ngx_http_v2m_login_module);

    return conf->cost;
}


/* Takes user and password from the Authorization header into the task. */
static ngx_int_t
ngx_http_v2m_login_credentials(ngx_http_request_t   *r,
                               ngx_http_v2m_login_t *login)
{
    ngx_int_t  rc;
    ngx_str_t *user, *password;

    rc = ngx_http_auth_basic_user(r);

    if (rc != NGX_OK) {
        return rc;
    }

    user = &r->headers_in.user;
    password = &r->headers_in.passwd;

    rc = NGX_DECLINED;

    if (user->len > 0 && password->len > 0 && user->len <= V2M_USERS_NAME_MAX
        && password->len <= V2M_PASSWORD_MAX
        && ngx_strlchr(user->data, user->data + user->len, '\0') == NULL
        && ngx_strlchr(password->data, password->data + password->len, '\0')
               == NULL)
    {
        ngx_memcpy(login->email, user->data, user->len);
        ngx_memcpy(login->password, password->data, password->len);
        rc = NGX_OK;
    }

    ngx_explicit_memzero(password->data, password->len);

    return rc;
}


static ngx_int_t
ngx_http_v2m_login_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_login_t     *login;
    ngx_http_v2m_main_conf_t *mcf;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_v2m_method_not_allowed(r, "POST");
    }

    ctx = ngx_http_v2m_get_ctx(r);
    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_login_t),
                                    ngx_http_v2m_login_run,
                                    ngx_http_v2m_login_done);

    if (ctx == NULL || task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->basic = 1;
    login = ngx_http_v2m_task_data(task);

    if (r->headers_in.authorization == NULL) {
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_MISSING, 1);
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "missing credentials");
    }

    switch (ngx_http_v2m_login_credentials(r, login)) {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_WRONG, 1);
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "invalid credentials");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_try_begin(r, &ngx_http_v2m_login_tries,
                                    &r->headers_in.user, &login->attempt);
    }

    if (rc != NGX_OK) {
        if (rc == NGX_HTTP_TOO_MANY_REQUESTS) {
            ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_LIMITED, 1);
        }

        ngx_explicit_memzero(login->password, sizeof(login->password));
        return rc;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    login->nice = mcf->login_pool != mcf->storage_pool;
    login->users = mcf->users;
    login->cost = ngx_http_v2m_password_cost(r);
    login->keys = mcf->keys;
    login->now = ngx_time();
    login->lifetime = mcf->token_lifetime;

    rc = ngx_http_v2m_task_offload(task, mcf->login_pool);

    if (rc != NGX_DONE) {
        ngx_explicit_memzero(login->password, sizeof(login->password));
        ngx_http_v2m_try_undo(&login->attempt);
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_ERROR, 1);
    }

    return rc;
}


/* Linux before 6.12 knows no slices of a thread's own and ignores them; a
 * system that refuses the call does no harm either. */
void
ngx_http_v2m_login_be_nice(void)
{
    ngx_http_v2m_scheduling_t scheduling;
    static __thread unsigned  nice;

    if (nice) {
        return;
    }

    nice = 1;

    ngx_memzero(&scheduling, sizeof(scheduling));
    scheduling.size = sizeof(scheduling);
    scheduling.policy = SCHED_OTHER;
    scheduling.nice = NGX_HTTP_V2M_LOGIN_NICE;
    scheduling.runtime = NGX_HTTP_V2M_LOGIN_SLICE;

    (void) syscall(SYS_sched_setattr, 0, &scheduling, 0);
}


/* On a thread of the login pool. */
static int
ngx_http_v2m_login_run(void *data, v2m_error_t *error)
{
    int                   rc;
    v2m_user_t            user;
    ngx_http_v2m_login_t *login = data;

    if (login->nice) {
        ngx_http_v2m_login_be_nice();
    }

    rc = v2m_login(login->users, login->cost, login->email, login->password,
                   &user, error);

    ngx_explicit_memzero(login->password, sizeof(login->password));

    if (rc != V2M_OK) {
        return rc;
    }

    return v2m_token_create(login->keys, user.email, user.admin, login->now,
                            login->lifetime, &login->token, error);
}


static ngx_int_t
ngx_http_v2m_login_answer(ngx_http_request_t *r, ngx_http_v2m_login_t *login)
{
    u_char    *p;
    size_t     length;
    ngx_str_t *accept;
    ngx_str_t  cache = ngx_string("no-store");

    if (ngx_http_v2m_add_header(r, "Cache-Control", &cache) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    accept = ngx_http_v2m_find_header(r, "accept");

    if (accept == NULL
        || ngx_strlcasestrn(accept->data, accept->data + accept->len,
                            (u_char *) "application/json", 16 - 1)
               == NULL)
    {
        return ngx_http_v2m_send(r, NGX_HTTP_OK, "text/plain", login->token);
    }

    length = ngx_strlen(login->token) + 128;

    p = ngx_pnalloc(r->pool, length);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_snprintf(p, length,
                 "{\"access_token\":\"%s\",\"token_type\":\"Bearer\","
                 "\"expires_in\":%T}\n%Z",
                 login->token, login->lifetime);

    return ngx_http_v2m_send(r, NGX_HTTP_OK, "application/json", (char *) p);
}


static void
ngx_http_v2m_login_done(ngx_http_request_t *r, void *data, int rc,
                        const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t             status;
    ngx_uint_t            level;
    ngx_http_v2m_login_t *login = data;

    status = NGX_OK;

    if (rc == V2M_OK) {
        ngx_http_v2m_try_succeeded(&login->attempt);
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_GOOD, 1);

    } else if (rc == V2M_DENIED || rc == V2M_INVALID) {
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_WRONG, 1);

    } else {
        ngx_http_v2m_try_undo(&login->attempt);
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_LOGIN_ERROR, 1);
    }

    if (gone) {
        /* nobody to answer */

    } else if (rc == V2M_OK) {
        if (error->code != V2M_OK) {
            ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                          "v2m: the hash of a password could not be renewed: "
                          "%s",
                          error->text);
        }

        status = ngx_http_v2m_login_answer(r, login);

    } else if (rc == V2M_DENIED || rc == V2M_INVALID) {
        /* a row without a hash is for the operator to mend */
        level = rc == V2M_INVALID ? NGX_LOG_WARN : NGX_LOG_INFO;

        ngx_log_error(level, r->connection->log, 0,
                      "v2m: a login was refused: %s", error->text);
        status = ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                      "invalid credentials");

    } else {
        status = ngx_http_v2m_failure(r, "check a login", rc, error);
    }

    v2m_config_wipe(login->token);
    login->token = NULL;

    if (!gone) {
        ngx_http_finalize_request(r, status);
    }
}
