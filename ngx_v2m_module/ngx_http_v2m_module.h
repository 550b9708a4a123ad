/*
 * What the files of the module share: its configuration and its context of a
 * request.
 */

#ifndef NGX_HTTP_V2M_MODULE_H
#define NGX_HTTP_V2M_MODULE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_mongo.h"
#include "v2m_token.h"
#include "v2m_token_cache.h"
#include "v2m_trace.h"
#include "v2m_users.h"

typedef struct ngx_http_v2m_publisher_s ngx_http_v2m_publisher_t;
typedef struct ngx_http_v2m_request_s   ngx_http_v2m_request_t;

/* Backends and limits of the whole nginx: directives of the http block, else
 * the environment of nginx's master process. */
typedef struct {
    char *mongo_uri;
    char *amqp_url;
    char *video_queue; /* one of these: */
    char *queues[4];   /* that the metrics tell of: of videos, of MP3s, and
                          those of their dead letters */
    char *mysql_host;
    char *mysql_user;
    char *mysql_password;
    char *mysql_database;

    ngx_str_t  mongo_uri_file;
    ngx_str_t  amqp_url_file;
    ngx_str_t  mysql_password_file;
    ngx_str_t  jwt_secret_file;
    ngx_int_t  mysql_port;
    ngx_msec_t backend_timeout;
    ngx_msec_t confirm_timeout;
    ngx_int_t  attempts;
    time_t     token_lifetime;

    ngx_thread_pool_t *storage_pool;
    ngx_thread_pool_t *login_pool;
    v2m_token_keys_t  *keys;

    ngx_flag_t tokens;    /* some location checks or makes tokens */
    ngx_flag_t signs;     /* some location makes tokens */
    ngx_flag_t endpoints; /* some location has an endpoint */
    ngx_flag_t database;  /* the users' database is needed, without any too */
    ngx_flag_t problems;  /* some location has problem details */

    /* made in each worker process, NULL elsewhere */
    v2m_token_cache_t        *cache;
    v2m_mongo_t              *mongo;
    v2m_database_t           *users;
    ngx_http_v2m_publisher_t *publisher;
} ngx_http_v2m_main_conf_t;

/* What an endpoint directive stands for: the command's post. */
typedef struct {
    ngx_http_handler_pt handler;
    unsigned            needs_auth : 1;
    unsigned            signs : 1; /* it makes tokens */
} ngx_http_v2m_endpoint_t;

/* What a directive's value must be, for its command's post; begins as an
 * ngx_conf_post_t. */
typedef struct {
    ngx_conf_post_handler_pt post_handler;
    int64_t                  low;
    int64_t                  high;
    const char              *text; /* "1 to 64" */
} ngx_http_v2m_range_t;

typedef struct {
    const ngx_http_v2m_endpoint_t *endpoint; /* NULL: another's location */
    ngx_uint_t                     endpoint_number; /* for the metrics */

    ngx_flag_t problem_details; /* NGX_CONF_UNSET: where an endpoint is */
    size_t     chunk_size;      /* of the files written, bytes */
    ngx_uint_t upload_batch;    /* chunks in one insert, at most */
    ngx_uint_t upload_inserts;  /* inserts in flight for one upload */
    ngx_uint_t download_batch;  /* chunks in one read */
    ngx_uint_t download_reads;  /* reads in flight or waiting to be sent */
    ngx_int_t  quota_jobs;      /* unfinished ones of a user; 0: any number */
    off_t      quota_bytes;     /* stored for a user; 0: any number */
} ngx_http_v2m_loc_conf_t;

typedef struct {
    ngx_http_request_t     *request;
    ngx_http_v2m_request_t *pending;    /* see ngx_http_v2m_task.c */
    void                   *upload;     /* see ngx_http_v2m_upload.h */
    void                   *small_body; /* see ngx_http_v2m_body.c */
    void                   *download;   /* see ngx_http_v2m_download_stream.c */

    ngx_uint_t endpoint; /* in progress, by its number; 0: none */
    ngx_uint_t refusal;  /* what counts it, see ngx_http_v2m_over_limit() */
    off_t      sent;     /* of a download's body, counted */

    v2m_claims_t claims; /* username NULL: not authenticated */
    v2m_id_t     job;    /* the job that the request is about, or empty */

    v2m_traceparent_t trace; /* empty: not asked for yet */

    /* the error that we found; see ngx_http_v2m_problem.c */
    ngx_uint_t  problem; /* its status, 0: none */
    ngx_str_t   detail;
    const char *allow;
    ngx_uint_t  retry_after; /* seconds, of 429 and 503; 0: the usual */
    unsigned    basic : 1;   /* 401 asks for Basic, else for Bearer */
    unsigned    denied : 1;  /* a token was given, but is not acceptable */
    unsigned    scope : 1;   /* of 403: the token is good, but not enough */

    ngx_str_t body;             /* what is sent in place of nginx's page */
    unsigned  replace_body : 1; /* its header was sent */
} ngx_http_v2m_ctx_t;

