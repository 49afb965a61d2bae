"""Seats times a hosted game gives slots: the ordinary loop.

The slots, records and memories are those of the jitted loop, in the same format. Games and foreign
bots run in Python; all policies of all lanes decide in one jitted call a step, which cuts the
views and lets them move with the functions of ``rollout``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.envs.hosting import GameError, HostCopy, HostGame, HostStep, blank
from counterplay.rollout import Chunk, Lanes, Last, decide, look, select
from counterplay.seats import Seating
from counterplay.types import NO_EVENT, NO_MOVE, HostPolicy, Memory, TimeStep, View


@dataclass(frozen=True, eq=False)
class HostSeat:
    """A policy that acts in ordinary Python, for ``Kind.policy``; every place gets its own."""

    make: Callable[[], HostPolicy]


class Carried(NamedTuple):
    """What is kept from slot to slot beside the games, as NumPy; names as in ``Lanes``."""

    moves: np.ndarray
    reward: np.ndarray
    event: np.ndarray
    visible: np.ndarray
    time: np.ndarray
    first: np.ndarray
    contact: np.ndarray
    closing: np.ndarray
    episode: np.ndarray
    returns: np.ndarray


@dataclass(eq=False)
class HostLanes:
    """Running games and all that is carried from slot to slot. It changes as it is played."""

    copies: list[HostCopy]
    shown: HostStep
    """Leading axis L; copies that can write into it directly."""
    carried: Carried
    memories: tuple[Memory, ...]
    """One entry a kind of policy, leaves [K, P, ...]; empty for kinds in ordinary Python."""
    random: np.random.Generator
    """Seeds of episodes and of bots."""
    bots: dict[int, tuple[HostSeat, HostPolicy]] = field(default_factory=dict)
    """By place."""

    def close(self) -> None:
        for copy in self.copies:
            copy.close()


def open_host(
    game: HostGame, seating: Seating, policies: tuple, seed: int, pictures: bool = False
) -> HostLanes:
    """Fresh games in every lane, every match at first contact."""
    n, lanes = seating.num_seats, seating.lanes
    if n != game.num_seats:
        raise ValueError(f"{_name(game)} has {game.num_seats} seats, the seating {n}")
    _, *keys = jr.split(jr.key(seed), 1 + len(policies))
    begin = jax.vmap(jax.vmap(lambda policy, k: policy.begin(k, None), (None, 0)))
    memories = tuple(
        () if isinstance(policy, HostSeat) else begin(policy, jr.split(k, places.shape))
        for policy, places, k in zip(policies, seating.places, keys, strict=True)
    )
    full = lambda value, dtype, *shape: np.full((lanes, *shape), value, dtype)
    carried = Carried(
        moves=full(NO_MOVE, np.int32, n),
        reward=full(0, np.float32, n),
        event=full(NO_EVENT, np.int32, n),
        visible=full(False, bool, n, n),
        time=full(0, np.int32),
        first=full(True, bool),
        contact=full(True, bool),
        closing=full(False, bool),
        episode=full(0, np.int32),
        returns=full(0, np.float32, n),
    )
    copies = [game.open(pictures) for _ in range(lanes)]
    out = HostLanes(copies, blank(game, lanes), carried, memories, np.random.default_rng(seed))
    for lane, copy in enumerate(copies):
        if hasattr(copy, "write_into"):
            copy.write_into(_lane(out.shown, lane))  # type: ignore[attr-defined]
    _reset(game, out, range(lanes))
    return out


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
) -> tuple[HostLanes, Chunk]:
    """Plays ``slots`` slots in every lane; ``key`` may be a seed. See ``rollout.collect``.

    The lanes are the same object before and after: games cannot be played twice.
    """
    keys = _keys(jr.key(key) if isinstance(key, int | np.integer) else key, slots)
    jitted = tuple(None if isinstance(policy, HostSeat) else policy for policy in policies)
    leaves, tree = jax.tree.flatten(jitted)
    play = _program(game, seating, greedy, tree)
    before, stream, records = lanes.memories, _blank_stream(game, lanes, slots), []
    for t in range(slots):
        shown, now = lanes.shown, lanes.carried
        acting = shown.alive & ~now.closing[:, None]
        moved = play(leaves, lanes.memories, shown, now, acting, keys, np.int32(t))
        slot = {name: rows[t] for name, rows in stream.items()}
        _record_before(slot, shown, now, acting)  # while the policies decide
        action = _moves(game, seating, policies, lanes, acting, moved)
        _step(game, lanes, action)
        slot["goal"][...], slot["opponent_id"][...] = moved.goal, moved.opponent_id
        _turn(game, lanes, slot, action, match, cut and t == slots - 1)
        lanes.memories = moved.memories
        records.append(moved.records)
    shown, now = jax.tree.map(np.copy, (lanes.shown, lanes.carried))  # these will change
    views = _looking(game, seating)(shown, now)
    by_lane = {name: jnp.asarray(np.moveaxis(rows, 0, 1)) for name, rows in stream.items()}
    records = jax.tree.map(lambda *x: jnp.asarray(np.stack(x, axis=2)), *records)
    return lanes, Chunk(by_lane, records, before, views, lanes.memories)


class Moved(NamedTuple):
    """What the jitted policies decided; kinds in ordinary Python have NO_MOVE and their views."""

    action: Any
    goal: Any
    opponent_id: Any
    memories: tuple[Memory, ...]
    records: tuple[dict[str, Any], ...]
    views: tuple[View | None, ...]
    fair: Any
    """Every action of a jitted policy is legal."""


@lru_cache(maxsize=64)
def _program(game: HostGame, seating: Seating, greedy: bool, tree: Any) -> Callable[..., Moved]:
    """One jitted call a step. Policies come as leaves: flattening modules takes Python's time."""

    def play(leaves, memories, shown, now, acting, keys, t) -> Moved:
        policies = jax.tree.unflatten(tree, leaves)
        views = _views(game, seating, shown, now)
        contact = jnp.broadcast_to(now.contact[:, None], acting.shape)
        nobody = lambda i: jnp.full(seating.places[i].shape, NO_MOVE, jnp.int32)
        foreign = [jnp.full(p.shape, policies[i] is None) for i, p in enumerate(seating.places)]
        actions, goals, members, after, records = [], [], [], [], []
        for i, (policy, view, k) in enumerate(
            zip(policies, views, jr.split(keys[t], len(policies)), strict=True)
        ):
            if policy is None:
                made = (nobody(i), nobody(i), nobody(i) * 0, (), {})
            else:
                d = decide(policy, memories[i], view, seating.take(contact, i), k, greedy)
                kept = select(seating.take(acting, i), d.act.memory, d.begun)
                made = (d.act.action, d.goal, d.member, kept, d.act.record)
            for values, value in zip((actions, goals, members, after, records), made, strict=True):
                values.append(value)
        action = jnp.where(acting, seating.put(actions), NO_MOVE)
        goal = jnp.where(acting, seating.put(goals), NO_EVENT)
        seen = tuple(v if p is None else None for p, v in zip(policies, views, strict=True))
        chosen = action[:, :, None] == jnp.arange(game.num_actions)[None, None]
        fair = ((shown.legal & chosen).any(2) | ~acting | seating.put(foreign)).all()
        ids = seating.ids(members)
        return Moved(action, goal, ids, tuple(after), tuple(records), seen, fair)

    return jax.jit(play)


