"""face-api.js' expression network from tfjs' weights to ONNX, without its last layer: 256 numbers a face."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import MerError

MANIFEST = "face_expression_model-weights_manifest.json"
MODEL = "model.onnx"
SIZE = 112
MEAN = [122.782 / 255, 117.001 / 255, 104.298 / 255]
"""Of red, green and blue on pixels in 0..1; nothing is divided by a deviation."""
BLOCKS, CONVOLUTIONS, POOL = 4, 4, 7
OPSET, IR_VERSION = 17, 8
KINDS = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "uint16": "<u2"}


def read_tfjs_weights(manifest: Path) -> dict[str, NDArray[np.float32]]:
    """The weights that a tfjs manifest lists, beside it on disk, multiplied out where they are quantised.

    Raises:
        MerError: a file is missing, too short, or of a kind that tfjs does not write.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    try:
        groups = json.loads(manifest.read_text(encoding="utf-8"))
        for group in groups:
            # Names alone: a manifest must not reach out of its folder.
            content = b"".join((manifest.parent / Path(path).name).read_bytes() for path in group["paths"])
            at = 0
            for entry in group["weights"]:
                weights[entry["name"]], at = _weight(entry, content, at)
            if at != len(content):
                raise ValueError(f"{len(content)} bytes of weights, {at} in the list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MerError(f"{manifest}: not a readable tfjs manifest: {error}") from None
    return weights


def convert_face_expression(source: Path, out: Path) -> None:
    """Write model.onnx, which says of itself how pixels are prepared: see `mer.encoders.face.onnx`.

    Raises:
        MerError: the weights are another network's, or the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MerError("face-expression: its conversion needs the package onnx: pip install 'mer[onnx]'") from None
    weights = read_tfjs_weights(source / MANIFEST)
    try:
        model = _model(weights)
        onnx.checker.check_model(model)
    except KeyError as error:
        raise MerError(f"{source / MANIFEST}: another network's weights: no {error}") from None
    (out / MODEL).write_bytes(model.SerializeToString(deterministic=True))


def _weight(entry: dict[str, Any], content: bytes, at: int) -> tuple[NDArray[np.float32], int]:
    quantisation = entry.get("quantization")
    kind = np.dtype(KINDS[quantisation["dtype"] if quantisation else entry["dtype"]])
    count = int(np.prod(entry["shape"], dtype=np.int64))
    values = np.frombuffer(content, kind, count, at).reshape(entry["shape"]).astype(np.float32)
    if quantisation:
        values = (values * np.float64(quantisation["scale"]) + quantisation["min"]).astype(np.float32)
    return values, at + count * kind.itemsize


def _model(weights: dict[str, NDArray[np.float32]]) -> Any:
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    x = "pixels"
    for block in range(BLOCKS):
        x = graph.block(x, f"dense{block}")
    x = graph.add("AveragePool", [x], kernel_shape=[POOL, POOL], strides=[2, 2])
    graph.nodes.append(helper.make_node("Flatten", [x], ["embedding"]))
    width = len(weights[f"dense{BLOCKS - 1}/conv0/bias"])
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "face_expression",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mer",
    )
    helper.set_model_props(model, {"image_mean": json.dumps(MEAN), "image_std": json.dumps([1.0, 1.0, 1.0])})
    return model


class _Graph:
    """Nodes and weights of the network under construction; each method returns the name of its output."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def block(self, x: str, name: str) -> str:
        """A dense block: each convolution sees the sum of all that came before it, rectified."""
        outputs = [self.add("Relu", [self._convolution(x, f"{name}/conv0", stride=2)])]
        total = outputs[0]
        for number in range(1, CONVOLUTIONS):
            total = outputs[0] if number == 1 else self.add("Relu", [self._sum(outputs)])
            outputs.append(self._convolution(total, f"{name}/conv{number}", stride=1))
        return self.add("Relu", [self._sum(outputs)])

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _sum(self, names: list[str]) -> str:
        return self.add("Sum", names)

    def _convolution(self, x: str, name: str, stride: int) -> str:
        """A plain convolution, or one for each channel followed by one that mixes the channels."""
        # tfjs pads 'same': where the surplus is odd, the last row and column get it.
        same = {"auto_pad": "SAME_UPPER", "strides": [stride, stride]}
        bias = self._weight(f"{name}/bias", self._weights[f"{name}/bias"])
        if f"{name}/filters" in self._weights:
            filters = self._weights[f"{name}/filters"].transpose(3, 2, 0, 1)
            return self.add("Conv", [x, self._weight(f"{name}/filters", filters), bias], **same)
        each = self._weights[f"{name}/depthwise_filter"].transpose(2, 3, 0, 1)  # [C, 1, 3, 3]
        mixed = self._weights[f"{name}/pointwise_filter"].transpose(3, 2, 0, 1)  # [out, C, 1, 1]
        x = self.add("Conv", [x, self._weight(f"{name}/depthwise_filter", each)], group=len(each), **same)
        return self.add("Conv", [x, self._weight(f"{name}/pointwise_filter", mixed), bias])

    def _weight(self, name: str, values: NDArray[np.float32]) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
