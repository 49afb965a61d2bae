"""What an agent that plans thinks in a match: what each move is worth, and what it imagines.

Axes: ``T`` slots of the match, ``N`` seats as the agent's views number them, itself first, ``A``
actions, ``F`` numbers of an encoded observation, ``E`` of a latent, ``H`` imagined moves.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.deciding import can
from counterplay.evaluate.watching import Watching, told_of, whole_matches
from counterplay.maths import finite
from counterplay.models.twohot import symexp
from counterplay.models.world import World
from counterplay.rollout import blame, collect, faults, open_lanes
from counterplay.seats import Roster
from counterplay.types import Act, Env, Memory, View

LANES = 8
"""Matches side by side; the first of them that is long enough is told."""
AHEAD = 5
"""Moves that are imagined in a row."""


class Telling(eqx.Module):
    """Plays an agent that plans as it is, and records what it planned and believed."""

    policy: Any

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return self.policy.begin(key, memory)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        see_key, plan_key, _ = jr.split(key, 3)  # as the agent does: the same draws, made once
        slot = self.policy.see(see_key, memory, view)
        plan = self.policy.planned(plan_key, slot, view)
        act = self.policy.act(key, memory, view, greedy)
        told = {"worth_of_moves": plan.q, "alone": slot.log_pi, "latent_here": slot.e}
        for name in ("types", "belief"):
            if can(self.policy, name):
                told[name] = getattr(self.policy, name)(memory, view)
        return act._replace(record=act.record | told)


class Planned(NamedTuple):
    """One match of one agent, slot by slot."""

    worth: Float[np.ndarray, "T A"]
    """Of each move, as planned: a return."""
    log_pi: Float[np.ndarray, "T A"]
    """Of the policy alone."""
    legal: Bool[np.ndarray, "T A"]
    joint: Int[np.ndarray, "T N"]
    """The moves made, NO_MOVE where nobody acts."""
    acting: Bool[np.ndarray, " T"]
    latent: Float[np.ndarray, "T E"]
    """After the slot was seen."""
    obs: Float[np.ndarray, "T F"]
    after: Float[np.ndarray, "T F"]
    """What was seen after the moves of the slot; NaN where I saw nothing any more."""
    reward: Float[np.ndarray, " T"]
    continues: Bool[np.ndarray, " T"]
    """I play on after it."""
    episode: Int[np.ndarray, " T"]


class Rollout(NamedTuple):
    """So many moves on from one slot: what came, and what was imagined of the same joint moves."""

    slot: int
    seen: Float[np.ndarray, "H1 F"]
    """The slot itself, then after each move; NaN where nothing was seen."""
    imagined: Float[np.ndarray, "H1 F"]
    reward: Float[np.ndarray, "2 H"]
    """True, and imagined."""
    continues: Float[np.ndarray, "2 H"]
    """Whether I played on, and the chance that was given to it."""


class Match(NamedTuple):
    """One match, all that was watched in it as one row, and the world of who planned in it."""

    planned: Planned
    watching: Watching
    world: World
    trust: float


def play(
    env: Env, roster: Roster, seat: int, *, match: int = 1, most: int = 60, seed: int = 0
) -> Match:
    """Plays LANES matches at the first table of the roster, by sampled moves, and tells one.

    That is the first in which the agent at ``seat`` acts in AHEAD + 1 slots of an episode, else the
    first, till it has left for good, and at most ``most`` slots of it. The agent must have learnt a
    world (``looking.plans``).
    """
    one, mine = _told_alone(roster, seat)
    seating = one.seating(LANES)
    length = min(match * (env.horizon + 1), most)

    @jax.jit
    def played(policies: tuple, key: PRNGKeyArray) -> tuple:
        lane_key, play_key = jr.split(key)
        lanes = open_lanes(env, seating, policies, lane_key)
        _, chunk = collect(env, seating, policies, lanes, play_key, slots=length, match=match)
        obs = jax.vmap(jax.vmap(env.encode))(finite(chunk.slots["obs"][:, :, seat]))
        told = told_of(seating, np.full(LANES, seat), chunk)
        return chunk, told, obs, faults(chunk.slots)

    *found, wrong = played(one.others, jr.key(seed))
    blame(env, seating, wrong)
    chunk, told, obs = jax.tree.map(np.asarray, found)
    watching = whole_matches(env, [told], match, np.full(LANES, seat))
    lane = _long_enough(watching)
    only = _till_it_left(jax.tree.map(lambda x: x[lane : lane + 1], watching))
    member, spot = np.argwhere(seating.places[mine] == lane * env.num_seats + seat)[0]
    record = {k: x[member, spot] for k, x in chunk.records[mine].items()}
    slots = {name: x[lane] for name, x in chunk.slots.items()}
    net = jax.tree.map(lambda x: x[member], one.kinds[mine].policy.policy.policy.net)
    planned = _planned(only, record, slots, obs[lane], seat)
    return Match(planned, only, net.model.world, float(net.trust))


def _told_alone(roster: Roster, seat: int) -> tuple[Roster, int]:
    """The first table alone, with those kinds that sit there, of which one tells: which it is."""
    table = roster.tables[0]
    met = sorted({chair.kind for chair in table})
    kinds, mine = [roster.kinds[kind] for kind in met], met.index(table[seat].kind)
    telling = eqx.tree_at(lambda held: held.policy, kinds[mine].policy, replace_fn=Telling)
    kinds[mine] = replace(kinds[mine], policy=telling)
    chairs = tuple(chair._replace(kind=met.index(chair.kind)) for chair in table)
    return Roster(tuple(kinds), (chairs,), focal=(seat,)), mine


def _till_it_left(w: Watching) -> Watching:
    """Without the slots after the last one in which the agent acts."""
    (mine,) = np.nonzero(w.alive[0, :, 0])
    there = np.arange(w.valid.shape[1]) <= mine.max(initial=0)
    return w._replace(valid=w.valid & there[None])


def _long_enough(w: Watching) -> int:
    fits = [begins(w.alive[b, :, 0], w.episode[b]).size > 0 for b in range(len(w.valid))]
    return int(np.argmax(fits))


def _planned(
    w: Watching, record: dict[str, Any], slots: dict[str, Any], obs: np.ndarray, seat: int
) -> Planned:
    """The slots of the match in which somebody acts; ``obs`` of all, those that only show too."""
    here = np.flatnonzero(w.valid[0])
    follows = slots["continues"][here, seat] & (here + 1 < len(obs))
    after = np.where(follows[:, None], obs[np.minimum(here + 1, len(obs) - 1)], np.nan)
    return Planned(
        worth=record["worth_of_moves"][here],
        log_pi=record["alone"][here],
        legal=w.legal[0, here, 0],
        joint=w.actions[0, here],
        acting=w.alive[0, here, 0],
        latent=record["latent_here"][here],
        obs=obs[here],
        after=after,
        reward=w.reward[0, here, 0],
        continues=slots["continues"][here, seat],
        episode=w.episode[0, here],
    )


def advantage(
    worth: Float[np.ndarray, "T A"],
    log_pi: Float[np.ndarray, "T A"],
    legal: Bool[np.ndarray, "T A"],
    acting: Bool[np.ndarray, " T"],
) -> Float[np.ndarray, "T A"]:
    """Planned worth of each move less its mean under the policy; NaN where it is illegal, or
    nobody acts."""
    chance = np.where(legal, np.exp(log_pi), 0.0)
    mean = (chance * np.where(legal, worth, 0.0)).sum(1, keepdims=True)
    return np.where(legal & acting[:, None], worth - mean, np.nan)


def begins(
    acting: Bool[np.ndarray, " T"], episode: Int[np.ndarray, " T"], ahead: int = AHEAD
) -> Int[np.ndarray, " S"]:
    """Slots from which ``ahead`` moves in a row were made, in episodes of one slot more at least.

    What the last of them leads to may be the end.
    """
    found = []
    for number in np.unique(episode[acting]):
        here = np.flatnonzero(acting & (episode == number))
        if len(here) > ahead:
            found += here[: len(here) - ahead + 1].tolist()
    return np.array(found, np.int64)


def best_begin(planned: Planned, ahead: int = AHEAD) -> int | None:
    """Of those slots the first after which most is earned, or lost; None where there is none."""
    slots = begins(planned.acting, planned.episode, ahead)
    if not slots.size:
        return None
    paid = [abs(planned.reward[t : t + ahead]).sum() for t in slots]
    return int(slots[int(np.argmax(paid))])


@jax.jit
def open_loop(
    world: World, e: Float[Array, " E"], joint: Int[Array, "H N"]
) -> tuple[Float[Array, "H1 F"], Float[Array, " H"], Float[Array, " H"]]:
    """What would be seen at e and after each joint move, what each would earn, and the chance of
    playing on after it; nothing is seen on the way, and of what may come it is the likeliest."""

    def read(e: Float[Array, " E"]) -> tuple[Array, Array, Array]:
        told = world.read(e)
        shown = jax.nn.sigmoid(told.obs) if world.binary else symexp(told.obs)
        return shown, world.earned(told), jax.nn.sigmoid(told.alive[0])

    def move(e: Float[Array, " E"], moves: Int[Array, " N"]) -> tuple[Array, tuple]:
        e = world.arrive(None, *world.expect(e, moves))
        return e, read(e)

    shown, earned, alive = lax.scan(move, e, joint)[1]
    return jnp.concatenate([read(e)[0][None], shown]), earned, alive


def rollout(world: World, planned: Planned, slot: int, ahead: int = AHEAD) -> Rollout:
    """The true joint moves from a slot on, imagined, beside what came of them."""
    moves = slice(slot, slot + ahead)
    shown, earned, alive = map(
        np.asarray, open_loop(world, planned.latent[slot], planned.joint[moves])
    )
    seen = np.concatenate([planned.obs[slot][None], planned.after[moves]])
    reward = np.stack([planned.reward[moves], earned])
    return Rollout(slot, seen, shown, reward, np.stack([planned.continues[moves], alive]))
