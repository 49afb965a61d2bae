"""``counterplay study``: questions that are answered by programs; every claim is a command."""

from counterplay.names import run_named

STUDIES: dict[str, tuple[str, str]] = {
    "buffer": (
        "counterplay.studies.buffer:main",
        "padded episodes, patched transitions or one store: what each costs a learner",
    ),
    "goal-choice": (
        "counterplay.studies.goal_choice:main",
        "what a goal should be: events, declared intents, codes of moves, or nothing",
    ),
    "goal-timing": (
        "counterplay.studies.goal_timing:main",
        "when goals should be inferred: at every event, or only where it paid enough",
    ),
    "planning-frontier": (
        "counterplay.studies.planning_frontier:main",
        "what planning earns and costs: none, a few moves ahead, or a tree, in either world",
    ),
    "action-in-planning": (
        "counterplay.studies.action_in_planning:main",
        "how predicted moves enter: told to the policy, planned with, both or neither",
    ),
    "real-ratio": (
        "counterplay.studies.real_ratio:main",
        "what learning from imagined moves adds to learning from real ones",
    ),
    "raw-vs-embedding": (
        "counterplay.studies.raw_vs_embedding:main",
        "what a model should tell: what will be seen next, or a latent of it",
    ),
    "types": (
        "counterplay.studies.types:main",
        "what a type should be: the opponents of the training, codes of moves, or none",
    ),
    "roshambo": (
        "counterplay.studies.roshambo:main",
        "what a player earns of the 43 RoShamBo bots of OpenSpiel, and they of each other",
    ),
    "roshambo-trained": (
        "counterplay.studies.roshambo_trained:main",
        "what learners earn of RoShamBo bots that they never met",
    ),
}


def main(args: list[str]) -> int:
    """Runs one study."""
    return run_named("study", "study", STUDIES, args)
