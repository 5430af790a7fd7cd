"""The Posterior: what it accepts, what it refuses, its statistics and its content hash."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from typing import Any

import numpy as np
import pytest

from sciinf.core.errors import ConfigError, DataError, DataTypeError
from sciinf.results.posterior import Posterior


def make(**changes: Any) -> Posterior:
    fields: dict[str, Any] = {
        "samples": np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [5.0, 0.0]]),
        "log_weights": np.log([1.0, 2.0, 1.0, 4.0]),
        "log_likelihood": np.array([-3.0, -1.0, -2.0, -4.0]),
        "log_prior": np.array([0.0, -3.0, 0.0, 0.0]),
        "names": ("a", "b_1"),
    }
    return Posterior(**(fields | changes))


def test_arrays_are_read_only_copies_also_after_unpickling() -> None:
    source = np.zeros((4, 2))
    posterior = make(samples=source, run=np.zeros(4, dtype=int))
    source[0, 0] = 99.0
    assert posterior.samples[0, 0] == 0.0
    copy = pickle.loads(pickle.dumps(posterior))
    for item in (posterior, copy):
        for name in ("samples", "log_weights", "log_likelihood", "log_prior", "derived", "run"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(item, name)[0] = 1
    assert copy.content_hash() == posterior.content_hash()
    with pytest.raises(dataclasses.FrozenInstanceError):
        posterior.status = "ok"  # type: ignore[misc]


def test_weights_are_normalised_and_defaults_filled_in() -> None:
    posterior = make()
    assert np.allclose(posterior.weights, [0.125, 0.25, 0.125, 0.5], rtol=1e-15)
    assert posterior.latex == ("a", r"b\_1")
    assert posterior.units == ("", "")
    assert posterior.derived.shape == (4, 0)
    assert (posterior.n_dim, len(posterior), posterior.is_mcmc, posterior.is_weighted) == (2, 4, False, True)


def test_statistics_by_hand() -> None:
    posterior = make()
    mean = [0.25 + 0.25 + 2.5, 0.125 + 0.75 + 0.25]
    assert np.allclose(posterior.mean(), mean, rtol=1e-14)
    free = 1.0 - (0.125**2 * 2 + 0.25**2 + 0.5**2)
    covariance = (posterior.weights[:, None] * (posterior.samples - mean)).T @ (posterior.samples - mean) / free
    assert np.allclose(posterior.covariance(), covariance, rtol=1e-13)
    assert np.allclose(posterior.std(), np.sqrt(np.diag(covariance)), rtol=1e-13)
    assert posterior.ess == pytest.approx(1.0 / (0.125**2 * 2 + 0.25**2 + 0.5**2))
    assert posterior.best == 2  # largest sum of both columns, not of one
    assert posterior.quantile(0.5).shape == (2,)
    assert posterior.quantile([0.1, 0.5, 0.9]).shape == (3, 2)
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        posterior.quantile(1.5)


def test_points_of_zero_weight_do_not_enter() -> None:
    posterior = make(log_weights=[0.0, 0.0, 0.0, -np.inf], derived=[[1.0], [2.0], [3.0], [np.nan]], derived_names=("d",))
    plain = posterior.samples[:3]
    assert np.allclose(posterior.mean(), plain.mean(axis=0), rtol=1e-14)
    assert np.allclose(posterior.std(), plain.std(axis=0, ddof=1), rtol=1e-14)
    assert np.allclose(posterior.quantile([0.2, 0.7]), np.quantile(plain, [0.2, 0.7], axis=0), rtol=1e-14)
    row = posterior.summary()["d"]
    assert (row.mean, row.median) == pytest.approx((2.0, 2.0))


def test_equal_weight_samples() -> None:
    rng = np.random.default_rng(1)
    flat = make(log_weights=np.zeros(4), derived=[[1.0], [2.0], [3.0], [4.0]], derived_names=("d",))
    assert np.array_equal(flat.equal_weight(rng), flat.samples)
    assert flat.equal_weight(rng, derived=True).shape == (4, 3)
    weighted = make()
    drawn = weighted.equal_weight(rng, 8000)
    copies = [np.count_nonzero((drawn == row).all(axis=1)) for row in weighted.samples]
    assert np.all(np.abs(np.array(copies) - [1000, 2000, 1000, 4000]) <= 1)  # systematic resampling: off by one at most
    assert weighted.equal_weight(rng).shape == (4, 2)
    with pytest.raises(ConfigError, match="size"):
        weighted.equal_weight(rng, 0)


def test_equal_weight_keeps_the_mean(nested: Posterior) -> None:
    """Mean of 4,000 resampled points within 5 standard errors of the weighted mean (resampling noise only)."""
    drawn = nested.equal_weight(np.random.default_rng(2), 4000)
    assert np.all(np.abs(drawn.mean(axis=0) - nested.mean()) < 5.0 * nested.std() / np.sqrt(4000))


def test_ess_of_chains_is_shortened_by_correlation(chains: Posterior) -> None:
    """AR(1) with rho = 0.7: tau = (1 + rho) / (1 - rho) = 17/3 per parameter; the slowest of two, with 10 % noise on 8,000 draws."""
    assert chains.ess == pytest.approx(8000 / (17 / 3), rel=0.15)


def test_column_by_name(chains: Posterior) -> None:
    assert np.array_equal(chains.column("beta"), chains.samples[:, 1])
    assert np.array_equal(chains.column("total"), chains.derived[:, 0])
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        chains.column("betta")


def test_content_hash_covers_names_and_numbers_only() -> None:
    base = make(log_evidence=-3.0, chain=[0, 0, 1, 1], draw=[0, 1, 0, 1])
    same = make(
        log_evidence=-3.0, chain=[0, 0, 1, 1], draw=[0, 1, 0, 1], latex=("A", "B"), units=("m", "s"), meta={"k": 1}, status="not_converged"
    )
    assert base.content_hash() == same.content_hash()
    samples = base.samples.copy()
    samples[3, 1] = np.nextafter(0.0, 1.0)
    different = [
        dataclasses.replace(base, samples=samples),
        dataclasses.replace(base, names=("a", "c")),
        dataclasses.replace(base, log_evidence=-3.0000000000000004),
        dataclasses.replace(base, log_evidence=None),
        dataclasses.replace(base, log_prior=np.array([0.0, -3.0, 0.0, -0.0])),
        dataclasses.replace(base, chain=[0, 0, 1, 2]),
        dataclasses.replace(base, information=0.0),
        dataclasses.replace(base, run=[0, 0, 0, 0]),
    ]
    assert len({item.content_hash() for item in [base, *different]}) == len(different) + 1


def test_content_hash_is_stable_and_blind_to_memory_layout() -> None:
    base = make()
    turned = make(samples=np.asfortranarray(base.samples).astype(">f8"), log_weights=base.log_weights.astype(">f8"))
    assert turned.content_hash() == base.content_hash()
    # by hand from the encoding that core.fingerprint documents: guards the order of the fields
    field = lambda tag, body: tag + str(len(body)).encode() + b":" + body  # noqa: E731
    array = lambda a: field(b"A", f"{a.dtype.str}{a.shape}".encode() + b":" + a.tobytes())  # noqa: E731
    names = field(b"L", field(b"S", b"a") + field(b"S", b"b_1"))
    parts = [field(b"S", b"posterior"), field(b"I", b"1"), names, field(b"L", b"")]
    parts += [array(a) for a in (base.samples, base.log_weights, base.log_likelihood, base.log_prior, base.derived)]
    assert base.content_hash() == hashlib.sha256(b"".join([*parts, *[field(b"N", b"")] * 10])).hexdigest()


def test_meta_is_copied_and_json_able() -> None:
    meta = {"seed": np.int64(3), "range": (0.0, np.float64(1.0)), "grid": np.arange(2)}
    assert make(meta=meta).meta == {"seed": 3, "range": [0.0, 1.0], "grid": [0, 1]}
    with pytest.raises(DataError, match="JSON"):
        make(meta={"object": object()})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"samples": np.zeros((4, 3))}, DataError, r"samples must have shape \(n, 2\).*\(4, 3\)"),
        ({"samples": np.zeros((0, 2))}, DataError, "n >= 1"),
        ({"samples": [[0, 1], [0, np.nan], [0, 0], [0, 0]]}, DataError, r"samples\[1\] has b_1 = nan"),
        ({"samples": [["x", "y"]] * 4}, DataTypeError, "samples must hold real numbers"),
        ({"log_weights": np.zeros(3)}, DataError, r"log_weights must have shape \(4,\), got \(3,\)"),
        ({"log_weights": np.full(4, -np.inf)}, DataError, "no point carries weight"),
        ({"log_likelihood": [0.0, np.nan, 0.0, 0.0]}, DataError, r"log_likelihood\[1\] = nan"),
        ({"log_prior": [0.0, 0.0, np.inf, 0.0]}, DataError, r"log_prior\[2\] = inf"),
        ({"log_prior": None}, DataError, "log_prior"),
        ({"names": ("a",)}, DataError, "samples"),
        ({"names": "ab"}, DataError, "names must be a sequence"),
        ({"names": ("a", "a")}, DataError, "differ"),
        ({"latex": ("a",)}, DataError, "latex must have one entry"),
        ({"units": ("a",)}, DataError, "units must have one entry"),
        ({"derived": np.zeros((4, 1))}, DataError, r"derived must have shape \(4, 0\)"),
        ({"derived_names": ("d",)}, DataError, r"derived must have shape \(4, 1\)"),
        ({"chain": [0, 0, 0, 0]}, DataError, "chain and draw"),
        ({"chain": [0.0, 0.0, 0.0, 0.0], "draw": [0, 1, 2, 3]}, DataTypeError, "chain must hold integers"),
        ({"n_live": [1, 2, 3]}, DataError, "n_live must have shape"),
        ({"run": [0, 0, -1, 0]}, DataError, r"run\[2\] = -1"),
        ({"birth_log_likelihood": np.zeros(5)}, DataError, "birth_log_likelihood must have shape"),
        ({"log_evidence": np.nan}, DataError, "log_evidence must be"),
        ({"status": "fine"}, DataError, "status must be one of ok, not_converged, missed_mode"),
    ],
)
def test_refuses_and_names_the_field(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**changes)
