"""What a report says, section by section, from what was read and what was measured."""

import json
import shlex
import string
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np

from counterplay.evaluate.marks import MEANING, meanings
from counterplay.report import figures
from counterplay.report.blocks import Block, Code, Document, Image, Note, Section, Table, Text
from counterplay.report.curves import FEW_SEEDS, MOST_POINTS, Interval, binned, interval, mean_over
from counterplay.report.measure import Measured
from counterplay.report.read import CURVES, Run

UNKNOWN = "not recorded"
DIFFERS = "≠"
LATE = 10
"""The last tenth of a training is where its return is read."""


def labels(runs: Sequence[Run]) -> tuple[str, ...]:
    """What axes and columns call the runs: the algorithm, or where there are several, letters."""
    if len(runs) == 1:
        return (runs[0].config["algorithm"],)
    letters = string.ascii_uppercase
    turns = [divmod(i, len(letters)) for i in range(len(runs))]
    return tuple(letters[i] + (str(turn + 1) if turn else "") for turn, i in turns)


def full_name(label: str, run: Run, runs: Sized) -> str:
    return run.name if len(runs) == 1 else f"{label}: {run.name}"


def at_a_glance(runs: Sequence[Run], measured: Sequence[Measured]) -> Section:
    """A column a run, and everything that a reader should be careful about."""
    columns = []
    for run in runs:
        late = late_return(run)
        seeds = f"{run.seeds}" if run.seeds >= FEW_SEEDS else f"{run.seeds} (preliminary)"
        state = {True: "finished", False: "unfinished", None: UNKNOWN}[run.finished]
        columns.append(
            {
                "game": run.game,
                "algorithm": run.config["algorithm"],
                "privileges": UNKNOWN if run.privileges is None else run.privileges,
                "seeds": seeds,
                "steps of each seed": f"{run.done:,}",
                "state": state,
                "return, last tenth of training": mean_told(late),
                "its 95% interval over seeds": range_told(late),
            }
        )
    facts = [(name, *(column[name] for column in columns)) for name in columns[0]]
    heads = [full_name(label, run, runs) for label, run in zip(labels(runs), runs, strict=True)]
    caption = "The runs. Returns here are those of the training itself, exploration included."
    shown = Table(caption, ("fact", *heads), tuple(facts), numbers=False)
    notes = [*_cautions(runs), *(note for found in measured for note in found.notes)]
    return Section("At a glance", (shown, *map(Note, notes)))


def _cautions(runs: Sequence[Run]) -> list[str]:
    notes = []
    for label, run in zip(labels(runs), runs, strict=True):
        name = full_name(label, run, runs)
        if run.seeds < FEW_SEEDS:
            only = "one seed has no interval" if run.seeds == 1 else f"{run.seeds} seeds"
            notes.append(f"{name} is preliminary: {only}; {FEW_SEEDS} are the least for a study.")
        if run.finished is False:
            asked = run.config["config"]["steps"]
            notes.append(f"{name} is unfinished: {run.done:,} of {asked:,} steps of each seed.")
        notes += [f"{name}: {note}." for note in run.notes]
    return notes


