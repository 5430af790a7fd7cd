"""Contractions of third and fourth moments against full tensors, and their invariances."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sciinf.engines.pn import contractions
from sciinf.engines.pn.contractions import third_by_entries, third_by_rows, third_contractions
from sciinf.engines.pn.moments import Contractions, DenseMoments, GaussianMoments, NodeMoments

NAMES = tuple("abcdefgh")


def by_tensors(nodes: np.ndarray, weights: np.ndarray, truth: np.ndarray, share: np.ndarray) -> Contractions:
    """Written out from the definition: cumulant tensors of orders three and four, contracted by the inverse information."""
    mean = weights @ nodes
    c = nodes - mean
    g = np.einsum("n,na,nb->ab", weights, c, c)
    k3 = np.einsum("n,na,nb,nc->abc", weights, c, c, c)
    k4 = np.einsum("n,na,nb,nc,nd->abcd", weights, c, c, c, c)
    k4 -= np.einsum("ab,cd->abcd", g, g) + np.einsum("ac,bd->abcd", g, g) + np.einsum("ad,bc->abcd", g, g)
    t = truth - mean
    sigma, kt = np.einsum("n,na,nb->ab", share, t, t), np.einsum("n,na,nb,nc->abc", share, t, t, t)
    inverse = np.linalg.inv(g)
    s = inverse @ sigma @ inverse
    v = np.einsum("abe,ab->e", k3, s)
    return Contractions(
        float(np.trace(inverse @ sigma)), float(v @ inverse @ v), float(np.einsum("ace,bdf,ab,cd,ef->", k3, k3, s, s, inverse)),
        float(np.einsum("abcd,ab,cd->", k4, s, s)), float(np.einsum("abc,def,ad,be,cf->", k3, kt, inverse, inverse, inverse)),
    )  # fmt: skip


def close(one: Contractions, other: Contractions, tolerance: float) -> None:
    for name in ("trace", "A1", "A2", "K4", "B"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=tolerance, abs=tolerance), name


def sets(p: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Skewed nodes with weights, and a truth of the same mean."""
    rng = np.random.default_rng(seed)
    nodes, weights = rng.gamma(1.5, size=(60 * p, p)), rng.dirichlet(np.ones(60 * p))
    truth, share = rng.gamma(0.7, size=(40 * p, p)), rng.dirichlet(np.ones(40 * p))
    return nodes, weights, truth + (weights @ nodes - share @ truth), share


@pytest.mark.parametrize("p", [1, 2, 5, 13])
def test_nodes_against_tensors(p: int) -> None:
    nodes, weights, truth, share = sets(p, p)
    found = NodeMoments.of(nodes, weights, tuple(str(k) for k in range(p)))
    close(found.contract(truth, share), by_tensors(nodes, weights, truth, share), 1e-10)
    close(found.contract(), by_tensors(nodes, weights, nodes, weights), 1e-10)


def test_dense_against_tensors() -> None:
    nodes, weights, truth, share = sets(2, 7)
    mean = weights @ nodes
    c = nodes - mean
    g = np.einsum("n,na,nb->ab", weights, c, c)
    k4 = np.einsum("n,na,nb,nc,nd->abcd", weights, c, c, c, c)
    k4 -= np.einsum("ab,cd->abcd", g, g) + np.einsum("ac,bd->abcd", g, g) + np.einsum("ad,bc->abcd", g, g)
    dense = DenseMoments(mean, g, np.einsum("n,na,nb,nc->abc", weights, c, c, c), k4, NAMES[:2])
    close(dense.contract(truth, share), by_tensors(nodes, weights, truth, share), 1e-10)
    assert_allclose(dense.shares(truth, share).sum(), dense.contract(truth, share).trace, rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_normal_closed_form_against_tensors(d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.gamma(1.0, size=(80, d)) @ rng.standard_normal((d, d))
    share = rng.dirichlet(np.ones(80))
    mean = share @ x
    cov = np.einsum("n,na,nb->ab", share, x - mean, x - mean)
    axis, weight = np.polynomial.hermite_e.hermegauss(6)  # exact to degree 11: fourth cumulants of squares are of degree 8
    grid = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weights = np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * d, indexing="ij"), axis=-1).reshape(-1, d), axis=1)
    nodes = grid @ np.linalg.cholesky(cov).T + mean
    i, j = np.triu_indices(d)

    def statistics(points: np.ndarray) -> np.ndarray:
        return np.hstack([points, points[:, i] * points[:, j]])

    gaussian = GaussianMoments(mean, cov)
    close(gaussian.contract(statistics(x), share), by_tensors(statistics(nodes), weights, statistics(x), share), 1e-8)
    close(gaussian.contract(), by_tensors(statistics(nodes), weights, statistics(nodes), weights), 1e-8)
    assert_allclose(
        gaussian.fisher, NodeMoments.of(statistics(nodes), weights, tuple(map(str, range(len(i) + d)))).fisher, rtol=1e-9, atol=1e-9
    )
    assert_allclose(gaussian.shares(statistics(x), share).sum(), gaussian.contract(statistics(x), share).trace, rtol=1e-12)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (37, 2), (37, 3), (1500, 9), (2049, 23)])
