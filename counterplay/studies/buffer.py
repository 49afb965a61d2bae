"""``counterplay study buffer``: migrate the episode buffer whole, patch a transition buffer, or one
store with views? One learner is fed by each, with the same episodes and the same sampled indices.
"""

import inspect
import io
import json
import time
import tokenize
from dataclasses import dataclass
from statistics import median
from typing import Any

from counterplay import envs
from counterplay.bench.step import take_one_core
from counterplay.bench.tables import TABLES
from counterplay.console import read, table

TOLERANCE = 1e-5
"""Relative; losses differ by the order in which their terms are added."""


@dataclass(frozen=True)
class Buffer:
    """Feed one learner by padded episodes, by patched transitions, and by one store."""

    env: str = "stag_hunt:4x4"
    """The game; it must be one of this library's own."""
    seat: str = "nearest_stag,nearest_hare,random"
    """Who plays at every seat."""
    episodes: int = 5000
    """Episodes that each store holds."""
    rows: int = 32
    """Episodes of a batch."""
    rounds: int = 50
    """Batches drawn from each; medians count."""
    lanes: int = 64
    """Games side by side."""
    slots: int = 16
    """Slots of a chunk."""
    horizon: int = 5
    """Slots from a decision to the state that is its goal."""
    seed: int = 0
    """Seed of everything."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("episodes", "rows", "rounds", "lanes", "slots", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, found {getattr(self, name)}")
        if self.rows > self.episodes:
            raise ValueError(f"--rows {self.rows} is more than --episodes {self.episodes}")


def main(args: list[str]) -> int:
    """``counterplay study buffer``"""
    chosen = read(Buffer, args, "study buffer")
    take_one_core()
    rows, equal = compare(chosen)
    told = {"study": "buffer", "env": chosen.env, "seed": chosen.seed, "rows": rows}
    told |= {"episodes": chosen.episodes, "batch": chosen.rows, "largest_difference": equal}
    if chosen.json:
        print(json.dumps(told))
        return 0
    title = f"{chosen.episodes:,} episodes of {chosen.env}, batches of {chosen.rows}"
    shown = TABLES["study_buffer"](told)
    table(title, tuple(shown[0]), [(*row.values(),) for row in shown])
    print(f"losses and gradients differ by at most {equal:.1e} of their size")
    return 0


def compare(chosen: Buffer) -> tuple[list[dict[str, Any]], float]:
    """One row a store, and the largest relative difference of a loss or gradient."""
    import jax
    import numpy as np

    from counterplay.studies.stores import GLUE, STORES

    env = envs.make(chosen.env)
    chunks = play(chosen, env)
    sizes = (chosen.episodes, chosen.lanes, chosen.slots, chosen.horizon)
    stores = {name: make(env, *sizes) for name, make in STORES.items()}
    per_chunk = [int((c["terminated"] | c["closing"]).sum()) for c in chunks]
    seconds_in: dict[str, list[float]] = {name: [] for name in stores}
    for number, chunk in enumerate(chunks):
        for name, store in stores.items():
            began = time.perf_counter()
            store.add(chunk)
            jax.block_until_ready(getattr(store, "replay", None))
            if number:  # the first compiles
                seconds_in[name].append((time.perf_counter() - began) / max(per_chunk[number], 1))
    learner = Learner(env, chosen.seed)
    draws = np.random.default_rng(chosen.seed)
    seconds_out: dict[str, list[float]] = {name: [] for name in stores}
    worst = 0.0
    held = min(chosen.episodes, int(stores["one store"].replay.ended))
    if held < chosen.rows:
        raise ValueError(f"study buffer: {held} episodes were played, {chosen.rows} wanted")
    for turn in range(chosen.rounds + 1):
        ages = draws.choice(held, chosen.rows, replace=False)
        results = {}
        for name, store in stores.items():
            began = time.perf_counter()
            batch = jax.block_until_ready(jax.device_put(store.batch(ages)))
            seconds_out[name] += [(time.perf_counter() - began)] if turn else []
            results[name] = learner.loss_and_gradient(batch)
        worst = max(worst, _apart(list(results.values())))
    if worst > TOLERANCE:
        raise ValueError(f"study buffer: losses differ by {worst:.1e}: the stores disagree")
    return [
        {
            "store": name,
            "bytes": store.nbytes(),
            "inserted_per_second": round(1 / median(seconds_in[name])),
            "sampled_per_second": round(chosen.rows / median(seconds_out[name])),
            "lines": sum(lines_of(part) for part in GLUE[name]),
        }
        for name, store in stores.items()
    ], worst


def play(chosen: Buffer, env: Any) -> list[dict[str, Any]]:
    """Chunks of slots with enough episodes to fill every store."""
    import jax
    import jax.random as jr

    from counterplay.pools import roster_of
    from counterplay.rollout import collect, open_lanes

    roster = roster_of(env, dict.fromkeys(range(env.num_seats), chosen.seat))
    lanes = roster.lanes_for(chosen.lanes)
    if lanes != chosen.lanes:
        raise ValueError(f"study buffer: --lanes should be a multiple of {len(roster.tables)}")
    seating, policies = roster.seating(lanes), roster.others
    open_key, *keys = jr.split(jr.key(chosen.seed), 4096)
    state = open_lanes(env, seating, policies, open_key)
    step = jax.jit(lambda s, k: collect(env, seating, policies, s, k, slots=chosen.slots))
    chunks, ended = [], 0
    for key in keys:
        state, chunk = step(state, key)
        slots = jax.device_get(chunk.slots)
        chunks.append(slots)
        ended += int((slots["terminated"] | slots["closing"]).sum())
        if ended > 1.2 * chosen.episodes:
            return chunks
    return chunks


class Learner:
    """Q(o, g, .) of one step, shared by the agents: a loss that all three stores can feed.

    Q(o, g, a) <- r + gamma max_a' Q(o', g, a'), the maximum over legal actions, 0 where the agent
    left; the goal stays that of the decision. Yu et al. (2024), equation 4.
    """

    def __init__(self, env: Any, seed: int):
        import jax
        import jax.random as jr

        from counterplay.models.nets import ActorCritic

        width = env.encode(jax.numpy.zeros(env.obs_shape, env.obs_dtype)).shape[0]
        self.env = env
        self.net = ActorCritic(2 * width, env.num_actions, (64,), 0, jr.key(seed))
        self._fit = jax.jit(jax.value_and_grad(self._loss))

    def loss_and_gradient(self, batch: Any) -> tuple[Any, Any]:
        import jax

        return jax.device_get(self._fit(self.net, batch))

    def _loss(self, net: Any, batch: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from counterplay.maths import chosen, masked_mean

        flat = jax.tree.map(
            lambda x: jnp.asarray(x).reshape(-1, *x.shape[batch.live.ndim :]), batch
        )
        encode = lambda x: jax.vmap(self.env.encode)(x.astype(self.env.obs_dtype))
        q = lambda obs, goal: jax.vmap(lambda x: net(x, jnp.zeros(0))[0])(
            jnp.concatenate([encode(obs), encode(goal)], axis=-1)
        )
        best = jnp.where(flat.next_legal, q(flat.next_obs, flat.goal), -jnp.inf).max(-1)
        later = jnp.where(flat.continues.astype(bool), 0.9 * best, 0.0)
        target = jax.lax.stop_gradient(flat.reward + later)
        error = chosen(q(flat.obs, flat.goal), flat.action) - target
        return masked_mean(error**2, flat.live)


def _apart(results: list[tuple[Any, Any]]) -> float:
    """How far losses and gradients are apart, over the size of each."""
    import jax
    import numpy as np

    first, *others = [[np.asarray(x) for x in jax.tree.leaves(result)] for result in results]
    differ = lambda a, b: float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-8))
    return max(differ(a, b) for other in others for a, b in zip(first, other, strict=True))


def lines_of(part: Any) -> int:
    """Lines of code: without blank lines, comments and docstrings."""
    code, text = set(), inspect.getsource(part)
    skip = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        statement = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in (*skip, tokenize.ENDMARKER) and not (
            token.type == tokenize.STRING and statement
        ):
            code.update(range(token.start[0], token.end[0] + 1))
        before = token.type
    return len(code)
