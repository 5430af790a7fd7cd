"""Mutated configs: whatever a file holds, `sciinf run` gets as far as the sampler or ends in an error of the package, soon.

A case is a number: its start, its mutations and its text follow from it alone. To look at one: ``mutated(123, starts())``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import random
import re
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from sciinf.core.errors import SciinfError, SciinfWarning
from sciinf.core.joint_priors import JOINT_PRIORS
from sciinf.core.priors import PRIORS
from sciinf.engines.cmb import presets
from sciinf.engines.cmb.simulate import write_lookalike
from sciinf.run.config import load_config
from sciinf.run.engines import ENGINES, template
from sciinf.run.runner import RunOptions, output_of, run
from sciinf.samplers import sample
from sciinf.samplers.session import Resources
from sciinf.samplers.settings import Dynesty, Emcee, settings_from

_LOG = logging.getLogger(__name__)
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SECONDS = 1.0  # of processor time, for one file

KINDS = {
    "uniform": "low = 0.0\nhigh = 2.0",
    "log_uniform": "low = 0.1\nhigh = 10.0",
    "normal": "mean = 0.0\nstd = 1.0",
    "truncated_normal": "mean = 0.0\nstd = 1.0\nlow = -1.0\nhigh = inf",
    "half_normal": "std = 1.0",
    "log_normal": "mu = 0.0\nsigma = 0.5",
    "exponential": "scale = 1.0",
    "gamma": "shape = 2.0\nscale = 1.0",
    "inverse_gamma": "shape = 2.0\nscale = 1.0",
    "beta": "a = 2.0\nb = 3.0",
    "cauchy": "location = 0.0\nscale = 1.0",
    "half_cauchy": "scale = 1.0",
    "student_t": "df = 3.0\nlocation = 0.0\nscale = 1.0",
    "sine": "low = 0.0\nhigh = 3.0",
    "cosine": "",
    "power_law": "alpha = 2.0\nlow = 0.0\nhigh = 1.0\nreflect_at = 2.0",
    "triangular": "low = 0.0\nmode = 1.0\nhigh = 2.0",
    "chi": "df = 3.0\nscale = 1.0",
    "interpolated": "x = [0.0, 1.0, 2.0]\npdf = [0.0, 1.0, 0.0]",
    "empirical": "x = [0.0, 1.0]\npdf = [1.0, 2.0]",
    "fixed": "value = 1.0",
}
JOINTS = {
    "multivariate_normal": 'names = ["m_1", "m_2"]\nmean = [0.0, 1.0]\ncovariance = [[1.0, 0.5], [0.5, 1.0]]',
    "dirichlet": 'names = ["d_1", "d_2"]\nconcentration = [1.0, 2.0, 3.0]',
    "ordered_uniform": 'names = ["o_1", "o_2", "o_3"]\nlow = 0.0\nhigh = 1.0\nsize = 3',
}
NAMES = [*(f"p_{kind}" for kind in KINDS), "m_1", "m_2", "d_1", "d_2", "o_1", "o_2", "o_3", "held"]
MODEL = f"""
from sciinf import FunctionEngine


def log_likelihood(theta):
    return -0.5 * float(theta @ theta)


def engine():
    return FunctionEngine(log_likelihood, {NAMES}, version="1")


def fails():
    raise KeyError("inside")


def leaves():
    raise SystemExit(3)
