/* The number of cores, below control groups made up in a directory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "v2m_cores.h"

static char root[64];


/* Writes a file below the root, and makes its directories. */
static void
put(const char *name, const char *text)
{
    char  path[512];
    char *slash;
    FILE *file;

    snprintf(path, sizeof(path), "%s%s", root, name);

    for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }

    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}


static int
setup(void **state)
{
    (void) state;

    strcpy(root, "/tmp/v2m-cores-XXXXXX");
    return mkdtemp(root) == NULL;
}


static int
teardown(void **state)
{
    char command[128];

    (void) state;

    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}


static int
all(void)
{
    cpu_set_t set;

    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);

    return CPU_COUNT(&set);
}


static int
least(int cores)
{
    return cores < all() ? cores : all();
}


static void
test_without_groups(void **state)
{
    (void) state;

    assert_int_equal(v2m_cores(root), all());
    assert_true(v2m_cores("") >= 1);
}


static void
test_version_2(void **state)
{
    (void) state;

    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(v2m_cores(root), all());

    put("/sys/fs/cgroup/a/b/cpu.max", "100000 100000\n");
    assert_int_equal(v2m_cores(root), 1);

    put("/sys/fs/cgroup/a/b/cpu.max", "1000 100000\n");
    assert_int_equal(v2m_cores(root), 1);

    put("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    assert_int_equal(v2m_cores(root), least(2));
}


static void
test_the_group_above_counts(void **state)
{
    (void) state;

    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    assert_int_equal(v2m_cores(root), 1);
}


/* A container often sees its own group at the top. */
static void
test_the_top_counts(void **state)
{
    (void) state;

    put("/proc/self/cgroup", "0::/kubepods/pod1\n");
    put("/sys/fs/cgroup/cpu.max", "90000 100000\n");
    assert_int_equal(v2m_cores(root), 1);
}


static void
test_version_1(void **state)
{
    (void) state;

    put("/proc/self/cgroup", "9:name=systemd:/\n5:cpuset:/x\n"
                             "3:cpu,cpuacct:/docker/1\n1:memory:/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(v2m_cores(root), all());

    put("/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "100000\n");
    assert_int_equal(v2m_cores(root), 1);
}


static void
test_nonsense(void **state)
{
    (void) state;

    put("/proc/self/cgroup", "\n0\n0:\n0::relative\n0::/\n");
    put("/sys/fs/cgroup/cpu.max", "-5 0\n");
    assert_int_equal(v2m_cores(root), all());

    put("/sys/fs/cgroup/cpu.max", "");
    assert_int_equal(v2m_cores(root), all());
}


#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_groups),
        TEST(test_version_2),
        TEST(test_the_group_above_counts),
        TEST(test_the_top_counts),
        TEST(test_version_1),
        TEST(test_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
