/* Encoding on several threads, against one encoder that has it all. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <libavcodec/avcodec.h>

#include "v2m_encoding.h"
#include "v2m_resampler.h"

#define TEST_SECONDS 17 /* several segments at each rate */

/* A stream of frames, as a decoder gets it. */
typedef struct {
    unsigned char *bytes;
    size_t         length;
    size_t         sizes[4096];
    int            count;
} test_stream_t;

typedef struct {
    int   rate;
    int   channels;
    int   bitrate;
    int   quality;
    float seconds;
} test_settings_t;


/* Tones that come and go, clicks and noise: whatever makes an encoder take
 * different bitrates and block types from frame to frame. */
static AVAudioFifo *
make_audio(const test_settings_t *settings)
{
    int          i, c, count;
    float       *planes[2], t;
    uint32_t     noise;
    AVAudioFifo *queue;

    count = (int) (settings->seconds * (float) settings->rate);
    noise = 1;

    for (c = 0; c < 2; c++) {
        planes[c] = malloc(sizeof(float) * (size_t) (count + 1));
    }

    for (i = 0; i < count; i++) {
        t = (float) i / (float) settings->rate;

        for (c = 0; c < 2; c++) {
            noise = noise * 1664525 + 1013904223;
            planes[c][i] =
                0.3f * sinf(6.2832f * (220 + 55 * floorf(fmodf(t * 3, 7))) * t)
                    * expf(-3 * fmodf(t, 0.4f + 0.2f * (float) c))
                + (i % 30011 < 20 ? 0.5f : 0)
                + (fmodf(t, 5) > 3 ? 0.1f : 0.003f)
                      * ((float) (noise >> 16) / 32768.0f - 1);
        }
    }

    queue = av_audio_fifo_alloc(V2M_RESAMPLER_FORMAT, settings->channels,
                                count + 1);
    assert_int_equal(av_audio_fifo_write(queue, (void **) planes, count),
                     count);
    free(planes[0]);
    free(planes[1]);

    return queue;
}


static int
add_frame(void *data, const unsigned char *bytes, size_t length,
          v2m_error_t *error)
{
    test_stream_t *stream = data;

    (void) error;

    stream->bytes = realloc(stream->bytes, stream->length + length);
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    stream->sizes[stream->count++] = length;

    return V2M_OK;
}


static AVCodecContext *
open_encoder(const test_settings_t *settings, int reservoir,
             v2m_options_t *options, v2m_encoder_settings_t *encoder_settings)
{
    v2m_error_t     error;
    AVCodecContext *encoder;

    v2m_options_init(options);
    options->bitrate = settings->bitrate;
    options->quality = settings->quality;
    encoder_settings->rate = settings->rate;
    encoder_settings->channels = settings->channels;
    encoder_settings->options = options;

    assert_int_equal(
        v2m_encoder_open(&encoder, encoder_settings, reservoir, &error),
        V2M_OK);

    return encoder;
}


static void
encode_with_one(const test_settings_t *settings, int reservoir,
                test_stream_t *stream)
{
    int                    rc, samples;
    AVFrame               *frame;
    AVPacket              *packet;
    v2m_error_t            error;
    AVAudioFifo           *queue;
    v2m_options_t          options;
    AVCodecContext        *encoder;
    v2m_encoder_settings_t encoder_settings;

    memset(stream, 0, sizeof(*stream));
    queue = make_audio(settings);
    encoder = open_encoder(settings, reservoir, &options, &encoder_settings);
    frame = av_frame_alloc();
    packet = av_packet_alloc();

    for (;;) {
        rc = avcodec_receive_packet(encoder, packet);

        if (rc == AVERROR_EOF) {
            break;
        }

        if (rc == 0) {
            add_frame(stream, packet->data, (size_t) packet->size, &error);
            av_packet_unref(packet);
            continue;
        }

        assert_int_equal(rc, AVERROR(EAGAIN));
        samples = av_audio_fifo_size(queue);

        if (samples == 0) {
            assert_int_equal(avcodec_send_frame(encoder, NULL), 0);
            continue;
        }

        av_frame_unref(frame);
        frame->format = V2M_RESAMPLER_FORMAT;
        frame->sample_rate = settings->rate;
        frame->nb_samples =
            samples < encoder->frame_size ? samples : encoder->frame_size;
        av_channel_layout_copy(&frame->ch_layout, &encoder->ch_layout);
        av_frame_get_buffer(frame, 0);
        av_audio_fifo_read(queue, (void **) frame->extended_data,
                           frame->nb_samples);
        assert_int_equal(avcodec_send_frame(encoder, frame), 0);
    }

    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&encoder);
    av_audio_fifo_free(queue);
}


