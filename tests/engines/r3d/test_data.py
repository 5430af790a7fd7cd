"""Samples of units and every way that input can be wrong: what is expected, what came, where, how to mend it."""

from __future__ import annotations

import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sciinf.core.errors import ConfigError, DataError, DataTypeError, SciinfWarning
from sciinf.engines.r3d import R3D, FrameColumns, R3DSettings, R3DWarning, RaggedSample, UnitQuantiles, extract_quantiles
from sciinf.engines.r3d.simulate import dgp1

RNG = np.random.default_rng(1)
X = np.linspace(-1.0, 1.0, 61)
VALUES = [RNG.normal(x, 1.0, 12) for x in X]
QUARTILES = R3DSettings(q_grid=(0.25, 0.5, 0.75))


def model(**change: Any) -> R3D:
    return R3D(**({"x": X, "outcomes": VALUES, "settings": QUARTILES} | change))


def with_bad(values: np.ndarray, place: int, bad: Any) -> np.ndarray:
    out = values.copy()
    out[place] = bad
    return out


# ---- samples ----


def test_long_and_list_are_one() -> None:
    unit = np.repeat([7, 3, 5], [2, 3, 1])
    values = np.array([1.0, 2.0, 10.0, 11.0, 12.0, 9.0])
    order = np.array([3, 0, 5, 1, 4, 2])
    sample = RaggedSample.from_long(unit[order], values[order])
    assert sample.labels.tolist() == [3, 5, 7]
    assert sample.sizes.tolist() == [3, 1, 2]
    other = RaggedSample.from_list([values[2:5], values[5:], values[:2]])
    assert np.array_equal(sample.quantiles([0.3, 0.5]), other.quantiles([0.3, 0.5]))
    assert_allclose(sample.means(), [11.0, 9.0, 1.5])


def test_labels_may_be_text() -> None:
    sample = RaggedSample.from_long(np.array(["b", "a", "b"]), np.array([1.0, 2.0, 3.0]))
    assert sample.labels.tolist() == ["a", "b"]
    mixed = RaggedSample.from_long(np.array(["b", "a", "b"], dtype=object), np.array([1, 2, 3]))
    assert np.array_equal(mixed.values, sample.values)


def test_contiguous_values_are_not_copied() -> None:
    values = np.arange(6.0)
    assert RaggedSample(values, np.array([0, 2, 6])).values is values
    assert model(x=X).x is X


def test_arrays_may_be_read_only() -> None:
    """As those of pandas frames and of memory maps are."""
    values, weights = np.arange(6.0), np.ones(6)
    for array in (values, weights):
        array.flags.writeable = False
    sample = RaggedSample(values, np.array([0, 2, 6]), weights)
    assert sample.means().tolist() == [0.5, 3.5]
    assert sample.unweighted().quantiles([0.5]).ravel().tolist() == sample.quantiles([0.5]).ravel().tolist() == [0.5, 3.5]


