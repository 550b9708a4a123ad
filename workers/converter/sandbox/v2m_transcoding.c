#include "v2m_transcoding.h"

#include <stdio.h>
#include <string.h>
#include <libavutil/common.h>

#include "v2m_copy.h"
#include "v2m_decoding.h"
#include "v2m_encoding.h"
#include "v2m_extras.h"
#include "v2m_loudness.h"
#include "v2m_media.h"
#include "v2m_mp3.h"
#include "v2m_tags.h"

/* Bytes that an MP3 may have: so many for each of the file's, and some more.
 * Little data can decode to endless sound. */
#define V2M_TRANSCODING_SPREAD 256
#define V2M_TRANSCODING_EXTRA  (INT64_C(64) * 1024 * 1024)

/* How much of the time measuring takes, percent. */
#define V2M_TRANSCODING_MEASURING 40

#define V2M_TRANSCODING_BLOCK 4096 /* samples measured at a time */

#define V2M_TRANSCODING_ENCODER "v2m, libmp3lame"

typedef struct {
    const v2m_transcoding_t *in;
    v2m_transcoded_t        *out;
    v2m_progress_t           progress;
    v2m_media_t              media;
    v2m_mp3_t                mp3;
    v2m_encoder_kind_t       kind;
    v2m_encoding_t          *encoding;
    v2m_loudness_t          *loudness; /* while it is measured */
    float                    gain;
    double                   decibels; /* the same, for a person */
    v2m_error_t              uncopied; /* why it was not copied */
} v2m_run_t;


/* Writes the MP3's beginning: what the file says of itself.  encoder may be
 * NULL: none. */
static int
v2m_run_open_mp3(v2m_run_t *run, const char *encoder, v2m_error_t *error)
{
    int           rc;
    v2m_id3_t     id3;
    AVDictionary *tags;

    tags = NULL;
    v2m_tags_copy(&tags, v2m_media_tags(&run->media));
    v2m_tags_copy_language(&tags, run->media.stream->metadata);

    v2m_id3_begin(&id3);
    v2m_tags_write(&id3, tags);
    av_dict_free(&tags);

    if (encoder != NULL) {
        v2m_id3_text(&id3, "TSSE", encoder);
    }

    v2m_extras_write_chapters(&id3, &run->media, &run->in->options);
    v2m_extras_write_cover(&id3, &run->media);

    rc = v2m_id3_end(&id3, error);

    if (rc == V2M_OK) {
        rc = v2m_mp3_open(&run->mp3, &run->in->sink, &id3, error);
    }

    v2m_id3_free(&id3);

    return rc;
}


static int
v2m_run_copy(v2m_run_t *run, v2m_error_t *error)
{
    int        rc;
    v2m_copy_t copy;

    memset(&copy, 0, sizeof(copy));
    copy.media = &run->media;
    copy.mp3 = &run->mp3;
    copy.progress = &run->progress;
    v2m_progress_begin(&run->progress, V2M_CHANNEL_COPYING, 0, 100);

    rc = v2m_run_open_mp3(run, NULL, error);

    if (rc == V2M_OK) {
        rc = v2m_copy_run(&copy, error);
    }

    if (rc == V2M_OK) {
        run->out->samples = copy.samples;
        run->out->rate = copy.rate;
        snprintf(run->out->source, sizeof(run->out->source), "%s, copied",
                 copy.source);
    }

    return rc;
}


