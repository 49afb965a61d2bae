"""``latent`` and ``none``: a frozen run that plans in its own world as it is asked to, or not at
all."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp

from counterplay.names import unknown

FORMS = ("full", "likeliest", "even", "arriving", "letter")


@dataclass(frozen=True)
class Latent:
    """Settings of planning a few moves ahead in a learned world."""

    depth: int = 1
    """Moves of mine that are planned."""
    samples: int = 8
    """Draws of the others' moves for each of mine, 0 for all there are."""
    form: str = "full"
    """full; likeliest: full, did each other what it does most; even: full, had they no preference
    among their moves; arriving: the value of arriving alone; letter: to the letter, the value of
    what is there, none where I have left."""
    trust: float = 1.0
    """How much of a say plans have, 0 to 1: who asks for plans gets them, however little a
    training came to trust its own."""
    temperature: float | None = None
    """How much better a move must be, in spreads of what moves are worth, to be made e times as
    often; by default that of the training."""

    def __post_init__(self):
        for name, least in (("depth", 1), ("samples", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"planner latent: {name} must be at least {least}, found "
                                 f"{getattr(self, name)}")  # fmt: skip
        if self.form not in FORMS:
            raise unknown("form of planner latent", self.form, FORMS)
        if self.form in ("arriving", "letter") and self.depth > 1:
            raise ValueError(f"planner latent: form {self.form} looks one move ahead, found depth "
                             f"{self.depth}")  # fmt: skip
        if not 0 <= self.trust <= 1:
            raise ValueError(f"planner latent: trust must be 0 to 1, found {self.trust}")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"planner latent: temperature must be positive, found {self.temperature}"
            )

    def seated(self, agent: Any, env: Any, about: dict[str, Any]) -> Any:
        """The policy; ValueError where the agent has learnt no world."""
        if not plans(agent):
            name = about.get("algorithm", type(agent).__module__)
            raise ValueError(
                f"planner latent: a run of {name} has learnt no world to plan in; counterplay "
                "train counterplay makes one that has"
            )
        how = agent.net.how
        heat = how.temperature if self.temperature is None else self.temperature
        how = how._replace(form=self.form, depth=self.depth, samples=self.samples, temperature=heat)
        trust = jnp.full_like(agent.net.trust, self.trust)
        return type(agent)(replace(agent.net, how=how, trust=trust), counted=True)


@dataclass(frozen=True)
class Alone:
    """No settings: the policy alone."""

    def seated(self, agent: Any, env: Any, about: dict[str, Any]) -> Any:
        """The policy without what it plans; whatever never plans stays as it is."""
        if not plans(agent):
            return agent
        net = replace(agent.net, how=agent.net.how._replace(form="none"))
        return type(agent)(net, counted=True)


def plans(agent: Any) -> bool:
    """Whether it has learnt a world."""
    return hasattr(getattr(agent, "net", None), "how")
