#include "v2m_amqp_private.h"

#include <stdio.h>
#include <string.h>


int
v2m_amqp_consume(v2m_amqp_t *amqp, const char *queue, int prefetch,
                 v2m_error_t *error)
{
    int                      rc;
    char                     what[V2M_AMQP_NAME_MAX + 32];
    amqp_basic_consume_ok_t *ok;

    rc = v2m_amqp_writable(amqp, "consuming", error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp_basic_qos(amqp->connection, V2M_AMQP_MAIN, 0, (uint16_t) prefetch, 0);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                        amqp_get_rpc_reply(amqp->connection),
                        "setting the prefetch count", error);
    if (rc != V2M_OK) {
        return rc;
    }

    ok = amqp_basic_consume(amqp->connection, V2M_AMQP_MAIN,
                            amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0,
                            0, amqp_empty_table);

    snprintf(what, sizeof(what), "consuming from queue \"%.200s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    if (rc == V2M_OK) {
        amqp->consumer_length = ok->consumer_tag.len;
        memcpy(amqp->consumer, ok->consumer_tag.bytes, ok->consumer_tag.len);
    }

    return rc;
}


int
v2m_amqp_cancel(v2m_amqp_t *amqp, v2m_error_t *error)
{
    int          rc;
    amqp_bytes_t consumer;

    if (amqp->consumer_length == 0) {
        return V2M_OK;
    }

    rc = v2m_amqp_writable(amqp, "ending consuming", error);
    if (rc != V2M_OK) {
        return rc;
    }

    consumer.bytes = amqp->consumer;
    consumer.len = amqp->consumer_length;

    amqp_basic_cancel(amqp->connection, V2M_AMQP_MAIN, consumer);
    amqp->consumer_length = 0;

    return v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                          amqp_get_rpc_reply(amqp->connection),
                          "ending consuming", error);
}


int
v2m_amqp_ack(v2m_amqp_t *amqp, uint64_t tag, v2m_error_t *error)
{
    int rc, status;

    rc = v2m_amqp_writable(amqp, "acknowledging", error);
    if (rc != V2M_OK) {
        return rc;
    }

    status = amqp_basic_ack(amqp->connection, V2M_AMQP_MAIN, tag, 0);

    return status == AMQP_STATUS_OK
               ? V2M_OK
               : v2m_amqp_lost(status, "acknowledging", error);
}


int
v2m_amqp_reject(v2m_amqp_t *amqp, uint64_t tag, int requeue, v2m_error_t *error)
{
    int rc, status;

    rc = v2m_amqp_writable(amqp, "giving back", error);
    if (rc != V2M_OK) {
        return rc;
    }

    status = amqp_basic_reject(amqp->connection, V2M_AMQP_MAIN, tag, requeue);

    return status == AMQP_STATUS_OK
               ? V2M_OK
               : v2m_amqp_lost(status, "giving back", error);
}
