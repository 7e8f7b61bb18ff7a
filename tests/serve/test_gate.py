"""Who may ask: this machine's user, or who has the token; no other site's page."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mer import cli
from mer.serve.gate import is_local
from mer.serve.listen import address
from tests.serve.serving import serving

TOKEN = "a token of the test"


@pytest.fixture(scope="module")
def guarded(bundle):
    with serving(bundle, token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("path", ["/api/about", "/metrics"])
@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer ü"])
def test_without_the_token_nothing_is_told(guarded, path, given):
    headers = {} if given is None else {"Authorization": given}
    reply = guarded.ask(path, {name: value.encode("latin-1") for name, value in headers.items()})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert b"happy" not in reply.body


def test_with_the_token_all_is_open_under_any_name(guarded, sound):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "mer.example"}
    assert guarded.ask("/api/about", headers).json["classes"] == ["happy", "sad", "angry"]
    assert guarded.predict(sound, headers, transcript="太好了").status == 200
    assert guarded.predict(sound, transcript="太好了").status == 401


def test_health_and_the_page_need_no_token(guarded):
    assert guarded.ask("/health").status == 200
    assert guarded.ask("/").status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"])
def test_a_name_that_was_bent_to_this_machine_is_refused(running, host):
    assert running.ask("/api/about", {"Host": host}).json["error"] == "foreign_site"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:1234", "127.0.0.1:8000", "[::1]:8000"])
def test_local_names_are_taken(running, host):
    assert running.ask("/api/about", {"Host": host}).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_a_page_of_another_site_is_refused(running, sound, origin):
    assert running.predict(sound, {"Origin": origin}, transcript="太好了").status == 403


def test_its_own_page_is_not(running, sound):
    headers = {"Origin": running.address, "Host": running.address.removeprefix("http://")}
    assert running.predict(sound, headers, transcript="太好了").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_addresses_of_this_machine(host):
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "", "localhost.evil"])
def test_addresses_that_others_reach(host):
    assert not is_local(host)


def test_a_token_stands_where_browsers_send_it_to_nobody():
    assert address("0.0.0.0", 80, "t") == "http://0.0.0.0:80/#token=t"
    assert address("::1", 80, None) == "http://[::1]:80/"


def mer(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mer.cli", "serve", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["BUNDLE", "--queue", "-1"], "--queue -1: must be at least 0"),
        (["BUNDLE", "--seconds", "nan"], "--seconds nan: must be at least"),
        (["BUNDLE", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_line(bundle, words, said, monkeypatch):
    """In this process, as another takes seconds to begin."""
    monkeypatch.setattr(sys, "argv", ["mer", "serve", *[str(bundle) if word == "BUNDLE" else word for word in words]])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert str(ended.value).startswith("error: ")
    assert said in str(ended.value)
    assert "\n" not in str(ended.value)


def test_a_mistake_is_one_line_of_a_process():
    done = mer("missing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line(bundle, running):
    done = mer(str(bundle), "--port", str(running.port))
    assert done.returncode == 1
    assert f"--port {running.port}: Address already in use" in done.stderr
