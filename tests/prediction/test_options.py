"""Options of `mer predict` that would say nothing where they stand are refused, before a bundle is read."""

import pytest
from typer.testing import CliRunner

from mer.cli import app


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--window", "2"], "--window: .* it goes with --timeline"),
        (["--smooth", "5"], "--smooth: .* it goes with --timeline"),
        (["--timeline", "--transcript", "yes"], "--transcript: .* it goes without --timeline"),
        (["--timeline", "--faces", "all"], "--faces: .* it goes without --timeline"),
        (["--timeline", "--workers", "2"], "--workers: .* it goes without --timeline"),
        (["--faces", "all", "--workers", "2"], "--workers: .* it goes without --faces"),
        (["--faces", "some"], "--faces some: `all` is what it takes"),
    ],
)
def test_refused(options, told):
    done = CliRunner().invoke(app, ["predict", "film.mp4", "--bundle", "nowhere", *options])
    assert done.exit_code != 0
    with pytest.raises(Exception, match=told):
        raise done.exception


@pytest.mark.parametrize("options", [[], ["--timeline"], ["--timeline", "--window", "2", "--smooth", "0"]])
def test_taken(options):
    done = CliRunner().invoke(app, ["predict", "film.mp4", "--bundle", "nowhere", *options])
    assert "nowhere" in str(done.exception)
