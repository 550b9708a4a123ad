#include "v2m_json.h"

#include <stdlib.h>

#include "v2m_utf8.h"


json_t *
v2m_json_text(const char *text)
{
    char   *repaired;
    json_t *json;

    if (text == NULL) {
        return json_null();
    }

    repaired = v2m_utf8_repair(text);
    if (repaired == NULL) {
        return NULL;
    }

    json = json_string(repaired);
    free(repaired);

    return json;
}
