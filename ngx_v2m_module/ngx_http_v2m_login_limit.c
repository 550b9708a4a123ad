#include "ngx_http_v2m_login_limit.h"

#include <ngx_sha1.h>

#include "ngx_http_v2m_argument.h"
#include "ngx_http_v2m_login_limit_zone.h"
#include "ngx_http_v2m_problem.h"

typedef struct {
    ngx_shm_zone_t *zone;                           /* NULL: off */
    ngx_uint_t      free[NGX_HTTP_V2M_LIMIT_KINDS]; /* failures without one */
    ngx_msec_t      delay;                          /* the first */
    ngx_msec_t      max;                            /* the longest */
} ngx_http_v2m_limit_conf_t;

static void *ngx_http_v2m_limit_create_conf(ngx_conf_t *cf);
static char *ngx_http_v2m_limit_merge_conf(ngx_conf_t *cf, void *parent,
                                           void *child);
static char *ngx_http_v2m_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* By kind: the parameter, and what a log calls it. */
static const ngx_str_t ngx_http_v2m_limit_names[NGX_HTTP_V2M_LIMIT_KINDS] = {
    ngx_string("pair="), ngx_string("address="), ngx_string("account=")
};
static const char *ngx_http_v2m_limit_whats[NGX_HTTP_V2M_LIMIT_KINDS] = {
    "for an account from this address", "from this address",
    "for an account from whatever address"
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_limit_commands[] = {

    { ngx_string("v2m_login_limit"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_1MORE,
      ngx_http_v2m_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_limit_ctx = {
    NULL,
    NULL,

    NULL,
    NULL,

    NULL,
    NULL,

    ngx_http_v2m_limit_create_conf,
    ngx_http_v2m_limit_merge_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_login_limit_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_limit_ctx,
    ngx_http_v2m_limit_commands,
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
ngx_http_v2m_limit_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_limit_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_limit_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->zone = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_v2m_limit_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_limit_conf_t *prev = parent;
    ngx_http_v2m_limit_conf_t *conf = child;

    if (conf->zone == NGX_CONF_UNSET_PTR) {
        *conf = *prev;
    }

    if (conf->zone == NGX_CONF_UNSET_PTR) {
        conf->zone = NULL;
    }

    return NGX_CONF_OK;
}


/* zone=NAME:SIZE */
static char *
ngx_http_v2m_limit_zone(ngx_conf_t *cf, ngx_http_v2m_limit_conf_t *conf,
                        ngx_str_t *value)
{
    ssize_t                    size;
    ngx_str_t                  name;
    ngx_http_v2m_limit_zone_t *zone;

    if (ngx_http_v2m_zone_argument(value, &name, &size) != NGX_OK) {
        return "needs zone=NAME:SIZE";
    }

    if (size < NGX_HTTP_V2M_ZONE_MIN) {
        return "needs a zone of 32k at least";
    }

    conf->zone = ngx_shared_memory_add(cf, &name, size,
                                       &ngx_http_v2m_login_limit_module);
    if (conf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (conf->zone->data != NULL) {
        return NGX_CONF_OK;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_limit_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->zone->data = zone;
    conf->zone->init = ngx_http_v2m_limit_init_zone;

    return NGX_CONF_OK;
}


/* One parameter; NGX_DECLINED: it is none, or has an unusable value. */
static ngx_int_t
ngx_http_v2m_limit_parameter(ngx_http_v2m_limit_conf_t *conf, ngx_str_t *value)
{
    ngx_int_t        number;
    ngx_str_t        text;
    ngx_uint_t       kind;
    ngx_msec_t      *time;
    const ngx_str_t *name;

    for (kind = 0; kind < NGX_HTTP_V2M_LIMIT_KINDS; kind++) {
        name = &ngx_http_v2m_limit_names[kind];

        if (ngx_strncmp(value->data, name->data, name->len) != 0) {
            continue;
        }

        number = ngx_atoi(value->data + name->len, value->len - name->len);
        conf->free[kind] = number;

        return number < 1 || number > 1000000 ? NGX_DECLINED : NGX_OK;
    }

    if (ngx_strncmp(value->data, "delay=", 6) == 0) {
        time = &conf->delay;
        text.data = value->data + 6;

    } else if (ngx_strncmp(value->data, "max=", 4) == 0) {
        time = &conf->max;
        text.data = value->data + 4;

    } else {
        return NGX_DECLINED;
    }

    text.len = value->data + value->len - text.data;
    number = ngx_parse_time(&text, 0);
    *time = number;

    return number < 1 || number > 86400 * 1000 ? NGX_DECLINED : NGX_OK;
}


static char *
ngx_http_v2m_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    ngx_str_t                 *value, zone;
    ngx_uint_t                 i;
    ngx_http_v2m_limit_conf_t *lcf = conf;

    if (lcf->zone != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->zone = NULL;
        return NGX_CONF_OK;
    }

    lcf->zone = NULL;
    lcf->free[NGX_HTTP_V2M_LIMIT_PAIR] = 5;
    lcf->free[NGX_HTTP_V2M_LIMIT_ADDRESS] = 20;
    lcf->free[NGX_HTTP_V2M_LIMIT_ACCOUNT] = 100;
    lcf->delay = 1000;
    lcf->max = 15 * 60 * 1000;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            zone.data = value[i].data + 5;
            zone.len = value[i].len - 5;

            rv = ngx_http_v2m_limit_zone(cf, lcf, &zone);

            if (rv != NGX_CONF_OK) {
                return rv;
            }

        } else if (ngx_http_v2m_limit_parameter(lcf, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\"", &value[i],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    if (lcf->zone == NULL) {
        return "needs zone=NAME:SIZE";
    }

    return lcf->max < lcf->delay ? "has a max below its delay" : NGX_CONF_OK;
}


/* One more failure, and the delay that it costs. */
static void
ngx_http_v2m_limit_count(ngx_http_v2m_limit_zone_t       *zone,
                         const ngx_http_v2m_limit_conf_t *conf, ngx_uint_t kind,
                         ngx_http_v2m_limit_entry_t *entry)
{
    ngx_msec_t delay;
    ngx_uint_t many;

    entry->failures++;
    delay = 0;

    if (entry->failures > conf->free[kind]) {
        many = entry->failures - conf->free[kind] - 1;

        delay = many < 31 && conf->delay <= (conf->max >> many)
                    ? conf->delay << many
                    : conf->max;
    }

    entry->until = ngx_current_msec + delay;
    entry->forget = entry->until + conf->max;

    ngx_http_v2m_limit_move(zone, entry, delay > 0);
}


static void
ngx_http_v2m_limit_hash(u_char key[NGX_HTTP_V2M_LIMIT_KEY], const char *what,
                        ngx_uint_t kind, const ngx_str_t *address,
                        const ngx_str_t *account)
{
    u_char     hash[20], lead;
    ngx_sha1_t sha1;

    lead = (u_char) kind;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, what, ngx_strlen(what) + 1);
    ngx_sha1_update(&sha1, &lead, 1);

    if (kind != NGX_HTTP_V2M_LIMIT_ACCOUNT) {
        lead = (u_char) address->len;
        ngx_sha1_update(&sha1, &lead, 1);
        ngx_sha1_update(&sha1, address->data, address->len);
    }

    if (kind != NGX_HTTP_V2M_LIMIT_ADDRESS) {
        ngx_sha1_update(&sha1, account->data, account->len);
    }

    ngx_sha1_final(hash, &sha1);
    ngx_memcpy(key, hash, NGX_HTTP_V2M_LIMIT_KEY);
}


/* The client's address; of IPv6 the half that a provider gives to one
 * customer. */
static void
ngx_http_v2m_limit_address(ngx_connection_t *c, ngx_str_t *address)
{
    struct sockaddr_in *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6 *sin6;
#endif

    address->data = NULL;
    address->len = 0;

    switch (c->sockaddr->sa_family) {
    case AF_INET:
        sin = (struct sockaddr_in *) c->sockaddr;
        address->data = (u_char *) &sin->sin_addr;
        address->len = 4;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) c->sockaddr;
        address->data = sin6->sin6_addr.s6_addr;
        address->len = 8;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            address->data += 12;
            address->len = 4;
        }

        break;
#endif
    }
}


/*
 * Under the zone's lock.  NGX_OK: counted; NGX_BUSY: *wait is how long not, for
 * which kind; NGX_ERROR: there is no room.
 */
static ngx_int_t
ngx_http_v2m_limit_decide(ngx_http_v2m_limit_zone_t       *zone,
                          const ngx_http_v2m_limit_conf_t *conf,
                          ngx_http_v2m_try_t *it, ngx_uint_t *kind,
                          ngx_msec_t *wait)
{
    ngx_uint_t                  i;
    ngx_http_v2m_limit_entry_t *entry;

    if (it->first == NGX_HTTP_V2M_LIMIT_PAIR) {
        entry = ngx_http_v2m_limit_find(zone, it->keys[it->first]);

        if (entry != NULL && entry->known) {
            it->end = it->first + 1;
        }
    }

    for (i = it->first; i < it->end; i++) {
        entry = ngx_http_v2m_limit_find(zone, it->keys[i]);

        if (entry != NULL && entry->delayed
            && !ngx_http_v2m_limit_passed(entry->until)) {
            *kind = i;
            *wait = entry->until - ngx_current_msec;
            return NGX_BUSY;
        }
    }

    for (i = it->first; i < it->end; i++) {
        entry = ngx_http_v2m_limit_find(zone, it->keys[i]);

        if (entry == NULL) {
            entry = ngx_http_v2m_limit_add(zone, it->keys[i]);
        }

        if (entry == NULL) {
            return NGX_ERROR;
        }

        ngx_http_v2m_limit_count(zone, conf, i, entry);
        it->until[i] = entry->until;

        if (entry->failures == conf->free[i] + 1) {
            *kind = i;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_limit_refuse(ngx_http_request_t         *r,
                          const ngx_http_v2m_tries_t *tries, ngx_uint_t kind,
                          ngx_msec_t wait)
{
    u_char              text[128];
    ngx_uint_t          seconds;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    seconds = (wait + 999) / 1000;
    ctx->retry_after = seconds;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "v2m: put off for %ui s: too many %s %s", seconds,
                  tries->what, ngx_http_v2m_limit_whats[kind]);

    ngx_snprintf(text, sizeof(text), "too many %s, try again in %ui s%Z",
                 tries->what, seconds);

    return ngx_http_v2m_over_limit(r, tries->refusal,
                                   NGX_HTTP_TOO_MANY_REQUESTS, (char *) text);
}


ngx_int_t
ngx_http_v2m_try_begin(ngx_http_request_t *r, const ngx_http_v2m_tries_t *tries,
                       const ngx_str_t *user, ngx_http_v2m_try_t *it)
{
    ngx_int_t                  rc;
    ngx_str_t                  address, account = ngx_null_string;
    ngx_uint_t                 i, kind;
    ngx_msec_t                 wait;
    ngx_http_v2m_limit_conf_t *conf;
    ngx_http_v2m_limit_zone_t *zone;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_login_limit_module);

    it->zone = NULL;

    if (conf->zone == NULL) {
        return NGX_OK;
    }

    if (user == NULL) {
        rc = NGX_OK;
        it->first = NGX_HTTP_V2M_LIMIT_ADDRESS;
        it->end = it->first + 1;

    } else {
        rc = ngx_http_v2m_account(r, user, &account);
        it->first = NGX_HTTP_V2M_LIMIT_PAIR;
        it->end = NGX_HTTP_V2M_LIMIT_KINDS;
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    it->many = rc == NGX_DECLINED;
    ngx_http_v2m_limit_address(r->connection, &address);

    for (i = it->first; i < it->end; i++) {
        ngx_http_v2m_limit_hash(it->keys[i], tries->what, i, &address,
                                &account);
    }

    zone = conf->zone->data;
    kind = NGX_HTTP_V2M_LIMIT_KINDS;
    wait = 0;

    ngx_shmtx_lock(&zone->slab->mutex);
    rc = ngx_http_v2m_limit_decide(zone, conf, it, &kind, &wait);
    ngx_shmtx_unlock(&zone->slab->mutex);

    if (rc == NGX_BUSY) {
        return ngx_http_v2m_limit_refuse(r, tries, kind, wait);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "v2m: there is no room in the zone of v2m_login_limit");
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (kind < NGX_HTTP_V2M_LIMIT_KINDS) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "v2m: %ui %s %s: the next ones are put off longer and "
                      "longer",
                      conf->free[kind], tries->what,
                      ngx_http_v2m_limit_whats[kind]);
    }

    it->zone = conf->zone;

    return NGX_OK;
}


/* Takes back what the try counted; its delay with it, unless another try that
 * came later is the reason for a longer one. */
static void
ngx_http_v2m_limit_uncount(ngx_http_v2m_limit_zone_t *zone,
                           ngx_http_v2m_try_t *it, ngx_uint_t kind)
{
    ngx_http_v2m_limit_entry_t *entry;

    entry = ngx_http_v2m_limit_find(zone, it->keys[kind]);

    if (entry == NULL || entry->failures == 0) {
        return;
    }

    entry->failures--;

    if (entry->until == it->until[kind]) {
        entry->until = ngx_current_msec;
        ngx_http_v2m_limit_move(zone, entry, 0);
    }
}


/* Forgets the failures. */
static void
ngx_http_v2m_limit_reset(ngx_http_v2m_limit_zone_t *zone,
                         ngx_http_v2m_try_t *it, ngx_uint_t kind)
{
    ngx_http_v2m_limit_entry_t *entry;

    entry = ngx_http_v2m_limit_find(zone, it->keys[kind]);

    if (entry == NULL) {
        return;
    }

    entry->failures = 0;
    entry->until = ngx_current_msec;
    entry->known = kind == NGX_HTTP_V2M_LIMIT_PAIR;

    ngx_http_v2m_limit_move(zone, entry, 0);
}


void
ngx_http_v2m_try_succeeded(ngx_http_v2m_try_t *it)
{
    ngx_http_v2m_limit_zone_t *zone;

    if (it->zone == NULL) {
        return;
    }

    /* or whoever has one of the accounts of this key could go on with the
     * others */

    if (it->many) {
        ngx_http_v2m_try_undo(it);
        return;
    }

    zone = it->zone->data;

    ngx_shmtx_lock(&zone->slab->mutex);

    if (it->first == NGX_HTTP_V2M_LIMIT_PAIR) {
        ngx_http_v2m_limit_reset(zone, it, NGX_HTTP_V2M_LIMIT_PAIR);
        ngx_http_v2m_limit_reset(zone, it, NGX_HTTP_V2M_LIMIT_ACCOUNT);
    }

    /* the same for an address: what others failed there stays */

    if (it->end > NGX_HTTP_V2M_LIMIT_ADDRESS) {
        ngx_http_v2m_limit_uncount(zone, it, NGX_HTTP_V2M_LIMIT_ADDRESS);
    }

    ngx_shmtx_unlock(&zone->slab->mutex);

    it->zone = NULL;
}


void
ngx_http_v2m_try_undo(ngx_http_v2m_try_t *it)
{
    ngx_uint_t                 i;
    ngx_http_v2m_limit_zone_t *zone;

    if (it->zone == NULL) {
        return;
    }

    zone = it->zone->data;

    ngx_shmtx_lock(&zone->slab->mutex);

    for (i = it->first; i < it->end; i++) {
        ngx_http_v2m_limit_uncount(zone, it, i);
    }

    ngx_shmtx_unlock(&zone->slab->mutex);

    it->zone = NULL;
}
