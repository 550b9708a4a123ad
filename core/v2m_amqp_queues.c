#include "v2m_amqp_private.h"

#include <stdio.h>
#include <string.h>


int
v2m_amqp_check_queue(const char *queue, v2m_error_t *error)
{
    size_t length;

    length = strlen(queue);

    if (length == 0 || length > V2M_AMQP_QUEUE_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the queue name \"%.32s\" has %zu bytes, but must "
                             "have 1 to %d",
                             queue, length, V2M_AMQP_QUEUE_MAX);
    }

    return V2M_OK;
}


static int
v2m_amqp_open_side(v2m_amqp_t *amqp, v2m_error_t *error)
{
    int rc;

    amqp_maybe_release_buffers(amqp->connection);

    if (amqp->side_open) {
        return v2m_amqp_writable(amqp, "asking for a queue", error);
    }

    rc = v2m_amqp_open_channel(amqp, V2M_AMQP_SIDE, error);
    amqp->side_open = (rc == V2M_OK);

    return rc;
}


/* V2M_NOT_FOUND: there is no such queue. */
static int
v2m_amqp_look_up(v2m_amqp_t *amqp, const char *queue, int64_t *messages,
                 v2m_error_t *error)
{
    int                      rc;
    char                     what[V2M_AMQP_NAME_MAX + 32];
    amqp_queue_declare_ok_t *ok;

    rc = v2m_amqp_open_side(amqp, error);
    if (rc != V2M_OK) {
        return rc;
    }

    ok = amqp_queue_declare(amqp->connection, V2M_AMQP_SIDE,
                            amqp_cstring_bytes(queue), 1, 0, 0, 0,
                            amqp_empty_table);

    snprintf(what, sizeof(what), "looking up queue \"%s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_SIDE,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    if (rc == V2M_OK && messages != NULL) {
        *messages = ok->message_count;
    }

    return rc;
}


int
v2m_amqp_depth(v2m_amqp_t *amqp, const char *queue, int64_t *messages,
               v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_check_queue(queue, error);

    return rc == V2M_OK ? v2m_amqp_look_up(amqp, queue, messages, error) : rc;
}


static int
v2m_amqp_make_queue(v2m_amqp_t *amqp, const char *queue,
                    amqp_table_entry_t *arguments, int count,
                    v2m_error_t *error)
{
    int          rc;
    char         what[V2M_AMQP_NAME_MAX + 32];
    amqp_table_t table;

    rc = v2m_amqp_open_side(amqp, error);
    if (rc != V2M_OK) {
        return rc;
    }

    table.num_entries = count;
    table.entries = arguments;

    amqp_queue_declare(amqp->connection, V2M_AMQP_SIDE,
                       amqp_cstring_bytes(queue), 0, 1, 0, 0, table);

    snprintf(what, sizeof(what), "making queue \"%s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_SIDE,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    /* another process made it meanwhile, in its own way */

    if (rc == V2M_CONFLICT) {
        return V2M_OK;
    }

    return rc == V2M_NOT_FOUND ? V2M_UNAVAILABLE : rc;
}


int
v2m_amqp_declare(v2m_amqp_t *amqp, const char *queue, int delivery_limit,
                 v2m_error_t *error)
{
    int                rc;
    char               dead[V2M_AMQP_NAME_MAX + 1];
    amqp_table_entry_t arguments[4];

    rc = v2m_amqp_check_queue(queue, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_amqp_look_up(amqp, queue, NULL, error);
    if (rc != V2M_NOT_FOUND) {
        return rc;
    }

    snprintf(dead, sizeof(dead), "%.*s.dead", V2M_AMQP_QUEUE_MAX, queue);
    arguments[0] = v2m_amqp_text_entry("x-queue-type", "quorum");

    /* first where dead letters go, so that none is ever lost */

    rc = v2m_amqp_look_up(amqp, dead, NULL, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_amqp_make_queue(amqp, dead, arguments, 1, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    arguments[1] = v2m_amqp_text_entry("x-dead-letter-exchange", "");
    arguments[2] = v2m_amqp_text_entry("x-dead-letter-routing-key", dead);
    arguments[3].key = amqp_cstring_bytes("x-delivery-limit");
    arguments[3].value.kind = AMQP_FIELD_KIND_I32;
    arguments[3].value.value.i32 = delivery_limit;

    return v2m_amqp_make_queue(amqp, queue, arguments, 4, error);
}
