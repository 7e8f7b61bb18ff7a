"""The kinds of file that are read: FFmpeg's demuxers by name, and the endings that such files have."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VIDEO_SUFFIXES = _words(
    ".mp4 .m4v .mov .qt .3gp .3gpp .3g2 .3gp2 .f4v .ismv .mj2 .mkv .mk3d .webm .avi .divx .flv .kux "
    ".ts .mts .m2ts .m2t .tp .trp .mpg .mpeg .mpe .m2p .mpv .m1v .m2v .vob .vro .mod .tod .wmv .asf .dvr-ms .wtv "
    ".ogv .ogm .ogx .mxf .gxf .dv .dif .rm .rmvb .nut .ivf .obu .h261 .h263 .h264 .264 .avc .h26l .h265 .265 .hevc "
    ".h266 .266 .vvc .vc1 .mjpeg .mjpg .gif .y4m .dav .ty .apng .swf"
)
AUDIO_SUFFIXES = _words(
    ".wav .wave .bwf .rf64 .w64 .flac .mp3 .mp2 .mp1 .mpa .m2a .m4a .m4b .m4r .isma .aac .adts .loas .latm .ac3 .eac3 "
    ".ec3 .dts .dtshd .thd .mlp .ogg .oga .opus .spx .wma .aiff .aif .aifc .afc .caf .au .snd .amr .awb .3ga .mka "
    ".weba .wv .ape .tta .tak .mpc .shn .voc .sph .nist .gsm .ra .aa3 .oma .qcp .dss .sbc .msbc .lc3 .dsf .sf .ircam "
    ".pvf .g722 .g729"
)
MEDIA_SUFFIXES = frozenset(VIDEO_SUFFIXES + AUDIO_SUFFIXES)

DEMUXERS = (
    # video, most with sound
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,kux,mpegts,mpeg,mpegvideo,asf,wtv,ogg,mxf,gxf,dv,rm,nut,"
    "ivf,obu,av1,h261,h263,h264,hevc,vvc,vc1,m4v,mjpeg,gif,apng,y4m,yuv4mpegpipe,dhav,ty,swf,"
    # sound
    "wav,w64,aiff,flac,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,mlp,amr,caf,au,wv,ape,tta,tak,mpc,mpc8,shn,voc,"
    "nistsphere,gsm,oma,qcp,dss,sbc,lc3,dsf,ircam,pvf,g722,g729"
)
"""Demuxers that read one self-contained file. Playlists and scripts, which open other files, are not among them, nor
are those that take any bytes for raw samples."""

PRESENTATION_TIMES = frozenset(
    _words("mov mp4 m4a 3gp 3g2 mj2 matroska webm flv live_flv kux mpegts mpeg asf ogg mxf gxf nut rm ivf wtv")
)
"""Demuxers of formats that store when a frame is shown. In others (AVI, raw streams) libavformat works it out."""
DECLARED_LENGTH = frozenset(_words("mov mp4 m4a 3gp 3g2 mj2 avi wav w64 aiff flac caf au mxf asf"))
"""Demuxers of formats whose header says how long a stream is; the length of others is an estimate."""


def is_one_of(format_name: str, names: frozenset[str]) -> bool:
    """Whether FFmpeg's name of a demuxer, which may list several, is among `names`."""
    return not names.isdisjoint(format_name.split(","))
