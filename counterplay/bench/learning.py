"""What PPO reaches and in which time, and what rules earn, on the games of the documentation."""

import json
import tempfile
import time
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.console import read, signed, table, use_all_cores
from counterplay.errors import GameError
from counterplay.verbs import Train, Trained, run_training

STAG_HUNT, SNOWDRIFT = "stag_hunt:4x4", "snowdrift:4x4"
LINE_UPS = {
    "4 nearest_stag": ("0..3=nearest_stag",),
    "4 nearest_hare": ("0..3=nearest_hare",),
    "4 random": ("0..3=random",),
    "2 nearest_stag, 2 nearest_hare": ("0..1=nearest_stag", "2..3=nearest_hare"),
    "1 nearest_stag, 3 nearest_hare": ("0=nearest_stag", "1..3=nearest_hare"),
    "1 nearest_hare, 3 nearest_stag": ("0=nearest_hare", "1..3=nearest_stag"),
}
LONE_CLEANER = "1 cleaner, 3 free_rider"
SNOW_LINE_UPS = {
    "4 cleaner": ("0..3=cleaner",),
    "3 cleaner, 1 free_rider": ("0..2=cleaner", "3=free_rider"),
    "2 cleaner, 2 free_rider": ("0..1=cleaner", "2..3=free_rider"),
    LONE_CLEANER: ("0=cleaner", "1..3=free_rider"),
    "4 free_rider": ("0..3=free_rider",),
    "4 random": ("0..3=random",),
}


@dataclass(frozen=True)
class Bench:
    """Settings that the learning benchmarks share."""

    seed: int = 0
    """First seed of training; evaluation derives its own."""
    seeds: int = 1
    """Trainings in one program."""
    steps: int | None = None
    """Environment steps of each training; by default those of the algorithm."""
    episodes: int = 65_536
    """Episodes of each evaluation."""
    env: str = STAG_HUNT
    """The game."""
    out: str | None = None
    """Keep the run folders here, one a training; by default they are thrown away."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("seeds", "steps", "episodes"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"--{name} must be at least 1, found {number}")


@dataclass(frozen=True)
class Rules:
    """What rules earn on 4x4 stag hunt, in line-ups of one and two kinds."""

    seed: int = 0
    """Seed of start states and moves."""
    episodes: int = 65_536
    """Episodes of each evaluation."""
    json: bool = False
    """Print one JSON object instead of text."""


@dataclass(frozen=True)
class Snowdrift(Rules):
    """What rules earn on 4x4 snowdrift, from nobody who clears drifts to everybody."""


@dataclass(frozen=True)
class Focal(Bench):
    """PPO in every seat in turn against fixed opponents, one training a row."""

    against: tuple[str, ...] = ("nearest_stag", "nearest_hare", "random")
    """Who fills the other seats, one training each."""
    steps: int | None = 8_000_000
    """Environment steps of each training: one seat in four learns, so more than in self-play."""


def _report(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print(json.dumps({"bench": title, "rows": rows}))
        return 0
    shown = [tuple(f"{v:.3f}" if isinstance(v, float) else v for v in r.values()) for r in rows]
    table(title, columns, shown)
    return 0


def trained(
    bench: Bench,
    folder: str,
    began: float | None = None,
    against: tuple[str, ...] = (),
    algorithm: str = "ppo",
) -> Trained:
    """A training with the algorithm's own defaults; see ``run_training`` for ``began``."""
    from counterplay.algos import module_of

    module: Any = import_module(module_of(algorithm))
    config = module.Config(seed=bench.seed, seeds=bench.seeds)
    if bench.steps:
        config = replace(config, steps=bench.steps)
    chosen = Train(config, env=bench.env, out=folder, against=against)
    return run_training(algorithm, chosen, began=began)


