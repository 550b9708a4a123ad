#include "v2m_parallel.h"

#include <pthread.h>
#include <stdlib.h>

#include "v2m_call.h"
#include "v2m_jobs_client.h"

/* Of a number that is not done. */
#define V2M_PARALLEL_OPEN -1

typedef struct {
    const v2m_parallel_t *parallel;
    pthread_mutex_t       lock; /* of all that follows */
    int                   next; /* to begin with */
    int                   told; /* numbers that "done" was called for */
    int                  *results;
} v2m_parallel_run_t;


static int
v2m_parallel_next(v2m_parallel_run_t *run)
{
    int i;

    pthread_mutex_lock(&run->lock);

    i = run->next < run->parallel->count && !v2m_call_interrupted()
            ? run->next++
            : run->parallel->count;

    pthread_mutex_unlock(&run->lock);

    return i;
}


static void
v2m_parallel_done(v2m_parallel_run_t *run, int i, int result)
{
    const v2m_parallel_t *parallel;

    parallel = run->parallel;

    pthread_mutex_lock(&run->lock);

    run->results[i] = result;

    while (run->told < parallel->count
           && run->results[run->told] != V2M_PARALLEL_OPEN)
    {
        if (parallel->done != NULL) {
            parallel->done(parallel->data, run->told, run->results[run->told]);
        }

        run->told++;
    }

    pthread_mutex_unlock(&run->lock);
}


static void *
v2m_parallel_work(void *data)
{
    int                 i;
    v2m_parallel_run_t *run = data;

    for (i = v2m_parallel_next(run); i < run->parallel->count;
         i = v2m_parallel_next(run))
    {
        v2m_parallel_done(run, i, run->parallel->each(run->parallel->data, i));
    }

    return NULL;
}


int
v2m_parallel(const v2m_parallel_t *parallel)
{
    int                i, threads, result;
    pthread_t          ids[V2M_PARALLEL_MAX];
    v2m_parallel_run_t run;

    run.parallel = parallel;
    run.next = 0;
    run.told = 0;
    run.results = malloc((size_t) (parallel->count + 1) * sizeof(int));

    if (run.results == NULL) {
        v2m_client_complain("out of memory");
        return V2M_CLIENT_FAILED;
    }

    for (i = 0; i < parallel->count; i++) {
        run.results[i] = V2M_PARALLEL_OPEN;
    }

    pthread_mutex_init(&run.lock, NULL);

    /* this thread is one of them: it goes on where no other can be made */

    for (threads = 0;
         threads < parallel->at_once - 1 && threads < parallel->count - 1
         && pthread_create(&ids[threads], NULL, v2m_parallel_work, &run) == 0;
         threads++)
    {
    }

    v2m_parallel_work(&run);

    while (threads > 0) {
        pthread_join(ids[--threads], NULL);
    }

    result = V2M_CLIENT_DONE;

    for (i = 0; i < parallel->count && result == V2M_CLIENT_DONE; i++) {
        result = run.results[i] == V2M_PARALLEL_OPEN ? V2M_CLIENT_FAILED
                                                     : run.results[i];
    }

    pthread_mutex_destroy(&run.lock);
    free(run.results);

    return result;
}
