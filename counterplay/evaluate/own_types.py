"""Which of the known rules a policy means by each of its types.

Types are what a training called so: its opponents, in the order of their numbers, or codes that
mean nothing by themselves. Only what has the same name can be compared.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay import opponents
from counterplay.envs import game_of
from counterplay.evaluate.others import Known
from counterplay.planning.naming import run_of
from counterplay.pools import named
from counterplay.runs import read_config, split_run
from counterplay.types import Env

CODES = "its types are codes, found from moves: nothing says which rule each of them is"


class Own(NamedTuple):
    """What the types of a policy are."""

    place: tuple[int | None, ...] | None
    """Of each type, in the order of its posterior, the place among the known rules, None of one
    that is nobody who is met here, such as who learnt; None where they are not those rules."""
    why: str = ""
    """They are not."""


def own_types(policy: str, env: Env, known: Known) -> Own | None:
    """Of the policy that a seat names, as its run folder tells; None for one that tells nothing,
    whose types are taken for the known rules in their order.

    ValueError for a run folder that is none.
    """
    found = [_own(text, env, known) for text in named(policy, env)]
    if all(one == found[0] for one in found[1:]):
        return found[0]
    return Own(None, "several policies sit there, whose types differ")


def _own(text: str, env: Env, known: Known) -> Own | None:
    run = run_of(text)
    if run is None:
        return None
    return of_run(read_config(split_run(run).folder), env, known)


def of_run(row: Mapping[str, Any], env: Env, known: Known) -> Own | None:
    """Of a run by its config.json; None where its algorithm has no types."""
    learners, names = {kind["name"] for kind in row["learners"]}, row.get("opponents")
    met = None if names is None else [name for name in names if name and name not in learners]
    return of_training(row["config"], met, env, known)


def of_training(
    settings: Mapping[str, Any], met: Iterable[str] | None, env: Env, known: Known
) -> Own | None:
    """Of an agent that was trained with these settings among those opponents, in the order of
    their numbers; None where its algorithm has no types."""
    if "types_from" not in settings:
        return None
    if settings["types_from"] == "moves":
        return Own(None, CODES)
    if met is None:
        return Own(None, "its run folder does not say whom it met in training")
    met = list(met)
    found = placed(met, env, known)
    if found.place is None:
        return found
    return Own(found.place + (None,) * max((settings.get("types") or 0) - len(met), 0))


def placed(names: Iterable[str], env: Env, known: Known) -> Own:
    """Types that are the opponents of these names, which must be the known rules, all of them,
    in any order and however they are written."""
    game = game_of(env)
    own = [(text, _alike(text, game)) for text in names]
    rules = {_alike(text, game): i for i, text in enumerate(known.names)}
    if strange := [text for text, name in own if name not in rules]:
        return Own(None, f"it was trained with {strange[0]!r}, which is none of the known rules")
    met = {name for _, name in own}
    if lacking := [known.names[i] for name, i in rules.items() if name not in met]:
        return Own(None, f"{lacking[0]!r} is a known rule, and none of its types")
    return Own(tuple(rules[name] for _, name in own))


def _alike(text: str, game: str | None) -> str:
    """The same for every way to write a rule; of whoever is none, its name."""
    try:
        return opponents.canonical(text, game)
    except ValueError:
        return text


def by_rule(
    log_types: Float[np.ndarray, "*rows Y"], known: Known, own: Own | None
) -> tuple[Float[np.ndarray, "*rows K"] | None, str]:
    """A posterior over types as one over the known rules, in log-probabilities; None, and why,
    where it is none. Types of one rule add up."""
    width, rules = log_types.shape[-1], len(known.names)
    if own is not None and own.place is None and rules:
        return None, own.why
    place = tuple(range(rules)) if own is None or own.place is None else own.place
    if width != len(place) or not rules:
        return None, f"the policy has a posterior over {width} types, and {rules} rules are known"
    if place == tuple(range(rules)):
        return log_types, ""
    out = np.full((*log_types.shape[:-1], rules), -np.inf)
    for k, rule in enumerate(place):
        if rule is not None:
            out[..., rule] = np.logaddexp(out[..., rule], log_types[..., k])
    if None in place:  # given that it is one of them
        out -= np.logaddexp.reduce(out, axis=-1, keepdims=True)
    return out, ""
