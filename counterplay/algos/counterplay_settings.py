"""Settings of the agent that plans in a world it learns."""

from dataclasses import dataclass
from typing import Literal

from counterplay.algos import goal_ppo
from counterplay.settings import check_least


@dataclass(frozen=True)
class Config(goal_ppo.Config):
    """Settings of PPO that infers goals, predicts moves, learns the game, and plans in it."""

    plan: Literal["full", "likeliest", "even", "arriving", "letter", "none"] = "full"
    """What a move is worth: reward and value of what it leads to; the same, did each other what it
    most likely does; the same, had they no preference among their legal moves; the value of
    arriving there; to the letter, the value of what is there, none where I have left; or no
    planning."""
    depth: int = 1
    """Moves of mine that are planned."""
    samples: int = 2
    """Draws of the others' moves for each of mine, 0 for all there are."""
    temperature: float = 0.25
    """How much better a move must be, in spreads of what moves are worth, to be made e times as
    often."""
    explore: float = 0.02
    """Share of moves made while learning that are drawn from all legal ones alike."""
    warm: float = 0.1
    """Share of the training before anything planned is trusted."""
    distil: float = 1.0
    """Weight of the divergence of the policy from what was planned, times the trust in it."""
    replanned: int = 2048
    """Slots of earlier play, where such is kept (replay), on which each iteration plans anew, so
    that the policy is drawn to those plans as well; 0 for none."""
    real_ratio: float = 1.0
    """Share of the decisions that policy and value learn from that were really made, about; the
    others are imagined, world_steps in a row, once the model knows the rules. 1 for none."""
    latent: int = 128
    """Numbers of the latent that are carried on."""
    groups: int = 0
    """Groups of classes that are drawn beside them; 0 for a latent without chance."""
    classes: int = 8
    """Classes in each group."""
    world_width: int = 96
    """Units of each layer of the world model."""
    world_token: int = 128
    """Numbers that are picked out of the latent for each player."""
    world_steps: int = 5
    """Moves that the world model is trained to imagine in a row."""
    world_rate: float = 2e-3
    """Step size of Adam for the world model, what is expected in it, and the value; falls to 0."""
    world_epochs: int = 1
    """Passes over the places of an iteration."""
    world_minibatches: int = 16
    """Parts of such a pass."""
    world_places: int = 2048
    """Places from which each pass learns; where there are fewer, from all."""
    value_width: int = 64
    """Units of each layer of the value of latents."""
    slow: float = 0.98
    """What the value that plans keeps of itself for each step of Adam, when it follows the one that
    learns."""

    def __post_init__(self):
        super().__post_init__()
        check_least(
            self, depth=1, samples=0, latent=1, groups=0, classes=2, world_width=1, world_token=1,
            world_steps=1, world_epochs=1, world_minibatches=1, world_places=1, value_width=1,
            replanned=0,
        )  # fmt: skip
        if self.plan in ("arriving", "letter") and self.depth > 1:
            raise ValueError(f"plan {self.plan} looks one move ahead, found depth {self.depth}")
        if self.types_from == "moves":
            raise ValueError("counterplay: types are who sits there, in what is imagined, too; "
                             "found types_from moves")  # fmt: skip
        for name in ("temperature", "world_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        for name in ("explore", "warm", "slow"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be 0 to below 1, found {getattr(self, name)}")
        least = 1 / (1 + self.world_steps)
        if not least <= self.real_ratio <= 1:
            raise ValueError(
                f"real_ratio must be {least:.3f} to 1, as {self.world_steps} moves (world_steps) "
                f"are imagined from a real one at most; found {self.real_ratio}"
            )
        if self.gru and self.real_ratio < 1:
            raise ValueError(
                "counterplay: a recurrent policy remembers nothing of what is imagined; "
                f"found gru {self.gru} and real_ratio {self.real_ratio}"
            )
        if not 0 <= self.distil < float("inf"):
            raise ValueError(f"distil must be 0 or more, found {self.distil}")
