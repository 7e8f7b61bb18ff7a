"""Where tensors are computed with, and in which precision."""

import pytest
import torch

from mer.compute.device import inference


def test_convolutions_of_encoders_are_not_rounded_on_a_gpu_and_the_callers_setting_comes_back():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with inference():
            assert not torch.backends.cudnn.allow_tf32
            assert torch.is_inference_mode_enabled()
        assert torch.backends.cudnn.allow_tf32
        with pytest.raises(ValueError, match="within"), inference():
            raise ValueError("within")
        assert torch.backends.cudnn.allow_tf32
        assert not torch.is_inference_mode_enabled()
    finally:
        torch.backends.cudnn.allow_tf32 = before
