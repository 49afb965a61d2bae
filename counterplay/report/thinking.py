"""What the agent of a run planned, imagined and believed in one match."""

from typing import Any, NamedTuple

import numpy as np

from counterplay import pools
from counterplay.algos.looking import plans
from counterplay.evaluate.believed import strip
from counterplay.evaluate.by_protocol import known_to
from counterplay.evaluate.others import others
from counterplay.evaluate.own_types import by_rule, of_run
from counterplay.evaluate.planned import AHEAD, Planned, Rollout, best_begin, play, rollout
from counterplay.evaluate.protocols import scenario_for
from counterplay.evaluate.watching import Watching
from counterplay.report.naming import Board, board_of, goals_of, moves_of
from counterplay.report.read import GATE, Run
from counterplay.report.strips import Strip, strip_of
from counterplay.seats import Roster

MOST_SLOTS = 60
"""Of the match that is shown."""


class Thought(NamedTuple):
    """One match as its agent saw it."""

    planned: Planned
    moves: tuple[str, ...]
    """What the game calls them."""
    belief: Strip | None
    """Of the first other, where anything is believed."""
    rollout: Rollout | None
    board: Board | None
    """Where what is shown is one."""
    binary: bool
    """What is shown lies in 0..1."""
    trust: float
    told: str
    """Who sat where, and how much of the match it is."""
    plans: bool = True
    """It planned at all."""


def thought_of(
    env: Any, run: Run, seats: dict[int, str], called: list[str], seed: int
) -> Thought | None:
    """A ``Thought``; None for a run that was not trained to plan.

    ``seats`` are policies by seat, ``called`` what they are called. ValueError where nothing of
    the kind can be shown.
    """
    if not any(name in run.metrics for name in GATE):
        return None
    roster = pools.roster_of(env, seats)
    agent: Any = getattr(roster.kinds[roster.tables[0][run.seat].kind].policy, "policy", None)
    if not plans(agent):
        return None
    if env.num_seats == 1:
        raise ValueError("a game of one seat has no others whose moves could be planned with")
    if hasattr(pools.stage(env, roster), "open"):
        raise ValueError("plans are read inside JAX only, and somebody plays in ordinary Python")
    found = play(env, roster, run.seat, match=run.match, most=MOST_SLOTS, seed=seed)
    planned, slot = found.planned, best_begin(found.planned)
    shown = None if slot is None else rollout(found.world, planned, slot)
    who = ", ".join(f"{seat} {name}" for seat, name in enumerate(called))
    cut = (len(planned.acting) == MOST_SLOTS and "the first ") or ""
    words = f"{cut}{len(planned.acting)} slots of a match; who sat where: {who}"
    return Thought(
        planned, moves_of(env), believed(env, run, roster, found.watching), shown,
        board_of(env, planned.obs.shape[1]), found.world.binary, found.trust, words,
        agent.net.how.form != "none",
    )  # fmt: skip


def believed(env: Any, run: Run, roster: Roster, watching: Watching) -> Strip | None:
    """What was held of the first other: its type, where types are rules that are known by name,
    else its goal; None where there are no two of either."""
    _, known = known_to(env, scenario_for(run.game), roster)
    rows = others(watching, known)
    own = rows.types
    if own is not None:
        own, _ = by_rule(own, known, of_run(run.config, env, known))
    part = strip(watching, rows, known, None, own)
    if part is None or len(part["names"]) < 2:
        return None
    found = strip_of(part)
    return found._replace(names=goals_of(env)) if own is None else found


def too_short(thought: Thought) -> str:
    """Why nothing imagined is shown."""
    longest = longest_stay(thought.planned)
    return (
        f"no rollout is drawn: it takes an episode of {AHEAD + 1} slots, and the longest stay in "
        f"one was {longest}"
    )


def longest_stay(planned: Planned) -> int:
    """Slots in which the agent acted in one episode, at most."""
    return int(np.bincount(planned.episode[planned.acting], minlength=1).max())
