/*
 * What v2m adds to jansson.
 */

#ifndef V2M_JSON_H
#define V2M_JSON_H

#include <jansson.h>

/* A JSON string; invalid UTF-8 becomes U+FFFD, NULL becomes null.  Returns
 * NULL when out of memory. */
json_t *v2m_json_text(const char *text);

#endif /* V2M_JSON_H */
