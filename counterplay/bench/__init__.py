"""``counterplay bench``: the figures of the documentation, measured again on any machine."""

from counterplay.names import run_named

BENCHES: dict[str, tuple[str, str]] = {
    "selfplay": ("counterplay.bench.learning:selfplay", "PPO self-play on 4x4 stag hunt, timed"),
    "dqn": ("counterplay.bench.learning:dqn", "DQN self-play on 4x4 stag hunt, timed"),
    "focal": ("counterplay.bench.learning:focal", "PPO against three opponents of one kind"),
    "rules": ("counterplay.bench.learning:rules", "what rules earn on 4x4 stag hunt"),
    "snowdrift": ("counterplay.bench.learning:snowdrift", "what rules earn on 4x4 snowdrift"),
    "step": ("counterplay.bench.step:main", "steps a second of a game, one core"),
    "xplay": ("counterplay.bench.xplay:main", "a matrix of eight networks against each other"),
    "host": ("counterplay.bench.host:main", "the loop for games outside JAX against bare copies"),
    "runs": ("counterplay.bench.runs:main", "what checkpoints, resuming and logs cost"),
    "figures": ("counterplay.bench.figures:main", "all of them, written into the documentation"),
    "faults": ("counterplay.bench.faults:main", "kills and damage, and what is made good again"),
    "cartpole": ("counterplay.bench.cartpole:main", "PPO or DQN on CartPole through that loop"),
    "iql": ("counterplay.bench.iql:main", "DQN in foraging, beside EPyMARL's IQL"),
    "ippo": ("counterplay.bench.jaxmarl:main", "PPO in JaxMARL's games, beside its own IPPO"),
    "wrapped": ("counterplay.bench.wrapped:main", "JaxMARL's games, bare against wrapped"),
    "buffer": ("counterplay.bench.buffer:main", "episodes a second in and out of the store"),
    "adaptation": (
        "counterplay.bench.adaptation:main",
        "exact inference by hand and PPO without memory between the references",
    ),
    "blind": ("counterplay.bench.blind:main", "where gradients lead a blind player"),
    "overhead": (
        "counterplay.bench.overhead:main",
        "seconds an iteration of agents that read the others, beside PPO's",
    ),
    "planning": ("counterplay.bench.planning:main", "decisions a second of planners, one core"),
    "agents": (
        "counterplay.bench.agents:main",
        "what every algorithm earns of knowing the others, between the references",
    ),
    "controls": (
        "counterplay.bench.controls:main",
        "agents that read the others, kept from knowing them",
    ),
    "reached": (
        "counterplay.bench.reached:main",
        "what our agent reaches on 4x4 stag hunt, and how soon",
    ),
    "world": ("counterplay.bench.world:main", "how right a model of the game becomes"),
    "reading": ("counterplay.bench.reading:main", "how well the others are read"),
    "foraging": ("counterplay.bench.learning:foraging", "PPO on lbforaging through that loop"),
}


def main(args: list[str]) -> int:
    """Runs one benchmark."""
    return run_named("bench", "benchmark", BENCHES, args)
