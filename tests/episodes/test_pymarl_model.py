"""The NumPy model of PyMARL's buffer, by hand-worked examples: what ours is compared with."""

import numpy as np
import pytest
from pymarl import EpisodeBatch, ReplayBuffer

SCHEME = {
    "state": {"vshape": 2},
    "obs": {"vshape": (2, 2), "group": "agents"},
    "actions": {"vshape": (1,), "group": "agents", "dtype": np.int64},
    "reward": {"vshape": (1,)},
    "terminated": {"vshape": (1,), "dtype": np.uint8},
    "goal": {"vshape": 1, "group": "agents", "episode_const": True},
}
GROUPS = {"agents": 2}
HOT = {"actions": ("actions_onehot", 3)}


def batch(rows=2, slots=3) -> EpisodeBatch:
    return EpisodeBatch(SCHEME, GROUPS, rows, slots, HOT)


def marked(value: float, rows=1, slots=3) -> EpisodeBatch:
    """Episodes whose every reward and goal is ``value`` and, after the point, their row."""
    made, column = batch(rows, slots), value + np.arange(rows)[:, None] / 10
    made.update({"reward": np.tile(column, (1, slots))})
    made.update({"goal": np.tile(column, (1, 2))})
    return made


def firsts(buffer: EpisodeBatch) -> list[float]:
    """The reward of each row's first slot."""
    return [round(float(x), 2) for x in buffer["reward"][:, 0, 0]]


def test_fields_are_zero_in_the_shapes_and_types_of_the_scheme():
    made = batch()
    assert made["state"].shape == (2, 3, 2) and made["state"].dtype == np.float32
    assert made["obs"].shape == (2, 3, 2, 2, 2)
    assert made["actions"].shape == (2, 3, 2, 1) and made["actions"].dtype == np.int64
    assert made["terminated"].dtype == np.uint8
    assert made["goal"].shape == (2, 2, 1), "a constant of the episode has no axis of slots"
    assert made["actions_onehot"].shape == (2, 3, 2, 3)
    assert made["actions_onehot"].dtype == np.float32
    assert made["filled"].shape == (2, 3, 1) and made["filled"].dtype == np.int64
    assert list(made.scheme) == [*SCHEME, "actions_onehot", "filled"]
    assert not any(made[key].any() for key in made.scheme)
    with pytest.raises(ValueError, match="rename"):
        EpisodeBatch({"filled": {"vshape": 1}}, {}, 1, 1)


def test_writing_a_slot_marks_it_and_makes_the_one_hot():
    made = batch()
    made.update({"actions": [[2, 0]]}, bs=1, ts=1)  # neither the slot's axis nor the last is needed
    assert made["actions"][..., 0].tolist() == [[[0, 0]] * 3, [[0, 0], [2, 0], [0, 0]]]
    assert made["actions_onehot"][1, 1].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert not made["actions_onehot"][0].any(), "an unwritten slot has no action, not action 0"
    assert made["filled"][..., 0].tolist() == [[0, 0, 0], [0, 1, 0]]


def test_filled_is_marked_once_asked_and_never_by_constants():
    made = batch()
    made.update({"goal": np.ones((2, 2))})
    made.update({"reward": [[1.0], [2.0]]}, ts=0, mark_filled=False)
    assert made["goal"].all() and not made["filled"].any()
    made.update({"filled": np.zeros((2, 1)), "reward": np.ones((2, 1))}, ts=1)
    assert not made["filled"].any(), "what is given as filled is written after the mark"
    made.update({"reward": np.ones((2, 1)), "filled": 2 * np.ones((2, 1))}, ts=slice(0, 1))
    assert made["filled"][..., 0].tolist() == [[2, 0, 0]] * 2


def test_lists_of_rows_are_written_and_values_cast():
    made = batch(3, 2)
    made.update({"terminated": [[True], [False]], "state": [[1, 2], [3, 4]]}, bs=[2, 0], ts=1)
    assert made["terminated"][:, 1, 0].tolist() == [0, 0, 1]
    assert made["state"][:, 1].tolist() == [[3, 4], [0, 0], [1, 2]]
    made.update({"actions": np.full((3, 2, 2, 1), 1.9)})
    assert (made["actions"] == 1).all()


