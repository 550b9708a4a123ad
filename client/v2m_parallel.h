/*
 * The same for many things, some of them at a time.
 */

#ifndef V2M_PARALLEL_H
#define V2M_PARALLEL_H

#define V2M_PARALLEL_MAX 64

typedef struct {
    int at_once; /* 1 to V2M_PARALLEL_MAX */
    int count;

    /* Does it with number i, from 0, on a thread of its own; returns what the
     * program ends with. */
    int (*each)(void *data, int i);

    /* Called in the order of the numbers, as soon as those before are done as
     * well, never twice at a time; may be NULL. */
    void (*done)(void *data, int i, int result);

    void *data;
} v2m_parallel_t;

/*
 * Does all of it; begins nothing more once the calls were interrupted.  Returns
 * 0, or what was returned for the first number that failed.
 */
int v2m_parallel(const v2m_parallel_t *parallel);

#endif /* V2M_PARALLEL_H */