@lru_cache(maxsize=64)
def _looking(game: HostGame, seating: Seating) -> Callable[..., tuple[View, ...]]:
    return jax.jit(lambda shown, now: _views(game, seating, shown, now))


def _views(game: HostGame, seating: Seating, shown: HostStep, now: Carried) -> tuple[View, ...]:
    last = Last(now.moves, now.reward, now.event, now.visible)
    lanes = Lanes(
        state=None,
        shown=TimeStep(*shown),
        last=last,
        time=now.time,
        first=now.first,
        contact=now.contact,
        closing=now.closing,
        episode=now.episode,
        returns=now.returns,
        memories=(),
    )
    return look(cast(Any, game), seating, lanes)


@partial(jax.jit, static_argnums=1)
def _keys(key: Any, slots: int) -> Any:
    """The keys of the slots, drawn as the jitted loop draws them."""
    return jr.split(jr.split(key)[1], slots)


def _moves(
    game: HostGame, seating: Seating, policies: tuple, lanes: HostLanes, acting: Any, moved: Moved
) -> np.ndarray:
    """Everyone's actions, those of the bots included."""
    action, legal = np.asarray(moved.action), lanes.shown.legal
    if not moved.fair:
        named = (action[:, :, None] == np.arange(game.num_actions)) & legal
        wrong = acting & ~named.any(2)
        for i, policy in enumerate(policies):
            if isinstance(policy, HostSeat):
                wrong.ravel()[seating.places[i]] = False
        lane, seat = np.argwhere(wrong)[0]
        raise _illegal(game, lanes, lane, seat, int(action[lane, seat]))
    for i, policy in enumerate(policies):
        if isinstance(policy, HostSeat):
            action = action.copy()
            _ask(game, seating.places[i], policy, lanes, acting, moved.views[i], action)
    return action