"""
SAMPLERS = {
    "emcee": "n_walkers = 64\nn_steps = 100\nmax_steps = 1000\nmoves = 'mix'\ntau_multiple = 20\nrtol_tau = 0.02\nburn = 10\nthin = 2\n"
    "start = 'prior'\nengine = 'auto'",
    "dynesty": "n_live = 100\ndynamic = true\nbound = 'multi'\nproposal = 'rwalk'\nwalks = 20\ndlogz = 0.1\nn_effective = 500\n"
    "queue_size = 4\nengine = 'dynesty'",
}


def everything(sampler: str) -> str:
    """A config with every table, every prior and every key of one sampler."""
    labels = 'unit = "m"\nlatex = "p"\nperiodic = false'
    tables = [
        '[run]\nname = "all"\nseed = 3\non_nan = "reject"\nrepeats = 2\noutput = "out/all"',
        '[engine]\nkind = "function"\ntarget = "fuzz_model.py:engine"',
        *(f'[parameters.p_{kind}]\nprior = "{kind}"\n{numbers}\n{labels}' for kind, numbers in KINDS.items()),
        "[parameters.held]\nfixed = 2.5",
        *(f'[priors.{kind}_pair]\nkind = "{kind}"\n{numbers}' for kind, numbers in JOINTS.items()),
        f'[sampler]\nkind = "{sampler}"\n{SAMPLERS[sampler]}',
        "[resources]\nworkers = 2\nthreads = 1\nmax_calls = 1000\nmax_seconds = 10.0\ncheckpoint_every = 5.0",
    ]
    return "\n\n".join(tables) + "\n"


@functools.cache
def starts() -> dict[str, str]:
    """Configs that are mutated, by name."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.toml"))}
    found |= {f"template_{kind}": template(kind) for kind in ENGINES}
    found |= {f"everything_{sampler}": everything(sampler) for sampler in SAMPLERS}
    lookalike = found["planck2018_lcdm"].replace("[sampler]", "[engine.data]\nlookalike = 3\nallow_unknown_data = true\n\n[sampler]")
    folder = found["planck2018_h0"].replace("[parameters.H0]", '[engine.data]\nfolder = "planck"\n\n[parameters.H0]')
    return found | {"lookalike": lookalike, "folder": folder}


# ---------------------------------------------------------------- mutations

Text = str
Mutation = Callable[[Text, random.Random], Text]

LONG = "x" * 20_000
PATHS = [
    "a\\u0000b", "y" * 300, "y" * 5000, "a/" * 3000, "a/" * 300 + "b", "/etc/passwd", "/", "//", "/.", "/proc", "/usr", "~", "~/",
    "~nobody_lives_here/x", "~root", "..", "../../..", "../x", ".", "./", " ", "a b", "C:\\\\x", "file:///a", "\\u202e", "é/ü", "a\\nb",
    "model.py:engine", "/x.py:engine", "~nobody_lives_here/x.py:engine", "a\\u0000.py:engine", "y" * 300 + ".py:engine",
    "a\\u0000:engine", "y" * 300 + ":engine", ":engine", "own_likelihood.py:", "own_likelihood.py:np", "own_likelihood.py:DATA",
    "own_likelihood.py:simulate", "own_likelihood.py:Normal", "own_likelihood.py:sciinf", "own_likelihood:engine", ".json:loads",
    "json:loads", "json:", "builtins:dict", "builtins:type", "__main__:engine", "..:x", "sys:exit", "os.path:join", "math:pi",
    "fuzz_model.py:fails", "fuzz_model.py:leaves", "fuzz_model.py:log_likelihood", "fuzz_model.py:__doc__", "planck", "planck/x",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "-0.0", "1", "-1", "2", "3", "1.0", "0.5", "1e308", "-1e308", "1e400", "5e-324", "nan", "-nan", "inf", "-inf", "1_000",
    "0x10", "0b1", "0o7", str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64), str(10**400),
    str(-(10**400)), "1" * 5000, "0x" + "f" * 5000, "1e-400", "1" * 400 + ".0",
]  # fmt: skip
OTHERS = [
    "true", "false", '""', '" "', '"1"', f'"{LONG}"', "''", '"""a\nb"""', '"\\u2603"', "'é'", '"\\uD800"', "2020-01-01", "2020-02-30",
    "12:00:00", "24:00:00", "2020-01-01T00:00:00Z", "2020-01-01 00:00:00.5+23:59", "[]", "[[]]", "[1, 2]", "[[1.0], [2.0, 3.0]]",
    '["a", 1]', '["a", "b"]', '["a", "a"]', "[nan, inf]", "[1e308, -1e308]", "[5e-324, 0.0]", "[[1e308, 0], [0, 1e308]]",
    "[[1.0, 2.0], [2.0, 1.0]]", "[[1, 0], [0, 5e-324]]", "[[1, 1], [1, 1]]", "[true, false]", "[2020-01-01]", "[{}, {a = 1}]", "{}",
    "{a = 1}", "{a = {b = {c = 1}}}", f"[{10**400}, 1.0]", f"[1.0, {10**30}]", "[" + "0, " * 3000 + "1]", "[" * 40 + "]" * 40,
    "[" * 3000 + "]" * 3000, "{a = " * 40 + "1" + "}" * 40, "{a = " * 2000 + "1" + "}" * 2000, "a", "", "[1,", '"open', "TRUE", "1.", "01",
]  # fmt: skip
LINE = re.compile(r"^(\s*[\w\"'.-]+\s*=\s*)(.+?)(\s*#.*)?$")
HEADER = re.compile(r"^\s*\[.*\]")


