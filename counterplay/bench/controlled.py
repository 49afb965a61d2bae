"""Agents that read the others, kept from knowing what they are there to find out: the controls.

They are the agents as they are, but for what their parts are shown: ``controlled`` makes of an
algorithm one whose reader and world model are of the classes below, in training and in play. The
game and its rewards stay true, and so does what the policy sees of the present slot.

Both controls forget. What a player sees of a board tells where the others have gone, so whoever
remembered it would know of the past whatever is done to the moves: the reader has no recurrent
layer, and the latent of the world is made of the present slot alone.
"""

from dataclasses import fields
from functools import partial
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import Options, loops
from counterplay.algos.goal_ppo import GoalReader
from counterplay.algos.informed import Sight
from counterplay.models.beliefs import Held
from counterplay.models.world import Looked, World
from counterplay.names import unknown
from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.types import NO_EVENT, NO_MOVE, Memory, View

SETTINGS: dict[str, dict[str, Any]] = {
    "prior": {"reader_gru": 0, "drift": 0.0},
    "permuted": {"reader_gru": 0},
}
"""Control -> the settings without which it would not be one."""


class Prior(GoalReader):
    """Believes of everybody what it did at first contact, in every slot: all types and goals alike.

    Its memory is emptied before each slot, and of that it is shown what there is now, not the last
    joint move, its events or what it paid. So the moves it expects follow from the present
    observation and even chances; nothing that is imagined changes them either.
    """

    def __init__(self, reader: GoalReader):
        _take(self, reader)

    @property
    def temper(self) -> Float[Array, ""]:
        """No move counts."""
        return jnp.zeros(())

    def held(self, memory: Memory, view: View) -> tuple[Array, Held]:
        return super().held(self.begin(None), without_past(view))

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        return super().look(key, self.begin(None), without_past(view))


class Permuted(GoalReader):
    """Takes the last joint move, its events and what it paid from another lane's match.

    Its belief grows by these, for the whole of its own match, and starts anew with that.
    """

    def __init__(self, reader: GoalReader):
        _take(self, reader)

    def held(self, memory: Memory, view: View) -> tuple[Array, Held]:
        return super().held(memory, with_foreign_past(view))

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        return super().look(key, memory, with_foreign_past(view))


class Forgetful(World):
    """Makes its latent of the present slot alone, as at first contact."""

    def __init__(self, world: World):
        _take(self, world)

    def corrected(
        self, key: PRNGKeyArray | None, h: Float[Array, " H"], looked: Looked
    ) -> tuple[Float[Array, " E"], Float[Array, "Z C"]]:
        nobody = jnp.full(self.seats, NO_MOVE)
        return super().corrected(key, self.expect(self.begin(), nobody)[0], looked)


READERS = {"prior": Prior, "permuted": Permuted}


def _take(new: Any, old: Any) -> None:
    """All fields of a part."""
    for field in fields(old):
        setattr(new, field.name, getattr(old, field.name))


def without_past(view: View) -> View:
    """The view without the last joint move, what came of it, and whether an episode began."""
    past = lambda v: (v.moved, v.event, v.reward, v.first)
    moved, event, reward, first = past(view)
    none = jnp.full_like(moved, NO_MOVE), jnp.full_like(event, NO_EVENT), jnp.zeros_like(reward)
    return eqx.tree_at(past, view, (*none, jnp.zeros_like(first)))


def with_foreign_past(view: View) -> View:
    """The view with the last joint move, its events and what it paid of another place.

    Among the places of one policy that see at once, the innermost axis of ``vmap``, each is shown
    what the one before it lived, the first that of the last. Who is alone is shown nothing.
    """
    past = lambda v: (v.moved, v.event, v.reward)
    return eqx.tree_at(past, view, _elsewhere(*past(view)))


@custom_vmap
def _elsewhere(moved: Array, event: Array, reward: Array) -> tuple[Array, Array, Array]:
    none = jnp.full_like(moved, NO_MOVE), jnp.full_like(event, NO_EVENT)
    return *none, jnp.zeros_like(reward)


