#include "v2m_smtp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define V2M_SMTP_CONNECT_TIMEOUT_MS 10000

/* An unused connection is not tried again after so many seconds: servers
 * close those they find idle. */
#define V2M_SMTP_KEEP_S 20

/* A libcurl handle, with its connection, and what one mail needs. */
typedef struct v2m_smtp_client_s v2m_smtp_client_t;

struct v2m_smtp_client_s {
    v2m_smtp_client_t *next;
    CURL              *curl;
    const char        *text;
    size_t             length;
    char               fault[CURL_ERROR_SIZE];
    char refusal[160]; /* the server's last line of a 4xx or 5xx */
    int  begun;        /* the server was told of the mail */
};

struct v2m_smtp_s {
    pthread_mutex_t    lock; /* guards idle */
    v2m_smtp_client_t *idle;
    char              *url;
    char              *user;
    char              *password;
    char              *ca;
    v2m_smtp_tls_t     tls;
    int                timeout_ms;
    int (*stopping)(void);
};


static size_t
v2m_smtp_read(char *buffer, size_t size, size_t count, void *data)
{
    size_t             length;
    v2m_smtp_client_t *client;

    client = data;
    length = size * count;

    if (length > client->length) {
        length = client->length;
    }

    memcpy(buffer, client->text, length);
    client->text += length;
    client->length -= length;

    return length;
}


static size_t
v2m_smtp_reply(char *line, size_t size, size_t count, void *data)
{
    size_t             length;
    v2m_smtp_client_t *client;

    client = data;

    for (length = size * count;
         length > 0 && (unsigned char) line[length - 1] <= ' '; length--)
    {
    }

    /* the good answer to the QUIT that follows tells nothing */
    if (length > 0 && (line[0] == '4' || line[0] == '5')) {
        snprintf(client->refusal, sizeof(client->refusal), "%.*s", (int) length,
                 line);
    }

    return size * count;
}


/* Sees what is sent and received, only to know how far a mail came. */
static int
v2m_smtp_watch(CURL *curl, curl_infotype type, char *bytes, size_t length,
               void *data)
{
    v2m_smtp_client_t *client;

    static const char command[] = "MAIL ";

    (void) curl;

    client = data;

    if (type == CURLINFO_HEADER_OUT && length >= sizeof(command) - 1
        && memcmp(bytes, command, sizeof(command) - 1) == 0)
    {
        client->begun = 1;
    }

    return 0;
}


static size_t
v2m_smtp_ignore(char *data, size_t size, size_t count, void *unused)
{
    (void) data;
    (void) unused;

    return size * count;
}


static int
v2m_smtp_progress(void *data, curl_off_t download_total, curl_off_t downloaded,
                  curl_off_t upload_total, curl_off_t uploaded)
{
    v2m_smtp_t *smtp;

    (void) download_total;
    (void) downloaded;
    (void) upload_total;
    (void) uploaded;

    smtp = data;

    return smtp->stopping != NULL && smtp->stopping();
}


static int
v2m_smtp_check_url(const char *text, v2m_error_t *error)
{
    int    good;
    char  *scheme, *host;
    CURLU *url;

    scheme = NULL;
    host = NULL;

    url = curl_url();
    if (url == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    good = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK
           && curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
           && curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK
           && (strcmp(scheme, "smtp") == 0 || strcmp(scheme, "smtps") == 0);

    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);

    if (!good) {
        return v2m_error_set(error, V2M_INVALID,
                             "the mail server must be given as "
                             "smtp://host:port or smtps://host:port");
    }

    return V2M_OK;
}


static int
v2m_smtp_copy(char **copy, const char *text)
{
    *copy = text != NULL ? strdup(text) : NULL;

    return text == NULL || *copy != NULL;
}


