"""Ways in which systems of this kind have gone wrong silently, and the tests that would notice."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent

NOTICED: dict[str, tuple[str, ...]] = {
    "one seat's learner is trained on another seat's slots": (
        "algos/test_ppo_updates.py::test_renaming_seats_leaves_the_gradient_of_a_shared_learner",
        "algos/test_ppo_updates.py::test_renaming_seats_leaves_the_gradient_in_double_precision",
        "algos/test_ppo_updates.py::test_an_independent_learner_learns_from_its_own_seat_only",
    ),
    "a seat number leaks into what a player sees": (
        "test_views.py::test_turning_the_seats_changes_labels_and_nothing_else",
    ),
    "slots after a player left are learned from": (
        "algos/test_ppo_updates.py::test_what_the_absent_hold_changes_no_bit_of_an_update",
        "algos/test_ppo_updates.py::test_minibatches_hold_live_rows_only_and_each_at_most_once",
        "test_maths.py::test_what_an_absent_player_holds_cannot_travel_back",
    ),
    "another's departure ends my game, or wipes my memory": (
        "algos/test_ppo.py::test_the_departure_of_another_does_not_end_my_game",
        "test_rollout.py::test_begin_is_told_of_first_contact_and_memory_lasts_for_a_match",
    ),
    "an interruption is stored as an end": (
        "algos/test_ppo.py::test_an_interruption_leaves_the_value_of_playing_on",
        "test_rollout.py::test_a_truncated_episode_has_one_slot_that_only_shows",
    ),
    "a game's own end is taken for an interruption": (
        "algos/test_ppo.py::test_an_end_leaves_nothing",
        "algos/test_ppo.py::test_a_reward_is_worth_gamma_a_slot_and_nothing_after_the_end_counts",
    ),
    "returns are off by one": (
        "test_maths.py::test_lambda_returns_by_hand",
        "test_maths.py::test_scan_equals_the_obvious_loop",
    ),
    "a forbidden action is chosen, or a player with none goes unnoticed": (
        "algos/test_ppo.py::test_only_legal_actions_are_chosen_whatever_the_logits",
        "algos/test_ppo.py::test_a_player_without_a_legal_action_stops_the_training",
        "evaluate/test_returns.py::test_a_player_without_a_legal_action_stops_the_evaluation",
        "test_maths.py::test_with_nothing_legal_values_are_finite_and_gradients_zero",
        "test_masks.py::test_forbidden_moves_have_no_probability_and_no_gradient",
        "test_masks.py::test_on_a_walk_legal_moves_do_what_they_say_and_others_nothing",
    ),
    "JAX clamps an index that is out of range, so a stray action passes for another": (
        "test_masks.py::test_an_answer_that_is_no_legal_move_is_refused_by_name",
    ),
    "what does not fit on a board is left out or squeezed in": (
        "envs/test_obstacles.py::test_what_cannot_fit_is_refused",
        "envs/test_obstacles.py::test_a_game_whose_layouts_would_be_filled_by_rows_is_refused",
        "envs/test_contract.py::test_what_cannot_be_made_is_explained",
    ),
    "two runs write into one directory": (
        "test_runs.py::test_of_two_that_begin_at_once_one_gets_the_folder",
        "test_runs.py::test_folders_made_in_the_same_instant_are_never_shared",
        "test_runs.py::test_a_run_that_is_there_is_refused_and_left_as_it_is",
    ),
    "a resumed training is another one than it was": (
        "runs/test_resume.py::test_half_and_half_are_the_whole",
        "runs/test_kills.py::test_killed_at_random_moments_they_end_as_if_undisturbed",
    ),
    "a damaged checkpoint is loaded, or one that was not written is called saved": (
        "runs/test_checkpoints.py::test_every_flipped_bit_is_noticed",
        "runs/test_checkpoints.py::test_every_cut_is_noticed",
        "runs/test_disk_full.py::test_a_disk_that_is_full_at_any_write_leaves_the_one_before",
    ),
    "a NaN spreads from one game to every parameter": (
        "algos/test_guards.py::test_with_stop_not_a_bit_is_learnt_and_the_place_is_named",
        "algos/test_guards.py::test_a_loss_that_is_not_finite_moves_nobody_and_the_learner_is_named",
    ),
    "a recurrent net is unrolled from another memory than it acted with": (
        "algos/test_ppo_memory.py::test_unrolling_a_chunk_repeats_what_was_thought_when_acting",
        "algos/test_ppo_memory.py::test_what_was_seen_before_first_contact_is_forgotten",
    ),
    "devices average unequal parts as if they were equal": (
        "algos/test_ppo_updates.py::test_lanes_on_two_devices_learn_as_on_one",
    ),
    "results of one opponent are reported under another's name": (
        "evaluate/test_returns.py::test_lanes_of_two_devices_come_back_under_their_label",
        "test_seats.py::test_the_number_of_a_bank_member_follows_its_parameters",
        "test_rollout.py::test_numbers_follow_the_members_of_a_bank_through_a_new_deal",
        "test_pools.py::test_a_run_plays_with_the_network_of_its_seat",
        "evaluate/test_rows.py::test_who_sat_there_is_who_was_paid",
        "evaluate/test_cross.py::test_parts_make_the_same_matrix",
    ),
    "short episodes are counted more often than long ones": (
        "evaluate/test_returns.py::test_short_games_are_not_favoured",
    ),
    "what is inferred is written to one slot only, or over what came since": (
        "models/test_events_played.py::test_every_slot_of_a_filled_batch_gets_its_label",
        "models/test_events_played.py::test_slots_that_were_written_over_since_are_left_alone",
    ),
    "who never reaches a goal is dropped from the training of goal models": (
        "models/test_events_played.py::"
        "test_a_lone_stag_hunter_is_seen_hunting_though_it_never_succeeds",
    ),
    "a model of others learns from moves that they did not make": (
        "algos/test_goal_ppo.py::test_what_the_absent_hold_changes_neither_loss_nor_gradient",
        "algos/test_naive_om.py::test_nothing_of_the_absent_is_read",
        "algos/test_liam.py::test_nothing_of_the_absent_is_read",
        "algos/test_moa.py::test_nothing_of_the_absent_is_read",
        "models/test_conditioned.py::test_absent_rows_have_exactly_no_gradient",
    ),
    "what is told of the others is averaged, so that two who hunt pass for one": (
        "models/test_conditioned.py::test_how_many_want_a_thing_is_told_apart",
        "models/test_world_learns.py::test_two_who_hunt_are_not_one_who_hunts",
    ),
    "imagined games go on when they are over, or hold moves that nobody can make": (
        "planning/test_latent.py::"
        "test_departure_ends_what_can_be_earned_and_imagined_moves_obey_the_rules",
        "planning/test_latent.py::test_illegal_moves_are_never_chosen",
        "planning/test_tree.py::test_what_is_illegal_is_never_chosen_nor_imagined",
        "planning/test_tree.py::test_where_i_have_left_nothing_follows",
        "algos/test_dreaming.py::test_dreams_begin_where_somebody_was_and_hold_legal_moves",
    ),
    "a small error hides boards that cannot be, and those many moves ahead are never looked at": (
        "bench/test_world_bench.py::test_it_tells_shares_by_moves_ahead",
        "algos/test_mind.py::test_the_world_is_known",
        "models/test_world_loss.py::test_longer_dreams_start_from_each_so_manieth_slot",
    ),
    "a model that is wrong plans all the same, or a policy learns in it": (
        "algos/test_counterplay.py::test_trust_follows_what_plans_were_worth",
        "algos/test_dreaming.py::test_nothing_is_dreamt_in_a_world_that_is_not_known",
        "algos/test_dreaming.py::"
        "test_where_nothing_is_dreamt_nothing_moves_not_even_by_its_momentum",
    ),
    "who plans never tries another move": (
        "algos/test_counterplay.py::"
        "test_trusted_plans_tilt_the_policy_and_every_legal_move_stays_possible",
        "algos/test_dqn.py::test_exploration_falls_in_a_line_and_stays",
    ),
    "what a search costs is not told": (
        "planning/test_planned_eval.py::test_simulator_calls_are_counted",
        "bench/test_planning_bench.py::test_a_row_tells_its_speed",
    ),
    "every call compiles anew": (
        "algos/test_ppo.py::test_nothing_is_compiled_after_warming_up",
        "evaluate/test_cross.py::"
        "test_a_second_matrix_of_networks_of_the_same_shapes_compiles_nothing",
    ),
}


@pytest.mark.parametrize("tests", NOTICED.values(), ids=NOTICED)
def test_the_tests_that_would_notice_are_there(tests):
    for test in tests:
        path, name = test.split("::")
        tree = ast.parse((HERE / path).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in defined, f"{path} has no {name}"
