/*
 * What each user may take up, as the users' table says, remembered so that an
 * upload need not ask for it each time.
 *
 * While the database is away the last known limits hold, of users of whom none
 * are known those that the gateway is configured with, and the database is
 * asked again every few seconds only.  Any thread.
 */

#ifndef V2M_QUOTAS_H
#define V2M_QUOTAS_H

#include <stdint.h>

#include "v2m_users.h"

typedef struct v2m_quotas_s v2m_quotas_t;

/* The users' database must stay as long; age_ms: how long an answer of it
 * counts. */
int v2m_quotas_create(v2m_quotas_t **quotas, v2m_database_t *users,
                      int64_t age_ms, v2m_error_t *error);

/* No other call may be under way.  NULL is allowed. */
void v2m_quotas_destroy(v2m_quotas_t *quotas);

/* Never blocks: 1 when the user's limits are known well enough, else 0:
 * v2m_quotas_ask() is to find them. */
int v2m_quotas_recall(v2m_quotas_t *quotas, const char *username,
                      v2m_quota_t *quota);

/*
 * Blocks: asks the database.  Always gives limits; those of a user who is not
 * in the table are V2M_QUOTA_DEFAULT.  Returns V2M_OK, or the database's error
 * when it does not answer, once until it answers again: to be logged.
 */
int v2m_quotas_ask(v2m_quotas_t *quotas, const char *username,
                   v2m_quota_t *quota, v2m_error_t *error);

#endif /* V2M_QUOTAS_H */
