"""Exports read back by the packages they are for."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path
from typing import Any

import corner as corner_package
import matplotlib as mpl
import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, MissingDependencyError
from sciinf.results import export
from sciinf.results.posterior import Posterior

mpl.use("Agg")


@pytest.fixture
def getdist(monkeypatch: pytest.MonkeyPatch) -> Any:
    """GetDist, silent."""
    module = pytest.importorskip("getdist")
    monkeypatch.setattr("getdist.chains.print_load_details", False)
    return module


# ArviZ


def test_arviz_keeps_chains_and_draws(arviz: Any, chains: Posterior) -> None:
    data = export.to_arviz(chains)
    assert data["posterior"]["alpha"].shape == (16, 500)
    assert set(data["posterior"].data_vars) == {"alpha", "beta", "total"}
    assert float(data["posterior"]["beta"][3, 17]) == chains.samples[(chains.chain == 3) & (chains.draw == 17), 1][0]
    assert np.allclose(data["sample_stats"]["lp"], data["sample_stats"]["ln_likelihood"] + data["sample_stats"]["ln_prior"])
    assert float(arviz.ess(data)["alpha"]) == pytest.approx(chains.summary()["alpha"].ess_bulk, rel=1e-10)


def test_arviz_gets_weighted_samples_resampled(arviz: Any, nested: Posterior) -> None:
    with pytest.raises(ConfigError, match="rng"):
        export.to_arviz(nested)
    data = export.to_arviz(nested, rng=np.random.default_rng(1))
    assert data["posterior"]["x"].shape == (1, len(nested))
    error = nested.std()[0] / np.sqrt(len(nested))
    assert abs(float(data["posterior"]["x"].mean()) - nested.mean()[0]) < 5.0 * error


@pytest.mark.parametrize(("version", "nested_mapping"), [("0.23.4", False), ("1.0.0", True), ("1.2.0.dev0", True)])
def test_both_generations_of_arviz_are_served(
    version: str, nested_mapping: bool, chains: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in with the signature of each generation's ``from_dict``."""
    if nested_mapping:

        def from_dict(data: dict[str, dict[str, Any]], *, name: Any = None, sample_dims: Any = None) -> Any:
            return data

    else:

        def from_dict(posterior: Any = None, *, sample_stats: Any = None, prior: Any = None) -> Any:  # type: ignore[misc]
            return {"posterior": posterior, "sample_stats": sample_stats}

    fake = types.ModuleType("arviz")
    fake.__version__, fake.from_dict = version, from_dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "arviz", fake)
    data = export.to_arviz(chains)
    assert set(data) == {"posterior", "sample_stats"}
    assert data["posterior"]["total"].shape == (16, 500)


# GetDist


def test_getdist_object(getdist: Any, chains: Posterior) -> None:
    samples = export.to_getdist(chains)
    assert samples.getParamNames().list() == ["alpha", "beta", "total"]
    assert samples.getParamNames().labels() == [r"\alpha", r"\beta", r"\alpha+\beta"]
    assert [par.isDerived for par in samples.getParamNames().names] == [False, False, True]
    assert np.allclose(samples.getMeans(), [*chains.mean(), chains.derived.mean()], rtol=1e-12)
    assert np.allclose(samples.getCov(2), np.cov(chains.samples.T, bias=True), rtol=1e-10)
    assert np.allclose(np.sort(samples.loglikes), np.sort(-(chains.log_likelihood + chains.log_prior)))
    assert (samples.ranges.getLower("alpha"), samples.ranges.getUpper("alpha")) == (-10.0, 10.0)
    assert (samples.ranges.getLower("beta"), samples.ranges.getUpper("beta")) == (None, 10.0)
    assert samples.sampler == "mcmc"


def test_getdist_of_weighted_samples(getdist: Any, nested: Posterior) -> None:
    samples = export.to_getdist(nested, ranges={"x": (-10, 10)})
    assert np.allclose(samples.getMeans(), nested.mean(), rtol=1e-9)
    assert samples.sampler == "nested"
    assert samples.weights.max() == pytest.approx(1.0)
    assert samples.weights.sum() ** 2 / np.sum(samples.weights**2) == pytest.approx(nested.ess, rel=1e-9)


