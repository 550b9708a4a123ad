/*
 * Accounts that people make themselves, and new passwords, each by a link that
 * is mailed: ngx_http_v2m_account_module, with v2m_register,
 * v2m_password_reset and v2m_password.
 */

#include "ngx_http_v2m_body.h"
#include "ngx_http_v2m_login.h"
#include "ngx_http_v2m_login_limit.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_revocation.h"
#include "ngx_http_v2m_task.h"
#include "v2m_accounts.h"
#include "v2m_confirm.h"
#include "v2m_form.h"
#include "v2m_utf8.h"

typedef struct {
    time_t register_age; /* how long links are good, seconds */
    time_t reset_age;
} ngx_http_v2m_account_conf_t;

/* A request for a mail. */
typedef struct {
    ngx_http_v2m_try_t    attempt; /* for the loop only */
    v2m_database_t       *users;
    v2m_account_purpose_t purpose;
    int64_t               lifetime;
    char                  email[V2M_EMAIL_MAX + 1];
} ngx_http_v2m_ask_t;

/* The use of a link. */
typedef struct {
    ngx_http_v2m_try_t     attempt; /* these four for the loop only */
    ngx_http_v2m_pending_t pending;
    ngx_event_t            soon;
    ngx_http_request_t    *request;

    ngx_uint_t      nice; /* the pool does nothing else */
    v2m_database_t *users;
    int             cost; /* of password hashes */
    char            token[V2M_ACCOUNTS_TOKEN + 1];
    char            password[V2M_PASSWORD_MAX + 1];
    v2m_confirmed_t confirmed;
} ngx_http_v2m_confirm_t;

static char *ngx_http_v2m_account_password(ngx_conf_t *cf, ngx_command_t *cmd,
                                           void *conf);
static void *ngx_http_v2m_account_create_conf(ngx_conf_t *cf);
static char *ngx_http_v2m_account_merge_conf(ngx_conf_t *cf, void *parent,
                                             void *child);
static ngx_int_t ngx_http_v2m_register_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_reset_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_password_handler(ngx_http_request_t *r);
static int       ngx_http_v2m_ask_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_ask_done(ngx_http_request_t *r, void *data, int rc,
                                  const v2m_error_t *error, ngx_uint_t gone);
static int  ngx_http_v2m_confirm_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_confirm_done(ngx_http_request_t *r, void *data, int rc,
                                      const v2m_error_t *error,
                                      ngx_uint_t         gone);
