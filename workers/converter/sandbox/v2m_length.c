#include "v2m_length.h"

#include <string.h>

/* An AVI of more than 1 GB has further RIFF chunks: of so many at most. */
#define V2M_LENGTH_CHUNKS 256

#define V2M_LENGTH_RIFF         8 /* bytes of a chunk's header */
#define V2M_LENGTH_RIFF_ENDLESS 0x7fff0000

/* Wave64 and ASF: an identifier of 16 bytes, then 64 bits of size. */
#define V2M_LENGTH_ID     16
#define V2M_LENGTH_OBJECT 24

/* ASF: the header object's own fields, and objects looked at within. */
#define V2M_LENGTH_ASF_HEADER  30
#define V2M_LENGTH_ASF_OBJECTS 64

static const unsigned char v2m_length_w64[] = "riff\x2e\x91\xcf\x11\xa5\xd6"
                                              "\x28\xdb\x04\xc1\x00\x00";
static const unsigned char v2m_length_asf[] = "\x30\x26\xb2\x75\x8e\x66\xcf\x11"
                                              "\xa6\xd9\x00\xaa\x00\x62\xce"
                                              "\x6c";
static const unsigned char v2m_length_asf_file[] =
    "\xa1\xdc\xab\x8c\x47\xa9\xcf\x11"
    "\x8e\xe4\x00\xc0\x0c\x20\x53\x65";


/* Reads exactly that many bytes; 0 when there are none to read. */
static int
v2m_length_read(const v2m_byte_source_t *source, int64_t offset,
                unsigned char *bytes, size_t length)
{
    size_t      got;
    v2m_error_t error;

    while (length > 0) {
        if (source->read_at(source->data, offset, bytes, length, &got, &error)
                != V2M_OK
            || got == 0)
        {
            return 0;
        }

        offset += (int64_t) got;
        bytes += got;
        length -= got;
    }

    return 1;
}


static uint64_t
v2m_length_number(const unsigned char *bytes, int length)
{
    uint64_t value;

    for (value = 0; length > 0; length--) {
        value = value << 8 | bytes[length - 1];
    }

    return value;
}


/* Files that went through a pipe, or were never finished, have no size, or
 * one close to what 31 or 32 bits can hold. */
static int64_t
v2m_length_riff(const v2m_byte_source_t *source)
{
    int           i;
    int64_t       offset, size;
    unsigned char header[V2M_LENGTH_RIFF];

    offset = 0;

    for (i = 0; i < V2M_LENGTH_CHUNKS; i++) {
        if (!v2m_length_read(source, offset, header, sizeof(header))
            || memcmp(header, "RIFF", 4) != 0)
        {
            return offset;
        }

        size = (int64_t) v2m_length_number(header + 4, 4);

        if (size == 0 || size >= V2M_LENGTH_RIFF_ENDLESS) {
            return 0;
        }

        offset += V2M_LENGTH_RIFF + size;
    }

    return offset;
}


static int64_t
v2m_length_asf_told(const v2m_byte_source_t *source)
{
    int           i;
    int64_t       offset;
    uint64_t      size;
    unsigned char object[V2M_LENGTH_OBJECT + V2M_LENGTH_ID + 8];

    offset = V2M_LENGTH_ASF_HEADER;

    for (i = 0; i < V2M_LENGTH_ASF_OBJECTS; i++) {
        if (!v2m_length_read(source, offset, object, sizeof(object))) {
            return 0;
        }

        if (memcmp(object, v2m_length_asf_file, V2M_LENGTH_ID) == 0) {
            size = v2m_length_number(object + V2M_LENGTH_OBJECT + V2M_LENGTH_ID,
                                     8);
            return size > INT64_MAX ? 0 : (int64_t) size;
        }

        size = v2m_length_number(object + V2M_LENGTH_ID, 8);

        if (size < V2M_LENGTH_OBJECT || size > UINT32_MAX) {
            return 0;
        }

        offset += (int64_t) size;
    }

    return 0;
}


int64_t
v2m_length_told(const v2m_byte_source_t *source)
{
    uint64_t      size;
    unsigned char object[V2M_LENGTH_OBJECT];

    if (!v2m_length_read(source, 0, object, sizeof(object))) {
        return 0;
    }

    if (memcmp(object, "RIFF", 4) == 0) {
        return v2m_length_riff(source);
    }

    if (memcmp(object, v2m_length_w64, V2M_LENGTH_ID) == 0) {
        size = v2m_length_number(object + V2M_LENGTH_ID, 8);
        return size > INT64_MAX ? 0 : (int64_t) size;
    }

    if (memcmp(object, v2m_length_asf, V2M_LENGTH_ID) == 0) {
        return v2m_length_asf_told(source);
    }

    return 0;
}