static void
encode_with(const test_settings_t *settings, int threads, test_stream_t *stream,
            int64_t *padding)
{
    v2m_error_t            error;
    AVAudioFifo           *queue;
    v2m_options_t          options;
    AVCodecContext        *encoder;
    v2m_encoding_t        *encoding;
    v2m_encoding_options_t encoding_options;

    memset(stream, 0, sizeof(*stream));
    queue = make_audio(settings);
    encoder = open_encoder(settings, 1, &options, &encoding_options.encoder);
    encoding_options.frame_size = encoder->frame_size;
    encoding_options.delay = encoder->initial_padding;
    encoding_options.gain = 1;
    encoding_options.threads = threads;
    encoding_options.write = add_frame;
    encoding_options.data = stream;
    avcodec_free_context(&encoder);

    assert_int_equal(v2m_encoding_create(&encoding, &encoding_options, &error),
                     V2M_OK);
    assert_int_equal(v2m_encoding_add(encoding, queue, &error), V2M_OK);
    assert_int_equal(v2m_encoding_samples(encoding),
                     (int) (settings->seconds * (float) settings->rate));
    assert_int_equal(v2m_encoding_finish(encoding, padding, &error), V2M_OK);
    assert_true(*padding >= 0);

    v2m_encoding_destroy(encoding);
    av_audio_fifo_free(queue);
}


/* Decodes all frames into planes one after the other; every frame must be
 * whole. */
static float *
decode(const test_settings_t *settings, const test_stream_t *stream,
       int *samples)
{
    int             i, c, count;
    float          *audio;
    size_t          offset;
    AVFrame        *frame;
    AVPacket       *packet;
    AVCodecContext *decoder;

    decoder = avcodec_alloc_context3(avcodec_find_decoder_by_name("mp3float"));
    decoder->err_recognition = AV_EF_EXPLODE;
    assert_int_equal(avcodec_open2(decoder, decoder->codec, NULL), 0);

    audio = calloc((size_t) stream->count * 1152 * 2, sizeof(float));
    frame = av_frame_alloc();
    packet = av_packet_alloc();
    offset = 0;
    count = 0;

    for (i = 0; i < stream->count; i++) {
        assert_int_equal(av_new_packet(packet, (int) stream->sizes[i]), 0);
        memcpy(packet->data, stream->bytes + offset, stream->sizes[i]);
        offset += stream->sizes[i];

        assert_int_equal(avcodec_send_packet(decoder, packet), 0);
        av_packet_unref(packet);
        assert_int_equal(avcodec_receive_frame(decoder, frame), 0);
        assert_int_equal(frame->ch_layout.nb_channels, settings->channels);

        for (c = 0; c < settings->channels; c++) {
            memcpy(audio + count, frame->extended_data[c],
                   (size_t) frame->nb_samples * sizeof(float));
            count += frame->nb_samples;
        }
    }

    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&decoder);

    *samples = count;
    return audio;
}


static double
energy(const float *samples, int count)
{
    double sum;

    for (sum = 0; count > 0; count--, samples++) {
        sum += (double) *samples * (double) *samples;
    }

    return sum;
}


/* How much louder or quieter, in decibels, a stretch of half a frame's length
 * is at most in one of two streams. */
static double
difference(const test_settings_t *settings, const test_stream_t *first,
           const test_stream_t *second)
{
    int    i, count, second_count;
    float *audio, *second_audio;
    double one, other, most;

    audio = decode(settings, first, &count);
    second_audio = decode(settings, second, &second_count);
    most = 0;

    for (i = 0; i + 576 <= count && i + 576 <= second_count; i += 576) {
        one = energy(audio + i, 576) + 1e-2;
        other = energy(second_audio + i, 576) + 1e-2;
        most = fmax(most, fabs(10 * log10(other / one)));
    }

    free(second_audio);
    free(audio);

    return most;
}


/* Segments differ from one encoder's work no more than the work of encoders
 * with and without a bit reservoir; the size is the same within 2 %. */
static void
compare(const test_settings_t *settings)
{
    double        limit, most;
    int64_t       padding;
    test_stream_t single, plain, stream;

    encode_with_one(settings, 1, &single);
    encode_with_one(settings, 0, &plain);
    encode_with(settings, 3, &stream, &padding);

    limit = difference(settings, &single, &plain);
    most = difference(settings, &single, &stream);

    if (most > fmax(limit, 0.1)) {
        fail_msg("%d Hz, %d channels, bitrate %d, quality %d: %.2f dB, while "
                 "without a reservoir it is %.2f dB",
                 settings->rate, settings->channels, settings->bitrate,
                 settings->quality, most, limit);
    }

    /* the joiner wastes less room than LAME does with a variable bitrate */
    assert_in_range(stream.length,
                    single.length * (settings->bitrate == -1 ? 95 : 98) / 100,
                    single.length * 102 / 100);
    assert_in_range(stream.count, single.count - 1, single.count);

    free(single.bytes);
    free(plain.bytes);
    free(stream.bytes);
}


