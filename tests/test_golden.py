"""Each extractor gives the numbers that it gave when its version was set: see `tests.golden`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import transformers as tr
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from mer.encoders.asr import whisper
from mer.encoders.asr.voice import by_level
from mer.encoders.face import cropper, hog, mediapipe, onnx, vision, yunet
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.detection import Detection
from mer.encoders.face.probe import frames, picture
from mer.encoders.speech import features as speech
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text import tfidf, transformer
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.encoders.text.transformer import TransformerTextEncoder
from mer.extraction import decode
from mer.media.sandbox import Sandbox
from mer.params import AudioParams, CropParams, DecodeParams, FaceParams, TextParams, TranscribeParams
from tests.encoders.speech_models import TINY, save
from tests.encoders.test_asr_whisper import speech as spoken
from tests.encoders.test_asr_whisper import tiny_whisper
from tests.encoders.test_face_vision import VISION, crops, vit
from tests.encoders.test_text_transformer import TINY as TINY_TEXT
from tests.golden import fill_by_formula, golden
from tests.media.making import write_clip

TEXTS = ["今天我们好开心", "why are you so angry today", "no", "我很难过 go home"]


def decoded(folder: Path) -> NDArray[Any]:
    path = write_clip(folder / "clip.mkv", seconds=1.0, video="ffv1")
    with Sandbox(DecodeParams(frames=3)) as box:
        record = box.decode(path)
    from mer.media import encode

    pictures = [encode.image(frame)[::4, ::4].ravel() for frame in record["frames"]]
    times = np.repeat(record["timestamps"], 50)
    return np.concatenate([encode.waveform(record["audio"])[::7] * 100, *pictures, 100 * times])


def cropped(folder: Path) -> NDArray[Any]:
    found = FaceCropper(CropParams()).crop(frames(), [0.0, 1.0, 2.0])
    assert found.detected
    return np.concatenate([found.crops[:, ::8, ::8].ravel(), found.boxes.ravel()])


def described(folder: Path) -> NDArray[Any]:
    return hog.Hog().embed(np.stack([picture()[24:168, 24:168]]))


def heard(folder: Path) -> NDArray[Any]:
    save(fill_by_formula(tr.HubertModel(tr.HubertConfig(**TINY))), folder)
    time = np.arange(20_000) / 16_000
    wave = (0.3 * np.sin(2 * np.pi * (120 + 300 * time) * time)).astype(np.float32)
    params = AudioParams(model=str(folder), layers=(-2, -1), pooling="mean_std")
    return SpeechFeatures(params).encode([wave])[0].embedding


def weighed(folder: Path) -> NDArray[Any]:
    encoder = TfidfTextEncoder.fit(TEXTS, TextParams(dimensions=3))
    vectors = np.stack([of.embedding for of in encoder.encode(TEXTS)])
    return vectors @ vectors.T  # the axes of an SVD may turn round


def tokenizer() -> tr.PreTrainedTokenizerFast:
    """Letter by letter: a vocabulary that is trained differs from time to time."""
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    letters = sorted(set("".join(TEXTS)) - {" "})
    vocabulary = [*names.values(), *letters, *(f"##{letter}" for letter in letters)]
    model = Tokenizer(WordPiece({piece: place for place, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    model.normalizer, model.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    model.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tr.PreTrainedTokenizerFast(tokenizer_object=model, **names)


def read(folder: Path) -> NDArray[Any]:
    fill_by_formula(tr.BertModel(tr.BertConfig(**TINY_TEXT))).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    encoder = TransformerTextEncoder(TextParams(encoder=str(folder)))
    return np.stack([of.embedding for of in encoder.encode(TEXTS)])


def seen(folder: Path) -> NDArray[Any]:
    model, processor = tr.ViTModel(tr.ViTConfig(**VISION)), vit()[1]
    fill_by_formula(model).save_pretrained(folder)
    processor.save_pretrained(folder)
    encoder = vision.load_vision_encoder(FaceParams(encoder=str(folder)))
    return encoder.encode([crops(3, 1)])[0].embedding


def transcribed(folder: Path) -> NDArray[Any]:
    with mock.patch.object(whisper, "detector", return_value=("level", by_level)):
        transcriber = whisper.WhisperTranscriber(TranscribeParams(asr=tiny_whisper(folder), language="zh"))
        (heard,) = transcriber.transcribe([spoken(1.0, 0)])
    assert heard.text
    times = [time for word in heard.words for time in (word.start, word.end)]
    return np.array([*(ord(letter) - ord("a") for letter in heard.text), *times], np.float64)


def run_by_onnx(folder: Path) -> NDArray[Any]:
    from tests.encoders.test_face_onnx import network

    metadata = {"image_mean": (0.5, 0.4, 0.3), "image_std": (0.5, 0.25, 0.125)}
    params = network(folder / "net.onnx", ("n", 3, 12, 12), metadata=metadata)
    return onnx.OnnxModel(params).embed(crops(6, 1)[:, :16, :16])


def cells_of_yunet(folder: Path) -> NDArray[Any]:
    from tests.encoders.test_face_yunet import picture, write_cells

    return _faces(yunet.YuNetDetector(write_cells(folder / "cells.onnx")).detect(picture([(2, 1), (4, 3)]), 0.1))


def cells_of_mediapipe(folder: Path) -> NDArray[Any]:
    from tests.encoders.test_face_mediapipe import Cells, picture

    (folder / "cells.tflite").write_bytes(b"cells")
    with mock.patch.object(cv2.dnn, "readNetFromTFLite", return_value=Cells()):
        detector = mediapipe.MediaPipeDetector(str(folder / "cells.tflite"))
        return _faces(detector.detect(picture([(2, 1), (6, 5)]), 0.1))


def _faces(found: Sequence[Detection]) -> NDArray[Any]:
    assert len(found) == 2
    return np.concatenate([np.concatenate([face.box, np.ravel(face.eyes), [100 * face.score]]) for face in found])


GOLDEN: dict[str, tuple[Callable[[Path], NDArray[Any]], object, str]] = {
    "decode": (decoded, decode.REVISION, decode.GOLDEN),
    "face crops": (cropped, cropper.VERSION, cropper.GOLDEN),
    "hog": (described, hog.VERSION, hog.GOLDEN),
    "vision": (seen, vision.VERSION, vision.GOLDEN),
    "speech": (heard, speech.VERSION, speech.GOLDEN),
    "tfidf": (weighed, tfidf.VERSION, tfidf.GOLDEN),
    "whisper": (transcribed, whisper.VERSION, whisper.GOLDEN),
    "onnx": (run_by_onnx, onnx.VERSION, onnx.GOLDEN),
    "yunet": (cells_of_yunet, yunet.VERSION, yunet.GOLDEN),
    "mediapipe": (cells_of_mediapipe, mediapipe.VERSION, mediapipe.GOLDEN),
    "text": (read, transformer.VERSION, transformer.GOLDEN),
}
NEEDS = {"onnx": ["onnx", "onnxruntime"], "yunet": ["onnx"]}


@pytest.mark.parametrize("name", GOLDEN)
def test_other_numbers_need_another_version(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_CACHE", str(tmp_path / "cache"))
    make, version, expected = GOLDEN[name]
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module, reason="the onnx extra is not installed")
    (tmp_path / "model").mkdir()
    found = golden(version, make(tmp_path / "model"))
    assert found == expected, f"{name}: gives other numbers: raise its version, then set GOLDEN to what comes of it"
