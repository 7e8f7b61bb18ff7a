"""Word error rate of `transcribe.asr` on EmoDB's ten sentences, and the words that it makes of silence and noise.

    python -m benchmarks.speech_recognition encoders/whisper-base [--language de] [--every 1] [--data EMODB]

EmoDB's actors say ten known sentences in seven emotions. Words are compared in lower case, without punctuation. The
interval is a bootstrap over speakers. Silence and noise: 50 clips of 3 s, none of which may get a word.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.emodb import RATE, read_corpus
from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import Transcriber
from mer.params import TranscribeParams

SENTENCES = {  # Burkhardt et al., 'A Database of German Emotional Speech', Interspeech 2005
    "a01": "Der Lappen liegt auf dem Eisschrank",
    "a02": "Das will sie am Mittwoch abgeben",
    "a04": "Heute abend könnte ich es ihm sagen",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück",
    "a07": "In sieben Stunden wird es soweit sein",
    "b01": "Was sind denn das für Tüten die da unter dem Tisch stehen",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen",
    "b10": "Die wird auf dem Platz sein wo wir sie immer hinlegen",
}
BATCH = 8
DRAWS = 2000
Waveform = NDArray[np.float32]


def words(text: str) -> list[str]:
    """Lower case, without punctuation."""
    return re.findall(r"[^\W_]+", text.lower())


def edits(said: Sequence[str], heard: Sequence[str]) -> int:
    """Least number of words put in, left out or exchanged (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1]


def soundless(count: int = 50, seconds: float = 3.0) -> list[tuple[str, Waveform]]:
    """Clips without speech: digital silence, white, pink and brown noise, hum, clicks, faint and loud."""
    rng, size = np.random.default_rng(0), round(seconds * RATE)
    kinds = ("silence", "white", "pink", "brown", "hum", "clicks")
    return [(kind, _noise(kind, rng, size)) for kind in (kinds[number % len(kinds)] for number in range(count))]


def _noise(kind: str, rng: np.random.Generator, size: int) -> Waveform:
    level = 10 ** rng.uniform(-3.0, -0.5)
    if kind == "silence":
        return np.zeros(size, np.float32)
    if kind == "hum":
        time_ = np.arange(size) / RATE
        wave = sum(np.sin(2 * np.pi * 50 * k * time_ + rng.uniform(0, 6)) / k for k in range(1, 8))
    elif kind == "clicks":
        wave = np.where(rng.random(size) < 5e-4, rng.standard_normal(size), 0.0)
    else:
        spectrum = np.fft.rfft(rng.standard_normal(size))
        falling = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
        spectrum /= np.maximum(1, np.arange(len(spectrum))) ** falling
        wave = np.fft.irfft(spectrum, size)
    return np.asarray(level * wave / np.abs(wave).max(), np.float32)


def recognise(transcriber: Transcriber, waveforms: Sequence[Waveform]) -> list[str]:
    starts = range(0, len(waveforms), BATCH)
    found = [transcriber.transcribe(waveforms[start : start + BATCH]) for start in tqdm(starts, mininterval=30)]
    return [transcript.text for batch in found for transcript in batch]


def error_rate(errors: NDArray[np.int64], lengths: NDArray[np.int64], speakers: NDArray[np.str_]) -> str:
    """Word error rate with its 95 % interval over speakers."""
    names, rng = np.unique(speakers), np.random.default_rng(0)
    per = np.array([[errors[speakers == one].sum(), lengths[speakers == one].sum()] for one in names])
    drawn = per[rng.integers(0, len(names), (DRAWS, len(names)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return f"{errors.sum() / lengths.sum():.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("asr", help="Whisper's folder")
    parser.add_argument("--language", default=None)
    parser.add_argument("--every", type=int, default=1, help="measure on every n-th clip")
    shared = Path(os.environ.get("MER_SHARED_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=shared / "emodb")
    arguments = parser.parse_args()
    transcriber = load_transcriber(TranscribeParams(asr=arguments.asr, language=arguments.language))
    assert transcriber is not None

    silent = soundless()
    heard = recognise(transcriber, [waveform for _, waveform in silent])
    for (kind, _), text in zip(silent, heard, strict=True):
        if text:
            print(f"{kind}: {text!r}")
    print(f"silence and noise: {sum(map(bool, heard))} of {len(heard)} clips got a word", flush=True)
    if not arguments.data.is_dir():
        raise SystemExit(f"no EmoDB in {arguments.data}: no error rate (see --data or MER_SHARED_DATA)")

    clips, waveforms = read_corpus(arguments.data)
    clips, waveforms = clips[:: arguments.every].reset_index(drop=True), waveforms[:: arguments.every]
    began = time.perf_counter(), time.process_time()
    texts = recognise(transcriber, waveforms)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    said = [words(SENTENCES[clip_id[2:5]]) for clip_id in clips["clip_id"]]
    errors = np.array([edits(a, words(b)) for a, b in zip(said, texts, strict=True)])
    lengths = np.array(list(map(len, said)))
    print(f"\n{len(clips)} clips, {took[0]:.0f} s, {took[1]:.0f} s of processors; language {arguments.language}")
    print(f"word error rate {error_rate(errors, lengths, clips['speaker'].to_numpy(str))}, 95 % interval over speakers")
    table = pd.DataFrame({"label": clips["label"], "errors": errors, "words": lengths}).groupby("label").sum()
    print((table["errors"] / table["words"]).round(3).to_string())


if __name__ == "__main__":
    main()
