#include "v2m_prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Signals that end the program, and the one that stops it. */
static const int v2m_prompt_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
                                          SIGTSTP };

#define V2M_PROMPT_SIGNALS (sizeof(v2m_prompt_signals) / sizeof(int))

static volatile sig_atomic_t v2m_prompt_signal;


static void
v2m_prompt_caught(int number)
{
    /* stopping would leave the terminal without echo */

    if (number != SIGTSTP) {
        v2m_prompt_signal = number;
    }
}


/* Byte by byte: no copy stays in a buffer, and what follows the line is left
 * to whoever reads next. */
static int
v2m_prompt_read_line(char password[V2M_PASSWORD_MAX + 1], v2m_error_t *error)
{
    int     control;
    char    c;
    size_t  length;
    ssize_t n;

    length = 0;
    control = 0;

    for (;;) {
        n = read(STDIN_FILENO, &c, 1);

        if (n == -1 && errno == EINTR && v2m_prompt_signal == 0) {
            continue;
        }

        if (n == -1) {
            return v2m_error_set(error, V2M_ERROR,
                                 "cannot read the password: %s",
                                 strerror(errno));
        }

        if (n == 0 || c == '\n') {
            break;
        }

        control |= (unsigned char) c < 0x20 || c == 0x7f;

        if (length < V2M_PASSWORD_MAX) {
            password[length] = c;
        }

        length++;
    }

    c = '\0';

    if (length == 0) {
        return v2m_error_set(error, V2M_INVALID, "no password was given");
    }

    if (length > V2M_PASSWORD_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the password is longer than %d bytes",
                             V2M_PASSWORD_MAX);
    }

    /* RFC 7617 section 2: it could never be sent */

    if (control) {
        return v2m_error_set(error, V2M_INVALID,
                             "the password has a control character");
    }

    password[length] = '\0';

    return V2M_OK;
}


static int
v2m_prompt_ask(const char *prompt, char password[V2M_PASSWORD_MAX + 1],
               v2m_error_t *error)
{
    int rc;

    fputs(prompt, stderr);
    rc = v2m_prompt_read_line(password, error);
    fputc('\n', stderr);

    return rc;
}


static int
v2m_prompt_ask_twice(char password[V2M_PASSWORD_MAX + 1], v2m_error_t *error)
{
    int  rc;
    char again[V2M_PASSWORD_MAX + 1];

    rc = v2m_prompt_ask("Password: ", password, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_prompt_ask("The same again: ", again, error);

    if (rc == V2M_OK && strcmp(password, again) != 0) {
        rc = v2m_error_set(error, V2M_INVALID,
                           "the two passwords are not the same");
    }

    explicit_bzero(again, sizeof(again));

    return rc;
}


static int
v2m_prompt_terminal(const struct termios *shown,
                    char password[V2M_PASSWORD_MAX + 1], v2m_error_t *error)
{
    int              rc;
    size_t           i;
    struct termios   hidden;
    struct sigaction action, saved[V2M_PROMPT_SIGNALS];

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = v2m_prompt_caught;

    v2m_prompt_signal = 0;

    for (i = 0; i < V2M_PROMPT_SIGNALS; i++) {
        sigaction(v2m_prompt_signals[i], &action, &saved[i]);

        if (saved[i].sa_handler == SIG_IGN) {
            sigaction(v2m_prompt_signals[i], &saved[i], NULL);
        }
    }

    hidden = *shown;
    hidden.c_lflag &= ~(tcflag_t) ECHO;

    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0) {
        rc = v2m_prompt_ask_twice(password, error);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, shown);

    } else {
        rc = v2m_error_set(error, V2M_ERROR,
                           "cannot turn the terminal's echo off: %s",
                           strerror(errno));
    }

    for (i = 0; i < V2M_PROMPT_SIGNALS; i++) {
        sigaction(v2m_prompt_signals[i], &saved[i], NULL);
    }

    if (v2m_prompt_signal != 0) {
        explicit_bzero(password, V2M_PASSWORD_MAX + 1);
        raise(v2m_prompt_signal);
    }

    return rc;
}


int
v2m_prompt_password(char password[V2M_PASSWORD_MAX + 1], v2m_error_t *error)
{
    int            rc;
    struct termios terminal;

    if (tcgetattr(STDIN_FILENO, &terminal) == 0) {
        rc = v2m_prompt_terminal(&terminal, password, error);

    } else {
        rc = v2m_prompt_read_line(password, error);
    }

    if (rc != V2M_OK) {
        explicit_bzero(password, V2M_PASSWORD_MAX + 1);
    }

    return rc;
}