@pytest.mark.parametrize("kind", ["chains", "nested"])
def test_text_chains_are_read_back(kind: str, getdist: Any, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    posterior: Posterior = request.getfixturevalue(kind)
    if kind == "nested":
        posterior = dataclasses.replace(posterior, derived=posterior.samples[:, :1] ** 2, derived_names=("sq",), derived_latex=("x^2",))
    root = tmp_path / "chain.v1"
    files = export.write_getdist(posterior, root, ranges={posterior.names[0]: (-10.0, None)})
    assert [path.name for path in files] == ["chain.v1.txt", "chain.v1.paramnames", "chain.v1.ranges", "chain.v1.properties.ini"]
    back = getdist.loadMCSamples(str(root), no_cache=True)
    derived = posterior.weights @ posterior.derived
    assert np.allclose(back.getMeans(), [*posterior.mean(), *derived], rtol=1e-9, atol=1e-12)
    assert np.allclose(np.sqrt(np.diag(back.getCov(posterior.n_dim))), posterior.std(), rtol=2e-2)
    assert [par.isDerived for par in back.getParamNames().names] == [False] * posterior.n_dim + [True]
    assert back.getParamNames().labels() == [*posterior.latex, *posterior.derived_latex]
    assert back.ranges.getLower(posterior.names[0]) == -10.0
    assert back.ranges.getUpper(posterior.names[0]) is None
    assert back.sampler == ("mcmc" if kind == "chains" else "nested")
    assert len(files[0].read_text().splitlines()) == len(posterior)


def test_text_layout(tmp_path: Path) -> None:
    posterior = Posterior(
        np.array([[1.0], [2.0], [3.0]]), np.array([0.0, np.log(3.0), -np.inf]), np.array([-1.0, -2.0, -3.0]), np.full(3, -0.5),
        ("x_1",), derived=np.array([[10.0], [20.0], [np.nan]]), derived_names=("d",), derived_latex=(r"d^\star",),
    )  # fmt: skip
    root = tmp_path / "a"
    export.write_getdist(posterior, root, names={"x_1": "x1"}, ranges={"x_1": (-np.inf, 5.0)})
    table = np.loadtxt(tmp_path / "a.txt")
    assert np.allclose(table, [[1 / 3, 1.5, 1.0, 10.0], [1.0, 2.5, 2.0, 20.0]], rtol=1e-11)  # the point of zero weight is left out
    assert (tmp_path / "a.paramnames").read_text() == "x1\tx\\_1\nd*\td^\\star\n"
    assert (tmp_path / "a.ranges").read_text() == "x1 N 5.000000000000e+00\nd N N\n"


def test_planck_s_names(tmp_path: Path) -> None:
    """names="getdist": the row of the specification, omegabh2, omegach2, theta_MC_100, tau, logA, ns, A_planck."""
    ours = ("omega_b", "omega_c", "theta_mc", "tau", "logA", "n_s", "A_planck")
    posterior = Posterior(np.random.default_rng(1).normal(size=(20, 7)), np.zeros(20), np.zeros(20), np.zeros(20), ours)
    export.write_getdist(posterior, tmp_path / "c", names="getdist")
    names = [line.split("\t")[0] for line in (tmp_path / "c.paramnames").read_text().splitlines()]
    assert names == ["omegabh2", "omegach2", "theta_MC_100", "tau", "logA", "ns", "A_planck"]


def test_getdist_with_a_root_writes_the_same(getdist: Any, chains: Posterior, tmp_path: Path) -> None:
    samples = export.to_getdist(chains, tmp_path / "chain", names={"alpha": "a"})
    assert samples.getParamNames().list() == ["a", "beta", "total"]
    back = getdist.loadMCSamples(str(tmp_path / "chain"), no_cache=True)
    assert np.allclose(back.getMeans(), samples.getMeans(), rtol=1e-10, atol=1e-12)
    assert back.ranges.getUpper("beta") == 10.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": {"alfa": "a"}}, "did you mean 'alpha'"),
        ({"names": {"alpha": "beta"}}, "different names"),
        ({"names": {"alpha": "a b"}}, "no blanks"),
        ({"names": "planck"}, "'getdist' or None"),
        ({"ranges": {"gamma": (0, 1)}}, "ranges names 'gamma'"),
        ({"ranges": {"alpha": (0, 1, 2)}}, "must be a pair"),
    ],
)
def test_wrong_names_and_ranges(chains: Posterior, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export.write_getdist(chains, tmp_path / "c", **options)
    assert list(tmp_path.iterdir()) == []


def test_not_finite_and_no_folder(chains: Posterior, tmp_path: Path) -> None:
    bad = dataclasses.replace(chains, derived=np.where(np.arange(len(chains)) == 5, np.nan, 0.0)[:, None])
    with pytest.raises(DataError, match="'total' is not finite at 1 point"):
        export.write_getdist(bad, tmp_path / "c")
    with pytest.raises(DataError, match="folder does not exist"):
        export.write_getdist(chains, tmp_path / "none" / "c")


# corner, pandas, missing packages


def test_corner_takes_the_keywords(chains: Posterior, nested: Posterior) -> None:
    keywords = export.to_corner(chains, names=["beta", "total"])
    assert keywords["labels"] == [r"$\beta$ [Hz]", r"$\alpha+\beta$"]
    assert keywords["data"].shape == (8000, 2)
    from matplotlib.figure import Figure

    figure = corner_package.corner(**export.to_corner(nested), fig=Figure())
    assert len(figure.axes) == 9


def test_frame(chains: Posterior, nested: Posterior) -> None:
    frame = export.to_frame(chains)
    assert list(frame.columns) == ["alpha", "beta", "total", "weight", "log_likelihood", "log_prior", "chain", "draw"]
    assert np.array_equal(frame["beta"], chains.samples[:, 1])
    assert frame["weight"].sum() == pytest.approx(1.0)
    frame.loc[0, "alpha"] = 9.0  # a copy: the posterior stays as it is
    assert chains.samples[0, 0] != 9.0
    assert "chain" not in export.to_frame(nested)


@pytest.mark.parametrize(
    ("module", "function", "extra"),
    [("arviz", export.to_arviz, "arviz"), ("getdist", export.to_getdist, "getdist"), ("pandas", export.to_frame, "arviz")],
)
def test_missing_packages_name_the_extra(
    module: str, function: Any, extra: str, chains: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"needs the package '{module}'.*sciinf\[{extra}\]"):
        function(chains)
