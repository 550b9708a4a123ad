/* The reader of multipart/form-data: the same events however a body is cut,
 * and nothing read beyond the input, which is what the exactly sized copies
 * show to a sanitizer. */

#include "multipart_feed.h"

/* Preamble, a field, a file whose data begins like the delimiter again and
 * again, an empty file, padding, epilogue. */
#define TEST_DATA "\r\n--boundar\r\r\n\r\n-\r\n--bou\r"
static const char test_form[] = "pre\r\namble\r\n--bound\r\n--boundary" PART(
    "title") "a title\r\n--boundary \t" FILE_PART("video", "a.mp4") TEST_DATA
    "\r\n--boundary" FILE_PART(
        "e", "e.bin") "\r\n--boundary--  \r\nepilogue\r\n--boundary\r\n";
static const char test_form_events[] =
    "(title)a title.(video|a.mp4)" TEST_DATA ".(e|e.bin).$";


static void
test_every_split(void **state)
{
    size_t        cuts[2], length;
    test_events_t events;

    (void) state;

    length = sizeof(test_form) - 1;
    assert_body(test_form, test_form_events);

    for (cuts[0] = 0; cuts[0] <= length; cuts[0]++) {
        for (cuts[1] = cuts[0]; cuts[1] <= length; cuts[1]++) {
            events = feed_cut(TEST_TYPE, test_form, length, cuts, 2);
            assert_events(&events, test_form_events,
                          sizeof(test_form_events) - 1);
            free(events.text);
        }
    }
}


static void
test_like_the_delimiter(void **state)
{
    size_t i;
    char   body[512], expected[256];

    static const char *const data[] = {
        "\r",
        "\n",
        "\r\n",
        "\r\n-",
        "\r\n--",
        "\r\n--boundar",
        "\r\n--boundarx",
        "\r\r\r\r",
        "\r\n\r\n\r\n",
        "\r\r\n--boundar\r\r\n-",
        "\r\n\r\n--\r\n--b\r\n--bo\r\n--bou",
        "\n--boundary",
        "--boundar",
        "-",
        "--",
        "x--boundary",
        "--boundar\r\n--boundar",
        "\r--boundary",
        "\r\n-boundary",
        "\r\n ---boundary",
    };

    (void) state;

    for (i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
        snprintf(body, sizeof(body), "--boundary%s%s\r\n--boundary--",
                 PART("f"), data[i]);
        snprintf(expected, sizeof(expected), "(f)%s.$", data[i]);
        assert_body(body, expected);

        /* the same as a preamble and as an epilogue */

        snprintf(body, sizeof(body), "%s\r\n--boundary%sx\r\n--boundary--%s",
                 data[i], PART("f"), data[i]);
        assert_body(body, "(f)x.$");
    }
}


static void
test_forms_of_body(void **state)
{
    (void) state;

    /* no preamble, an empty one, one that is a line */
    assert_body("--boundary" PART("f") "x\r\n--boundary--", "(f)x.$");
    assert_body("\r\n--boundary" PART("f") "x\r\n--boundary--", "(f)x.$");
    assert_body("-\r\n--boundary" PART("f") "x\r\n--boundary--", "(f)x.$");
    assert_body("--\r\n--boundary" PART("f") "x\r\n--boundary--", "(f)x.$");

    /* a boundary in the middle of a preamble's line is none */
    assert_body("x--boundary" PART("f") "x\r\n--boundary--", "$");

    /* nothing but the end */
    assert_body("--boundary--", "$");
    assert_body("--boundary--\r\n", "$");
    assert_body("--boundary--\r\n--boundary" PART("f") "x", "$");

    /* empty parts, with and without a CRLF of their own */
    assert_body("--boundary" PART("f") "\r\n--boundary--", "(f).$");
    assert_body("--boundary" PART("f") "--boundary--", "(f).$");
    assert_body("--boundary" PART("f") "--boundary" PART("g")
                    FILE_PART("h", "h") "\r\n--boundary--",
                "(f).(g)" FILE_PART("h", "h") ".$");

    /* missing ends */
    assert_body("", "");
    assert_body("--boundary", "");
    assert_body("--boundary-", "");
    assert_body("--boundary\r\nContent-Disposition: form-data", "");
    assert_body("--boundary" PART("f"), "(f)");
    assert_body("--boundary" PART("f") "x", "(f)x");
    assert_body("--boundary" PART("f") "x\r\n--boundar", "(f)x");
    assert_body("--boundary" PART("f") "x\r\n--boundary", "(f)x.");
    assert_body("--boundary" PART("f") "x\r\n--boundary\r\n", "(f)x.");

    /* what may follow a boundary */
    assert_body("--boundary \t " PART("f") "x\r\n--boundary--", "(f)x.$");
    assert_body("--boundaryx" PART("f") "x\r\n--boundary--", "!");
    assert_body("--boundary\n", "!");
    assert_body("--boundary\r\r\n", "!");
    assert_body("--boundary-\r\n", "!");
    assert_body_of(TEST_TYPE, "--boundary\0\r\n", 13, "!");
    assert_body("--boundary --", "!");
    assert_body("--boundary" PART("f") "x\r\n--boundary2", "(f)x.!");
}


