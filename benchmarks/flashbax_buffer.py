"""Times insertion into and samples from flashbax's buffers, whole episodes at a time.

NPROC=1 python benchmarks/flashbax_buffer.py --kind item --length 50

The Python that runs this needs flashbax. An item is an episode of the same fields as
``pymarl_buffer.py`` times, without the one-hot, which a learner makes, and with the mask of what is
filled; ``--kind trajectory`` puts episodes one after another in as many rows as are inserted at
once. Both functions are jitted, the buffer is donated to insertion. ``_inside`` is one program that
draws or inserts many times, a sample in the place of the one before. Prints one JSON object.
"""

import json
import os
import warnings
from importlib.metadata import version

import flashbax
import jax
import jax.numpy as jnp
from buffer_episodes import batches, fill, options, rates, read, row

KEYS = 1024
SEVERAL = 32
"""Samples that one program draws, as a learner's does."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--kind", choices=("item", "trajectory"), default="item")
    asked = read(parser)
    if os.environ.get("NPROC") != "1":
        parser.error("XLA starts a thread a core: set NPROC=1 in the environment")
    warnings.simplefilter("ignore", UserWarning)
    news = [jax.tree.map(jnp.asarray, arrays) for arrays in batches(asked)]
    buffer = made(asked)
    first = jax.tree.map(lambda x: x[0] if asked.kind == "item" else x[0, 0], news[0])
    state = buffer.init(first)
    add, draw = jax.jit(buffer.add, donate_argnums=0), jax.jit(buffer.sample)
    keys = list(jax.random.split(jax.random.PRNGKey(0), KEYS))

    def insert(i: int) -> None:
        nonlocal state
        state = jax.block_until_ready(add(state, news[i % len(news)]))

    def sample(i: int) -> None:
        jax.block_until_ready(draw(state, keys[i % KEYS]))

    fill(asked, insert)
    told = row(asked, sum(x.nbytes for x in jax.tree.leaves(state.experience)))
    told |= rates(asked, {"insert": insert, "sample": sample})
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *news)
    draws = jax.jit(
        lambda state, key, last: jax.lax.fori_loop(
            0, SEVERAL, lambda i, last: buffer.sample(state, jax.random.fold_in(key, i)), last
        ),
        donate_argnums=2,
    )
    adds = jax.jit(
        lambda state, stacked: jax.lax.fori_loop(
            0, len(news), lambda i, s: buffer.add(s, jax.tree.map(lambda x: x[i], stacked)), state
        ),
        donate_argnums=0,
    )
    last = draw(state, keys[0])

    def insert_inside(i: int) -> None:
        nonlocal state
        state = jax.block_until_ready(adds(state, stacked))

    def sample_inside(i: int) -> None:
        nonlocal last
        last = jax.block_until_ready(draws(state, keys[i % KEYS], last))

    inside = {"insert_inside": insert_inside, "sample_inside": sample_inside}
    each = {"insert_inside": len(news) * asked.rows, "sample_inside": SEVERAL * asked.rows}
    told |= rates(asked, inside, each)
    versions = {name: version(name) for name in ("flashbax", "jax")}
    print(json.dumps({"peer": "flashbax", "kind": asked.kind} | told | versions))


def made(asked):
    """The buffer of that kind, for as many episodes."""
    if asked.kind == "item":
        return flashbax.make_item_buffer(
            max_length=asked.episodes,
            min_length=asked.rows,
            sample_batch_size=asked.rows,
            add_batches=True,
        )
    slots = asked.length + 1
    return flashbax.make_trajectory_buffer(
        add_batch_size=asked.rows,
        sample_batch_size=asked.rows,
        sample_sequence_length=slots,
        period=slots,
        min_length_time_axis=slots,
        max_length_time_axis=asked.episodes // asked.rows * slots,
    )


if __name__ == "__main__":
    main()
