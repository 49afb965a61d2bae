"""The protocols of evaluation: who is met, and in which matches. Naming them does not import JAX.

What a version says is frozen: results of different versions are never compared.
"""

from dataclasses import dataclass

from counterplay import envs
from counterplay.evaluate.scenarios import SCENARIOS, Scenario
from counterplay.names import unknown

SELF = "self"
"""In place of a set: the policy under evaluation itself sits in every seat."""
PLAYS = ("sampled", "greedy")
MATCHES = 1000


@dataclass(frozen=True)
class Protocol:
    """Whom a policy meets at the other seats, and what that is to show."""

    name: str
    """NAME-vK."""
    sets: tuple[str, ...]
    """Sets of opponents; measures of the opponent model are of the first above all."""
    about: str


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("selfplay-v1", (SELF,), "itself in every seat: what it was trained with"),
        Protocol("seen-v1", ("train",), "opponents that it may have met in training"),
        Protocol("unseen-v1", ("held-out", "near"), "families, then settings, never met before"),
        Protocol("fewshot-v1", ("held-out",), "how fast it adapts to strangers in a match"),
        Protocol("switch-v1", ("switch-known", "switch-unknown"), "opponents that change"),
    )
}


def protocol_of(text: str) -> Protocol:
    """The protocol of that name; without a version, the latest."""
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    found = [p for name, p in PROTOCOLS.items() if name.rpartition("-v")[0] == text]
    if not found:
        raise unknown("protocol", text, PROTOCOLS)
    return found[-1]


def scenario_for(game: str, match: int | None = None) -> Scenario:
    """The scenario of a game; one without a name where its settings or matches are others.

    That one has the seat, the inference and, unless given, the matches of a scenario of the same
    game, but no references. A game without any has matches of one episode, and no rules are known.
    """
    if match is not None and match < 1:
        raise ValueError(f"--match must be at least 1 episode, found {match}")
    found, settings = envs.look_up(game), game.split(",")[1:]
    latest = list(SCENARIOS.values())[::-1]
    latest.sort(key=lambda s: "," in s.game)  # those with settings of their own are like nobody
    for scenario in latest if found else ():
        same = envs.look_up(scenario.game) == found and scenario.game.split(",")[1:] == settings
        if same and match in (None, scenario.match):
            return scenario
    kin = [s for s in latest if found and s.game.partition(":")[0] == found[0]]
    if not kin:
        return Scenario("", game, match or 1, reader="")
    like = next((s for s in kin if envs.look_up(s.game) == found), kin[0])
    return Scenario("", game, match or like.match, like.seat, reader=like.reader)
