/*
 * Password hashes by crypt(3): the one place that uses libcrypt (libxcrypt).
 * yescrypt is written; whatever crypt(3) knows is read, such as bcrypt and
 * sha512crypt.  Hashing is slow on purpose; all functions are thread-safe.
 */

#ifndef V2M_PASSWORD_H
#define V2M_PASSWORD_H

#include "v2m_error.h"

#define V2M_PASSWORD_MAX      256 /* bytes; bounds the cost of hashing */
#define V2M_PASSWORD_HASH_MAX 384 /* crypt(3): CRYPT_OUTPUT_SIZE */

/* Characters of one that is chosen by a link: NIST SP 800-63B section
 * 5.1.1.2. */
#define V2M_PASSWORD_MIN 8

/* yescrypt's costs: each takes twice the memory and time of the one before;
 * the default is libxcrypt's own, 16 MiB. */
#define V2M_PASSWORD_COST_MIN 1
#define V2M_PASSWORD_COST_MAX 11
#define V2M_PASSWORD_COST     5

/* V2M_INVALID: empty, or longer than V2M_PASSWORD_MAX. */
int v2m_password_hash(const char *password, int cost,
                      char hash[V2M_PASSWORD_HASH_MAX], v2m_error_t *error);

/*
 * V2M_OK: the password is right; V2M_DENIED: it is wrong; V2M_INVALID: the
 * stored value is no hash that crypt(3) knows, such as a plain-text password,
 * which never matches.  Every result takes as long as a hash does, of the
 * stored one's method and cost, or of the cost given when there is none.
 */
int v2m_password_verify(const char *password, const char *hash, int cost,
                        v2m_error_t *error);

/* For an account that does not exist: takes as long as v2m_password_verify()
 * with a hash by v2m_password_hash(), and returns V2M_DENIED. */
int v2m_password_verify_nobody(const char *password, int cost,
                               v2m_error_t *error);

/* 1 when the stored value begins as a hash that v2m_password_verify() knows.
 * Fast. */
int v2m_password_is_hash(const char *stored);

/* 1 when the hash is of another method than ours, or of a lower cost.  Fast. */
int v2m_password_is_outdated(const char *hash, int cost);

#endif /* V2M_PASSWORD_H */
