#include "v2m_encoder.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>

#include "v2m_resampler.h"

/* What MPEG-2 and 2.5, for low sample rates, have at most: Hz and kbit/s. */
#define V2M_ENCODER_MPEG25_RATE    12000
#define V2M_ENCODER_MPEG25_BITRATE 64
#define V2M_ENCODER_MPEG2_RATE     24000
#define V2M_ENCODER_MPEG2_BITRATE  160


static int
v2m_encoder_nearest_rate(int rate)
{
    size_t i;

    static const int rates[] = { 8000,  11025, 12000, 16000, 22050,
                                 24000, 32000, 44100, 48000 };

    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        if (rate <= rates[i]) {
            return rates[i];
        }
    }

    return rate % 44100 == 0 ? 44100 : 48000;
}


int
v2m_encoder_rate(int rate, int bitrate)
{
    rate = v2m_encoder_nearest_rate(rate);

    while ((rate <= V2M_ENCODER_MPEG25_RATE
            && bitrate > V2M_ENCODER_MPEG25_BITRATE)
           || (rate <= V2M_ENCODER_MPEG2_RATE
               && bitrate > V2M_ENCODER_MPEG2_BITRATE))
    {
        rate *= 2;
    }

    return rate;
}


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


int
v2m_encoder_describe(v2m_encoder_kind_t           *kind,
                     const v2m_encoder_settings_t *settings, v2m_error_t *error)
{
    int             rc;
    AVCodecContext *encoder;

    rc = v2m_encoder_open(&encoder, settings, 1, error);
    if (rc != V2M_OK) {
        return rc;
    }

    kind->frame_size = encoder->frame_size;
    kind->delay = encoder->initial_padding;
    avcodec_free_context(&encoder);

    return V2M_OK;
}