def _score(bench: Bench, folder: Any, greedy: bool, against: tuple[str, ...] = ()) -> list[Any]:
    """Sampled or greedy returns of a finished run, one row a seed, in one program."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_against, roster_alone

    env = envs.make(bench.env)
    runs = tuple(f"run:{folder}#{seed}" for seed in range(bench.seeds))
    roster = roster_against(env, runs, against) if against else roster_alone(env, runs)
    return evaluate(env, roster, bench.episodes, seed=bench.seed, greedy=greedy)


def selfplay(args: list[str]) -> int:
    """``counterplay bench selfplay``: wall time with compilation, then sampled and greedy play."""
    began = time.perf_counter()
    bench = read(Bench, args, "bench selfplay")
    use_all_cores()
    with tempfile.TemporaryDirectory() as scratch:
        folder = bench.out or f"{scratch}/run"
        done = trained(bench, folder, began)
        styles = [_score(bench, done.folder, greedy) for greedy in (False, True)]
    rows = [
        {"seed": bench.seed + seed, **_styles(sampled, greedy)}
        for seed, (sampled, greedy) in enumerate(zip(*styles, strict=True))
    ]
    title = (
        f"PPO self-play on {bench.env}: {bench.seeds} x {done.steps:,} steps in "
        f"{done.seconds:.1f} s, {done.compile_seconds:.1f} s of them compiling; "
        f"{bench.episodes:,} episodes"
    )
    if not bench.json:
        return _report(title, ("seed", "sampled", "error", "greedy"), rows, False)
    times = {"seconds": done.seconds, "compile_seconds": done.compile_seconds, "steps": done.steps}
    mean = float(np.mean([row["sampled"] for row in rows]))
    print(json.dumps({"bench": "selfplay", **times, "sampled_mean": mean, "rows": rows}))
    return 0


def dqn(args: list[str]) -> int:
    """``counterplay bench dqn``: DQN, one training after another, each timed by itself."""
    began: float | None = time.perf_counter()
    bench = read(Bench, args, "bench dqn")
    use_all_cores()
    rows = []
    for seed in range(bench.seed, bench.seed + bench.seeds):
        one = replace(bench, seed=seed, seeds=1)
        with tempfile.TemporaryDirectory() as scratch:
            folder = f"{bench.out}/{seed}" if bench.out else f"{scratch}/run"
            done = trained(one, folder, began, algorithm="dqn")
            ((sampled,), (greedy,)) = (_score(one, done.folder, way) for way in (False, True))
        began = None  # only the first waits for the program to start
        times = {"seconds": done.seconds, "compile_seconds": done.compile_seconds}
        rows.append({"seed": seed, **_styles(sampled, greedy), **times, "steps": done.steps})
    title = f"DQN self-play on {bench.env}: {rows[0]['steps']:,} steps, {bench.episodes:,} episodes"
    if not bench.json:
        return _report(title, ("seed", "sampled", "error", "greedy", "seconds"), rows, False)
    print(json.dumps({"bench": "dqn", "steps": rows[0]["steps"], "rows": rows}))
    return 0


def _styles(sampled: Any, greedy: Any) -> dict[str, float]:
    """What all seats earn on average in sampled play, its standard error, and in greedy play."""
    return {
        "sampled": float(sampled.mean.mean()),
        "error": float(np.sqrt((sampled.error**2).sum()) / len(sampled.error)),
        "greedy": float(greedy.mean.mean()),
    }


def focal(args: list[str]) -> int:
    """``counterplay bench focal``"""
    began: float | None = time.perf_counter()
    bench = read(Focal, args, "bench focal")
    use_all_cores()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for other in bench.against:
            folder = f"{bench.out or scratch}/{other}"
            done = trained(bench, folder, began, (other,))
            began = None  # those after the first are timed on their own
            styles = [_score(bench, done.folder, greedy, (other,)) for greedy in (False, True)]
            for seed, found in enumerate(zip(*styles, strict=True)):
                row = {"against": other, "seed": bench.seed + seed}
                for name, score in zip(("sampled", "greedy"), found, strict=True):
                    row |= {name: score.focal_mean, f"±{name}": 1.96 * score.focal_error}
                rows.append(row | {"seconds": round(done.seconds, 1)})
    title = f"PPO on {bench.env} in every seat, {bench.episodes:,} episodes, ± is 1.96 se"
    return _report(title, tuple(rows[0]), rows, bench.json)


def rules(args: list[str]) -> int:
    """``counterplay bench rules``"""
    bench = read(Rules, args, "bench rules")
    return _show_earned(STAG_HUNT, _earned(STAG_HUNT, LINE_UPS, bench), bench)


def snowdrift(args: list[str]) -> int:
    """``counterplay bench snowdrift``"""
    bench = read(Snowdrift, args, "bench snowdrift")
    found = _earned(SNOWDRIFT, SNOW_LINE_UPS, bench)
    cleaner, *riders = found[LONE_CLEANER].mean
    if not np.allclose(riders, 3 * cleaner):
        each = ", ".join(f"{mean:g}" for mean in riders)
        raise GameError(
            f"{SNOWDRIFT}: a drift pays a free rider 6 and a lone cleaner 6 - 4, three to one; "
            f"found {each} to {cleaner:g}: the game does not pay what its page says"
        )
    return _show_earned(SNOWDRIFT, found, bench)


def _earned(game: str, line_ups: dict[str, tuple[str, ...]], bench: Rules) -> dict[str, Any]:
    """Line-up -> its row of an evaluation."""
    use_all_cores()
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import read_seats, roster_of

    env, rows = envs.make(game), {}
    for name, seats in line_ups.items():
        roster = roster_of(env, read_seats(seats, env.num_seats))
        (rows[name],) = evaluate(env, roster, bench.episodes, seed=bench.seed)
    return rows


def _show_earned(game: str, found: dict[str, Any], bench: Rules) -> int:
    rows = []
    for name, row in found.items():
        pairs = [signed(m, e) for m, e in zip(row.mean, row.error, strict=True)]
        means = {f"seat {i}": pair for i, pair in enumerate(pairs)}
        exact = {"mean": row.mean.tolist(), "error": row.error.tolist()} if bench.json else means
        rows.append({"who": name} | exact | {"length": row.length})
    title = f"rules on {game}, {bench.episodes:,} episodes, seed {bench.seed}"
    return _report(title, tuple(rows[0]), rows, bench.json)


@dataclass(frozen=True)
class Foraging(Bench):
    """PPO on a cooperative foraging game stepped in ordinary Python."""

    env: str = "lbforaging:Foraging-5x5-2p-1f-coop-v3"
    """The game."""
    steps: int | None = 400_000
    """Environment steps of each training."""
    episodes: int = 500
    """Episodes of each evaluation."""


def foraging(args: list[str]) -> int:
    """``counterplay bench foraging``"""
    began = time.perf_counter()
    bench = read(Foraging, args, "bench foraging")
    use_all_cores(bench.env)
    with tempfile.TemporaryDirectory() as scratch:
        done = trained(bench, bench.out or f"{scratch}/run", began)
        found = _score(bench, done.folder, greedy=False)
    rows = [
        {"seed": bench.seed + i, "team return": float(row.mean.sum()), "length": row.length}
        for i, row in enumerate(found)
    ]
    title = f"PPO on {bench.env}: {done.steps:,} steps a seed, {done.seconds:.0f} s in all"
    return _report(title, tuple(rows[0]), rows, bench.json)
