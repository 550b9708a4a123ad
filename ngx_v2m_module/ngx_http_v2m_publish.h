/*
 * Publishing from the event loop: each worker process has one publisher
 * (v2m_publisher.h) with a thread and a connection of its own; the confirms
 * come back to the loop through an eventfd.
 */

#ifndef NGX_HTTP_V2M_PUBLISH_H
#define NGX_HTTP_V2M_PUBLISH_H

#include "ngx_http_v2m_task.h"

/* Starts the worker process's publisher. */
ngx_int_t ngx_http_v2m_publisher_init(ngx_cycle_t              *cycle,
                                      ngx_http_v2m_main_conf_t *mcf);

/* Stops it; NULL is allowed. */
void ngx_http_v2m_publisher_exit(ngx_http_v2m_publisher_t *publisher);

/* Asks how many messages wait in some queues; the answer goes to
 * ngx_http_v2m_metrics_depths(), on the publisher's thread. */
void ngx_http_v2m_publisher_measure(ngx_http_v2m_publisher_t *publisher,
                                    const char *const *queues, size_t count);

/* 1 when the broker would take a message now. */
ngx_uint_t ngx_http_v2m_publisher_ready(ngx_http_v2m_publisher_t *publisher);

/*
 * Publishes a message for a request; done is called once on the loop, later,
 * with V2M_OK when the broker confirmed it, else V2M_UNAVAILABLE.  NGX_OK, or
 * NGX_DECLINED with the reason in error when the message was not even taken:
 * then done is not called.
 */
ngx_int_t ngx_http_v2m_publish(ngx_http_request_t *r, const char *body,
                               const char          *message_id,
                               ngx_http_v2m_done_pt done, void *data,
                               v2m_error_t *error);

#endif /* NGX_HTTP_V2M_PUBLISH_H */
