#include "v2m_xing.h"

#include <string.h>
#include <libavcodec/version.h>
#include <libavutil/crc.h>
#include <libavutil/intreadwrite.h>

#define V2M_XING_TOC     100
#define V2M_XING_LENGTH  (16 + V2M_XING_TOC + 4)
#define V2M_XING_LAME    36 /* bytes of LAME's addition */
#define V2M_XING_FLAGS   15 /* frames, bytes, table and quality are there */
#define V2M_XING_ENCODER 9  /* bytes of an encoder's name */

/* VBRI begins here whatever the frame. */
#define V2M_XING_VBRI 36

/* Within LAME's addition. */
#define V2M_XING_METHOD      9
#define V2M_XING_RATE        20
#define V2M_XING_GAPS        21
#define V2M_XING_MUSIC       28
#define V2M_XING_MUSIC_CRC   32
#define V2M_XING_CRC         34
#define V2M_XING_METHOD_CBR  1
#define V2M_XING_METHOD_VBR  4
#define V2M_XING_RATE_MOST   255
#define V2M_XING_HEADER_BITS 0x0d /* of the third byte, without the bitrate */


static uint32_t
v2m_xing_crc(uint32_t crc, const unsigned char *bytes, size_t length)
{
    return av_crc(av_crc_get_table(AV_CRC_16_ANSI_LE), crc, bytes, length);
}


void
v2m_xing_begin(v2m_xing_t *xing, const unsigned char *head)
{
    int index;

    memset(xing, 0, sizeof(*xing));
    xing->step = 1;

    /* the first frame's bitrate, or the lowest with room enough; without a
     * checksum, without padding */

    memcpy(xing->head, head, sizeof(xing->head));
    v2m_mpeg_read(head, &xing->format);
    xing->bitrate = xing->format.bitrate;
    xing->lowest = xing->format.bitrate;
    index = head[2] >> 4;

    while (index < V2M_MPEG_HIGHEST
           && v2m_mpeg_size(&xing->format, index)
                  < V2M_MPEG_HEADER + xing->format.side + V2M_XING_LENGTH
                        + V2M_XING_LAME)
    {
        index++;
    }

    xing->head[1] |= 1;
    xing->head[2] =
        (unsigned char) ((head[2] & V2M_XING_HEADER_BITS) | index << 4);
    v2m_mpeg_read(xing->head, &xing->format);
}


/* Keeps the place of a frame; when there are too many, every second one. */
static void
v2m_xing_keep(v2m_xing_t *xing)
{
    int i;

    if (xing->frames % xing->step != 0) {
        return;
    }

    if (xing->count == V2M_XING_PLACES) {
        for (i = 0; i < V2M_XING_PLACES / 2; i++) {
            xing->places[i] = xing->places[2 * i];
        }

        xing->count = V2M_XING_PLACES / 2;
        xing->step *= 2;
    }

    xing->places[xing->count++] = xing->bytes;
}


void
v2m_xing_add(v2m_xing_t *xing, const unsigned char *frame, size_t length)
{
    v2m_mpeg_t header;

    v2m_mpeg_read(frame, &header);

    xing->variable |= header.bitrate != xing->bitrate;

    if (header.bitrate < xing->lowest) {
        xing->lowest = header.bitrate;
    }

    v2m_xing_keep(xing);
    xing->crc = v2m_xing_crc(xing->crc, frame, length);
    xing->frames++;
    xing->bytes += (int64_t) length;
}


/* For each percent of the time the place, in parts of 256 of the whole. */
static void
v2m_xing_write_toc(const v2m_xing_t *xing, int64_t whole, unsigned char *toc)
{
    int     i;
    int64_t place;

    for (i = 0; i < V2M_XING_TOC; i++) {
        place = xing->format.size;

        if (xing->count > 0) {
            place += xing->places[i * xing->frames / V2M_XING_TOC / xing->step];
        }

        toc[i] = (unsigned char) (place * 256 / whole);
    }
}


static void
v2m_xing_write_lame(const v2m_xing_t *xing, int delay, int padding,
                    int64_t whole, unsigned char *lame)
{
    int rate;

    rate = xing->variable ? xing->lowest : xing->bitrate;

    memcpy(lame, LIBAVCODEC_IDENT, V2M_XING_ENCODER);
    lame[V2M_XING_METHOD] =
        xing->variable ? V2M_XING_METHOD_VBR : V2M_XING_METHOD_CBR;
    lame[V2M_XING_RATE] =
        (unsigned char) (rate < V2M_XING_RATE_MOST ? rate : V2M_XING_RATE_MOST);
    AV_WB24(lame + V2M_XING_GAPS, delay << 12 | padding);
    AV_WB32(lame + V2M_XING_MUSIC, (uint32_t) whole);
    AV_WB16(lame + V2M_XING_MUSIC_CRC, xing->crc);
}


void
v2m_xing_write(const v2m_xing_t *xing, int delay, int padding,
               unsigned char bytes[V2M_XING_MOST])
{
    int64_t        whole;
    unsigned char *p, *lame;

    whole = xing->format.size + xing->bytes;
    p = bytes + V2M_MPEG_HEADER + xing->format.side;
    lame = p + V2M_XING_LENGTH;

    memset(bytes, 0, V2M_XING_MOST);
    memcpy(bytes, xing->head, V2M_MPEG_HEADER);
    memcpy(p, xing->variable ? "Xing" : "Info", 4);
    AV_WB32(p + 4, V2M_XING_FLAGS);
    AV_WB32(p + 8, (uint32_t) xing->frames);
    AV_WB32(p + 12, (uint32_t) whole);
    v2m_xing_write_toc(xing, whole, p + 16);

    if (delay >= 0 && padding >= 0) {
        v2m_xing_write_lame(xing, delay, padding, whole, lame);
        AV_WB16(lame + V2M_XING_CRC,
                v2m_xing_crc(0, bytes, (size_t) (lame - bytes) + V2M_XING_CRC));
    }
}


int
v2m_xing_is(const unsigned char *frame, size_t length, int *delay, int *padding)
{
    uint32_t             gaps;
    v2m_mpeg_t           header;
    const unsigned char *p, *lame;

    *delay = -1;
    *padding = -1;

    if (length < V2M_MPEG_HEADER || !v2m_mpeg_read(frame, &header)) {
        return 0;
    }

    if (length >= V2M_XING_VBRI + 4
        && memcmp(frame + V2M_XING_VBRI, "VBRI", 4) == 0)
    {
        return 1;
    }

    p = frame + V2M_MPEG_HEADER + header.side;

    if (length < (size_t) (V2M_MPEG_HEADER + header.side + 8)
        || (memcmp(p, "Xing", 4) != 0 && memcmp(p, "Info", 4) != 0))
    {
        return 0;
    }

    lame = p + V2M_XING_LENGTH;

    if (AV_RB32(p + 4) == V2M_XING_FLAGS
        && length >= (size_t) (lame - frame) + V2M_XING_LAME
        && (memcmp(lame, "LAME", 4) == 0 || memcmp(lame, "Lav", 3) == 0))
    {
        gaps = AV_RB24(lame + V2M_XING_GAPS);
        *delay = (int) (gaps >> 12);
        *padding = (int) (gaps & V2M_XING_GAP_MAX);
    }

    return 1;
}