@_elsewhere.def_vmap
def _among_places(size: int, batched: Any, *past: Array) -> tuple[Any, Any]:
    along = [
        x if b else jnp.broadcast_to(x, (size, *x.shape))
        for x, b in zip(past, batched, strict=True)
    ]
    alone = size == 1
    out = _elsewhere.fun(*along) if alone else tuple(jnp.roll(x, 1, axis=0) for x in along)
    return out, (True, True, True)


def with_foreign_moves(seating: Seating, chunk: Chunk) -> Chunk:
    """The chunk as ``with_foreign_past`` shows it: others' moves and events are of the lane before.

    All models of the others and of the game learn from these. The learner's own moves are its own,
    and what was paid and shown is true. A move that is illegal where it is shown is left out.
    """
    mine = jnp.zeros((seating.lanes, seating.num_seats), bool)
    (places,) = [p for p, k in zip(seating.places, seating.kinds, strict=True) if k.learner]
    mine = mine.at[jnp.divmod(places.ravel(), seating.num_seats)].set(True)[:, None]
    slots = chunk.slots
    moves, events = (jnp.roll(slots[name], 1, axis=0) for name in ("actions", "event"))
    hot = moves[..., None] == jnp.arange(slots["avail_actions"].shape[-1])[None, None, None]
    moves = jnp.where((hot & slots["avail_actions"]).any(-1), moves, NO_MOVE)
    told = {"actions": jnp.where(mine, slots["actions"], moves)}
    told |= {"event": jnp.where(mine, slots["event"], events)}
    return chunk._replace(slots=slots | told)


def controlled(module: Any, control: str | None) -> Any:
    """The module of an algorithm, ``goal_ppo`` or ``counterplay``, under a control of SETTINGS;
    the same module for None. ValueError for what is no control, or agents that remember more."""
    if control is None:
        return module
    if control not in SETTINGS:
        raise unknown("control", control, SETTINGS)

    def recast(part: Any) -> Any:
        if isinstance(part, GoalReader):
            return READERS[control](part)
        return Forgetful(part) if isinstance(part, World) else part

    def init(config: Any, spec: Any, key: PRNGKeyArray) -> Any:
        _check(config, spec.seating, control)
        state = module.init(config, spec, key)
        whole = lambda x: isinstance(x, GoalReader | World)  # of the optimisers, too
        learners = jax.tree.map(recast, state.learners, is_leaf=whole)
        return eqx.tree_at(lambda s: s.learners, state, learners)

    def learn(config: Any, state: Any, chunk: Chunk) -> Any:
        if control == "permuted":
            chunk = with_foreign_moves(state.spec.seating, chunk)
        return module.learn(config, state, chunk)

    made = SimpleNamespace(Config=module.Config, Agent=module.Agent, policy=module.policy)
    made.init, made.learn = init, learn
    made.train = partial(_train, made)
    return made


def _train(algorithm: Any, config: Any, env: Any, roster: Any) -> Any:
    return loops.train(config, env, roster, algorithm, Options())


def _check(config: Any, seating: Seating, control: str) -> None:
    """ValueError for settings by which the past would come in, or seats that cannot be permuted."""
    found = {"gru": config.gru, "belief": config.belief}
    found |= {name: getattr(config, name) for name in SETTINGS[control]}
    asked = {"gru": 0, "belief": "filter"} | SETTINGS[control]
    if found != asked:
        raise ValueError(f"the control {control} wants the settings {asked}, found {found}")
    learning = [p for p, k in zip(seating.places, seating.kinds, strict=True) if k.learner]
    if len(learning) != 1 or learning[0].shape != (1, seating.lanes):
        raise ValueError(
            f"the control {control} wants one learner in each of {seating.lanes} lanes, found "
            f"places of shapes {[p.shape for p in learning]}"
        )
