"""Films of a match with what was believed of the first other under the board."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from counterplay.deciding import can
from counterplay.evaluate.beside import informed
from counterplay.evaluate.by_protocol import drift_of, known_to
from counterplay.evaluate.opponent_model import first_strip
from counterplay.evaluate.own_types import of_run
from counterplay.evaluate.protocols import scenario_for
from counterplay.evaluate.recording import Frame, record_match
from counterplay.evaluate.watching import unread
from counterplay.report.read import Run
from counterplay.report.strip_films import film_with_strip
from counterplay.report.strips import Strip, strip_of
from counterplay.seats import Roster
from counterplay.types import Picture

MOST_SLOTS = 60
"""Of a film; the episode in which they are over is shown to its end."""


class Filmed(NamedTuple):
    """A match as far as it is shown."""

    frames: list[Frame]
    pictures: list[Picture]
    """Of the same states, with the strip below."""
    strip: Strip
    episodes: int
    ends: list[int]
    """The frames with which they end."""


def with_beliefs(
    env: Any, run: Run, roster: Roster, names: tuple[str, ...], seed: int
) -> Filmed | None:
    """The match at the roster's table; None where nobody believes anything that is known.

    What is shown is the policy's own posterior or belief, else that of exact inference over the
    known rules of the game, which is played for runs that were evaluated by protocols.
    """
    policy = roster.kinds[roster.tables[0][run.seat].kind].policy
    if not run.protocols and not any(can(policy, name) for name in ("types", "belief")):
        return None
    scenario = scenario_for(run.game)
    if not run.protocols:
        scenario = replace(scenario, match=run.match)
    rules, known = known_to(env, scenario, roster)
    changes = any(name.startswith("switch") for name in names)
    drift = drift_of(env, scenario) if changes else 0.0
    roster, rules = informed(env, scenario, roster, run.seat, rules, drift)
    size = {"match": scenario.match, "most": MOST_SLOTS, "seed": seed, "known": rules}
    found = record_match(env, roster, run.seat, **size)
    watching = found.watching
    watching = unread(watching) if rules is None else watching
    meant = of_run(run.config, env, known)
    part = first_strip(watching, known, drift, meant)
    if part is None:
        return None
    strip = strip_of(part)
    pictures = film_with_strip([frame.picture for frame in found.frames], strip, found.slots)
    ends = ends_of(found.slots)
    return Filmed(found.frames, pictures, strip, int(strip.episode.max()) + 1, ends)


def ends_of(slots: Sequence[int]) -> list[int]:
    """The last frames of episodes, by the slot that each frame shows: that of the frame with which
    the next episode begins, and of the last frame but one where the match is over."""
    last = len(slots) - 1
    return [k for k in range(last - 1) if slots[k] == slots[k + 1]] + [last]
