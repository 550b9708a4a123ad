#include "v2m_resampler.h"

#include <string.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libavutil/samplefmt.h>

/* More channels than these no layout has; below and above these rates there
 * is no sound, only a way to make much of little. */
#define V2M_RESAMPLER_CHANNELS 64
#define V2M_RESAMPLER_SLOWEST  1000
#define V2M_RESAMPLER_FASTEST  768000


int
v2m_resampler_open(v2m_resampler_t *resampler, int rate, int channels,
                   v2m_error_t *error)
{
    memset(resampler, 0, sizeof(*resampler));

    resampler->rate = rate;
    resampler->channels = channels;
    resampler->queue = av_audio_fifo_alloc(V2M_RESAMPLER_FORMAT, channels,
                                           V2M_RESAMPLER_BLOCK);
    resampler->silence = av_frame_alloc();
    resampler->output = av_frame_alloc();

    if (resampler->queue == NULL || resampler->silence == NULL
        || resampler->output == NULL)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}


void
v2m_resampler_close(v2m_resampler_t *resampler)
{
    swr_free(&resampler->context);
    av_audio_fifo_free(resampler->queue);
    av_frame_free(&resampler->silence);
    av_frame_free(&resampler->output);
    av_channel_layout_uninit(&resampler->in_layout);
}


/* A layout that only tells the number of channels is taken for the usual one
 * of that number. */
static int
v2m_resampler_layout(AVChannelLayout *layout, const AVChannelLayout *from)
{
    av_channel_layout_uninit(layout);

    if (from->order == AV_CHANNEL_ORDER_UNSPEC) {
        av_channel_layout_default(layout, from->nb_channels);

        if (layout->order != AV_CHANNEL_ORDER_UNSPEC) {
            return 0;
        }
    }

    return av_channel_layout_copy(layout, from);
}


static int
v2m_resampler_set_up(v2m_resampler_t *resampler)
{
    int             rc;
    AVChannelLayout out;

    static const double both[] = { 1.0, 1.0 };

    av_channel_layout_default(&out, resampler->channels);

    rc = swr_alloc_set_opts2(&resampler->context, &out, V2M_RESAMPLER_FORMAT,
                             resampler->rate, &resampler->in_layout,
                             resampler->in_format, resampler->in_rate, 0, NULL);

    /* the coefficients of a downmix, taken together, must not overload */
    if (rc >= 0) {
        rc = av_opt_set_double(resampler->context, "rematrix_maxval", 1.0, 0);
    }

    if (rc >= 0 && resampler->channels == 2
        && resampler->in_layout.nb_channels == 1)
    {
        rc = swr_set_matrix(resampler->context, both, 1);
    }

    return rc < 0 ? rc : swr_init(resampler->context);
}


/* Makes the block of silence of the input's format. */
static int
v2m_resampler_set_silence(v2m_resampler_t *resampler)
{
    int      rc;
    AVFrame *silence;

    silence = resampler->silence;
    av_frame_unref(silence);

    silence->format = resampler->in_format;
    silence->sample_rate = resampler->in_rate;
    silence->nb_samples = V2M_RESAMPLER_BLOCK;

    rc = av_channel_layout_copy(&silence->ch_layout, &resampler->in_layout);

    if (rc >= 0) {
        rc = av_frame_get_buffer(silence, 0);
    }

    if (rc >= 0) {
        rc = av_samples_set_silence(
            silence->extended_data, 0, V2M_RESAMPLER_BLOCK,
            resampler->in_layout.nb_channels, resampler->in_format);
    }

    return rc;
}


