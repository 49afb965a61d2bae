"""The recipe of the documentation runs on somebody's own rollout, and does what it says."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "buffer.md"


class Rollout:
    """Two agents in four games of 8 to 40 moves; the second leaves half-way through."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.time, self.length = np.zeros(4, int), self.rng.integers(8, 41, 4)

    def __call__(self, lanes: int, slots: int) -> dict[str, np.ndarray]:
        steps = [self.step() for _ in range(slots)]
        return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}

    def step(self) -> dict[str, np.ndarray]:
        time, last = self.time, self.time == self.length - 1
        obs = np.broadcast_to(time[:, None, None], (4, 2, 8)).astype(np.float32)
        leaves = np.stack([np.zeros(4, bool), time == self.length // 2], axis=1)
        self.time = np.where(last, 0, time + 1)
        self.length = np.where(last, self.rng.integers(8, 41, 4), self.length)
        return {
            "obs": obs,
            "actions": self.rng.integers(0, 5, (4, 2)),
            "reward": np.ones((4, 2), np.float32),
            "left": leaves,
            "terminated": last,
            "closing": np.zeros(4, bool),
        }


def test_the_recipe_runs_and_its_goals_lie_inside_each_agents_own_episode():
    code, draw = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) < 30
    scope = {"play": Rollout(), "value": lambda states: states.sum(-1)}
    exec(code, scope)  # noqa: S102
    batch, goals = scope["batch"], np.asarray(scope["goals"])[..., 0]
    length, left = np.asarray(batch.length), np.asarray(batch.left_at)
    for row in range(32):
        stops = (length[row], left[row, 1] + 1)
        for agent, stop in enumerate(stops):
            slots = np.arange(stop - 1)  # the last has no future
            assert (goals[agent, row, : stop - 1] == np.minimum(slots + 5, stop - 1)).all()
    exec(draw.replace("\nbatch = draw", "\nbefore = batch\nbatch = draw"), scope)  # noqa: S102
    before, batch = scope["before"], scope["batch"]
    assert before.data["obs"].is_deleted() and batch.data["obs"].shape == (32, 51, 2, 8)
    read = scope["replay"].slots["subgoal"]
    assert int(jnp.count_nonzero(read)) > 0 and batch["actions_onehot"].shape[-1] == 5
