#include "v2m_screen.h"

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "v2m_utf8.h"

#define V2M_SCREEN_LINES 64
#define V2M_SCREEN_STATE 32
#define V2M_SCREEN_WIDTH 80 /* columns, where the terminal does not tell */

struct v2m_screen_line_s {
    const char *label; /* NULL: the line is free */
    char        state[V2M_SCREEN_STATE];
};

static pthread_mutex_t v2m_screen_lock = PTHREAD_MUTEX_INITIALIZER;

/* all of it under the lock */
static v2m_screen_line_t v2m_screen_lines[V2M_SCREEN_LINES];
static int               v2m_screen_shown; /* lines above the cursor */


static void
v2m_screen_erase(void)
{
    if (v2m_screen_shown > 0) {
        /* up to the first of them, and clear from there on */
        fprintf(stderr, "\033[%dA\r\033[J", v2m_screen_shown);
        v2m_screen_shown = 0;
    }
}


/* C0, DEL, or C1 (U+0080 to U+009F), which terminals obey as well. */
static int
v2m_screen_is_control(const unsigned char *character, size_t size)
{
    return size == 1 ? character[0] < 0x20 || character[0] == 0x7F
                     : size == 2 && character[0] == 0xC2 && character[1] < 0xA0;
}


/* At most so many characters of the text. */
static void
v2m_screen_put_most(FILE *file, const char *text, int most)
{
    size_t               size;
    const unsigned char *p, *last;

    last = (const unsigned char *) text + strlen(text);

    for (p = (const unsigned char *) text; p < last && most > 0; most--) {
        size = v2m_utf8_character(p, (size_t) (last - p));

        if (size == 0 || v2m_screen_is_control(p, size)) {
            fputc('?', file);
        } else {
            fwrite(p, 1, size, file);
        }

        p += size > 0 ? size : 1;
    }
}


void
v2m_screen_put(FILE *file, const char *text)
{
    v2m_screen_put_most(file, text, INT_MAX);
}


static void
v2m_screen_draw(void)
{
    int                      width;
    size_t                   i;
    struct winsize           size;
    const v2m_screen_line_t *line;

    width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
                ? size.ws_col
                : V2M_SCREEN_WIDTH;

    for (i = 0; i < V2M_SCREEN_LINES; i++) {
        line = &v2m_screen_lines[i];

        if (line->label != NULL) {
            /* a line that is wrapped would be two */
            v2m_screen_put_most(stderr, line->label,
                                width - V2M_SCREEN_STATE - 3);
            fputs("  ", stderr);
            v2m_screen_put(stderr, line->state);
            fputc('\n', stderr);
            v2m_screen_shown++;
        }
    }

    fflush(stderr);
}


v2m_screen_line_t *
v2m_screen_begin(const char *label)
{
    size_t             i;
    v2m_screen_line_t *line;

    line = NULL;
    pthread_mutex_lock(&v2m_screen_lock);

    for (i = 0; line == NULL && i < V2M_SCREEN_LINES; i++) {
        if (v2m_screen_lines[i].label == NULL) {
            line = &v2m_screen_lines[i];
            line->label = label;
            line->state[0] = '\0';
        }
    }

    pthread_mutex_unlock(&v2m_screen_lock);

    return line;
}


void
v2m_screen_show(v2m_screen_line_t *line, const char *format, ...)
{
    char    state[V2M_SCREEN_STATE];
    va_list arguments;

    if (line == NULL) {
        return;
    }

    va_start(arguments, format);
    vsnprintf(state, sizeof(state), format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&v2m_screen_lock);

    if (strcmp(state, line->state) != 0) {
        strcpy(line->state, state);
        v2m_screen_erase();
        v2m_screen_draw();
    }

    pthread_mutex_unlock(&v2m_screen_lock);
}


void
v2m_screen_end(v2m_screen_line_t *line)
{
    if (line == NULL) {
        return;
    }

    pthread_mutex_lock(&v2m_screen_lock);

    v2m_screen_erase();
    line->label = NULL;
    v2m_screen_draw();

    pthread_mutex_unlock(&v2m_screen_lock);
}


void
v2m_screen_hide(void)
{
    pthread_mutex_lock(&v2m_screen_lock);
    v2m_screen_erase();
    fflush(stderr);
}


void
v2m_screen_unhide(void)
{
    fflush(stdout);
    v2m_screen_draw();
    pthread_mutex_unlock(&v2m_screen_lock);
}
