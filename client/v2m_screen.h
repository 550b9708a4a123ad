/*
 * What goes on, shown on standard error: a line for each thing, kept at the
 * bottom of the terminal.  Any thread.
 */

#ifndef V2M_SCREEN_H
#define V2M_SCREEN_H

#include <stdio.h>

typedef struct v2m_screen_line_s v2m_screen_line_t;

/* A line for this; the text stays the caller's until its end.  NULL, which the
 * others take for nothing to show: there is no room for it. */
v2m_screen_line_t *v2m_screen_begin(const char *label);

/* What it is at; shown when it changed. */
void v2m_screen_show(v2m_screen_line_t *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The line goes away. */
void v2m_screen_end(v2m_screen_line_t *line);

/* Between the two nothing is shown, and no other thread comes between: to print
 * to standard output or standard error. */
void v2m_screen_hide(void);
void v2m_screen_unhide(void);

/* Writes a text that others made: in place of what would do something to a
 * terminal, and of bytes that are no UTF-8, there are question marks. */
void v2m_screen_put(FILE *file, const char *text);

#endif /* V2M_SCREEN_H */
