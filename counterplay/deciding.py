"""How one kind of policy moves at all its places at once, and what it tells of itself."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray

from counterplay.seats import Seating
from counterplay.types import NO_EVENT, NO_TYPE, Act, Memory, Policy, View
from counterplay.views import select

WATCHED = ("log_probs", "predict", "belief", "types", "decode", "hypotheses")
WATCHED += ("exact_types", "exact_predict", "foresee", "intents")
"""What metrics read of a policy, each told from its memory and view before it moves."""


class Decision(NamedTuple):
    """Moves of one kind of policy at all its places, leaves [K, P, ...]."""

    act: Act
    begun: Memory
    """The memory it decided with; ``act.memory`` is the one after."""
    goal: Int[Array, "K P"]
    """The declared intent, for metrics only; NO_EVENT where a policy declares none."""
    who: Int[Array, "K P 3"]
    """Which policy of a mixture plays here, its type, and which of its modes it is in; NO_TYPE
    where a policy declares none."""


def place_keys(key: PRNGKeyArray, shape: tuple[int, ...]) -> list[Key[Array, "K P"]]:
    """Keys [K, P] for one kind in one slot: of first contact, of a later episode, of the move."""
    return [jr.split(k, shape) for k in jr.split(key, 3)]


def can(policy: Policy, name: str) -> bool:
    """Whether a policy has this method; an outside one may have data of that name."""
    return callable(getattr(policy, name, None))


def decide(
    policy: Policy,
    memory: Memory,
    view: View,
    contact: Bool[Array, "K P"],
    keys: list,
    greedy: bool,
    watch: bool = False,
) -> Decision:
    """Lets one kind of policy move at all its places; ``contact`` marks where a match begins.

    ``keys`` are those of ``place_keys``. With ``watch`` the record holds, besides, whatever of
    ``WATCHED`` the policy can tell before it moves.
    """

    def one(policy, keys, memory, view, contact):
        fresh, again = policy.begin(keys[0], None), policy.begin(keys[1], memory)
        begun = select(contact, fresh, select(view.first, again, memory))
        goal = policy.intent(begun, view) if hasattr(policy, "intent") else NO_EVENT
        tells = ("member", 0), ("type_id", NO_TYPE), ("mode", NO_TYPE)
        who = [getattr(policy, n)(begun) if can(policy, n) else x for n, x in tells]
        act = policy.act(keys[2], begun, view, greedy)
        if watch:
            able = [name for name in WATCHED if can(policy, name)]
            told = {name: getattr(policy, name)(begun, view) for name in able}
            act = act._replace(record=act.record | told)
        return Decision(act, begun, jnp.int32(goal), jnp.stack([jnp.int32(x) for x in who]))

    return jax.vmap(jax.vmap(one, (None, 0, 0, 0, 0)))(policy, keys, memory, view, contact)


def identities(seating: Seating, who: list[Any]) -> Int[Array, "L N 2"]:
    """opponent_id and type_id of everyone, for a match; ``who`` is [K, P, 3] of each kind."""
    ids = seating.ids([w[..., 0] for w in who])
    return jnp.stack([ids, seating.put([w[..., 1] for w in who]).astype(jnp.int16)], -1)
