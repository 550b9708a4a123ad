#include "v2m_jobs_client.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "v2m_call.h"
#include "v2m_screen.h"

#define V2M_CLIENT_POLL_FIRST_MS 200
#define V2M_CLIENT_POLL_MOST_MS  2000
#define V2M_CLIENT_PATH          4096
#define V2M_CLIENT_PART          30 /* bytes of ".ID.part" */


int
v2m_client_login(v2m_client_t *client, const char *email, const char *password)
{
    int         result;
    json_t     *answer;
    v2m_call_t  call;
    const char *token;

    memset(&call, 0, sizeof(call));
    call.method = "POST";
    call.email = email;
    call.password = password;

    result = v2m_client_call(client, NULL, &call, "/login", &answer);

    if (result == V2M_CLIENT_DONE) {
        token = v2m_client_text(answer, "access_token");
        v2m_account_wipe(&client->account);
        client->account.token = token[0] != '\0' ? strdup(token) : NULL;

        if (client->account.token == NULL) {
            v2m_client_complain("the answer is not that of v2m");
            result = V2M_CLIENT_FAILED;
        }

        json_decref(answer);
    }

    return result;
}


/* The address of a job; 0: there can be none. */
static int
v2m_client_job_path(char path[64], const char *id)
{
    if (!v2m_client_is_id(id)) {
        v2m_client_complain("%s: there is no such job", id);
        return 0;
    }

    snprintf(path, 64, "/jobs/%s", id);

    return 1;
}


static int
v2m_client_look(v2m_client_t *client, const char *about, const char *id,
                json_t **job)
{
    char       path[64];
    v2m_call_t call;

    if (!v2m_client_job_path(path, id)) {
        return V2M_CLIENT_FAILED;
    }

    memset(&call, 0, sizeof(call));
    call.method = "GET";

    return v2m_client_call(client, about, &call, path, job);
}


int
v2m_client_status(v2m_client_t *client, const char *id, json_t **job)
{
    return v2m_client_look(client, id, id, job);
}


int
v2m_client_delete(v2m_client_t *client, const char *id)
{
    int               rc, result;
    char              path[64];
    v2m_call_t        call;
    v2m_error_t       error;
    v2m_call_answer_t answer;

    if (!v2m_client_job_path(path, id)) {
        return V2M_CLIENT_FAILED;
    }

    memset(&call, 0, sizeof(call));
    call.method = "DELETE";

    rc = v2m_client_ask(client, &call, path, &answer, &error);

    /* then a try whose answer was lost had removed it */

    result = rc == V2M_OK && answer.status == 404 && answer.repeated
                 ? V2M_CLIENT_DONE
                 : v2m_client_judge(id, rc, &answer, &error);

    v2m_call_answer_free(&answer);

    return result;
}


/* "converting 45 %" */
static void
v2m_client_show(v2m_screen_line_t *line, const json_t *job)
{
    const json_t *percent;

    percent = json_object_get(job, "progress");

    if (json_is_integer(percent)) {
        v2m_screen_show(line, "%s %d %%", v2m_client_text(job, "state"),
                        (int) json_integer_value(percent));
    } else {
        v2m_screen_show(line, "%s", v2m_client_text(job, "state"));
    }
}


int
v2m_client_wait(v2m_client_t *client, const char *id, const char *label,
                json_t **job)
{
    int                result;
    long               pause_ms;
    const char        *state;
    v2m_screen_line_t *line;

    line = client->progress ? v2m_screen_begin(label) : NULL;

    for (pause_ms = V2M_CLIENT_POLL_FIRST_MS;; pause_ms += pause_ms / 4) {
        result = v2m_client_look(client, label, id, job);
        if (result != V2M_CLIENT_DONE) {
            break;
        }

        state = v2m_client_text(*job, "state");
        v2m_client_show(line, *job);

        if (strcmp(state, "ready") == 0 || strcmp(state, "failed") == 0) {
            break;
        }

        json_decref(*job);
        *job = NULL;

        if (pause_ms > V2M_CLIENT_POLL_MOST_MS) {
            pause_ms = V2M_CLIENT_POLL_MOST_MS;
        }

        if (!v2m_call_pause(pause_ms)) {
            v2m_client_complain("interrupted; to go on: v2m wait %s", id);
            result = V2M_CLIENT_FAILED;
            break;
        }
    }

    v2m_screen_end(line);

    return result;
}


int
v2m_client_list(v2m_client_t *client, json_t **jobs)
{
    int        result;
    char       path[128];
    json_t    *page;
    v2m_call_t call;

    *jobs = json_array();
    strcpy(path, "/jobs?limit=100");

    do {
        memset(&call, 0, sizeof(call));
        call.method = "GET";

        result = v2m_client_call(client, NULL, &call, path, &page);
        if (result != V2M_CLIENT_DONE) {
            return result;
        }

        json_array_extend(*jobs, json_object_get(page, "jobs"));
        snprintf(path, sizeof(path), "/jobs?limit=100&after=%.24s",
                 v2m_client_text(page, "next"));
        result = json_is_string(json_object_get(page, "next"));
        json_decref(page);
    } while (result);

    return V2M_CLIENT_DONE;
}


