/*
 * What the files of the command share: how it was called, and the commands on
 * many files.
 */

#ifndef V2M_CLI_H
#define V2M_CLI_H

#include <jansson.h>

#include "v2m_jobs_client.h"

typedef struct {
    v2m_client_t client;
    const char  *output; /* of download; NULL: the video's name */
    int          json;
    int          at_once; /* files, 1 to V2M_PARALLEL_MAX */
    int          count;
    char       **words; /* after the command and its options */
} v2m_cli_t;

/* Prints a job, on one line. */
void v2m_cli_print(const v2m_cli_t *cli, const json_t *job);

/* The commands; each returns what the program ends with. */
int v2m_cli_upload(v2m_cli_t *cli);
int v2m_cli_convert(v2m_cli_t *cli);
int v2m_cli_download(v2m_cli_t *cli);

#endif /* V2M_CLI_H */
