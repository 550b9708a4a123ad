#include "v2m_allow.h"

#include <errno.h>
#include <libavutil/avstring.h>
#include <libavutil/error.h>

const char v2m_allow_demuxers[] =
    "aac,ac3,aiff,amr,asf,au,avi,caf,dts,eac3,flac,flv,matroska,mov,mp3,mpeg,"
    "mpegts,ogg,tta,w64,wav,webm,wv";

const char v2m_allow_decoders[] =
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,"
    "adpcm_yamaha,alac,amrnb,amrwb,dca,eac3,flac,g722,g726,g726le,gsm,gsm_ms,"
    "libspeex,mlp,mp1float,mp2,mp3float,nellymoser,opus,pcm_alaw,pcm_bluray,"
    "pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,"
    "pcm_s16le,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u16be,"
    "pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8,qdm2,speex,"
    "s302m,truehd,tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice";


int
v2m_allow_demuxer(const AVInputFormat *format)
{
    return av_match_list(format->name, v2m_allow_demuxers, ',') > 0;
}


const AVCodec *
v2m_allow_decoder(enum AVCodecID id)
{
    const AVCodec *codec;

    /* the library's own: FFmpeg 7.1's decoder makes twice as many samples of
     * each wideband frame in Ogg as there are */

    codec = id == AV_CODEC_ID_SPEEX ? avcodec_find_decoder_by_name("libspeex")
                                    : NULL;

    if (codec == NULL) {
        codec = avcodec_find_decoder(id);
    }

    if (codec == NULL || codec->type != AVMEDIA_TYPE_AUDIO
        || av_match_list(codec->name, v2m_allow_decoders, ',') <= 0)
    {
        return NULL;
    }

    return codec;
}


static int
v2m_allow_no_open(AVFormatContext *format, AVIOContext **avio, const char *url,
                  int flags, AVDictionary **options)
{
    (void) format;
    (void) url;
    (void) flags;
    (void) options;

    *avio = NULL;

    return AVERROR(EACCES);
}


void
v2m_allow_nothing_else(AVFormatContext *format)
{
    format->io_open = v2m_allow_no_open;
}
