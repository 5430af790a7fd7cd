"""Strain files of the Gravitational Wave Open Science Center."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sciinf.core.errors import DataError
from sciinf.core.user_paths import what_is_at
from sciinf.engines.echo.checked import file_name, real_number
from sciinf.engines.echo.strain import Strain, samples_in

__all__ = ["read_gwosc"]


def _gwosc_value(stream: Any, key: str, name: str) -> Any:
    if key not in stream:
        raise DataError(f"{name}: no '{key}' in the file; expected a GWOSC strain file (HDF5)")
    return stream[key]


def _check_present(stream: Any, name: str, start: float, stop: float) -> None:
    """DataError where bit 0 ("data present") of the data-quality mask is off between GPS start and stop."""
    quality = _gwosc_value(stream, "quality/simple/DQmask", name)
    begin = float(quality.attrs.get("Xstart", stream["strain/Strain"].attrs["Xstart"]))
    step = float(quality.attrs.get("Xspacing", 1.0))
    bits = np.asarray(quality[()])
    seconds = begin + step * np.arange(len(bits))
    missing = seconds[(bits & 1 == 0) & (seconds < stop) & (seconds + step > start)]
    if len(missing):
        listing = ", ".join(f"{second:.0f}" for second in missing[:8]) + (", ..." if len(missing) > 8 else "")
        raise DataError(f"{name}: no data (DQmask bit 0 off) in {len(missing)} of the wanted seconds: GPS {listing}. Choose another range")


def read_gwosc(path: str | Path, start: float | None = None, duration: float | None = None) -> Strain:
    """Read strain from an HDF5 file of the Gravitational Wave Open Science Center.

    Parameters
    ----------
    path : path
        Holds ``strain/Strain`` with attributes Xstart and Xspacing, ``meta/GPSstart``, ``meta/Detector``, ``quality/simple/DQmask``.
    start, duration : float or None
        Part to read, GPS s and s; None from the start, to the end.

    Raises
    ------
    DataError
        If the file cannot be read, a key is missing, data are missing in the wanted seconds (bit 0 of the data-quality mask), or the part
        is not inside the file. Messages name the file without its folder.
    """
    import h5py

    name = file_name(path)
    try:
        stream = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not what_is_at(Path(path)) else "not an HDF5 file, or truncated"
        raise DataError(f"{name}: cannot be read ({reason}); expected a GWOSC strain file (HDF5)") from error
    with stream:
        series = _gwosc_value(stream, "strain/Strain", name)
        for key in ("Xspacing", "Xstart"):
            if key not in series.attrs:
                raise DataError(f"{name}: 'strain/Strain' has no attribute '{key}'; expected a GWOSC strain file (HDF5)")
        interval = real_number(f"{name}: Xspacing (s)", series.attrs["Xspacing"], positive=True)
        begin = real_number(f"{name}: Xstart (GPS s)", series.attrs["Xstart"])
        stated = float(_gwosc_value(stream, "meta/GPSstart", name)[()])
        if stated != begin:
            raise DataError(f"{name}: Xstart is GPS {begin:.6f}, meta/GPSstart {stated:.6f}; they must agree")
        label = _gwosc_value(stream, "meta/Detector", name)[()]
        detector = label.decode() if isinstance(label, bytes) else str(label)
        end = begin + len(series) * interval
        wanted = begin if start is None else real_number("start (GPS s)", start)
        length = end - wanted if duration is None else real_number("duration (s)", duration, positive=True)
        first = round((wanted - begin) / interval)
        n = len(series) - first if duration is None else samples_in(length, interval)
        if first < 0 or n < 1 or first + n > len(series):
            raise DataError(
                f"{name}: GPS {wanted:.6f} to {wanted + length:.6f} is not inside the file, which holds {begin:.6f} to {end:.6f}"
            )
        time = begin + first * interval
        _check_present(stream, name, time, time + n * interval)
        try:
            return Strain(series[first : first + n], interval, time, detector)
        except DataError as error:
            raise type(error)(f"{name}: {error}") from error
