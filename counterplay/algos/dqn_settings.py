"""Settings of DQN."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from counterplay.models.nets import ACTIVATIONS
from counterplay.names import unknown


@dataclass(frozen=True)
class Config:
    """Settings of DQN."""

    seed: int = 0
    """Seed of every random number; with several seeds, the first of them."""
    seeds: int = 1
    """Independent trainings in one program, seeded seed, seed + 1, ..."""
    steps: int = 3_000_000
    """Environment steps of each seed, rounded up to whole iterations."""
    lanes: int | None = None
    """Games side by side, rounded up so that all tables get as many; 512, or 8 outside JAX."""
    slots: int | None = None
    """Steps of every lane between two times of learning; 16, or 32 for games outside JAX."""
    match: int = 1
    """Episodes a match; memory is carried inside a match only."""
    replay: int | None = None
    """Slots of all lanes that are kept to learn from; 262,144, or 100,000 outside JAX."""
    start: int | None = None
    """Slots to play before anything is learnt; 32,768, or 1,000 outside JAX."""
    passes: int | None = None
    """Learning steps an iteration; 32, or 64 outside JAX: one in four steps."""
    batch: int | None = None
    """Windows drawn a learning step, each with all the learner's seats there; 256, or 64 outside
    JAX."""
    double: bool = True
    """The network picks the action whose value its target network tells."""
    duelling: bool = False
    """Values are a state's value and the actions' advantages."""
    n_step: int = 3
    """Rewards in a target before the rest is estimated."""
    target_every: int = 200
    """Learning steps between updates of the target network."""
    tau: float = 1.0
    """How far it then moves to the network: 1 copies it, less averages it (Polyak)."""
    epsilon: float = 0.05
    """Chance of a random legal move, from the end of exploration on; it starts at 1."""
    explore: float = 0.3
    """Share of the training over which that chance falls."""
    priority: float = 0.0
    """Power of the last error by which decisions are drawn; 0 draws all alike."""
    correction: float = 0.4
    """Power of the weights that correct for it at the start; it grows to 1."""
    widths: tuple[int, ...] = (128, 64)
    """Units of the hidden layers."""
    activation: Literal["relu", "silu", "tanh"] = "relu"
    """What the units are."""
    gru: int = 0
    """Units of a recurrent layer; 0 for none."""
    window: int = 32
    """Slots of a window, for recurrent networks."""
    burn_in: int = 8
    """Slots at its start that only refresh the memory."""
    gamma: float = 0.99
    """Discount a step."""
    learning_rate: float = 2e-3
    """Step size of Adam at the start."""
    anneal: bool = True
    """The step size falls to 0."""
    max_grad_norm: float = 10.0
    """Longer gradients are shortened to this norm."""
    redeal: int = 50
    """Iterations after which frozen opponents change lanes."""

    JITTED: ClassVar[dict[str, int]] = {
        "lanes": 512, "slots": 16, "replay": 2**18, "start": 2**15, "passes": 32, "batch": 256,
    }  # fmt: skip
    HOSTED: ClassVar[dict[str, int]] = {
        "lanes": 8, "slots": 32, "replay": 100_000, "start": 1_000, "passes": 64, "batch": 64,
    }  # fmt: skip

    def __post_init__(self):
        whole = ("seeds", "steps", "match", "n_step", "target_every", "redeal", *self.JITTED)
        for name in whole:
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"dqn: {name} must be at least 1, found {number}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"dqn: widths must be at least 1 each, found {self.widths}")
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)
        for name in ("gamma", "tau", "epsilon", "explore", "priority", "correction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"dqn: {name} must be 0 to 1, found {getattr(self, name)}")
        for name in ("tau", "learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"dqn: {name} must be positive, found {getattr(self, name)}")
        if self.gru < 0 or self.burn_in < 0:
            raise ValueError(f"dqn: gru and burn_in must be 0 or more, found {self.gru} units and "
                             f"{self.burn_in} slots")  # fmt: skip
        if self.gru and self.window < self.burn_in + 2:
            raise ValueError(f"dqn: window must be at least {self.burn_in + 2}, or nothing follows "
                             f"burn_in; found {self.window}")  # fmt: skip
        if self.gru and self.priority:
            raise ValueError(f"dqn: priority and gru exclude each other, found gru {self.gru}")
        if not 0 <= self.seed <= 2**31 - self.seeds:
            raise ValueError(f"dqn: seed must be 0 to {2**31 - self.seeds}, found {self.seed}")

    def sized(self, name: str) -> int:
        """One of the sizes that depend on the game, which ``loops.resolved`` has filled in."""
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"dqn: {name} must be a whole number here, found None: see resolved")
        return found

    def check_start(self) -> None:
        """ValueError where a training that begins with an empty replay ends before it learns."""
        if (start := self.sized("start")) > self.steps:
            raise ValueError(
                f"dqn: start must be at most steps, or nothing is ever learnt; found start "
                f"{start:,} and steps {self.steps:,}. Start is {self.JITTED['start']:,}, or "
                f"{self.HOSTED['start']:,} outside JAX, where it is not given"
            )
