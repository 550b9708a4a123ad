/*
 * What a user takes up in the service, for quotas.
 */

#ifndef V2M_USAGE_H
#define V2M_USAGE_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_mongo.h"

typedef struct {
    int64_t jobs;  /* that have not come to their end */
    int64_t bytes; /* of videos and MP3s; an upload counts with its announced
                      length; at most INT64_MAX */
} v2m_usage_t;

/* Sums up the user's jobs but the given one, which may be empty.  Blocks, and
 * may be called from any thread; results as in v2m_mongo.h. */
int v2m_usage(v2m_mongo_t *mongo, const char *username, const v2m_id_t except,
              v2m_usage_t *usage, v2m_error_t *error);

#endif /* V2M_USAGE_H */
