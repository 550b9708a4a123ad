/*
 * Lets a test written in another language use v2m_publisher.h line by line:
 *
 *   drive_publisher URL QUEUE CONFIRM_TIMEOUT_MS CAPACITY
 *
 * reads "send ID", "burst COUNT" (ids 1, 2, ...), "ready" and "stop", and
 * writes "state CODE TEXT", "refused ID CODE", "done ID CODE TEXT" and
 * "ready 0|1", where a CODE is ok, unavailable, full, ...
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_publisher.h"


static void
on_state(void *data, const v2m_error_t *error)
{
    (void) data;

    if (error == NULL) {
        puts("state ok");
    } else {
        printf("state %s %s\n", v2m_error_name(error->code), error->text);
    }
}


static void
on_done(void *data, int rc, const v2m_error_t *error)
{
    char *id;

    id = data;

    if (rc == V2M_OK) {
        printf("done %s ok\n", id);
    } else {
        printf("done %s %s %s\n", id, v2m_error_name(rc), error->text);
    }

    free(id);
}


static void
send_one(v2m_publisher_t *publisher, const char *id)
{
    int         rc;
    char       *copy;
    v2m_error_t error;

    copy = strdup(id);
    rc = v2m_publisher_send(publisher, id, strlen(id), id, on_done, copy,
                            &error);

    if (rc != V2M_OK) {
        printf("refused %s %s\n", id, v2m_error_name(rc));
        free(copy);
    }
}


static void
burst(v2m_publisher_t *publisher, int count)
{
    int  i;
    char id[16];

    for (i = 1; i <= count; i++) {
        snprintf(id, sizeof(id), "%d", i);
        send_one(publisher, id);
    }
}


int
main(int argc, char **argv)
{
    char                    line[128], word[64];
    v2m_error_t             error;
    v2m_publisher_t        *publisher;
    v2m_publisher_options_t options;

    if (argc != 5) {
        fputs("drive_publisher URL QUEUE CONFIRM_TIMEOUT_MS CAPACITY\n",
              stderr);
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(&options, 0, sizeof(options));

    options.url = argv[1];
    options.queue = argv[2];
    options.name = "v2m-drive-publisher";
    options.delivery_limit = 5;
    options.confirm_timeout_ms = atoi(argv[3]);
    options.capacity = (size_t) atoi(argv[4]);
    options.state = on_state;

    if (v2m_publisher_start(&publisher, &options, &error) != V2M_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "send %63s", word) == 1) {
            send_one(publisher, word);

        } else if (sscanf(line, "burst %63s", word) == 1) {
            burst(publisher, atoi(word));

        } else if (strcmp(line, "ready\n") == 0) {
            printf("ready %d\n", v2m_publisher_ready(publisher));

        } else {
            break;
        }
    }

    v2m_publisher_stop(publisher);

    return EXIT_SUCCESS;
}
