"""The progress line: on a terminal when wanted, else nothing."""

from __future__ import annotations

import io
import sys

import pool_likelihoods as likelihoods
import pytest

from sciinf.samplers.progress import Progress
from sciinf.samplers.sample import sample
from sciinf.samplers.settings import Dynesty, Emcee


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("settings", [Dynesty(n_live=20, walks=5, dlogz=1.0), Emcee(n_walkers=8, n_steps=60)], ids=["dynesty", "emcee"])
def test_a_terminal_shows_what_runs(settings: Dynesty | Emcee, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    quiet = sample(likelihoods.of(likelihoods.gauss), settings, seed=1, progress=False)
    assert terminal.getvalue() == ""
    shown = sample(likelihoods.of(likelihoods.gauss), settings, seed=1, progress=True)
    assert f"FunctionEngine: {settings.kind}" in terminal.getvalue()
    assert "calls" in terminal.getvalue()
    assert shown.content_hash() == quiet.content_hash()


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("title", enabled=True) as progress:
        assert not progress.due
        progress.show("text")
    assert capsys.readouterr() == ("", "")
