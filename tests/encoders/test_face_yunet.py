"""YuNet's path on a network of its form whose 'faces' are bright cells of 32 pixels, eyes a little tilted."""

import numpy as np
import pytest

from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.yunet import YuNetDetector
from mer.params import CropParams

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

EYES = [0.75, 0.4, 0.25, 0.3]  # x, y of the right eye in the image, then of the left, from the cell's corner


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_cells(tmp_path_factory.mktemp("yunet") / "cells.onnx")


def write_cells(path):
    nodes, weights, outputs = [], [], []

    def output(name, stride, channels, brightness, constant):
        kernel = np.full((channels, 3, stride, stride), brightness / (3 * stride * stride * 255), np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}_w"))
        weights.append(numpy_helper.from_array(np.array(constant, np.float32), f"{name}_b"))
        shape = f"{name}_s"
        weights.append(numpy_helper.from_array(np.array([1, -1, channels]), shape))
        nodes.append(
            helper.make_node("Conv", ["input", f"{name}_w", f"{name}_b"], [f"{name}_c"], strides=[stride, stride])
        )
        nodes.append(helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], perm=[0, 2, 3, 1]))
        nodes.append(helper.make_node("Reshape", [f"{name}_t", shape], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, channels]))

    for stride in (8, 16, 32):
        output(f"cls_{stride}", stride, 1, 1.0 if stride == 32 else 0.0, [0.0])
        output(f"obj_{stride}", stride, 1, 0.0, [1.0])
        output(f"bbox_{stride}", stride, 4, 0.0, [0.5, 0.5, 0.0, 0.0])
        output(f"kps_{stride}", stride, 10, 0.0, EYES + [0.5] * 6)
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph(nodes, "cells", [image], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return str(path)


def picture(cells, side=200):
    image = np.zeros((side, side, 3), np.uint8)
    for x, y in cells:
        image[32 * y : 32 * y + 32, 32 * x : 32 * x + 32] = 255
    return image


def test_boxes_and_eyes_are_in_pixels_of_the_image(model):
    large = picture([(2, 1)]).repeat(2, axis=0).repeat(2, axis=1)
    (found,) = YuNetDetector(model).detect(large, 0.1)
    assert np.allclose(found.box, [128, 64, 192, 128], atol=0.5)
    assert np.allclose(found.eyes, [[144, 83.2], [176, 89.6]], atol=0.5)  # the left one first
    assert found.score == pytest.approx(1, abs=0.01)


def test_all_faces_are_found_and_none_in_a_black_or_tiny_image(model):
    detector = YuNetDetector(model)
    assert [face.box[0] for face in detector.detect(picture([(4, 0), (0, 0), (2, 3)]), 0.1)] == [0, 64, 128]
    assert detector.detect(picture([]), 0.1) == []
    assert detector.detect(np.full((1, 1, 3), 255, np.uint8), 0.1) == []


def test_crops_are_levelled_by_the_eyes_and_the_fingerprint_follows_the_detector(model):
    params = CropParams(detector="yunet", detector_model=model)
    faces = FaceCropper(params).crop([picture([(2, 2)])], [0.0])
    assert faces.detected == 1
    # The right eye lies lower, so levelling raises the right side of the bright cell.
    mask = faces.crops[0, ..., 0] > 128
    top_of = [int(np.argmax(mask[:, column])) for column in (30, 80)]
    assert top_of[0] > top_of[1] + 5
    assert FaceCropper(params).fingerprint != FaceCropper(CropParams()).fingerprint