GOOD = {"values": np.arange(6.0), "offsets": np.array([0, 2, 6])}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"values": with_bad(np.arange(6.0), 4, np.nan)}, DataError, r"values must be finite: nan at position 4 \(unit 1\), 1 such"),
        ({"values": with_bad(np.arange(6.0), 0, np.inf)}, DataError, "inf at position 0.*unit 0"),
        ({"values": np.array(list("abcdef"))}, DataTypeError, "values must hold real numbers, got dtype <U1"),
        ({"values": np.arange(6) * 1j}, DataTypeError, "complex128"),
        ({"values": np.array([1, 2, "x", 4, 5, 6], dtype=object)}, DataTypeError, "dtype object; the first such value is 'x' at unit 1"),
        ({"offsets": np.array([0, 2, 5])}, DataError, r"from 0 to the number of values, \(6,\); got 0 to 5"),
        ({"offsets": np.array([0, 5, 2, 6])}, DataError, "must increase; they fall after unit 1"),
        ({"offsets": np.array([0, 2, 2, 6])}, DataError, "at least one value; none in: 1"),
        ({"offsets": np.array([0.0, 2.0, 6.0])}, DataError, "integer array"),
        ({"labels": np.array([4, 4])}, DataError, "only once; repeated: 4"),
        ({"labels": np.array([4])}, DataError, r"labels must be \(2,\)"),
        ({"labels": np.array([0.5, 1.0])}, DataTypeError, "integers or text"),
        ({"weights": np.ones(5)}, DataError, r"weights must have shape \(6,\), got \(5,\)"),
        ({"weights": with_bad(np.ones(6), 3, -2.0)}, DataError, "not be negative; unit 1 has -2"),
        ({"weights": with_bad(np.ones(6), 3, np.nan)}, DataError, "weights must be finite.*unit 1"),
        ({"weights": np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])}, DataError, "sum to 0; they do in: 0"),
    ],
)
def test_bad_samples(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RaggedSample(**(GOOD | change))


def test_bad_tables() -> None:
    with pytest.raises(DataError, match=r"one length, got \(3,\) and \(2,\)"):
        RaggedSample.from_long([1, 2, 3], [1.0, 2.0])
    with pytest.raises(DataError, match=r"nan at position 1 \(unit 8\)"):
        RaggedSample.from_long([9, 8, 9], [1.0, np.nan, 2.0])
    with pytest.raises(DataError, match="at least one unit"):
        RaggedSample.from_list([])
    with pytest.raises(DataError, match="none in: 1"):
        RaggedSample.from_list([[1.0], []])
    with pytest.raises(DataError, match="not in unit 1"):
        RaggedSample.from_list([[1.0], [2.0, 3.0]], [[1.0], [1.0]])
    with pytest.raises(DataTypeError, match=r"unit 1: outcomes must hold real numbers, got dtype <U1"):
        RaggedSample.from_list([[1.0], ["a"]])
    with pytest.raises(DataError, match=r"unit 1: weights contains missing values: the first is at position 0 \(index 0\), 1 in all"):
        RaggedSample.from_list([[1.0], [2.0]], [[1.0], np.ma.masked_array([1.0], [True])])
    with pytest.raises(DataError, match=r"weights must be finite: nan at position 1 \(unit 8\)"):  # the row, not the place once sorted
        RaggedSample.from_long([9, 8, 9], [1.0, 3.0, 2.0], [1.0, np.nan, 1.0])
    with pytest.raises(DataTypeError, match="weights must hold real numbers, got dtype <U1"):
        RaggedSample.from_long([9, 8, 9], [1.0, 3.0, 2.0], ["a", "b", "c"])
    with pytest.raises(DataError, match="no row"):
        RaggedSample.from_long(np.array([], dtype=int), [])


# ---- tables ----


def tables() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    labels = np.array([f"u{i:02d}" for i in range(len(X))])
    observations = {"unit": np.repeat(labels, 12), "z": np.concatenate(VALUES), "w": np.ones(12 * len(X))}
    return observations, {"unit": labels, "x": X, "t": (X >= 0.0) * 0.75, "g": np.arange(len(X)) // 3}


def test_from_frame_does_not_mind_the_order_of_rows() -> None:
    observations, units = tables()
    fit = R3D.from_frame(observations, units, settings=QUARTILES).fit(0.8)
    assert np.array_equal(fit.params, model().fit(0.8).params)
    rows, places = np.random.default_rng(2).permutation(len(observations["z"])), np.random.default_rng(3).permutation(len(X))
    shuffled = R3D.from_frame(
        {key: value[rows] for key, value in observations.items()}, {key: value[places] for key, value in units.items()}, settings=QUARTILES
    ).fit(0.8)
    assert_allclose(shuffled.params, fit.params, rtol=1e-12)
    assert_allclose(shuffled.bse, fit.bse, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:few degrees of freedom")
def test_from_frame_takes_pandas_frames() -> None:
    pandas = pytest.importorskip("pandas")
    observations, units = tables()
    columns = FrameColumns(weight="w", treatment="t", cluster="g")
    fit = R3D.from_frame(pandas.DataFrame(observations), pandas.DataFrame(units), columns=columns, settings=QUARTILES).fit(0.8)
    other = R3D.from_frame(observations, units, columns=columns, settings=QUARTILES).fit(0.8)
    assert np.array_equal(fit.params, other.params)
    assert fit.cov_type == "CR1"
    assert fit.denominator == pytest.approx(0.75)


# ---- which running variable belongs to which sample ----

N_TEXT = 300
TEXT = np.array([f"s{i}" for i in range(N_TEXT)])  # "s10" sorts before "s2"
TEXT_DATA = dgp1(N_TEXT, 25, 1.0, np.random.default_rng(21))
ASKED = R3DSettings(q_grid=(0.1, 0.5, 0.9))


def forms() -> dict[str, Any]:
    """The same units as samples and tables of quantiles that name them, in the orders that they come in."""
    order = np.random.default_rng(5).permutation(N_TEXT)
    named = RaggedSample(TEXT_DATA.outcomes.values, TEXT_DATA.outcomes.offsets, labels=TEXT)
    long = RaggedSample.from_long(np.repeat(TEXT, 25), TEXT_DATA.outcomes.values)
    return {
        "as they are": named,
        "of a long table": long,
        "shuffled": named.take(order),
        "quantiles": extract_quantiles([named], ASKED.q_grid),
        "quantiles, shuffled": extract_quantiles([named], ASKED.q_grid).take(order),
    }


@pytest.mark.parametrize("form", forms())
def test_outcomes_that_name_their_units_are_joined_by_label(form: str) -> None:
    """In whatever order: the figures of the list, which has the order of x; without labels no figure at all."""
    outcomes = forms()[form]
    right = R3D(TEXT_DATA.x, np.split(TEXT_DATA.outcomes.values, N_TEXT), settings=ASKED).fit(0.6)
    joined = R3D(TEXT_DATA.x, outcomes, settings=ASKED, labels=TEXT)
    assert np.array_equal(joined.fit(0.6).params, right.params)
    assert joined.outcomes.labels.tolist() == joined.labels.tolist() == TEXT.tolist()
    table = {"unit": TEXT, "x": TEXT_DATA.x}
    assert np.array_equal(R3D.from_frame(outcomes, table, settings=ASKED).fit(0.6).params, right.params)
    places = np.random.default_rng(6).permutation(N_TEXT)
    moved = R3D.from_frame(outcomes, {key: value[places] for key, value in table.items()}, settings=ASKED)
    assert_allclose(moved.fit(0.6).params, right.params, rtol=1e-10)
    with pytest.raises(DataError, match=r"outcomes name their units \(s\d+, .*300 in all.*labels=.*from_frame"):
        R3D(TEXT_DATA.x, outcomes, settings=ASKED)


def test_what_the_join_prevents() -> None:
    """Control: units in the order of their sorted labels against x in its own give another curve altogether."""
    right = R3D(TEXT_DATA.x, forms()["as they are"], settings=ASKED, labels=TEXT).fit(0.6)
    wrong = R3D(TEXT_DATA.x, forms()["of a long table"], settings=ASKED, labels=np.sort(TEXT)).fit(0.6)
    assert np.abs(wrong.params - right.params).max() > 0.3


def test_numbers_in_order_are_places_and_others_are_not() -> None:
    values, offsets = np.concatenate(VALUES), 12 * np.arange(62)
    plain = model().fit(0.8).params
    in_order = RaggedSample(values, offsets, labels=np.arange(61))
    assert np.array_equal(model(outcomes=in_order).fit(0.8).params, plain)
    assert np.array_equal(model(outcomes=RaggedSample(values, offsets)).fit(0.8).params, plain)
    for labels in (np.arange(61) + 1, np.arange(61)[::-1], np.arange(61).astype(str)):
        with pytest.raises(DataError, match="labels="):
            model(outcomes=RaggedSample(values, offsets, labels=labels))


def test_labels_of_a_list_are_its_names() -> None:
    names = np.array([f"u{i}" for i in range(61)])[::-1]
    made = model(labels=names)
    assert made.labels.tolist() == names.tolist()
    assert np.array_equal(made.fit(0.8).params, model().fit(0.8).params)
    assert R3D.from_quantiles(X, model().quantiles, settings=QUARTILES, labels=names).labels.tolist() == names.tolist()
    with pytest.raises(DataError, match=r"labels must be \(61,\)"):
        model(labels=names[:-1])
    with pytest.raises(DataError, match=r"finite: nan at position 3 \(unit u57\)"):
        model(labels=names, x=with_bad(X, 3, np.nan))


def test_labels_that_do_not_match() -> None:
    named = forms()["as they are"]
    fewer = np.where(np.arange(N_TEXT) < 7, np.array("t"), TEXT).astype("U4")
    with pytest.raises(DataError, match="labels must have one row per unit; repeated: t"):
        R3D(TEXT_DATA.x, named, labels=fewer)
    others = np.array([f"t{i}" if i < 7 else name for i, name in enumerate(TEXT)])
    both = r"not in labels: s0, s1, s2, s3, s4, ... \(7 in all\); units of labels without any observation: t0, t1, t2, t3, t4, ... \(7"
    with pytest.raises(DataError, match=both):
        R3D(TEXT_DATA.x, named, labels=others)
    with pytest.raises(DataTypeError, match="different kinds: <U4 in the outcomes, int64 in labels"):
        R3D(TEXT_DATA.x, named, labels=np.arange(N_TEXT))
    with pytest.raises(DataError, match=r"no labels, so they cannot be joined to the table of units.*labels="):
        R3D.from_frame(TEXT_DATA.outcomes, {"unit": np.arange(N_TEXT), "x": TEXT_DATA.x})


def test_bad_frames() -> None:
    observations, units = tables()
    with pytest.raises(ConfigError, match=r"observations has no column 'zz'.*'z'"):
        R3D.from_frame(observations, units, columns=FrameColumns(value="zz"))
    with pytest.raises(ConfigError, match="units has no column 'treat'"):
        R3D.from_frame(observations, units, columns=FrameColumns(treatment="treat"))
    with pytest.raises(ConfigError, match="column's name"):
        FrameColumns(unit=3)  # type: ignore[arg-type]
    fewer = {key: value[1:] for key, value in units.items()}
    with pytest.raises(DataError, match="not in the table of units: u00"):
        R3D.from_frame(observations, fewer)
    less = {key: value[12 * 7 :] for key, value in observations.items()}
    with pytest.raises(DataError, match=r"without any observation: u00, u01, u02, u03, u04, ... \(7 in all\)"):
        R3D.from_frame(less, units)
    twice = {key: np.concatenate([value, value[:1]]) for key, value in units.items()}
    with pytest.raises(DataError, match="one row per unit; repeated: u00"):
        R3D.from_frame(observations, twice)
    numbered = units | {"unit": np.arange(len(X))}
    with pytest.raises(DataTypeError, match="different kinds"):
        R3D.from_frame(observations, numbered)


def test_from_quantiles() -> None:
    table = model().quantiles
    fit = R3D.from_quantiles(X, table, np.full(len(X), 12), settings=QUARTILES).fit(0.8)
    assert np.array_equal(fit.params, model().fit(0.8).params)
    with pytest.raises(DataError, match="not decrease along a row; those of unit 5"):
        R3D.from_quantiles(X, np.where(np.arange(len(X))[:, None] == 5, table[:, ::-1], table), settings=QUARTILES)
    with pytest.raises(DataError, match=r"shape \(n, 3\)"):
        R3D.from_quantiles(X, table[:, :2], settings=QUARTILES)
    finer = UnitQuantiles(None, np.arange(1, 20) / 20, RaggedSample.from_list(VALUES).quantiles(np.arange(1, 20) / 20))
    assert np.array_equal(model(outcomes=finer).fit(0.8).params, fit.params)
    with pytest.raises(DataError, match=r"do not hold the levels 0.33"):
        model(outcomes=finer, settings=R3DSettings(q_grid=(0.25, 0.33))).fit(0.8)
    with pytest.raises(ConfigError, match="rule 'type7'"):
        model(outcomes=finer, settings=R3DSettings(q_grid=(0.25, 0.5), quantile_rule="inverted_cdf")).fit(0.8)


# ---- models ----


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": with_bad(X, 3, np.nan)}, DataError, r"running variable must be finite: nan at position 3 \(unit 3\)"),
        ({"x": X[:-1]}, DataError, r"shape \(61,\), got \(60,\)"),
        ({"x": X.astype(str)}, DataTypeError, "running variable must hold real numbers"),
        ({"cutoff": 5.0}, DataError, "no unit on the plus side of the cutoff 5: .*-1 to 1.*unit of the running variable"),
        ({"cutoff": -1.0}, DataError, "no unit on the minus side"),
        ({"cutoff": np.nan}, ConfigError, "cutoff must be a finite number"),
        ({"cutoff": "0"}, ConfigError, "cutoff must be a finite number"),
        ({"treatment": X}, DataError, r"in \[0, 1\]; unit 0 has -1"),
        ({"treatment": np.ones(61)}, DataError, "treatment is 1 in every unit"),
        ({"treatment": np.ones(60)}, DataError, r"treatment must have shape \(61,\)"),
        ({"x": X * 1j}, DataTypeError, "running variable must hold real numbers, got dtype complex128, from unit 0 on"),
        ({"x": with_bad(X.astype(object), 1, None)}, DataError, r"variable contains missing values: .*position 1 \(unit 1\), 1 in all"),
        ({"x": with_bad(X.astype(object), 2, Decimal(1))}, DataTypeError, r"dtype object; .*Decimal\('1'\) at unit 2"),
        ({"x": X.astype(object)}, DataTypeError, "dtype object; give the numbers as float64"),
        ({"x": np.ma.masked_array(X, X < -0.9)}, DataError, r"contains missing values: the first is at position 0 \(unit 0\), 3 in all"),
        ({"x": X[:, None]}, DataError, r"shape \(61,\), got \(61, 1\)"),
        ({"treatment": with_bad(0.5 * (X > 0.0), 7, np.nan)}, DataError, r"treatment must be finite: nan at position 7 \(unit 7\)"),
        ({"treatment": np.full(61, "yes")}, DataTypeError, "treatment must hold real numbers, got dtype <U3"),
        ({"treatment": with_bad((X > 0.0).astype(object), 1, None)}, DataError, r"treatment contains missing .*unit 1"),
        ({"cluster": with_bad(np.arange(61).astype(float), 4, np.nan)}, DataError, "cluster contains missing values: .*nan at position 4"),
        ({"cluster": np.ma.masked_array(np.arange(61), X == 0.0)}, DataError, "cluster contains missing values: .*position 30"),
        ({"cluster": ["a", 1] * 30 + ["a"]}, DataTypeError, "integers or text, got both .1 and 'a'."),
        ({"cluster": np.arange(60)}, DataError, "cluster must have one label for each of the 61 units, got 60"),
        ({"cluster": (X >= 0.0).astype(int)}, DataError, "plus side has 1 cluster"),
        ({"cluster": X}, DataTypeError, "cluster must be integers or text"),
        ({"settings": {"p": 1}}, ConfigError, "settings must be R3DSettings"),
    ],
)
def test_bad_models(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model(**change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q_grid": (0.0, 0.5)}, r"inside \(0, 1\), got 0"),
        ({"q_grid": (0.5, 1.2)}, r"inside \(0, 1\), got 1.2"),
        ({"q_grid": (0.5, 0.5)}, "increase strictly, got 0.5 before 0.5"),
        ({"q_grid": ()}, "at least one level"),
        ({"q_grid": "deciles"}, "must be numbers"),
        ({"method": "frechett"}, "no method 'frechett'.*'frechet'"),
        ({"kernel": "gaussian"}, "no kernel 'gaussian'"),
        ({"quantile_rule": "type_7"}, "no quantile_rule 'type_7'.*'type7'"),
        ({"projection_weights": "cells"}, "no projection_weights 'cells'.*'cell'"),
        ({"compat": "r3d"}, "no compat 'r3d': allowed: R3D"),
        ({"p": 1.5}, "p must be an integer"),
        ({"p": -1}, "p must be an integer from 0"),
        ({"s": 4}, "s must be an integer from 0 to 3"),
        ({"q_grid": (0.5,), "method": "simple", "compat": "R3D"}, "at least two levels"),
    ],
)
def test_bad_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        R3DSettings(**options)


FUZZY = {"treatment": (X >= 0.0) * 0.75}


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({}, {"bandwidth": 0.0}, ConfigError, "bandwidth must be positive and finite"),
        ({}, {"bandwidth": np.nan}, ConfigError, "bandwidth must be positive and finite"),
        ({}, {"bandwidth": "ismse"}, ConfigError, "no bandwidth 'ismse'.*'imse'"),
        ({}, {"bandwidth": "mse"}, ConfigError, "'frechet' takes one bandwidth"),
        ({}, {"bandwidth": [0.5, 0.6, 0.7]}, ConfigError, "'frechet' takes one bandwidth for all levels, got 3"),
        ({"method": "simple"}, {"bandwidth": [0.5, 0.6]}, ConfigError, "one for each of the 3 levels, got 2"),
        ({}, {"bandwidth": 0.5, "coverage_rule": True}, ConfigError, "of chosen bandwidths"),
        ({}, {"bandwidth": "rot", "regularise": False}, ConfigError, "no regularisation to leave out"),
        ({"compat": "R3D"}, {"regularise": False}, ConfigError, "no regularisation to leave out"),
        ({}, {"bandwidth": 0.5, "bandwidth_den": 0.5}, ConfigError, "there is none"),
        (FUZZY, {"bandwidth": 0.5, "bandwidth_den": -1.0}, ConfigError, "bandwidth_den must be positive"),
        (FUZZY, {"bandwidth": 0.5, "bandwidth_den": [0.5, 0.6]}, ConfigError, "bandwidth_den must be one number"),
        (FUZZY | {"method": "simple"}, {"bandwidth": [0.5, 0.6, 0.7]}, ConfigError, "give bandwidth_den"),
        ({}, {"cov_type": "HC1"}, ConfigError, "no cov_type 'HC1'"),
        ({}, {"cov_type": "CR1"}, ConfigError, "there are no clusters"),
        ({"cluster": np.arange(61) // 3}, {"cov_type": "HC3"}, ConfigError, "units are clustered: take 'CR0' or 'CR1'"),
        ({"compat": "R3D"}, {"cov_type": "HC3"}, ConfigError, "one covariance"),
        ({"compat": "R3D", "cluster": np.arange(61) // 3}, {}, ConfigError, "the R package, which knows no clusters: leave cluster out"),
        ({"compat": "R3D", "cluster": np.arange(61) // 3}, {"cov_type": "CR1"}, ConfigError, "knows no clusters"),
        ({}, {"bandwidth": 0.1}, DataError, r"too few units on the plus side: .*at least 4 .*got 3 at h = 0.1; h > 0.1 would do"),
        ({"method": "simple"}, {"bandwidth": [0.5, 0.6, 0.05]}, DataError, "plus side at q = 0.75"),
        ({"p": 5}, {"bandwidth": 0.15}, DataError, "order p = 5 needs at least 7"),
        ({"x": np.round(X)}, {"bandwidth": 0.9}, DataError, "distinct values"),
        ({"cluster": np.where(np.abs(X) < 0.5, X > 0.0, np.arange(61) + 2)}, {"bandwidth": 0.4}, DataError, r"side has 1 cluster\(s\)"),
    ],
)
def test_bad_fits(change: dict[str, Any], options: dict[str, Any], error: type[Exception], message: str) -> None:
    chosen = {key: change[key] for key in ("method", "p", "compat") if key in change}
    rest = {key: value for key, value in change.items() if key not in chosen}
    with pytest.raises(error, match=message):
        model(**rest, settings=R3DSettings(q_grid=QUARTILES.q_grid, **chosen)).fit(**options)


def test_the_smallest_bandwidth_named_would_do() -> None:
    """Of each side in turn: following the message twice leads to a fit."""
    h = 0.1
    for side, named in (("plus", 0.1), ("minus", 0.133333)):
        with pytest.raises(DataError, match=rf"{side} side.*h > {named:g} would do"):
            model().fit(h)
        h = named * (1 + 1e-5)
    assert model().fit(h, cov_type="HC0").n_eff == (5, 4)


def test_a_unit_that_determines_its_own_fit() -> None:
    """One unit apart from all others at order 1 and equal weights: its leverage is 1."""
    x = np.concatenate([np.full(20, 0.1), [0.9], -np.linspace(0.01, 1.0, 20)])
    values = [RNG.normal(0.0, 1.0, 50) for _ in x]
    made = R3D(x, values, settings=R3DSettings(q_grid=(0.5,), kernel="uniform", p=1))
    with pytest.warns(SciinfWarning, match="2 distinct values"):
        assert made.fit(1.0, cov_type="HC0").bse[0] > 0.0
    for cov_type in ("HC2", "HC3"):
        with pytest.raises(DataError, match=r"unit 20 on the plus side determines its own fit.*cov_type='HC0'"):
            made.fit(1.0, cov_type=cov_type)


@pytest.mark.filterwarnings("ignore:the running variable has")
def test_a_unit_that_determines_its_own_fit_at_one_bandwidth_of_several() -> None:
    x = np.concatenate([np.full(20, 0.1), [0.5], np.linspace(0.55, 1.0, 10), -np.linspace(0.01, 1.0, 20)])
    values = [RNG.normal(0.0, 1.0, 50) for _ in x]
    made = R3D(x, values, settings=R3DSettings(q_grid=(0.4, 0.6), method="simple", kernel="uniform", p=1))
    with pytest.raises(DataError, match="unit 20 on the plus side determines its own fit"):
        made.fit([0.9, 0.5])
    assert (made.fit([0.9, 0.8]).bse > 0.0).all()


def test_a_first_stage_with_too_few_values_of_the_running_variable() -> None:
    """Enough for the outcome at h = .9, not for the treatment at its own bandwidth."""
    x = np.where(np.abs(X) < 0.5, np.sign(X + 1e-9) * 0.2, X)
    made = model(x=x, treatment=(X >= 0.0) * 0.75)
    with pytest.raises(DataError, match=r"at least 3 distinct values .* on the plus side within h = 0\.45, got 1"):
        made.fit(0.9, bandwidth_den=0.45)


def test_no_jump_of_the_treatment() -> None:
    """The same treatment on both sides, mirrored: no jump, whatever the order."""
    share = np.abs(X)
    with pytest.raises(DataError, match=r"does not jump at the cutoff.*t = "):
        model(x=X - 1e-9, treatment=np.where(share > 0.5, 1.0, 0.0)).fit(0.9, bandwidth_den=0.4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit: fit.conf_band(0.05, n_draws=18), "n_draws must be an integer of at least 19"),
        (lambda fit: fit.conf_band(0.01, n_draws=50), "50 draws are too few for alpha = 0.01: at least 99"),
        (lambda fit: fit.conf_band(1.5), r"alpha must be a number inside \(0, 1\)"),
        (lambda fit: fit.conf_band(draws="gausian"), "no draws 'gausian'.*'gaussian'"),
        (lambda fit: fit.conf_band(xi=np.ones((5, 99))), "one row for each of the 61 units"),
        (lambda fit: fit.conf_band(seed=-1), "seed must be"),
        (lambda fit: fit.test_homogeneity([(0.4, 0.6)]), r"range \[0.4, 0.6\] holds 1 of the fit's quantile levels"),
        (lambda fit: fit.test_nullity([(0.6, 0.4)]), "low < high"),
        (lambda fit: fit.test_nullity("all"), "must be pairs"),
        (lambda fit: fit.average_effect([(0.25, 0.75)], simultaneous=True, use_t=True), "give one of the two"),
    ],
)
def test_bad_inference(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(model().fit(0.8))


def test_one_level_only() -> None:
    fit = model(settings=R3DSettings(q_grid=(0.5,))).fit(0.8)
    for call in (fit.test_homogeneity, fit.gini_test):
        with pytest.raises(ConfigError, match=r"at least (2|two)"):
            call()


def test_gini_of_a_negative_mean() -> None:
    fit = model(outcomes=[value - 50.0 for value in VALUES]).fit(0.8)
    with pytest.raises(DataError, match="positive mean; that of the plus side is -"):
        fit.gini_test()
    barely = model(outcomes=VALUES).fit(0.8)
    lowest = min(float(np.mean(curve)) for curve in (barely.m_plus, barely.m_minus))
    near_zero = model(outcomes=[value - lowest + 0.2 for value in VALUES]).fit(0.8)
    assert min(near_zero.m_plus.mean(), near_zero.m_minus.mean()) > 0.0  # the estimate has a coefficient, many draws have none
    with pytest.raises(DataError, match=r"\d+ of 999 draws have a mean that is not positive"):
        near_zero.gini_test(n_draws=999)


def test_warnings() -> None:
    data = dgp1(400, 5, 1.0, np.random.default_rng(3))
    with pytest.warns(SciinfWarning, match=r"units within the bandwidth have fewer than \d"):
        R3D(data.x, data.outcomes, settings=QUARTILES).fit(0.8)
    single = R3D(data.x, [[row] for row in data.x], settings=R3DSettings(q_grid=(0.5,)))
    single.fit(0.8, cov_type="HC0")  # one value per unit: classical, silent
    with pytest.warns(SciinfWarning, match=r"[89] distinct values among the 1[68]0 units of the \w+ side within"):
        R3D(np.repeat(np.linspace(-1.1, 1.0, 22), 20), [np.arange(30.0)] * 440, settings=QUARTILES).fit(0.8)
    noisy = np.where(np.random.default_rng(4).uniform(size=61) < 0.5 + 0.05 * (X >= 0.0), 1.0, 0.0)
    with pytest.warns(SciinfWarning, match="weak first stage"):
        model(treatment=noisy).fit(0.8)
    atoms = [np.round(RNG.poisson(1.0, 40)).astype(float) for _ in range(61)]
    with pytest.warns(SciinfWarning, match="atoms"):
        model(outcomes=atoms, settings=R3DSettings(q_grid=tuple(np.arange(1, 20) / 20))).fit(0.8)


def clean(n: int = 200, n_i: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Continuous data with a kink of curvature at the cutoff, so that no bandwidth is cut off, and with large units."""
    rng = np.random.default_rng(31)
    x = rng.uniform(-1.0, 1.0, n)
    level = np.where(x >= 0.0, 1.0 + 4.0 * x**2, -4.0 * x**2) + rng.normal(0.0, 0.2, n)
    return x, level[:, None] + rng.normal(0.0, 1.0, (n, n_i))


def fit_in_silence(x: np.ndarray, outcomes: Any, settings: R3DSettings, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert R3D(x, outcomes, settings=settings, **options).fit().notes == ()


@pytest.mark.parametrize("rule", ["type7", "inverted_cdf"])
@pytest.mark.parametrize("n_i", [20, 60])
def test_clean_data_are_silent(rule: Any, n_i: int) -> None:
    """Few values and 99 levels share order statistics by construction: no atoms. As samples and as tables, sharp and fuzzy."""
    x, values = clean(n_i=n_i)
    settings = R3DSettings(quantile_rule=rule)
    sample = RaggedSample.from_list(list(values))
    fit_in_silence(x, sample, settings)
    fit_in_silence(x, extract_quantiles([sample], settings.q_grid, rule), settings)
    fit_in_silence(x, sample, settings, treatment=np.where(x >= 0.0, 0.9, 0.1) + 0.1 * np.sin(x * 40.0))


@pytest.mark.parametrize("rule", ["type7", "inverted_cdf"])
def test_heavy_weights_are_no_atoms(rule: Any) -> None:
    """One value in ten with nearly all the weight spans many levels; rounded to whole numbers the values are atoms all the same."""
    x, values = clean()
    weights = np.where(np.arange(60) % 10 == 0, 50.0, 1.0) * np.ones_like(values)
    settings = R3DSettings(quantile_rule=rule)
    fit_in_silence(x, RaggedSample.from_list(list(values), list(weights)), settings)
    rounded = RaggedSample.from_list(list(np.round(values)), list(weights))
    with pytest.warns(R3DWarning, match="atoms: at"):
        R3D(x, rounded, settings=settings).fit()
    with pytest.warns(R3DWarning, match="atoms: at"):
        R3D(x, rounded.unweighted(), settings=settings).fit()


def test_mass_points_are_counted_within_the_bandwidth() -> None:
    """Forty places on a side, seven of them near: as few as seven for the fit."""
    x = np.tile(np.concatenate([-np.arange(1, 41), np.arange(40)]), 6).astype(float)
    values = np.random.default_rng(5).normal(0.0, 1.0, (480, 60))
    made = R3D(x, list(values), settings=QUARTILES)
    with pytest.warns(R3DWarning) as told:
        made.fit(6.5)
    ends = ("7 distinct values among the 42 units of the plus", "6 distinct values among the 36 units of the minus")
    assert [str(one.message).split(":")[0] for one in told] == [f"the running variable has {end} side within the bandwidth" for end in ends]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.fit(30.0)


def test_the_cap_of_the_treatment_s_bandwidth() -> None:
    """A treatment whose two sides are mirror images has no difference of curvature to bound its bandwidth; the outcome has one."""
    half = np.linspace(0.01, 1.0, 100)
    x = np.concatenate([-half, half])
    noise = np.tile(0.1 * np.sin(1e3 * half), 2)
    level = np.where(x >= 0.0, 4.0, -4.0) * x**2
    values = [u + np.linspace(0.0, 1.0, 30) for u in level + np.random.default_rng(3).normal(0.0, 0.2, 200)]
    made = R3D(x, values, treatment=np.where(x >= 0.0, 0.8, 0.2) + noise, settings=QUARTILES)
    with pytest.warns(R3DWarning, match="bandwidth of the treatment is cut off at the range of the shorter side"):
        made.fit(regularise=False)


# ---- missing values, types of labels, names of columns ----


def test_missing_values_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    observations, units = tables()
    frame = pandas.DataFrame(units)
    for name, column in (("x", pandas.array(X, dtype="Float64")), ("t", pandas.array((X > 0) * 1, dtype="Int64"))):
        column[3] = pandas.NA
        columns = FrameColumns(treatment="t")
        with pytest.raises(DataError, match=rf"\(units\['{name}'\]\) (contains missing|must be finite).*position 3 \(unit u03\)"):
            R3D.from_frame(observations, frame.assign(**{name: column}), columns=columns)
    labels = frame["unit"].astype("string")
    labels[2] = pandas.NA
    with pytest.raises(DataError, match=r"units\['unit'\] contains missing values: the first is at position 2"):
        R3D.from_frame(observations, frame.assign(unit=labels))
    long = pandas.DataFrame(observations)
    long["z"] = long["z"].astype("Float64").where(long.index != 14)
    with pytest.raises(DataError, match=r"observations\['z'\] (contains missing|must be finite).*position 14 \(unit u01\)"):
        R3D.from_frame(long, frame)


@pytest.mark.parametrize(
    ("table", "change", "error", "message"),
    [
        (1, {"x": with_bad(X, 3, np.nan)}, DataError, r"running variable \(units\['x'\]\) must be finite: nan at position 3 \(unit u03\)"),
        (1, {"x": np.ma.masked_array(X, X > 0.9)}, DataError, r"running variable \(units\['x'\]\) contains missing .*unit u58"),
        (1, {"t": np.full(61, "a")}, DataTypeError, r"treatment \(units\['t'\]\) must hold real numbers, got dtype <U1, from unit u00"),
        (1, {"g": np.arange(60)}, DataError, "cluster must have one label for each of the 61 units, got 60"),
        (1, {"x": X[:-1]}, DataError, r"running variable \(units\['x'\]\) must have shape \(61,\), got \(60,\)"),
        (0, {"z": np.full(732, "a")}, DataTypeError, r"observations\['z'\] must hold real numbers, got dtype <U1"),
        (0, {"w": with_bad(np.ones(732), 13, np.nan)}, DataError, r"observations\['w'\] must be finite: nan at position 13 \(unit u01\)"),
        (0, {"w": with_bad(np.ones(732), 13, -1.0)}, DataError, "weights must not be negative; unit u01 has -1"),
        (0, {"w": np.repeat(np.arange(61) != 5, 12) * 1.0}, DataError, "sum to 0; they do in: u05"),
        (0, {"w": np.full(732, "a")}, DataTypeError, r"observations\['w'\] must hold real numbers"),
        (0, {"unit": np.arange(731)}, DataError, r"observations\['z'\] must have shape \(731,\), got \(732,\)"),
    ],
)
def test_bad_columns_are_named(table: int, change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = list(tables())
    given[table] = given[table] | change
    with pytest.raises(error, match=message):
        R3D.from_frame(*given, columns=FrameColumns(weight="w", treatment="t", cluster="g"), settings=QUARTILES)


def test_labels_in_bytes_are_text(tmp_path: Path) -> None:
    """As HDF5 stores them; both as an array of bytes and as objects."""
    for labels in (np.array(["ä".encode(), b"b"]), np.array(["ä".encode(), b"b"], dtype=object)):
        sample = RaggedSample(np.arange(4.0), np.array([0, 2, 4]), labels=labels)
        assert sample.labels.tolist() == ["ä", "b"]
        table = extract_quantiles([sample], (0.5,))
        table.save(tmp_path / "table.h5")
        assert UnitQuantiles.load(tmp_path / "table.h5").labels.tolist() == ["b", "ä"]
    with pytest.raises(DataTypeError, match="not UTF-8"):
        RaggedSample(np.arange(2.0), np.array([0, 2]), labels=np.array([b"\xff"]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([2**63], dtype=np.uint64), "64 bits, signed"),
        (np.array([True]), "got dtype bool"),
        (np.array([1.5]), "not whole"),
        (np.array([1.5], dtype=object), "not whole"),
        (np.array([(1, 2)], dtype=[("a", int), ("b", int)]), "integers .* or text"),
        (np.array([Decimal(1)]), r"got Decimal\('1'\)"),
    ],
)
def test_labels_of_other_types(labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataTypeError, match=message):
        RaggedSample(np.arange(2.0), np.array([0, 2]), labels=labels)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"q_grid": (0.9, 0.1)}, ConfigError, "increase strictly, got 0.9 before 0.1"),
        ({"labels": np.array([3, 3])}, DataError, "only once; repeated: 3"),
        ({"labels": np.array([3])}, DataError, r"labels must be \(2,\)"),
        ({"rule": "type_7"}, ConfigError, "no quantile_rule 'type_7'"),
        ({"counts": np.array(["a", "b"])}, DataTypeError, "counts must hold real numbers"),
        ({"counts": np.array([5.0, 12.7])}, DataError, "positive integers, numbers of values; unit 1 has 12.7"),
        ({"counts": np.array([5, -3])}, DataError, "unit 1 has -3"),
        ({"means": np.array([np.nan, 1.0])}, DataError, r"means must be finite: nan at position 0 \(unit 0\)"),
        ({"quantiles": np.array([[0.0, np.nan], [0.0, 1.0]])}, DataError, "quantiles must be finite"),
    ],
)
def test_bad_tables_of_quantiles(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {"labels": np.arange(2), "q_grid": (0.1, 0.9), "quantiles": np.array([[0.0, 1.0], [0.0, 1.0]])}
    UnitQuantiles(**good)
    with pytest.raises(error, match=message):
        UnitQuantiles(**(good | change))


def test_compat_has_one_kind_of_projection_weights() -> None:
    assert R3DSettings(compat="R3D", projection_weights="cell").projection_weights == "equal"
