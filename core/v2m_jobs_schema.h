/*
 * The versions of the jobs' collection.
 *
 * Records change by additions only: a program reads the fields that it knows,
 * whatever a record's version, and every change names the fields that it sets,
 * so that those of a later release stay.  Nothing has to be rewritten for a
 * release then, and programs of two releases work side by side.
 */

#ifndef V2M_JOBS_SCHEMA_H
#define V2M_JOBS_SCHEMA_H

#include "v2m_error.h"
#include "v2m_mongo.h"

/* Of the records written by this release, in their field "version". */
#define V2M_JOBS_VERSION 1

/* A document {_id: "jobs", version} tells up to which version the collection
 * was prepared. */
#define V2M_JOBS_SCHEMA_COLLECTION "schema"

/*
 * Brings the collection up to this release: makes the indexes that are not
 * there, then notes the version, which never goes down.  May be called by any
 * number of programs at once, and again at any time.  Results as in
 * v2m_mongo.h.
 */
int v2m_jobs_prepare(v2m_mongo_t *mongo, v2m_error_t *error);

#endif /* V2M_JOBS_SCHEMA_H */