int
v2m_smtp_create(v2m_smtp_t **smtp, const v2m_smtp_options_t *options,
                v2m_error_t *error)
{
    int         rc;
    v2m_smtp_t *p;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return v2m_error_set(error, V2M_ERROR, "curl_global_init() failed");
    }

    rc = v2m_smtp_check_url(options->url, error);
    if (rc != V2M_OK) {
        curl_global_cleanup();
        return rc;
    }

    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        curl_global_cleanup();
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    pthread_mutex_init(&p->lock, NULL);
    p->tls = options->tls;
    p->timeout_ms = options->timeout_ms;
    p->stopping = options->stopping;

    if (!v2m_smtp_copy(&p->url, options->url)
        || !v2m_smtp_copy(&p->user, options->user)
        || !v2m_smtp_copy(&p->password, options->password)
        || !v2m_smtp_copy(&p->ca, options->ca))
    {
        v2m_smtp_destroy(p);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    *smtp = p;
    return V2M_OK;
}


void
v2m_smtp_destroy(v2m_smtp_t *smtp)
{
    v2m_smtp_client_t *client;

    if (smtp == NULL) {
        return;
    }

    while ((client = smtp->idle) != NULL) {
        smtp->idle = client->next;
        curl_easy_cleanup(client->curl);
        free(client);
    }

    if (smtp->password != NULL) {
        explicit_bzero(smtp->password, strlen(smtp->password));
    }

    free(smtp->url);
    free(smtp->user);
    free(smtp->password);
    free(smtp->ca);
    pthread_mutex_destroy(&smtp->lock);
    free(smtp);

    curl_global_cleanup();
}


static void
v2m_smtp_secure(const v2m_smtp_t *smtp, CURL *curl)
{
    struct curl_blob ca;

    static const long use[] = {
        [V2M_SMTP_TLS_NEVER] = CURLUSESSL_NONE,
        [V2M_SMTP_TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
        [V2M_SMTP_TLS_REQUIRED] = CURLUSESSL_ALL,
    };

    curl_easy_setopt(curl, CURLOPT_USE_SSL, use[smtp->tls]);

    /* who would take no encryption at all takes any certificate; smtps:// is
     * never used with this setting */
    if (smtp->tls == V2M_SMTP_TLS_OPPORTUNISTIC) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }

    if (smtp->ca != NULL) {
        ca.data = smtp->ca;
        ca.len = strlen(smtp->ca);
        ca.flags = CURL_BLOB_COPY;
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
    }

    if (smtp->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, smtp->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, smtp->password);
    }
}


static v2m_smtp_client_t *
v2m_smtp_new_client(v2m_smtp_t *smtp)
{
    CURL              *curl;
    v2m_smtp_client_t *client;

    client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }

    curl = curl_easy_init();
    if (curl == NULL) {
        free(client);
        return NULL;
    }

    client->curl = curl;

    curl_easy_setopt(curl, CURLOPT_URL, smtp->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long) V2M_SMTP_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) smtp->timeout_ms);
    /* a server that moved is asked for at each new connection */
    curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(curl, CURLOPT_MAXAGE_CONN, (long) V2M_SMTP_KEEP_S);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->fault);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, v2m_smtp_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, client);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, v2m_smtp_reply);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, v2m_smtp_ignore);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, v2m_smtp_watch);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, client);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, v2m_smtp_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, smtp);

    v2m_smtp_secure(smtp, curl);

    return client;
}


static v2m_smtp_client_t *
v2m_smtp_take_client(v2m_smtp_t *smtp)
{
    v2m_smtp_client_t *client;

    pthread_mutex_lock(&smtp->lock);

    client = smtp->idle;
    if (client != NULL) {
        smtp->idle = client->next;
    }

    pthread_mutex_unlock(&smtp->lock);

    return client != NULL ? client : v2m_smtp_new_client(smtp);
}


static void
v2m_smtp_give_client(v2m_smtp_t *smtp, v2m_smtp_client_t *client)
{
    pthread_mutex_lock(&smtp->lock);
    client->next = smtp->idle;
    smtp->idle = client;
    pthread_mutex_unlock(&smtp->lock);
}


/* Greeting, login and TLS are between the operator and the server: no fault of
 * the mail, whatever the reply's first digit. */