/* RFC 9110 section 15.5.21; nginx has no name for it. */
#define NGX_HTTP_V2M_UNPROCESSABLE 422

extern ngx_module_t ngx_http_v2m_module;
extern ngx_module_t ngx_http_v2m_account_module;
extern ngx_module_t ngx_http_v2m_auth_module;
extern ngx_module_t ngx_http_v2m_keys_module;
extern ngx_module_t ngx_http_v2m_login_module;
extern ngx_module_t ngx_http_v2m_metrics_module;
extern ngx_module_t ngx_http_v2m_quota_module;
extern ngx_module_t ngx_http_v2m_revocation_module;
extern ngx_module_t ngx_http_v2m_webhook_module;

/* The request's context, made when it is not there; NULL: out of memory.  It
 * outlives internal redirects, unlike the pointer that nginx keeps. */
ngx_http_v2m_ctx_t *ngx_http_v2m_get_ctx(ngx_http_request_t *r);

/* The request's context; NULL: there is none. */
ngx_http_v2m_ctx_t *ngx_http_v2m_find_ctx(ngx_http_request_t *r);

/* The setter of every endpoint directive, of whichever of the modules: the
 * location is answered by the endpoint that cmd->post points at.  Such a
 * command's configuration is NGX_HTTP_LOC_CONF_OFFSET. */
char *ngx_http_v2m_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* The post_handler of a range for numbers, sizes, and times in milliseconds,
 * which are all as wide as a pointer. */
char *ngx_http_v2m_check_number(ngx_conf_t *cf, void *post, void *data);

/* The same for times in seconds (time_t). */
char *ngx_http_v2m_check_seconds(ngx_conf_t *cf, void *post, void *data);

/* The content handler of every location with an endpoint: makes sure of the
 * user and calls the endpoint's own handler. */
ngx_int_t ngx_http_v2m_endpoint_handler(ngx_http_request_t *r);

/* The endpoints' handlers. */
ngx_int_t ngx_http_v2m_validate_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_upload_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_jobs_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_download_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_health_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_ready_handler(ngx_http_request_t *r);

/* NGX_OK: the request has a valid token that fulfils the location's
 * "v2m_require", and the claims are in its context; else the status to answer
 * with. */
ngx_int_t ngx_http_v2m_authorize(ngx_http_request_t *r);

/* Whose jobs an authenticated request may look at and change: its user's, or
 * NULL, everyone's, for an administrator. */
const char *ngx_http_v2m_owner(ngx_http_request_t *r);

/* Logs what an administrator does with a job that is not his own; done: "read",
 * "deleted". */
void ngx_http_v2m_note_administrator(ngx_http_request_t *r, const char *done,
                                     const char *username, const v2m_id_t job);

/* The request's traceparent, that of its header or a new one; NULL: out of
 * memory. */
const char *ngx_http_v2m_traceparent(ngx_http_request_t *r);

/* Adds $v2m_user, $v2m_job and the others. */
ngx_int_t ngx_http_v2m_add_variables(ngx_conf_t *cf);

/*
 * The key of an account for limits.  Databases compare without regard to
 * case, accents and spaces at the end, so that one account has many names.
 * NGX_OK: the name in lower case; NGX_DECLINED: it has letters that no address
 * of ours has, and all those share the key "other"; NGX_ERROR.
 */
ngx_int_t ngx_http_v2m_account(ngx_http_request_t *r, const ngx_str_t *user,
                               ngx_str_t *account);

/* Reads what the directives left open from the environment and checks it, as
 * far as it is needed; for postconfiguration. */
ngx_int_t ngx_http_v2m_settings(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf);

/*
 * Reads one setting: from the file, when that directive is given, else from
 * the environment.  *value is malloc'ed.  Logs what is wrong; without a
 * fallback a setting that is not given is wrong.
 */
ngx_int_t ngx_http_v2m_setting(ngx_conf_t *cf, ngx_str_t *file,
                               const char *environment, const char *directive,
                               const char *fallback, char **value);

#endif /* NGX_HTTP_V2M_MODULE_H */