@functools.cache
def words() -> list[str]:
    """Every string that stands in a start, and every name of a prior: what another key may take."""
    return sorted({*PRIORS, *JOINT_PRIORS, *NAMES, *(word for text in starts().values() for word in re.findall(r'"([\w.:]+)"', text))})


def value(rng: random.Random) -> str:
    """A TOML value, or something that is none."""
    pool = rng.random()
    if pool < 0.35:
        return rng.choice(NUMBERS)
    if pool < 0.6:
        return rng.choice(OTHERS)
    if pool < 0.8:
        return f'"{rng.choice(words())}"'
    return f'"{rng.choice(PATHS)}"' if pool < 0.95 else repr(rng.uniform(-10.0, 10.0))


def near(name: str, rng: random.Random) -> str:
    """A name like this one."""
    at = rng.randrange(max(1, len(name)))
    return rng.choice(
        [name[:at] + name[at + 1 :], name[:at] + name[at : at + 1] * 2 + name[at + 1 :], name.upper(), name + "_", name[::-1], f'"{name} "',
         f'"{name}é"', f'"{LONG}"', '""', f"{name}.{name}", ".".join(["t"] * rng.choice([3, 40, 300])), '"/a/b"', '"a\\u0000"']
    )  # fmt: skip


def lines_where(lines: list[str], pattern: re.Pattern[str]) -> list[int]:
    return [i for i, line in enumerate(lines) if pattern.match(line)]


def some_line(text: str, rng: random.Random, pattern: re.Pattern[str], change: Callable[[list[str], int], None]) -> str:
    """The text with one of the lines that match changed."""
    lines = text.split("\n")
    if places := lines_where(lines, pattern):
        change(lines, rng.choice(places))
    return "\n".join(lines)


def other_value(text: str, rng: random.Random) -> str:
    def change(lines: list[str], i: int) -> None:
        lines[i] = LINE.sub(lambda match: match[1] + value(rng), lines[i])

    return some_line(text, rng, LINE, change)


def other_number(text: str, rng: random.Random) -> str:
    numbers = list(re.finditer(r"(?<![\w.\"])-?\d+(\.\d+)?(?![\w.\"])", text))
    if not numbers:
        return text
    match = rng.choice(numbers)
    return text[: match.start()] + rng.choice(NUMBERS) + text[match.end() :]


def other_word(text: str, rng: random.Random) -> str:
    strings = list(re.finditer(r'"[^"\n]*"', text))
    if not strings:
        return text
    match = rng.choice(strings)
    new = rng.choice(words()) if rng.random() < 0.6 else rng.choice(PATHS)
    return f'{text[: match.start()]}"{new}"{text[match.end() :]}'