def _ask(
    game: HostGame, places: np.ndarray, seat: HostSeat, lanes: HostLanes, acting, views, action
):
    """Lets the bots of one kind move; their answers go into ``action``."""
    now = lanes.carried
    names = [f.name for f in fields(View) if getattr(views, f.name) is not None]
    seen = {name: np.array(getattr(views, name)) for name in names}
    for at, place in np.ndenumerate(places):
        lane, column = divmod(int(place), game.num_seats)
        known, bot = lanes.bots.get(int(place), (None, None))
        fresh = known is not seat
        if fresh:
            bot = seat.make()
            lanes.bots[int(place)] = seat, bot
        if fresh or now.first[lane]:
            bot.begin(int(lanes.random.integers(2**31)), fresh or bool(now.contact[lane]))
        if acting[lane, column]:
            answer = bot.act({name: x[(*at, ...)] for name, x in seen.items()})
            whole = isinstance(answer, int | np.integer) and not isinstance(answer, bool)
            if not whole or not 0 <= answer < game.num_actions or not seen["legal"][at][answer]:
                raise _illegal(game, lanes, lane, column, answer)
            action[lane, column] = answer


def _illegal(game: HostGame, lanes: HostLanes, lane: int, seat: int, answer: Any) -> Exception:
    legal = np.flatnonzero(lanes.shown.legal[lane, seat]).tolist()
    where = f"{_name(game)}: {_who(game, seat)} in lane {lane}, slot {lanes.carried.time[lane]}"
    if not legal:
        return GameError(f"{where}, is present without a legal action: the game must offer one")
    return ValueError(f"{where}, answered {answer!r}; legal are the whole numbers {legal}")


def _step(game: HostGame, lanes: HostLanes, action: np.ndarray) -> None:
    """Moves every game except those whose closing slot this is."""
    shown, closing = lanes.shown, lanes.carried.closing.tolist()
    lane = 0
    try:
        for lane, moves in enumerate(action.tolist()):
            if not closing[lane]:
                step = lanes.copies[lane].step(moves)
                if step.obs.base is not shown.obs:
                    _copy_in(step, _lane(shown, lane))
    except Exception as error:
        raise _broken(game, lane, int(lanes.carried.time[lane]) + 1, error) from error
    _check_finite(game, lanes, 1)


def _reset(game: HostGame, lanes: HostLanes, which: Sequence[int]) -> None:
    for lane in which:
        try:
            step = lanes.copies[lane].reset(int(lanes.random.integers(2**31)))
            if step.obs.base is not lanes.shown.obs:
                _copy_in(step, _lane(lanes.shown, lane))
        except Exception as error:
            raise _broken(game, lane, 0, error) from error
    _check_finite(game, lanes, 0)


def _copy_in(step: HostStep, row: HostStep) -> None:
    for name, found, out in zip(HostStep._fields, step, row, strict=True):
        found = np.asarray(found)
        if found.shape != out.shape or not np.can_cast(found.dtype, out.dtype, "same_kind"):
            raise GameError(
                f"{name}: expected {out.dtype}{list(out.shape)}, found "
                f"{found.dtype}{list(found.shape)}; the game's sizes do not describe what it shows"
            )
        out[...] = found


