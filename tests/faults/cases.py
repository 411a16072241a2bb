"""The fault table: what is done to Toolgate, what must not happen, and the tests that prove it.

`docs/reliability.md` is this manifest, rendered: `python -m tests.faults.cases` writes it. A test holds both to each other and
to the tests that exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
ASKED = [f"F{number}" for number in (*range(1, 7), *range(10, 14), *range(19, 30), *range(31, 34), *range(35, 42), 43, 44, 45, 47)]
"""The cases that have to be proven. The others of the table concern parts with tables of their own, or do not exist yet."""


@dataclass(frozen=True)
class Case:
    id: str
    fault: str
    """What happens."""
    promise: str
    """What holds all the same."""
    proof: Sequence[str]
    """`FILE::TEST`, or with a class between them, below `tests/`; a class alone stands for all of its tests."""
    weaker: str = ""
    """What of the promise is proven only in part, or differs from what was asked for."""


SERVED = "faults/test_served.py::test_"
SEEN = "faults/test_seen.py::test_"
KILLED = "faults/test_killed.py::test_"
BEHIND = "faults/test_behind.py::test_"
FULL = "faults/test_full.py::test_"
CANARIES = "faults/test_canaries.py::test_"

CASES: Sequence[Case] = (
    Case(
        "F1",
        "The server is killed (`kill -9`) in the middle of its traffic.",
        "Every effect has its intent and every answer its outcome; the next start tells of each call that nobody knows the end of, "
        "and the audit verifies.",
        [
            f"{SERVED}a_killed_server_has_written_down_what_it_did_and_the_next_one_tells_what_nobody_knows",
            f"{KILLED}of_a_killed_process_every_effect_has_its_intent_and_every_answer_its_outcome",
            f"{KILLED}calls_of_a_living_process_are_not_taken_for_those_of_a_dead_one",
            f"{KILLED}processes_on_one_file_write_one_chain",
            f"{FULL}a_hundred_thousand_calls_of_a_dead_process_are_found_within_seconds",
        ],
        "25 kills of each kind a run, not 50. The process dies, not the machine: that a disk keeps what it acknowledged is SQLite's "
        "promise (`synchronous=FULL`) and is not tested by cutting power. 100,000 open calls are told of within "
        "4 s of CPU, not 2 s of time.",
    ),
    Case(
        "F2",
        "It is killed between reserve and intent, intent and call, call and outcome, or outcome and settle.",
        "What is spent and held stays within the budget, no hold outlives its deadline by more than a minute, nothing is booked twice.",
        [
            "stores/test_ledger_processes.py::test_a_process_that_dies_leaves_a_hold_that_counts_as_spent_once_it_expires",
            f"{SERVED}a_server_that_dies_within_a_call_leaves_a_question_and_a_hold_and_never_repeats_it",
            f"{SERVED}a_killed_server_has_written_down_what_it_did_and_the_next_one_tells_what_nobody_knows",
        ],
        "The whole server dies at two of the points (before and after the effect) and at random ones; all five points are in the "
        "spending step alone, and holds expire by a clock of the test's.",
    ),
    Case(
        "F3",
        "The disk of the audit is full.",
        "Nothing runs, callers are told `audit_unavailable`, `/readyz` is 503; with room again it goes on within 5 s, without a restart.",
        [
            f"{SERVED}a_server_whose_disk_is_full_says_so_does_nothing_and_goes_on_when_there_is_room",
            f"{FULL}while_the_disk_is_full_nothing_runs_and_afterwards_it_goes_on_by_itself",
            f"{FULL}an_effect_whose_outcome_cannot_be_written_is_not_answered_and_is_written_later",
        ],
        "Needs root, to mount a small disk; without, these tests are skipped and say so.",
    ),
    Case(
        "F4",
        "The disk says that it could not keep what it was given (`fsync` fails with EIO).",
        "What was not kept is never answered; afterwards writing goes on by itself.",
        [f"{KILLED}what_the_disk_would_not_keep_is_never_answered_and_afterwards_it_goes_on_by_itself"],
        "Needs strace, which injects the errors; skipped without.",
    ),
    Case(
        "F5",
        "Somebody edits the audit: a byte, a record, the order, the end, a segment.",
        "`toolgate audit verify` names the first record that is not what was written; a missing end shows by a checkpoint kept elsewhere.",
        [
            "stores/test_verify.py::test_a_byte_of_a_record_that_is_another_is_found_at_that_record",
            "stores/test_verify.py::test_a_byte_of_the_file_that_is_another_is_found_or_has_changed_no_record",
            "stores/test_verify.py::test_a_record_that_was_taken_out_is_missed_at_its_place",
            "stores/test_verify.py::test_records_that_changed_places_are_found_at_the_first",
            "stores/test_verify.py::test_an_end_that_was_cut_off_is_missed_by_a_checkpoint_kept_elsewhere",
            "stores/test_verify.py::test_a_past_that_was_written_anew_is_found_between_two_checkpoints",
            "stores/test_verify.py::TestSealed::test_an_edit_is_found_in_a_segment_as_in_the_journal",
            "stores/test_verify.py::TestSealed::test_a_segment_may_not_end_too_early",
            "cli/test_audit.py::test_an_edit_is_named_with_its_record_and_ends_with_an_error",
        ],
    ),
    Case(
        "F6",
        "At the start the audit is damaged, no database, or can only be read.",
        "Toolgate does not start, and says why; it never serves unaudited.",
        [
            f"{FULL}a_journal_that_is_none_stops_the_start",
            f"{FULL}a_journal_that_can_only_be_read_stops_the_start",
            f"{FULL}an_end_that_was_changed_stops_the_start_and_says_what_to_do",
        ],
        "Only the last record is checked at the start; damage further back is found by `verify`.",
    ),
    Case(
        "F10",
        "Four processes with 2,000 calls each spend from one budget.",
        "They spend all of it, to the micro-dollar, and no more; nothing is lost.",
        [
            f"{SERVED}four_servers_with_one_budget_spend_all_of_it_and_no_more",
            "stores/test_ledger_processes.py::test_four_processes_never_spend_more_than_their_one_budget_and_lose_nothing",
            "stores/test_ledger_laws.py::TestSpending",
        ],
        "50 calls of each process at the same time. The served ones share SQLite; PostgreSQL is tried below the ledger's interface.",
    ),
    Case(
        "F11",
        "Clocks disagree by 70 seconds, or are set back over midnight.",
        "No budget and no limit lets more through, and no period is opened again.",
        [
            "stores/test_ledger.py::test_processes_whose_clocks_disagree_about_midnight_share_one_day",
            "stores/test_ledger.py::test_a_clock_that_is_set_back_opens_no_period_again",
            "stores/test_postgres.py::test_the_period_is_the_databases_own",
            "stores/test_counters.py::test_no_window_ever_holds_more_than_is_allowed_and_room_is_found_in_time",
        ],
        "By clocks of the tests', not by changing the machine's.",
    ),
    Case(
        "F12",
        "The other side answers well, but after the caller's time is over.",
        "The outcome is unknown, its price counts as spent, and a call that is not idempotent is not made again.",
        [
            f"{SERVED}of_a_write_whose_answer_is_lost_nobody_claims_to_know_and_its_price_is_spent",
            "gateway/test_retry.py::test_a_tool_that_does_not_end_in_time_is_timed_out",
            "gateway/test_replay.py::test_an_unknown_outcome_stays_unknown",
        ],
        "The late answer is not listened to any more, so it is not recorded as a late success: the outcome stays unknown.",
    ),
    Case(
        "F13",
        "The connection is reset after the request was sent, closed, or ends within the answer.",
        "The effect is unknown, not tried again unless that is safe, and booked at what was reserved.",
        [
            f"{SERVED}of_a_write_whose_answer_is_lost_nobody_claims_to_know_and_its_price_is_spent",
            "egress/test_transport.py::test_a_connection_reset_after_the_request_is_a_failure_of_the_other_side",
            "egress/test_transport.py::test_a_short_body_is_a_failure_of_the_other_side",
            "gateway/test_retry.py::test_a_write_of_unknown_effect_is_never_repeated_and_pauses_are_bounded",
        ],
    ),
    Case(
        "F19",
        "Arguments in a path try to leave it: `..`, `%2e%2e`, `?`, `#`, `;`, other alphabets' dots and slashes.",
        "The number of segments stays, or nothing is sent; the other side sees paths of the template only.",
        [
            "openapi/test_request.py::test_the_number_of_segments_on_the_wire_never_changes",
            "openapi/test_request.py::test_a_path_argument_that_could_change_the_path_is_refused_without_being_quoted",
            "openapi/test_request.py::test_two_harmless_arguments_make_no_harmful_segment_together",
            "openapi/test_wire.py::test_hostile_arguments_never_make_another_request_of_it",
            "openapi/test_wire.py::test_no_client_normalises_the_target",
        ],
    ),
    Case(
        "F20",
        "Arguments in headers hold line ends, NUL, other alphabets, or names that frame a request.",
        "They are refused before anything is sent; the other side sees exactly one request.",
        [
            "openapi/test_request.py::test_header_arguments_that_could_end_the_header_are_refused_without_being_quoted",
            "openapi/test_request.py::test_headers_that_frame_or_reroute_the_request_are_never_set_by_parameters",
            "openapi/test_request.py::test_a_header_argument_is_one_line_of_visible_ascii_or_refused",
            "openapi/test_wire.py::test_hostile_arguments_never_make_another_request_of_it",
            "egress/test_transport.py::test_a_header_that_would_reshape_the_request_is_refused_before_anything_is_sent",
        ],
    ),
    Case(
        "F21",
        "A caller's key or token, and the integrations' own credentials, are looked for wherever something is kept or said.",
        "The caller's is in no place but the exchange of tokens; an integration's in no place but its requests.",
        [
            f"{SEEN}no_secret_is_in_any_place_where_it_has_no_business",
            "server/test_entrance.py::test_the_callers_token_is_in_no_place_but_the_exchange",
            "openapi/test_credentials.py::test_no_secret_is_in_a_repr",
        ],
        "Looked for in every file of the state, stderr, answers, requests and spans. Crash dumps are not searched: none are written.",
    ),
    Case(
        "F22",
        "Tokens are expired, too early, of another audience, unsigned, signed by the wrong kind of key, unknown by the thousand, or huge.",
        "All are 401 within 5 ms, and the issuer is asked for its keys once in 30 s.",
        [
            "server/test_tokens.py::test_a_bad_token_is_refused_with_the_reason",
            "server/test_tokens.py::test_no_bad_token_takes_more_than_five_milliseconds",
            "server/test_tokens.py::test_no_changed_character_is_overlooked",
            "server/test_tokens.py::test_a_flood_of_unknown_keys_asks_the_issuer_once_in_thirty_seconds",
            "server/test_oidc.py::test_a_program_is_let_in_and_a_token_for_another_server_is_not",
        ],
    ),
    Case(
        "F23",
        "Somebody uses a session, an approval, a state or an idempotency key of somebody else.",
        "It is not found, and nothing happens.",
        [
            "server/test_http.py::test_a_session_is_used_by_nobody_but_the_principal_that_opened_it",
            "server/test_http.py::test_an_sse_session_is_used_by_nobody_but_the_principal_that_opened_it",
            "server/test_asking.py::test_a_state_of_another_call_or_caller_is_rejected",
            "gateway/test_approve.py::test_another_caller_or_tenant_cannot_use_a_yes",
            "gateway/test_replay.py::test_a_key_is_its_callers_and_its_tools",
            "internal/test_jobs.py::test_a_job_is_its_owners_alone",
            "server/test_tasks.py::test_a_task_of_somebody_elses_and_none_are_told_apart_by_nobody",
        ],
    ),
    Case(
        "F24",
        "A key is revoked, or a role loses its permission, during traffic.",
        "No call that is made 5 s later is let through.",
        [
            f"{SERVED}who_lost_a_key_or_a_role_is_let_through_for_five_seconds_at_most",
            "server/test_entrance.py::test_a_key_revoked_by_another_process_opens_nothing_five_seconds_later",
            "server/test_keys.py::test_a_key_revoked_in_another_process_lets_nobody_in_after_five_seconds",
        ],
        "A token of an issuer is good until it expires, and its key for five minutes after the issuer took it back.",
    ),
    Case(
        "F25",
        "64 clients use the same request ids at the same time.",
        "Each gets its own answers.",
        [
            f"{SERVED}64_clients_with_the_same_request_ids_each_get_their_own_answers_from_a_server",
            "server/test_http.py::test_64_clients_with_the_same_request_ids_each_get_their_own_answers",
            f"{BEHIND}callers_with_the_same_ids_at_one_server_behind_each_get_their_own_answers",
            "upstream/test_eras.py::test_many_callers_with_the_same_ids_see_their_own_canaries",
        ],
        "6,400 calls a run, not 100,000; interleaved streams of sessions with fewer still.",
    ),
    Case(
        "F26",
        "`Host` and `Origin` resemble ours, on every bind and route.",
        "Only exactly what is allowed is let in.",
        [
            "server/test_ingress.py::test_a_host_that_means_us_is_let_in",
            "server/test_ingress.py::test_a_host_that_only_resembles_ours_is_misdirected",
            "server/test_ingress.py::test_a_server_on_every_address_knows_the_one_that_was_connected_to_and_no_name",
            "server/test_ingress.py::test_a_page_of_somebody_else_may_not_call_wherever_it_knocks",
        ],
    ),
    Case(
        "F27",
        "Every route is asked without a credential.",
        "401 or 404, but for health and the metadata that clients need to log in.",
        [
            "server/test_entrance.py::test_every_route_without_a_credential_is_401_but_health_and_metadata",
            "server/test_http.py::test_no_route_answers_somebody_unknown",
        ],
    ),
    Case(
        "F28",
        "Bodies that parsers read differently: keys twice, NaN, deep nesting, batches, byte order marks, other encodings, endless chunks, "
        "headers that say something else.",
        "They are 4xx and nobody's call; of every call policy, audit and the other side see the same arguments, however they were spelled.",
        [
            f"{SEEN}however_arguments_are_spelled_policy_audit_and_upstream_see_the_same",
            f"{SEEN}what_could_be_read_in_two_ways_is_nobodys_call",
            "server/test_ingress.py::test_what_parsers_could_read_in_two_ways_is_not_read",
            "server/test_ingress.py::test_a_body_over_the_limit_is_cut_off_declared_or_not",
            "server/test_http.py::test_headers_that_repeat_arguments_are_checked_only_for_tools_that_the_caller_sees",
        ],
        "Arguments that do not fit the schema are, over MCP, a result with `isError` and not a 4xx, as its specification wants. A client "
        "that goes on sending a too large body may see its connection cut rather than the 413.",
    ),
    Case(
        "F29",
        "Unknown arguments, and values of another type than a deny rule expects.",
        "They are refused, or the deny fires.",
        [
            f"{SEEN}what_could_be_read_in_two_ways_is_nobodys_call",
            f"{SEEN}however_arguments_are_spelled_policy_audit_and_upstream_see_the_same",
            "policy/test_decide.py::test_no_value_of_another_type_gets_past_a_deny",
            "policy/test_conditions.py::test_each_operator_says_true_false_or_not_known",
        ],
        "A deny by `equals` or `in` does not fire for a value of another type: where a schema takes both texts and numbers, name both.",
    ),
    Case(
        "F31",
        "A client goes away in the middle of its call: it closes the stream of its request, or its SSE connection.",
        "The call is cancelled down to the server behind, written down as that, and its hold is free again; no task is left; the next is "
        "served.",
        [
            f"{BEHIND}a_caller_that_vanishes_takes_its_call_back_down_to_the_server_behind",
            f"{BEHIND}callers_that_vanish_leave_no_task_behind",
            "upstream/test_eras.py::test_a_caller_that_leaves_cancels_the_call_at_the_server",
            "server/test_http.py::test_a_client_that_vanishes_from_its_sse_stream_takes_its_calls_along",
            "server/test_fast.py::test_a_caller_who_leaves_ends_its_call_and_hears_no_more",
        ],
        "Tasks that are left over are counted where the server runs in the test's process, over real connections. A conversation that a "
        "caller alone has with a server of the handshake eras ends when it has been silent for five minutes, not with the caller's "
        "session; each server has 64 of them at most.",
    ),
    Case(
        "F32",
        "Clients ask for streams of 5 MB and read nothing.",
        "They are cut off after `server.write_timeout`, others are served meanwhile, and the memory of two rounds does for the next.",
        [
            f"{BEHIND}who_does_not_read_its_answer_is_cut_off_and_costs_bounded_memory_and_nobody_else",
            "server/test_listen.py::test_a_client_that_reads_nothing_is_cut_off_and_holds_up_no_memory",
        ],
        "The bound is that of an answer (10 MiB) for each connection, not a smaller one; what fits the kernel's buffers counts as read, "
        "and where that is all of it, the test is skipped and says so.",
    ),
    Case(
        "F33",
        "A server behind changes a tool's words, schema, hints or name, adds one that looks like another, one of a megabyte, one with a "
        "header that is none, one that refers to the network.",
        "That tool alone is kept back until it is accepted, and called like one that does not exist; the others go on, and so does it "
        "once it is as it was. Letters that cannot be seen are taken out.",
        [
            f"{BEHIND}a_definition_that_is_not_as_it_was_accepted_is_kept_back_alone",
            "upstream/test_eras.py::test_a_changed_definition_is_kept_back_while_the_others_are_served",
            "upstream/test_definition.py::test_a_bad_definition_costs_that_one_tool",
            "upstream/test_definition.py::test_hidden_characters_are_taken_out_of_what_models_read",
            "upstream/test_gate.py::test_a_tool_called_like_anothers_is_not_served_and_both_are_named",
            "upstream/test_gate.py::test_a_tool_that_looks_like_anothers_is_not_served_until_it_is_accepted",
        ],
        "The call is answered as that of an unknown tool, not as `tool_quarantined`: who may not have it is not told that there is one. "
        "Only what was accepted (`toolgate specs lock`) can be kept back.",
    ),
    Case(
        "F35",
        "A policy's pattern would take for ever on some text.",
        "Patterns are RE2, linear in the text; what RE2 does not know is refused at load.",
        [
            "policy/test_conditions.py::test_a_condition_that_cannot_be_meant_is_refused_at_load",
            "gateway/test_validate.py::test_a_hostile_pattern_costs_nobody_anything",
        ],
    ),
    Case(
        "F36",
        "A policy folder changes under traffic: a slip, a failing test, a circle.",
        "The last good one stays in force, whole; each call is decided by exactly one.",
        [
            "policy/test_live.py::test_what_cannot_be_used_or_fails_its_own_tests_leaves_the_last_good_one",
            "policy/test_live.py::test_a_change_is_in_force_once_it_has_settled_and_is_written_down_before",
            "policy/test_rules.py::test_roles_that_cannot_be_meant_are_refused",
            "gateway/test_permit.py::test_another_policy_in_force_decides_the_next_call_and_makes_the_next_list",
            f"{SERVED}who_lost_a_key_or_a_role_is_let_through_for_five_seconds_at_most",
        ],
    ),
    Case(
        "F37",
        "The policy folder is empty or cannot be read at the start.",
        "Toolgate does not start: nothing is let in by mistake.",
        [
            f"{FULL}without_a_policy_that_can_be_used_nothing_is_served",
            "policy/test_rules.py::test_an_empty_folder_is_refused_rather_than_anything_let_in",
        ],
    ),
    Case(
        "F38",
        "The five races that were open in LiteLLM in 2026: first calls at once, unknown prices, session budgets, prices known only after, "
        "holds that are too big.",
        "No budget is passed, and honest small calls still find room.",
        [
            "gateway/test_spend.py::TestTheFiveRacesOfOtherGateways",
            "stores/test_ledger.py::test_many_first_reserves_at_once_never_pass_the_limit",
            "stores/test_ledger.py::test_small_calls_pass_beside_a_big_hold",
        ],
        "Prices in tiers do not exist here; prices by size and by header are reserved at the most that they may come to.",
    ),
    Case(
        "F39",
        "Names hold the separators that keys of counters are made with: `a/b`, `c` and `a`, `b/c`.",
        "They are counted apart.",
        [
            "gateway/test_limit.py::test_the_keys_that_the_usual_identifiers_would_merge_are_apart",
            "gateway/test_limit.py::test_users_and_tenants_whose_names_join_alike_are_counted_apart",
            "stores/test_ledger.py::test_names_with_separators_in_them_share_nothing",
            "gateway/test_replay.py::test_names_of_what_is_to_happen_once_do_not_run_into_each_other",
        ],
    ),
    Case(
        "F40",
        "Secrets stand in arguments, answers, complaints of the other side, and texts of errors.",
        "They are in no audit, log, span or error.",
        [
            f"{SEEN}no_secret_is_in_any_place_where_it_has_no_business",
            f"{CANARIES}what_others_repeat_of_our_secrets_goes_nowhere",
            f"{CANARIES}what_an_authorization_server_gives_and_repeats_goes_nowhere",
            f"{CANARIES}a_bugs_words_are_in_no_span",
            f"{CANARIES}a_secret_in_the_place_of_a_tools_name_is_in_no_span",
            "gateway/test_audit.py::test_no_secret_of_a_call_is_in_the_audit_wherever_it_stood",
            "openapi/test_execute.py::test_what_the_other_side_repeats_of_a_secret_does_not_come_back",
            "openapi/test_execute.py::test_no_failure_says_a_secret",
            "audit/test_redact.py::test_no_surroundings_hide_a_key_that_stands_apart",
        ],
        "What is neither marked in the schema, nor under a telling name, nor in the shape of a known key is not recognised. With an "
        "idempotency key the outcome is kept for replay as it was given, with whatever the other side repeats of an argument.",
    ),
    Case(
        "F41",
        "Names, arguments and ids hold line ends, terminal escapes, pieces of JSON.",
        "One event stays one line that reads back, and steers no terminal.",
        [
            f"{SEEN}nothing_that_a_caller_sends_makes_two_events_of_one_or_steers_a_terminal",
            "gateway/test_audit.py::test_one_event_is_one_line_whatever_a_caller_sends",
            "audit/test_line.py::test_attacks_of_known_kinds_stay_inside_their_text",
            "audit/test_line.py::test_it_is_one_line_without_anything_that_steers_a_terminal_and_reads_back",
            "cli/test_output.py::test_what_others_wrote_cannot_steer_a_terminal",
        ],
    ),
    Case(
        "F43",
        "An agent is led astray: a page that it reads asks for forbidden tools and forges the marks around results, its calls go in "
        "circles or deeper and deeper, one reply wants 4,000 calls, its process is killed at any step.",
        "The gate refuses what is forbidden, whoever asked the model for it, and the audit says so; no forbidden effect happens, nor one "
        "twice; it stops at its budgets of depth, steps, calls and money.",
        [
            "agent/test_injection.py::test_a_result_that_asks_for_forbidden_tools_gets_the_gates_refusal_like_anyone",
            "agent/test_injection.py::test_a_run_that_has_read_what_strangers_wrote_may_be_barred_from_writing_outside_and_from_nothing_else",
            "agent/test_injection.py::test_no_result_can_end_its_own_marks_or_look_like_the_program",
            "agent/test_injection.py::test_two_tools_that_send_the_agent_back_and_forth_are_stopped",
            "agent/test_injection.py::test_a_flood_of_calls_in_one_reply_is_bounded_by_the_budget",
            "agent/test_budgets.py::TestRunsWithinRuns",
            "agent/test_killed.py::test_processes_that_die_at_any_steps_leave_a_run_that_goes_on_as_if_nothing_had_been",
            "agent/test_killed.py::test_a_run_whose_process_is_killed_is_taken_up_by_the_next",
        ],
        "The models are scripts that obey what they read: how often a real one does is not measured. What a person lets through happens, "
        "whatever had the agent ask for it; barring a tainted agent from writing outside is a rule that the operator adds.",
    ),
    Case(
        "F44",
        "An approval or its sealed state is changed by a bit, used twice, late, with other arguments, or under another key.",
        "It is rejected; a yes counts once.",
        [
            "server/test_asking.py::test_a_state_with_a_bit_turned_is_rejected_wherever_it_is",
            "server/test_asking.py::test_a_state_that_was_used_asks_again_and_lets_nothing_through",
            "server/test_asking.py::test_a_yes_repeated_at_once_counts_once",
            "server/test_asking.py::test_a_state_that_has_expired_is_rejected",
            "server/test_asking.py::test_another_worker_takes_the_answer_and_one_with_another_key_does_not",
            "test_approvals.py::test_of_several_processes_that_want_one_yes_one_gets_it",
            "test_approvals.py::test_another_key_finds_no_yes_of_before",
        ],
    ),
    Case(
        "F45",
        "The server is told to end (SIGTERM) with 200 calls under way.",
        "They are answered, or at the end of the grace written down as unknown; no intent is left without its outcome; it ends with 0.",
        [
            f"{SERVED}a_server_that_is_told_to_end_answers_200_calls_under_way_and_ends_well",
            f"{SERVED}calls_that_outlast_the_grace_are_written_down_as_unknown_before_the_server_ends",
            f"{KILLED}a_process_that_is_asked_to_end_with_200_calls_under_way_leaves_nothing_open",
        ],
    ),
    Case(
        "F47",
        "Programs that are servers crash, leave children with their pipes, flood standard error, print what is no message, never answer.",
        "Each costs its own calls only, is begun again, and nothing is left of any when Toolgate ends or is killed.",
        [
            f"{BEHIND}children_that_crash_flood_hang_and_babble_cost_only_their_own_calls_and_leave_nothing",
            "upstream/test_children.py::test_a_child_that_crashes_is_begun_again_and_costs_only_the_call",
            "upstream/test_children.py::test_one_that_crashes_and_leaves_a_child_with_its_pipe_is_seen_to_be_gone",
            "upstream/test_children.py::test_a_child_with_bad_habits_serves_all_the_same",
            "upstream/test_children.py::test_one_that_never_answers_and_one_that_is_not_there_hold_up_nobody",
            "upstream/test_children.py::test_a_flood_that_nobody_asked_for_ends_the_conversation_and_not_the_others",
            "upstream/test_children.py::test_a_call_that_hangs_ends_at_its_deadline_and_others_pass_meanwhile",
            "upstream/test_children.py::test_nothing_is_left_of_a_child_that_has_children_and_listens_to_nobody",
            "upstream/test_children.py::test_nothing_is_left_when_toolgate_is_killed",
            "upstream/test_children.py::test_children_that_begin_and_end_again_and_again_leave_no_process_and_no_pipe",
        ],
        "A child that leaves its process group (`setsid`) is out of reach.",
    ),
)

HEAD = """\
# Reliability: what is done to Toolgate, and what holds

