/*
 * Puts the frames of several encoders together as one stream: each frame's
 * main data is laid out anew in the areas of the frames, so that no frame
 * refers to what another encoder had before it.
 *
 * With a variable bitrate each frame gets the lowest bitrate that there is
 * room enough with; with a constant one the areas stay as they are.
 */

#ifndef V2M_JOINER_H
#define V2M_JOINER_H

#include <stddef.h>

#include "v2m_error.h"
#include "v2m_frames.h"

/* Takes a whole frame of the joined stream. */
typedef int (*v2m_joiner_write_pt)(void *data, const unsigned char *bytes,
                                   size_t length, v2m_error_t *error);

/* Frames that may be open at a time: their areas are at most the room of main
 * data before a frame, but may be empty. */
#define V2M_JOINER_OPEN 512

/* A frame whose area is not filled yet. */
typedef struct {
    unsigned char head[V2M_FRAMES_HEAD];
    int           head_length;
    int           area;
} v2m_joiner_open_t;

typedef struct {
    int                 variable; /* the bitrate may be changed */
    v2m_joiner_write_pt write;
    void               *data;

    /* the joiner's own: frames that wait for what comes after them */
    v2m_frames_t pending;

    /* frames laid out but not written, and the main data for their areas */
    v2m_joiner_open_t open[V2M_JOINER_OPEN];
    int               open_count;
    int               open_area; /* bytes of their areas together */
    int               filled;    /* of these */
    unsigned char     fill[4 * (V2M_FRAMES_BACK + V2M_FRAMES_AREA)];
} v2m_joiner_t;

void v2m_joiner_init(v2m_joiner_t *joiner, int variable,
                     v2m_joiner_write_pt write, void *data);

/*
 * Takes the frames of one encoder; the list is empty afterwards.  Writes what
 * was taken before.  V2M_CONFLICT: with a constant bitrate, these frames need
 * more room before them than there is: nothing was taken, encode them without
 * a bit reservoir.
 */
int v2m_joiner_add(v2m_joiner_t *joiner, v2m_frames_t *frames,
                   v2m_error_t *error);

/* Writes all that is left. */
int v2m_joiner_finish(v2m_joiner_t *joiner, v2m_error_t *error);

void v2m_joiner_free(v2m_joiner_t *joiner);

#endif /* V2M_JOINER_H */
