from __future__ import annotations

from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError, DataError
from sciinf.run import engines
from sciinf.run.engines import ENGINES, build_engine, engine_module


def test_an_unknown_kind_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"my.toml: engine.kind = 'functions' is not an engine kind: did you mean 'function'"):
        build_engine({"kind": "functions"}, source="my.toml", base=tmp_path, data={})


@pytest.mark.parametrize("kind", [kind for kind in ENGINES if kind != "cmb"])
def test_every_kind_offers_what_the_runner_asks_for(kind: str) -> None:
    module = engine_module(kind)
    assert callable(module.from_config)
    assert "[engine]" in module.TEMPLATE


def test_an_engines_own_error_gets_the_file_and_the_kind_in_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        @staticmethod
        def from_config(table: dict[str, object], *, base: Path, data: dict[str, Path]) -> None:
            assert table == {"x": 1}
            raise DataError("table.dat: missing")

    monkeypatch.setattr(engines, "engine_module", lambda kind, where="": Failing)
    with pytest.raises(DataError, match=r"^my.toml: \[engine\] kind = 'failing': table.dat: missing$"):
        build_engine({"kind": "failing", "x": 1}, source="my.toml", base=tmp_path, data={})


def test_only_the_kind_that_is_asked_for_is_imported() -> None:
    import subprocess
    import sys

    code = "import sys; from sciinf.run.engines import engine_module; engine_module('function'); print('sciinf.engines.cmb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
