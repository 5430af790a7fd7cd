from __future__ import annotations

from pathlib import Path

import pytest

from sciinf.core.errors import ConfigError
from sciinf.run.config import Config, load_config, parse_config
from sciinf.run.function_kind import TEMPLATE

GOOD = """
[run]
name = "demo"
seed = 3

[engine]
kind = "function"
target = "model.py:engine"

[parameters.x]
prior = "normal"
mean = 0
std = 1.5
latex = "x"
unit = "m"

[parameters.y]
fixed = 2

[priors.pair]
kind = "multivariate_normal"
names = ["a", "b"]
mean = [0.0, 0.0]
cov = [[1.0, 0.0], [0.0, 1.0]]

[sampler]
kind = "dynesty"
n_live = 60

[resources]
workers = 2
max_calls = 1000
"""


def parse(text: str) -> Config:
    return parse_config(text, source="my.toml", base=Path("here"))


def test_a_config_holds_what_the_file_says() -> None:
    config = parse(GOOD)
    assert (config.name, config.seed, config.output, config.on_nan, config.repeats) == ("demo", 3, None, "raise", 1)
    assert config.engine == {"kind": "function", "target": "model.py:engine"}
    x, y = config.parameters
    assert (x.name, x.prior, dict(x.numbers), x.latex, x.unit, x.fixed) == ("x", "normal", {"mean": 0, "std": 1.5}, "x", "m", None)
    assert (y.fixed, y.prior) == (2.0, None)
    assert config.joints[0].names == ("a", "b")
    assert config.settings.describe()["n_live"] == 60
    assert (config.resources.workers, config.resources.max_calls, config.resources.max_seconds) == (2, 1000, None)


def test_what_is_left_out_takes_its_default() -> None:
    config = parse('[run]\nseed = 1\n[engine]\nkind = "function"\n[sampler]\nkind = "emcee"\n')
    assert config.name == "my"  # the file's stem
    assert config.settings.n_walkers == 64
    assert config.parameters == ()


def test_the_command_line_may_set_seed_and_workers() -> None:
    config = parse(GOOD).override(seed=9, workers=1)
    assert (config.seed, config.resources.workers, config.resources.max_calls) == (9, 1, 1000)
    assert parse_config(GOOD.replace("seed = 3\n", ""), source="my.toml", base=Path(), seed=4).seed == 4


def test_output_is_relative_to_the_configs_folder() -> None:
    assert parse(GOOD.replace("seed = 3", 'seed = 3\noutput = "out/a"')).output == Path("here/out/a")