static void
test_threads_do_not_matter(void **state)
{
    size_t        i;
    int           threads;
    int64_t       padding, first_padding;
    test_stream_t first, stream;

    static const test_settings_t settings[] = {
        { 44100, 2, -1, 2, TEST_SECONDS },
        { 48000, 1, 128, -1, TEST_SECONDS },
        { 16000, 2, -1, 6, 2 * TEST_SECONDS },
    };

    (void) state;

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        encode_with(&settings[i], 1, &first, &first_padding);

        for (threads = 2; threads <= 5; threads++) {
            encode_with(&settings[i], threads, &stream, &padding);
            assert_int_equal(padding, first_padding);
            assert_int_equal(stream.length, first.length);
            assert_memory_equal(stream.bytes, first.bytes, first.length);
            free(stream.bytes);
        }

        free(first.bytes);
    }
}


static void
test_variable_bitrate(void **state)
{
    size_t i;

    static const test_settings_t settings[] = {
        { 48000, 2, -1, 2, TEST_SECONDS }, { 44100, 1, -1, 0, TEST_SECONDS },
        { 32000, 2, -1, 9, TEST_SECONDS }, { 24000, 2, -1, 4, TEST_SECONDS },
        { 22050, 1, -1, 2, TEST_SECONDS }, { 8000, 1, -1, 2, TEST_SECONDS },
    };

    (void) state;

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        compare(&settings[i]);
    }
}


static void
test_constant_bitrate(void **state)
{
    size_t i;

    static const test_settings_t settings[] = {
        { 48000, 2, 128, -1, TEST_SECONDS },
        { 44100, 2, 320, -1, TEST_SECONDS },
        { 44100, 1, 64, -1, TEST_SECONDS },
        { 32000, 2, 32, -1, TEST_SECONDS },
        { 22050, 2, 160, -1, TEST_SECONDS },
        { 16000, 1, 24, -1, TEST_SECONDS },
    };

    (void) state;

    for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        compare(&settings[i]);
    }
}


/* With a constant bitrate every frame has it. */
static void
test_constant_bitrate_is_constant(void **state)
{
    int           i;
    int64_t       padding;
    test_stream_t stream;

    static const test_settings_t settings = { 44100, 2, 192, -1, TEST_SECONDS };

    (void) state;

    encode_with(&settings, 2, &stream, &padding);

    for (i = 0; i < stream.count; i++) {
        assert_in_range(stream.sizes[i], 626, 627);
    }

    free(stream.bytes);
}


/* Every length around the borders of frames and segments. */
static void
test_lengths(void **state)
{
    int             i;
    int64_t         padding, samples;
    test_stream_t   stream;
    test_settings_t settings = { 32000, 1, -1, 7, 0 };

    static const int lengths[] = {
        1,      47,     48,     1151,   1152,   1153,   2304,
        229248, 229249, 230399, 230400, 230401, 234999, 235008,
        235009, 236160, 237312, 460800, 465408, 465409, 700001,
    };

    (void) state;

    for (i = 0; i < (int) (sizeof(lengths) / sizeof(lengths[0])); i++) {
        settings.seconds = ((float) lengths[i] + 0.01f) / 32000.0f;
        samples = (int) (settings.seconds * 32000.0f);

        encode_with(&settings, 2, &stream, &padding);

        assert_int_equal((int64_t) stream.count * 1152,
                         samples + padding + 1105);
        assert_true(padding < 1152 || stream.count == 2);
        free(stream.bytes);
    }
}


static void
test_silence(void **state)
{
    int64_t                padding;
    v2m_error_t            error;
    AVAudioFifo           *queue;
    v2m_options_t          options;
    AVCodecContext        *encoder;
    v2m_encoding_t        *encoding;
    test_stream_t          stream;
    v2m_encoding_options_t encoding_options;
    float                 *planes[2];

    static const test_settings_t settings = { 24000, 2, -1, 9, 0 };

    (void) state;

    memset(&stream, 0, sizeof(stream));
    planes[0] = calloc(24000 * 30, sizeof(float));
    planes[1] = planes[0];
    queue = av_audio_fifo_alloc(V2M_RESAMPLER_FORMAT, 2, 24000 * 30);
    av_audio_fifo_write(queue, (void **) planes, 24000 * 30);
    free(planes[0]);

    encoder = open_encoder(&settings, 1, &options, &encoding_options.encoder);
    encoding_options.frame_size = encoder->frame_size;
    encoding_options.delay = encoder->initial_padding;
    encoding_options.gain = 1;
    encoding_options.threads = 2;
    encoding_options.write = add_frame;
    encoding_options.data = &stream;
    avcodec_free_context(&encoder);

    assert_int_equal(v2m_encoding_create(&encoding, &encoding_options, &error),
                     V2M_OK);
    assert_int_equal(v2m_encoding_add(encoding, queue, &error), V2M_OK);
    assert_int_equal(v2m_encoding_finish(encoding, &padding, &error), V2M_OK);
    assert_in_range(stream.count, 1250, 1260);

    v2m_encoding_destroy(encoding);
    av_audio_fifo_free(queue);
    free(stream.bytes);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_variable_bitrate),
        cmocka_unit_test(test_constant_bitrate),
        cmocka_unit_test(test_constant_bitrate_is_constant),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
