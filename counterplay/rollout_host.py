"""Seats times a hosted game gives slots: the ordinary loop.

The slots, records and memories are those of the jitted loop, in the same format. Games and foreign
bots run in Python; all policies of all lanes decide in one jitted call a step, which cuts the
views and lets them move with the functions of ``rollout``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.deciding import decide, identities, place_keys
from counterplay.envs.hosting import HostGame, HostStep
from counterplay.envs.running import Breaks, Running, name_of
from counterplay.host_bots import HostSeat, ask
from counterplay.host_slots import Decided, Now, spoil, start, stream, turn
from counterplay.packing import Layout
from counterplay.rollout import Chunk, Lanes, look
from counterplay.seats import Seating, needs_state
from counterplay.spread import in_turn
from counterplay.types import NO_EVENT, NO_MOVE, NO_TYPE, HostPolicy, Memory, TimeStep, View
from counterplay.views import Last, select


@dataclass(eq=False)
class HostLanes:
    """Running games and all that is carried from slot to slot. It changes as it is played."""

    games: Running
    layout: Layout
    words: np.ndarray
    """Holds everything in ``now``, to be handed over in one piece."""
    now: Now
    memories: tuple[Memory, ...]
    """One entry a kind of policy, leaves [K, P, ...]; empty for kinds in ordinary Python."""
    bots: dict[int, tuple[HostSeat, HostPolicy]] = field(default_factory=dict)
    """By place."""

    def close(self) -> None:
        """Closes the games, and the bots that have something to close."""
        for _, bot in self.bots.values():
            getattr(bot, "close", lambda: None)()
        self.games.close()


def open_host(
    game: HostGame,
    seating: Seating,
    policies: tuple,
    seed: int,
    pictures: bool = False,
    breaks: Breaks | None = None,
) -> HostLanes:
    """Fresh games in every lane, every match at first contact.

    ``breaks`` says what to do where one breaks, and counts; by default that is an error.
    """
    if seating.num_seats != game.num_seats:
        raise ValueError(
            f"{name_of(game)} has {game.num_seats} seats, the seating {seating.num_seats}"
        )
    refuse_state(game, policies)
    _, *keys = jr.split(jr.key(seed), 1 + len(policies))
    begin = jax.vmap(jax.vmap(lambda policy, k: policy.begin(k, None), (None, 0)))
    memories = tuple(
        () if isinstance(policy, HostSeat) else begin(policy, jr.split(k, places.shape))
        for policy, places, k in zip(policies, seating.places, keys, strict=True)
    )
    begun = start(game, seating.lanes, shapes_of(seating))
    layout = Layout.of(begun)
    words = np.zeros(layout.size, np.int32)
    now = layout.views(words)
    jax.tree.map(np.copyto, now, begun)
    games = Running(game, now.shown, now.time, seed, pictures, breaks)
    return HostLanes(games, layout, words, now, memories)


def refuse_state(game: HostGame, policies: tuple) -> None:
    """ValueError where somebody wants a simulator that JAX cannot step."""
    for policy in policies:
        if needs_state(policy):
            raise ValueError(
                f"{name_of(game)} is played outside JAX, and a policy here needs the true "
                "simulator (needs_state): it plays native games only, with policies written in JAX"
            )


def collect_host(
    game: HostGame,
    seating: Seating,
    policies: tuple,
    lanes: HostLanes,
    key: Any,
    *,
    slots: int,
    match: int = 1,
    greedy: bool = False,
    cut: bool = False,
    finite: bool = True,
    watch: bool = False,
) -> tuple[HostLanes, Chunk]:
    """Plays ``slots`` slots in every lane; ``key`` may be a seed. See ``rollout.collect``.

    The lanes are the same object before and after: games cannot be played twice. With ``finite``
    a NaN or an infinity that a game shows is an error. Nothing of an episode stays in the chunk
    where the game broke and was restarted. A bot may tell what it predicts to those who ``watch``.
    """
    key = jr.key(key) if isinstance(key, int | np.integer) else key
    keys = jax.tree.map(np.asarray, _keys(key, slots, shapes_of(seating)))
    bots = [(i, policy) for i, policy in enumerate(policies) if isinstance(policy, HostSeat)]
    decided, reply = _deciding(game, seating, policies, lanes, greedy, watch)
    words = np.empty((2, slots, lanes.layout.size), np.int32)
    before, after = (lanes.layout.views(part) for part in words)
    replied, first, t = np.empty((slots, reply.size), np.int32), lanes.memories, 0
    made: Decided = reply.views(replied)
    games, now, broken = lanes.games, lanes.now, np.zeros((slots, seating.lanes), bool)
    try:
        with games.watch:
            for t in range(slots):
                for here, drawn in zip(now.key, keys, strict=True):
                    here[...] = drawn[t]
                words[0, t] = lanes.words
                replied[t], lanes.memories = decided(lanes.memories, lanes.words)
                np.copyto(now.ids, made.ids[t])
                if bots or not made.fair[t].all():
                    _settle(game, seating, bots, lanes, made, t, watch)
                games.step(made.action[t], now.closing)
                words[1, t], last = lanes.words, cut and t == slots - 1
                broken[t] = games.broken
                games.reset(turn(now, made.action[t], match, last, games.broken), finite)
    except Exception:  # which a NaN that was shown a slot before may have brought about
        _check_finite(lanes, before, after, finite, t)
        raise
    _check_finite(lanes, before, after, finite, slots)
    views = _looking(game, seating, lanes.layout)(lanes.words.copy())
    slots_of, records = _by_lane(stream(before, after, made, cut, broken), made.records)
    return lanes, Chunk(slots_of, records, first, views, lanes.memories)


def _settle(
    game: HostGame,
    seating: Seating,
    bots: list,
    lanes: HostLanes,
    made: Decided,
    t: int,
    watch: bool,
) -> None:
    """Moves that policies inside JAX cannot make: those of bots, and any where none is legal."""
    games = lanes.games
    games.check_legal(lanes.now.closing)
    wrong = ~made.fair[t] & ~games.broken[:, None]
    if wrong.any():
        lane, seat = np.argwhere(wrong)[0].tolist()
        raise games.unfair(lane, seat, made.action[t])
    games.watch.rest()
    for kind, seat in bots:
        views, told = made.views[kind], made.records[kind] if watch else None
        places, moves = seating.places[kind], made.action[t]
        ask(games, places, seat, lanes.bots, views, lanes.now, t, moves, told)


def _check_finite(lanes: HostLanes, before: Now, after: Now, asked: bool, slots: int) -> None:
    """What is not finite in the first so many slots is an error, or spoils its episode."""
    if asked:
        shown = HostStep(*(x[:slots] for x in after.shown))
        lanes.games.check_finite(shown, before.time[:slots])
    elif slots == len(before.time):
        spoil(lanes.now, before)


def _by_lane(slots: dict[str, np.ndarray], records: tuple) -> tuple[dict, tuple]:
    """Slots [T, L, ...] -> [L, T, ...], records [T, K, P, ...] -> [K, P, T, ...]."""
    to = lambda place: lambda x: jnp.asarray(np.moveaxis(x, 0, place))
    return jax.tree.map(to(1), slots), jax.tree.map(to(2), records)


def _deciding(
    game: HostGame,
    seating: Seating,
    policies: tuple,
    lanes: HostLanes,
    greedy: bool,
    watch: bool,
) -> tuple[Callable, Layout]:
    """What decides in every slot, from memories and words, and how to read what it answers."""
    jitted = tuple(None if isinstance(policy, HostSeat) else policy for policy in policies)
    leaves, tree = jax.tree.flatten(jitted)
    size = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
    sizes, trees = jax.tree.flatten(jax.tree.map(size, (leaves, lanes.memories)))
    how = greedy, watch
    play, reply = _program(game, seating, how, lanes.layout, tree, trees, tuple(sizes))
    return partial(play, leaves), reply


@lru_cache(maxsize=64)
def _program(
    game: HostGame,
    seating: Seating,
    how: tuple[bool, bool],
    layout: Layout,
    tree: Any,
    trees: Any,
    sizes: tuple,
) -> tuple[Callable, Layout]:
    """The one jitted call of a slot, and how to read what it answers.

    Policies come as leaves, because flattening modules takes Python's time. ``how`` they move is
    whether greedily, and whether they are watched.
    """

    def decided(leaves, memories, words) -> tuple[Decided, tuple[Memory, ...]]:
        now, policies = layout.read(words), jax.tree.unflatten(tree, leaves)
        acting = now.shown.alive & ~now.closing[:, None]
        contact = jnp.broadcast_to(now.contact[:, None], acting.shape)
        views = _views(game, seating, now)
        keys = [list(jr.wrap_key_data(k)) for k in now.key]
        made = [
            _wait_for_bot(view)
            if policy is None
            else _decide(game, seating, how, i, policy, memories[i], view, contact, acting, key)
            for i, (policy, view, key) in enumerate(zip(policies, views, keys, strict=True))
        ]
        actions, goals, who, fair, records, seen, memories = zip(*made, strict=True)
        put = lambda parts: seating.put(list(parts))
        answer = Decided(
            action=jnp.where(acting, put(actions), NO_MOVE),
            goal=jnp.where(acting, put(goals), NO_EVENT),
            ids=select(now.closing, now.ids, identities(seating, list(who))),
            mode=jnp.where(acting, put([w[..., 2] for w in who]), NO_TYPE),
            fair=put(fair) | ~acting,
            records=records,
            views=seen,
        )
        return answer, memories

    words = jax.ShapeDtypeStruct((layout.size,), jnp.int32)
    reply = Layout.of(jax.eval_shape(decided, *jax.tree.unflatten(trees, sizes), words)[0])

    def play(leaves, memories, words):
        answer, memories = decided(leaves, memories, words)
        return reply.pack(answer), memories

    return jax.jit(play, compiler_options=in_turn()), reply


def _decide(game, seating, how, i, policy, memory, view: View, contact, acting, key) -> tuple:
    """One jitted kind: action, goal, who, fair, record, views for a bot, memory."""
    d = decide(policy, memory, view, seating.take(contact, i), key, *how)
    after = select(seating.take(acting, i), d.act.memory, d.begun)
    named = d.act.action[:, :, None] == jnp.arange(game.num_actions)[None, None]
    return d.act.action, d.goal, d.who, (named & view.legal).any(2), d.act.record, None, after


def _wait_for_bot(view: View) -> tuple:
    """The same of a kind in ordinary Python, which has yet to move."""
    nothing = jnp.full(view.first.shape, NO_MOVE, jnp.int32)
    who = jnp.broadcast_to(jnp.array([0, NO_TYPE, NO_TYPE]), (*nothing.shape, 3))
    return nothing, nothing, who, nothing == NO_MOVE, {}, view, ()


@lru_cache(maxsize=64)
def _looking(game: HostGame, seating: Seating, layout: Layout) -> Callable:
    return jax.jit(lambda words: _views(game, seating, layout.read(words)))


def _views(game: HostGame, seating: Seating, now: Now) -> tuple[View, ...]:
    last = jax.vmap(Last)(now.moves, now.reward, now.event, now.visible)
    carried = (now.time, now.first, now.contact, now.closing, now.episode, now.returns, now.ids)
    lanes = Lanes(None, jax.vmap(TimeStep)(*now.shown), last, *carried, memories=())
    return look(cast(Any, game), seating, lanes)


@partial(jax.jit, static_argnums=(1, 2))
def _keys(key: Any, slots: int, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """Key data [T, 3, K, P, ...] of every kind, drawn as the jitted loop draws its keys.

    All at once: drawing them slot by slot would be half of what a small policy computes.
    """

    def of_slot(key):
        each = zip(jr.split(key, len(shapes)), shapes, strict=True)
        return tuple(jnp.stack([jr.key_data(k) for k in place_keys(*kind)]) for kind in each)

    return jax.vmap(of_slot)(jr.split(jr.split(key)[1], slots))


def shapes_of(seating: Seating) -> tuple[tuple[int, ...], ...]:
    """[K, P] of every kind."""
    return tuple(places.shape for places in seating.places)
