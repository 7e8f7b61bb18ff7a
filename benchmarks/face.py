"""Face detection and a CLIP-base-sized encoder: mer against the usual loops, on the same eight frames of each clip.

The usual way: OpenCV reads the clip frame by frame and searches each of the eight at full size; transformers' processor
and model then take one crop after the other in float32. The encoder's weights are random: they do not change its speed.
Both sides take turns on one thread, and each figure is the median over the rounds in processor seconds, so it is what
one core does: the pipeline runs a process on each.

    python -m benchmarks.face [--clips VIDEO ...] [--rounds 3] [--frames 48]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from benchmarks.decode import make_clip
from mer.encoders.base import Encoder
from mer.encoders.face.align import crop_face
from mer.encoders.face.crop_encoder import Crops
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.detection import Detection
from mer.encoders.face.haar import CASCADE
from mer.encoders.face.load import load_face_encoder
from mer.media.decode import decode_clip
from mer.params import CropParams, DecodeParams, FaceParams

CASCADE_FILE = str(Path(cv2.__file__).parent / "data" / CASCADE)
CENTRES_APART, WIDTHS_APART = 0.1, 1.2
"""Two boxes are the same within this: the margin of a crop, so that either box lies in the other's crop."""
DTYPE: Literal["float32", "bfloat16"] = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=48, help="crops that the encoders take")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        clips = arguments.clips or sorted(Path("sample/corpus").glob("video*/*.mp4"))[:8]
        clips = clips or [make_clip(Path(folder) / "clip.mp4", keyframe_every=50)]
        detection = compare_detection(clips, arguments.rounds)
        encoding = compare_encoding(Path(folder), some_crops(clips, arguments.frames), arguments.rounds)
    usual, ours = (detection[side] + encoding[side] for side in (0, 1))
    print(f"both ({DTYPE}), seconds a frame: usual {usual:.4f}, mer {ours:.4f}, {usual / ours:.1f} times as fast")


def compare_detection(clips: Sequence[Path], rounds: int) -> tuple[float, float]:
    """Seconds a frame of the usual loop and of mer, decoding included; prints how well their boxes agree."""
    cropper = FaceCropper(CropParams())
    cascade = cv2.CascadeClassifier(CASCADE_FILE)

    def usual() -> list[dict[int, NDArray[np.float32]]]:
        return [usual_detection(cascade, clip) for clip in clips]

    def mer() -> list[dict[int, NDArray[np.float32]]]:
        return [our_detection(cropper, clip) for clip in clips]

    (usual_seconds, loop), (our_seconds, ours) = take_turns([usual, mer], rounds)
    frames = 8 * len(clips)
    print(f"detection, {len(clips)} clips, 8 frames each: usual {frames / usual_seconds:.1f} frames/s, ", end="")
    print(f"mer {frames / our_seconds:.1f} frames/s, {usual_seconds / our_seconds:.1f} times as fast")
    agreement(loop, ours)
    return usual_seconds / frames, our_seconds / frames


def usual_detection(cascade: cv2.CascadeClassifier, clip: Path) -> dict[int, NDArray[np.float32]]:
    """Largest box in each of the eight frames that mer samples, the middles of equal parts, by their place."""
    video = cv2.VideoCapture(str(clip))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {int((part + 0.5) * count / 8): part for part in range(8)}
    boxes: dict[int, NDArray[np.float32]] = {}
    for number in range(count):
        read, frame = video.read()
        if not read or number not in wanted:
            continue
        longer = max(frame.shape)
        least = round(CropParams().smallest * longer)
        found = cascade.detectMultiScale(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), 1.1, 5, minSize=(least, least))
        if len(found):
            x, y, w, h = max(found, key=lambda box: box[2] * box[3])
            boxes[wanted[number]] = np.array([x, y, x + w, y + h], np.float32) / longer
    return boxes


def our_detection(cropper: FaceCropper, clip: Path) -> dict[int, NDArray[np.float32]]:
    """Box of the main face in each of the eight frames that has one, by their place."""
    media = decode_clip(clip, DecodeParams())
    faces = cropper.crop(media.frames, media.timestamps)
    places = {time: place for place, time in enumerate(media.timestamps)}
    longer = max(media.frames[0].shape)
    return {places[time]: box / longer for time, box in zip(faces.timestamps.tolist(), faces.boxes, strict=True)}


