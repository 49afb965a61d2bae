"""A hunter that hunts the stag alone and never gets it: is it told from one who hunts hares?

A reader is trained on trembling hunters of both kinds, in the company of one who hunts stags or
stays where it is. Then it watches a stag hunter from beside somebody who never helps. Nothing is
ever completed, so that moves alone tell the goal.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from counterplay.algos import goal_ppo
from counterplay.algos.adam import optimiser
from counterplay.algos.fitting import fit_reader
from counterplay.algos.goal_ppo import Config, GoalReader
from counterplay.algos.goal_settings import GoalSettings
from counterplay.algos.informed_settings import ReaderSettings
from counterplay.algos.labels import prepared
from counterplay.algos.loops import Spec
from counterplay.algos.study import studies
from counterplay.bench.reading_table import MOVES, SURE
from counterplay.envs.stag_hunt import CAUGHT_STAG, StagHunt
from counterplay.models.beliefs import over_goals
from counterplay.models.history import as_record, seen_in
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.stag_hunt import nearest_hare, nearest_stag, stay
from counterplay.rollout import collect, open_lanes
from counterplay.seats import Chair, Kind, Roster
from counterplay.settings import as_json, from_json
from counterplay.types import NO_MOVE, Act, Memory, View
from counterplay.views import view_shapes

LANES, SLOTS, ROUNDS = 64, 30, 24
"""Of a training; ``ROUNDS`` where nobody says how many."""
TREMBLE = 0.1
RULES = tuple(f"{name}:tremble={TREMBLE}" for name in ("nearest_stag", "nearest_hare"))
SETTINGS: dict[str, Any] = {"reader_widths": (48,), "reader_gru": 24, "reader_rate": 5e-3}
SETTINGS |= {"reader_epochs": 4, "types": 1}
GAME = StagHunt(players=2)


def settings(more: dict[str, Any]) -> dict[str, Any]:
    """Those of goal_ppo that a training goes by, as JSON has them; ``more`` are a case's own."""
    config = Config(**more, lanes=LANES, slots=SLOTS)
    names = [f.name for kind in (ReaderSettings, GoalSettings) for f in fields(kind)]
    names += ["lanes", "slots", "max_grad_norm"]
    return as_json({name: getattr(config, name) for name in names})


class Watching(eqx.Module):
    """Plays a rule, and keeps what it sees; with a reader, also what that believes of the other."""

    plays: Any
    reader: GoalReader | None = None
    units: int = eqx.field(static=True, default=1)
    """Of the reader's recurrent layer."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        mine, read = (None, None) if memory is None else memory
        rest = (jnp.zeros(self.units), ()) if self.reader is None else self.reader.begin(read)
        return self.plays.begin(key, mine), rest

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        act, record = self.plays.act(key, memory[0], view, greedy), as_record(seen_in(view))
        kept = memory[1]
        if self.reader is not None:
            kept, held = self.reader.held(memory[1], view)
            record, kept = record | {"belief": over_goals(held)}, (kept, held)
        return Act(act.action, (act.memory, kept), record)


def seating_of(watcher: Any, other: Any, lanes: int) -> Any:
    """The two in either seat, by turns."""
    kinds = Kind("watcher", policy=watcher), Kind("other", policy=other, first_id=1)
    tables = (Chair(0, 0), Chair(1, 0)), (Chair(1, 0), Chair(0, 0))
    return Roster(kinds, tables).seating(lanes)


many = partial(jax.tree.map, lambda x: x[None])


def trained(config: Config, seed: int, rounds: int = ROUNDS) -> tuple[GoalReader, np.ndarray]:
    """A reader of goals, and its loss of moves in every round, in nats."""
    reader, told = _training(config, rounds)(jr.key(seed))
    return jax.tree.map(lambda x: x[0], reader), np.asarray(told["moves_loss"])[:, 0]


@lru_cache(maxsize=1)
def _training(config: Config, rounds: int) -> Callable[[PRNGKeyArray], Any]:
    """Key -> the reader, leaves [1, ...], and metrics of every round; one program for all seeds."""
    plays = Mixture((nearest_stag(GAME, TREMBLE), stay(GAME)))
    watcher = Watching(plays, units=config.reader_gru)
    other = Mixture((nearest_stag(GAME, TREMBLE), nearest_hare(GAME, TREMBLE)))
    seating, policies = seating_of(watcher, other, LANES), (many(watcher), many(other))
    spec, loss = Spec(GAME, seating, None), partial(goal_ppo.reader_loss, ())

    @jax.jit
    def fit(key):
        reader_key, lane_key, key = jr.split(key, 3)
        reader = many(goal_ppo.make_reader(config, GAME, reader_key))
        start: Any = optimiser(config).init
        opt = jax.vmap(lambda r: start(eqx.filter(r, eqx.is_inexact_array)))(reader)
        lanes = open_lanes(GAME, seating, policies, lane_key)

        def one(carry, turn):
            reader, opt, lanes = carry
            key, progress = turn
            play_key, fit_key = jr.split(key)
            lanes, chunk = collect(GAME, seating, policies, lanes, play_key, slots=SLOTS)
            study = prepared(config, studies(seating, 0, chunk))
            reader, opt, told = fit_reader(
                loss, config, spec, reader, opt, study, progress, fit_key
            )
            return (reader, opt, lanes), told

        turns = jr.split(key, rounds), jnp.arange(rounds) / rounds
        (reader, _, _), told = jax.lax.scan(one, (reader, opt, lanes), turns)
        return reader, told

    return fit


OF = "lanes in which nothing was caught"
"""Of whom shares are told."""


class Believed(NamedTuple):
    """How likely a stag was held to be before each slot, [L, T], beside one who stays."""

    stag: np.ndarray
    exact: np.ndarray
    """The same by Bayes' rule, float64, from what both rules would have done."""
    there: np.ndarray


