/*
 * Identifiers: MongoDB ObjectIds in their text form, 24 lower-case hex digits.
 */

#ifndef V2M_ID_H
#define V2M_ID_H

#include <stddef.h>

#define V2M_ID_LENGTH 24

/* A zero-terminated id; an empty string means "none". */
typedef char v2m_id_t[V2M_ID_LENGTH + 1];

/* Makes a fresh id.  Thread-safe; unique across machines and processes. */
void v2m_id_generate(v2m_id_t id);

/*
 * Takes an id as a client wrote it, upper or lower case.
 * Returns 1 and writes the lower-case form, or 0 when it is no id.
 */
int v2m_id_parse(v2m_id_t id, const char *text, size_t length);

#endif /* V2M_ID_H */
