"""Numbers and formulas as a report shows them: a mean with its error, LaTeX labels as inline SVG."""

from __future__ import annotations

import html
import math
from typing import Any

__all__ = ["format_interval", "format_number", "format_plus_minus", "latex_svg", "pull_svg"]

_EM = 16.0
_UNUSUAL = (-4, 6)
_MOST_PLACES = 9


def _decimals(error: float) -> int | None:
    """Decimals that show two digits of ``error``, None where there is no usable error."""
    if not math.isfinite(error) or error <= 0.0:
        return None
    return 1 - math.floor(math.log10(error))


def format_number(value: float, error: float = math.nan, *, extra: int = 0) -> str:
    """``value`` with the digits that ``error`` allows, ``extra`` more where asked.

    Examples
    --------
    >>> format_number(0.0223612, 0.000148), format_number(-1234.567, 31.0), format_number(3.0, 0.0), format_number(5.71e-24, 2.2e-24)
    ('0.02236', '−1235', '3', '5.7e−24')
    """
    if not math.isfinite(value):
        return "not finite"
    places = _decimals(error)
    if places is None:
        return f"{value:.6g}".replace("-", "−")
    if value and places > _MOST_PLACES:
        return f"{value:.{max(places + extra + math.floor(math.log10(abs(value))), 0)}e}".replace("e-0", "e-").replace("-", "−")
    return f"{value:.{max(places + extra, 0)}f}".replace("-", "−")


def _scale(value: float, error: float) -> int:
    """Power of ten to take out of very large or very small figures; 0 for ordinary ones."""
    size = max(abs(value), abs(error))
    if not math.isfinite(size) or size == 0.0:
        return 0
    power = math.floor(math.log10(size))
    return 0 if _UNUSUAL[0] <= power <= _UNUSUAL[1] else power


def format_plus_minus(mean: float, error: float) -> str:
    """A mean with its error, two digits of the error.

    Examples
    --------
    >>> format_plus_minus(0.0223612, 0.000148), format_plus_minus(67.27, 0.6), format_plus_minus(2.1e-9, 3e-11)
    ('0.02236 ± 0.00015', '67.27 ± 0.60', '(2.100 ± 0.030) × 10⁻⁹')
    """
    if _decimals(error) is None or not math.isfinite(mean):
        return format_number(mean)
    if power := _scale(mean, error):
        factor = 10.0**-power
        raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"({format_number(mean * factor, error * factor)} ± {format_number(error * factor, error * factor)}) × 10{raised}"
    return f"{format_number(mean, error)} ± {format_number(error, error)}"


def format_interval(low: float, high: float) -> str:
    """An interval with digits that suit its width.

    Examples
    --------
    >>> format_interval(0.022213, 0.022509), format_interval(1.0, 1.0), format_interval(2.07e-9, 2.13e-9)
    ('0.02221 … 0.02251', '1 … 1', '2.070e−9 … 2.130e−9')
    """
    error = (high - low) / 2.0
    if _scale(max(abs(low), abs(high)), error):
        return f"{low:.3e} … {high:.3e}".replace("e-0", "e-").replace("-", "−")
    return f"{format_number(low, error)} … {format_number(high, error)}"


def latex_svg(latex: str, *, fallback: str) -> str:
    r"""A LaTeX formula as inline SVG that sits on the text's baseline, drawn by matplotlib's mathtext; else ``fallback`` in italics.

    Examples
    --------
    >>> latex_svg(r"\Omega_m", fallback="omega_m")[:17]
    '<svg class="math"'
    """
    from matplotlib import rc_context
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    try:
        with rc_context({"mathtext.fontset": "stix"}):
            font, painter = FontProperties(size=_EM), TextToPath()
            width, height, depth = painter.get_text_width_height_descent(f"${latex}$", font, ismath=True)
            points, codes = painter.get_text_path(font, f"${latex}$", ismath=True)
    except (ValueError, RuntimeError):
        return f"<i>{html.escape(fallback)}</i>"
    path = _svg_path(points, codes, _EM / painter.FONT_SCALE)
    pad = 0.5
    box = f"{-pad:.2f} {-height + depth - pad:.2f} {width + 2 * pad:.2f} {height + 2 * pad:.2f}"
    size = f"width:{(width + 2 * pad) / _EM:.3f}em;height:{(height + 2 * pad) / _EM:.3f}em;vertical-align:{-(depth + pad) / _EM:.3f}em"
    head = f'<svg class="math" role="img" aria-label="{html.escape(fallback)}" viewBox="{box}" style="{size}">'
    return f'{head}<path d="{path}" fill="currentColor"/></svg>'


def _svg_path(points: Any, codes: Any, scale: float) -> str:
    """Matplotlib's vertices and codes as the ``d`` of an SVG path, y downwards."""
    letters, needed = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}, {1: 1, 2: 1, 3: 2, 4: 3, 79: 1}
    pieces: list[str] = []
    i = 0
    while i < len(codes):
        code = int(codes[i])
        vertices = points[i : i + needed[code]]
        i += needed[code]
        pieces.append("Z" if code == 79 else letters[code] + " ".join(f"{scale * x:.2f} {-scale * y:.2f}" for x, y in vertices))
    return "".join(pieces)


def pull_svg(shift: float) -> str:
    """A dot on a line from -2.5 to +2.5 sigma (an arrowhead where it lies outside)."""
    width, middle, unit = 104.0, 52.0, 20.0
    ticks = "".join(
        f'<line x1="{middle + k * unit}" x2="{middle + k * unit}" y1="{3 if k == 0 else 5}" y2="{11 if k == 0 else 9}" stroke="#a9a296"/>'
        for k in (-2, -1, 0, 1, 2)
    )
    frame = f'<line x1="2" x2="{width - 2}" y1="7" y2="7" stroke="#d8d3c8"/>{ticks}'
    if not math.isfinite(shift):
        mark = ""
    elif abs(shift) <= 2.5:
        mark = f'<circle cx="{middle + shift * unit:.1f}" cy="7" r="3.6" fill="#1f4e79"/>'
    else:
        tip = width - 1 if shift > 0 else 1.0
        back = tip - math.copysign(8, shift)
        mark = f'<path d="M{tip} 7L{back} 3L{back} 11Z" fill="#9c3324"/>'
    label = "" if not math.isfinite(shift) else f"{shift:+.2f} sigma"
    head = f'<svg class="pull" role="img" aria-label="{label}" width="{width:.0f}" height="14" viewBox="0 0 {width:.0f} 14">'
    return f"{head}{frame}{mark}</svg>"
