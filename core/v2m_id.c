#include "v2m_id.h"

#include <ctype.h>
#include <bson/bson.h>


void
v2m_id_generate(v2m_id_t id)
{
    bson_oid_t oid;

    bson_oid_init(&oid, NULL);
    bson_oid_to_string(&oid, id);
}


int
v2m_id_parse(v2m_id_t id, const char *text, size_t length)
{
    size_t i;

    if (length != V2M_ID_LENGTH) {
        return 0;
    }

    for (i = 0; i < length; i++) {
        if (!isxdigit((unsigned char) text[i])) {
            return 0;
        }

        id[i] = (char) tolower((unsigned char) text[i]);
    }

    id[length] = '\0';

    return 1;
}