static void
test_many_parts(void **state)
{
    int           i;
    char          name[64];
    test_events_t events, body, expected;

    (void) state;

    memset(&body, 0, sizeof(body));
    memset(&expected, 0, sizeof(expected));

    for (i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name),
                 "--boundary\r\ncontent-disposition:form-data;name=n%d\r\n\r\n",
                 i);
        events_add_text(&body, name);
        events_add_text(&body, "\r\n\r\n");
        snprintf(name, sizeof(name), "(n%d)\r\n.", i);
        events_add_text(&expected, name);
    }

    events_add_text(&body, "--boundary--");
    events_add_text(&expected, "$");

    events = feed_cut(TEST_TYPE, body.text, body.length, NULL, 0);
    assert_events(&events, expected.text, expected.length);

    free(events.text);
    free(expected.text);
    free(body.text);
}


static void
test_every_byte_is_data(void **state)
{
    size_t        i;
    char          data[256 * 3];
    test_events_t body, events, expected;

    (void) state;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (char) (i / 3);
    }

    memset(&body, 0, sizeof(body));
    memset(&expected, 0, sizeof(expected));
    events_add_text(&body, "--boundary" PART("f"));
    events_add(&body, data, sizeof(data));
    events_add_text(&body, "\r\n--boundary--");
    events_add_text(&expected, "(f)");
    events_add(&expected, data, sizeof(data));
    events_add_text(&expected, ".$");

    events = feed_cut(TEST_TYPE, body.text, body.length, NULL, 0);
    assert_events(&events, expected.text, expected.length);
    free(events.text);

    events = feed_bytes(TEST_TYPE, body.text, body.length);
    assert_events(&events, expected.text, expected.length);
    free(events.text);

    free(expected.text);
    free(body.text);
}


/* A boundary ends where it ends, whatever its last byte is. */
static void
test_boundary_of_dashes(void **state)
{
    static const char body[] = "----" PART("f") "\r\n---\r\n------";

    (void) state;

    assert_body_of("multipart/form-data; boundary=--", body, sizeof(body) - 1,
                   "(f)\r\n---.$");
}


/*
 * The same again, written down in the simplest way: over the whole body, with
 * CRLF before it.  A header is good only when it is the one of PART("t").
 */
