/*
 * Where the service is, and the token for it: from the environment (V2M_URL,
 * V2M_TOKEN), else as "v2m login" kept them under $XDG_CONFIG_HOME/v2m, which
 * only the user can read.
 */

#ifndef V2M_ACCOUNT_H
#define V2M_ACCOUNT_H

#include "v2m_error.h"

/* Strings are malloc'ed. */
typedef struct {
    char *url;   /* without a slash at its end */
    char *token; /* NULL: not logged in */
} v2m_account_t;

/* The URL given goes before all others; NULL: none.  A token that was kept for
 * another URL is not used.  V2M_INVALID: there is no URL, or an unusable one.
 * To be freed with v2m_account_free(), whatever comes of it. */
int v2m_account_load(v2m_account_t *account, const char *url,
                     v2m_error_t *error);

/* Keeps it for the next time. */
int v2m_account_save(const v2m_account_t *account, v2m_error_t *error);

/* Removes what was kept; nothing there is no error. */
int v2m_account_forget(v2m_error_t *error);

/* Wipes and frees the token; there is none then. */
void v2m_account_wipe(v2m_account_t *account);

/* Wipes the token, and frees all. */
void v2m_account_free(v2m_account_t *account);

#endif /* V2M_ACCOUNT_H */
