#include "v2m_cores.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2M_CORES_LINE 4096


static int
v2m_cores_affinity(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);

    if (sched_getaffinity(0, sizeof(set), &set) == -1 || CPU_COUNT(&set) < 1) {
        return 1;
    }

    return CPU_COUNT(&set);
}


/* Reads the first line of a file.  Returns 0 when there is none. */
static int
v2m_cores_line(const char *path, char line[V2M_CORES_LINE])
{
    int   found;
    FILE *file;

    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }

    found = fgets(line, V2M_CORES_LINE, file) != NULL;
    fclose(file);

    return found;
}


/* Whole cores of a quota in each period, a part of one counting as one. */
static int
v2m_cores_of_quota(long long quota, long long period)
{
    if (quota < 1 || period < 1 || quota / period >= INT_MAX) {
        return INT_MAX;
    }

    return (int) ((quota + period - 1) / period);
}


/* The limit of one control group: INT_MAX when there is none. */
static int
v2m_cores_of_group(const char *directory)
{
    char      path[PATH_MAX], line[V2M_CORES_LINE];
    long long quota, period;

    snprintf(path, sizeof(path), "%s/cpu.max", directory);

    if (v2m_cores_line(path, line)) {
        return sscanf(line, "%lld %lld", &quota, &period) == 2
                   ? v2m_cores_of_quota(quota, period)
                   : INT_MAX;
    }

    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", directory);

    if (!v2m_cores_line(path, line)) {
        return INT_MAX;
    }

    quota = strtoll(line, NULL, 10);
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", directory);

    return v2m_cores_line(path, line)
               ? v2m_cores_of_quota(quota, strtoll(line, NULL, 10))
               : INT_MAX;
}


/* The least limit of a group and those above it; within a container the own
 * group's path may not be there, but its top is. */
static int
v2m_cores_of_hierarchy(const char *top, const char *group)
{
    int    least, limit;
    char   path[PATH_MAX];
    size_t top_length;
    char  *slash;

    top_length = strlen(top);

    if ((size_t) snprintf(path, sizeof(path), "%s%s", top, group)
        >= sizeof(path)) {
        return v2m_cores_of_group(top);
    }

    for (least = INT_MAX;;) {
        limit = v2m_cores_of_group(path);
        least = limit < least ? limit : least;
        slash = strrchr(path, '/');

        if (strlen(path) <= top_length || slash == NULL) {
            return least;
        }

        *slash = '\0';
    }
}


/* 1 when the list of controllers, "cpu,cpuacct", has "cpu" in it; the list of
 * version 2 is empty. */
static int
v2m_cores_is_cpu(const char *controllers)
{
    const char *next;

    if (*controllers == '\0') {
        return 1;
    }

    for (; controllers != NULL; controllers = next) {
        next = strchr(controllers, ',');
        next = next != NULL ? next + 1 : NULL;

        if (strcmp(controllers, "cpu") == 0
            || strncmp(controllers, "cpu,", 4) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
v2m_cores_of_line(const char *root, char *line)
{
    int   limit;
    char  top[PATH_MAX];
    char *controllers, *group;

    /* "hierarchy:controllers:/path" (cgroups(7)) */

    line[strcspn(line, "\n")] = '\0';
    controllers = strchr(line, ':');
    group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

    if (group == NULL) {
        return INT_MAX;
    }

    *group++ = '\0';
    controllers++;

    if (!v2m_cores_is_cpu(controllers)) {
        return INT_MAX;
    }

    snprintf(top, sizeof(top), "%s/sys/fs/cgroup%s%s", root,
             *controllers != '\0' ? "/" : "", controllers);
    limit = v2m_cores_of_hierarchy(top, strcmp(group, "/") == 0 ? "" : group);

    if (limit == INT_MAX && *controllers != '\0') {
        snprintf(top, sizeof(top), "%s/sys/fs/cgroup/cpu", root);
        limit =
            v2m_cores_of_hierarchy(top, strcmp(group, "/") == 0 ? "" : group);
    }

    return limit;
}


int
v2m_cores(const char *root)
{
    int   cores, limit;
    char  path[PATH_MAX], line[V2M_CORES_LINE];
    FILE *file;

    cores = v2m_cores_affinity();

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    file = fopen(path, "re");

    if (file == NULL) {
        return cores;
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        limit = v2m_cores_of_line(root, line);
        cores = limit < cores ? limit : cores;
    }

    fclose(file);

    return cores;
}
