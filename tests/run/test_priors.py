from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.function_engine import FunctionEngine
from sciinf.core.joint_priors import Joint, MultivariateNormal
from sciinf.core.parameter import Parameter
from sciinf.core.prior_set import PriorSet, constrained
from sciinf.core.priors import PRIORS, Normal, Uniform
from sciinf.run.config import parse_config
from sciinf.run.priors import build_priors


def flat(theta: np.ndarray) -> float:
    return 0.0


def below(x: float, y: float) -> bool:
    return x < y


DEFAULTS = PriorSet(
    [
        Parameter("x", Uniform(0, 1), unit="m", latex="X", periodic=True),
        Parameter("y", Normal(0, 1)),
        Joint(("a", "b"), MultivariateNormal([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])),
    ]
)
ENGINE = FunctionEngine(flat, ["x", "y", "a", "b"], default_priors=DEFAULTS, version="1")
BARE = FunctionEngine(flat, ["x", "y"], version="1")


def build(text: str, engine: FunctionEngine = ENGINE) -> tuple[PriorSet, tuple[str, ...]]:
    head = '[run]\nseed = 1\n[engine]\nkind = "function"\n[sampler]\nkind = "emcee"\n'
    return build_priors(parse_config(head + text, source="my.toml", base=Path()), engine)


def test_no_table_keeps_the_engines_prior() -> None:
    assert build("") == (DEFAULTS, ("x", "y", "a", "b"))


def test_a_table_replaces_one_prior_and_keeps_the_labels() -> None:
    priors, kept = build('[parameters.x]\nprior = "normal"\nmean = 1\nstd = 2\n')
    assert priors.members[0] == Parameter("x", Normal(1.0, 2.0), unit="m", latex="X")  # a new prior is not periodic by inheritance
    assert kept == ("y", "a", "b")
    assert priors.names == ("x", "y", "a", "b")


def test_integers_and_floats_are_the_same_prior() -> None:
    texts = [f'[parameters.x]\nprior = "uniform"\nlow = {low}\nhigh = 2\n' for low in ("1", "1.0")]
    first, second = (build(text)[0].describe() for text in texts)
    assert first == second


def test_a_table_may_give_labels_only() -> None:
    priors, kept = build('[parameters.y]\nlatex = "Y"\nunit = "s"\n[parameters.a]\nlatex = "\\\\alpha"\n')
    assert priors.members[1] == Parameter("y", Normal(0, 1), unit="s", latex="Y")
    assert priors.latex == ("X", "Y", r"\alpha", "b")
    assert kept == ("x", "y", "a", "b")
    assert priors.describe() == DEFAULTS.describe()


def test_a_parameter_may_be_fixed_or_periodic() -> None:
    priors, _ = build('[parameters.x]\nfixed = 0.5\n[parameters.y]\nprior = "uniform"\nlow = 0\nhigh = 1\nperiodic = true\n')
    assert priors.fixed == {"x": 0.5}
    assert priors.names == ("y", "a", "b")
    assert priors.periodic == (0,)


def test_a_joint_prior_takes_the_place_of_its_members() -> None:
    priors, kept = build(
        '[priors.pair]\nkind = "multivariate_normal"\nnames = ["y", "x"]\nmean = [0, 1]\ncovariance = [[1, 0.5], [0.5, 1]]\n'
        '[parameters.x]\nlatex = "X_0"\n'
    )
    assert priors.names == ("y", "x", "a", "b")
    assert priors.latex == ("y", "X_0", "a", "b")
    assert kept == ("a", "b")


def test_a_default_joint_prior_is_replaced_as_a_whole() -> None:
    text = '[parameters.a]\nprior = "normal"\nmean = 0\nstd = 1\n'
    with pytest.raises(
        PriorError, match=r"my.toml: a has a joint default prior with b; one member of a joint prior cannot be replaced alone"
    ):
        build(text)
    priors, _ = build(text + text.replace("parameters.a", "parameters.b"))
    assert isinstance(priors.members[2], Parameter)
    assert isinstance(priors.members[3], Parameter)


def test_an_engine_without_defaults_needs_every_table() -> None:
    x = '[parameters.x]\nprior = "uniform"\nlow = 0\nhigh = 1\n'
    with pytest.raises(ConfigError, match=r"my.toml: the engine has no default prior for y. Add \[parameters.y\] with 'prior' or 'fixed'"):
        build(x, BARE)
    assert build(x + "[parameters.y]\nfixed = 1\n", BARE)[0].names == ("x",)
    with pytest.raises(ConfigError, match=r"my.toml: \[parameters.y\] has labels but no prior"):
        build(x + '[parameters.y]\nunit = "m"\n', BARE)