BROKEN = [
    ("[sampler]", "[samplers]", "my.toml needs the key 'sampler'.*Is 'samplers' a misspelling"),
    ("n_live = 60", "nlive = 60", r"my.toml: \[sampler\].*'nlive'.*did you mean 'n_live'"),
    ("n_live = 60", 'n_live = "60"', r"my.toml: \[sampler\].*n_live must be an integer.*'60'"),
    ("n_live = 60", "n_live = 0", r"my.toml: \[sampler\].*n_live must be an integer of at least"),
    ('kind = "dynesty"', 'kind = "dinesty"', "my.toml: sampler.kind = 'dinesty' is not known: did you mean 'dynesty'"),
    ('kind = "dynesty"', "kind = 3", "my.toml: sampler.kind must be one of dynesty, emcee, got the integer 3"),
    ("seed = 3", 'seed = "3"', "my.toml: run.seed must be an integer.*got the string '3'"),
    ("seed = 3", "seed = -3", "my.toml: run.seed must be an integer of at least 0, got the integer -3"),
    ("seed = 3", "", r"my.toml: \[run\] needs the key 'seed'"),
    ("seed = 3", "seed = 3\nsed = 1", r"my.toml: \[run\] has an unknown key 'sed': did you mean 'seed'"),
    ("seed = 3", 'seed = 3\non_nan = "ignore"', "my.toml: run.on_nan = 'ignore' is not known: .*raise, reject"),
    ("seed = 3", "seed = 3\nrepeats = 0", "my.toml: run.repeats must be an integer of at least 1, got the integer 0"),
    ('name = "demo"', 'name = "a/b"', "my.toml: run.name must be made of letters.*got 'a/b'"),
    ("workers = 2", "worker = 2", r"my.toml: \[resources\] has an unknown key 'worker': did you mean 'workers'"),
    ("workers = 2", "workers = 2.0", "my.toml: resources.workers must be an integer of at least 1, got the number 2.0"),
    ("max_calls = 1000", "max_seconds = 0", "my.toml: resources.max_seconds must be a positive number, got the integer 0"),
    ("[parameters.x]", '[parameters."x y"]', r"my.toml: \[parameters.x y\]: a parameter name must match.*'x y'"),
    ('prior = "normal"', "prior = 1", "my.toml: parameters.x.prior must be a non-empty string, got the integer 1"),
    ('unit = "m"', "unit = 1", "my.toml: parameters.x.unit must be a non-empty string, got the integer 1"),
    ('unit = "m"', "periodic = 1", "my.toml: parameters.x.periodic must be true or false, got the integer 1"),
    ('prior = "normal"', "", r"my.toml: \[parameters.x\] has an unknown key 'mean'"),
    ("fixed = 2", "fixed = 2\nstd = 1", r"my.toml: \[parameters.y\] has an unknown key 'std'"),
    ("fixed = 2", 'fixed = 2\nprior = "normal"', r"my.toml: \[parameters.y\]: a fixed parameter has no prior"),
    ("fixed = 2", 'fixed = "2"', "my.toml: parameters.y.fixed must be a finite number, got the string '2'"),
    ('names = ["a", "b"]', 'names = "a"', "my.toml: priors.pair.names must be an array of strings, got the string 'a'"),
    ('names = ["a", "b"]', 'names = ["x", "b"]', r"my.toml: 'x' has two priors, in \[parameters.x\] and in \[priors.pair\]"),
    ('names = ["a", "b"]', 'names = ["a b"]', "my.toml: priors.pair.names: a parameter name must match"),
    ("[parameters.y]", "[parameters.x]", "my.toml: not valid TOML: .*line 17"),
    ('kind = "function"', "", r"my.toml: \[engine\] needs the key 'kind'"),
    ("[engine]", "[engin]", "my.toml needs the key 'engine'.*Is 'engin' a misspelling"),
    ("[resources]", "[resource]", "my.toml has an unknown table 'resource': did you mean 'resources'"),
    ('name = "demo"', 'name = "demo', "my.toml: not valid TOML: .*line 3"),
    ("seed = 3", 'seed = 3\noutput = "a\\u0000b"', "my.toml: run.output must be a path, got .*no path can hold the character NUL"),
    ("seed = 3", 'seed = 3\noutput = "~nobody_lives_here/x"', "my.toml: run.output must be a path, got .*there is no such home folder"),
    ('name = "demo"', f'name = "{"x" * 5000}"', "my.toml: run.name must have at most 200 characters .*got 5000"),
    ('name = "demo"', f'name = "{"/" * 5000}"', r"my.toml: run.name must be made of letters.*\(5002 characters\)$"),
    ("fixed = 2", f"fixed = {10**400}", r"my.toml: parameters.y.fixed must be an integer within 64 bits, got 10+\.\.\. \(401 characters\)"),
    (
        "fixed = 2",
        f"fixed = 0x{'f' * 5000}",
        "my.toml: parameters.y.fixed must be an integer within 64 bits, got an integer of 20000 bits",
    ),
    ("mean = 0\n", f"mean = {'1' * 5000}\n", "my.toml: a number in line 12 has more digits than can be read"),
    ("mean = 0\n", "mean = " + "[" * 3000 + "]" * 3000 + "\n", "my.toml: tables or arrays are nested too deeply to be read"),
    ("mean = 0\n", "mean = " + "[" * 40 + "]" * 40 + "\n", r"my.toml: parameters.x.mean.0\.\.\. is nested too deeply; at most 32"),
    ("[parameters.y]", f"[parameters.{'y.' * 400}y]", r"my.toml: parameters.y.y.y\.\.\. is nested too deeply; at most 32"),
    ("[parameters.y]", f"[parameters.{'y' * 5000}]", r"my.toml: the key 'y+\.\.\. \(5002 characters\) is too long"),
    ("workers = 2", "workers = 2000", r"my.toml: \[resources\]: workers must be an integer from 1 to 1024"),
    ("workers = 2", "threads = 2000", r"my.toml: \[resources\]: threads must be an integer of at most 1024, got 2000"),
    ("\n[run]", "\ufeff[run]", "my.toml: begins with a byte order mark"),
    ("[parameters.y]", "[[parameters.y]]", "my.toml: parameters.y must be a table, got an array of 1"),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN, ids=[new[:60] or f"no {old}" for old, new, _ in BROKEN])
def test_what_is_wrong_is_named_with_file_key_and_nearest_name(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=rf"^(?s:{message})"):
        parse(GOOD.replace(old, new))


def test_a_seed_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"seed"):
        parse(GOOD.replace("seed = 3", f"seed = {2**64}"))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml: cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bad.toml: is not UTF-8 text"):
        load_config(tmp_path / "bad.toml")


def test_load_config_takes_the_files_folder_as_base(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    config = load_config(tmp_path / "a.toml")
    assert (config.base, config.source, config.text) == (tmp_path.resolve(), "a.toml", GOOD)


def test_the_template_of_the_function_kind_is_a_valid_config() -> None:
    config = parse(TEMPLATE)
    assert config.name == "my_run"
    assert [item.name for item in config.parameters] == ["slope", "intercept"]


def test_a_path_that_is_no_path_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"'a\\x00b.toml': cannot be read"):
        load_config("a\0b.toml")
    with pytest.raises(ConfigError, match=r"cannot be read \(File name too long\)"):
        load_config("x" * 300 + ".toml")
