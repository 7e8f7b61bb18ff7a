"""A server of a bundle on a thread of the test's process, and a plain client of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from mer import load_bundle
from mer.clips import ClipTable
from mer.encoders.face.cropper import FaceCropper
from mer.encoders.face.load import load_face_encoder
from mer.encoders.text.tfidf import TfidfTextEncoder
from mer.extraction.settings import deciding
from mer.learning.features import build_feature_set
from mer.params import FaceParams, Params, TextParams
from mer.pretraining.pretrain import pretrain
from mer.provenance import save_bundle
from mer.self_training.self_train import self_train
from mer.serve.app import Server, make_app
from mer.serve.limits import Limits
from mer.serve.listen import bind, server_of
from mer.store.manifest import Made, write_manifest
from mer.store.tables import UtteranceTable
from tests.bundles import TEXTS, write_manifests


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A server that listens, and what is inside it."""

    port: int
    server: Server

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        assert self.server.spool is not None
        return self.server.spool.folder

    def left(self) -> list[Path]:
        """Uploads on disk, once those that are being given up have had their time."""
        assert self.server.spool is not None
        return settled(self.server.spool.files, lambda files: not files)

    def idle(self) -> bool:
        """Whether all places are free, once those that are being given up have had their time."""
        return not settled(lambda: self.server.desk.admitted.total(), lambda admitted: not admitted)

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: Any = None) -> Reply:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def predict(self, content: Any, headers: dict[str, str] | None = None, **query: str) -> Reply:
        return self.ask(f"/api/predict?{urlencode(query)}", headers, "POST", content)


def settled(look: Any, good: Any, seconds: float = 20) -> Any:
    """What `look` gives, as soon as it is good or the time is over."""
    end = time.monotonic() + seconds
    while not good(found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@contextmanager
def serving(bundle: Path, limits: Limits = Limits(at_once=1), token: str | None = None) -> Iterator[Running]:
    """Serve until the block ends."""
    app = make_app(load_bundle(bundle), limits, token)
    taken = bind("127.0.0.1", 0)
    server = server_of(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
    thread.start()
    try:
        assert settled(lambda: server.started, bool)
        yield Running(taken.getsockname()[1], app.state.server)
    finally:
        server.should_exit = True
        thread.join(30)
        taken.close()
    assert not thread.is_alive()


def face_bundle(folder: Path) -> Path:
    """Train and save `folder/bundle` on text and faces; the faces are noise."""
    params = Params.model_validate(
        {
            "decode": {"frames": 3},
            "model": {"modalities": ["face", "text"], "width": 8, "heads": 2, "normalise": ["corpus"]},
            "pretrain": {"epochs": 1},
            "self_train": {"rounds": 0, "steps": 60, "seeds": 1, "learning_rate": 0.01},
            "views": {"face": {"modality": "face"}, "text": {"modality": "text", "dimensions": 6}},
        }
    )
    labels = [name for name in TEXTS for _ in range(9)]
    texts = [TEXTS[label] for label in labels]
    view, face = params.views["text"], params.views["face"]
    assert isinstance(view, TextParams)
    assert isinstance(face, FaceParams)
    encoder, faces = TfidfTextEncoder.fit(texts, view), load_face_encoder(face)
    encoder.save(folder / "features/text/encoder")
    write_manifests(folder, params, encoder.fingerprint)
    empty: dict[str, list[object]] = {name: [] for name in ("clip_id", "key", "ok", "error", "message")}
    crops = Made("crop_faces", FaceCropper(params.faces).fingerprint, "haar", deciding(params.faces))
    encoded = Made("extract@face", faces.fingerprint, "hog", deciding(face))
    for name, made in {"face_crops": crops, "face": encoded}.items():
        write_manifest(folder / "manifests" / f"{name}.parquet", empty, made)
    clip_ids = [f"clip{i}" for i in range(len(labels))]
    rows = pd.DataFrame({"clip_id": clip_ids, "path": clip_ids, "split": "labeled", "label": labels, "group": None})
    rows = rows.assign(transcript=texts, fold=np.arange(len(labels)) % 3)
    found = encoder.encode(texts)
    every = np.ones(len(labels), bool)
    noise = np.random.default_rng(0).normal(size=(len(labels), faces.dimensions)).astype(np.float32)
    tables = {
        "face": UtteranceTable(clip_ids, noise, every.astype(np.int32), every),
        "text": UtteranceTable(clip_ids, np.stack([of.embedding for of in found]), every.astype(np.int32), every),
    }
    features = build_feature_set(ClipTable(rows, tuple(TEXTS)), tables)
    trained = self_train(features, pretrain(features, params), params)
    save_bundle(folder / "bundle", trained.bundle, params, folder)
    return folder / "bundle"
