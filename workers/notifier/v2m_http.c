#include "v2m_http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define V2M_HTTP_CONNECT_TIMEOUT_MS 10000
#define V2M_HTTP_BODY_MAX           16384 /* bytes of an answer that are read */
#define V2M_HTTP_RETRY_AFTER_MAX_S  (365 * 24 * 3600)

struct v2m_http_s {
    v2m_http_options_t options;
};

/* One call. */
typedef struct {
    const v2m_http_t *http;
    CURL             *curl;
    size_t            received; /* bytes of the answer's body */
    int               refused;  /* addresses that may not be called */
    int               called;   /* others */
} v2m_http_call_t;


int
v2m_http_create(v2m_http_t **http, const v2m_http_options_t *options,
                v2m_error_t *error)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return v2m_error_set(error, V2M_ERROR, "curl_global_init() failed");
    }

    *http = malloc(sizeof(v2m_http_t));

    if (*http == NULL) {
        curl_global_cleanup();
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    (*http)->options = *options;

    return V2M_OK;
}


void
v2m_http_destroy(v2m_http_t *http)
{
    if (http != NULL) {
        free(http);
        curl_global_cleanup();
    }
}


/* libcurl is about to connect to this very address. */
static curl_socket_t
v2m_http_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    v2m_address_t     bytes;
    v2m_http_call_t  *call;
    const v2m_http_t *http;

    (void) purpose;

    call = data;
    http = call->http;

    if (!v2m_address_of(bytes, &address->addr)
        || (!v2m_address_is_public(bytes)
            && !v2m_networks_have(http->options.allowed, bytes)))
    {
        call->refused++;
        return CURL_SOCKET_BAD;
    }

    call->called++;

    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}


static size_t
v2m_http_receive(char *bytes, size_t size, size_t count, void *data)
{
    v2m_http_call_t *call;

    (void) bytes;

    call = data;
    call->received += size * count;

    return call->received > V2M_HTTP_BODY_MAX ? 0 : size * count;
}


static int
v2m_http_progress(void *data, curl_off_t download_total, curl_off_t downloaded,
                  curl_off_t upload_total, curl_off_t uploaded)
{
    const v2m_http_t *http;

    (void) download_total;
    (void) downloaded;
    (void) upload_total;
    (void) uploaded;

    http = data;

    return http->options.stopping != NULL && http->options.stopping();
}


static void
v2m_http_setup(v2m_http_call_t *call, const char *url, const char *body)
{
    CURL                     *curl;
    long                      timeout;
    struct curl_blob          ca;
    const v2m_http_options_t *options;

    curl = call->curl;
    options = &call->http->options;
    timeout = options->timeout_ms;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR,
                     options->http ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, v2m_http_open);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "v2m");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t) strlen(body));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, v2m_http_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     timeout < V2M_HTTP_CONNECT_TIMEOUT_MS
                         ? timeout
                         : (long) V2M_HTTP_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, v2m_http_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call->http);

    if (options->ca != NULL) {
        ca.data = (char *) options->ca;
        ca.len = strlen(options->ca);
        ca.flags = CURL_BLOB_NOCOPY;
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
    }
}


/* The caller's headers, and those that libcurl would choose otherwise; NULL:
 * out of memory. */
static struct curl_slist *
v2m_http_headers(const char *const *headers)
{
    struct curl_slist *list, *longer;

    static const char *const ours[] = { "Content-Type: application/json",
                                        "Accept:", "Expect:", NULL };

    const char *const *const groups[] = { ours, headers };

    list = NULL;

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        for (const char *const *header = groups[i]; *header != NULL; header++) {
            longer = curl_slist_append(list, *header);

            if (longer == NULL) {
                curl_slist_free_all(list);
                return NULL;
            }

            list = longer;
        }
    }

    return list;
}


/* The server may say any number. */
static int64_t
v2m_http_retry_after_ms(curl_off_t seconds)
{
    if (seconds < 0) {
        return 0;
    }

    if (seconds > V2M_HTTP_RETRY_AFTER_MAX_S) {
        seconds = V2M_HTTP_RETRY_AFTER_MAX_S;
    }

    return (int64_t) seconds * 1000;
}


static int
v2m_http_judge(const v2m_http_call_t *call, CURLcode result,
               v2m_http_answer_t *answer, v2m_error_t *error)
{
    long       status;
    curl_off_t seconds;

    status = 0;
    seconds = 0;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->curl, CURLINFO_RETRY_AFTER, &seconds);

    /* the status is the answer, whatever becomes of the body behind it */

    if (status >= 200) {
        answer->status = (int) status;
        answer->retry_after_ms = v2m_http_retry_after_ms(seconds);
        return V2M_OK;
    }

    if (call->called > 0
        && (result == CURLE_OK || result == CURLE_UNSUPPORTED_PROTOCOL))
    {
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "what answered there was not HTTP");
    }

    switch (result) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return v2m_error_set(error, V2M_INVALID, "its URL cannot be called");

    case CURLE_OUT_OF_MEMORY:
        return v2m_error_set(error, V2M_ERROR, "out of memory");

    case CURLE_OPERATION_TIMEDOUT:
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "there was no answer in "
                             "time");
    default:
        break;
    }

    if (call->refused > 0 && call->called == 0) {
        return v2m_error_set(error, V2M_DENIED,
                             "its host has no address that may be called: "
                             "private and special addresses are refused");
    }

    return v2m_error_set(error, V2M_UNAVAILABLE, "there was no answer: %s",
                         curl_easy_strerror(result));
}


int
v2m_http_post(const v2m_http_t *http, const char *url,
              const char *const *headers, const char *body,
              v2m_http_answer_t *answer, v2m_error_t *error)
{
    int                rc;
    CURLcode           result;
    v2m_http_call_t    call;
    struct curl_slist *list;

    memset(answer, 0, sizeof(*answer));
    memset(&call, 0, sizeof(call));
    call.http = http;
    call.curl = curl_easy_init();
    list = v2m_http_headers(headers);

    if (call.curl == NULL || list == NULL) {
        curl_easy_cleanup(call.curl);
        curl_slist_free_all(list);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    v2m_http_setup(&call, url, body);
    curl_easy_setopt(call.curl, CURLOPT_HTTPHEADER, list);

    result = curl_easy_perform(call.curl);
    rc = v2m_http_judge(&call, result, answer, error);

    curl_easy_cleanup(call.curl);
    curl_slist_free_all(list);

    return rc;
}
