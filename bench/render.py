"""The table, the notes and the plot of bench/README.md, drawn from the newest results."""

from __future__ import annotations

import math
from pathlib import Path
from xml.sax.saxutils import escape

from bench import kept
from bench.kept import BUSY_PERCENT, Results
from bench.rounds import Figure

README = Path(__file__).parent / "README.md"
PLOT = Path(__file__).parent / "results" / "figures.svg"
FIGURES, NOTES = "figures", "notes"

ROW, LEFT, WIDTH, RIGHT = 24, 330, 380, 120
"""Of the plot, in pixels: the height of a line, and the widths of names, bars and values."""

DECADES = 1.0
"""The plot shows how far a figure is from its gate: this many powers of ten to either side."""

COLOURS = {"target": "#1a7f4b", "gate": "#3b6fb6", "BELOW": "#b3361e", "inconclusive": "#8a8a8a"}


def write() -> None:
    """Write the table and the notes into the README, and the plot beside the results."""
    newest = kept.newest()
    text = _put(_put(README.read_text(), FIGURES, table(newest)), NOTES, notes(newest))
    README.write_text(text)
    PLOT.write_text(plot(kept.figures(newest)))


def _put(text: str, name: str, content: str) -> str:
    """Replace what stands between the two marks of a name."""
    head, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- end of {name} -->")
    return head + begin + content + end + tail


def written_by_hand(text: str) -> str:
    """Return a README without what is rendered into it."""
    return _put(_put(text, FIGURES, ""), NOTES, "")


def notes(found: Results) -> str:
    """Return what each figure says of itself, as a list in Markdown."""
    said = [each for each in kept.figures(found) if each.note]
    return "".join(f"- {each.number}: {each.note}\n" for each in said)


def line(figure: Figure) -> str:
    """Return a figure on one line of a terminal."""
    spread = "" if figure.value.width == 0 else f"  ({_ends(figure)})"
    return (
        f"  {figure.number:<4} {figure.name:<52} {_median(figure):>12}"
        f"{spread:<20} {_bars(figure):<24} {figure.verdict}"
    )


def table(found: Results) -> str:
    """Return the table in Markdown."""
    lines = [
        "| # | figure | median | lowest to highest | gate | target | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in kept.figures(found):
        busy = found["figures"][figure.number]["busy_percent"] > BUSY_PERCENT
        mark = " ¹" if busy and figure.kind == "rate" else ""
        ends = "" if figure.value.width == 0 else _ends(figure)
        lines.append(
            f"| {figure.number} | {figure.name} | {_median(figure)}{mark}"
            f" | {ends} | {_bar(figure, figure.gate)} | {_bar(figure, figure.target)}"
            f" | {figure.verdict} |"
        )
    return "\n".join(lines) + "\n"


def plot(figures: list[Figure]) -> str:
    """Return an SVG: each figure as its distance from its gate, better to the right."""
    shown = [figure for figure in figures if figure.gate]
    height = ROW * (len(shown) + 2)
    middle = LEFT + WIDTH / 2
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="{height}" fill="#fff"/>',
        f'<line x1="{middle}" x2="{middle}" y1="{ROW}" y2="{height - ROW / 2}" stroke="#444"/>',
        _label(middle, ROW / 2, "gate", anchor="middle"),
        _label(LEFT, ROW / 2, "10 times worse", colour="#777"),
        _label(LEFT + WIDTH, ROW / 2, "10 times better", anchor="end", colour="#777"),
    ]
    for number, figure in enumerate(shown):
        parts += _drawn(figure, ROW * (number + 1) + ROW / 2)
    return "\n".join([*parts, "</svg>\n"])


def _drawn(figure: Figure, y: float) -> list[str]:
    middle, colour = LEFT + WIDTH / 2, COLOURS.get(figure.verdict, "#444")
    at = _place(figure, figure.value.median)
    ends = sorted((_place(figure, figure.value.lowest), _place(figure, figure.value.highest)))
    drawn = [
        _label(LEFT - 10, y, f"{figure.number}  {figure.name}", anchor="end"),
        _bar_drawn(min(middle, at), y, abs(at - middle), colour),
        f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="#222"/>',
        _label(LEFT + WIDTH + 8, y, _median(figure), colour=colour),
    ]
    if figure.target is not None:
        goal = _place(figure, figure.target)
        drawn.append(_bar_drawn(goal - 1, y, 2, COLOURS["target"], height=16))
    return drawn


def _label(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222") -> str:
    where = f'x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {where}>{escape(text)}</text>"


def _bar_drawn(x: float, y: float, width: float, colour: str, height: int = 12) -> str:
    where = f'x="{x:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}"'
    return f'<rect {where} fill="{colour}" opacity="0.75"/>'


def _place(figure: Figure, value: float) -> float:
    """Return where a value lies: right of the gate if it is better, by its logarithm."""
    gate = figure.gate or 1.0
    far = math.log10(max(value, 1e-9) / gate) * (1 if figure.at_least else -1)
    return LEFT + WIDTH / 2 * (1 + max(-DECADES, min(DECADES, far)) / DECADES)


def _median(figure: Figure) -> str:
    return _written(figure.value.median, figure.unit)


def _bars(figure: Figure) -> str:
    return " ".join(filter(None, (_bar(figure, figure.gate), _bar(figure, figure.target))))


def _bar(figure: Figure, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'≥' if figure.at_least else '≤'} {_written(value, figure.unit)}"


def _ends(figure: Figure) -> str:
    lowest, highest = (
        _written(end, figure.unit) for end in (figure.value.lowest, figure.value.highest)
    )
    return f"{lowest} to {highest}"


def _written(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"${number}" if unit == "$" else f"{number} {unit}".strip()
