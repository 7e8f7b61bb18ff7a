"""Proof that a forward pass reads every weight it was given: names used against names there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mer.errors import MerError, first_few

VIEWS = frozenset(
    {
        *("detach", "alias", "view", "_unsafe_view", "reshape", "t", "transpose", "permute", "slice", "select"),
        *(
            "unsqueeze",
            "squeeze",
            "expand",
            "split",
            "split_with_sizes",
            "unbind",
            "as_strided",
            "unfold",
            "lift_fresh",
        ),
    }
)
"""Operations that only look at a tensor another way: no number of it has been used yet."""
OTHER_INPUTS = re.compile(
    r"(^|\.)(pooler|mask_emb|mask_token|contact_head|lang_embeddings|seg_embed|r_s_bias|adapter_modules|experts|"
    r"(key|query|value)_global|(e2e|e2w|w2e)_query|xpath_embeddings)(\.|$)"
)
"""Parts of models that a plain text or picture does not reach: training's mask, other languages, segments, entities,
Longformer's global tokens; of a mixture, the experts that the probe is not sent to; and poolers, whose output is not
among the features."""


class WeightReads(TorchDispatchMode):
    """Watches which of some weights the operations run inside the `with` block compute with.

    >>> import torch
    >>> used, unused = torch.ones(2), torch.ones(3)
    >>> with WeightReads({"used": used, "unused": unused}) as reads:
    ...     _ = (used.view(1, 2) * 2).sum()
    >>> reads.unread()
    ['unused']
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._weights = {name: tensor for name, tensor in weights.items() if tensor.numel()}
        """Kept alive: freed memory would be given to other tensors, which would then pass for these."""
        self._ends: dict[int, int] = {}
        self._names: dict[int, list[str]] = {}
        for name, tensor in self._weights.items():  # tied weights begin at the same address
            start = tensor.data_ptr()
            self._names.setdefault(start, []).append(name)
            self._ends[start] = max(self._ends.get(start, 0), start + tensor.numel() * tensor.element_size())
        self._starts = sorted(self._names)
        self._read: set[str] = set()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in VIEWS:
            for tensor in _tensors([*args, *(kwargs or {}).values()]):
                self._note(tensor)
        return func(*args, **(kwargs or {}))

    def unread(self) -> list[str]:
        """Names of the weights that nothing was computed with, sorted; empty tensors have nothing to read."""
        return sorted(self._weights.keys() - self._read)

    def _note(self, tensor: Tensor) -> None:
        if tensor.is_meta or not tensor.numel():
            return
        try:
            address = tensor.data_ptr()
        except RuntimeError:  # oneDNN's packed forms have none; what they were made of has been noted
            return
        place = bisect_right(self._starts, address) - 1
        if place >= 0 and address < self._ends[self._starts[place]]:
            self._read.update(self._names[self._starts[place]])


def prove_all_read(model: nn.Module, forward: Callable[[], object], where: str) -> None:
    """Run `forward` once, and see that it computes with every weight of `model` that could be part of features.

    Raises:
        MerError: it does not; the line begins with `where` and names the first such weights.
    """
    weights = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and tensor.device.type != "meta" and not OTHER_INPUTS.search(name)
    }
    with WeightReads(weights) as reads:
        forward()
    if unread := reads.unread():
        raise MerError(
            f"{where}: the forward pass does not read {len(unread)} of the weights, so the features would be others "
            f"than the model's: {first_few(unread)}"
        )


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
