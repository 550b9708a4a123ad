/*
 * Limits of a quota as people write them.  Pure functions, any thread.
 */

#ifndef V2M_LIMIT_H
#define V2M_LIMIT_H

#include <stdint.h>

#include "v2m_error.h"

#define V2M_LIMIT_TEXT 24 /* bytes, with a final zero */

/*
 * Takes "default" (V2M_QUOTA_DEFAULT), "unlimited" (0), or a number from 1 on;
 * where units is 1 also with k, m, g or t for powers of 1024.  V2M_INVALID
 * tells what may be written.
 */
int v2m_limit_parse(const char *text, int units, int64_t *limit,
                    v2m_error_t *error);

/* Writes a limit in the same way, numbers without a unit. */
void v2m_limit_print(char text[V2M_LIMIT_TEXT], int64_t limit);

#endif /* V2M_LIMIT_H */
