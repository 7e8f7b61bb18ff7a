"""Speech features on a CPU: mer against the usual loop, same weights, same clips.

The usual loop: transformers' HubertModel in float32, one clip at a time on all cores, `output_hidden_states`, sum of
the last four, mean over time. mer runs one process a core, one thread each, as the pipeline does. Contenders take
turns, so that what else the machine does hits all alike; wall time and processor time are both printed.

    python -m benchmarks.speech [--seconds 120] [--rounds 3] [--processes N] [--folder HUBERT] [--contenders usual ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import HubertConfig, HubertModel

from mer.encoders.linear import PackedLinear
from mer.encoders.speech.features import SpeechFeatures
from mer.params import AudioParams

RATE = 16_000
LAYERS = (-4, -3, -2, -1)
Clips = list[NDArray[np.float32]]
Encode = Callable[[Clips], Any]
CONTENDERS = ("usual", "onnx", "mer float32", "mer bfloat16", "mer int8")


@dataclass
class Result:
    """What one contender showed: seconds of each round, vectors in clip order, peak memory over its processes."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    peak_mib: float = 0.0
    gemm: float = 0.0


def make_clips(seconds: float, seed: int = 0) -> Clips:
    """Voiced noise in clips of 0.5 to 15 s, 4 s in the mean, until `seconds` are full."""
    rng = np.random.default_rng(seed)
    clips: Clips = []
    while sum(map(len, clips)) < seconds * RATE:
        length = round(RATE * np.clip(rng.gamma(1.6, 2.5), 0.5, 15.0))
        voice = np.sin(2 * np.pi * rng.uniform(90, 250) * np.arange(length) / RATE)
        clips.append((0.2 * voice + 0.05 * rng.standard_normal(length)).astype(np.float32))
    return clips


def usual(folder: str) -> Encode:
    model = HubertModel.from_pretrained(folder).eval()

    @torch.no_grad()
    def encode(clips: Clips) -> list[NDArray[np.float32]]:
        vectors = []
        for clip in clips:
            states = model(torch.from_numpy(clip)[None], output_hidden_states=True).hidden_states
            vectors.append(torch.stack(states[-4:]).sum(0)[0].mean(0).numpy())
        return vectors

    return encode


