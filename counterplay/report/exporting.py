"""What a report measured, in the JSON layout that marl-eval reads."""

from collections.abc import Sequence
from pathlib import Path

from counterplay.evaluate.marl_eval import Evaluated, save_marl_eval
from counterplay.report.measure import Cell, Measured
from counterplay.report.read import Run

METRIC = "return"


def evaluated(runs: Sequence[Run], measured: Sequence[Measured]) -> list[Evaluated]:
    """A task an opponent, an algorithm a run, one evaluation: that of the report.

    Runs of one algorithm are told apart by the names of their folders. Numbers are mean returns of
    matches, or of the groups of them that a report keeps.
    """
    found = []
    for game in measured:
        for i, cells in game.returns.items():
            run = runs[i]
            numbers = run.seed_numbers or tuple(range(len(cells)))
            for seed, row in zip(numbers, cells, strict=True):
                for name, cell in zip(game.opponents or ("alone",), row, strict=True):
                    told = _returns(cell)
                    where = (game.game, name, _called(run, runs), seed, [run.done])
                    found.append(Evaluated(*where, {METRIC: [told]}, {METRIC: told}))
    return found


def _called(run: Run, runs: Sequence[Run]) -> str:
    algorithm = run.config["algorithm"]
    alone = sum(other.config["algorithm"] == algorithm for other in runs) == 1
    return algorithm if alone else f"{algorithm} {run.name}"


def _returns(cell: Cell) -> list[float]:
    return list(cell.blocks) or [cell.mean]


def check_export(path: str, runs: Sequence[Run]) -> None:
    """ValueError before anything is measured where marl-eval could not read what comes of it."""
    if not path.strip() or Path(path).is_dir():
        raise ValueError(f"--marl-eval wants the name of a file, found {path!r}")
    for game in dict.fromkeys(run.game for run in runs):
        shapes = {run.name: (run.seeds, run.done) for run in runs if run.game == game}
        if len(set(shapes.values())) > 1:
            said = ", ".join(f"{n}: {s} seeds, {d:,} steps" for n, (s, d) in shapes.items())
            raise ValueError(
                f"--marl-eval: marl-eval compares runs of as many seeds and the same steps, found "
                f"{said}; report them without it, or each on its own"
            )


def export(path: Path, runs: Sequence[Run], measured: Sequence[Measured]) -> None:
    """Writes the file, whole or not at all; ValueError where nothing was measured."""
    found = evaluated(runs, measured)
    if not found:
        raise ValueError("--marl-eval: no run could play, so there is nothing to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_marl_eval(path, found)
