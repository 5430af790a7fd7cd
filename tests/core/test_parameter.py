"""Names, labels and what a parameter refuses."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciinf.core.conditional import Affine, ConditionalPrior
from sciinf.core.errors import ConfigError, PriorError
from sciinf.core.parameter import Parameter, check_name
from sciinf.core.priors import Fixed, Normal, Uniform


@pytest.mark.parametrize("name", ["tau", "A_planck", "ps_A_100_100", "x1", "H0"])
def test_takes_plain_names(name: str) -> None:
    assert check_name(name) == name
    assert Parameter(name, Uniform(0, 1)).name == name


@pytest.mark.parametrize("name", ["", "1x", "_x", "a b", "a-b", "a.b", "tau\n", "ä", "x ", None, 3])
def test_refuses_other_names(name: object) -> None:
    with pytest.raises(ConfigError, match=r"must match \[A-Za-z\]\[A-Za-z0-9_\]\*"):
        Parameter(name, Uniform(0, 1))  # type: ignore[arg-type]


@given(st.text())
def test_a_name_is_taken_or_refused_never_changed(name: str) -> None:
    try:
        assert check_name(name) == name
    except ConfigError:
        return
    assert name.isascii()
    assert name.isidentifier()


@pytest.mark.parametrize("prior", [None, 1.0, "uniform", Uniform, (0, 1)])
def test_needs_a_prior(prior: object) -> None:
    with pytest.raises(PriorError, match=r"parameter 'tau': prior must be a Prior such as Uniform\(0, 1\), got"):
        Parameter("tau", prior)  # type: ignore[arg-type]


def test_periodic_needs_finite_ends() -> None:
    assert Parameter("phase", Uniform(0, 2 * math.pi), periodic=True).periodic
    with pytest.raises(PriorError, match=r"'phase': a periodic parameter needs a finite support, got \(-inf, inf\)"):
        Parameter("phase", Normal(0, 1), periodic=True)
    band = ConditionalPrior(Uniform, {"low": Affine(0, {"x": 1}), "high": 2})
    with pytest.raises(PriorError, match="finite support"):
        Parameter("phase", band, periodic=True)
    closed = ConditionalPrior(Uniform, {"low": Affine(0, {"x": 1}), "high": 2}, support=(0, 2))
    assert Parameter("phase", closed, periodic=True).periodic


def test_labels() -> None:
    assert Parameter("A_s", Uniform(0, 1)).label == r"A\_s"
    assert Parameter("f", Uniform(0, 1), unit="Hz", latex=r"\nu").label == r"\nu\ [\mathrm{Hz}]"


def test_only_fixed_is_not_sampled() -> None:
    assert Parameter("tau", Fixed(0.06)).is_fixed
    assert not Parameter("tau", Uniform(0, 1)).is_fixed


def test_equal_pickled_and_frozen() -> None:
    parameter = Parameter("tau", Normal(0.06, 0.01), unit="s", latex=r"\tau")
    assert pickle.loads(pickle.dumps(parameter)) == parameter
    assert hash(Parameter("tau", Normal(0.06, 0.01), unit="s", latex=r"\tau")) == hash(parameter)
    with pytest.raises(AttributeError):
        parameter.name = "other"  # type: ignore[misc]
