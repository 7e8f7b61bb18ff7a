"""A GPU: mer against the usual loops, the same random weights and clips, and training there against here.

The usual loops are what feature extractors of the field do: transformers' model on the GPU in float32, one clip (or
crop, or sentence) at a time, hidden states summed over the last four blocks, mean over time. Sides take turns; each
figure is the best of the rounds in wall time, everything up to NumPy arrays on the CPU included. Weights are random:
they do not change the speed. `training` runs MR-CCL on a real corpus of ../shared/data on both devices.

    python -m benchmarks.gpu speech faces text training contrast [--rounds 3] [--device cuda]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from benchmarks.corpora import load_corpus, make_draw, make_feature_set
from benchmarks.face import usual_embedding as usual_embedding_of_crop
from benchmarks.methods import Trainer
from benchmarks.speech import LAYERS, RATE, make_clips
from benchmarks.text import make_bert, sentences, usual_embedding
from benchmarks.training import synthetic
from mer.encoders.face.load import load_face_encoder
from mer.encoders.speech.features import SpeechFeatures
from mer.encoders.text.load import load_text_encoder
from mer.params import AudioParams, FaceParams, TextParams, parse_params
from mer.pretraining.pretrain import pretrain
from mer.self_training.results import weighted_f1

Vectors = NDArray[np.float32]
Sides = dict[str, Callable[[], Vectors]]
DTYPES = ("float32", "bfloat16")
LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
}
"""HuBERT-large, which the field uses."""
VISION = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
"""CLIP ViT-L/14."""


def speech(device: str, rounds: int, scale: float) -> None:
    clips = make_clips(600 * scale)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        transformers.HubertModel(transformers.HubertConfig(**LARGE)).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        model = transformers.HubertModel.from_pretrained(folder).eval().to(device)

        @torch.no_grad()
        def usual() -> Vectors:
            vectors = []
            for clip in clips:
                normal = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
                states = model(torch.from_numpy(normal)[None].to(device), output_hidden_states=True).hidden_states
                vectors.append(torch.stack(states)[list(LAYERS)].sum(0)[0].mean(0).cpu().numpy())
            return np.stack(vectors)

        def ours(dtype: str) -> Callable[[], Vectors]:
            encoder = SpeechFeatures(AudioParams(model=folder, layers=LAYERS, device=device, dtype=dtype))  # type: ignore[arg-type]
            return lambda: np.stack([features.embedding for features in encoder.encode(clips)])

        seconds = sum(map(len, clips)) / RATE
        compare("HuBERT-large, audio s", seconds, {"usual": usual} | {f"mer {d}": ours(d) for d in DTYPES}, rounds)


def faces(device: str, rounds: int, scale: float) -> None:
    count = round(100 * scale) * 8
    crops = np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3), np.uint8)
    clips = np.split(crops, range(8, count, 8))
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        config = transformers.CLIPVisionConfig(**VISION, patch_size=14, projection_dim=768)
        transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder)
        transformers.CLIPImageProcessorPil().save_pretrained(folder)
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        model = transformers.CLIPVisionModelWithProjection.from_pretrained(folder).eval().to(device)

        def usual() -> Vectors:
            embedded = [[usual_embedding_of_crop(processor, model, crop)[0] for crop in clip] for clip in clips]
            return np.stack([np.mean(clip, axis=0) for clip in embedded])

        def ours(dtype: str) -> Callable[[], Vectors]:
            encoder = load_face_encoder(FaceParams(encoder=folder, pooling="mean", dtype=dtype, device=device))  # type: ignore[arg-type]
            return lambda: np.stack([features.embedding for features in encoder.encode(clips)])

        compare("CLIP ViT-L/14, crops", count, {"usual": usual} | {f"mer {d}": ours(d) for d in DTYPES}, rounds)


def text(device: str, rounds: int, scale: float) -> None:
    random = np.random.default_rng(0)
    words = sorted({"".join(random.choice(list("abcdefgh"), size=random.integers(2, 7))) for _ in range(3000)})
    texts = sentences(random, words, round(2000 * scale))
    with tempfile.TemporaryDirectory() as folder:
        make_bert(Path(folder), words)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder).eval().to(device)

        def usual() -> Vectors:
            return np.stack([usual_embedding(tokenizer, model, sentence) for sentence in texts])

        def ours(dtype: str) -> Callable[[], Vectors]:
            encoder = load_text_encoder(TextParams(encoder=folder, dtype=dtype, device=device))  # type: ignore[arg-type]
            return lambda: np.stack([features.embedding for features in encoder.encode(texts)])

        compare("BERT-base, sentences", len(texts), {"usual": usual} | {f"mer {d}": ours(d) for d in DTYPES}, rounds)


def compare(what: str, amount: float, sides: Sides, rounds: int) -> None:
    """Print each side's rate, how many times the first side's it is, and how far its vectors are from the first's."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    vectors: dict[str, Vectors] = {name: run() for name, run in sides.items()}  # weights are loaded, kernels chosen
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            vectors[name] = run()
            seconds[name].append(time.perf_counter() - start)
    first = next(iter(sides))
    print(f"\n| {what} | a second | times the usual | least cosine | largest difference |\n|---|---|---|---|---|")
    for name, taken in seconds.items():
        mine, others = vectors[name].astype(np.float64), vectors[first].astype(np.float64)
        cosine = (mine * others).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(others, axis=1)
        print(
            f"| {name} | {amount / min(taken):.1f} | {min(seconds[first]) / min(taken):.2f} | {cosine.min():.6f} | "
            f"{np.abs(mine - others).max():.1e} |",
            flush=True,
        )