def exactly(study: Any) -> np.ndarray:
    """The chance of a stag before each slot, [L, T], to one who knows both rules."""
    rules = nearest_stag(GAME, TREMBLE), nearest_hare(GAME, TREMBLE)
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(GAME))

    def chances(obs, legal):
        view = replace(blank, obs=GAME.encode(obs), legal=legal)
        return jnp.stack([rule.log_probs((), view) for rule in rules])

    shown = study.theirs[0, :, :, 0], study.seen.legal[0, :, :, 0]
    each = jax.jit(jax.vmap(jax.vmap(chances)))(*shown)
    moves = np.asarray(study.moves)[0, :, :, 0, None, None]
    told = np.take_along_axis(np.asarray(each, float), np.maximum(moves, 0), -1)[..., 0]
    told = np.where(moves[..., 0] == NO_MOVE, 0.0, told)
    before = np.cumsum(told, 1) - told
    return 1 / (1 + np.exp(before[..., 1] - before[..., 0]))


def believed(reader: GoalReader, other: Rule, lanes: int = LANES, seed: int = 0) -> Believed:
    """Of a hunter that nobody helps, in one episode a lane."""
    watcher = Watching(stay(GAME), reader)
    seating, policies = seating_of(watcher, other, lanes), (many(watcher), many(other))

    @jax.jit
    def play(policies):
        open_key, play_key = jr.split(jr.fold_in(jr.key(5), seed))  # not those that it learnt from
        opened = open_lanes(GAME, seating, policies, open_key)
        return collect(GAME, seating, policies, opened, play_key, slots=GAME.horizon)[1]

    chunk = play(policies)
    study = studies(seating, 0, chunk)
    stag = np.asarray(chunk.records[0]["belief"][0, :, :, 0, CAUGHT_STAG])
    return Believed(stag, exactly(study), np.asarray(study.there[0, ..., 0]))


def recognised(seed: int, settings: dict[str, Any], steps: int, lanes: int) -> dict[str, Any]:
    """Of a lone stag hunter after so many moves: the share of lanes in which the stag is held to be
    ``SURE``, and the median over lanes of how likely, of the reader and of exact inference."""
    reader, _ = trained(Config(**from_json(settings)), seed, max(steps // (LANES * SLOTS), 1))
    return shares(believed(reader, nearest_stag(GAME, TREMBLE), lanes, seed))


def shares(found: Believed) -> dict[str, Any]:
    """Of the lanes in which the hunter plays on after MOVES moves: who trembles onto a hare, and
    takes it, has succeeded."""
    on = found.there[:, MOVES]
    if not on.any():
        raise ValueError(f"no hunter is left after {MOVES} moves, of {len(on)} lanes: watch more")
    each = {"reader": found.stag[on, MOVES], "exact": found.exact[on, MOVES]}
    told: dict[str, Any] = {
        who: {"share": float((x > SURE).mean()), "median": float(np.median(x))}
        for who, x in each.items()
    }
    return told | {"lanes": int(on.sum())}