def swapped_values(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    places = lines_where(lines, LINE)
    if len(places) > 1:
        i, j = rng.sample(places, 2)
        one, other = LINE.match(lines[i]), LINE.match(lines[j])
        assert one is not None
        assert other is not None
        lines[i], lines[j] = one[1] + other[2], other[1] + one[2]
    return "\n".join(lines)


def deleted_line(text: str, rng: random.Random) -> str:
    return some_line(text, rng, re.compile(r"\S"), lambda lines, i: lines.__delitem__(i))


def doubled_line(text: str, rng: random.Random) -> str:
    return some_line(text, rng, re.compile(r"\S"), lambda lines, i: lines.insert(i, lines[i]))


def renamed_key(text: str, rng: random.Random) -> str:
    def change(lines: list[str], i: int) -> None:
        key, _, rest = lines[i].partition("=")
        lines[i] = f"{near(key.strip(), rng)} = {rest}"

    return some_line(text, rng, LINE, change)


def renamed_table(text: str, rng: random.Random) -> str:
    def change(lines: list[str], i: int) -> None:
        name = lines[i].strip().strip("[]")
        new = rng.choice([near(name, rng), f"{name}.x", name.rpartition(".")[2], f"parameters.{rng.choice(NAMES)}", "a." * 1000 + "b"])
        lines[i] = rng.choice([f"[{new}]", f"[{new}]", f"[[{new}]]", f"[[{name}]]", f"[{name}", f"{name} = {value(rng)}"])

    return some_line(text, rng, HEADER, change)


def moved_line(text: str, rng: random.Random) -> str:
    def change(lines: list[str], i: int) -> None:
        line = lines.pop(i)
        lines.insert(rng.randrange(len(lines) + 1), line)

    return some_line(text, rng, re.compile(r"\S"), change)


def new_key(text: str, rng: random.Random) -> str:
    known = ["output", "name", "seed", "repeats", "on_nan", "target", "fixed", "prior", "kind", "sample", "theory", "start", "burn", "data"]
    key = rng.choice([*known, "unknown", '"é"', "a.b.c", "mock", "outside", "evaluation", "spectra", "periodic", "unit", "latex"])
    return some_line(text, rng, HEADER, lambda lines, i: lines.insert(i + 1, f"{key} = {value(rng)}"))


def new_output(text: str, rng: random.Random) -> str:
    return re.sub(r"(?m)^output = .*\n", "", text).replace("[run]", f'[run]\noutput = "{rng.choice(PATHS)}"', 1)


def other_path(text: str, rng: random.Random) -> str:
    """Another path where one is read, or where none is and it must not matter."""
    places = list(re.finditer(r'(?m)^(?:# )?(target|folder|unit|latex) = "[^"\n]*"', text))
    if not places:
        return text
    match = rng.choice(places)
    return f'{text[: match.start()]}{match[1]} = "{rng.choice(PATHS)}"{text[match.end() :]}'


def new_table(text: str, rng: random.Random) -> str:
    name = rng.choice(
        ["parameters", "priors", "resources", "engine.mock", "engine.data", "priors.x", "unknown", f"parameters.{rng.choice(NAMES)}"]
    )
    return f"{text}\n[{name}]\n{rng.choice(['prior', 'kind', 'fixed', 'workers', 'seed', 'folder', 'names'])} = {value(rng)}\n"


def uncommented(text: str, rng: random.Random) -> str:
    return some_line(text, rng, re.compile(r"# [\w\[]"), lambda lines, i: lines.__setitem__(i, lines[i][2:]))


TOKENS: list[Mutation] = [
    other_value, other_value, other_value, other_number, other_number, other_word, other_word, swapped_values, deleted_line, doubled_line,
    renamed_key, renamed_table, moved_line, new_key, new_key, new_output, other_path, other_path, new_table, uncommented,
]  # fmt: skip
PIECES = [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\r", b"\r\n", b"\t", b"\x7f", b'"', b"'", b'"""', b"[", b"]",
          b"{", b"=", b".", b"#", b"\\", b"\n", "\u2028".encode(), "\U0001f600".encode()]  # fmt: skip


def of_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, deleted, put in or cut off."""
    at, kind = rng.randrange(len(content) + 1), rng.randrange(6)
    if kind == 0 and at < len(content):
        return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[at + rng.randrange(1, 40) :]
    if kind == 2:
        return content[:at]
    if kind == 3:
        return rng.choice(PIECES) + content
    if kind == 4:
        return content[:at] + rng.randbytes(rng.randrange(1, 5)) + content[at:]
    return content[:at] + rng.choice(PIECES) + content[at:]


class Case(NamedTuple):
    start: str
    steps: tuple[str, ...]
    content: bytes


def mutated(number: int, texts: dict[str, str]) -> Case:
    """Case ``number``: 1 to 4 mutations of one start."""
    rng = random.Random(number)
    start = list(texts)[number % len(texts)]
    text, steps = texts[start], list[str]()
    of_text = [rng.random() < 0.85 for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 2, 3, 3, 4]))]
    for _ in range(sum(of_text)):
        mutation = rng.choice(TOKENS)
        text = mutation(text, rng)
        steps.append(mutation.__name__)
    content = text.encode("utf-8")
    for _ in range(len(of_text) - sum(of_text)):
        content = of_bytes(content, rng)
        steps.append("of_bytes")
    return Case(start, tuple(steps), content)


# ---------------------------------------------------------------- runs


class ReachedError(Exception):
    """The sampler would begin."""


def stopped(*arguments: Any, **options: Any) -> None:
    raise ReachedError


def within(folder: Path, path: Path) -> Path:
    """The same path, but inside ``folder``: its root and every ``..`` taken out."""
    return folder.joinpath(*(part for part in path.parts if part not in (path.anchor, "..")), "run")


class Field:
    """A folder where files are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "project").mkdir()
        shutil.copy(EXAMPLES / "own_likelihood.py", folder / "project")
        (folder / "project" / "fuzz_model.py").write_text(MODEL)

    def attempt(self, content: bytes) -> str:
        """Run a config up to the sampler: "ran", or the error's name."""
        path = self.folder / "project" / "config.toml"
        path.write_bytes(content)
        try:
            config = load_config(path)
            base = Path("runs") if config.output is None else config.output
            target = within(self.folder / "out", base.relative_to(config.base) if base.is_relative_to(config.base) else base)
            assert output_of(config, RunOptions(output=target)) == target
            run(config, RunOptions(output=target, progress=False, report=False))
        except ReachedError:
            return "ran"
        except SciinfError as error:
            self.judge(error)
            return type(error).__name__
        finally:
            shutil.rmtree(self.folder / "out", ignore_errors=True)
        raise AssertionError("nothing stopped at the sampler")

    def judge(self, error: SciinfError) -> None:
        """A message says where, and is one that can be read; nothing was made before it."""
        text = str(error)
        at_the_folder = "run directory" in text
        assert at_the_folder or "config.toml" in text, text
        assert len(text) < 5000, f"a message of {len(text)} characters: {text[:300]}"
        assert at_the_folder or not (self.folder / "out").exists(), f"a folder was made before: {text}"


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Field:
    monkeypatch.setattr(sample, "_run", stopped)
    monkeypatch.setattr("sys.path", list(sys.path))
    return Field(tmp_path)


