"""What is known of JaxMARL's games: how they are made, their time limits, their own ends, and the
sizes of what they show, read by tracing one reset and one step."""

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Shaped

from counterplay.envs.hosting import built, kinds_of, needed
from counterplay.names import Value, unknown

PARTICLES = "jaxmarl.environments.mpe.simple.SimpleMPE"
SCENARIO = "jaxmarl.environments.smax.smax_env.SMAX"
SCRIPTED = "jaxmarl.environments.smax.heuristic_enemy_smax_env.EnemySMAX"
RIDDLE = "jaxmarl.environments.switch_riddle.switch_riddle.SwitchRiddle"
ROBOTS = "jaxmarl.environments.jaxnav.jaxnav_env.JaxNav"
MORE_SETTINGS = ("damping", "contact_force", "contact_margin")
"""Of the particle games, besides those that their signatures name."""
MASKS = ("get_avail_actions", "get_legal_moves")
"""What games call the function that tells everyone's legal moves."""


class Sizes(NamedTuple):
    """What a game shows and takes."""

    agents: tuple[Any, ...]
    """Names or numbers, by which the game tells its players apart."""
    actions: tuple[int, ...]
    """Of each player."""
    widths: tuple[int, ...]
    """Of each player's observation, laid flat."""
    dtype: np.dtype
    """Of all observations: that of their integers, else float32."""
    mask: str | None
    """The function that tells legal moves, if the game has one."""
    shaped: bool
    """The game tells rewards for steps on the way, besides those that count."""
    state: Any
    """Types of a state, which a reset and a step may give differently."""