static int
v2m_smtp_class(CURLcode result, long reply, int begun)
{
    switch (result) {
    case CURLE_LOGIN_DENIED:
    case CURLE_USE_SSL_FAILED:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return V2M_DENIED;
    case CURLE_OUT_OF_MEMORY:
        return V2M_ERROR;
    default:
        break;
    }

    if (reply == 530 || reply == 534 || reply == 535 || reply == 538) {
        return V2M_DENIED;
    }

    /* 421: the server as a whole goes away, whatever it was asked */
    if (reply < 500 || reply > 599) {
        return begun && reply != 421 ? V2M_CONFLICT : V2M_UNAVAILABLE;
    }

    /* to the greeting, or to EHLO and HELO */
    if ((result == CURLE_WEIRD_SERVER_REPLY && !begun)
        || result == CURLE_REMOTE_ACCESS_DENIED)
    {
        return V2M_DENIED;
    }

    return V2M_INVALID;
}


static CURLcode
v2m_smtp_try(v2m_smtp_client_t *client, long *reply)
{
    CURLcode result;

    client->fault[0] = '\0';
    client->refusal[0] = '\0';
    client->begun = 0;
    *reply = 0;

    result = curl_easy_perform(client->curl);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, reply);

    return result;
}


/* Whether the server had given up the connection that was kept. */
static int
v2m_smtp_was_stale(v2m_smtp_client_t *client, CURLcode result, long reply)
{
    long connections;

    connections = 1;
    curl_easy_getinfo(client->curl, CURLINFO_NUM_CONNECTS, &connections);

    return connections == 0
           && (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR)
           && (reply < 400 || reply == 421);
}


/* What the server did not answer to, it may never answer to: libcurl would wait
 * two minutes for that before it closes the connection. */
static void
v2m_smtp_abandon(v2m_smtp_client_t *client)
{
    curl_socket_t connection;

    connection = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(client->curl, CURLINFO_ACTIVESOCKET, &connection)
            == CURLE_OK
        && connection != CURL_SOCKET_BAD)
    {
        shutdown(connection, SHUT_RDWR);
    }
}


static int
v2m_smtp_perform(v2m_smtp_client_t *client, v2m_error_t *error)
{
    int      code;
    long     reply;
    size_t   length;
    CURLcode result;

    length = client->length;
    result = v2m_smtp_try(client, &reply);

    if (client->length == length && v2m_smtp_was_stale(client, result, reply)) {
        curl_easy_setopt(client->curl, CURLOPT_FRESH_CONNECT, 1L);
        result = v2m_smtp_try(client, &reply);
        curl_easy_setopt(client->curl, CURLOPT_FRESH_CONNECT, 0L);
    }

    if (result == CURLE_OK) {
        return V2M_OK;
    }

    code = v2m_smtp_class(result, reply, client->begun);

    if (reply >= 400) {
        return v2m_error_set(error, code, "the mail server answered \"%s\"",
                             client->refusal);
    }

    v2m_smtp_abandon(client);

    return v2m_error_set(error, code, "cannot send by the mail server: %s",
                         client->fault[0] != '\0' ? client->fault
                                                  : curl_easy_strerror(result));
}


int
v2m_smtp_send(v2m_smtp_t *smtp, const char *from, const char *to,
              const char *text, size_t length, v2m_error_t *error)
{
    int                rc;
    struct curl_slist *recipients;
    v2m_smtp_client_t *client;

    client = v2m_smtp_take_client(smtp);
    recipients = curl_slist_append(NULL, to);

    if (client == NULL || recipients == NULL) {
        curl_slist_free_all(recipients);

        if (client != NULL) {
            v2m_smtp_give_client(smtp, client);
        }

        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    client->text = text;
    client->length = length;

    curl_easy_setopt(client->curl, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(client->curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(client->curl, CURLOPT_INFILESIZE_LARGE,
                     (curl_off_t) length);

    rc = v2m_smtp_perform(client, error);

    curl_easy_setopt(client->curl, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(recipients);
    v2m_smtp_give_client(smtp, client);

    return rc;
}
