import json

import numpy as np
import pytest

from mer.encoders.face.load import load_face_encoder
from mer.errors import MerError
from mer.params import FaceParams, OnnxParams

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
from onnx import TensorProto, helper  # noqa: E402

CROPS = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def network(path, shape=("n", 3, 16, 16), *, inputs=1, metadata=None, outputs=("mean",)):
    """A network whose output 'mean' is the mean of each channel; further outputs are its input, untouched."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3] if shape[1] == 3 else [1, 2])
    nodes = [helper.make_node("ReduceMean", ["image0", "axes"], ["mean"], keepdims=0)]
    nodes += [helper.make_node("Identity", ["image0"], [name]) for name in outputs if name != "mean"]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(f"image{i}", TensorProto.FLOAT, shape) for i in range(inputs)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {name: json.dumps(value) for name, value in (metadata or {}).items()})
    onnx.save(model, path)
    return FaceParams(encoder=str(path), pooling="mean", frames=True)


def vectors(params, crops=CROPS):
    return load_face_encoder(params).encode([crops])[0].values.astype(np.float32)


EXPECTED = CROPS.mean(axis=(1, 2)) / 255


@pytest.mark.parametrize(
    "shape", [("n", 3, 16, 16), (1, 3, 16, 16), (4, 3, 16, 16), ("n", 16, 16, 3), (None, 3, 16, "w")]
)
def test_layout_batch_and_size_are_read_from_the_model(tmp_path, shape):
    assert np.abs(vectors(network(tmp_path / "net.onnx", shape)) - EXPECTED).max() < 1e-3


def test_mean_deviation_and_channel_order_come_from_params_or_metadata(tmp_path):
    mean, deviation = (0.5, 0.4, 0.3), (0.5, 0.25, 0.125)
    params = network(tmp_path / "net.onnx", metadata={"image_mean": mean, "image_std": deviation})
    assert np.abs(vectors(params) - (EXPECTED - mean) / deviation).max() < 2e-3
    given = params.model_copy(update={"onnx": OnnxParams(mean=(0, 0, 0), deviation=(1, 1, 1), channels="bgr")})
    assert np.abs(vectors(given) - EXPECTED[:, ::-1]).max() < 1e-3
    assert load_face_encoder(given).fingerprint != load_face_encoder(params).fingerprint


def test_crops_are_resized_to_the_models_input(tmp_path):
    params = network(tmp_path / "net.onnx", ("n", 3, "h", "w"))
    with pytest.raises(MerError, match=r"face\.onnx\.size: .*any size; say which"):
        load_face_encoder(params)
    doubled = CROPS.repeat(2, axis=1).repeat(2, axis=2)
    sized = params.model_copy(update={"onnx": OnnxParams(size=16)})
    assert np.abs(vectors(sized, doubled) - EXPECTED).max() < 0.02


def test_the_output_is_named_where_there_are_several(tmp_path):
    params = network(tmp_path / "net.onnx", outputs=("mean", "picture"))
    with pytest.raises(MerError, match=r"face\.onnx\.output: .* 'mean', 'picture'; name one"):
        load_face_encoder(params)
    assert vectors(params.model_copy(update={"onnx": OnnxParams(output="mean")})).shape == (5, 3)
    with pytest.raises(MerError, match=r"face\.onnx\.output: 'picture' .* not one vector a crop"):
        load_face_encoder(params.model_copy(update={"onnx": OnnxParams(output="picture")}))


def test_wrong_networks_are_one_clear_line(tmp_path):
    with pytest.raises(MerError, match=r"has 2 inputs \('image0', 'image1'\)"):
        load_face_encoder(network(tmp_path / "two.onnx", inputs=2))
    with pytest.raises(MerError, match=r"takes input of shape \['n', 5, 16, 16\]"):
        load_face_encoder(network(tmp_path / "five.onnx", ("n", 5, 16, 16)))
    wide = network(tmp_path / "sixteen.onnx").model_copy(update={"onnx": OnnxParams(size=32)})
    with pytest.raises(MerError, match="not squares of 32"):
        load_face_encoder(wide)
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(MerError, match="not a readable ONNX model"):
        load_face_encoder(FaceParams(encoder=str(tmp_path / "text.onnx")))
