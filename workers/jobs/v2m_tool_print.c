#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "v2m_json.h"
#include "v2m_tool.h"


void
v2m_tool_print_json(json_t *document)
{
    char *text;

    text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;

    if (text != NULL) {
        puts(text);
    }

    free(text);
    json_decref(document);
}


/* C1 control characters are two bytes in UTF-8, the first of them 0xc2. */
void
v2m_tool_print_text(const char *text)
{
    const unsigned char *p;

    for (p = (const unsigned char *) text; *p != '\0'; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            putchar('?');
            p++;
            continue;
        }

        putchar(*p < 0x20 || *p == 0x7f ? '?' : *p);
    }
}


static void
v2m_tool_time(char text[32], int64_t time_ms)
{
    time_t    seconds;
    struct tm parts;

    seconds = (time_t) (time_ms / 1000);
    text[0] = '\0';

    if (time_ms != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
}


static json_t *
v2m_tool_json_time(int64_t time_ms)
{
    char text[32];

    v2m_tool_time(text, time_ms);

    return text[0] != '\0' ? json_string(text) : json_null();
}


json_t *
v2m_tool_json(const v2m_job_t *job)
{
    char   *text;
    json_t *object;

    text = v2m_job_json(job, 1);
    object = text != NULL ? json_loads(text, 0, NULL) : NULL;
    free(text);

    if (object == NULL) {
        return NULL;
    }

    json_object_set_new(object, "published", json_boolean(job->published));
    json_object_set_new(object, "finished",
                        v2m_tool_json_time(job->finished_ms));
    json_object_set_new(object, "requeued", json_integer(job->requeued));
    json_object_set_new(object, "video_removed", json_boolean(job->video_gone));
    json_object_set_new(object, "mail",
                        json_pack("{s:i, s:o, s:o, s:i}", "tries",
                                  job->mail.tries, "since",
                                  v2m_tool_json_time(job->mail.since_ms), "due",
                                  v2m_tool_json_time(job->mail.due_ms),
                                  "requeued", job->mail.requeued));

    return object;
}


void
v2m_tool_print_head(void)
{
    printf("%-24s  %-10s  %-8s  %-20s  %-28s  %s\n", "ID", "STATE", "MAIL",
           "UPDATED", "USER", "NAME");
}


void
v2m_tool_print_job(const v2m_job_t *job)
{
    char updated[32];

    v2m_tool_time(updated, job->updated_ms);

    printf("%-24s  %-10s  %-8s  %-20s  ", job->id,
           v2m_job_state_name(job->state), v2m_job_notified_name(job->notified),
           updated);
    v2m_tool_print_text(job->username);
    printf("  ");
    v2m_tool_print_text(job->name != NULL ? job->name : "-");
    putchar('\n');
}


static void
v2m_tool_line(const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        printf("%-13s ", name);
        v2m_tool_print_text(text);
        putchar('\n');
    }
}


static void
v2m_tool_line_number(const char *name, int64_t number)
{
    printf("%-13s %lld\n", name, (long long) number);
}


static void
v2m_tool_line_time(const char *name, int64_t time_ms)
{
    char text[32];

    v2m_tool_time(text, time_ms);
    v2m_tool_line(name, text);
}


void
v2m_tool_print_whole(const v2m_job_t *job)
{
    v2m_tool_line("id", job->id);
    v2m_tool_line("state", v2m_job_state_name(job->state));
    v2m_tool_line("reason", job->reason);
    v2m_tool_line("user", job->username);
    v2m_tool_line("name", job->name);
    v2m_tool_line_number("size", job->size);
    v2m_tool_line("video", job->video_gone ? "removed" : "kept");
    v2m_tool_line("mp3", job->mp3_fid);

    if (job->mp3_fid[0] != '\0') {
        v2m_tool_line_number("mp3 size", job->mp3_size);
    }

    v2m_tool_line_time("created", job->created_ms);
    v2m_tool_line_time("updated", job->updated_ms);
    v2m_tool_line_time("finished", job->finished_ms);
    v2m_tool_line("published", job->published ? "yes" : "no");
    v2m_tool_line_number("attempts", (int64_t) job->attempt_count);
    v2m_tool_line_number("lost", job->requeued);
    v2m_tool_line("webhook", job->webhook);
    v2m_tool_line("mail", v2m_job_notified_name(job->notified));
    v2m_tool_line("mail failed", job->notify_reason);
    v2m_tool_line_number("mail put off", job->mail.tries);
    v2m_tool_line_time("mail due", job->mail.due_ms);
    v2m_tool_line_number("mail lost", job->mail.requeued);
}
