/*
 * The commands on files, of which several are under way at a time.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "v2m_call.h"
#include "v2m_cli.h"
#include "v2m_filename.h"
#include "v2m_parallel.h"
#include "v2m_screen.h"
#include "v2m_upload_client.h"

/* What becomes of each word. */
typedef struct {
    json_t *job;  /* NULL: there is none */
    char   *path; /* of the MP3; NULL: none */
} v2m_file_t;

typedef struct {
    v2m_cli_t  *cli;
    v2m_file_t *files; /* as many as words */
} v2m_files_t;


static int
v2m_files_init(v2m_files_t *files, v2m_cli_t *cli)
{
    files->cli = cli;
    files->files = calloc((size_t) cli->count, sizeof(v2m_file_t));

    if (files->files == NULL) {
        v2m_client_complain("out of memory");
        return V2M_CLIENT_FAILED;
    }

    return V2M_CLIENT_DONE;
}


static void
v2m_files_free(v2m_files_t *files)
{
    int i;

    for (i = 0; i < files->cli->count; i++) {
        json_decref(files->files[i].job);
        free(files->files[i].path);
    }

    free(files->files);
}


static int
v2m_files_run(v2m_files_t *files, int (*each)(void *data, int i),
              void (*done)(void *data, int i, int result))
{
    v2m_parallel_t parallel;

    parallel.at_once = files->cli->at_once;
    parallel.count = files->cli->count;
    parallel.each = each;
    parallel.done = done;
    parallel.data = files;

    return v2m_parallel(&parallel);
}


static int
v2m_files_upload(void *data, int i)
{
    v2m_files_t *files = data;

    return v2m_client_upload(&files->cli->client, files->cli->words[i],
                             &files->files[i].job);
}


static void
v2m_files_uploaded(void *data, int i, int result)
{
    v2m_files_t *files = data;

    if (result != V2M_CLIENT_DONE) {
        return;
    }

    if (files->cli->json) {
        v2m_cli_print(files->cli, files->files[i].job);
        return;
    }

    v2m_screen_hide();
    printf("%s\n", v2m_client_text(files->files[i].job, "id"));
    v2m_screen_unhide();
}


int
v2m_cli_upload(v2m_cli_t *cli)
{
    int         result;
    v2m_files_t files;

    result = v2m_files_init(&files, cli);

    if (result == V2M_CLIENT_DONE) {
        result = v2m_files_run(&files, v2m_files_upload, v2m_files_uploaded);
        v2m_files_free(&files);
    }

    return result;
}


/* The name after the folder's. */
static const char *
v2m_files_last(const char *path)
{
    const char *slash;

    slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}


/* The name with ".mp3" instead of its ending; malloc'ed. */
static char *
v2m_files_mp3_name(const char *name)
{
    char       *mp3;
    size_t      length;
    const char *dot;

    dot = strrchr(name, '.');

    length = dot != NULL && dot > v2m_files_last(name) ? (size_t) (dot - name)
                                                       : strlen(name);

    return asprintf(&mp3, "%.*s.mp3", (int) length, name) < 0 ? NULL : mp3;
}


/* The folder of a path; 0: it is not known. */
static int
v2m_files_folder(const char *path, struct stat *status)
{
    int   found;
    char *folder;

    if (asprintf(&folder, "%.*s.", (int) (v2m_files_last(path) - path), path)
        < 0) {
        return 0;
    }

    found = stat(folder, status) == 0;
    free(folder);

    return found;
}


/* Whether both name the same file, which need not be there. */
static int
v2m_files_is_same(const char *one, const char *other)
{
    struct stat first, second;

    return strcmp(v2m_files_last(one), v2m_files_last(other)) == 0
           && v2m_files_folder(one, &first) && v2m_files_folder(other, &second)
           && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}


/* Fetches the MP3 of a job that has come to its end. */
static int
v2m_files_fetch(void *data, int i)
{
    const json_t *job;
    v2m_files_t  *files = data;

    job = files->files[i].job;

    if (job == NULL || files->files[i].path == NULL) {
        return V2M_CLIENT_FAILED;
    }

    if (strcmp(v2m_client_text(job, "state"), "ready") != 0) {
        v2m_client_complain("%s: the job is %s%s%s", files->cli->words[i],
                            v2m_client_text(job, "state"),
                            v2m_client_text(job, "reason")[0] ? ": " : "",
                            v2m_client_text(job, "reason"));
        return V2M_CLIENT_FAILED;
    }

    return v2m_client_download(&files->cli->client, job, files->files[i].path);
}


static void
v2m_files_fetched(void *data, int i, int result)
{
    v2m_files_t *files = data;

    if (result != V2M_CLIENT_DONE) {
        return;
    }

    if (files->cli->json) {
        v2m_cli_print(files->cli, files->files[i].job);
        return;
    }

    v2m_screen_hide();
    printf("%s\n", files->files[i].path);
    v2m_screen_unhide();
}


