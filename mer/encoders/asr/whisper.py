"""Whisper (Radford et al., 2023) from a Hugging Face folder: batched, by beam search, and so the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

from mer.compute.device import inference
from mer.encoders.asr.hallucination import is_made_up
from mer.encoders.asr.transcript import Transcript, joined
from mer.encoders.asr.voice import detector, spans
from mer.encoders.asr.words import timed_words
from mer.encoders.checkpoints.pretrained import first_line, folder_digest, load_model, quiet, read_config
from mer.errors import MerError
from mer.media.rate import SAMPLE_RATE as RATE
from mer.params import TranscribeParams
from mer.running.foreign import foreign
from mer.store.keys import digest

KEY = "transcribe.asr"
LONGEST_WINDOW = 600
"""Seconds that a model hears at once at most."""
VERSION = 4
"""Raise when the same sound would give another transcript."""
GOLDEN = "4dd4939549338eaa"
"""What a fixed input gave under this version: see tests/golden.py."""
NO_SPEECH_TOKENS = ("<|nospeech|>", "<|nocaptions|>")


class WhisperTranscriber:
    """Hears each clip in spans of at most one window, cut at pauses; silence is skipped, and never made words of.

    Text that goes in circles, or was read into a span without speech, is dropped (`hallucination`).
    """

    def __init__(self, params: TranscribeParams) -> None:
        """Raises `MerError` where the folder `transcribe.asr` holds no Whisper; weights are loaded at first use."""
        self._params = params
        self._folder = str(params.asr)
        self._detector_name, self._detect = detector()
        with foreign(f"{KEY}: {self._folder}"):
            self._read()

    def _read(self) -> None:
        config = read_config(self._folder, KEY)
        if config.model_type != "whisper":
            raise MerError(f"{KEY}: {self._folder} holds '{config.model_type}', not Whisper")
        try:
            self._features = WhisperFeatureExtractor.from_pretrained(self._folder, local_files_only=True)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
        except Exception as error:  # OSError for missing files, the tokenizer library's own types for damaged ones
            raise MerError(f"{KEY}: {self._folder}: {first_line(error)}") from None
        # Whisper hears a fixed window, 30 s in every published model: its positions times two frames of 10 ms.
        self._window = int(config.max_source_positions) * 2 * self._features.hop_length
        if not RATE <= self._window <= LONGEST_WINDOW * RATE:
            raise ValueError(f"hears {self._window / RATE:g} seconds at once, not from 1 to {LONGEST_WINDOW}")

    @cached_property
    def fingerprint(self) -> str:
        decides = self._params.model_dump(include={"language", "dtype", "beams"})
        return digest(f"whisper-{VERSION}", folder_digest(self._folder), decides, self._detector_name)

    def transcribe(self, batch: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        """The transcript of each waveform, float32 [samples] at 16 kHz in [-1, 1]."""
        pieces = [
            (clip, *span) for clip, waveform in enumerate(batch) for span in spans(waveform, self._window, self._detect)
        ]
        heard: list[list[Transcript]] = [[] for _ in batch]
        for first in range(0, len(pieces), self._params.batch_windows):
            some = pieces[first : first + self._params.batch_windows]
            parts = self._recognise([batch[clip][start:stop] for clip, start, stop in some])
            for (clip, start, _), part in zip(some, parts, strict=True):
                heard[clip].append(part.later(start / RATE))
        return [joined(parts) for parts in heard]

    def _recognise(self, waveforms: Sequence[NDArray[np.float32]]) -> list[Transcript]:
        inputs = self._features(
            list(waveforms), sampling_rate=RATE, return_tensors="pt", return_attention_mask=True
        ).to(self._model.device)
        with inference(), quiet():
            encoded = self._model.get_encoder()(inputs.input_features.to(self._model.dtype))
            silent = self._no_speech(encoded)  # before the search, which repeats `encoded` for each of its beams
            output = self._model.generate(
                encoder_outputs=encoded,
                attention_mask=inputs.attention_mask,
                do_sample=False,
                num_beams=self._params.beams,
                return_timestamps=False,
                return_token_timestamps=self._has_word_times,
                return_dict_in_generate=True,
                output_scores=True,
                **self._language,
            )
            sure = self._mean_log_probability(output)
        said = slice(self._prompt_length(output["sequences"]), None)
        tokens = output["sequences"][:, said].tolist()
        # Transformers tells when each token ends; the first begins with the sound.
        ends = output["token_timestamps"][:, said].tolist() if self._has_word_times else [None] * len(tokens)
        heard = zip(tokens, ends, waveforms, silent, sure, strict=True)
        parts = [(self._transcript(ids, times, len(wave) / RATE), none, log) for ids, times, wave, none, log in heard]
        return [
            Transcript("", left_out=int(bool(part.text))) if is_made_up(part.text, none, log) else part
            for part, none, log in parts
        ]

    def _no_speech(self, encoded: Any) -> list[float | None]:
        """Probability, for each window, of the token that says that nobody speaks; None where the model has none."""
        model, count = self._model, len(encoded.last_hidden_state)
        known = self._tokenizer.get_vocab()
        token = next((known[name] for name in NO_SPEECH_TOKENS if name in known), None)
        if token is None:
            return [None] * count
        first = torch.full((count, 1), int(model.config.decoder_start_token_id), device=model.device)
        logits = model(encoder_outputs=encoded, decoder_input_ids=first).logits[:, 0]  # [B, vocabulary]
        return list(logits.float().softmax(-1)[:, token].tolist())

    def _prompt_length(self, sequences: torch.Tensor) -> int:
        """Tokens before what is said; the last of them turns timestamps off."""
        mark = int(self._model.generation_config.no_timestamps_token_id)
        return int((sequences[0] == mark).nonzero()[0]) + 1

    def _mean_log_probability(self, output: Any) -> list[float]:
        """Of the tokens said in each window, the one that ends it included."""
        said = output["sequences"][:, self._prompt_length(output["sequences"]) :]
        # A search goes on for some steps after its best text has ended.
        steps = output["scores"][: said.shape[1]]
        scores = self._model.compute_transition_scores(output["sequences"], steps, normalize_logits=True)
        ended = (said == int(self._model.generation_config.eos_token_id)).long().cumsum(1)
        counts = (ended == 0) | ((ended == 1) & (said == int(self._model.generation_config.eos_token_id)))  # [B, T]
        return list((scores.float().masked_fill(~counts, 0.0).sum(1) / counts.sum(1).clamp(min=1)).tolist())

    def _transcript(self, tokens: list[int], ends: list[float] | None, seconds: float) -> Transcript:
        if ends is None:
            return Transcript(self._tokenizer.decode(tokens, skip_special_tokens=True).strip())
        special = set(self._tokenizer.all_special_ids)
        within = [min(end, seconds) for end in ends]
        own = [
            (token, time) for token, time in zip(tokens, pairwise([0.0, *within]), strict=True) if token not in special
        ]
        ids = [token for token, _ in own]
        words = timed_words(ids, [time for _, time in own], self._tokenizer.decode)
        return Transcript(self._tokenizer.decode(ids).strip(), words)

    @cached_property
    def _model(self) -> Any:
        # Word times are read off the cross-attention, which only the eager implementation returns.
        model: Any = load_model(
            WhisperForConditionalGeneration,
            self._folder,
            KEY,
            dtype=self._params.dtype,
            device=self._params.device,
            attn_implementation="eager",
        )
        with foreign(f"{KEY}: {self._folder}: the model does not run"):
            model.generation_config.max_length = model.config.max_target_positions
            self._probe(model)
        return model

    def _probe(self, model: Any) -> None:
        """Run the model once on silence: what does not fit together raises here, not at the first clip."""
        silence = self._features([np.zeros(RATE, np.float32)], sampling_rate=RATE, return_tensors="pt").input_features
        first = torch.full((1, 1), int(model.config.decoder_start_token_id), device=model.device)
        with inference():
            heard = silence.to(model.device, model.dtype)
            logits = model(input_features=heard, decoder_input_ids=first).logits
        if not torch.isfinite(logits).all():
            raise ValueError("it gives values that are not finite numbers")

    @cached_property
    def _has_word_times(self) -> bool:
        return getattr(self._model.generation_config, "alignment_heads", None) is not None

    @cached_property
    def _language(self) -> dict[str, str]:
        """What to tell the model of the language: nothing if it knows one only, or is to find out."""
        language = self._params.language
        if not getattr(self._model.generation_config, "is_multilingual", False):
            if language not in (None, "en"):
                raise MerError(f"transcribe.language: '{language}' is not English, all that {self._folder} knows")
            return {}
        known = {code.strip("<|>") for code in self._model.generation_config.lang_to_id}
        if language is not None and language not in known:
            raise MerError(f"transcribe.language: '{language}' is none of {', '.join(sorted(known))}")
        return {"task": "transcribe"} | ({"language": language} if language is not None else {})