def make(name: str, text: str, settings: dict[str, Value]) -> Any:
    """JaxMARL's game of that name; ``text`` is what was typed, for messages."""
    with _unheard():
        jaxmarl = needed("jaxmarl", text)
    if name not in jaxmarl.registered_envs:
        raise unknown("JaxMARL game", name, jaxmarl.registered_envs)
    meant = _meant(name, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # overcooked recommends its successor
        game = built(text, lambda **_: jaxmarl.make(name, **meant), settings)
    if is_a(game, PARTICLES):  # these take any setting, and overlook what they do not know
        asked = [p for kind in type(game).__mro__ for p in signature(kind).parameters.values()]
        known = {p.name for p in asked if isinstance(p.default, Value)}.union(MORE_SETTINGS)
        for key in settings:
            if key not in known:
                raise unknown(f"setting of {name}", key, sorted(known))
    return game


@contextmanager
def _unheard() -> Iterator[None]:
    """JaxMARL reports its imports, to the real output, which it puts back wherever it led."""
    kept = sys.stdout, sys.stderr, sys.__stdout__
    sys.stdout = sys.__stdout__ = io.StringIO()  # type: ignore[misc]
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__ = kept  # type: ignore[misc]


def _meant(name: str, settings: dict[str, Value]) -> dict[str, Any]:
    """Settings as the game wants them: layouts and scenarios are given by name."""
    meant: dict[str, Any] = dict(settings)
    if name == "overcooked" and "layout" in meant:
        found = needed("jaxmarl.environments.overcooked", name).overcooked_layouts
        meant["layout"] = _called("layout of overcooked", meant["layout"], found)
    if name.endswith("SMAX") and "scenario" in meant:
        module = needed("jaxmarl.environments.smax.smax_env", name)
        meant["scenario"] = _called(
            "scenario of SMAX", meant["scenario"], module.MAP_NAME_TO_SCENARIO
        )
    return meant


def _called(what: str, name: Value, known: dict[str, Any]) -> Any:
    if name not in known:
        raise unknown(what, str(name), known)
    return known[str(name)]


def limit_of(game: Any) -> int | None:
    """Moves after which the game itself is done, None where it has no limit that can be read."""
    if hasattr(game, "num_inner_steps"):
        return int(game.num_inner_steps) * int(game.num_outer_steps)
    most = getattr(game, "max_steps", None)
    if most is None:
        return None
    # some games count the moves made before this one
    return int(most) + any(is_a(game, kind) for kind in (PARTICLES, SCENARIO, SCRIPTED))


def own_end(game: Any) -> Callable[[Any, Any, Any], Bool[Array, " N"]] | None:
    """Tells of a state, moves [N] and the next state who is out by the game's rules, [N].

    Where everyone is, the rules ended the game. None where that cannot be told at the time limit,
    or where nothing but the limit ends a game.
    """
    if is_a(game, SCENARIO):
        return lambda before, moves, after: _fallen(game, after, len(game.agents))
    if is_a(game, SCRIPTED):
        return lambda before, moves, after: _fallen(game, after.state, len(game.agents))
    if is_a(game, RIDDLE):
        # what was said is not in a state, and what it pays may be set to nothing
        tell, everyone = game.game_actions["TELL"], (len(game.agents),)
        return lambda before, moves, after: jnp.broadcast_to(
            moves[before.agent_in_room] == tell, everyone
        )
    if is_a(game, ROBOTS):
        return lambda before, moves, after: _arrived(game, after)
    return None


def _fallen(game: Any, state: Any, count: int) -> Bool[Array, " N"]:
    """The dead; everyone once a side has no others."""
    alive = state.unit_alive
    beaten = ~alive[: game.num_allies].any() | ~alive[game.num_allies :].any()
    return ~alive[:count] | beaten[None]


def _arrived(game: Any, state: Any) -> Bool[Array, " N"]:
    """Robots at their goals or broken; where they do not evaporate they stay until all are."""
    out = state.goal_reached | state.move_term | state.term  # the last: before this move
    return out if game.evaporating else jnp.broadcast_to(out.all(), out.shape)


def is_a(game: Any, kind: str) -> bool:
    """Whether the game is of this kind, module and class by name."""
    return kind in kinds_of(game)


def sizes_of(game: Any, text: str) -> Sizes:
    """Reads everyone's actions and observations; ValueError for a game that cannot be played."""
    agents = tuple(game.agents)
    actions = []
    for agent in agents:
        space = game.action_space(agent)
        if not isinstance(getattr(space, "n", None), int | np.integer):
            raise ValueError(
                f"{text}: agent {agent!r} acts in {type(space).__name__}, expected Discrete; "
                "some games have a setting for that, such as action_type=Discrete"
            )
        actions.append(int(space.n))
    key, moves = jr.key(0), named(agents, [jnp.int32(0)] * len(agents))

    def begun(key: Any) -> tuple[list[Any], Any]:
        obs, state = game.reset(key)
        return by_player("observations", obs, agents), state

    def moved(key: Any, state: Any) -> tuple[Any, Any, Any]:
        obs, state, paid, done, info = game.step_env(key, state, moves)
        told = by_player("observations", obs, agents), by_player("rewards", paid, agents)
        return (*told, ends(done, agents)), state, info

    try:
        seen, state = jax.eval_shape(begun, key)
        _, stepped, info = jax.eval_shape(moved, key, state)
    except Exception as error:
        raise ValueError(f"{text} does not run: {type(error).__name__}: {error}") from error
    widths, kinds = [], []
    for leaves in map(jax.tree.leaves, seen):
        widths.append(sum(int(np.prod(leaf.shape)) for leaf in leaves))
        kinds += [leaf.dtype for leaf in leaves]
    mask = next((name for name in MASKS if _offers(game, name, state)), None)
    kept = jax.tree.map(_wider, state, stepped)
    shaped = "shaped_reward" in info
    return Sizes(agents, tuple(actions), tuple(widths), _common(kinds), mask, shaped, kept)


def _offers(game: Any, name: str, state: Any) -> bool:
    """Whether a game has a function of its own: the common one for legal moves raises."""
    if not hasattr(game, name):
        return False
    try:
        jax.eval_shape(getattr(game, name), state)
    except NotImplementedError:
        return False
    return True


def _common(kinds: list[Any]) -> np.dtype:
    """uint8 for yes and no, the smallest common integer, else float32."""
    plain = [np.dtype(np.uint8) if kind.kind == "b" else kind for kind in map(np.dtype, kinds)]
    whole = all(kind.kind in "iu" for kind in plain)
    return np.result_type(*plain) if whole else np.dtype(np.float32)


def _wider(reset: Any, step: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(reset.shape, jnp.promote_types(reset.dtype, step.dtype))


def like(state: Any, kept: Any) -> Any:
    """A state in types that do not change from step to step."""
    return jax.tree.map(lambda x, s: jnp.asarray(x).astype(s.dtype), state, kept)


def named(agents: tuple[Any, ...], rows: list[Any]) -> Any:
    """Moves as the game takes them: by name, in order where it numbers its players."""
    if all(isinstance(agent, int) for agent in agents):
        return tuple(rows)
    return dict(zip(agents, rows, strict=True))


def by_player(what: str, found: Any, agents: tuple[Any, ...]) -> list[Any]:
    """What a game tells of everyone, by name or in order, as a list in the order of the players."""
    if isinstance(found, Mapping):
        missing = [agent for agent in agents if agent not in found]
        if not missing:
            return [found[agent] for agent in agents]
        there = f"none for {missing[0]!r}"
    else:
        rows = isinstance(found, tuple | list) or np.ndim(found) > 0
        if rows and len(found) == len(agents):
            return [found[i] for i in range(len(agents))]
        there = f"{len(found)} of them" if rows else type(found).__name__
    raise ValueError(
        f"expected {what} of {len(agents)} players, by name or in order, found {there}"
    )


def ends(done: Any, agents: tuple[Any, ...]) -> tuple[Bool[Array, ""], Bool[Array, " N"]]:
    """Whether a game is over, and who is out; who is not named is out where it is over."""
    if isinstance(done, Mapping):
        over = jnp.asarray(done["__all__"], bool)
        return over, jnp.stack([jnp.asarray(done.get(agent, over), bool) for agent in agents])
    out = jnp.stack([jnp.asarray(x, bool) for x in by_player("ends", done, agents)])
    return out.all(), out


def flat(found: Any, dtype: np.dtype, width: int) -> Shaped[Array, " width"]:
    """One player's observation laid flat, zeros behind it."""
    row = jnp.concatenate([jnp.ravel(leaf).astype(dtype) for leaf in jax.tree.leaves(found)])
    return jnp.pad(row, (0, width - row.shape[0]))