def test_what_does_not_fit_is_refused_and_what_came_before_it_stays():
    made = batch()
    with pytest.raises(KeyError, match="no field 'rewards'"):
        made.update({"state": np.ones((2, 3, 2)), "rewards": np.ones((2, 3))})
    assert made["state"].all() and made["filled"].all()
    with pytest.raises(ValueError, match=r"reward has the shape \(3, 2\), where \(2, 3, 1\)"):
        made.update({"reward": np.ones((3, 2))})
    with pytest.raises(ValueError, match=r"reward has the shape \(4, 2, 3\)"):
        made.update({"reward": np.ones((4, 2, 3))})
    made.update({"reward": np.ones((1, 2, 3, 1))})
    assert made["reward"].all()
    with pytest.raises(IndexError, match="slots are a number or a slice"):
        made.update({"reward": np.ones((2, 2))}, ts=[0, 1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(IndexError, match=r"actions is between 0 and 2, found 3\.\.3"):
        made.update({"actions": np.full((2, 3, 2), 3)})


def test_names_give_arrays_and_tuples_of_names_the_same_arrays():
    made = batch()
    part = made["reward", "obs", "goal"]
    assert list(part.scheme) == ["reward", "obs", "goal"] and part.groups == GROUPS
    assert (part.batch_size, part.max_seq_length) == (2, 3)
    part.update({"reward": np.ones((2, 3))}, mark_filled=False)
    assert made["reward"].all() and part["goal"] is made["goal"]
    assert made["reward", "state"].groups == {}
    with pytest.raises(KeyError, match="filled"):
        part.max_t_filled()
    with pytest.raises(KeyError, match="rewards"):
        made["rewards"]


def test_slices_are_views_lists_are_copies_and_neither_makes_one_hots():
    made = batch(3, 4)
    view, copy = made[1:, :2], made[[2, 1], 1:4]
    assert (view.batch_size, view.max_seq_length) == (2, 2)
    assert (copy.batch_size, copy.max_seq_length) == (2, 3)
    view.update({"actions": np.full((2, 2, 2), 2)})
    copy.update({"reward": np.ones((2, 3))})
    assert (made["actions"][1:, :2] == 2).all() and not made["actions_onehot"].any()
    assert not made["reward"].any()
    assert made["filled"][..., 0].tolist() == [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0]]
    one = made[2, 0]
    assert one["actions"].shape == (1, 1, 2, 1) and one["goal"].shape == (1, 2, 1)
    assert made[1].batch_size == 1 and made[1].max_seq_length == 4


def test_the_most_slots_filled_counts_and_does_not_look_where():
    made = batch(2, 4)
    made.update({"reward": [[1.0, 1.0]]}, bs=0, ts=slice(0, 2))
    made.update({"reward": [[1.0]]}, bs=1, ts=3)
    assert made.max_t_filled() == 2, "row 1 ends at slot 4, by one slot only"


def test_inserting_goes_round_and_splits_at_the_end():
    buffer = ReplayBuffer(SCHEME, GROUPS, 3, 3, HOT)
    buffer.insert_episode_batch(marked(1, rows=2))
    assert firsts(buffer) == [1.0, 1.1, 0.0]
    assert (buffer.buffer_index, buffer.episodes_in_buffer) == (2, 2)
    assert buffer.can_sample(2) and not buffer.can_sample(3)
    buffer.insert_episode_batch(marked(2, rows=2))
    assert firsts(buffer) == [2.1, 1.1, 2.0]
    assert buffer["goal"][:, 1, 0].tolist() == pytest.approx([2.1, 1.1, 2.0])
    assert (buffer.buffer_index, buffer.episodes_in_buffer) == (1, 3)
    buffer.insert_episode_batch(marked(3, rows=7))
    assert firsts(buffer) == [3.5, 3.6, 3.4]
    assert (buffer.buffer_index, buffer.episodes_in_buffer) == (2, 3)


def test_a_shorter_batch_leaves_the_tail_of_the_row_it_replaces():
    buffer = ReplayBuffer(SCHEME, GROUPS, 1, 3, HOT)
    buffer.insert_episode_batch(marked(1))
    buffer.insert_episode_batch(marked(2, slots=2))
    assert buffer["reward"][0, :, 0].tolist() == [2, 2, 1]
    assert buffer.max_t_filled() == 3, "the old last slot still counts as filled"
    with pytest.raises(ValueError, match="shape"):
        buffer.insert_episode_batch(marked(1, slots=4))


def test_inserting_copies_what_is_filled_and_what_is_not():
    buffer, made = ReplayBuffer(SCHEME, GROUPS, 2, 3, HOT), batch(1)
    made.update({"actions": [[1, 2]]}, ts=0)
    buffer.insert_episode_batch(made)
    made.update({"reward": np.ones((1, 3))})
    assert buffer["filled"][..., 0].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert buffer["actions_onehot"][0, 0].tolist() == [[0, 1, 0], [0, 0, 1]]
    # the row's unwritten slots count as action 0 where the buffer makes them, until the batch's
    # own one-hots, which are none there, overwrite that
    assert not buffer["actions_onehot"][0, 1:].any()


def test_a_sample_is_a_copy_unless_it_is_all_there_is():
    buffer = ReplayBuffer(SCHEME, GROUPS, 4, 3, HOT)
    with pytest.raises(ValueError, match="1 episodes asked for, 0 stored"):
        buffer.sample(1)
    buffer.insert_episode_batch(marked(1, rows=3))
    drawn = buffer.sample(2, rows=[2, 0])
    assert firsts(drawn) == [1.2, 1.0] and drawn["goal"].shape == (2, 2, 1)
    assert (drawn.batch_size, drawn.max_seq_length) == (2, 3)
    drawn.update({"reward": np.zeros((2, 3))})
    assert firsts(buffer) == [1.0, 1.1, 1.2, 0.0]
    buffer.sample(3, rows=[2, 1, 0]).update({"reward": np.zeros((3, 3))})
    assert not buffer["reward"].any(), "all there is comes as a view, whatever rows are asked for"


def test_drawn_rows_are_different_and_stored():
    buffer = ReplayBuffer(SCHEME, GROUPS, 9, 3, HOT)
    buffer.insert_episode_batch(marked(1, rows=5))
    for _ in range(20):
        drawn = firsts(buffer.sample(4))
        assert len(set(drawn)) == 4 and set(drawn) <= {1.0, 1.1, 1.2, 1.3, 1.4}
