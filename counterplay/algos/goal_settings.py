"""Settings of inferring types and goals of the others, and of what a policy is told of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from counterplay.models.hypotheses import MOST, assignments
from counterplay.seats import Roster

MOST_TYPES = 64
S = TypeVar("S", bound="GoalSettings")


@dataclass(frozen=True)
class GoalSettings:
    """Settings of a reader of types and goals, whatever its policy learns by."""

    NAME: ClassVar[str]
    """Of the algorithm, for errors."""

    types: int | None = None
    """Types that others may be of: by default as many as there are opponents in the training, and
    one more for who learns where learners meet each other, too; 1 infers none."""
    types_from: Literal["opponents", "moves"] = "opponents"
    """What types are: who sits there, as a training knows, or whatever tells moves apart."""
    goals: Literal["events", "extremum", "rewards", "codes", "declared", "none"] = "events"
    """What goals are: what the others complete next; what pays most of what they complete within a
    horizon; the moves by which they next earn enough; codes that tell stretches of moves apart;
    what they declare, which no learner should be told but in a study; or nothing."""
    goal_horizon: int = 8
    """Slots after each in which an extremum is looked for."""
    codes: int = 4
    """Goals, where they are codes."""
    window: int = 8
    """Slots of an episode for which a code holds."""
    goal_reward: float | None = None
    """What a slot must pay for its event, or its move, to be a goal; by default all events are."""
    goal_quantile: float | None = None
    """The same as a quantile of what the latest slots with events paid, 0 to 1: at most a share of
    1 less that is reached, or, where more pay the most there is, these."""
    reward_of: Literal["other", "mine"] = "other"
    """Whose pay that is; the other's own is known while training only."""
    belief: Literal["filter", "joint", "amortised"] = "filter"
    """Bayes' rule over predicted moves, of each other for itself or of the types of all together;
    or what the recurrent layer says of types and goals."""
    vanish: bool = False
    """A goal that anybody completed is nobody's for the rest of the episode: for games in which
    each can be completed once."""
    goal_input: Literal["belief", "map", "sample", "none"] = "belief"
    """What the policy is told of types and goals: all of the belief, the likeliest, a draw, or
    nothing."""
    action_input: Literal["distribution", "argmax", "sample", "none"] = "distribution"
    """What the policy is told of each other's next move, given that."""
    around: bool = False
    """The reader also sees what lies around each player, in games on a board."""
    temper: bool = False
    """What a move says of types and goals counts so many times as makes beliefs over the types of
    known opponents right: a number that is learnt beside the rest of the reader, from its play."""
    mix: float = 0.01
    """Share of every predicted move that is uniform, so that no belief dies."""
    drift: float = 0.01
    """Share of a belief over goals that a slot replaces by what the history says of them."""
    type_drift: float = 0.0
    """Share of a belief over types that a slot replaces by an even one, for who may change."""
    habit: float = 0.0
    """Weight, when goals begin anew, of how often each was reached in earlier episodes."""
    decay: float = 0.98
    """Weight of what was reached before, when another goal is."""

    @staticmethod
    def privileges(settings: Mapping[str, Any], num_goals: int) -> str:
        """What a training with these settings tells of the others beyond what was seen of them, as
        letters of ``evaluate.marks``; ``num_goals`` are those of the game."""
        goals, found = settings.get("goals"), ""
        told = goals in ("events", "extremum") and num_goals > 0
        if goals == "declared" or told:
            found += "G"
        bounded = any(settings.get(name) is not None for name in ("goal_reward", "goal_quantile"))
        paid = goals == "rewards" or (told and (bounded or goals == "extremum"))
        if paid and settings.get("reward_of", "other") == "other":
            found += "O"
        named = settings.get("types_from", "opponents") == "opponents"
        return found + ("T" if named and settings.get("types") != 1 else "")

    @property
    def bounded(self) -> bool:
        """Only events that paid enough are goals."""
        return self.goal_reward is not None or self.goal_quantile is not None

    @property
    def game_goals(self) -> bool:
        """Goals are those of the game."""
        return self.goals in ("events", "extremum", "declared")

    @property
    def paid_me(self) -> float | None:
        """What a slot must pay me for its event to be a goal: I see at play whether it did."""
        return self.goal_reward if self.reward_of == "mine" else None

    def check_game(self, env: Any) -> None:
        """ValueError for the first setting of goals that means nothing in this game."""
        if self.game_goals and not env.num_goals:
            asked: dict[str, Any] = {"goals": self.goals if self.goals != "events" else None}
            asked |= {"goal_reward": self.goal_reward, "goal_quantile": self.goal_quantile}
            for name, found in (asked | {"habit": self.habit or None}).items():
                if found is not None:
                    raise ValueError(
                        f"{self.NAME}: {name} wants a game that tells of completed goals, found "
                        f"{name} {found} and {env}, which has none: leave it out"
                    )
        if self.habit and env.num_goals and not env.public_events:
            raise ValueError(f"{self.NAME}: habit counts goals that everybody sees reached, found "
                             f"{env}, in which events are not public")  # fmt: skip
        if self.around and not hasattr(env, "around"):
            raise ValueError(f"{self.NAME}: around wants a game on a board that tells what lies "
                             f"around each player, found {env}")  # fmt: skip
        if self.vanish and not (env.public_events and env.num_goals):
            raise ValueError(f"{self.NAME}: vanish wants a game in which everybody sees whose goal "
                             f"was completed, found {env}")  # fmt: skip

    def check_goals(self) -> None:
        """ValueError for the first of these that means nothing."""
        me = self.NAME
        if self.types is not None and not 1 <= self.types <= MOST_TYPES:
            raise ValueError(f"{me}: types must be 1 to {MOST_TYPES}, found {self.types}")
        for name, least in (("codes", 2), ("window", 1), ("goal_horizon", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{me}: {name} must be at least {least}, found "
                                 f"{getattr(self, name)}")  # fmt: skip
        if self.goal_reward is not None and self.goal_quantile is not None:
            raise ValueError(f"{me}: give goal_reward or goal_quantile, not both")
        if self.goal_quantile is not None and not 0 <= self.goal_quantile <= 1:
            raise ValueError(f"{me}: goal_quantile must be 0 to 1, found {self.goal_quantile}")
        if self.reward_of != "other" and not (self.bounded or self.goals == "extremum"):
            raise ValueError(f"{me}: reward_of says whose pay goal_reward, goal_quantile or goals "
                             f"extremum are about, found reward_of {self.reward_of} and none of "
                             "them")  # fmt: skip
        if self.goals == "rewards" and not self.bounded:
            raise ValueError(f"{me}: goals rewards wants what is enough, goal_reward or "
                             "goal_quantile, found neither")  # fmt: skip
        if self.types_from == "moves" and (self.types or 1) < 2:
            raise ValueError(f"{me}: types_from moves wants types, 2 or more, found "
                             f"{self.types}")  # fmt: skip
        bounds = self.goal_reward, self.goal_quantile
        if self.goals not in ("events", "extremum", "rewards") and self.bounded:
            raise ValueError(f"{me}: goal_reward and goal_quantile pick among events, found "
                             f"goals {self.goals}")  # fmt: skip
        if self.habit:
            self._check_habit()
        if self.belief == "joint" and self.types_from == "moves":
            raise ValueError(f"{me}: belief joint learns which opponents sit together, found "
                             "types_from moves")  # fmt: skip
        if self.temper and (self.types_from == "moves" or self.belief == "amortised"):
            raise ValueError(f"{me}: temper makes a filter's belief over known types right, found "
                             f"types_from {self.types_from}, belief {self.belief}")  # fmt: skip
        if self.vanish and (self.goals not in ("events", "declared") or self.bounded):
            raise ValueError(f"{me}: vanish wants goals that are seen to be completed, events "
                             f"of any reward or declared ones, found goals {self.goals}, "
                             f"goal_reward {bounds[0]}, goal_quantile {bounds[1]}")  # fmt: skip
        for name in ("mix", "drift", "type_drift", "habit", "decay"):
            least = 1e-6 if name == "mix" else 0
            if not least <= getattr(self, name) <= 1 - 1e-6:
                raise ValueError(
                    f"{me}: {name} must be {least:g} to below 1, found {getattr(self, name)}"
                )

    def _check_habit(self) -> None:
        me = self.NAME
        if self.goals not in ("events", "declared"):
            raise ValueError(f"{me}: habit counts goals of the game that were reached, found "
                             f"goals {self.goals}")  # fmt: skip
        if self.bounded and self.paid_me is None:
            raise ValueError(f"{me}: habit counts goals that are seen to be reached, and what "
                             "another is paid nobody sees at play: give goal_reward with "
                             f"reward_of mine, found goal_reward {self.goal_reward}, goal_quantile "
                             f"{self.goal_quantile}, reward_of {self.reward_of}")  # fmt: skip
        if self.belief == "amortised":
            raise ValueError(f"{me}: habit is a weight of the filter's, found belief amortised")

    def among(self: S, roster: Roster) -> S:
        """The same, with as many types as there are opponents, and one more for who learns where
        such meet each other and opponents, too."""
        if self.types_from == "moves":
            return self
        me, known = self.NAME, len(opponent_ids(roster.kinds))
        if self.types is not None and 1 < self.types < known:
            raise ValueError(f"{me}: types must be 1, or at least {known} for all opponents "
                             f"here, found {self.types}")  # fmt: skip
        mine = lambda table: sum(roster.kinds[chair.kind].learner for chair in table)
        spare = known > 0 and max(map(mine, roster.tables)) > 1
        if self.types is None and known + spare > MOST_TYPES:
            raise ValueError(f"{me}: there are {known} opponents, and types are {MOST_TYPES} "
                             "at most: --types 1 infers none")  # fmt: skip
        if self.belief == "joint" and (known + spare) ** (roster.num_seats - 1) > MOST:
            spare = False  # rather than none at all: types of who learns are then not known
        found = replace(self, types=max(known + spare, 1)) if self.types is None else self
        if found.belief == "joint":
            assignments(roster.num_seats - 1, found.types or 1)  # or there are too many
        return found


def opponent_ids(kinds: tuple) -> list[int]:
    """Of all who do not learn, in order: the i-th of them is type i."""
    return sorted({i for kind in kinds if not kind.learner for i in kind.ids})
