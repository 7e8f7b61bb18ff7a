"""Whisper converted for CTranslate2, through the package faster-whisper: an extra, several times faster on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer.compute.device import pick_device
from mer.encoders.asr.hallucination import is_made_up
from mer.encoders.asr.transcript import Transcript, Word, joined
from mer.encoders.asr.voice import detector, spans
from mer.encoders.checkpoints.pretrained import first_line, folder_digest
from mer.errors import MerError
from mer.media.rate import SAMPLE_RATE as RATE
from mer.params import TranscribeParams
from mer.store.keys import digest

KEY = "transcribe.asr"
WINDOW = 30 * RATE
TIME_STAMPS = 1501
"""Every 0.02 s of a window, its end included."""


def is_ctranslate2(folder: Path) -> bool:
    """Whether a folder was written by CTranslate2's converter."""
    return (folder / "model.bin").is_file() and any(folder.glob("vocabulary.*"))


class FasterWhisperTranscriber:
    """Hears each clip in spans of at most 30 seconds, cut at pauses; where nobody speaks is skipped."""

    def __init__(self, params: TranscribeParams) -> None:
        self._params = params
        self._folder = str(params.asr)
        self._detector_name, self._detect = detector()

    @cached_property
    def fingerprint(self) -> str:
        decides = self._params.model_dump(include={"language", "dtype", "beams"})
        return digest("faster-whisper-4", folder_digest(self._folder), decides, self._detector_name)

    def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        """The transcript of each waveform, float32 [samples] at 16 kHz in [-1, 1]."""
        return [
            joined(
                self._recognise(waveform[start:stop]).later(start / RATE)
                for start, stop in spans(waveform, WINDOW, self._detect)
            )
            for waveform in batch
        ]

    def _recognise(self, waveform: NDArray[np.float32]) -> Transcript:
        # Thresholds off: they bring in sampling at higher temperatures, and with it another text every time. What
        # they would have found is dropped below. A span is one window, and its first segment all that is said in it:
        # with word times, faster-whisper would go on at the last word's end and read words into the rest.
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(waveform, np.float32),
            language=self._params.language,
            beam_size=self._params.beams,
            temperature=0.0,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
            condition_on_previous_text=False,
            without_timestamps=True,  # times of segments cost words, and word times need none
            suppress_tokens=[-1, *self._time_stamps],  # -1: what is no speech, by Whisper's own list
            word_timestamps=True,
        )
        said = next(iter(segments), None)
        if said is None:
            return Transcript("")
        if is_made_up(said.text, said.no_speech_prob, said.avg_logprob):
            return Transcript("", left_out=1)
        words = tuple(Word(word.word.strip(), float(word.start), float(word.end)) for word in said.words or ())
        return Transcript(said.text.strip(), words)

    @cached_property
    def _time_stamps(self) -> range:
        """The tokens of 0 to 30 s; two of them in a row would end a segment."""
        first = int(self._model.hf_tokenizer.token_to_id("<|notimestamps|>")) + 1
        return range(first, first + TIME_STAMPS)

    @cached_property
    def _model(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise MerError(f"{KEY}: {self._folder} needs faster-whisper: pip install 'mer[asr]'") from None
        device = pick_device(self._params.device, "transcribe.device").type
        try:
            model = WhisperModel(
                self._folder,
                device=device,
                compute_type=self._params.dtype,
                cpu_threads=torch.get_num_threads(),
                local_files_only=True,
            )
        except Exception as error:  # CTranslate2 raises RuntimeError and ValueError of many kinds
            raise MerError(f"{KEY}: {self._folder}: {first_line(error)}") from None
        language = self._params.language
        if language is not None and language not in model.supported_languages:
            raise MerError(f"transcribe.language: '{language}' is none of {', '.join(model.supported_languages)}")
        return model
