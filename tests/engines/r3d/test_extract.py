"""Extraction in chunks: the same bytes however it was done, few chunks at a time, and what is refused."""

from __future__ import annotations

import sys
import threading
import types
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sciinf.core.errors import ConfigError, DataError, DataTypeError, MissingDependencyError
from sciinf.engines.r3d import FrameColumns, RaggedSample, UnitQuantiles, extract, extract_quantiles
from sciinf.engines.r3d.simulate import dgp1

DECILES = tuple(k / 10 for k in range(1, 10))
DATA = dgp1(120, np.random.default_rng(1).integers(5, 60, 120), 1.0, np.random.default_rng(2))
LABELS = np.random.default_rng(3).permutation(1000)[:120]
SAMPLE = RaggedSample(DATA.outcomes.values, DATA.outcomes.offsets, np.random.default_rng(4).uniform(size=len(DATA.outcomes.values)), LABELS)
COLUMNS = FrameColumns(unit="firm", value="wage", weight="hours", running_variable="not read")
FIELDS = ("labels", "quantiles", "counts", "means", "weight_sums")


def chunks(sample: RaggedSample, n: int) -> list[RaggedSample]:
    return [sample.take(rows) for rows in np.array_split(np.random.default_rng(n).permutation(sample.n_units), n)]


def table_of(sample: RaggedSample) -> dict[str, np.ndarray]:
    """Long table of a sample, its rows shuffled unit by unit: values of a unit stay in their order."""
    assert sample.labels is not None
    assert sample.weights is not None
    unit = np.repeat(sample.labels, sample.sizes)
    keys = np.random.default_rng(len(unit)).uniform(size=len(unit))
    for i in range(sample.n_units):
        keys[sample.offsets[i] : sample.offsets[i + 1]].sort()
    rows = np.argsort(keys)
    return {"firm": unit[rows], "wage": sample.values[rows], "hours": sample.weights[rows]}


def tables(n: int) -> list[dict[str, np.ndarray]]:
    return [table_of(chunk) for chunk in chunks(SAMPLE, n)]


def assert_same(one: UnitQuantiles, other: UnitQuantiles) -> None:
    for name in FIELDS:
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert one.input_hash == other.input_hash


WHOLE = extract_quantiles([SAMPLE], DECILES)


# ---- the same bytes ----


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("rule", ["type7", "inverted_cdf"])
def test_any_chunks_and_workers_give_the_same_bytes(weighted: bool, rule: Any) -> None:
    sample = SAMPLE if weighted else SAMPLE.unweighted()
    whole = extract_quantiles([sample], DECILES, rule)
    assert_array_equal(whole.labels, np.sort(LABELS))
    assert_array_equal(whole.quantiles, sample.quantiles(DECILES, rule)[np.argsort(LABELS)])
    with ThreadPoolExecutor(2) as pool:
        for n, workers in ((3, 1), (7, 2), (60, 3), (5, pool)):
            assert_same(extract_quantiles(iter(chunks(sample, n)), DECILES, rule, workers), whole)


def test_tables_and_other_processes_give_the_same_bytes() -> None:
    assert_same(extract_quantiles(tables(5), DECILES, columns=COLUMNS), WHOLE)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert_same(extract_quantiles(iter(tables(3)), DECILES, workers=pool, columns=COLUMNS), WHOLE)
        with pytest.raises(DataError, match=r"a chunk: values must be finite: nan at position 1 \(unit 5\)"):
            extract_quantiles([{"unit": [4, 5], "z": [1.0, np.nan]}], DECILES, workers=pool)


def test_the_input_s_hash_is_of_the_input() -> None:
    """A value, a weight, a label, no weights: each gives another; levels and rule give the same, their input is."""
    values, weights = SAMPLE.values.copy(), np.array(SAMPLE.weights)
    values[7] = np.nextafter(values[7], np.inf)
    weights[7] *= 1.5
    others = [
        RaggedSample(values, SAMPLE.offsets, SAMPLE.weights, LABELS),
        RaggedSample(SAMPLE.values, SAMPLE.offsets, weights, LABELS),
        RaggedSample(SAMPLE.values, SAMPLE.offsets, SAMPLE.weights, LABELS + 1),
        SAMPLE.unweighted(),
    ]
    hashes = [extract_quantiles([other], DECILES).input_hash for other in others]
    assert len({WHOLE.input_hash, *hashes}) == 5
    assert extract_quantiles([SAMPLE], (0.5,), "inverted_cdf").input_hash == WHOLE.input_hash