def late_return(run: Run) -> Interval:
    """The training's own return over its last tenth, each seed's mean an observation."""
    values = run.metrics.get("return", np.full((1, run.seeds), np.nan))
    return interval(mean_over(values[-max(1, len(values) // LATE) :]))


def learning(runs: Sequence[Run], names: Sequence[str], mark: str) -> Section:
    """A picture a metric, all runs of the game in each; ``mark`` tells the files of games apart."""
    words = (
        "A line is the mean over seeds, a band its 95% interval (Student's t). Curves of more than "
        f"{MOST_POINTS} iterations are averaged to {MOST_POINTS} points."
    )
    single = [name for run, name in zip(runs, names, strict=True) if run.seeds == 1]
    if single:
        words += f" One seed has no interval, so there is no band for {', '.join(single)}."
    blocks: list[Block] = [Text(words)]
    for metric, (axis, meaning) in CURVES.items():
        if any(metric in run.metrics for run in runs):
            pairs = zip(runs, names, strict=True)
            lines = [_line(run, name, metric) for run, name in pairs]
            draw = lambda theme, lines=lines, axis=axis: figures.learning_curve(lines, axis, theme)
            alt = f"Learning curve of {axis}. {' '.join(map(_line_told, lines))}"
            words = f"{axis.capitalize()}. {meaning}"
            blocks.append(image(f"{metric.replace('_', '-')}{mark}.png", draw, alt, words))
    if len(blocks) == 1:
        blocks = [Text("No metrics were recorded, so there are no curves.")]
    return Section("Learning", tuple(blocks))


def _line(run: Run, name: str, metric: str) -> figures.Line:
    """A run without the metric keeps its place, and so its colour, with no point."""
    if metric not in run.metrics:
        return figures.Line(f"{name} ({UNKNOWN})", *[np.zeros(0)] * 4)
    x, y = binned(run.steps, run.metrics[metric])
    return figures.Line(name, x, *interval(y))


def _line_told(line: figures.Line) -> str:
    known = line.mean[np.isfinite(line.mean)]
    return f"{line.name}" + (
        f": from {told(known[0])} to {told(known[-1])}." if len(known) else "."
    )


def episodes_of(found: Measured, runs: Mapping[int, Run], names: Mapping[int, str]) -> Section:
    """A film a run."""
    blocks: list[Block] = [
        Text(
            "The first seed of each run where it learned to sit, the opponents in turn on the "
            "other seats. On paper: the first, a middle and the last picture, or end of an episode."
        )
    ]
    for i, film in found.films.items():
        name = names[i] if len(runs) > 1 else runs[i].name
        words = f"{name}: {film.told}."
        alt = f"An episode of {name}. {film.told}."
        blocks.append(Image(f"episode-{i + 1}.gif", alt, words, film.gif, still=film.still))
    return Section("An episode", tuple(blocks))


def stored(runs: Sequence[Run]) -> Section | None:
    """The results of ``eval`` that lie in the run folders, as they are."""
    blocks: list[Block] = []
    for label, run in zip(labels(runs), runs, strict=True):
        for name, result in run.evaluations:
            play = "greedy" if result.get("greedy") else "sampled"
            caption = (
                f"{full_name(label, run, runs)}, {name}: {result.get('env', UNKNOWN)}, {play} "
                f"play, seed {plain(result.get('seed', UNKNOWN))}, episodes a match "
                f"{plain(result.get('match', UNKNOWN))}, {plain(result.get('date', UNKNOWN))}; "
                f"checkpoint {_checkpoints_told(result.get('checkpoints'))}"
                f"{_privileges_told(result)}"
            )
            columns = ("against", "episodes", "mean return", "standard error", "low", "high")
            rows = tuple(_stored_row(row) for row in result["rows"])
            blocks.append(Table(caption, (*columns, "slots"), rows))
            if command := result.get("command"):
                blocks.append(Code("It was made by", command_told(command)))
    return Section("Evaluations stored with the runs", tuple(blocks)) if blocks else None


def _privileges_told(result: dict) -> str:
    """How it planned, and what it had at play that the rules give nobody."""
    planner = f"; planner {plain(result['planner'])}" if "planner" in result else ""
    marks = result.get("marks")
    known = [m for m in marks.values() if m in tuple(MEANING)] if isinstance(marks, dict) else []
    return "".join((planner, *(f"; {line}" for line in meanings(known))))


def _checkpoints_told(found: Any) -> str:
    """Of which step each run played; its name where there are several."""
    steps = (
        {name: one["steps"] for name, one in found.items() if type(one) is dict and "steps" in one}
        if isinstance(found, dict)
        else {}
    )
    if len(steps) == 1:
        return f"of step {plain(*steps.values())}"
    return ", ".join(f"of {name}: step {plain(s)}" for name, s in steps.items()) or UNKNOWN


def _stored_row(row: dict[str, Any]) -> tuple[str, ...]:
    """Of the seat under evaluation where one is singled out, else of every seat in turn."""
    alone = row.get("focal_mean") is not None
    mean = row.get("focal_mean") if alone else row.get("mean")
    error = row.get("focal_error") if alone else row.get("error")
    numbers = (mean, error, row.get("low"), row.get("high"), row.get("length"))
    return (row["label"] or "-", plain(row.get("episodes")), *map(_numbers_told, numbers))


def _numbers_told(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(_numbers_told(one) for one in value)
    return told(value) if isinstance(value, int | float) else "-"


def settings(runs: Sequence[Run]) -> Section:
    """Every setting of every run; what differs is marked in words, not by colour."""
    columns = [{"game": run.game, "algorithm": run.config["algorithm"]} for run in runs]
    for column, run in zip(columns, runs, strict=True):
        asked = {name: run.config[name] for name in ("seat", "against") if name in run.config}
        column |= asked | run.config["config"]
    caption = "Settings of the runs."
    if len(runs) > 1:
        caption = f"Settings; {DIFFERS} marks those that differ between the runs."
    return Section("Settings", (_compared(caption, "setting", columns, runs),))


def making(runs: Sequence[Run], command: str) -> Section:
    """Commands, versions, machine and speed."""
    blocks: list[Block] = []
    for label, run in zip(labels(runs), runs, strict=True):
        name, made = full_name(label, run, runs), run.config.get("command")
        if made:
            blocks.append(Code(f"{name} was made by", command_told(made)))
        else:
            blocks.append(Text(f"The command that made {name} is {UNKNOWN}."))
    blocks.append(Code("This report was made by", command))
    columns = [_machine(run) for run in runs]
    caption = "Versions, machine and speed."
    if len(runs) > 1:
        caption += f" {DIFFERS} marks what differs between the runs."
    return Section("How it was made", (*blocks, _compared(caption, "what", columns, runs)))


def _machine(run: Run) -> dict[str, Any]:
    row = {name: run.config.get(name, UNKNOWN) for name in ("run_id", "created")}
    versions = run.config.get("versions")
    row |= versions if isinstance(versions, dict) else {"versions": UNKNOWN}
    row |= {name: run.config.get(name, UNKNOWN) for name in ("device", "devices", "cores")}
    row["wall time, s"] = UNKNOWN if run.seconds is None else f"{run.seconds:,.1f}"
    steps = run.done * run.seeds
    row["steps/s of all seeds"] = f"{steps / run.seconds:,.0f}" if run.seconds else UNKNOWN
    row["peak memory, MB"] = UNKNOWN if run.memory is None else f"{run.memory:,.0f}"
    row["parameters of a seed"] = UNKNOWN if run.parameters is None else f"{run.parameters:,}"
    return row


def _compared(
    caption: str, what: str, columns: Sequence[dict[str, Any]], runs: Sequence[Run]
) -> Table:
    rows = []
    for name in dict.fromkeys(name for column in columns for name in column):
        values = tuple(plain(column.get(name, UNKNOWN)) for column in columns)
        mark = f"{DIFFERS} " if len(set(values)) > 1 else ""
        rows.append((f"{mark}{name}", *values))
    heads = [full_name(label, run, runs) for label, run in zip(labels(runs), runs, strict=True)]
    return Table(caption, (what, *heads), tuple(rows), numbers=False)


def document(
    runs: Sequence[Run], sections: Sequence[Section | None], command: str, date: str
) -> Document:
    title = f"Report on {runs[0].name}" if len(runs) == 1 else f"Report on {len(runs)} runs"
    games = ", ".join(dict.fromkeys(run.game for run in runs))
    last = (stored(runs), settings(runs), making(runs, command))
    kept = tuple(section for section in (*sections, *last) if section is not None)
    return Document(title, f"{games}; written {date}", kept)


def image(
    file: str, draw: Callable[[figures.Theme], bytes], alt: str, caption: str, wide: int = 0
) -> Image:
    light, dark = draw(figures.LIGHT), draw(figures.DARK)
    return Image(file, alt, caption, light, dark, wide=wide)


def command_told(command: Any) -> str:
    """A stored command as a shell takes it; the program by its name, not by where it lay."""
    if not isinstance(command, list):
        return plain(command)
    words = [plain(word) for word in command]
    program = Path(words[0]).name if words else ""
    if program in ("counterplay", "__main__.py", "cli.py"):
        words[0] = "counterplay"
    return shlex.join(words)


def plain(value: Any) -> str:
    """A value of a file as text, numbers digit for digit."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    return json.dumps(value, ensure_ascii=False)


def told(value: Any) -> str:
    return f"{value:,.3f}" if np.isfinite(value) else "-"


def mean_told(found: Interval) -> str:
    return told(float(found.mean))


def range_told(found: Interval) -> str:
    low, high = float(found.low), float(found.high)
    return f"{told(low)} to {told(high)}" if np.isfinite(low) else "-"