def test_the_engines_region_is_cut_from_the_new_prior_too() -> None:
    square = PriorSet([Parameter("x", Uniform(0, 1)), Parameter("y", Uniform(0, 1))])
    engine = FunctionEngine(flat, ["x", "y"], default_priors=constrained(square, "below", below, 1, mass=0.5), version="1")
    assert build('[parameters.x]\nlatex = "X"\n', engine)[0].regions[0].mass == 0.5
    priors, _ = build('[parameters.x]\nprior = "uniform"\nlow = 0\nhigh = 0.5\n', engine)
    assert priors.regions[0].mass is None
    with pytest.raises(PriorError, match=r"^my.toml: region 'below': none of \d+ prior draws lies inside"):
        build('[parameters.x]\nprior = "uniform"\nlow = 5\nhigh = 6\n', engine)
    # P(x < y) = 3/4 for x uniform on [0, 0.5], y on [0, 1]; the estimate states its error
    assert abs(priors.log_mass - np.log(0.75)) < 5 * priors.log_mass_error


WRONG = [
    (
        '[parameters.z]\nprior = "normal"\nmean = 0\nstd = 1\n',
        ConfigError,
        r"\[parameters.z\]: the engine has no parameter 'z': allowed: x, y, a, b",
    ),
    (
        '[priors.p]\nkind = "dirichlet"\nnames = ["xx"]\nconcentration = [1, 1]\n',
        ConfigError,
        r"\[priors.p\] names: the engine has no parameter 'xx'",
    ),
    (
        '[parameters.x]\nprior = "norml"\nmean = 0\nstd = 1\n',
        ConfigError,
        r"\[parameters.x\] prior = 'norml' is not known: did you mean 'normal'",
    ),
    (
        '[parameters.x]\nprior = "normal"\nmean = 0\nsdt = 1\n',
        ConfigError,
        r"prior = 'normal' has an unknown key 'sdt': did you mean 'std'",
    ),
    ('[parameters.x]\nprior = "normal"\nmean = 0\n', ConfigError, r"\[parameters.x\] prior = 'normal' needs std \(its keys: mean, std\)"),
    ('[parameters.x]\nprior = "normal"\nmean = 0\nstd = -1\n', PriorError, r"\[parameters.x\]: Normal.*std=-1"),
    ('[parameters.x]\nprior = "normal"\nmean = nan\nstd = 1\n', PriorError, r"\[parameters.x\]: Normal.*mean=nan"),
    ('[parameters.x]\nprior = "uniform"\nlow = 2\nhigh = 1\n', PriorError, r"\[parameters.x\]: Uniform.*low=2.*high=1"),
    ('[parameters.x]\nprior = "uniform"\nlow = 1\nhigh = 1\n', PriorError, r"\[parameters.x\]: Uniform.*low=1.*high=1"),
    (
        '[parameters.x]\nprior = "normal"\nmean = "0"\nstd = 1\n',
        PriorError,
        r"\[parameters.x\]: Normal: mean must be a real number, got '0'",
    ),
    (
        '[parameters.x]\nprior = "normal"\nmean = true\nstd = 1\n',
        PriorError,
        r"\[parameters.x\]: Normal: mean must be a real number, got True",
    ),
    ("[parameters.y]\nperiodic = true\n", PriorError, r"\[parameters.y\]: parameter 'y': a periodic parameter needs a finite support"),
    (
        '[priors.p]\nkind = "multi_normal"\nnames = ["x"]\n',
        ConfigError,
        r"\[priors.p\] kind = 'multi_normal' is not known: did you mean 'multivariate_normal'",
    ),
    (
        '[priors.p]\nkind = "multivariate_normal"\nnames = ["x", "y"]\nmean = [0, 0]\ncovariance = [[1, 2], [2, 1]]\n',
        PriorError,
        r"\[priors.p\]: MultivariateNormal: covariance must be positive definite",
    ),
    (
        '[priors.p]\nkind = "multivariate_normal"\nnames = ["x"]\nmean = [0, 0]\ncovariance = [[1, 0], [0, 1]]\n',
        PriorError,
        r"\[priors.p\]: MultivariateNormal has 2 parameters, got 1 names: x",
    ),
    ('[priors.p]\nkind = "dirichlet"\nnames = ["x"]\nconcentration = "a"\n', PriorError, r"\[priors.p\]"),
]


@pytest.mark.parametrize(("text", "kind", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_names_file_table_key_and_value(text: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=rf"^my.toml: .*{message}"):
        build(text)


def test_every_kind_of_prior_can_be_written() -> None:
    numbers = {
        "x": "[0, 1, 2]",
        "pdf": "[1, 1, 1]",
        "samples": "[0, 1, 2, 3]",
        "alpha": "2",
        "beta": "3",
        "low": "1",
        "high": "1.5",
        "mode": "1.2",
    }
    from dataclasses import fields

    for kind, prior in PRIORS.items():
        keys = [item.name for item in fields(prior) if item.init]
        lines = [f"{key} = {numbers.get(key, '1.5')}" for key in keys if key != "reflect_at"]
        text = f'[parameters.x]\nprior = "{kind}"\n' + "\n".join(lines) + "\n"
        priors, _ = build(text)
        assert type(priors.members[0].prior) is prior, kind


def test_a_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigError, match=r"^my.toml: \[parameters.x\] prior = 'y+\.\.\. \(5002 characters\) is not known"):
        build(f'[parameters.x]\nprior = "{"y" * 5000}"\n')
