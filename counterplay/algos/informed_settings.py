"""Settings that all agents share that read the others, and those of PPO among them."""

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin

from counterplay.algos import ppo
from counterplay.names import unknown


@dataclass(frozen=True)
class ReaderSettings:
    """Settings of a reader of the others, whatever its policy learns by."""

    told_width: int = 16
    """Units that read what is held of each other player, before they are added up."""
    marks: bool = True
    """The policy is told which other each row is of. Without, others may change places with all
    that is held of them and it plays on as before: it cannot tell them apart by their seats."""
    reader_widths: tuple[int, ...] = (64,)
    """Units of the reader's hidden layers."""
    reader_gru: int = 64
    """Units of the reader's recurrent layer; 0 for a reader of the present slot alone."""
    reader_rate: float = 5e-3
    """Step size of Adam for the reader at the start; falls to 0."""
    reader_epochs: int = 1
    """Passes of the reader over the places of an iteration."""
    reader_minibatches: int = 8
    """Parts of such a pass."""
    reader_places: int = 128
    """Places from which the reader learns in each pass, drawn anew every time, as many from each
    core; where there are fewer, from all. A place is a seat of one lane for an iteration."""

    def check_reader(self) -> None:
        """ValueError for the first of all settings that is none of its choices, or of these that
        means nothing."""
        for field in fields(self):
            known, found = get_args(field.type), getattr(self, field.name)
            if get_origin(field.type) is Literal and found not in known:
                raise unknown(field.name, found, known)
        if not self.reader_widths or min(self.reader_widths) < 1:
            raise ValueError(f"reader_widths must be at least 1 each, found {self.reader_widths}")
        for name in ("told_width", "reader_epochs", "reader_minibatches", "reader_places"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.reader_gru < 0:
            raise ValueError(f"reader_gru must be 0 or more units, found {self.reader_gru}")
        if not 0 < self.reader_rate < float("inf"):
            raise ValueError(f"reader_rate must be positive, found {self.reader_rate}")


@dataclass(frozen=True)
class Config(ReaderSettings, ppo.Config):
    """Settings of PPO, and of a reader of the others."""

    replay: int = 0
    """Slots of what was played lately that are kept, of all lanes, and at least an episode of
    each; half of what a reader learns from is drawn from them. 0 for the latest play alone."""

    def __post_init__(self):
        super().__post_init__()
        self.check_reader()
        if self.replay < 0:
            raise ValueError(f"replay must be 0 or more slots, found {self.replay}")