/* Begins the MP3 when it is known what it is to be; of a v2m_taker_t. */
static int
v2m_run_begin(void *data, int rate, int channels, v2m_error_t *error)
{
    int                    rc;
    v2m_run_t             *run = data;
    v2m_encoding_options_t options;

    run->out->rate = rate;

    options.encoder.rate = rate;
    options.encoder.channels = channels;
    options.encoder.options = &run->in->options;

    rc = v2m_encoder_describe(&run->kind, &options.encoder, error);

    if (rc == V2M_OK) {
        rc = v2m_run_open_mp3(run, V2M_TRANSCODING_ENCODER, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    options.frame_size = run->kind.frame_size;
    options.delay = run->kind.delay;
    options.threads = run->in->threads;
    options.gain = run->gain;
    options.write = v2m_mp3_add;
    options.data = &run->mp3;

    return v2m_encoding_create(&run->encoding, &options, error);
}


/* Encodes what is ready; of a v2m_taker_t. */
static int
v2m_run_take(void *data, AVAudioFifo *queue, v2m_error_t *error)
{
    int64_t    limit;
    v2m_run_t *run = data;

    limit = V2M_TRANSCODING_EXTRA
            + av_clip64(run->media.input.length, 0,
                        INT64_MAX / V2M_TRANSCODING_SPREAD / 2)
                  * V2M_TRANSCODING_SPREAD;

    if (v2m_mp3_length(&run->mp3) > limit) {
        return v2m_error_set(error, V2M_INVALID,
                             "the MP3 would be far longer than the file (%lld "
                             "MB and more)",
                             (long long) limit / 1000000);
    }

    return v2m_encoding_add(run->encoding, queue, error);
}


static int
v2m_run_open(v2m_run_t *run, v2m_error_t *error)
{
    return v2m_media_open(&run->media, &run->in->source, run->in->options.track,
                          error);
}


/* From the beginning, in another way. */
static int
v2m_run_again(v2m_run_t *run, v2m_error_t *error)
{
    int rc;

    v2m_encoding_destroy(run->encoding);
    run->encoding = NULL;
    v2m_media_close(&run->media);

    rc = run->in->sink.restart(run->in->sink.data, error);

    return rc == V2M_OK ? v2m_run_open(run, error) : rc;
}


/* What was decoded, and what else its owner may want to know. */
static void
v2m_run_describe(v2m_run_t *run, const char *source)
{
    char note[40];

    note[0] = '\0';

    if (run->in->options.loudness != -1) {
        snprintf(note, sizeof(note), ", %+.1f dB", run->decibels);

    } else if (run->uncopied.text[0] != '\0') {
        snprintf(note, sizeof(note), ", %.36s", run->uncopied.text);
    }

    snprintf(run->out->source, sizeof(run->out->source), "%s%s", source, note);
}


static int
v2m_run_decode_once(v2m_run_t *run, const v2m_taker_t *taker, int whole,
                    v2m_error_t *error)
{
    int            rc;
    v2m_decoding_t decoding;

    memset(&decoding, 0, sizeof(decoding));
    decoding.media = &run->media;
    decoding.options = &run->in->options;
    decoding.threads = run->in->threads;
    decoding.whole = whole;
    decoding.taker = *taker;
    decoding.progress = &run->progress;

    rc = v2m_decoding_run(&decoding, error);

    v2m_run_describe(run, decoding.source);

    return rc;
}


static int
v2m_run_decode(v2m_run_t *run, const v2m_taker_t *taker, v2m_error_t *error)
{
    int rc;

    rc = v2m_run_decode_once(run, taker, 0, error);

    if (rc == V2M_CONFLICT) {
        rc = v2m_run_again(run, error);

        if (rc == V2M_OK) {
            rc = v2m_run_decode_once(run, taker, 1, error);
        }
    }

    return rc;
}


/* Begins to measure; of a v2m_taker_t. */
static int
v2m_run_begin_measuring(void *data, int rate, int channels, v2m_error_t *error)
{
    v2m_run_t *run = data;

    v2m_loudness_destroy(run->loudness);

    return v2m_loudness_create(&run->loudness, rate, channels, error);
}


/* Measures what is ready; of a v2m_taker_t. */
static int
v2m_run_take_measure(void *data, AVAudioFifo *queue, v2m_error_t *error)
{
    int        n, rc;
    float      samples[2][V2M_TRANSCODING_BLOCK];
    float     *planes[2] = { samples[0], samples[1] };
    v2m_run_t *run = data;

    do {
        n = av_audio_fifo_read(queue, (void **) planes, V2M_TRANSCODING_BLOCK);
        rc = n > 0 ? v2m_loudness_add(run->loudness, planes, n, error) : V2M_OK;
    } while (n > 0 && rc == V2M_OK);

    return rc;
}


/* Decodes all of it for nothing but its loudness, which decides on the
 * gain. */
static int
v2m_run_measure(v2m_run_t *run, v2m_error_t *error)
{
    int               rc;
    const v2m_taker_t taker = { run, v2m_run_begin_measuring,
                                v2m_run_take_measure };

    v2m_progress_begin(&run->progress, V2M_CHANNEL_MEASURING, 0,
                       V2M_TRANSCODING_MEASURING);
    rc = v2m_run_decode(run, &taker, error);

    if (rc == V2M_OK) {
        run->gain = v2m_loudness_gain(run->loudness, run->in->options.loudness,
                                      &run->decibels);
        rc = v2m_run_again(run, error);
    }

    v2m_loudness_destroy(run->loudness);
    run->loudness = NULL;

    return rc;
}


static int
v2m_run_encode(v2m_run_t *run, v2m_error_t *error)
{
    int               rc;
    int64_t           padding;
    const v2m_taker_t taker = { run, v2m_run_begin, v2m_run_take };

    v2m_progress_begin(
        &run->progress, V2M_CHANNEL_ENCODING,
        run->in->options.loudness != -1 ? V2M_TRANSCODING_MEASURING : 0, 100);
    rc = v2m_run_decode(run, &taker, error);

    if (rc == V2M_OK) {
        run->out->samples = v2m_encoding_samples(run->encoding);
        rc = v2m_encoding_finish(run->encoding, &padding, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_mp3_finish(&run->mp3, run->kind.delay - V2M_XING_DECODER,
                            (int) padding + V2M_XING_DECODER, error);
    }

    return rc;
}


static int
v2m_run(v2m_run_t *run, v2m_error_t *error)
{
    int rc;

    rc = v2m_run_open(run, error);

    if (rc == V2M_OK && v2m_copy_is_possible(&run->media, &run->in->options)) {
        rc = v2m_run_copy(run, error);

        if (rc != V2M_CONFLICT) {
            return rc;
        }

        run->uncopied = *error;
        rc = v2m_run_again(run, error);
    }

    if (rc == V2M_OK && run->in->options.loudness != -1) {
        rc = v2m_run_measure(run, error);
    }

    return rc == V2M_OK ? v2m_run_encode(run, error) : rc;
}


int
v2m_transcode(const v2m_transcoding_t *transcoding,
              v2m_transcoded_t *transcoded, v2m_error_t *error)
{
    int       rc;
    v2m_run_t run;

    memset(&run, 0, sizeof(run));
    memset(transcoded, 0, sizeof(*transcoded));
    run.in = transcoding;
    run.out = transcoded;
    run.progress.tell = transcoding->progress;
    run.progress.data = transcoding->progress_data;
    run.progress.percent = -2;
    run.gain = 1;

    rc = v2m_run(&run, error);

    transcoded->length = v2m_mp3_length(&run.mp3);
    v2m_encoding_destroy(run.encoding);
    v2m_media_close(&run.media);

    return rc;
}