/* Of two MP3s with one name the second would replace the first. */
static int
v2m_files_is_taken(const v2m_files_t *files, int i)
{
    int k;

    for (k = 0; k < i; k++) {
        if (files->files[k].path != NULL
            && strcmp(files->files[k].path, files->files[i].path) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Chooses where the MP3 of a job goes. */
static int
v2m_files_name(v2m_files_t *files, int i)
{
    char        name[V2M_FILENAME_MAX + 1];
    v2m_file_t *file;
    const char *given;

    file = &files->files[i];
    given = v2m_client_text(file->job, "name");
    v2m_filename_clean(name, given, strlen(given));

    file->path = files->cli->output != NULL
                     ? strdup(files->cli->output)
                     : v2m_files_mp3_name(name[0] != '\0' ? name : "video");

    if (file->path != NULL && v2m_files_is_taken(files, i)) {
        v2m_client_complain("%s: its MP3 would replace that of another job, "
                            "%s: download it alone, with -o",
                            files->cli->words[i], file->path);
        free(file->path);
        file->path = NULL;
    }

    return file->path != NULL ? V2M_CLIENT_DONE : V2M_CLIENT_FAILED;
}


static int
v2m_files_look(void *data, int i)
{
    v2m_files_t *files = data;

    return v2m_client_status(&files->cli->client, files->cli->words[i],
                             &files->files[i].job);
}


int
v2m_cli_download(v2m_cli_t *cli)
{
    int         i, rc, result;
    v2m_files_t files;

    if (cli->output != NULL && cli->count > 1) {
        v2m_client_complain("--output is for one MP3");
        return V2M_CLIENT_USAGE;
    }

    result = v2m_files_init(&files, cli);
    if (result != V2M_CLIENT_DONE) {
        return result;
    }

    result = v2m_files_run(&files, v2m_files_look, NULL);

    for (i = 0; i < cli->count; i++) {
        if (files.files[i].job != NULL) {
            v2m_files_name(&files, i);
        }
    }

    rc = v2m_files_run(&files, v2m_files_fetch, v2m_files_fetched);
    v2m_files_free(&files);

    return result != V2M_CLIENT_DONE ? result : rc;
}


/* The MP3 would replace one of the files that are given, or another MP3. */
static const char *
v2m_files_victim(const v2m_files_t *files, int i)
{
    int         k;
    const char *path;

    path = files->files[i].path;

    for (k = 0; k < files->cli->count; k++) {
        if (v2m_files_is_same(path, files->cli->words[k])) {
            return files->cli->words[k];
        }

        if (k < i && files->files[k].path != NULL
            && v2m_files_is_same(path, files->files[k].path))
        {
            return files->files[k].path;
        }
    }

    return NULL;
}


/* Chooses where the MP3 of a file goes: beside it. */
static void
v2m_files_place(v2m_files_t *files, int i)
{
    v2m_file_t *file;
    const char *victim;

    file = &files->files[i];
    file->path = v2m_files_mp3_name(files->cli->words[i]);

    victim = file->path != NULL ? v2m_files_victim(files, i) : NULL;

    if (victim != NULL) {
        v2m_client_complain("%s: its MP3 would replace %s: use v2m upload, and "
                            "v2m download with -o",
                            files->cli->words[i], victim);
        free(file->path);
        file->path = NULL;
    }
}


static int
v2m_files_begin(void *data, int i)
{
    v2m_files_t *files = data;

    return files->files[i].path != NULL ? v2m_files_upload(files, i)
                                        : V2M_CLIENT_FAILED;
}


/* Of jobs that were not waited for to their end. */
static void
v2m_files_tell(const v2m_files_t *files)
{
    int           i;
    const char   *state;
    const json_t *job;

    for (i = 0; i < files->cli->count; i++) {
        job = files->files[i].job;
        state = v2m_client_text(job, "state");

        if (job != NULL && strcmp(state, "ready") != 0
            && strcmp(state, "failed") != 0) {
            v2m_client_complain("%s is job %s: v2m wait, v2m download go on",
                                files->cli->words[i],
                                v2m_client_text(job, "id"));
        }
    }
}


/* Waits for a job that was uploaded, and fetches its MP3. */
static int
v2m_files_finish(void *data, int i)
{
    int          result;
    json_t      *job;
    v2m_file_t  *file;
    v2m_files_t *files = data;

    file = &files->files[i];

    if (file->job == NULL) {
        return V2M_CLIENT_FAILED;
    }

    result =
        v2m_client_wait(&files->cli->client, v2m_client_text(file->job, "id"),
                        files->cli->words[i], &job);
    if (result != V2M_CLIENT_DONE) {
        return result;
    }

    json_decref(file->job);
    file->job = job;

    return v2m_files_fetch(files, i);
}


/* All are uploaded first, so that they are converted side by side. */
int
v2m_cli_convert(v2m_cli_t *cli)
{
    int         i, rc, result;
    v2m_files_t files;

    result = v2m_files_init(&files, cli);
    if (result != V2M_CLIENT_DONE) {
        return result;
    }

    for (i = 0; i < cli->count; i++) {
        v2m_files_place(&files, i);
    }

    result = v2m_files_run(&files, v2m_files_begin, NULL);

    rc = v2m_call_interrupted()
             ? V2M_CLIENT_FAILED
             : v2m_files_run(&files, v2m_files_finish, v2m_files_fetched);

    v2m_files_tell(&files);
    v2m_files_free(&files);

    return result != V2M_CLIENT_DONE ? result : rc;
}
