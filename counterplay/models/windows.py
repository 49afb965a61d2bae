"""Stretches of play as one place lived them: what a model of the game learns from."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Shaped

from counterplay.models.history import Seen
from counterplay.types import NO_EVENT, NO_MOVE, Env
from counterplay.views import select

FIELDS = (
    "obs", "actions", "avail_actions", "reward", "event", "alive", "closing", "continues",
    "contact", "filled", "time",
)  # fmt: skip
"""Of a slot, beside ``visible``, which may be missing where everybody sees all moves."""


class Window(NamedTuple):
    """W slots of one place; everybody in the order of its view, itself first.

    Moves, departures and goals of the others are what they truly were: known while training.
    """

    obs: Shaped[Array, "*b W D"]
    """What was shown, compact."""
    seen: Seen
    """What came with it, fields [W, ...]."""
    legal: Bool[Array, "*b W A"]
    """Mine."""
    shown: Bool[Array, "*b W"]
    """Something was shown to me: I act here, or an episode that I played in was cut off here."""
    contact: Bool[Array, "*b W"]
    """A match begins."""
    alive: Bool[Array, "*b W N"]
    """Who acts; nobody in a closing slot."""
    joint: Int[Array, "*b W N"]
    """Everybody's moves of this slot, NO_MOVE of the absent."""
    reward: Shaped[Array, "*b W"]
    """Mine, by these moves."""
    event: Int[Array, "*b W N"]
    """Goals completed by them."""
    continues: Bool[Array, "*b W N"]
    """Who plays on after them."""

    @property
    def acting(self) -> Bool[Array, "*b W"]:
        """I act in this slot, so its moves led somewhere."""
        return self.alive[..., 0]

    @property
    def follows(self) -> Bool[Array, "*b W"]:
        """What these moves led to is shown in the next slot, which is one of the same episode."""
        goes = self.acting & self.continues[..., 0]
        on = self.shown[..., 1:] & ~self.contact[..., 1:] & ~self.seen.first[..., 1:]
        last = jnp.zeros_like(goes[..., :1])
        return goes & jnp.concatenate([on, last], -1)


def window_of(env: Env, slots: Mapping[str, Array], seat: int | Int[Array, ""]) -> Window:
    """The window of one seat, from slots of one lane, fields [W, ...] or [W, N, ...].

    What was seen before the first slot is not in it, and counts as nothing; ``seen`` may be
    replaced by what a policy recorded. The slots that did not show this seat anything are zeros,
    so that not even a NaN there can spread.
    """
    turned = lambda name: jnp.roll(slots[name], -seat, axis=1)
    filled, closing = slots["filled"], slots["closing"]
    alive = turned("alive") & (filled & ~closing)[:, None]
    goes = turned("continues") & alive
    shown = alive[:, 0] | (filled & closing & _before(goes[:, 0], False))
    event = jnp.where(alive, turned("event"), NO_EVENT)
    joint = jnp.where(alive, turned("actions"), NO_MOVE)
    reward = jnp.where(alive[:, 0], turned("reward")[:, 0], 0.0)
    legal = turned("avail_actions")
    first, contact = filled & (slots["time"] == 0), slots["contact"]
    sees = jnp.ones_like(alive)
    if "visible" in slots:
        sees = jnp.roll(turned("visible")[:, 0], -seat, axis=1)
    known = (jnp.arange(alive.shape[1]) == 0) | env.public_events
    lasting = lambda x, none: _lasting(x, none, closing, contact)
    others = legal[:, 1:] | (not env.public_legal)
    seen = Seen(
        moved=lasting(jnp.where(sees, joint, NO_MOVE), NO_MOVE),
        event=lasting(jnp.where(known[None], event, NO_EVENT), NO_EVENT),
        alive=jnp.where(closing[:, None], _before(goes, False), turned("alive")) & filled[:, None],
        reward=lasting(reward, 0.0),
        first=first,
        legal=others,
    )
    zero = lambda x: select(shown, x, jax.tree.map(jnp.zeros_like, x))
    obs, seen, legal = zero((turned("obs")[:, 0], seen, legal[:, 0]))
    return Window(obs, seen, legal, shown, contact, alive, joint, reward, event, goes)


def _before(x: Array, none: int | float | bool) -> Array:
    """[W, ...] -> that of the slot before, ``none`` before the first."""
    return jnp.concatenate([jnp.full_like(x[:1], none), x[:-1]])


def _lasting(x: Array, none: int | float, closing: Array, contact: Array) -> Array:
    """Of the last slot in which anybody could move; ``none`` where a match begins."""
    one, two = _before(x, none), _before(_before(x, none), none)
    last = select(_before(closing, False), two, one)
    return select(contact, jnp.full_like(last, none), last)