/* Gets what is missing of the part.  Its name has the file's id: what is there
 * already is of this very MP3. */
static int
v2m_client_fetch(v2m_client_t *client, const json_t *job, const char *about,
                 FILE *part)
{
    int        result;
    char       path[64], version[32];
    v2m_call_t call;

    snprintf(path, sizeof(path), "/download?fid=%.24s",
             v2m_client_text(job, "mp3_fid"));
    snprintf(version, sizeof(version), "\"%.24s\"",
             v2m_client_text(job, "mp3_fid"));

    memset(&call, 0, sizeof(call));
    call.method = "GET";
    call.out = part;
    call.from = ftello(part);
    call.version = version;
    call.line = client->progress
                    ? v2m_screen_begin(v2m_client_text(job, "name"))
                    : NULL;

    result = v2m_client_call(client, about, &call, path, NULL);
    v2m_screen_end(call.line);

    return result;
}


/* The name of the part; 0: it is too long. */
static int
v2m_client_part_name(char name[V2M_CLIENT_PATH], const char *path,
                     const char *fid)
{
    size_t      length;
    const char *slash, *last;

    slash = strrchr(path, '/');
    last = slash != NULL ? slash + 1 : path;
    length = strlen(last);

    /* the id makes it one of its own, whatever is left of the name */

    if (length > NAME_MAX - V2M_CLIENT_PART) {
        length = NAME_MAX - V2M_CLIENT_PART;
    }

    return snprintf(name, V2M_CLIENT_PATH, "%.*s.%.24s.part",
                    (int) (last - path) + (int) length, path, fid)
           < V2M_CLIENT_PATH;
}


/* Opens the part, at its end; NULL: it cannot be, or another call is at it. */
static FILE *
v2m_client_part_open(const char *name, int64_t size)
{
    FILE *part;

    part = fopen(name, "ae");

    if (part == NULL || fseeko(part, 0, SEEK_END) != 0) {
        v2m_client_complain("%s: %s", name, strerror(errno));
        goto failed;
    }

    /* where files cannot be locked, nobody is kept away */

    if (flock(fileno(part), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        v2m_client_complain("%s: another call is at this download", name);
        goto failed;
    }

    /* longer than it can be: not ours */
    if (ftello(part) > size && ftruncate(fileno(part), 0) == 0) {
        fseeko(part, 0, SEEK_END);
    }

    return part;

failed:

    if (part != NULL) {
        fclose(part);
    }

    return NULL;
}


/* Brings the part to its full length. */
static int
v2m_client_part_fill(v2m_client_t *client, const json_t *job, const char *path,
                     const char *name)
{
    int     result;
    FILE   *part;
    int64_t size, length;

    size = json_integer_value(json_object_get(job, "mp3_size"));

    part = v2m_client_part_open(name, size);
    if (part == NULL) {
        return V2M_CLIENT_FAILED;
    }

    result = ftello(part) < size ? v2m_client_fetch(client, job, path, part)
                                 : V2M_CLIENT_DONE;

    length = ftello(part);

    if (fclose(part) != 0 && result == V2M_CLIENT_DONE) {
        v2m_client_complain("%s: %s", name, strerror(errno));
        result = V2M_CLIENT_FAILED;
    }

    if (result == V2M_CLIENT_DONE && length != size) {
        /* an answer that is whole, but of something else */
        v2m_client_complain("%s: what came is not as long as the job says",
                            path);
        unlink(name);
        return V2M_CLIENT_FAILED;
    }

    if (length == 0) {
        unlink(name);

    } else if (result != V2M_CLIENT_DONE) {
        v2m_client_complain("what is there is in %s; to go on: v2m download "
                            "-o %s %s",
                            name, path, v2m_client_text(job, "id"));
    }

    return result;
}


int
v2m_client_download(v2m_client_t *client, const json_t *job, const char *path)
{
    int         result;
    char        name[V2M_CLIENT_PATH];
    const char *fid;
    struct stat status;

    fid = v2m_client_text(job, "mp3_fid");

    if (!v2m_client_is_id(fid)
        || json_integer_value(json_object_get(job, "mp3_size")) <= 0)
    {
        v2m_client_complain("%s: the answer is not that of v2m", path);
        return V2M_CLIENT_FAILED;
    }

    if (!v2m_client_part_name(name, path, fid)) {
        v2m_client_complain("the file's name is too long");
        return V2M_CLIENT_FAILED;
    }

    /* such as /dev/null, or a link */

    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        v2m_client_complain("%s is there, but no file, and is not replaced",
                            path);
        return V2M_CLIENT_FAILED;
    }

    result = v2m_client_part_fill(client, job, path, name);

    if (result == V2M_CLIENT_DONE && rename(name, path) != 0) {
        v2m_client_complain("%s: %s", path, strerror(errno));
        result = V2M_CLIENT_FAILED;
    }

    return result;
}
