"""Runs our store beside PyMARL's replay buffer, on random rollouts.

python benchmarks/pymarl_store.py --peer PATH --sequences 300

PATH is a checkout of PyMARL; the Python that runs this needs torch besides what counterplay needs.
``tests/episodes/beside_pymarl.py`` says what is compared, and what differs on purpose. Prints one
JSON object with the differences; the exit status is 1 if there are any.
"""

import argparse
import json
import sys
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

TESTS = Path(__file__).parents[1] / "tests" / "episodes"
SIZES = ((60, 4), (9, 7), (9, 4), (30, 12))
"""Slots a lane and episodes: now the ring, now their number tells what is held."""
CHANCES = (0.3, 0.25, 0.25, 0.1, 0.1)
"""Of moving on, terminating, being truncated, nothing happening, and somebody leaving."""
DTYPES = {np.int32: torch.int32, np.int64: torch.long, np.uint8: torch.uint8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True)
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--operations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.path[:0] = [str(TESTS), str(Path(asked.peer) / "src")]
    warnings.simplefilter("ignore", UserWarning)  # the original indexes with lists, copies tensors
    beside = import_module("beside_pymarl")
    buffers = import_module("components.episode_buffer")
    hot = import_module("components.transforms").OneHot(out_dim=beside.ACTIONS)
    scheme = {
        name: of | ({"dtype": DTYPES[of["dtype"]]} if "dtype" in of else {})
        for name, of in beside.THEIRS.items()
    }

    def made(kind: str) -> Any:
        size = {"max_seq_length": beside.SPAN + 1}
        more = size | {"preprocess": {"actions": ("actions_onehot", [hot])}}
        return lambda rows: getattr(buffers, kind)(scheme, beside.GROUPS, rows, **more)

    done, found = Counter(), []
    for i in range(asked.sequences):
        rng = np.random.default_rng((asked.seed, i))
        both = beside.Beside(*SIZES[i % len(SIZES)], made("EpisodeBatch"), made("ReplayBuffer"))
        try:
            for _ in range(asked.operations):
                done[operation(beside, both, rng)] += 1
        except AssertionError as error:
            found.append(f"sequence {i}: {str(error).splitlines()[:1]}")
    row = {"sequences": asked.sequences, "operations": asked.operations, "seed": asked.seed}
    row |= {"sequences_that_differ": len(found), "first": found[:20]}
    print(json.dumps(row | {"done": dict(sorted(done.items())), "torch": torch.__version__}))
    sys.exit(bool(found))


def operation(beside: Any, both: Any, rng: np.random.Generator) -> str:
    """One write, question or sample; AssertionError where the two differ."""
    stored, kind = both.buffer.episodes_in_buffer, rng.random()
    if kind < 0.5 or not stored:
        both.write(rng.choice(5, beside.LANES * beside.CHUNK, p=CHANCES))
        return "write"
    if kind < 0.6:
        both.can_sample(int(rng.integers(1, 14)))
        return "can_sample"
    n, seed = int(rng.integers(1, min(stored, beside.ROWS) + 1)), int(rng.integers(1 << 30))
    np.random.seed(seed)  # noqa: NPY002 - the original draws from the global generator
    rows = np.random.choice(stored, n, replace=False)  # noqa: NPY002
    rows = np.arange(n) if n == stored else rows
    np.random.seed(seed)  # noqa: NPY002
    theirs, ours = both.buffer.sample(n), both.ours(rows)
    both.same(ours, both.wanted(theirs, rows))
    return "sample"


if __name__ == "__main__":
    main()
