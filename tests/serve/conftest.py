"""Bundles to serve and clips to send."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from skimage.data import astronaut

from mer.encoders.asr import voice
from mer.prediction import utterances
from tests.bundles import text_bundle
from tests.serve.serving import face_bundle, serving


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def seeing_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_bundle(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session", params=[True, False], ids=["beside classes", "alone"])
def target_bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a target."""
    return text_bundle(tmp_path_factory.mktemp("targets"), targets=("valence",), classes=request.param)


@pytest.fixture(scope="module")
def running(bundle):
    with serving(bundle) as found:
        yield found


@pytest.fixture
def by_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector that hears a tone as speech."""
    monkeypatch.setattr(utterances, "detector", lambda: ("level", voice.by_level))


@pytest.fixture(scope="session")
def sound() -> bytes:
    """One second of a tone, as WAV."""
    content = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(16000) / 7).astype(np.float32)
    soundfile.write(content, tone, 16000, format="WAV")
    return content.getvalue()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of an astronaut who says nothing."""
    path = tmp_path_factory.mktemp("film") / "astronaut.mp4"
    picture = np.ascontiguousarray(astronaut()[:256, 64:384])
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=16000)
        video.height, video.width, video.pix_fmt = 256, 320, "yuv420p"
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode())
        tone = (0.2 * np.sin(np.arange(16000) / 9)).astype(np.float32)[None]
        tone[:, :4800] = 1e-4
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path
