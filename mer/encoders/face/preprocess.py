"""A model's own image processor, applied to a batch of crops at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer.encoders.checkpoints.pretrained import first_line
from mer.encoders.face.resample import FILTERS, resize
from mer.errors import MerError
from mer.running.foreign import foreign

LARGEST_SIDE = 4096
"""Pixels of the square that a model sees."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop, rescale and normalise, in this order, each where it is set.

    `side` is that of the resized square, `crop` (height, width), in pixels; `resample` is Pillow's number of a
    filter. Pixels times `scale`, less `mean` [3], over `deviation` [3].
    """

    side: int | None
    crop: tuple[int, int] | None
    resample: int
    scale: float
    mean: Sequence[float]
    deviation: Sequence[float]

    def __call__(self, crops: NDArray[np.uint8], device: torch.device) -> Tensor:
        """Pixel values float32 [n, 3, height, width] of square crops, uint8 [n, S, S, 3]."""
        images = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2)
        if self.side is not None:
            images = resize(images, self.side, self.resample)
        if self.crop is not None:
            images = _centre(images, *self.crop)
        mean, deviation = (torch.tensor(v, device=device).view(3, 1, 1) for v in (self.mean, self.deviation))
        return images.float().mul_(self.scale).sub_(mean).div_(deviation)


def read_preprocessing(folder: str, key: str) -> Preprocessing:
    """What the folder's preprocessor_config.json asks for.

    Raises:
        MerError: there is none, or it asks for something that an ordinary image processor does not do.
    """
    from transformers import AutoImageProcessor
    from transformers.image_processing_backends import PilBackend

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
    except Exception as error:  # OSError for a missing file, many others for one of another kind
        raise MerError(f"{key}: {folder}/preprocessor_config.json: {first_line(error)}") from None
    own = {"resize", "center_crop", "rescale", "normalize", "pad"} & set(vars(type(processor)))
    if not isinstance(processor, PilBackend) or own or getattr(processor, "do_pad", False):
        raise MerError(f"{key}: {folder}: {type(processor).__name__} is not a processor of faces that can be batched")
    source = f"{key}: {folder}/preprocessor_config.json"
    with foreign(source):
        found = _preprocessing(processor, source)
        numbers = [found.scale, *found.mean, *found.deviation]
        sides = [1 if found.side is None else found.side, *(found.crop or ())]
        if len(found.mean) != 3 or len(found.deviation) != 3 or 0 in found.deviation:
            raise ValueError("mean and deviation are not of three channels")
        if not all(map(math.isfinite, numbers)) or not all(1 <= side <= LARGEST_SIDE for side in sides):
            raise ValueError(f"numbers that no picture can have: {[*sides, *numbers]}")
    return found


def _preprocessing(processor: Any, source: str) -> Preprocessing:
    if processor.do_resize and int(processor.resample) not in FILTERS:
        raise MerError(f"{source}: resample {int(processor.resample)} is none of {', '.join(map(str, FILTERS))}")
    normalise = processor.do_normalize
    return Preprocessing(
        side=_side(dict(processor.size), source) if processor.do_resize else None,
        crop=(int(processor.crop_size["height"]), int(processor.crop_size["width"]))
        if processor.do_center_crop
        else None,
        resample=int(processor.resample or 2),
        scale=float(processor.rescale_factor) if processor.do_rescale else 1.0,
        mean=_channels(processor.image_mean) if normalise else (0.0, 0.0, 0.0),
        deviation=_channels(processor.image_std) if normalise else (1.0, 1.0, 1.0),
    )


def _side(size: dict[str, Any], source: str) -> int:
    """Crops are square, so a shortest edge is both edges."""
    given = {name: int(value) for name, value in size.items() if value is not None}
    if set(given) not in ({"height", "width"}, {"shortest_edge"}) or len(set(given.values())) > 1:
        raise MerError(f"{source}: size {given} is no square, and crops of faces are")
    return next(iter(given.values()))


def _channels(value: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence) else (float(value),) * 3


def _centre(images: Tensor, height: int, width: int) -> Tensor:
    """The middle [n, C, height, width]; zeros around images that are smaller, as transformers' `center_crop` has it."""
    above = max(0, -(-(height - images.shape[2]) // 2))
    left = max(0, -(-(width - images.shape[3]) // 2))
    below = max(0, height - images.shape[2] - above)
    right = max(0, width - images.shape[3] - left)
    if above or left or below or right:
        images = torch.nn.functional.pad(images, (left, right, above, below))
    top, start = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, start : start + width]
