from __future__ import annotations

import math
import re

import pytest

from sciinf.run.labels import format_interval, format_number, format_plus_minus, latex_svg, pull_svg


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (0.0223612, 0.000148, "0.02236 ± 0.00015"),
        (-0.0001, 0.5, "−0.00 ± 0.50"),
        (1234.4, 12.3, "1234 ± 12"),
        (123456.0, 1234.0, "123456 ± 1234"),
        (2.1e-9, 3.04e-11, "(2.100 ± 0.030) × 10⁻⁹"),
        (5.0e12, 2.0e11, "(5.00 ± 0.20) × 10¹²"),
        (3.0, 0.0, "3"),
        (3.0, math.nan, "3"),
        (math.nan, 1.0, "not finite"),
    ],
)
def test_a_mean_shows_two_digits_of_its_error(mean: float, error: float, expected: str) -> None:
    assert format_plus_minus(mean, error) == expected


def test_numbers_and_intervals() -> None:
    assert format_number(1.23456, 0.01) == "1.235"
    assert format_number(1.23456) == "1.23456"
    assert format_number(math.inf, 1.0) == "not finite"
    assert format_interval(-1.5, 2.5) == "−1.5 … 2.5"


def test_a_label_becomes_svg_that_sits_on_the_baseline() -> None:
    svg = latex_svg(r"\Omega_{\rm m} h^2", fallback="omega_m")
    shape = r'viewBox="[-\d. ]+" style="[^"]+"><path d="[MLQCZ\d. -]+" fill="currentColor"/></svg>'
    assert re.fullmatch(r'<svg class="math" role="img" aria-label="omega_m" ' + shape, svg)
    depth = float(re.search(r"vertical-align:(-[\d.]+)em", svg).group(1))
    assert -0.6 < depth < -0.1  # the subscript hangs below the baseline
    low = float(re.search(r'viewBox="\S+ (\S+)', svg).group(1))
    heights = [float(y) for y in re.findall(r"[ML]\S+ (-?[\d.]+)", svg)]
    assert low <= min(heights) < 0 < max(heights)  # above and below the baseline, inside the box


def test_a_label_that_cannot_be_drawn_falls_back_to_the_name() -> None:
    assert latex_svg(r"\nosuchcommand{", fallback="a<b") == "<i>a&lt;b</i>"


def test_the_pull_glyph_marks_what_lies_outside() -> None:
    assert "<circle" in pull_svg(0.3)
    assert "<circle" not in pull_svg(4.0)
    assert "M103.0 7L95.0" in pull_svg(4.0)
    assert "M1.0 7L9.0" in pull_svg(-4.0)
    assert "<path" not in pull_svg(math.nan)
