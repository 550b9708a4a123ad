#include "v2m_mpeg.h"


static int
v2m_mpeg_rate(const unsigned char *bytes)
{
    int version, rate;

    static const int rates[3] = { 44100, 48000, 32000 };

    version = bytes[1] >> 3 & 3; /* 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5 */
    rate = bytes[2] >> 2 & 3;

    if (version == 1 || rate == 3) {
        return 0;
    }

    return rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
}


static int
v2m_mpeg_bitrate(int low, int index)
{
    /* kbit/s, Layer III */
    static const short bitrates[2][15] = {
        { 0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320 },
        { 0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160 },
    };

    return bitrates[low][index];
}


int
v2m_mpeg_size(const v2m_mpeg_t *header, int bitrate_index)
{
    return (header->low ? 72000 : 144000)
           * v2m_mpeg_bitrate(header->low, bitrate_index) / header->rate;
}


int
v2m_mpeg_read(const unsigned char bytes[V2M_MPEG_HEADER], v2m_mpeg_t *header)
{
    int index;

    index = bytes[2] >> 4;
    header->rate = v2m_mpeg_rate(bytes);

    /* layer "01" is III */
    if (bytes[0] != 0xff || (bytes[1] & 0xe6) != 0xe2 || index < 1
        || index > V2M_MPEG_HIGHEST || header->rate == 0)
    {
        return 0;
    }

    header->low = (bytes[1] >> 3 & 3) != 3;
    header->channels = bytes[3] >> 6 == 3 ? 1 : 2;
    header->samples = header->low ? 576 : 1152;
    header->bitrate = v2m_mpeg_bitrate(header->low, index);
    header->checked = (bytes[1] & 1) == 0;
    header->size = v2m_mpeg_size(header, index) + (bytes[2] >> 1 & 1);

    if (header->low) {
        header->side = header->channels == 1 ? 9 : 17;

    } else {
        header->side = header->channels == 1 ? 17 : 32;
    }

    return 1;
}
