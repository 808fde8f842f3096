"""The behaviours of tws-protocol.md section 0b, in its order, each with the tests that pin it.

A mark says how the behaviour itself is known, not how well it is done here. The coverage page is
made from this table, and refuses a test that does not exist.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Mark(StrEnum):
    """How a behaviour of TWS is known."""

    VERIFIED = "verified"
    DOCUMENTED = "documented"
    OBSERVED = "observed"
    ASSUMED = "assumed"


V: Final = Mark.VERIFIED
D: Final = Mark.DOCUMENTED
O: Final = Mark.OBSERVED  # noqa: E741 - the letters are those of the specification
A: Final = Mark.ASSUMED


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour: what it is, how it is known, what pins it, what of it is not there."""

    text: str
    marks: tuple[Mark, ...]
    tests: tuple[str, ...]
    lacks: str = ""


BEHAVIOURS: Final = (
    Behaviour(
        "An order on a dying socket may or may not arrive",
        (V, O),
        (
            "test_an_order_in_flight_arrives_or_is_lost_when_its_client_has_died",
            "test_an_order_lost_in_flight_leaves_no_trace_and_its_id_is_given_again",
        ),
    ),
    Behaviour(
        "orderRef is echoed and never de-duplicated",
        (V, D),
        (
            "test_an_order_gets_a_perm_id_and_the_account_and_keeps_its_reference",
            "test_the_same_reference_twice_makes_two_orders",
        ),
    ),
    Behaviour(
        "Fills while away are told only to reqExecutions",
        (V, O),
        (
            "test_the_books_outlive_the_client",
            "test_a_fill_in_a_lost_window_is_known_to_reqexecutions_alone",
        ),
    ),
    Behaviour(
        "reqExecutions tells the executions since midnight with their commissions",
        (D, V, A),
        (
            "test_midnight_in_new_york_and_not_elsewhere_empties_the_days_lists",
            "test_a_filter_lets_through_what_it_names",
        ),
    ),
    Behaviour(
        "permId is stable, orderId is per client and can recur",
        (D, O),
        (
            "test_the_same_id_of_another_client_is_another_order",
            "test_orders_are_found_by_client_and_id_and_by_perm_id",
        ),
    ),
    Behaviour(
        "nextValidId counts received orders and can roll back",
        (O,),
        (
            "test_next_order_id_counts_only_what_was_received_and_for_each_client",
            "test_next_valid_id_can_roll_back_and_the_ids_are_handed_out_again",
            "test_an_order_lost_in_flight_leaves_no_trace_and_its_id_is_given_again",
        ),
    ),
    Behaviour(
        "The same live id is a modify, any used id is 103",
        (V, O),
        (
            "test_the_same_id_of_a_live_order_modifies_it",
            "test_the_id_of_a_cancelled_or_refused_order_is_used",
            "test_a_used_order_id_is_refused_with_103",
        ),
    ),
    Behaviour(
        "Who sees which orders",
        (D, O),
        (
            "test_another_client_sees_all_orders_and_may_touch_none",
            "test_a_manual_order_is_client_0_with_order_id_0_and_there_can_be_many",
        ),
    ),
    Behaviour(
        "Another client cannot modify or cancel (10147), a global cancel reaches all",
        (O,),
        (
            "test_a_cancel_of_another_clients_order_is_10147",
            "test_a_global_cancel_reaches_every_clients_orders",
        ),
    ),
    Behaviour(
        "326 while the old socket is held, with a release delay",
        (V, O),
        (
            "test_a_client_id_in_use_gets_326_and_is_free_after_a_disconnect",
            "test_a_client_id_stays_taken_until_its_time_is_over",
        ),
    ),
    Behaviour(
        "Cancel races, with 10148 decaying to 10147",
        (O,),
        (
            "test_an_order_may_fill_while_its_cancel_is_in_flight",
            "test_a_cancel_after_the_fill_is_10148_and_decays_to_10147",
        ),
    ),
    Behaviour(
        "The recorded order of fill messages; commissions come late",
        (O,),
        (
            "test_a_fill_is_reported_as_fill_order_commission_position",
            "test_a_commission_comes_late_or_never",
        ),
    ),
    Behaviour(
        "orderStatus may be missing or duplicated",
        (D, O),
        ("test_a_reply_is_dropped_duplicated_and_delayed",),
    ),
    Behaviour(
        "Partial fills keep the status name, totals run",
        (D, O),
        (
            "test_a_partial_fill_keeps_the_status_name_and_moves_the_numbers",
            "test_an_execution_carries_running_totals_and_an_id_of_its_own",
        ),
    ),
    Behaviour(
        "Position and portfolio lag the fill",
        (O, A),
        ("test_a_position_is_told_after_its_fill_and_not_before", "test_positions_lag_the_fill"),
    ),
    Behaviour(
        "transmit=0 legs live in TWS only and die with it",
        (D, O),
        (
            "test_legs_without_transmit_wait_unseen_for_their_family",
            "test_legs_that_wait_for_their_family_die_with_the_gateway_and_their_ids_stay_used",
        ),
    ),
    Behaviour(
        "Children wait for their parent and go with it; a missing parent is 135",
        (O,),
        (
            "test_children_wait_as_presubmitted_children_until_the_parent_fills",
            "test_a_cancelled_parent_takes_its_waiting_children_along",
            "test_a_child_of_an_unknown_or_finished_parent_is_135",
        ),
    ),
    Behaviour(
        "Stops stay PreSubmitted until triggered; GTC lives on, DAY expires with 202",
        (D, O),
        (
            "test_a_stop_stays_presubmitted_until_the_path_touches_it_and_fills_there",
            "test_day_orders_expire_with_202_at_the_close_and_gtc_orders_live_on",
        ),
    ),
    Behaviour(
        "1100 leaves the socket up; orders are lost, queued or doubled; 1101 or 1102 follows",
        (D, O),
        (
            "test_lost_connectivity_queues_orders_and_1101_ends_subscriptions",
            "test_an_order_queued_without_connectivity_is_taken_at_the_end",
        ),
    ),
    Behaviour(
        "Gateway restart: RST, port refused, the last second's orders are gone",
        (O,),
        (
            "test_a_gateway_restart_resets_refuses_and_loses_the_last_second",
            "test_a_restart_at_once_loses_the_last_second_and_keeps_what_has_filled",
        ),
    ),
    Behaviour(
        "Some placements get no callback at all",
        (O,),
        ("test_an_order_without_any_callback_stays_pending_for_ever",),
    ),
    Behaviour(
        "completedOrder covers the current day and has no order id",
        (O,),
        (
            "test_completed_orders_come_in_the_order_of_their_end",
            "test_completed_orders_tell_no_fills",
        ),
    ),
    Behaviour(
        "Open orders may be pushed unasked on connect",
        (O, A),
        ("test_connect_runs_the_whole_start_up_exchange",),
    ),
    Behaviour(
        "A reject is 201 with Inactive or Cancelled; Inactive is not final",
        (O,),
        (
            "test_an_order_beyond_the_margin_is_rejected_with_201_and_becomes_inactive",
            "test_inactive_is_not_final_a_short_sale_works_once_shares_are_located",
        ),
    ),
    Behaviour(
        "A modify during a loss of connectivity can leave two live orders",
        (O,),
        ("test_a_modify_can_leave_two_live_orders_with_two_perm_ids",),
    ),
    Behaviour(
        "Executions are corrected under the same id with a higher suffix",
        (D, A),
        (
            "test_a_correction_has_the_same_id_with_the_last_part_raised_and_replaces",
            "test_a_corrected_execution_is_counted_twice_by_the_client_and_once_by_the_books",
            "test_corrections_as_differences_add_up_to_the_books",
        ),
    ),
    Behaviour(
        "OCA types 1, 2 and 3; type 3 can overfill",
        (D, A),
        (
            "test_an_oca_group_cancels_or_reduces_the_rest",
            "test_oca_type_3_can_overfill_within_one_bar_and_not_beyond_it",
            "test_oca_types_with_block_never_overfill",
        ),
    ),
    Behaviour(
        "More than 50 messages a second: error 100, then a cut",
        (D, O),
        ("test_too_many_messages_in_a_second_get_error_100_and_then_a_cut",),
    ),
)
