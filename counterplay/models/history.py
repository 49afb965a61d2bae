"""What one player saw in a slot, as networks that read the others take it in."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from counterplay.maths import finite
from counterplay.types import Env, View


class Seen(NamedTuple):
    """What a view holds beside the observation: little enough to keep in the stream."""

    moved: Int[Array, "*b N"]
    event: Int[Array, "*b N"]
    alive: Bool[Array, "*b N"]
    reward: Shaped[Array, "*b"]
    first: Bool[Array, "*b"]
    legal: Bool[Array, "*b M A"]
    """Of the others, as far as the rules make them public."""


def seen_in(view: View) -> Seen:
    """In the types in which it is kept."""
    small = lambda x: x.astype(jnp.int16)
    legal = view.public_legal[1:]
    return Seen(small(view.moved), small(view.event), view.alive, view.reward, view.first, legal)


def features_of(env: Env) -> int:
    """Numbers in an encoded observation."""
    seen = jax.ShapeDtypeStruct(env.obs_shape, env.obs_dtype)
    return jax.eval_shape(env.encode, seen).shape[0]


def width(features: int, seats: int, actions: int, goals: int) -> int:
    """Numbers that ``inputs`` makes of observations of so many features."""
    return features + seats * (actions + goals + 1) + 2


def inputs(obs: Float[Array, " F"], seen: Seen, actions: int, goals: int) -> Float[Array, " I"]:
    """The observation, the last joint move and its events one-hot, who is there, what I earned."""
    hot = lambda index, size: one_hot(index, size).astype(jnp.float32).ravel()
    flags = jnp.stack([finite(seen.reward), seen.first.astype(jnp.float32)])
    parts = [hot(seen.moved, actions), hot(seen.event, goals), seen.alive.astype(jnp.float32)]
    return jnp.concatenate([obs, *parts, flags])


def there_in(x: Float[Array, " I"], seats: int) -> Bool[Array, " N"]:
    """Who is there, me first, of what ``inputs`` made."""
    return x[-2 - seats : -2] > 0


def or_all(legal: Bool[Array, "*b A"], axis: int = -1) -> Bool[Array, "*b A"]:
    """The same, with every move where none is legal, as of the absent."""
    return legal | ~legal.any(axis, keepdims=True)


def one_hot(index: Int[Array, "M *b"], size: int) -> Bool[Array, "M {size} *b"]:
    """Of numbers, of which those below 0 are none."""
    numbers = jnp.arange(size).reshape(1, size, *[1] * (index.ndim - 1))
    return index[:, None] == numbers


def as_record(seen: Seen) -> dict[str, Any]:
    """Fields of a policy's record."""
    return {f"seen_{name}": x for name, x in seen._asdict().items()}


def from_record(record: dict[str, Any]) -> Seen:
    """The same, read back."""
    return Seen(*(record[f"seen_{name}"] for name in Seen._fields))
