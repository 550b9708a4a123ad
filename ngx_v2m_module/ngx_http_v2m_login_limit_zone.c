#include "ngx_http_v2m_login_limit_zone.h"


static void
ngx_http_v2m_limit_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
                          ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t         **p;
    ngx_http_v2m_limit_entry_t *one, *two;

    for (;;) {
        one = (ngx_http_v2m_limit_entry_t *) node;
        two = (ngx_http_v2m_limit_entry_t *) temp;

        p = ngx_memcmp(one->key, two->key, NGX_HTTP_V2M_LIMIT_KEY) < 0
                ? &temp->left
                : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


ngx_int_t
ngx_http_v2m_limit_init_zone(ngx_shm_zone_t *shm, void *data)
{
    ngx_http_v2m_limit_zone_t   *old = data;
    ngx_http_v2m_limit_zone_t   *zone = shm->data;
    ngx_http_v2m_limit_shared_t *shared;

    if (old != NULL) {
        /* a reload: what was counted still counts */
        *zone = *old;
        return NGX_OK;
    }

    zone->slab = (ngx_slab_pool_t *) shm->shm.addr;

    if (shm->shm.exists) {
        zone->shared = zone->slab->data;
        return NGX_OK;
    }

    shared = ngx_slab_alloc(zone->slab, sizeof(ngx_http_v2m_limit_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&shared->tree, &shared->sentinel,
                    ngx_http_v2m_limit_insert);
    ngx_queue_init(&shared->free);
    ngx_queue_init(&shared->delayed);

    zone->slab->data = shared;
    zone->slab->log_nomem = 0;
    zone->shared = shared;

    return NGX_OK;
}


ngx_uint_t
ngx_http_v2m_limit_passed(ngx_msec_t time)
{
    return (ngx_msec_int_t) (time - ngx_current_msec) <= 0;
}


ngx_http_v2m_limit_entry_t *
ngx_http_v2m_limit_find(ngx_http_v2m_limit_zone_t *zone, const u_char *key)
{
    ngx_int_t                   order;
    ngx_rbtree_node_t          *node, *sentinel;
    ngx_http_v2m_limit_entry_t *entry;

    node = zone->shared->tree.root;
    sentinel = zone->shared->tree.sentinel;

    while (node != sentinel) {
        entry = (ngx_http_v2m_limit_entry_t *) node;
        order = ngx_memcmp(key, entry->key, NGX_HTTP_V2M_LIMIT_KEY);

        if (order == 0) {
            if (ngx_http_v2m_limit_passed(entry->forget)) {
                entry->failures = 0;
            }

            return entry;
        }

        node = order < 0 ? node->left : node->right;
    }

    return NULL;
}


/* Makes room for one entry. */
static void
ngx_http_v2m_limit_evict(ngx_http_v2m_limit_zone_t *zone)
{
    ngx_queue_t                *queue, *last;
    ngx_http_v2m_limit_entry_t *entry;

    queue = ngx_queue_empty(&zone->shared->free) ? &zone->shared->delayed
                                                 : &zone->shared->free;

    /* a delay may be over and forgotten long since */

    if (!ngx_queue_empty(&zone->shared->delayed)) {
        last = ngx_queue_last(&zone->shared->delayed);
        entry = ngx_queue_data(last, ngx_http_v2m_limit_entry_t, queue);

        if (ngx_http_v2m_limit_passed(entry->forget)) {
            queue = &zone->shared->delayed;
        }
    }

    if (ngx_queue_empty(queue)) {
        return;
    }

    last = ngx_queue_last(queue);
    entry = ngx_queue_data(last, ngx_http_v2m_limit_entry_t, queue);

    ngx_queue_remove(last);
    ngx_rbtree_delete(&zone->shared->tree, &entry->node);
    ngx_slab_free_locked(zone->slab, entry);
}


ngx_http_v2m_limit_entry_t *
ngx_http_v2m_limit_add(ngx_http_v2m_limit_zone_t *zone, const u_char *key)
{
    ngx_http_v2m_limit_entry_t *entry;

    entry =
        ngx_slab_calloc_locked(zone->slab, sizeof(ngx_http_v2m_limit_entry_t));

    if (entry == NULL) {
        ngx_http_v2m_limit_evict(zone);
        entry = ngx_slab_calloc_locked(zone->slab,
                                       sizeof(ngx_http_v2m_limit_entry_t));
    }

    if (entry == NULL) {
        return NULL;
    }

    ngx_memcpy(entry->key, key, NGX_HTTP_V2M_LIMIT_KEY);
    ngx_queue_insert_head(&zone->shared->free, &entry->queue);
    ngx_rbtree_insert(&zone->shared->tree, &entry->node);

    return entry;
}


void
ngx_http_v2m_limit_move(ngx_http_v2m_limit_zone_t  *zone,
                        ngx_http_v2m_limit_entry_t *entry, ngx_uint_t delayed)
{
    entry->delayed = delayed;

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_head(
        delayed ? &zone->shared->delayed : &zone->shared->free, &entry->queue);
}
