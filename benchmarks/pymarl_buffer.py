"""Times insertion into and samples from PyMARL's replay buffer, on one thread.

python benchmarks/pymarl_buffer.py --peer PATH --length 50
python benchmarks/pymarl_buffer.py --peer PATH --scheme stag_hunt --obs 100 --lengths played.npz

PATH is a checkout of PyMARL; the Python that runs this needs torch and NumPy. The buffer is full of
episodes; ``trimmed`` is a sample cut to its longest episode, as PyMARL's training loop cuts it.
Prints one JSON object.
"""

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from buffer_episodes import AGENTS, OF_AGENTS, batches, fill, options, rates, read, row, shapes

DTYPES = {
    np.float32: torch.float32,
    np.int64: torch.long,
    np.int32: torch.int,
    np.uint8: torch.uint8,
}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--peer", required=True)
    asked = read(parser)
    torch.set_num_threads(1)
    np.random.seed(0)  # noqa: NPY002 - the buffer draws from the global generator
    warnings.simplefilter("ignore", UserWarning)  # it copies tensors and indexes with lists
    sys.path.insert(0, str(Path(asked.peer) / "src"))
    module = import_module("components.episode_buffer")
    hot = import_module("components.transforms").OneHot(out_dim=asked.actions)
    scheme = {}
    for name, (shape, dtype) in shapes(asked).items():
        grouped = {"vshape": shape[1:], "group": "agents"} if name in OF_AGENTS else {}
        scheme[name] = {"vshape": shape, "dtype": DTYPES[dtype]} | grouped
    size = asked.length + 1
    common = {"preprocess": {"actions": ("actions_onehot", [hot])}}
    buffer = module.ReplayBuffer(scheme, {"agents": AGENTS}, asked.episodes, size, **common)
    news = []
    for arrays in batches(asked):
        new = module.EpisodeBatch(scheme, {"agents": AGENTS}, asked.rows, size, **common)
        new.update(arrays)
        news.append(new)

    def insert(i: int) -> None:
        buffer.insert_episode_batch(news[i % len(news)])

    def sample(i: int) -> None:
        buffer.sample(asked.rows)

    def trimmed(i: int) -> None:
        drawn = buffer.sample(asked.rows)
        drawn[:, : drawn.max_t_filled()]

    fill(asked, insert)
    data = buffer.data.transition_data.values()
    told = row(asked, sum(x.nelement() * x.element_size() for x in data))
    told |= rates(asked, {"insert": insert, "sample": sample, "trimmed": trimmed})
    print(json.dumps({"peer": "PyMARL"} | told | {"torch": torch.__version__}))


if __name__ == "__main__":
    main()
