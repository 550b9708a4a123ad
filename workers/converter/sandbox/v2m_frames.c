#include "v2m_frames.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_mpeg.h"

/* Bits of the side information of one granule and channel. */
#define V2M_FRAMES_GRANULE     59
#define V2M_FRAMES_GRANULE_LOW 63

#define V2M_FRAMES_LENGTH_BITS 12 /* of part2_3_length */

static int
v2m_frames_bits(const unsigned char *bytes, int from, int count)
{
    int value;

    for (value = 0; count > 0; count--, from++) {
        value = value << 1 | (bytes[from >> 3] >> (7 - (from & 7)) & 1);
    }

    return value;
}


/* Bytes of main data that the side information tells of. */
static int
v2m_frames_main_length(const v2m_mpeg_t *header, const unsigned char *side)
{
    int i, bits, from, granules;

    /* main_data_begin, private bits, and with MPEG-1 four bits of scfsi for
     * each channel */

    if (header->low) {
        from = 8 + header->channels;
        granules = 1;

    } else {
        from = 9 + (header->channels == 1 ? 5 : 3) + 4 * header->channels;
        granules = 2;
    }

    bits = 0;

    for (i = 0; i < granules * header->channels; i++) {
        bits += v2m_frames_bits(side, from, V2M_FRAMES_LENGTH_BITS);
        from += header->low ? V2M_FRAMES_GRANULE_LOW : V2M_FRAMES_GRANULE;
    }

    return (bits + 7) / 8;
}


static void *
v2m_frames_grow(void *memory, size_t size, size_t needed, size_t *capacity)
{
    size_t wanted;

    if (needed <= *capacity) {
        return memory;
    }

    wanted = *capacity * 2 > needed ? *capacity * 2 : needed;
    memory = realloc(memory, wanted * size);

    if (memory != NULL) {
        *capacity = wanted;
    }

    return memory;
}


static int
v2m_frames_add(v2m_frames_t *frames, const v2m_frame_t *frame,
               const unsigned char *main_data)
{
    void  *grown;
    size_t capacity;

    capacity = (size_t) frames->capacity;
    grown = v2m_frames_grow(frames->frames, sizeof(v2m_frame_t),
                            (size_t) frames->count + 1, &capacity);
    if (grown == NULL) {
        return V2M_ERROR;
    }

    frames->frames = grown;
    frames->capacity = (int) capacity;

    grown = v2m_frames_grow(frames->data, 1,
                            frames->length + V2M_FRAMES_BACK + V2M_FRAMES_AREA,
                            &frames->data_capacity);
    if (grown == NULL) {
        return V2M_ERROR;
    }

    frames->data = grown;

    memcpy(frames->data + frames->length, main_data, (size_t) frame->length);
    frames->frames[frames->count] = *frame;
    frames->frames[frames->count].offset = frames->length;
    frames->length += (size_t) frame->length;
    frames->count++;

    return V2M_OK;
}


int
v2m_frames_take(v2m_frames_t *frames, const unsigned char *bytes, size_t length,
                int keep, v2m_error_t *error)
{
    int         back, known;
    v2m_frame_t frame;
    v2m_mpeg_t  header;

    if (length < V2M_MPEG_HEADER || !v2m_mpeg_read(bytes, &header)
        || header.checked || (size_t) header.size != length
        || header.size < V2M_MPEG_HEADER + header.side)
    {
        return v2m_error_set(error, V2M_ERROR,
                             "the encoder gave %zu bytes that are no frame",
                             length);
    }

    frame.head_length = V2M_MPEG_HEADER + header.side;
    frame.area = header.size - frame.head_length;
    frame.length = v2m_frames_main_length(&header, bytes + V2M_MPEG_HEADER);
    memcpy(frame.head, bytes, (size_t) frame.head_length);

    back = v2m_frames_bits(bytes + V2M_MPEG_HEADER, 0, header.low ? 8 : 9);
    known = frames->before;

    if (back > known || frame.length > back + frame.area) {
        return v2m_error_set(error, V2M_ERROR,
                             "the encoder gave a frame whose data is not "
                             "there");
    }

    memcpy(frames->window + known, bytes + frame.head_length,
           (size_t) frame.area);

    if (keep
        && v2m_frames_add(frames, &frame, frames->window + known - back)
               != V2M_OK)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    known += frame.area;
    frames->before = known < V2M_FRAMES_BACK ? known : V2M_FRAMES_BACK;
    memmove(frames->window, frames->window + known - frames->before,
            (size_t) frames->before);

    return V2M_OK;
}


void
v2m_frames_reset(v2m_frames_t *frames)
{
    frames->count = 0;
    frames->length = 0;
    frames->before = 0;
}


void
v2m_frames_free(v2m_frames_t *frames)
{
    free(frames->frames);
    free(frames->data);
    memset(frames, 0, sizeof(*frames));
}


int
v2m_frame_is_low(const v2m_frame_t *frame)
{
    return (frame->head[1] >> 3 & 3) != 3;
}


int
v2m_frame_area(const v2m_frame_t *frame, int bitrate_index)
{
    v2m_mpeg_t header;

    v2m_mpeg_read(frame->head, &header);

    return v2m_mpeg_size(&header, bitrate_index) - frame->head_length;
}
