"""Word error rate of `transcribe.asr` on EmoDB's ten sentences, and the words that it makes of silence and noise.

    python -m benchmarks.speech_recognition encoders/whisper-base [--language de] [--whole] [--every 1] [--data EMODB]

EmoDB's actors say ten known sentences in seven emotions. Both sides go through Whisper's own normaliser (lower case,
no punctuation), 'ß' is 'ss', small numbers are words, and a compound written as two words is one. Where a copy of the
corpus is cut to a fixed length, most sentences are not in their clip to the end: those are told apart (`is_cut`).
The interval is a bootstrap over speakers. Silence and noise: 50 clips of 3 s, none of which may get a word.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from benchmarks.emodb import RATE, read_corpus
from benchmarks.word_errors import edits, edits_of_start, error_rate, same_compounds, words
from mer.encoders.asr.load import load_transcriber
from mer.encoders.asr.transcript import Transcriber
from mer.encoders.text.load import load_text_encoder
from mer.params import TextParams, TranscribeParams

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
TAIL = RATE // 100
Waveform = NDArray[np.float32]


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


def is_cut(waveforms: Sequence[Waveform]) -> NDArray[np.bool_]:
    """Whether each clip may stop in mid-sentence: none is longer, and it does not end in digital silence.

    Copies of EmoDB are about that pad and cut every utterance to the same length: a clip that was padded is whole.
    """
    longest = max(map(len, waveforms))
    return np.array([len(waveform) == longest and bool(waveform[-TAIL:].any()) for waveform in waveforms])


def tell_errors(clips: pd.DataFrame, texts: Sequence[str], cut: NDArray[np.bool_]) -> None:
    """Print the word error rates of what was heard, of whole clips and of those that are cut off."""
    sentences = [words(SENTENCES[clip_id[2:5]]) for clip_id in clips["clip_id"]]
    pairs = [same_compounds(said, words(text)) for said, text in zip(sentences, texts, strict=True)]
    full = np.array([(edits(said, heard), len(said)) for said, heard in pairs])
    starts = np.array([edits_of_start(said, heard) for said, heard in pairs])
    speakers, whole = clips["speaker"].to_numpy(str), ~cut

    def tell(what: str, counts: NDArray[np.int64], rows: NDArray[np.bool_]) -> None:
        if rows.any():
            rate = error_rate(counts[rows, 0], counts[rows, 1], speakers[rows])
            print(f"{what:58} {rows.sum():4} clips  {rate}", flush=True)

    print("word error rate, 95 % interval over speakers")
    tell("clips that hold their whole sentence", full, whole)
    tell("clips cut off, against the start that fits best", starts, cut)
    tell("all, those cut off against the start that fits best", np.where(cut[:, None], starts, full), whole | cut)
    tell("all, against words that are not in the recording, too", full, whole | cut)
    table = pd.DataFrame({"label": clips["label"], "errors": full[:, 0], "words": full[:, 1]})[whole]
    table = table.groupby("label").sum()
    print((table["errors"] / table["words"]).round(3).to_string())


def tell_worth(clips: pd.DataFrame, texts: Sequence[str], encoder: str) -> None:
    """Print what the text says of the emotion, each speaker left out, beside the most frequent class and chance."""
    found = load_text_encoder(TextParams(encoder=encoder)).encode(list(texts))
    vectors = np.stack([of.embedding if of.ok else np.zeros_like(found[0].embedding) for of in found])
    labels, speakers = clips["label"].to_numpy(str), clips["speaker"].to_numpy(str)
    said = pd.get_dummies(clips["clip_id"].str[2:5]).to_numpy(float)
    rows = {
        "heard text": (make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)), vectors),
        "which sentence it was": (LogisticRegression(max_iter=2000), said),
        "most frequent class": (DummyClassifier(), said),
        "drawn by class frequency": (DummyClassifier(strategy="stratified", random_state=0), said),
    }
    print(f"\ntext alone ({encoder}), each speaker left out: weighted-F1, accuracy")
    for name, (model, x) in rows.items():
        predicted = cross_val_predict(model, x, labels, groups=speakers, cv=LeaveOneGroupOut())
        f1, right = f1_score(labels, predicted, average="weighted"), np.mean(predicted == labels)
        print(f"{name:26} {f1:.3f} {right:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("asr", help="Whisper's folder")
    parser.add_argument("--language", default=None)
    parser.add_argument("--every", type=int, default=1, help="measure on every n-th clip")
    parser.add_argument("--whole", action="store_true", help="only clips that hold their whole sentence")
    parser.add_argument("--text", default=None, help="a text encoder's folder: what the heard text says of the emotion")
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
    cut = is_cut(waveforms)
    rows = np.flatnonzero(~cut) if arguments.whole else np.arange(len(clips))
    rows = rows[:: arguments.every]
    clips, waveforms = clips.iloc[rows].reset_index(drop=True), [waveforms[row] for row in rows]
    began = time.perf_counter(), time.process_time()
    texts = recognise(transcriber, waveforms)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    print(f"\n{len(clips)} clips, {took[0]:.0f} s, {took[1]:.0f} s of processors; language {arguments.language}")
    tell_errors(clips, texts, cut[rows])
    if arguments.text is not None:
        tell_worth(clips, texts, arguments.text)


if __name__ == "__main__":
    main()
