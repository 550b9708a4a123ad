/*
 * A line on a terminal that shows how far something is.
 */

#ifndef V2M_METER_H
#define V2M_METER_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    FILE   *terminal; /* NULL: nothing is shown */
    int64_t began_ms;
    int64_t drawn_ms;
    int     percent; /* the last one told, -1: unknown */
    int     drawn;   /* there is a line */
} v2m_meter_t;

/* Shows nothing when the file is no terminal, or NULL. */
void v2m_meter_init(v2m_meter_t *meter, FILE *terminal);

/* percent: 0 to 100, -1: unknown. */
void v2m_meter_tell(v2m_meter_t *meter, int percent);

/* Draws the line anew, if it is time for that. */
void v2m_meter_draw(v2m_meter_t *meter);

/* Takes the line away. */
void v2m_meter_end(v2m_meter_t *meter);

#endif /* V2M_METER_H */