def test_the_input_s_hash_does_not_mind_the_order_of_rows() -> None:
    rows = np.random.default_rng(8).permutation(len(SAMPLE.values))
    long = {name: column[rows] for name, column in table_of(SAMPLE).items()}
    assert extract_quantiles([long], DECILES, columns=COLUMNS).input_hash == WHOLE.input_hash


def mixed(bits: int) -> int:
    """SplitMix64's finaliser, in whole numbers."""
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
    return bits ^ bits >> 31


@pytest.mark.parametrize("weighted", [True, False])
def test_digests_are_those_of_a_slow_twin(weighted: bool) -> None:
    assert mixed(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # SplitMix64's first output for seed 0, by its authors
    sample = SAMPLE.take(np.arange(5)) if weighted else SAMPLE.take(np.arange(5)).unweighted()
    values = sample.values.view(np.uint64).tolist()
    weights = np.asarray(sample.weights).view(np.uint64).tolist() if weighted else []
    for i, found in enumerate(extract._digests(sample).tolist()):
        words = [mixed((values[j] + 0x9E3779B97F4A7C15) % 2**64) for j in range(sample.offsets[i], sample.offsets[i + 1])]
        if weighted:
            others = [mixed((weights[j] + 0xD1B54A32D192ED03) % 2**64) for j in range(sample.offsets[i], sample.offsets[i + 1])]
            words = [mixed(one ^ other) for one, other in zip(words, others, strict=True)]
        assert found == [sum(words) % 2**64, sum(word * (word >> 32) for word in words) % 2**64]


# ---- Dask ----

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """One worker with two threads, in this process."""
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as made:
        yield made


class LazyFrame:
    """What is asked of a Dask DataFrame, which itself needs pyarrow."""

    def __init__(self, parts: list[Any], columns: tuple[str, ...], index: str | None = None) -> None:
        self.parts, self.columns, self.index = parts, columns, types.SimpleNamespace(name=index)

    def __getitem__(self, columns: list[str]) -> LazyFrame:
        return LazyFrame([dask.delayed(lambda part: {name: part[name] for name in columns})(part) for part in self.parts], tuple(columns))

    def reset_index(self) -> LazyFrame:
        assert self.index.name is not None
        return LazyFrame(self.parts, (self.index.name, *self.columns))

    def to_delayed(self) -> list[Any]:
        return [dask.delayed(part) for part in self.parts]


def lazy(n: int, index: str | None = None) -> LazyFrame:
    parts = [table | {"other": np.zeros(len(table["firm"]))} for table in tables(n)]
    empty = {name: column[:0] for name, column in parts[0].items()}
    return LazyFrame([*parts, empty], tuple(name for name in parts[0] if name != index), index)


def test_a_dask_client_gives_the_same_bytes(client: Any) -> None:
    for n in (1, 7):
        assert_same(extract_quantiles(iter(chunks(SAMPLE, n)), DECILES, workers=client), WHOLE)
    assert_same(extract_quantiles(lazy(4), DECILES, workers=client, columns=COLUMNS), WHOLE)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("index", [None, "firm"])
def test_the_partitions_of_a_lazy_frame_are_chunks(workers: int, index: str | None) -> None:
    assert_same(extract_quantiles(lazy(4, index), DECILES, workers=workers, columns=COLUMNS), WHOLE)
    with ThreadPoolExecutor(2) as pool:
        assert_same(extract_quantiles(lazy(4, index), DECILES, workers=pool, columns=COLUMNS), WHOLE)


def test_what_partitions_share_is_done_once() -> None:
    """As the exchange of rows by which a shuffle brings units together."""
    done: list[int] = []
    shared = dask.delayed(lambda: done.append(1) or tables(4))()
    frame = LazyFrame([dask.delayed(lambda every, i: every[i])(shared, i) for i in range(4)], ("firm", "wage", "hours"))
    assert_same(extract_quantiles(frame, DECILES, columns=COLUMNS), WHOLE)
    assert done == [1]


def test_a_unit_in_two_partitions(client: Any) -> None:
    parts = tables(4)
    again = {name: column[:1] for name, column in parts[1].items()}
    message = rf"unit {again['firm'][0]} is in partition 1 and in partition 4: .*\(1 such units.*shuffle"
    for workers in (1, client):
        with pytest.raises(DataError, match=message):
            extract_quantiles(LazyFrame([*parts, again], tuple(again)), DECILES, workers=workers, columns=COLUMNS)


def test_a_lazy_frame_without_the_column() -> None:
    with pytest.raises(ConfigError, match=r"the Dask DataFrame has no column 'wages' \(value\).*'wage'"):
        extract_quantiles(lazy(2), DECILES, columns=FrameColumns(unit="firm", value="wages"))


def test_a_client_that_is_closed() -> None:
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        made = distributed.Client(cluster)
        made.close()
    with pytest.raises(ConfigError, match="the Dask client is closed"):
        extract_quantiles([SAMPLE], DECILES, workers=made)


def test_a_real_dask_frame(client: Any) -> None:
    frames = pytest.importorskip("dask.dataframe", reason="Dask's data frames need pyarrow")
    pandas = pytest.importorskip("pandas")
    whole = pandas.DataFrame(table_of(SAMPLE))
    divided = frames.from_pandas(whole, npartitions=5).shuffle("firm")
    for workers in (1, client):
        found = extract_quantiles(divided, DECILES, workers=workers, columns=COLUMNS)
        assert_array_equal(found.quantiles, WHOLE.quantiles)  # a shuffle may reorder a unit's rows: means to the last bits only
    indexed = frames.from_pandas(whole.set_index("firm").sort_index(kind="stable"), npartitions=5)
    assert_same(extract_quantiles(indexed, DECILES, columns=COLUMNS), WHOLE)
    spelled = whole.assign(firm="n" + whole["firm"].astype(str))
    named = extract_quantiles(frames.from_pandas(spelled, npartitions=3).shuffle("firm"), DECILES, workers=2, columns=COLUMNS)
    assert named.labels.tolist() == sorted(f"n{label}" for label in LABELS)
    with pytest.raises(DataError, match=r"unit \d+ is in partition \d and in partition \d"):
        extract_quantiles(frames.from_pandas(whole, npartitions=5), DECILES, columns=COLUMNS)


# ---- Parquet ----


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow as far as it is asked for, over NumPy archives: what stands behind is tested where pyarrow is installed."""

    class Column(np.ndarray):
        def to_numpy(self) -> np.ndarray:
            return np.asarray(self)

    class Archive(dict[str, np.ndarray]):
        def column(self, name: str) -> Any:
            return self[name].view(Column)

    def opened(path: Path) -> Any:
        if not path.exists():
            raise FileNotFoundError(f"/secret/place/{path.name}")
        return np.load(path)

    def read_table(path: Path, columns: list[str], use_threads: bool) -> Archive:
        assert use_threads is False  # threads are the caller's choice
        return Archive({name: opened(path)[name] for name in columns})

    arrow, parquet = types.ModuleType("pyarrow"), types.ModuleType("pyarrow.parquet")
    arrow.ArrowException = type("ArrowException", (Exception,), {})  # type: ignore[attr-defined]
    arrow.parquet = parquet  # type: ignore[attr-defined]
    parquet.read_schema = lambda path: types.SimpleNamespace(names=opened(path).files)  # type: ignore[attr-defined]
    parquet.read_table = read_table  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)


def archives(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"part{i}.npz" for i in range(n)]
    for path, table in zip(paths, tables(n), strict=True):
        np.savez(path, **table)
    return paths


@pytest.mark.parametrize("workers", [1, 3])
def test_paths_are_chunks(stub: None, tmp_path: Path, workers: int) -> None:
    paths = archives(tmp_path, 4)
    assert_same(extract_quantiles((str(path) for path in paths), DECILES, workers=workers, columns=COLUMNS), WHOLE)
    with pytest.raises(DataError, match=r"unit \d+ is in chunk 0 \(part0.npz\) and in chunk 4 \(part0.npz\)"):
        extract_quantiles([*paths, paths[0]], DECILES, workers=workers, columns=COLUMNS)
    with pytest.raises(ConfigError, match=r"part0.npz has no column 'unit'"):
        extract_quantiles(paths, DECILES, workers=workers)
    with pytest.raises(DataError, match=r"^nowhere.parquet: cannot be read as a Parquet file \(FileNotFoundError\)"):
        extract_quantiles([tmp_path / "nowhere.parquet"], DECILES, workers=workers)


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"Parquet files \(a.parquet\) needs the package 'pyarrow'.*sciinf\[parquet\]"):
        extract_quantiles([Path("a.parquet")], DECILES)


def test_real_parquet_files(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    paths = [tmp_path / f"part{i}.parquet" for i in range(4)]
    for path, table in zip(paths, tables(4), strict=True):
        parquet.write_table(arrow.table(table | {"other": np.zeros(len(table["firm"]))}), path)
    assert_same(extract_quantiles(paths, DECILES, workers=2, columns=COLUMNS), WHOLE)
    text = tmp_path / "text.parquet"
    rows = {"unit": arrow.array(["b", "a", "b"]).dictionary_encode(), "z": [3.0, 2.0, 1.0]}
    parquet.write_table(arrow.table(rows), text)
    found = extract_quantiles([text], (0.5,))
    assert (found.labels.tolist(), found.quantiles.ravel().tolist()) == (["a", "b"], [2.0, 2.0])
    for name, column, message in (
        ("z", [3.0, None, 1.0], "values must be finite: nan at position 1"),
        ("unit", ["b", None, "a"], "missing"),
    ):
        parquet.write_table(arrow.table(rows | {name: column}), text)
        with pytest.raises(DataError, match=f"text.parquet: .*{message}"):
            extract_quantiles([text], (0.5,))
    text.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"text.parquet: cannot be read as a Parquet file"):
        extract_quantiles([text], (0.5,))


# ---- a few chunks at a time ----


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_generator_is_read_as_needed(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """Chunks made and not yet worked off: never more than workers + 1, though the first one takes long."""
    worked, most, lock, others = [0], [0], threading.Lock(), threading.Event()
    real = extract._digests

    def slow(sample: RaggedSample) -> Any:
        if sample is first:
            others.wait(1.0 if workers > 1 else 0.0)
        with lock:
            worked[0] += 1
        return real(sample)

    every = chunks(SAMPLE, 40)
    first = every[0]

    def made() -> Iterator[RaggedSample]:
        for i, chunk in enumerate(every):
            with lock:
                most[0] = max(most[0], i + 1 - worked[0])
            yield chunk

    monkeypatch.setattr(extract, "_digests", slow)
    assert_same(extract_quantiles(made(), DECILES, workers=workers), WHOLE)
    assert worked == [40]
    assert 1 <= most[0] <= workers + 1


def test_a_chunk_is_let_go() -> None:
    """Of the chunks made so far the one before is the oldest that still lives."""
    alive: list[weakref.ref[RaggedSample]] = []
    most = 0

    def made() -> Iterator[RaggedSample]:
        nonlocal most
        for rows in np.array_split(np.arange(120), 40):
            chunk = SAMPLE.take(rows)
            alive.append(weakref.ref(chunk))
            most = max(most, sum(one() is not None for one in alive))
            yield chunk

    assert_same(extract_quantiles(made(), DECILES), WHOLE)
    assert most == 2


def test_after_an_error_no_further_chunk_is_made() -> None:
    made: list[int] = []

    def broken() -> Iterator[Any]:
        for i, chunk in enumerate(chunks(SAMPLE, 40)):
            made.append(i)
            yield {"unit": [1], "z": ["text"]} if i == 3 else chunk

    with pytest.raises(DataTypeError, match="a chunk: values must hold real numbers"):
        extract_quantiles(broken(), DECILES, workers=2)
    assert made[-1] <= 3 + 2 + 1


# ---- refused ----


def test_a_unit_in_two_chunks() -> None:
    parts = chunks(SAMPLE, 4)
    again = parts[1].take(np.array([0]))
    with pytest.raises(DataError, match=rf"unit {again.labels[0]} is in chunk 1 and in chunk 4.*between units"):
        extract_quantiles([*parts, again], DECILES)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], DECILES), DataError, "no value in 0 chunks"),
        (([{"unit": [], "z": []}], DECILES), DataError, "no value in 1 chunks"),
        (([np.ones(3)], DECILES), DataTypeError, "chunk 0 must be a RaggedSample, the path of a Parquet file, or a table"),
        ((None, DECILES), DataTypeError, "must be an iterable of samples, paths or tables, or a Dask DataFrame"),
        ((SAMPLE, DECILES), DataTypeError, r"give \[one\]"),
        (("part.parquet", DECILES), DataTypeError, r"give \[one\], got 'part.parquet'"),
        (({"unit": [1], "z": [1.0]}, DECILES), DataTypeError, r"give \[one\]"),
        (([{"unit": [1], "zz": [1.0]}], DECILES), ConfigError, "a chunk has no column 'z'"),
        (([{"unit": ["a"], "z": [1.0]}, {"unit": [1], "z": [1.0]}], DECILES), DataTypeError, "text in chunk 0 and integers in chunk 1"),
        (([SAMPLE], (0.5, 1.0)), ConfigError, r"inside \(0, 1\)"),
        (([SAMPLE], (0.5, 0.5)), ConfigError, "increase strictly"),
        (([SAMPLE], DECILES, "type9"), ConfigError, "no quantile_rule 'type9'"),
        (([SAMPLE], DECILES, "type7", 0), ConfigError, "workers must be an integer from 1"),
        (([SAMPLE], DECILES, "type7", "two"), ConfigError, "an executor with submit, or a Dask client, got 'two'"),
    ],
)
def test_refused(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        extract_quantiles(*arguments)


def test_columns_must_be_columns() -> None:
    with pytest.raises(ConfigError, match="columns must be FrameColumns"):
        extract_quantiles([SAMPLE], DECILES, columns={"unit": "firm"})  # type: ignore[arg-type]
