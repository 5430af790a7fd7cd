"""Fits and extracted quantiles as HDF5 files: whole or absent, verified when read, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciinf.core.atomic import atomic_path
from sciinf.core.errors import DataError
from sciinf.core.fingerprint import sha256_of
from sciinf.engines.r3d.bandwidth import BandwidthInfo
from sciinf.engines.r3d.covariance import Contributions, Part
from sciinf.engines.r3d.data import UnitQuantiles
from sciinf.engines.r3d.estimates import Limits
from sciinf.engines.r3d.settings import R3DSettings

if TYPE_CHECKING:
    from sciinf.engines.r3d.results import R3DResults

__all__ = ["load_quantiles", "load_results", "save_quantiles", "save_results"]

_SCHEMA_VERSION = 1
_RESULTS, _QUANTILES = "sciinf-r3d-results", "sciinf-r3d-quantiles"


def _write(path: Path | str, kind: str, arrays: Mapping[str, NDArray[Any]], text: Mapping[str, Any]) -> None:
    import h5py

    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path.name}: its folder does not exist. Create it first")
    written = json.dumps(text, sort_keys=True)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"], file.attrs["schema_version"] = kind, _SCHEMA_VERSION
        file.attrs["content_hash"] = sha256_of(dict(arrays), written)
        file.create_dataset("text", data=np.frombuffer(written.encode("utf-8"), dtype=np.uint8))
        for name, array in arrays.items():
            file.create_dataset(f"arrays/{name}", data=array)


def _read(path: Path | str, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and text of a file of ours.

    Raises
    ------
    DataError
        If it is missing, of another kind, of a newer schema, or changed.
    """
    import h5py

    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            found, schema = file.attrs.get("format"), int(file.attrs.get("schema_version", 0))
            if found != kind:
                raise DataError(f"{path.name}: format is {found!r}, expected {kind!r}")
            if schema > _SCHEMA_VERSION:
                raise DataError(f"{path.name}: schema version {schema} is newer than this sciinf reads ({_SCHEMA_VERSION}). Upgrade sciinf")
            written = file["text"][()].tobytes().decode("utf-8")
            arrays = {name: item[()] for name, item in file["arrays"].items()}
            expected = file.attrs["content_hash"]
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name}: cannot be read ({error})") from error
    if sha256_of(arrays, written) != expected:
        raise DataError(f"{path.name}: its content does not match its hash: the file was changed or is damaged")
    return arrays, json.loads(written)


def _labels_out(labels: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Integers as they are; text as UTF-8 bytes."""
    arrays["labels"] = labels if labels.dtype.kind in "iu" else np.char.encode(labels, "utf-8")


def _labels_in(labels: NDArray[Any]) -> NDArray[Any]:
    return labels if labels.dtype.kind in "iu" else np.char.decode(labels, "utf-8")


def save_quantiles(table: UnitQuantiles, path: Path | str) -> None:
    """Write extracted quantiles to one file, replaced if it exists."""
    arrays: dict[str, NDArray[Any]] = {"q_grid": table.q_grid, "quantiles": table.quantiles}
    for name in ("counts", "means", "weight_sums"):
        value = getattr(table, name)
        if value is not None:
            arrays[name] = np.asarray(value)
    _labels_out(np.asarray(table.labels), arrays)
    _write(path, _QUANTILES, arrays, {"rule": table.rule, "input_hash": table.input_hash})


def load_quantiles(path: Path | str) -> UnitQuantiles:
    """Read what `save_quantiles` wrote, to the bit."""
    arrays, text = _read(path, _QUANTILES)
    labels = _labels_in(arrays.pop("labels"))
    return UnitQuantiles(labels=labels, rule=text["rule"], input_hash=text.get("input_hash"), **arrays)


def _info_out(info: BandwidthInfo, prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Arrays into ``arrays``, the rest as JSON."""
    text: dict[str, Any] = {}
    for item in fields(info):
        value = getattr(info, item.name)
        if item.name == "denominator":
            text["denominator"] = None if value is None else _info_out(value, f"{prefix}denominator.", arrays)
        elif isinstance(value, np.ndarray):
            arrays[prefix + item.name] = value
        elif isinstance(value, float):
            arrays[prefix + item.name] = np.array([value])  # NaN is no JSON
        else:
            text[item.name] = value
    return text


def _info_in(text: Mapping[str, Any], prefix: str, arrays: Mapping[str, NDArray[Any]]) -> BandwidthInfo:
    values: dict[str, Any] = {}
    for item in fields(BandwidthInfo):
        if item.name == "denominator":
            inner = text["denominator"]
            values["denominator"] = None if inner is None else _info_in(inner, f"{prefix}denominator.", arrays)
        elif item.name in text:
            values[item.name] = tuple(text[item.name]) if isinstance(text[item.name], list) else text[item.name]
        else:
            array = arrays[prefix + item.name]
            values[item.name] = float(array[0]) if item.name in ("b", "density", "cap") else array
    return BandwidthInfo(**values)


def _part_out(part: Part, prefix: str, arrays: dict[str, NDArray[Any]]) -> int:
    for item in fields(part):
        if item.name != "p":
            arrays[prefix + item.name] = getattr(part, item.name)
    return part.p


def _part_in(p: int, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Part:
    return Part(**{item.name: arrays[prefix + item.name] for item in fields(Part) if item.name != "p"}, p=p)


def save_results(fit: R3DResults, path: Path | str) -> None:
    """Write a fit to one file, replaced if it exists."""
    made = fit.contributions
    arrays: dict[str, NDArray[Any]] = {item.name: getattr(fit.limits, item.name) for item in fields(fit.limits)}
    arrays |= {"jump": made.jump, "running_variable": fit.running_variable}
    arrays |= {name: value for name, value in (("cluster", made.cluster), ("sizes", fit.sizes)) if value is not None}
    _labels_out(made.labels, arrays)
    text: dict[str, Any] = {"cov_type": fit.cov_type, "cutoff": fit.cutoff, "denominator": made.denominator, "notes": list(fit.notes)}
    text["settings"] = asdict(fit.settings)
    text["first_stage_t"] = None if fit.first_stage_t is None else repr(fit.first_stage_t)  # may be infinite
    text["outcome"] = _part_out(made.outcome, "outcome.", arrays)
    text["treatment"] = None if made.treatment is None else _part_out(made.treatment, "treatment.", arrays)
    text["bandwidth"] = _info_out(fit.bandwidth_info, "bandwidth.", arrays)
    _write(path, _RESULTS, arrays, text)


def load_results(path: Path | str) -> R3DResults:
    """Read what `save_results` wrote, to the bit."""
    from sciinf.engines.r3d.results import R3DResults

    arrays, text = _read(path, _RESULTS)
    treatment = None if text["treatment"] is None else _part_in(text["treatment"], "treatment.", arrays)
    outcome = _part_in(text["outcome"], "outcome.", arrays)
    contributions = Contributions(
        outcome, arrays["jump"], treatment, text["denominator"], arrays.get("cluster"), _labels_in(arrays["labels"])
    )  # fmt: skip
    return R3DResults(
        settings=R3DSettings(**text["settings"]),
        contributions=contributions,
        limits=Limits(**{item.name: arrays[item.name] for item in fields(Limits)}),
        cov_type=text["cov_type"],
        bandwidth_info=_info_in(text["bandwidth"], "bandwidth.", arrays),
        running_variable=arrays["running_variable"],
        cutoff=text["cutoff"],
        sizes=arrays.get("sizes"),
        first_stage_t=None if text["first_stage_t"] is None else float(text["first_stage_t"]),
        notes=tuple(text["notes"]),
    )