def _check_finite(game: HostGame, lanes: HostLanes, made: int) -> None:
    for name, array in (("observation", lanes.shown.obs), ("reward", lanes.shown.reward)):
        good = np.isfinite(array)
        if not good.all():
            lane, seat = np.argwhere(~good)[0][:2]
            error = GameError(f"{_who(game, seat)}: the {name} holds a NaN or an infinity")
            raise _broken(game, lane, int(lanes.carried.time[lane]) + made, error)


def _broken(game: HostGame, lane: int, move: int, error: Exception) -> GameError:
    kind = "" if isinstance(error, GameError) else f"{type(error).__name__}: "
    when = f"after move {move}" if move else "at reset"
    return GameError(f"{_name(game)} broke in lane {lane} {when}: {kind}{error}")


def _blank_stream(game: HostGame, lanes: HostLanes, slots: int) -> dict[str, np.ndarray]:
    """Field -> [T, L, ...], in the order and dtypes of the jitted loop."""
    shown, now = lanes.shown, lanes.carried
    like = {
        "obs": shown.obs,
        "actions": now.moves,
        "avail_actions": shown.legal,
        "reward": now.reward,
        "terminated": now.closing,
        "truncated": now.closing,
        "continues": shown.alive,
        "alive": shown.alive,
        "closing": now.closing,
        "filled": now.closing,
        "time": now.time,
        "contact": now.closing,
        "event": now.event,
        "left": shown.alive,
        "goal": now.event,
        "opponent_id": shown.event.astype(np.int16),
        "returns": now.returns,
        "stuck": shown.alive,
    }
    stream = {name: np.empty((slots, *x.shape), x.dtype) for name, x in like.items()}
    stream["filled"].fill(True)
    return stream


def _record_before(slot: dict, shown: HostStep, now: Carried, acting: np.ndarray) -> None:
    slot["obs"][...], slot["avail_actions"][...] = shown.obs, shown.legal
    slot["alive"][...], slot["closing"][...] = acting, now.closing
    slot["time"][...], slot["contact"][...] = now.time, now.contact
    slot["stuck"][...] = shown.alive & ~shown.legal.any(-1)


def _turn(game: HostGame, lanes: HostLanes, slot: dict, action, match: int, cut: bool) -> None:
    """What the moves earned, and the next slot: play on, show a truncated end, or begin anew."""
    now, after, acting = lanes.carried, lanes.shown, slot["alive"]
    open_before = ~now.closing
    terminated = after.terminated & open_before
    truncated = (after.truncated | cut) & ~after.terminated & open_before
    reward = np.where(acting, after.reward, np.float32(0))
    now.returns[...] += reward
    goes_on = acting & after.alive
    slot["actions"][...], slot["reward"][...] = action, reward
    slot["terminated"][...], slot["truncated"][...] = terminated, truncated
    slot["continues"][...] = goes_on & ~terminated[:, None]
    slot["left"][...] = acting & ~after.alive
    slot["event"][...] = np.where(acting, after.event, NO_EVENT)
    slot["returns"][...] = now.returns
    done = terminated | now.closing
    episode = match - 1 if cut else now.episode
    contact = done & (episode + 1 >= match)
    new = (action, reward, after.event, after.visible)
    for kept, value, nothing in zip(now[:4], new, (NO_MOVE, 0, NO_EVENT, False), strict=True):
        kept[open_before] = value[open_before]  # a closing slot moved nobody
        kept[contact] = nothing
    now.time[...] = np.where(done, 0, now.time + 1)
    now.episode[...] = np.where(contact, 0, episode + done)
    now.returns[done] = 0
    now.first[...], now.contact[...], now.closing[...] = done, contact, truncated
    if done.any():
        _reset(game, lanes, np.flatnonzero(done).tolist())


def _lane(shown: HostStep, lane: int) -> HostStep:
    return HostStep(*(x[lane, ...] for x in shown))


def _name(game: HostGame) -> str:
    return getattr(game, "name", type(game).__name__)


def _who(game: HostGame, seat: int) -> str:
    seats = getattr(game, "seats", None)
    return f"seat {seat}" + (f" (agent {seats[seat].agent!r})" if seats else "")