@pytest.fixture
def lookalike(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthetic data in the place of the real ones, each component read once."""
    files = write_lookalike(tmp_path_factory.mktemp("lookalike"), 1)
    real, made = presets.planck_data, presets._component
    kept = functools.cache(lambda name, spectra: made(files, name, spectra))

    def data(folder: Any = None, **options: Any) -> Any:
        return files if folder is None else real(folder, **options)

    def component(found: Any, name: str, spectra: tuple[str, ...]) -> Any:
        return kept(name, spectra) if found is files else made(found, name, spectra)

    monkeypatch.setattr(presets, "planck_data", data)
    monkeypatch.setattr(presets, "write_lookalike", lambda folder, seed: files)
    monkeypatch.setattr(presets, "_component", component)


@contextlib.contextmanager
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SciinfWarning)
        yield


def where(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "sciinf" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:])) or str(error)[:120]


def tried(field: Field, numbers: range, texts: dict[str, str]) -> Counter[str]:
    """Attempt every case; what became of them, and an AssertionError for those that break the rule."""
    outcomes: Counter[str] = Counter()
    broken: dict[str, str] = {}
    slowest = (0.0, -1)
    for text in texts.values():  # imports and compilation are not the files' doing
        with strict():
            field.attempt(text.encode())
    for number in numbers:
        case = mutated(number, texts)
        begun = time.process_time()
        try:
            with strict():
                outcome = field.attempt(case.content)
        except (Exception, SystemExit) as error:
            outcome = f"{type(error).__name__} in {where(error)}"
            broken.setdefault(outcome, f"case {number} ({case.start}: {', '.join(case.steps)}): {str(error)[:200]}")
        outcomes[outcome] += 1
        spent = time.process_time() - begun
        slowest = max(slowest, (spent, number))
        if spent > SECONDS:
            broken.setdefault(f"slow {number}", f"case {number} ({case.start}: {', '.join(case.steps)}) took {spent:.2f} s: {outcome}")
    _LOG.info("%d files, slowest %.3f s (case %d): %s", len(numbers), *slowest, dict(outcomes))
    assert not broken, "\n".join(f"{outcome}: {what}" for outcome, what in broken.items())
    return outcomes


def test_a_mutated_config_runs_or_is_refused(field: Field, lookalike: None) -> None:
    outcomes = tried(field, range(400), starts())
    assert outcomes["ran"] > 20
    assert outcomes["ConfigError"] > 200


@pytest.mark.slow
def test_ten_thousand_mutated_configs_run_or_are_refused(field: Field, lookalike: None) -> None:
    outcomes = tried(field, range(10_000), starts())
    assert outcomes["ran"] > 500
    assert outcomes["ConfigError"] > 5000
    assert outcomes["PriorError"] > 50


@pytest.mark.planck
def test_mutated_configs_of_the_real_data_run_or_are_refused(field: Field) -> None:
    pytest.importorskip("cosmofit", reason="the real Planck files: pip install 'sciinf[planck]'")
    texts = {name: text for name, text in starts().items() if 'kind = "cmb"' in text and name not in ("lookalike", "mock_hybrid")}
    tried(field, range(60), texts)


def test_the_starts_cover_every_prior_and_run_as_they_are(field: Field, lookalike: None) -> None:
    assert set(KINDS) == set(PRIORS)
    assert set(JOINTS) == set(JOINT_PRIORS)
    expected = {"template_function": "ConfigError", "folder": "DataError"}  # these have not their model or their files beside them
    expected |= {"echo_gw150914": "DataError", "echo_gw150914_excerpt": "DataError", "template_r3d": "DataError", "r3d_shape": "DataError"}
    expected |= {"template_pn": "DataError", "pn_quartic": "DataError"}
    for name, text in starts().items():
        assert field.attempt(text.encode()) == expected.get(name, "ran"), name


def test_a_case_follows_from_its_number() -> None:
    assert mutated(17, starts()) == mutated(17, starts())
    assert len({mutated(number, starts()).content for number in range(100)}) > 95


# ---------------------------------------------------------------- constructors

VALUES: list[Any] = [
    0, 1, -1, 2, 4, 10, 64, 1000, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, -(10**400), 10**5000, -0.0, 0.0, 0.5, 1.0, 1e308, 5e-324,
    float("nan"), float("inf"), -float("inf"), True, False, None, "", "auto", "prior", "optimum", "rwalk", "multi", "emcee",
    "x" * 100_000, "\0", b"rwalk", 1j, (), [], [1], [[1.0, 2.0]], [[1.0], [2.0, 3.0]], [10**400], [1.0, 10**400], {}, {"a": 1}, {1, 2},
    object(), object, int, lambda: 1,
    np.int64(64), np.int8(4), np.uint64(2**63), np.float64(0.5), np.float16(0.5), np.float32(np.inf), np.longdouble(0.5), np.bool_(True),
    np.complex128(1j), np.str_("rwalk"), np.datetime64("2020"), np.timedelta64(20, "s"), np.array(4), np.array([1, 2]), np.array([]),
    np.zeros((4, 2)), np.zeros((64, 3)), np.full((64, 2), np.nan), np.array([["a"]]), np.ma.masked, range(3), [[[[1]]]], Ellipsis,
]  # fmt: skip
OPTIONS = {
    Dynesty: ["n_live", "dynamic", "bound", "proposal", "walks", "slices", "dlogz", "n_effective", "queue_size", "engine"],
    Emcee: ["n_walkers", "n_steps", "max_steps", "moves", "tau_multiple", "rtol_tau", "burn", "thin", "start", "engine"],
    Resources: ["workers", "threads", "max_calls", "max_seconds", "checkpoint_every", "max_iterations"],
}


def described(made: Any) -> None:
    """What was accepted can be written into a manifest and read back."""
    text = json.dumps(made.describe(), allow_nan=False)
    if not isinstance(made, Resources):
        assert settings_from(json.loads(text)).describe() == json.loads(text)


@pytest.mark.parametrize("made", OPTIONS, ids=lambda made: made.__name__)
def test_every_value_of_every_option_is_taken_or_refused(made: Any) -> None:
    for name in OPTIONS[made]:
        for given in VALUES:
            with strict(), contextlib.suppress(SciinfError):
                described(made(**{name: given}))


@pytest.mark.parametrize("made", OPTIONS, ids=lambda made: made.__name__)
def test_options_together_are_taken_or_refused(made: Any) -> None:
    rng = random.Random(1)
    for _ in range(3000):
        options = {name: rng.choice(VALUES) for name in rng.sample(OPTIONS[made], rng.randint(2, 4))}
        with strict(), contextlib.suppress(SciinfError):
            described(made(**options))


def test_settings_from_any_mapping_are_made_or_refused() -> None:
    rng = random.Random(2)
    keys = ["kind", "n_live", "n_walkers", "start", "engine", "", "x" * 10_000, "nlive", 1, None]
    for _ in range(3000):
        options = {key: rng.choice(VALUES) for key in rng.sample(keys, rng.randint(1, 3))} | {
            "kind": rng.choice(["dynesty", "emcee", *VALUES])
        }
        with strict(), contextlib.suppress(SciinfError):
            described(settings_from(options))


NUMBERS_GIVEN: list[Any] = [0, 1, -1, 2, 0.5, 1e308, -1e308, 5e-324, 1e-300, 1e300, 10**400, float("nan"), float("inf"), -float("inf"),
                            True, None, "1", [1.0], [0.0, 1.0], [1e308, -1e308], np.float32(2), np.array(1.0), 1j, 3.14159]  # fmt: skip


@pytest.mark.parametrize("kind", [*PRIORS, *JOINT_PRIORS])
def test_a_prior_of_any_numbers_is_made_or_refused(kind: str) -> None:
    rng = random.Random(kind)
    made = {**PRIORS, **JOINT_PRIORS}[kind]
    keys = re.findall(r"(\w+) = ", {**KINDS, **JOINTS}[kind].partition("names")[2] or KINDS.get(kind, "")) or ["low", "high"]
    arrays: list[Any] = [[], [1.0], [0.0, 1.0], [1e308, -1e308], [-1e308, 1e308], [0.0, 5e-324], [1e308] * 3, [5e-324] * 3,
                         [[1.0, 0.0], [0.0, 1e-300]], [[1e308, 0.0], [0.0, 1e308]], [[1.0, 1.0], [1.0, 1.0]], [[5e-324, 0.0], [0.0, 1.0]],
                         [[1.0, 1e308], [1e308, 1.0]],
                         [[1.0], [2.0, 3.0]], [10**400], ["a"]]  # fmt: skip
    pool = NUMBERS_GIVEN + (arrays if kind in ("interpolated", "empirical", "multivariate_normal", "dirichlet") else [])
    for _ in range(1000):
        with strict(), contextlib.suppress(SciinfError):
            json.dumps(made(**{key: rng.choice(pool) for key in keys}).describe(), allow_nan=False)