def agreement(loop: list[dict[int, NDArray[np.float32]]], ours: list[dict[int, NDArray[np.float32]]]) -> None:
    """Print in how many frames both found a face, and how well their boxes, in shares of the longer side, agree."""
    both = [(usual[n], mine[n]) for usual, mine in zip(loop, ours, strict=True) for n in set(usual) & set(mine)]
    only_usual = sum(len(set(usual) - set(mine)) for usual, mine in zip(loop, ours, strict=True))
    only_mer = sum(len(set(mine) - set(usual)) for usual, mine in zip(loop, ours, strict=True))
    print(
        f"  a face found by both in {len(both)} frames, by the usual loop alone in {only_usual}, by mer in {only_mer}"
    )
    if not both:
        return
    usual, mine = (np.array(boxes) for boxes in zip(*both, strict=True))  # each [n, 4]
    width, ratio = usual[:, 2] - usual[:, 0], (mine[:, 2] - mine[:, 0]) / (usual[:, 2] - usual[:, 0])
    apart = np.hypot(*((mine[:, :2] + mine[:, 2:] - usual[:, :2] - usual[:, 2:]) / 2).T) / width
    same_place, same_size = apart <= CENTRES_APART, np.maximum(ratio, 1 / ratio) <= WIDTHS_APART
    print(f"  centres within {CENTRES_APART} of the face's width in {same_place.mean():.0%}, ", end="")
    print(f"widths within a factor of {WIDTHS_APART} in {same_size.mean():.0%}; ", end="")
    print(f"medians {np.median(apart):.3f} and {np.median(ratio):.3f}")


def some_crops(clips: Sequence[Path], count: int) -> NDArray[np.uint8]:
    """Squares from the middle of the clips' frames: what they show does not matter here."""
    frames = [frame for clip in clips for frame in decode_clip(clip, DecodeParams()).frames]
    squares = [np.array([0, 0, min(frame.shape[:2]), min(frame.shape[:2])], np.float32) for frame in frames]
    crops = [crop_face(frame, Detection(box, 1.0), 112) for frame, box in zip(frames, squares, strict=True)]
    return np.stack([crops[index % len(crops)] for index in range(count)])


def compare_encoding(folder: Path, crops: NDArray[np.uint8], rounds: int) -> tuple[float, float]:
    """Seconds a crop of the usual loop and of mer in `DTYPE`, with the same random CLIP ViT-B/32."""
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(projection_dim=512)
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    transformers.CLIPImageProcessorPil().save_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    clips = np.split(crops, range(8, len(crops), 8))

    def usual() -> NDArray[np.float32]:
        return np.concatenate([usual_embedding(processor, model, crop) for crop in crops])

    def mer(encoder: Encoder[Crops]) -> NDArray[Any]:
        return np.concatenate([features.values for features in encoder.encode(clips) if features.values is not None])

    encoders = {
        dtype: load_face_encoder(FaceParams(encoder=str(folder), dtype=dtype, frames=True))
        for dtype in dict.fromkeys(("float32", DTYPE))
    }
    for encoder in encoders.values():
        encoder.encode(clips[:1])  # loads the weights
    (usual_seconds, loop), *rest = take_turns([usual, *(partial(mer, one) for one in encoders.values())], rounds)
    print(f"CLIP ViT-B/32, {len(crops)} crops: usual {len(crops) / usual_seconds:.1f} crops/s")
    for dtype, (seconds, ours) in zip(encoders, rest, strict=True):
        cosines = (loop * ours).sum(1) / np.linalg.norm(loop, axis=1) / np.linalg.norm(ours.astype(np.float32), axis=1)
        print(
            f"  mer ({dtype}) {len(crops) / seconds:.1f} crops/s, {usual_seconds / seconds:.1f} times as fast, ", end=""
        )
        print(f"lowest cosine between their embeddings {cosines.min():.5f}")
    return usual_seconds / len(crops), rest[-1][0] / len(crops)


def usual_embedding(processor: Any, model: Any, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.no_grad():
        pixels = processor(Image.fromarray(crop), return_tensors="pt").to(model.device)
        return np.asarray(model(**pixels).image_embeds.cpu().numpy())


def take_turns(sides: Sequence[Callable[[], Any]], rounds: int) -> list[tuple[float, Any]]:
    """Median processor seconds and last result of each side; the sides run in turn, so noise hits both."""
    seconds: list[list[float]] = [[] for _ in sides]
    results: list[Any] = [None] * len(sides)
    for _ in range(rounds):
        for number, side in enumerate(sides):
            start = time.process_time()
            results[number] = side()
            seconds[number].append(time.process_time() - start)
    return [(statistics.median(taken), result) for taken, result in zip(seconds, results, strict=True)]


if __name__ == "__main__":
    main()
