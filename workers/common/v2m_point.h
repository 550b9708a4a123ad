/*
 * Named points at which the tests of faults end or freeze a worker.  Only a
 * build with V2M_TEST_POINTS has them (the one with sanitizers): in a release
 * they are nothing.
 */

#ifndef V2M_POINT_H
#define V2M_POINT_H

#ifdef V2M_TEST_POINTS

/* The environment's v2m_test_point is "NAME" or "NAME=stop": at the first point
 * of that name the process is killed, or stopped until it is told to go on. */
void v2m_point(const char *name);

#else

#define v2m_point(name) ((void) 0)

#endif

#endif /* V2M_POINT_H */
