#include "v2m_point.h"

#ifdef V2M_TEST_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int v2m_point_passed;


void
v2m_point(const char *name)
{
    size_t      length;
    const char *wanted;

    length = strlen(name);
    wanted = getenv("v2m_test_point");

    if (wanted == NULL || strncmp(wanted, name, length) != 0
        || (wanted[length] != '\0' && wanted[length] != '=')
        || atomic_fetch_add(&v2m_point_passed, 1) > 0)
    {
        return;
    }

    raise(strcmp(wanted + length, "=stop") == 0 ? SIGSTOP : SIGKILL);
}

#endif