static void ngx_http_v2m_confirm_soon(ngx_event_t *event);
static void ngx_http_v2m_confirm_waited(ngx_http_request_t *r, void *data,
                                        int rc, const v2m_error_t *error,
                                        ngx_uint_t gone);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_register = {
    ngx_http_v2m_register_handler, 0, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_reset = {
    ngx_http_v2m_reset_handler, 0, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_password = {
    ngx_http_v2m_password_handler, 0, 0
};

static ngx_http_v2m_range_t ngx_http_v2m_account_age_range = {
    ngx_http_v2m_check_seconds, V2M_ACCOUNTS_LIFETIME_MIN,
    V2M_ACCOUNTS_LIFETIME_MAX, "1m to 30d"
};

static const ngx_http_v2m_tries_t ngx_http_v2m_account_tries[] = {
    [V2M_ACCOUNT_REGISTER] = { "requests to register",
                               NGX_HTTP_V2M_COUNT_REFUSED_RATE },
    [V2M_ACCOUNT_RESET] = { "requests to reset a password",
                            NGX_HTTP_V2M_COUNT_REFUSED_RATE },
};
static const ngx_http_v2m_tries_t ngx_http_v2m_confirm_tries = {
    "links that are not valid", NGX_HTTP_V2M_COUNT_REFUSED_RATE
};

/* The same whether there is such an account or not. */
static char ngx_http_v2m_account_asked[] =
    "{\"message\":\"if this address can be used for that, a mail that tells "
    "how to go on is on its way to it\"}\n";

/* clang-format off */
static ngx_command_t ngx_http_v2m_account_commands[] = {

    { ngx_string("v2m_register"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_register },

    { ngx_string("v2m_password_reset"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_reset },

    { ngx_string("v2m_password"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_account_password,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_password },

    { ngx_string("v2m_register_age"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_account_conf_t, register_age),
      &ngx_http_v2m_account_age_range },

    { ngx_string("v2m_reset_age"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_account_conf_t, reset_age),
      &ngx_http_v2m_account_age_range },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_account_module_ctx = {
    NULL,
    NULL,

    NULL,
    NULL,

    NULL,
    NULL,

    ngx_http_v2m_account_create_conf,
    ngx_http_v2m_account_merge_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_account_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_account_module_ctx,
    ngx_http_v2m_account_commands,
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
ngx_http_v2m_account_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_account_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_account_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->register_age = NGX_CONF_UNSET;
    conf->reset_age = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_v2m_account_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_account_conf_t *prev = parent;
    ngx_http_v2m_account_conf_t *conf = child;

    ngx_conf_merge_sec_value(conf->register_age, prev->register_age, 86400);
    ngx_conf_merge_sec_value(conf->reset_age, prev->reset_age, 3600);

    return NGX_CONF_OK;
}


static char *
ngx_http_v2m_account_password(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    /* whoever had the old password is to be out */
    ngx_http_v2m_need_revocation(cf, "v2m_password");

    return ngx_http_v2m_endpoint(cf, cmd, conf);
}


/* What the three begin with. */
static ngx_int_t
ngx_http_v2m_account_begin(ngx_http_request_t *r, ngx_http_v2m_body_pt handler)
{
    ngx_str_t cache = ngx_string("no-store");

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_v2m_method_not_allowed(r, "POST");
    }

    if (ngx_http_v2m_add_header(r, "Cache-Control", &cache) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_v2m_body_read(r, handler);
}


/* NGX_OK: the fields have values, to be wiped; else the status to answer
 * with. */
static ngx_int_t
ngx_http_v2m_account_fields(ngx_http_request_t *r, const ngx_str_t *body,
                            v2m_form_field_t *fields, ngx_uint_t count)
{
    int         rc;
    ngx_str_t   type = ngx_null_string;
    v2m_error_t error;

    if (r->headers_in.content_type != NULL) {
        type = r->headers_in.content_type->value;
    }

    rc = v2m_form_read((char *) type.data, type.len, (char *) body->data,
                       body->len, fields, count, &error);

    switch (rc) {
    case V2M_OK:
        return NGX_OK;

    case V2M_NOT_FOUND:
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    error.text);

    default:
        return ngx_http_v2m_failure(r, "read a form", rc, &error);
    }
}


/* Asks for a mail to the address. */
static ngx_int_t
ngx_http_v2m_ask(ngx_http_request_t *r, v2m_account_purpose_t purpose,
                 const char *email)
{
    ngx_int_t                    rc;
    ngx_str_t                    user;
    v2m_error_t                  error;
    ngx_http_v2m_ask_t          *ask;
    ngx_http_v2m_task_t         *task;
    ngx_http_v2m_main_conf_t    *mcf;
    ngx_http_v2m_account_conf_t *conf;

    if (v2m_email_check(email, &error) != V2M_OK) {
        return ngx_http_v2m_problem(r, NGX_HTTP_V2M_UNPROCESSABLE, error.text);
    }

    task =
        ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_ask_t),
                                 ngx_http_v2m_ask_run, ngx_http_v2m_ask_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ask = ngx_http_v2m_task_data(task);

    user.data = (u_char *) email;
    user.len = ngx_strlen(email);

    /* each counts: what becomes of it is told to nobody */

    rc = ngx_http_v2m_try_begin(r, &ngx_http_v2m_account_tries[purpose], &user,
                                &ask->attempt);
    if (rc != NGX_OK) {
        return rc;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_account_module);

    ask->users = mcf->users;
    ask->purpose = purpose;
    ask->lifetime =
        purpose == V2M_ACCOUNT_REGISTER ? conf->register_age : conf->reset_age;
    ngx_memcpy(ask->email, email, user.len + 1);

    /* nobody has to sign in for this: while the database hangs it must not be
     * in the way of uploads and downloads */

    rc = ngx_http_v2m_task_offload(task, mcf->login_pool);

    if (rc != NGX_DONE) {
        ngx_http_v2m_try_undo(&ask->attempt);
    }

    return rc;
}


static ngx_int_t
ngx_http_v2m_ask_body(ngx_http_request_t *r, const ngx_str_t *body,
                      v2m_account_purpose_t purpose)
{
    ngx_int_t        rc;
    v2m_form_field_t email = { "email", NULL };

    rc = ngx_http_v2m_account_fields(r, body, &email, 1);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_ask(r, purpose, email.value);
        v2m_form_wipe(&email, 1);
    }

    return rc;
}


static ngx_int_t
ngx_http_v2m_register_body(ngx_http_request_t *r, const ngx_str_t *body)
{
    return ngx_http_v2m_ask_body(r, body, V2M_ACCOUNT_REGISTER);
}


static ngx_int_t
ngx_http_v2m_reset_body(ngx_http_request_t *r, const ngx_str_t *body)
{
    return ngx_http_v2m_ask_body(r, body, V2M_ACCOUNT_RESET);
}


static ngx_int_t
ngx_http_v2m_register_handler(ngx_http_request_t *r)
{
    return ngx_http_v2m_account_begin(r, ngx_http_v2m_register_body);
}


static ngx_int_t
ngx_http_v2m_reset_handler(ngx_http_request_t *r)
{
    return ngx_http_v2m_account_begin(r, ngx_http_v2m_reset_body);
}


/* On a thread of the login pool. */
static int
ngx_http_v2m_ask_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_ask_t *ask = data;

    return v2m_accounts_ask(ask->users, ask->purpose, ask->email, ask->lifetime,
                            error);
}


static void
ngx_http_v2m_ask_done(ngx_http_request_t *r, void *data, int rc,
                      const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t           status;
    ngx_http_v2m_ask_t *ask = data;

    if (rc != V2M_OK) {
        ngx_http_v2m_try_undo(&ask->attempt);
    }

    if (gone) {
        return;
    }

    /* whatever it is, such as a missing table, is the database's */

    status =
        rc == V2M_OK
            ? ngx_http_v2m_send(r, NGX_HTTP_ACCEPTED, "application/json",
                                ngx_http_v2m_account_asked)
            : ngx_http_v2m_failure(r, "ask for a mail", V2M_UNAVAILABLE, error);

    ngx_http_finalize_request(r, status);
}


/* NGX_OK, or the status of what is wrong with a password. */
static ngx_int_t
ngx_http_v2m_password_check(ngx_http_request_t *r, const char *password)
{
    u_char     text[96];
    size_t     i, length;
    ngx_uint_t characters;

    length = ngx_strlen(password);

    for (i = 0, characters = 0; i < length; characters++) {
        i += v2m_utf8_character((const unsigned char *) password + i,
                                length - i);
    }

    if (characters >= V2M_PASSWORD_MIN && length <= V2M_PASSWORD_MAX) {
        return NGX_OK;
    }

    ngx_snprintf(text, sizeof(text),
                 "the password must have %d characters or more, and at most %d "
                 "bytes%Z",
                 V2M_PASSWORD_MIN, V2M_PASSWORD_MAX);

    return ngx_http_v2m_problem(r, NGX_HTTP_V2M_UNPROCESSABLE, (char *) text);
}


static ngx_int_t
ngx_http_v2m_confirm_refuse(ngx_http_request_t *r)
{
    return ngx_http_v2m_problem(r, NGX_HTTP_FORBIDDEN,
                                "the link is not valid, or not valid any more: "
                                "ask for a new one");
}


static ngx_int_t
ngx_http_v2m_confirm(ngx_http_request_t *r, const char *token,
                     const char *password)
{
    ngx_int_t                 rc;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_confirm_t   *confirm;
    ngx_http_v2m_main_conf_t *mcf;

    rc = ngx_http_v2m_password_check(r, password);
    if (rc != NGX_OK) {
        return rc;
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_confirm_t),
                                    ngx_http_v2m_confirm_run,
                                    ngx_http_v2m_confirm_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    confirm = ngx_http_v2m_task_data(task);

    rc = ngx_http_v2m_try_begin(r, &ngx_http_v2m_confirm_tries, NULL,
                                &confirm->attempt);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_strlen(token) != V2M_ACCOUNTS_TOKEN) {
        return ngx_http_v2m_confirm_refuse(r);
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    confirm->request = r;
    confirm->nice = mcf->login_pool != mcf->storage_pool;
    confirm->users = mcf->users;
    confirm->cost = ngx_http_v2m_password_cost(r);
    ngx_memcpy(confirm->token, token, sizeof(confirm->token));
    ngx_memcpy(confirm->password, password, ngx_strlen(password) + 1);

    rc = ngx_http_v2m_task_offload(task, mcf->login_pool);

    if (rc != NGX_DONE) {
        ngx_explicit_memzero(confirm->token, sizeof(confirm->token));
        ngx_explicit_memzero(confirm->password, sizeof(confirm->password));
        ngx_http_v2m_try_undo(&confirm->attempt);
    }

    return rc;
}


static ngx_int_t
ngx_http_v2m_password_body(ngx_http_request_t *r, const ngx_str_t *body)
{
    ngx_int_t        rc;
    v2m_form_field_t fields[] = { { "token", NULL }, { "password", NULL } };

    rc = ngx_http_v2m_account_fields(r, body, fields, 2);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_confirm(r, fields[0].value, fields[1].value);
        v2m_form_wipe(fields, 2);
    }

    return rc;
}


static ngx_int_t
ngx_http_v2m_password_handler(ngx_http_request_t *r)
{
    return ngx_http_v2m_account_begin(r, ngx_http_v2m_password_body);
}


/* On a thread of the login pool. */
static int
ngx_http_v2m_confirm_run(void *data, v2m_error_t *error)
{
    int                     rc;
    ngx_http_v2m_confirm_t *confirm = data;

    if (confirm->nice) {
        ngx_http_v2m_login_be_nice();
    }

    rc = v2m_confirm(confirm->users, confirm->cost, confirm->token,
                     confirm->password, &confirm->confirmed, error);

    ngx_explicit_memzero(confirm->token, sizeof(confirm->token));
    ngx_explicit_memzero(confirm->password, sizeof(confirm->password));

    return rc;
}


static ngx_int_t
ngx_http_v2m_confirm_answer(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


/* The user's tokens of before are refused from now on.  Those of the second
 * that goes on are, too, so that the answer, after which the user logs in, has
 * to wait for the next one.  NGX_OK: it does not have to. */
static ngx_int_t
ngx_http_v2m_confirm_revoke(ngx_http_request_t     *r,
                            ngx_http_v2m_confirm_t *confirm, ngx_uint_t gone)
{
    int64_t          wait;
    ngx_time_t      *now;
    v2m_error_t      error;
    v2m_revocation_t revocation;

    revocation.issued = confirm->confirmed.revoked;
    revocation.expires = revocation.issued + V2M_REVOCATION_USER;

    if (v2m_claims_user_id(confirm->confirmed.username, revocation.id, &error)
        == V2M_OK)
    {
        ngx_http_v2m_revoke_here(r, &revocation);
    }

    ngx_time_update();
    now = ngx_timeofday();
    wait = (revocation.issued + 1 - now->sec) * 1000 - (int64_t) now->msec;

    if (gone || wait <= 0
        || ngx_http_v2m_pending_begin(&confirm->pending, r,
                                      ngx_http_v2m_confirm_waited, NULL)
               != NGX_OK)
    {
        return NGX_OK;
    }

    confirm->soon.handler = ngx_http_v2m_confirm_soon;
    confirm->soon.data = confirm;
    confirm->soon.log = r->connection->log;

    ngx_add_timer(&confirm->soon, (ngx_msec_t) ngx_min(wait, 2000));

    return NGX_AGAIN;
}


static void
ngx_http_v2m_confirm_soon(ngx_event_t *event)
{
    v2m_error_t             error = { V2M_OK, "" };
    ngx_http_v2m_confirm_t *confirm = event->data;

    ngx_http_v2m_pending_end(&confirm->pending, V2M_OK, &error);
}


static void
ngx_http_v2m_confirm_waited(ngx_http_request_t *r, void *data, int rc,
                            const v2m_error_t *error, ngx_uint_t gone)
{
    if (!gone) {
        ngx_http_finalize_request(r, ngx_http_v2m_confirm_answer(r));
    }
}


static void
ngx_http_v2m_confirm_done(ngx_http_request_t *r, void *data, int rc,
                          const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t               status;
    ngx_http_v2m_confirm_t *confirm = data;

    status = NGX_OK;

    if (rc == V2M_OK) {
        ngx_http_v2m_try_succeeded(&confirm->attempt);

        if (error->code != V2M_OK) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "v2m: who logged in while a password was reset could "
                          "not be logged out: %s",
                          error->text);
        }

        if (confirm->confirmed.revoked != 0) {
            status = ngx_http_v2m_confirm_revoke(r, confirm, gone);
        }

    } else if (rc != V2M_DENIED) {
        ngx_http_v2m_try_undo(&confirm->attempt);
    }

    if (gone || status == NGX_AGAIN) {
        return;
    }

    if (rc == V2M_OK) {
        status = ngx_http_v2m_confirm_answer(r);

    } else if (rc == V2M_DENIED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "v2m: a link was refused: %s", error->text);
        status = ngx_http_v2m_confirm_refuse(r);

    } else {
        status =
            ngx_http_v2m_failure(r, "set a password", V2M_UNAVAILABLE, error);
    }

    ngx_http_finalize_request(r, status);
}
