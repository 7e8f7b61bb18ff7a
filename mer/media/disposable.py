"""Whether a packet may be left out: where the container says so and the packet itself agrees."""

from __future__ import annotations

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

SLICES_END, LAYER_REFERENCE_END = 32, 16
"""HEVC's NAL units of types below 32 hold pictures; those below 16 with an even type are not referred to within their
temporal layer (ITU-T H.265, table 7-1)."""


class Disposable:
    """Only HEVC in length-prefixed form (MP4, Matroska) is looked into: other codecs' decoders skip on their own, or
    would cost more to read than is saved. Flags alone are not believed."""

    def __init__(self, context: VideoCodecContext) -> None:
        header = bytes(context.extradata or b"")
        self.prefix = (header[21] & 3) + 1 if context.name == "hevc" and len(header) > 22 and header[0] == 1 else 0

    def __call__(self, packet: Packet) -> bool:
        return bool(self.prefix) and packet.is_disposable and self._is_no_reference(memoryview(packet))

    def _is_no_reference(self, data: memoryview) -> bool:
        at, pictures = 0, 0
        while at + self.prefix < len(data):
            kind = (data[at + self.prefix] >> 1) & 0x3F
            if kind < SLICES_END:
                if kind >= LAYER_REFERENCE_END or kind % 2:
                    return False
                pictures += 1
            at += self.prefix + int.from_bytes(data[at : at + self.prefix], "big")
        return bool(pictures)
