/*
 * What v2m_login_limit counts: entries in memory that all worker processes
 * share, also with those of the configuration before and after.
 *
 * For the event loop; all but the first function under the lock of the zone's
 * slab.  Entries belong to the zone and stay valid while it is held, until the
 * next one is added.
 */

#ifndef NGX_HTTP_V2M_LOGIN_LIMIT_ZONE_H
#define NGX_HTTP_V2M_LOGIN_LIMIT_ZONE_H

#include <ngx_config.h>
#include <ngx_core.h>

#define NGX_HTTP_V2M_LIMIT_KEY 16 /* bytes of a hash */

/* What is counted; in shared memory. */
typedef struct {
    ngx_rbtree_node_t node; /* its key: the beginning of the key below */
    ngx_queue_t       queue;
    u_char            key[NGX_HTTP_V2M_LIMIT_KEY];
    ngx_msec_t        until;  /* no try before; a time only while delayed */
    ngx_msec_t        forget; /* nothing counts any more from then on */
    uint32_t          failures;
    unsigned          delayed : 1; /* in the queue of those */
    unsigned          known : 1;   /* a pair that has logged in */
} ngx_http_v2m_limit_entry_t;

/*
 * Entries by the time of their last failure, the newest first.  When there is
 * no room, those go first that delay nobody: who is delayed cannot get rid of
 * that by filling the zone with names and addresses tried once each.
 */
typedef struct {
    ngx_rbtree_t      tree;
    ngx_rbtree_node_t sentinel;
    ngx_queue_t       free;
    ngx_queue_t       delayed;
} ngx_http_v2m_limit_shared_t;

typedef struct {
    ngx_http_v2m_limit_shared_t *shared;
    ngx_slab_pool_t             *slab;
} ngx_http_v2m_limit_zone_t;

/* The zone's init: its data is an ngx_http_v2m_limit_zone_t. */
ngx_int_t ngx_http_v2m_limit_init_zone(ngx_shm_zone_t *shm, void *data);

/* 1: the time (of ngx_current_msec) has come. */
ngx_uint_t ngx_http_v2m_limit_passed(ngx_msec_t time);

/* The entry of a key, without the failures that count no more; NULL: there is
 * none. */
ngx_http_v2m_limit_entry_t *
ngx_http_v2m_limit_find(ngx_http_v2m_limit_zone_t *zone, const u_char *key);

/* A new entry for a key that has none, perhaps in place of another one.  NULL:
 * the zone has no room for any. */
ngx_http_v2m_limit_entry_t *
ngx_http_v2m_limit_add(ngx_http_v2m_limit_zone_t *zone, const u_char *key);

/* Moves an entry to the head of the queue that it belongs to. */
void ngx_http_v2m_limit_move(ngx_http_v2m_limit_zone_t  *zone,
                             ngx_http_v2m_limit_entry_t *entry,
                             ngx_uint_t                  delayed);

#endif /* NGX_HTTP_V2M_LOGIN_LIMIT_ZONE_H */