int
v2m_resampler_adapt(v2m_resampler_t *resampler, const AVFrame *frame,
                    v2m_error_t *error)
{
    int             rc;
    AVChannelLayout layout;

    memset(&layout, 0, sizeof(layout));

    if (v2m_resampler_layout(&layout, &frame->ch_layout) < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (resampler->context != NULL && frame->format == resampler->in_format
        && frame->sample_rate == resampler->in_rate
        && av_channel_layout_compare(&layout, &resampler->in_layout) == 0)
    {
        av_channel_layout_uninit(&layout);
        return V2M_OK;
    }

    rc = v2m_resampler_flush(resampler, error);
    if (rc != V2M_OK) {
        av_channel_layout_uninit(&layout);
        return rc;
    }

    swr_free(&resampler->context);
    av_channel_layout_uninit(&resampler->in_layout);
    resampler->in_layout = layout;
    resampler->in_rate = frame->sample_rate;
    resampler->in_format = frame->format;

    if (resampler->in_rate < V2M_RESAMPLER_SLOWEST
        || resampler->in_rate > V2M_RESAMPLER_FASTEST)
    {
        return v2m_error_set(error, V2M_INVALID,
                             "a sample rate of %d Hz is not supported",
                             resampler->in_rate);
    }

    if (layout.nb_channels < 1 || layout.nb_channels > V2M_RESAMPLER_CHANNELS
        || v2m_resampler_set_up(resampler) < 0
        || v2m_resampler_set_silence(resampler) < 0)
    {
        return v2m_error_set(error, V2M_INVALID,
                             "audio with this layout of %d channels is not "
                             "supported",
                             layout.nb_channels);
    }

    return V2M_OK;
}


/* Makes room in the output frame. */
static int
v2m_resampler_reserve(v2m_resampler_t *resampler, int samples)
{
    AVFrame *output;

    output = resampler->output;

    if (output->nb_samples >= samples) {
        return 0;
    }

    av_frame_unref(output);
    output->format = V2M_RESAMPLER_FORMAT;
    output->sample_rate = resampler->rate;
    output->nb_samples = samples;
    av_channel_layout_default(&output->ch_layout, resampler->channels);

    return av_frame_get_buffer(output, 0);
}


/* Converts one block; data NULL: to have what is underway. */
static int
v2m_resampler_convert(v2m_resampler_t *resampler, const uint8_t **data,
                      int samples, v2m_error_t *error)
{
    int n;

    n = swr_get_out_samples(resampler->context, samples);

    if (n >= 0) {
        n = v2m_resampler_reserve(resampler, n) < 0
                ? -1
                : swr_convert(resampler->context,
                              resampler->output->extended_data, n, data,
                              samples);
    }

    if (n < 0
        || av_audio_fifo_write(resampler->queue,
                               (void **) resampler->output->extended_data, n)
               < n)
    {
        return v2m_error_set(error, V2M_ERROR, "resampling failed");
    }

    return V2M_OK;
}


/* Converts part of a frame in blocks, so that the output of each is small
 * whatever the input. */
static int
v2m_resampler_convert_part(v2m_resampler_t *resampler, const AVFrame *frame,
                           int first, int samples, v2m_error_t *error)
{
    int            i, n, rc, planes, step;
    const uint8_t *data[V2M_RESAMPLER_CHANNELS];

    step = av_get_bytes_per_sample(resampler->in_format);
    planes = resampler->in_layout.nb_channels;

    if (!av_sample_fmt_is_planar(resampler->in_format)) {
        step *= planes;
        planes = 1;
    }

    while (samples > 0) {
        n = samples < V2M_RESAMPLER_BLOCK ? samples : V2M_RESAMPLER_BLOCK;

        for (i = 0; i < planes; i++) {
            data[i] = frame->extended_data[i] + (size_t) first * (size_t) step;
        }

        rc = v2m_resampler_convert(resampler, data, n, error);
        if (rc != V2M_OK) {
            return rc;
        }

        first += n;
        samples -= n;
    }

    return V2M_OK;
}


int
v2m_resampler_silence(v2m_resampler_t *resampler, int samples,
                      v2m_error_t *error)
{
    return v2m_resampler_convert_part(resampler, resampler->silence, 0, samples,
                                      error);
}


int
v2m_resampler_push(v2m_resampler_t *resampler, const AVFrame *frame, int first,
                   int samples, v2m_error_t *error)
{
    return v2m_resampler_convert_part(resampler, frame, first, samples, error);
}


int
v2m_resampler_flush(v2m_resampler_t *resampler, v2m_error_t *error)
{
    if (resampler->context == NULL || !swr_is_initialized(resampler->context)) {
        return V2M_OK;
    }

    return v2m_resampler_convert(resampler, NULL, 0, error);
}
