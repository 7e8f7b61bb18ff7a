"""The API predicts as the Python door does, says in one line what is wrong, and keeps nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mer import load_bundle
from mer.prediction.source import Source
from mer.serve import listen
from mer.serve.answer import display_name
from mer.serve.app import API
from mer.serve.limits import Limits
from tests.bundles import TEXTS
from tests.serve.serving import serving, settled

HAPPY = TEXTS["happy"]


def test_the_answer_is_what_the_python_door_gives(running, bundle, sound, tmp_path):
    (tmp_path / "clip.wav").write_bytes(sound)
    [expected] = load_bundle(bundle).predict([tmp_path / "clip.wav"], transcripts=[HAPPY])
    reply = running.predict(sound, name="clip.wav", transcript=HAPPY)
    assert reply.status == 200
    found = reply.json
    assert (found["name"], found["label"]) == ("clip.wav", "happy")
    assert found["probabilities"] == {name: round(p, 6) for name, p in expected.probabilities.items()}
    assert set(found["by_modality"]) == {"text"}
    assert (found["transcript"], found["transcript_source"], found["seconds"]) == (HAPPY, "given", 1.0)
    assert len(found["pictures"]["peaks"]) > 500
    assert reply.headers["cache-control"] == "no-store"
    assert not running.left()


def test_targets_are_answered_beside_classes_and_alone(target_bundle, sound, tmp_path):
    (tmp_path / "clip.wav").write_bytes(sound)
    door = load_bundle(target_bundle)
    [expected] = door.predict([tmp_path / "clip.wav"], transcripts=[HAPPY])
    with serving(target_bundle) as running:
        reply = running.predict(sound, transcript=HAPPY)
        assert reply.status == 200, reply.body
        assert reply.json["targets"] == {"valence": expected.targets["valence"].as_dict()}
        assert (reply.json["label"], bool(reply.json["probabilities"])) == (expected.label, bool(door.classes))
        about = running.ask("/api/about").json
        assert (about["classes"], about["targets"]) == (list(door.classes), ["valence"])
        counted = running.ask("/metrics").body.decode()
        assert ('mer_predictions_total{class="happy"} 1' in counted) == bool(door.classes)
        nothing = running.predict(sound)
        assert (nothing.status, nothing.json["error"]) == (422, "nothing_to_go_by")


def test_pictures_may_be_left_out(running, sound):
    assert running.predict(sound, transcript=HAPPY, pictures="false").json["pictures"] is None


def test_a_timeline_has_a_row_an_utterance(seeing_bundle, film, by_level):
    from mer.prediction.timeline import timeline

    [row] = timeline(load_bundle(seeing_bundle), Source("film", str(film)))
    with serving(seeing_bundle) as running:
        [found] = running.predict(film.read_bytes(), timeline="true").json["timeline"]
        assert (found["start"], found["end"]) == (round(row.start, 3), round(row.end, 3))
        assert found["label"] == row.label
        assert found["probabilities"] == {name: round(p, 6) for name, p in row.smoothed.items()}
        assert running.predict(film.read_bytes()).json["timeline"] is None
        assert not running.left()


def test_faces_come_with_the_answer(seeing_bundle, film):
    with serving(seeing_bundle) as running:
        found = running.predict(film.read_bytes(), transcript=HAPPY).json
        assert found["modalities"] == {"face": True, "text": True}
        assert set(found["by_modality"]) == {"face", "text"}
        assert [face["seconds"] for face in found["pictures"]["faces"]] == sorted(
            face["seconds"] for face in found["pictures"]["faces"]
        )
        assert len(found["pictures"]["faces"]) == 3
        assert found["pictures"]["frame"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "empty_file"),
        (b"no media at all", "not_media"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "not_media"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not_media"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "not_media"),
    ],
)
def test_what_is_no_media_is_one_line(running, content, error):
    reply = running.predict(content, name="clip.mp4", transcript=HAPPY)
    assert reply.status == 422
    assert reply.json["error"] == error
    assert "\n" not in reply.json["message"]
    assert str(running.folder) not in reply.body.decode()
    assert not running.left()


def test_a_clip_with_nothing_to_go_by_says_so(running, sound):
    reply = running.predict(sound)
    assert (reply.status, reply.json["error"]) == (422, "nothing_to_go_by")


def test_a_clip_above_the_length_is_refused(bundle, sound):
    with serving(bundle, Limits(seconds=0.5)) as running:
        reply = running.predict(sound, transcript=HAPPY)
        assert (reply.status, reply.json["error"]) == (422, "too_long")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\clip.mp4", "clip.mp4"),
        ("/", "clip"),
        ("..", "clip"),
        ("", "clip"),
        ("a/b/", "b"),
        ("x\0y\n\x1b[31m.mp4", "xy[31m.mp4"),
        ("\u202egpj.exe", "gpj.exe"),
        ("片段.mp4", "片段.mp4"),
        ("n" * 4000, "n" * 120),
    ],
)
def test_names_are_shown_and_make_no_path(running, sound, name, shown):
    assert display_name(name) == shown
    before = sorted(Path(running.folder).parent.iterdir())
    assert running.predict(sound, name=name, transcript=HAPPY).json["name"] == shown
    assert sorted(Path(running.folder).parent.iterdir()) == before
    assert not running.left()


def test_two_gigabytes_are_refused_before_they_are_sent(running):
    connection = running.connect()
    connection.putrequest("POST", API)
    connection.putheader("Content-Length", str(2 * 2**30))
    connection.endheaders()
    began = time.monotonic()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"] == "too_large"
    assert time.monotonic() - began < 5
    assert not running.left()
    assert running.idle()


@pytest.mark.parametrize("announced", [None, "1"], ids=["chunked", "chunked with a false length"])
def test_an_upload_without_a_length_is_cut_while_it_comes(bundle, announced):
    with serving(bundle, Limits(megabytes=1)) as running, socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(f"POST {API} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
        sent = 0
        try:
            for _ in range(2000):
                line.sendall(chunk)
                sent += 0x10000
        except OSError:
            pass
        assert sent < 2000 * 0x10000
        assert not running.left()
        assert running.idle()
        assert settled(lambda: running.server.counts.faults["too_large"], bool) == 1


def test_a_length_that_is_no_number_is_refused(running):
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(f"POST {API} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 400")


def test_a_slow_upload_ends(bundle):
    with (
        serving(bundle, Limits(upload_seconds=1)) as running,
        socket.create_connection(("127.0.0.1", running.port)) as line,
    ):
        line.sendall(f"POST {API} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc".encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 408")
        assert not running.left()
        assert running.idle()


HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n" + HEAD], ids=["nothing", "a part", "a second one in part"])
def test_connections_whose_request_does_not_come_are_ended(bundle, monkeypatch, sent):
    """More of them than the server takes at once, each saying a little more all the time, shut nobody out for long."""
    monkeypatch.setattr(listen, "HEAD_SECONDS", 1)
    monkeypatch.setattr(listen, "BACKLOG", 8)
    with serving(bundle, Limits(at_once=1, queue=1)) as running:
        lines = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(12)]
        for line in lines:
            line.sendall(sent)
        end = time.monotonic() + 30
        while lines and time.monotonic() < end:
            lines = [line for line in lines if not ended(line, b"X-More: 1\r\n" if sent else b"")]
        assert not lines
        assert running.ask("/health").status == 200


def ended(line: socket.socket, more: bytes) -> bool:
    """Whether a connection is at its end; else `more` is said on it, and what is answered is read."""
    line.settimeout(0.05)
    try:
        line.sendall(more)
        over = line.recv(1000) == b""
    except TimeoutError:
        return False
    except OSError:
        over = True
    if over:
        line.close()
    return over


def test_a_client_that_goes_away_while_it_sends_leaves_nothing(running):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", running.port)) as line:
            line.sendall(f"POST {API} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc".encode())
            assert settled(lambda: running.server.desk.admitted.total(), bool) == 1
        assert running.idle()
        assert not running.left()


def test_a_client_that_goes_away_while_its_clip_is_decoded_frees_its_place(bundle, sound, monkeypatch):
    from mer.media.sandbox import Sandbox

    decoding = threading.Event()

    def never(self, path):
        decoding.set()
        while not self._closed:
            time.sleep(0.02)
        raise AssertionError("given up")

    with serving(bundle) as running:
        own = Sandbox.decode
        monkeypatch.setattr(Sandbox, "decode", never)
        with socket.create_connection(("127.0.0.1", running.port)) as line:
            head = f"POST {API} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sound)}\r\n\r\n"
            line.sendall(head.encode() + sound)
            assert decoding.wait(20)
            assert len(running.server.spool.files()) == 1
        assert running.idle()
        assert not running.left()
        monkeypatch.setattr(Sandbox, "decode", own)
        assert running.predict(sound, transcript=HAPPY).status == 200


@pytest.fixture
def full(bundle, monkeypatch):
    """A server whose only place is taken until `release` is set."""
    from mer.media.sandbox import Sandbox

    release, decode = threading.Event(), Sandbox.decode
    monkeypatch.setattr(Sandbox, "decode", lambda self, path: release.wait(30) and decode(self, path))
    with serving(bundle, Limits(at_once=1, queue=1, per_client=2)) as running:
        yield running, release


def test_a_full_queue_says_when_to_come_again(full, sound):
    running, release = full
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(running.predict, sound, transcript=HAPPY) for _ in range(2)]
        assert settled(lambda: running.server.desk.admitted.total(), lambda n: n == 2) == 2
        reply = running.predict(sound, transcript=HAPPY)
        assert (reply.status, reply.json["error"]) == (503, "busy")
        assert int(reply.headers["retry-after"]) > 0
        health = running.ask("/health")
        assert (health.status, health.headers["retry-after"]) == (503, "2")
        gauges = running.ask("/metrics").body.decode()
        assert "mer_working 1\n" in gauges
        assert "mer_waiting 1\n" in gauges
        release.set()
        assert [one.result().status for one in held] == [200, 200]
    assert running.ask("/health").json == {"status": "ok"}


def test_one_client_may_not_take_all_places(bundle, sound, monkeypatch):
    from mer.media.sandbox import Sandbox

    release, decode = threading.Event(), Sandbox.decode
    monkeypatch.setattr(Sandbox, "decode", lambda self, path: release.wait(30) and decode(self, path))
    with serving(bundle, Limits(at_once=1, queue=5, per_client=1)) as running, ThreadPoolExecutor(1) as pool:
        held = pool.submit(running.predict, sound, transcript=HAPPY)
        assert settled(lambda: running.server.desk.admitted.total(), bool) == 1
        reply = running.predict(sound, transcript=HAPPY)
        assert (reply.status, reply.json["error"]) == (429, "too_many_files")
        assert int(reply.headers["retry-after"]) > 0
        release.set()
        assert held.result().status == 200


def test_the_spool_is_gone_with_its_server_and_so_is_what_a_killed_one_left(bundle, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "mer-serve-killed"
    killed.mkdir()
    (killed / "lock").touch()
    (killed / "upload").write_bytes(b"private")
    other = tmp_path / "mer-serve-of-somebody"
    other.mkdir()
    with serving(bundle) as running:
        assert not killed.exists()
        assert other.exists()
        assert running.folder.parent == tmp_path
        assert running.folder.stat().st_mode & 0o077 == 0
        with serving(bundle) as second:  # leaves the living one alone
            assert running.folder.exists()
            assert second.folder != running.folder
    assert sorted(tmp_path.iterdir()) == [other]


def test_metrics_are_counted(running, sound):
    before = running.server.counts.labels["happy"]
    running.predict(sound, transcript=HAPPY)
    text = running.ask("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f'mer_predictions_total{{class="happy"}} {before + 1}\n' in text.body.decode()
    for line in text.body.decode().splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"(,le="[^"]*")?\})? [0-9.e+-]+', line), (
            line
        )


def test_the_openapi_description_names_every_answer(running):
    document = running.ask("/openapi.json").json
    post = document["paths"]["/api/predict"]["post"]
    assert set(post["responses"]) >= {"200", "401", "408", "413", "415", "422", "429", "503"}
    assert post["requestBody"]["content"]["application/octet-stream"]["schema"]["format"] == "binary"
    assert {one["name"] for one in post["parameters"]} == {"name", "transcript", "group", "pictures", "timeline"}
    assert {"/health", "/metrics", "/api/about", "/api/predict"} == set(document["paths"])


def test_a_form_is_told_how_to_send_a_file(running):
    reply = running.predict(b"--x", {"Content-Type": "multipart/form-data; boundary=x"})
    assert (reply.status, reply.json["error"]) == (415, "not_a_file")


def test_a_query_that_is_too_long_is_refused(running, sound):
    reply = running.predict(sound, transcript="x" * 6000)
    assert (reply.status, reply.json["error"]) == (400, "bad_request")
    assert "transcript" in reply.json["message"]


def test_a_fault_of_our_own_tells_nothing_of_the_inside(bundle, sound, monkeypatch):
    from mer.prediction.predictor import Predictor

    def broken(*_):
        raise RuntimeError("secret")

    with serving(bundle) as running:
        monkeypatch.setattr(Predictor, "predict_raw", broken)
        reply = running.predict(sound, transcript=HAPPY)
        assert (reply.status, reply.json["error"]) == (500, "internal")
        assert b"secret" not in reply.body
        monkeypatch.undo()
        assert running.predict(sound, transcript=HAPPY).status == 200
        assert not running.left()
