#include "v2m_encoder.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>

#include "v2m_resampler.h"


int
v2m_encoder_is_variable(const v2m_encoder_settings_t *settings)
{
    return settings->options->bitrate == -1;
}


static void
v2m_encoder_set_rate(AVCodecContext               *encoder,
                     const v2m_encoder_settings_t *settings)
{
    int quality;

    if (!v2m_encoder_is_variable(settings)) {
        encoder->bit_rate = (int64_t) settings->options->bitrate * 1000;
        return;
    }

    quality = settings->options->quality != -1 ? settings->options->quality
                                               : V2M_OPTIONS_DEFAULT_QUALITY;
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->global_quality = quality * FF_QP2LAMBDA;
}


int
v2m_encoder_open(AVCodecContext              **encoder,
                 const v2m_encoder_settings_t *settings, int reservoir,
                 v2m_error_t *error)
{
    const AVCodec  *codec;
    AVCodecContext *made;

    codec = avcodec_find_encoder_by_name("libmp3lame");
    if (codec == NULL) {
        return v2m_error_set(error, V2M_ERROR, "this FFmpeg has no libmp3lame");
    }

    made = avcodec_alloc_context3(codec);
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->sample_fmt = V2M_RESAMPLER_FORMAT;
    made->sample_rate = settings->rate;
    made->time_base = (AVRational){ 1, settings->rate };
    av_channel_layout_default(&made->ch_layout, settings->channels);
    v2m_encoder_set_rate(made, settings);

    if (av_opt_set_int(made->priv_data, "reservoir", reservoir, 0) < 0
        || avcodec_open2(made, codec, NULL) < 0)
    {
        avcodec_free_context(&made);
        return v2m_error_set(error, V2M_ERROR,
                             "the encoder does not start at %d Hz",
                             settings->rate);
    }

    *encoder = made;
    return V2M_OK;
}
