"""Write and read the corpus' video files: H.264 and AAC in MP4, the same bytes for the same input."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_video(path: Path, frames: NDArray[np.uint8], fps: int, waveform: NDArray[np.float32], rate: int) -> None:
    """Encode RGB frames [T, H, W, 3] and a mono waveform [samples].

    One encoder thread, and no version strings or times in the file: either would change the bytes.
    """
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as file:
        video = file.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "28", "threads": "1"})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        audio = file.add_stream("aac", rate=rate, layout="mono", bit_rate=64000, options={"aac_coder": "fast"})
        for picture in frames:
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
        sound.sample_rate = rate
        file.mux(audio.encode(sound))
        file.mux(audio.encode())


def read_audio(path: Path) -> NDArray[np.float32]:
    """The sound track of a file that `write_video` wrote, [samples], at its own rate."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