def training(device: str, rounds: int, scale: float) -> None:
    """Pretraining and self-training of one draw on each device: seconds, test weighted-F1, how many answers agree."""
    corpus = load_corpus("emodb")
    draw = make_draw(corpus, 0)
    features = make_feature_set(corpus, draw, draw.labeled(0.3), groups=False)
    test = features.split == "test"
    truth = corpus.labels[np.concatenate([draw.train, draw.test])]
    predicted: dict[str, list[NDArray[np.int64]]] = {}
    print("\n| EmoDB, 30 % of labels | s | test weighted-F1 | the same twice |\n|---|---|---|---|")
    for where in dict.fromkeys(("cpu", device)):
        runs: list[NDArray[np.int64]] = []
        for _ in range(2):
            start = time.perf_counter()
            trainer = Trainer({"model": {"modalities": list(corpus.views), "device": where}})
            found = trainer(features, settings(scale), seed=0)
            taken = time.perf_counter() - start
            index = {name: i for i, name in enumerate(corpus.classes)}
            runs.append(found.predictions["predicted"].map(index).to_numpy().astype(np.int64))
        predicted[where] = runs
        score, same = weighted_f1(truth[test], runs[0][test]), bool((runs[0] == runs[1]).all())
        print(f"| {where} | {taken:.1f} | {score:.3f} | {same} |", flush=True)
    here, there = (found[0] for found in (predicted["cpu"], predicted[device]))
    print(f"\nanswers alike on both: {(here == there).mean():.1%} of {len(here)}")


def contrast(device: str, rounds: int, scale: float) -> None:
    """Seconds of an epoch of contrastive pretraining on each device: three epochs less one, halved."""
    count = round(10_000 * scale)
    features, _ = synthetic(count)
    print(f"\n| pretraining on {count} clips | s an epoch |\n|---|---|")
    for where in dict.fromkeys(("cpu", device)):
        taken = []
        for epochs in (1, 1, 3):  # the first also starts the device
            params = parse_params({"pretrain": {"epochs": epochs}, "model": {"device": where, "threads": 0}})
            start = time.perf_counter()
            pretrain(features, params)
            taken.append(time.perf_counter() - start)
        print(f"| {where} | {(taken[2] - taken[1]) / 2:.2f} |", flush=True)


def settings(scale: float) -> dict[str, Any]:
    return {"self_train": {"rounds": 1}} if scale >= 1 else {"self_train": {"rounds": 1, "steps": 20}}


PARTS: dict[str, Callable[[str, int, float], None]] = {
    "speech": speech,
    "faces": faces,
    "text": text,
    "training": training,
    "contrast": contrast,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scale", type=float, default=1.0, help="part of the work: for a try on a CPU")
    given = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    if given.device == "cuda":
        print(torch.cuda.get_device_name(), "torch", torch.__version__)
    for part in given.parts:
        PARTS[part](given.device, given.rounds, given.scale)


if __name__ == "__main__":
    main()
