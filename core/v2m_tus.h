/*
 * Resumable uploads (tus 1.0.0, https://tus.io/protocols/resumable-upload) as
 * the store has them.  The job's record, in state uploading, says how far one
 * is, and who may go on with it: a request holds a lease for that, which it
 * renews while bytes arrive, and which runs out when the request is gone.
 *
 *   tus_length, tus_offset   bytes in all, bytes that are durable
 *   tus_chunk_size           of its chunks, whichever gateway goes on
 *   tus_owner, tus_until     the lease
 *   tus_expires              when the sweep removes it, unless it goes on
 *   tus_tails, tus_tail      where the bytes after the last whole chunk are
 *   tus_metadata             what the client said of it
 *
 * Chunks are only ever inserted, and the record, changed by compare-and-set,
 * says how many of them count.  So a request that lost its lease and does not
 * know it yet can do no harm: what it inserts does not count, and is replaced.
 * The bytes after the last whole chunk are a chunk of another file, under a
 * number never used again, until the chunk is whole.
 *
 * All functions block and may be called from any thread; beside the results
 * named at each, those of v2m_mongo.h.
 */

#ifndef V2M_TUS_H
#define V2M_TUS_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_gridfs.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

/* How long a request that shows no sign of life keeps others away, in
 * milliseconds: shorter than clients' patience with a connection that died. */
#define V2M_TUS_LEASE_MS 8000

typedef struct {
    v2m_id_t id;         /* the job's */
    v2m_id_t owner;      /* the lease of this request; empty: it has none */
    v2m_id_t tails;      /* the file that the tails are chunks of */
    int32_t  tail;       /* number of the last one, -1: there never was one */
    int32_t  chunk_size; /* bytes */
    int64_t  length;     /* bytes; -1: not told yet */
    int64_t  offset;     /* bytes that are durable */
    int64_t  expires_ms; /* since the epoch, UTC */
    int64_t  keep_ms;    /* how long it is kept without going on */
    char    *metadata;   /* malloc'ed; NULL: there is none */
} v2m_tus_t;

/* The bytes that a request leaves behind: whole chunks that are not inserted
 * yet, and what follows them. */
typedef struct {
    int64_t                   offset; /* what is durable once they are */
    int32_t                   first;  /* number of the first chunk */
    const v2m_gridfs_chunk_t *chunks;
    size_t                    count;
    v2m_gridfs_chunk_t        tail;    /* may be empty */
    int                       discard; /* what was inserted does not count */
} v2m_tus_piece_t;

/* Inserts the record of the job, with chunk_size, length, keep_ms and metadata
 * of tus; with an owner the lease is taken as well.  Sets the rest of tus.  The
 * first call makes the indexes of the bucket, as all of this relies on chunks
 * being unique. */
int v2m_tus_begin(v2m_mongo_t *mongo, v2m_job_t *job, v2m_tus_t *tus,
                  v2m_error_t *error);

/* Finds the user's upload, under way or finished.  V2M_NOT_FOUND: there is
 * none, or it expired.  Both are to be freed. */
int v2m_tus_find(v2m_mongo_t *mongo, const v2m_id_t id, const char *username,
                 v2m_job_t *job, v2m_tus_t *tus, v2m_error_t *error);

void v2m_tus_free(v2m_tus_t *tus);

/*
 * Takes the lease of an upload that is under way, as v2m_tus_find() gave it,
 * for the owner in it; length: what its client now says it is, -1: nothing.
 * V2M_CONFLICT: another request has it, or went on meanwhile.
 */
int v2m_tus_acquire(v2m_mongo_t *mongo, v2m_tus_t *tus, int64_t length,
                    v2m_error_t *error);

/* Reads the bytes after the last whole chunk, offset % chunk_size of them. */
int v2m_tus_read_tail(v2m_mongo_t *mongo, const v2m_tus_t *tus,
                      unsigned char *buffer, v2m_error_t *error);

/* Inserts whole chunks, or the file's last.  V2M_CONFLICT: the lease was
 * lost. */
int v2m_tus_insert(v2m_mongo_t *mongo, const v2m_tus_t *tus, int32_t first,
                   const v2m_gridfs_chunk_t *chunks, size_t count,
                   v2m_error_t *error);

/* Renews the lease, and notes how many bytes are durable: whole chunks, or
 * what it began with.  V2M_CONFLICT: the lease was lost. */
int v2m_tus_note(v2m_mongo_t *mongo, const v2m_tus_t *tus, int64_t offset,
                 v2m_error_t *error);

/* Stores the piece, or removes what was inserted of it, and gives the lease
 * back; a length that is not known counts as not told.  V2M_CONFLICT: it was
 * lost, and nothing of the piece counts. */
int v2m_tus_pause(v2m_mongo_t *mongo, const v2m_tus_t *tus,
                  const v2m_tus_piece_t *piece, v2m_error_t *error);

/* Makes a file of the chunks, all of which are there, and the job queued.
 * V2M_CONFLICT: the lease was lost. */
int v2m_tus_finish(v2m_mongo_t *mongo, const v2m_tus_t *tus,
                   v2m_gridfs_file_t *file, v2m_error_t *error);

/* Removes what a request whose lease was lost may have inserted after the
 * upload had been removed. */
void v2m_tus_clean(v2m_mongo_t *mongo, const v2m_tus_t *tus);

/* Removes an upload that is under way, whoever is at it.  V2M_CONFLICT: it is
 * no resumable one, or not under way any more. */
int v2m_tus_terminate(v2m_mongo_t *mongo, const v2m_job_t *job,
                      v2m_error_t *error);

/* For the sweep: uploads that expired before the given time, and the removal
 * of one of them (V2M_CONFLICT: it went on).  As in v2m_jobs_upkeep.h. */
int v2m_tus_expired(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                    v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_tus_expire(v2m_mongo_t *mongo, const v2m_job_t *job, int64_t before_ms,
                   v2m_error_t *error);

#endif /* V2M_TUS_H */