def test_entries_against_inner_products(n: int, p: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    one, two = ((rng.standard_normal((size, p)), rng.standard_normal(size)) for size in (n, 2 * n))
    scale, ones = rng.random(p), np.ones(p)
    tensor, other = (np.einsum("n,na,nb,nc->abc", weights, rows, rows, rows) for rows, weights in (one, two))
    exact = np.einsum("abc,abc,a,b->", tensor, tensor, scale, scale)
    for most in (2**21, 100):  # all entries at a time, and a few b at a time
        monkeypatch.setattr(contractions, "_ENTRIES", most)
        for way in (third_by_entries, third_by_rows, third_contractions):
            assert_allclose(way(one, scale, two), (exact, np.sum(tensor * other)), rtol=1e-9)
            assert_allclose(way(one, scale), (exact, np.sum(tensor**2)), rtol=1e-9)
            assert_allclose(way(one, ones), [np.sum(tensor**2)] * 2, rtol=1e-9)


def test_the_cheaper_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows of many columns by inner products, many rows by entries."""
    taken = []
    monkeypatch.setattr(contractions, "third_by_rows", lambda *_: taken.append("rows") or (0.0, 0.0))
    monkeypatch.setattr(contractions, "third_by_entries", lambda *_: taken.append("entries") or (0.0, 0.0))
    for n, p in ((500, 100), (20_000, 40), (20_000, 80), (60, 5)):
        third_contractions((np.zeros((n, p)), np.zeros(n)), np.ones(p))
    assert taken == ["rows", "entries", "entries", "entries"]


@pytest.mark.parametrize(("n", "p", "most"), [(2000, 150, 128), (20_000, 80, 64)])
def test_memory(n: int, p: int, most: int) -> None:
    """Peak above the inputs in MiB; p^4 numbers would be 3.9 GB at p = 150."""
    rng = np.random.default_rng(0)
    rows, weights, scale = rng.standard_normal((n, p)), np.full(n, 1.0 / n), rng.random(p)
    third_by_entries((rows[:10], weights[:10]), scale)  # compiled code is loaded before the count
    for way in (third_contractions, third_by_entries):
        tracemalloc.start()
        way((rows, weights), scale, (rows, weights**2))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= most * 2**20


def test_memory_of_a_risk() -> None:
    """Whitening, its check and all contractions, at p = 150 and n = 2000: at most 128 MiB above the nodes."""
    rng = np.random.default_rng(0)
    statistics, weights = rng.gamma(2.0, size=(2000, 150)), np.full(2000, 1.0 / 2000)
    NodeMoments.of(statistics[:400], np.full(400, 1.0 / 400), tuple(map(str, range(150)))).contract()
    tracemalloc.start()
    NodeMoments.of(statistics, weights, tuple(map(str, range(150)))).contract(statistics, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 128 * 2**20


@given(st.integers(0, 10_000))
def test_affine_maps_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes, weights, truth, share = sets(3, seed)
    left, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    right, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    turn, shift = left @ np.diag([1.0, 30.0, 1e3]) @ right, rng.standard_normal(3)
    before = NodeMoments.of(nodes, weights, NAMES[:3]).contract(truth, share)
    after = NodeMoments.of(nodes @ turn + shift, weights, NAMES[:3]).contract(truth @ turn + shift, share)
    close(before, after, 1e-8)


def test_row_order_changes_nothing() -> None:
    nodes, weights, truth, share = sets(5, 3)
    order = np.random.default_rng(0).permutation(len(nodes))
    before = NodeMoments.of(nodes, weights, NAMES[:5]).contract(truth, share)
    after = NodeMoments.of(nodes[order], weights[order], NAMES[:5]).contract(truth, share)
    close(before, after, 1e-12)


def test_independent_blocks_add_up() -> None:
    one, other = sets(2, 11), sets(1, 12)
    first, second = len(one[0]), len(other[0])
    rows = np.hstack([np.repeat(one[0], second, axis=0), np.tile(other[0], (first, 1))])
    weights = np.repeat(one[1], second) * np.tile(other[1], first)
    both = NodeMoments.of(rows, weights, NAMES[:3]).contract()
    parts = [NodeMoments.of(item[0], item[1], NAMES[: item[0].shape[1]]).contract() for item in (one, other)]
    for name in ("A1", "A2", "K4", "b", "optimism"):
        assert getattr(both, name) == pytest.approx(sum(getattr(part, name) for part in parts), rel=1e-8), name


def test_a_true_model_has_its_own_third_moment() -> None:
    nodes, weights, _, _ = sets(4, 5)
    found = NodeMoments.of(nodes, weights, NAMES[:4]).contract()
    assert pytest.approx(found.A2, rel=1e-12) == found.B
    assert found.b == pytest.approx((9.0 * found.A1 + 10.0 * found.A2 - 9.0 * found.K4) / 24.0, rel=1e-12)
    assert found.optimism == pytest.approx(0.5 * (found.A1 + found.A2 - found.K4), rel=1e-12)
