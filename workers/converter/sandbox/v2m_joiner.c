#include "v2m_joiner.h"

#include <string.h>

#include "v2m_mpeg.h"


void
v2m_joiner_init(v2m_joiner_t *joiner, int variable, v2m_joiner_write_pt write,
                void *data)
{
    memset(joiner, 0, sizeof(*joiner));
    joiner->variable = variable;
    joiner->write = write;
    joiner->data = data;
}


void
v2m_joiner_free(v2m_joiner_t *joiner)
{
    v2m_frames_free(&joiner->pending);
}


static int
v2m_joiner_back(const v2m_frame_t *frame)
{
    return v2m_frame_is_low(frame) ? V2M_FRAMES_BACK_LOW : V2M_FRAMES_BACK;
}


/*
 * Notes for each frame the room that is to be left after it, when the frames
 * after all of them need after.  Returns the room needed before the first; -1
 * when one of them needs more than there can be.
 */
static int
v2m_joiner_plan(const v2m_joiner_t *joiner, v2m_frames_t *frames, int after)
{
    int          i, area;
    v2m_frame_t *frame;

    for (i = frames->count - 1; i >= 0; i--) {
        frame = &frames->frames[i];
        frame->leave = after;

        area = joiner->variable ? v2m_frame_area(frame, V2M_MPEG_HIGHEST)
                                : frame->area;
        after += frame->length - area;

        if (after > v2m_joiner_back(frame)) {
            return -1;
        }

        if (after < 0) {
            after = 0;
        }
    }

    return after;
}


/* Room for main data before the next frame's area. */
static int
v2m_joiner_room(const v2m_joiner_t *joiner, int back)
{
    int room;

    room = joiner->open_area - joiner->filled;

    return room < back ? room : back;
}


/* Chooses the lowest bitrate that leaves the room needed after the frame. */
static void
v2m_joiner_choose(v2m_frame_t *frame, int room)
{
    int index;

    for (index = 1; index < V2M_MPEG_HIGHEST; index++) {
        frame->area = v2m_frame_area(frame, index);

        if (frame->area >= 0
            && room + frame->area - frame->length >= frame->leave) {
            break;
        }
    }

    frame->area = v2m_frame_area(frame, index);

    /* index and padding bit of the header's third byte */
    frame->head[2] =
        (unsigned char) ((frame->head[2] & 0x0d) | (unsigned) index << 4);
}


/* Writes main_data_begin. */
static void
v2m_joiner_point(v2m_frame_t *frame, int back)
{
    unsigned char *side;

    side = frame->head + 4;

    if (v2m_frame_is_low(frame)) {
        side[0] = (unsigned char) back;

    } else {
        side[0] = (unsigned char) (back >> 1);
        side[1] = (unsigned char) ((side[1] & 0x7f) | (back & 1) << 7);
    }
}


/* Writes the open frames whose areas are full. */
static int
v2m_joiner_write(v2m_joiner_t *joiner, v2m_error_t *error)
{
    int                rc, done, used;
    unsigned char      bytes[V2M_FRAMES_HEAD + V2M_FRAMES_AREA];
    v2m_joiner_open_t *open;

    rc = V2M_OK;
    used = 0;

    for (done = 0; done < joiner->open_count; done++) {
        open = &joiner->open[done];

        if (joiner->filled - used < open->area) {
            break;
        }

        memcpy(bytes, open->head, (size_t) open->head_length);
        memcpy(bytes + open->head_length, joiner->fill + used,
               (size_t) open->area);
        used += open->area;

        rc = joiner->write(joiner->data, bytes,
                           (size_t) (open->head_length + open->area), error);
        if (rc != V2M_OK) {
            break;
        }
    }

    joiner->open_count -= done;
    joiner->open_area -= used;
    joiner->filled -= used;
    memmove(joiner->open, joiner->open + done,
            (size_t) joiner->open_count * sizeof(v2m_joiner_open_t));
    memmove(joiner->fill, joiner->fill + used, (size_t) joiner->filled);

    return rc;
}


/* Fills areas with zeros that no frame refers to. */
static void
v2m_joiner_stuff(v2m_joiner_t *joiner, int length)
{
    memset(joiner->fill + joiner->filled, 0, (size_t) length);
    joiner->filled += length;
}


static int
v2m_joiner_lay(v2m_joiner_t *joiner, v2m_frame_t *frame,
               const unsigned char *main_data, v2m_error_t *error)
{
    int                rc, room;
    v2m_joiner_open_t *open;

    room = v2m_joiner_room(joiner, v2m_joiner_back(frame));
    v2m_joiner_stuff(joiner, joiner->open_area - joiner->filled - room);

    rc = v2m_joiner_write(joiner, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (joiner->variable) {
        v2m_joiner_choose(frame, room);
    }

    if (room + frame->area - frame->length < 0
        || joiner->open_count == V2M_JOINER_OPEN
        || (size_t) (joiner->filled + frame->length) > sizeof(joiner->fill))
    {
        return v2m_error_set(error, V2M_ERROR, "the MP3's frames do not fit");
    }

    v2m_joiner_point(frame, room);

    open = &joiner->open[joiner->open_count++];
    memcpy(open->head, frame->head, sizeof(open->head));
    open->head_length = frame->head_length;
    open->area = frame->area;
    joiner->open_area += frame->area;

    memcpy(joiner->fill + joiner->filled, main_data, (size_t) frame->length);
    joiner->filled += frame->length;

    return v2m_joiner_write(joiner, error);
}


/* Lays out the pending frames, which are planned. */
static int
v2m_joiner_lay_pending(v2m_joiner_t *joiner, v2m_error_t *error)
{
    int           i, rc;
    v2m_frame_t  *frame;
    v2m_frames_t *pending;

    rc = V2M_OK;
    pending = &joiner->pending;

    for (i = 0; rc == V2M_OK && i < pending->count; i++) {
        frame = &pending->frames[i];
        rc =
            v2m_joiner_lay(joiner, frame, pending->data + frame->offset, error);
    }

    return rc;
}


/*
 * The frames are written one call later, because what the next ones need
 * before them decides on the last bitrates of these.
 */
int
v2m_joiner_add(v2m_joiner_t *joiner, v2m_frames_t *frames, v2m_error_t *error)
{
    int          rc, before;
    v2m_frames_t laid;

    before = v2m_joiner_plan(joiner, frames, 0);

    if (before >= 0) {
        before = v2m_joiner_plan(joiner, &joiner->pending, before);
    }

    if (before < 0 || before > joiner->open_area - joiner->filled) {
        return v2m_error_set(error, V2M_CONFLICT,
                             "the MP3's frames need more room than there is");
    }

    rc = v2m_joiner_lay_pending(joiner, error);
    if (rc != V2M_OK) {
        return rc;
    }

    laid = joiner->pending;
    joiner->pending = *frames;
    *frames = laid;
    v2m_frames_reset(frames);

    return V2M_OK;
}


int
v2m_joiner_finish(v2m_joiner_t *joiner, v2m_error_t *error)
{
    int rc;

    v2m_joiner_plan(joiner, &joiner->pending, 0);

    rc = v2m_joiner_lay_pending(joiner, error);
    if (rc != V2M_OK) {
        return rc;
    }

    v2m_frames_reset(&joiner->pending);
    v2m_joiner_stuff(joiner, joiner->open_area - joiner->filled);

    return v2m_joiner_write(joiner, error);
}
