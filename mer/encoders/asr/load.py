"""The speech recogniser that `transcribe.asr` names."""

from __future__ import annotations

from pathlib import Path

from mer.encoders.asr.transcript import Transcriber
from mer.errors import MerError
from mer.params import TranscribeParams


def load_transcriber(params: TranscribeParams) -> Transcriber | None:
    """A recogniser of the folder `transcribe.asr`, or None where the params name none.

    Raises:
        MerError: the folder holds neither Whisper in Hugging Face's layout nor in CTranslate2's.
    """
    if params.asr is None:
        return None
    folder = Path(params.asr)
    if not folder.is_dir():
        raise MerError(f"transcribe.asr: '{params.asr}' is no folder")
    from mer.encoders.asr.faster_whisper import FasterWhisperTranscriber, is_ctranslate2

    if is_ctranslate2(folder):
        return FasterWhisperTranscriber(params)
    from mer.encoders.asr.whisper import WhisperTranscriber

    return WhisperTranscriber(params)