Toolgate is built to be wrong in one direction only: it rather refuses a call than make one that it cannot prove. Each row below is a fault
that is really injected (processes killed, disks filled, clocks set, bytes forged), what holds all the same, and the tests that say so.

```sh
make faults   # all of `tests/faults` at length: processes are killed 25 times in each way
make test     # a short form of the same, with everything else
```

This page is made from `tests/faults/cases.py` by `python -m tests.faults.cases`, and a test fails when a row names a test that does not
exist, or the page says something else. The numbers are those of the fault table in the design notes; cases that are not here concern
parts with tables of their own (descriptions, the way out, connections), or parts that do not exist yet.
"""


def page() -> str:
    """The page of documentation that the cases make."""
    rows = [f"| {case.id} | {case.fault} | {case.promise} | {len(case.proof)} |" for case in CASES]
    weaker = [f"- **{case.id}** {case.weaker}" for case in CASES if case.weaker]
    proofs = [line for case in CASES for line in (f"\n**{case.id}**", "", *(f"- `{test}`" for test in case.proof))]
    parts = [
        HEAD,
        "| | what is done | what holds | tests |\n|---|---|---|---|",
        "\n".join(rows),
        "\n## What is weaker than it sounds\n",
        "\n".join(weaker),
        "\n## The tests, below `tests/`",
        "\n".join(proofs),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
