"""The sections of a report that tell what the runs earn: per opponent, and everybody with each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from counterplay.evaluate.statistics import mean_interval
from counterplay.report import comparing, figures
from counterplay.report.blocks import Block, Section, Table, Text
from counterplay.report.contents import full_name, image, mean_told, range_told, told
from counterplay.report.curves import Interval, interval
from counterplay.report.measure import Cell, Measured
from counterplay.report.read import Run


class Earned(NamedTuple):
    """What a run earned against each opponent, then the mean over them."""

    interval: Interval
    """Entries [opponents + 1]."""
    over: str
    """What the interval is over."""


def earned(cells: tuple[tuple[Cell, ...], ...]) -> Earned:
    """Over seeds; a single seed has only its episodes to tell a spread from."""
    means = np.array([[cell.mean for cell in row] for row in cells])
    means = np.concatenate([means, means.mean(1, keepdims=True)], axis=1)
    if len(cells) > 1:
        return Earned(interval(means.T), f"{len(cells)} seeds")
    errors = np.array([[cell.error for cell in row] for row in cells])[0]
    errors = np.append(errors, np.sqrt((errors**2).sum()) / len(errors))
    found = mean_interval(means[0], errors)
    return Earned(Interval(found.estimate, found.low, found.high), "episodes of one seed")


def returns(
    found: Measured, runs: Mapping[int, Run], names: Mapping[int, str], seed: int, mark: str
) -> Section | None:
    """Table and bars: each run against each opponent."""
    if not found.returns:
        return None
    several = len(found.opponents) > 1
    opponents = (*(found.opponents or ("alone",)), *(("mean of these",) if several else ()))
    results = {i: earned(cells) for i, cells in found.returns.items()}
    columns, rows = ["against"], [[name] for name in opponents]
    of = {names[i]: result for i, result in results.items()}
    of |= {f"{names[i]} without plans": earned(cells) for i, cells in found.alone.items()}
    for name, result in of.items():
        columns += [f"{name}, mean return", f"{name}, 95% over {result.over}"]
        for k, row in enumerate(rows):
            one = Interval(*(part[k] for part in result.interval))
            row += [mean_told(one), range_told(one)]
    blocks: list[Block] = [
        Text(_returns_told(found, runs, seed)),
        Table("Mean return of an episode.", tuple(columns), tuple(map(tuple, rows))),
    ]
    if found.opponents:
        called = {i: full_name(names[i], run, runs) for i, run in runs.items()}
        bars = [_bars(name, results.get(i), found) for i, name in called.items()]
        draw = lambda theme: figures.return_bars(found.opponents, bars, theme)
        alt = f"Bars of the mean return against each opponent. {_bars_told(found, bars)}"
        caption = "Mean return against each opponent; whiskers are the intervals of the table."
        blocks.append(image(f"returns{mark}.png", draw, alt, caption))
    blocks += comparing.middles(found, opponents, names)
    blocks += comparing.differences(found, opponents, runs, names)
    return Section("Returns per opponent", tuple(blocks))


def _returns_told(found: Measured, runs: Mapping[int, Run], seed: int) -> str:
    episodes = min(c.episodes for cells in found.returns.values() for row in cells for c in row)
    whom = "against each opponent, which fills every other seat" if found.opponents else "alone"
    words = (
        f"Each seed of a run takes every seat in turn {whom}: at least {episodes:,} episodes each, "
        f"sampled play, evaluation seed {seed}{_matches(found)}."
    )
    if any(len(cells) > 1 for cells in found.returns.values()):
        words += " The interval is Student's t over seeds."
    single = [runs[i].name for i, cells in found.returns.items() if len(cells) == 1]
    if single:
        words += (
            f" {', '.join(single)}: one seed has no interval over seeds; the one shown is over "
            "its episodes and says nothing of what another seed would learn."
        )
    return words


def _matches(found: Measured) -> str:
    return f", in matches of {found.match} episodes" if found.match > 1 else ""


def _bars(name: str, result: Earned | None, found: Measured) -> figures.Bars:
    """A run that could not play keeps its place, and so its colour, with no bar."""
    width = len(found.opponents)
    if result is None:
        return figures.Bars(f"{name} (could not play)", *[np.full(width, np.nan)] * 3)
    return figures.Bars(name, *(part[:width] for part in result.interval))


def _bars_told(found: Measured, bars: list[figures.Bars]) -> str:
    told_of = lambda bar: zip(found.opponents, map(told, bar.mean), strict=True)
    return " ".join(f"{b.name}: {', '.join(map(' '.join, told_of(b)))}." for b in bars)


def cross(found: Measured, names: Mapping[int, str], mark: str) -> Section | None:
    """Heat map and table: everybody among others of one kind."""
    if found.cross is None:
        return None
    trained = [f"{names[i]} #{seed}" for i, seed in found.cross.trained]
    everybody = (*trained, *found.opponents)
    cells = found.cross.cells
    values = np.array([[cell.mean for cell in row] for row in cells])
    wide = figures.heat_width(len(everybody))
    css = round(wide * 96) if wide > figures.WIDTH else 0
    draw = lambda theme: figures.heat_map(everybody, values, theme)
    high = np.unravel_index(np.argmax(values), values.shape)
    alt = (
        f"Heat map of {len(everybody)} by {len(everybody)} mean returns, the same numbers as in "
        f"the table. The highest is {told(values[high])}: {everybody[high[0]]} among "
        f"{everybody[high[1]]}."
    )
    rows = tuple(
        (name, *(f"{told(c.mean)} ± {told(c.error)}" for c in row))
        for name, row in zip(everybody, cells, strict=True)
    )
    words = (
        "A row is who earns, a column who sits on all other seats; the row's player takes every "
        "seat in turn. #0 is the first seed of a run."
    )
    left_out = sum(map(len, found.returns.values())) - len(trained)
    if left_out:
        words += f" {left_out} further seeds are left out here, as the square of all would be long."
    caption = "Cross-play: mean return of the row's player among players of the column."
    table = Table(f"{caption} ± is the standard error.", ("who earns", *everybody), rows)
    brighter = "Brighter is more; the table holds the same numbers."
    shown = image(f"cross-play{mark}.png", draw, alt, brighter, css)
    return Section("Cross-play", (Text(words), shown, table))