static test_events_t
model(const char *body, size_t length)
{
    char         *text, *pos, *end, *found, *start;
    size_t        held;
    test_events_t events;

    static const char delimiter[] = "\r\n--boundary";
    static const char header[] = PART("t");

    memset(&events, 0, sizeof(events));
    events_add(&events, "", 0);

    text = malloc(length + 2);
    assert_non_null(text);
    memcpy(text, "\r\n", 2);
    memcpy(text + 2, body, length);
    end = text + 2 + length;

    pos = memmem(text, length + 2, delimiter, strlen(delimiter));

    while (pos != NULL) {
        pos += strlen(delimiter);

        if (end - pos >= 2 && memcmp(pos, "--", 2) == 0) {
            events_add_text(&events, "$");
            break;
        }

        if (pos < end && *pos == '-') {
            events_add_text(&events, end - pos == 1 ? "" : "!");
            break;
        }

        while (pos < end && *pos == ' ') {
            pos++;
        }

        if (pos == end || (end - pos == 1 && *pos == '\r')) {
            break;
        }

        if (end - pos < 2 || memcmp(pos, "\r\n", 2) != 0) {
            events_add_text(&events, "!");
            break;
        }

        found = memmem(pos, (size_t) (end - pos), "\r\n\r\n", 4);
        if (found == NULL) {
            break;
        }

        if (found + 4 - pos != (ptrdiff_t) strlen(header)
            || memcmp(pos, header, strlen(header)) != 0)
        {
            events_add_text(&events, "!");
            break;
        }

        events_add_text(&events, "(t)");

        start = found + 4;
        pos = memmem(start - 2, (size_t) (end - start) + 2, delimiter,
                     strlen(delimiter));

        if (pos != NULL) {
            events_add(&events, start,
                       pos < start ? 0 : (size_t) (pos - start));
            events_add_text(&events, ".");
            continue;
        }

        /* what may be the begin of a delimiter is held back */

        for (held = strlen(delimiter); held > 0; held--) {
            if (held <= (size_t) (end - start) + 2
                && memcmp(end - held, delimiter, held) == 0)
            {
                break;
            }
        }

        if (held < (size_t) (end - start)) {
            events_add(&events, start, (size_t) (end - start) - held);
        }
    }

    free(text);

    return events;
}


/* xorshift: the same numbers wherever and whenever it runs. */
static uint32_t
next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;

    return *seed;
}


static void
test_torture(void **state)
{
    int           round, closed, parts;
    size_t        i, count, cuts[8];
    uint32_t      seed;
    test_events_t body, expected, events;

    static const char *const pieces[] = {
        "\r",           "\n",
        "\r\n",         "-",
        "--",           "\r\n--",
        "\r\n--bound",  "boundary",
        "ary",          "x",
        "\xff",         "\r\n--boundary",
        "--boundary",   "\r\n--boundary \r\n",
        "\r\n\r\n",     "\r\n--boundary" PART("t"),
        PART("t"),      "\r\n--boundary  " PART("t"),
        "--boundary--", "\r\n--boundary--",
    };

    (void) state;

    seed = 2463534242;
    closed = parts = 0;

    for (round = 0; round < 20000; round++) {
        memset(&body, 0, sizeof(body));
        events_add(&body, "", 0);

        /* most bodies begin well, so that something comes of them */

        if (next_random(&seed) % 4 > 0) {
            events_add_text(&body, "--boundary" PART("t"));
        }

        for (count = next_random(&seed) % 24; count > 0; count--) {
            events_add_text(&body,
                            pieces[next_random(&seed)
                                   % (sizeof(pieces) / sizeof(pieces[0]))]);
        }

        expected = model(body.text, body.length);
        closed += strchr(expected.text, '$') != NULL;
        parts += strstr(expected.text, "(t)") != NULL;

        events = feed_cut(TEST_TYPE, body.text, body.length, NULL, 0);
        assert_events(&events, expected.text, expected.length);
        free(events.text);

        events = feed_bytes(TEST_TYPE, body.text, body.length);
        assert_events(&events, expected.text, expected.length);
        free(events.text);

        for (i = 0; i < 8; i++) {
            count = i > 0 ? cuts[i - 1] : 0;
            cuts[i] =
                count
                + next_random(&seed) % (body.length - count + 1) / (8 - i);
        }

        events = feed_cut(TEST_TYPE, body.text, body.length, cuts, 8);
        assert_events(&events, expected.text, expected.length);
        free(events.text);

        free(expected.text);
        free(body.text);
    }

    /* the bodies are worth something */
    assert_in_range(closed, 1000, 20000);
    assert_in_range(parts, 10000, 20000);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        { "S17 every split", test_every_split, NULL, NULL, NULL },
        { "S17 like the delimiter", test_like_the_delimiter, NULL, NULL, NULL },
        { "S17 preamble, epilogue", test_forms_of_body, NULL, NULL, NULL },
        { "S17 many parts", test_many_parts, NULL, NULL, NULL },
        cmocka_unit_test(test_every_byte_is_data),
        cmocka_unit_test(test_boundary_of_dashes),
        { "S17 torture", test_torture, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
