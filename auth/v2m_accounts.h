/*
 * Requests to register and for another password: table account_request of
 * auth/schema/, which is the outbox of the mails and the table of their tokens.
 *
 * A gateway only asks.  A notifier claims what is due, makes a token, stores
 * its digest, and sends the mail; so the token itself is in the notifier's
 * memory and in the mail alone.  What a gateway can see of a request, and how
 * long it takes, does not depend on whether there is such an account.
 *
 * All functions block and may be called from any thread; results are those of
 * v2m_database_run() where nothing else is said.  Times are those of the
 * database's clock.
 */

#ifndef V2M_ACCOUNTS_H
#define V2M_ACCOUNTS_H

#include <stdint.h>

#include "v2m_database.h"
#include "v2m_email.h"
#include "v2m_error.h"

typedef enum { V2M_ACCOUNT_REGISTER, V2M_ACCOUNT_RESET } v2m_account_purpose_t;

/* Links of one purpose that are good, or will be mailed, for one address at a
 * time: nobody's mailbox is filled by others, who cannot spoil a link that was
 * mailed either. */
#define V2M_ACCOUNTS_LINKS 3

/* A request that could not be mailed for so long is forgotten: seconds. */
#define V2M_ACCOUNTS_WAIT 86400

/* Links are good for at least and at most so long: seconds. */
#define V2M_ACCOUNTS_LIFETIME_MIN 60
#define V2M_ACCOUNTS_LIFETIME_MAX (30 * 86400)

/* A token: 32 random bytes as base64url. */
#define V2M_ACCOUNTS_TOKEN 43 /* characters */

/*
 * For the gateway: asks for a mail to the address, with a link that is good for
 * so many seconds from when it is mailed.  V2M_OK also when there is nothing to
 * be done, as a mail waits already or enough were sent, and after the same
 * work: one row is written in any case.  V2M_INVALID: it is no address
 * (v2m_email_check()).
 */
int v2m_accounts_ask(v2m_database_t *users, v2m_account_purpose_t purpose,
                     const char *email, int64_t lifetime, v2m_error_t *error);

/* Whom a token was mailed to, and for what. */
typedef struct {
    char digest[2 * 32 + 1]; /* SHA-256 of the token in hexadecimal digits */
    char email[V2M_EMAIL_MAX + 1];
    v2m_account_purpose_t purpose;
} v2m_account_link_t;

/* For the gateway: V2M_DENIED: there is no such token, or it has expired, was
 * replaced or used, or the tokens of its account were revoked since it was
 * made. */
int v2m_accounts_find(v2m_database_t *users, const char *token,
                      v2m_account_link_t *link, v2m_error_t *error);

/* What there is of the address of a request. */
typedef enum {
    V2M_ACCOUNT_UNKNOWN, /* no account */
    V2M_ACCOUNT_KNOWN,
    V2M_ACCOUNT_DISABLED /* also one that the table takes for the same, though
                          * its address differs in more than letters' case:
                          * nothing of it may be told or changed */
} v2m_account_state_t;

/* A request whose mail is due, as claimed. */
typedef struct {
    int64_t               id;
    char                  owner[22 + 1]; /* of this claim alone */
    v2m_account_purpose_t purpose;
    v2m_account_state_t   state;

    /* Where the mail goes: the address of the account where it is known, else
     * the one that was asked for.  Checked by v2m_email_check(). */
    char email[V2M_EMAIL_MAX + 1];

    int64_t  lifetime; /* seconds, that its link will be good for */
    int64_t  waited;   /* seconds since it was asked for */
    unsigned tries;    /* that failed before, as the caller counted them */
} v2m_account_request_t;

/*
 * For the notifier, as all that follows: claims the request that is due for the
 * longest time, for so many seconds, so that nobody else mails it; of a
 * notifier that died the claim runs out.  V2M_NOT_FOUND: none is due.
 *
 * What to mail: to register, the link if the address is unknown, or that there
 * is an account; for another password, the link if the account is known; else
 * nothing, which v2m_accounts_drop() says.
 */
int v2m_accounts_claim(v2m_database_t *users, int64_t lease,
                       v2m_account_request_t *request, v2m_error_t *error);

/* Makes the token for one try to mail it, and stores its digest; good from now
 * for the request's lifetime, and the one of the try before is good no longer.
 * To be wiped once it is sent.  V2M_CONFLICT: the claim is lost. */
int v2m_accounts_make_token(v2m_database_t              *users,
                            const v2m_account_request_t *request,
                            char         token[V2M_ACCOUNTS_TOKEN + 1],
                            v2m_error_t *error);

/* The mail was taken.  V2M_CONFLICT: the claim is lost, who has it now mails it
 * again. */
int v2m_accounts_sent(v2m_database_t              *users,
                      const v2m_account_request_t *request, v2m_error_t *error);

/* It is tried again in so many seconds; the request's tries are noted.  Its
 * token stays good, as the mail may have arrived.  V2M_CONFLICT: as above. */
int v2m_accounts_put_off(v2m_database_t              *users,
                         const v2m_account_request_t *request, int64_t delay,
                         v2m_error_t *error);

/*
 * There is nothing to mail, or it was refused for good: its token, if there is
 * one, is good no longer.  The request stays for as long as its link would be
 * good, and counts as mailed: so that what a gateway sees is the same.
 * V2M_CONFLICT: as above.
 */
int v2m_accounts_drop(v2m_database_t              *users,
                      const v2m_account_request_t *request, v2m_error_t *error);

/* Deletes the requests that have expired; *count: how many they were.  To be
 * called every few minutes. */
int v2m_accounts_delete_expired(v2m_database_t *users, int64_t *count,
                                v2m_error_t *error);

/* "register" or "reset".  Static text. */
const char *v2m_account_purpose_name(v2m_account_purpose_t purpose);

#endif /* V2M_ACCOUNTS_H */