def onnx(folder: str) -> Encode:
    """The same model in ONNX Runtime, exported by torch, on all cores."""
    import onnxruntime

    class Summed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = HubertModel.from_pretrained(folder, attn_implementation="eager").eval()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return sum(self.model(x, output_hidden_states=True).hidden_states[-4:]).mean(1)

    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / "model.onnx")
        sizes = {"x": {1: torch.export.Dim("samples", min=400, max=RATE * 60)}}
        torch.onnx.export(Summed(), (torch.randn(1, RATE),), path, dynamo=True, dynamic_shapes=sizes, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda clips: [session.run(None, {"x": clip[None]})[0][0] for clip in clips]


def mer(folder: str, dtype: str) -> Encode:
    features = SpeechFeatures(AudioParams(model=folder, layers=LAYERS, device="cpu", dtype=dtype))  # type: ignore[arg-type]
    return lambda clips: [result.embedding for result in features.encode(clips)]


def gemm_rate(dtype: torch.dtype) -> float:
    """Best measured rate of one large packed product on this process' threads, in operations a second."""
    size = 1536
    linear = PackedLinear(torch.randn(size, size), torch.zeros(size), dtype)
    x = torch.randn(size, size, dtype=dtype)
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        linear(x)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def serve(contender: str, folder: str, threads: int, clips: Clips, pipe: Connection) -> None:
    """A process of one contender: sets up, then encodes its clips at each 'go'."""
    torch.set_num_threads(threads)
    name, _, dtype = contender.partition(" ")
    encode = {"usual": usual, "onnx": onnx}[name](folder) if name != "mer" else mer(folder, dtype)
    encode(clips[:2])
    pipe.send(None)
    while pipe.recv() == "go":
        start = time.process_time()
        vectors = encode(clips)
        pipe.send((vectors, time.process_time() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.recv()
    with torch.inference_mode():
        pipe.send((peak, gemm_rate(torch.bfloat16 if dtype == "int8" else getattr(torch, dtype or "float32"))))


class Contender:
    """The processes of one contender and what they showed."""

    def __init__(self, name: str, folder: str, clips: Clips, cores: int) -> None:
        self.name, self.result = name, Result()
        processes = cores if name.startswith("mer") else 1
        self._shares = deal(clips, processes)
        self._pipes: list[Connection] = []
        self._processes = []
        context = multiprocessing.get_context("spawn")
        for share in self._shares:
            here, there = context.Pipe()
            mine = [clips[i] for i in share]
            process = context.Process(target=serve, args=(name, folder, cores // processes, mine, there))
            process.start()
            self._pipes.append(here)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()

    def round(self) -> None:
        start = time.perf_counter()
        for pipe in self._pipes:
            pipe.send("go")
        answers = [pipe.recv() for pipe in self._pipes]
        self.result.wall.append(time.perf_counter() - start)
        self.result.processor.append(sum(processor for _, processor in answers))
        for share, (vectors, _) in zip(self._shares, answers, strict=True):
            self.result.vectors |= dict(zip(share, vectors, strict=True))

    def finish(self) -> None:
        for step in ("stop", "gemm"):
            for pipe in self._pipes:
                pipe.send(step)
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            peak, rate = pipe.recv()
            self.result.peak_mib += peak
            self.result.gemm += rate
            process.join()


def deal(clips: Clips, hands: int) -> list[list[int]]:
    """Indices of the clips, longest first, each to the hand with the least audio."""
    shares: list[list[int]] = [[] for _ in range(hands)]
    for index in sorted(range(len(clips)), key=lambda i: -len(clips[i])):
        min(shares, key=lambda share: sum(len(clips[i]) for i in share)).append(index)
    return shares


def operations(config: HubertConfig, samples: int) -> float:
    """Multiplications and additions of one clip through the model, as written (the direct positional convolution)."""
    total, length, width = 0.0, samples, 1
    for out, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        length = (length - kernel) // stride + 1
        total += 2.0 * length * kernel * width * out
        width = out
    size = config.hidden_size
    positions = config.num_conv_pos_embeddings * size // config.num_conv_pos_embedding_groups
    block = 4 * size * size + 2 * size * config.intermediate_size + 2 * length * size
    return total + 2.0 * length * (width * size + positions * size + config.num_hidden_layers * block)


def report(contenders: Sequence[Contender], clips: Clips, config: HubertConfig) -> None:
    seconds = sum(map(len, clips)) / RATE
    work = sum(operations(config, len(clip)) for clip in clips)
    base = contenders[0].result
    print(f"\n{len(clips)} clips, {seconds:.0f} s of audio, {work / seconds / 1e9:.1f} GFLOP a second of audio\n")
    print("| contender | audio s per s | times the usual | processor s per audio s | times | share of GEMM roofline | "
          "least cosine | largest difference | peak MiB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for contender in contenders:
        result = contender.result
        wall, processor = min(result.wall), min(result.processor)
        ratio = statistics.median(u / w for u, w in zip(base.wall, result.wall, strict=True))
        thrift = statistics.median(u / p for u, p in zip(base.processor, result.processor, strict=True))
        mine, others = (np.stack([r.vectors[i] for i in range(len(clips))]) for r in (result, base))
        cosine = (mine * others).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(others, axis=1)
        print(f"| {contender.name} | {seconds / wall:.1f} | {ratio:.2f} | {processor / seconds:.4f} | {thrift:.2f} | "
              f"{work / wall / result.gemm:.0%} | {cosine.min():.6f} | {np.abs(mine - others).max():.1e} | "
              f"{result.peak_mib:.0f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="cores to use")
    parser.add_argument("--folder", help="a HuBERT folder; without one, base architecture with random weights")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    arguments = parser.parse_args()
    clips = make_clips(arguments.seconds)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or scratch
        if arguments.folder is None:
            torch.manual_seed(0)
            HubertModel(HubertConfig()).save_pretrained(folder)
        config = HubertConfig.from_pretrained(folder)
        names = dict.fromkeys(("usual", *arguments.contenders))
        contenders = [Contender(name, folder, clips, arguments.processes) for name in names]
        for _ in range(arguments.rounds):
            for contender in contenders:
                contender.round()
        for contender in contenders:
            contender.finish()
    report(contenders, clips, config)


if __name__ == "__main__":
    main()
