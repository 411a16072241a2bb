"""What MCP 2026-07-28 wants of a server and of who stands between, duty by duty: where it is said, in our words, and the tests for it.

`docs/conformance.md` is this manifest, rendered: `python -m tests.conformance.duties` writes it. A test holds both to each other
and to the tests that exist. The official suite asks for a part of it; what it leaves out is why this is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
COUNT = 24
"""Duties towards callers, S1 to S24."""
BEHIND = 12
"""Duties towards servers behind us, U1 to U12."""


@dataclass(frozen=True)
class Duty:
    id: str
    source: str
    """The page below `specification/2026-07-28/`, and its section."""
    sentence: str
    proof: Sequence[str]
    """`FILE::TEST` below `tests/`."""


P = "server/test_protocol.py::test_"
HTTP = "server/test_http.py::test_"
INGRESS = "server/test_ingress.py::test_"
ENTRANCE = "server/test_entrance.py::test_"
ERAS = "upstream/test_eras.py::test_"
DEFINITION = "upstream/test_definition.py::test_"
CONSENT = "openapi/test_consent.py::test_"

DUTIES: Sequence[Duty] = (
    Duty(
        "S1",
        "server/discover",
        "`server/discover` is answered with the versions, the capabilities, instructions, and how long that may be kept.",
        [
            f"{P}discover_says_versions_capabilities_and_how_long_that_is_good",
            "server/test_prompts.py::test_what_a_client_is_told_of_the_server_can_be_set",
        ],
    ),
    Duty(
        "S2",
        "basic, Per-request protocol fields",
        "A request that does not say its version and its capabilities is answered with 400 and -32602; who the client is need not be said.",
        [f"{P}a_request_that_does_not_say_version_and_capabilities_is_an_invalid_one", f"{P}a_client_need_not_say_who_it_is"],
    ),
    Duty(
        "S3",
        "basic, Statelessness; server/tools, Listing Tools",
        "Nothing is concluded from earlier requests or the connection; lists have a steady order and differ by who asks, never by how.",
        [
            f"{P}nothing_is_kept_of_one_request_for_the_next",
            f"{HTTP}a_list_is_the_same_each_time_and_for_each_session",
            f"{HTTP}a_client_sees_what_is_listed_and_permitted_in_order_page_by_page",
        ],
    ),
    Duty(
        "S4",
        "basic, Results",
        "Every result says its kind, and that the gateway answers, not the server behind it.",
        [
            f"{P}every_result_says_that_it_is_complete_and_who_answers",
            "upstream/test_answer.py::test_meta_and_structured_content_come_out_too_and_the_stamp_does_not",
        ],
    ),
    Duty(
        "S5",
        "basic/transports/streamable-http, Standard Request Headers",
        "Headers repeat version, method and name, decoded and without white space around them; any that does not is 400 and -32020.",
        [
            f"{P}headers_that_do_not_repeat_the_body_are_refused",
            f"{P}a_name_in_a_header_may_be_encoded",
            f"{HTTP}white_space_around_a_routing_header_is_none_of_its_value",
        ],
    ),
    Duty(
        "S6",
        "basic/transports/streamable-http, Custom Headers from Tool Parameters",
        "Arguments that a tool wants repeated in headers are held against them, for tools that the caller may know of.",
        [f"{HTTP}headers_that_repeat_arguments_are_checked_only_for_tools_that_the_caller_sees"],
    ),
    Duty(
        "S7",
        "basic/transports/streamable-http, Error Responses",
        "An unknown method is 404 and -32601, an unknown version 400 and -32022 with the known ones, a lacking capability -32021.",
        [
            f"{P}an_unknown_method_and_an_unknown_version_say_what_there_is",
            f"{P}what_the_new_version_no_longer_has_is_not_there",
            f"{ERAS}who_cannot_be_asked_is_told_so",
        ],
    ),
    Duty(
        "S8",
        "basic, Error Codes",
        "Codes that the specification keeps are not used for anything of ours, and retired ones are not sent.",
        [
            f"{P}our_own_codes_are_outside_what_the_specification_keeps",
            "upstream/test_gate.py::test_resources_and_prompts_are_permitted_by_policy_like_tools",
        ],
    ),
    Duty(
        "S9",
        "server/tools, Error Handling",
        "An unknown tool is an error of the protocol; wrong arguments, refusals and failures are results that a model can act on.",
        [
            f"{P}what_an_argument_has_wrong_is_a_result_and_not_an_error_of_the_protocol",
            f"{HTTP}a_hidden_tool_is_not_told_apart_from_none",
            f"{HTTP}a_refusal_is_an_answer_that_says_why",
            f"{ERAS}a_bug_of_the_servers_is_its_own_and_passed_on_as_an_error",
        ],
    ),
    Duty(
        "S10",
        "server/tools, Security Considerations",
        "Inputs are validated, access is controlled, calls are limited, and what comes back is cleaned.",
        [
            f"{P}what_an_argument_has_wrong_is_a_result_and_not_an_error_of_the_protocol",
            "policy/test_decide.py::test_a_call_is_permitted_only_by_an_allow_and_never_over_a_deny",
            "gateway/test_limit.py::test_the_call_after_the_last_allowed_one_is_refused_and_says_when_to_come_back",
            "openapi/test_execute.py::test_what_the_other_side_repeats_of_a_secret_does_not_come_back",
        ],
    ),
    Duty(
        "S11",
        "server/tools, Structured Content",
        "A structured answer comes as text too, and is left out for clients that cannot take it.",
        [
            f"{P}a_structured_answer_is_in_words_too",
            "server/test_convert.py::test_a_structured_answer_goes_to_those_who_can_take_it",
            "server/test_convert.py::test_a_structured_answer_without_words_is_put_into_text_for_everybody",
        ],
    ),
    Duty(
        "S12",
        "server/utilities/caching",
        "Lists and what is read say how long they may be kept and, since they are filtered, that they are one caller's own.",
        [f"{P}every_result_says_that_it_is_complete_and_who_answers", f"{HTTP}a_list_may_be_kept_for_a_while_but_not_shared"],
    ),
    Duty(
        "S13",
        "basic/transports/streamable-http, Security Warning",
        "A page of somebody else's is 403, whatever it asks, and a name that is not ours is misdirected.",
        [f"{INGRESS}a_page_of_somebody_else_may_not_call_wherever_it_knocks", f"{INGRESS}a_host_that_only_resembles_ours_is_misdirected"],
    ),
    Duty(
        "S14",
        "basic/patterns/cancellation",
        "Who closes the stream of its request takes the request back, down to the server behind, and hears no more of it.",
        [
            f"{ERAS}a_caller_that_leaves_cancels_the_call_at_the_server",
            "server/test_fast.py::test_a_caller_who_leaves_ends_its_call_and_hears_no_more",
            f"{HTTP}a_call_that_is_given_up_is_cancelled_and_written_down",
            "server/test_stdio.py::test_a_client_over_standard_streams_lists_calls_gives_up_and_goes_on",
        ],
    ),
    Duty(
        "S15",
        "basic/patterns/mrtr",
        "Questions are answers to calls, for who said that it can be asked; a state that comes back is believed of its owner only.",
        [
            f"{ERAS}a_question_reaches_the_callers_person_and_the_answer_the_server",
            f"{ERAS}who_cannot_be_asked_is_told_so",
            "server/test_asking.py::test_a_state_of_another_call_or_caller_is_rejected",
            "server/test_asking.py::test_a_state_with_a_bit_turned_is_rejected_wherever_it_is",
            "server/test_asking.py::test_a_state_that_has_expired_is_rejected",
            "upstream/test_gate.py::test_nobody_else_and_no_other_call_can_take_it_up",
        ],
    ),
    Duty(
        "S16",
        "basic/patterns/subscriptions",
        "Who listens is acknowledged first, told only what was asked for, and each frame names the request that it is for.",
        [
            f"{P}who_listens_is_acknowledged_first_and_told_only_what_was_asked_for",
            f"{ERAS}callers_hear_of_changes_of_resources_that_they_asked_for",
            f"{ERAS}a_tool_that_comes_later_is_there_when_the_server_has_said_so",
        ],
    ),
    Duty(
        "S17",
        "server/utilities/logging; basic/patterns/progress",
        "Log and progress are told to who asked for them, progress rises, and neither floods.",
        [
            f"{P}progress_and_log_are_told_only_to_who_asked",
            f"{HTTP}progress_is_told_to_whoever_asks_only_ever_rising",
            f"{ERAS}log_and_progress_reach_the_caller_they_belong_to_and_nobody_else",
        ],
    ),
    Duty(
        "S18",
        "basic, JSON Schema Usage",
        "Schemas are of 2020-12, no reference leads to the network, and what takes too long is bounded.",
        [
            f"{DEFINITION}a_bad_definition_costs_that_one_tool",
            f"{DEFINITION}one_that_is_nested_too_deep_is_left_out",
            f"{DEFINITION}what_a_tool_says_is_kept",
        ],
    ),
    Duty(
        "S19",
        "server/tools, Tool Names",
        "Names are such as every client takes; of several servers they are told apart by a prefix that the operator gives.",
        [
            f"{DEFINITION}a_name_that_clients_do_not_take_is_made_one_that_they_do_and_stays_so",
            "upstream/test_gate.py::test_a_tool_called_like_anothers_is_not_served_and_both_are_named",
        ],
    ),
    Duty(
        "S20",
        "basic, Trace Context",
        "A caller's trace goes on through the gate.",
        [
            "gateway/test_gateway.py::test_a_permitted_call_reaches_the_tool_once_and_leaves_one_line",
            f"{ERAS}what_a_caller_says_beside_reaches_the_server_but_for_what_is_ours",
        ],
    ),
    Duty(
        "S21",
        "basic/authorization",
        "The metadata of the resource is there and named by 401; 403 names every scope that is needed; a token for somebody else "
        "opens nothing, and no token of a caller's is passed on.",
        [
            f"{ENTRANCE}clients_find_the_issuer_from_the_first_refusal",
            f"{ENTRANCE}a_call_beyond_the_scopes_is_403_and_names_every_scope_for_the_next_token",
            "server/test_tokens.py::test_a_bad_token_is_refused_with_the_reason",
            f"{ENTRANCE}the_callers_token_is_in_no_place_but_the_exchange",
        ],
    ),
    Duty(
        "S22",
        "basic/versioning; basic/transports/streamable-http",
        "GET and DELETE of the new version are 405; clients of all eras are served at one address.",
        [f"{P}an_answer_ends_the_stream_and_a_get_is_not_there_without_a_session", f"{ERAS}what_there_is_beside_tools_passes"],
    ),
    Duty(
        "S23",
        "basic/transports/streamable-http, Intermediaries",
        "What headers repeat decides nothing unless it was held against the body: policy and audit go by the body alone.",
        [
            f"{P}headers_that_do_not_repeat_the_body_are_refused",
            "server/test_fast.py::test_thousands_of_requests_are_answered_as_the_sdk_answers_them",
        ],
    ),
    Duty(
        "S24",
        "basic/transports/streamable-http, Custom Headers from Tool Parameters",
        "A header for an argument that nobody asked for changes nothing.",
        [f"{P}headers_for_arguments_that_no_tool_asks_for_are_passed_over"],
    ),
    Duty(
        "U1",
        "basic/transports/streamable-http, Sending Messages",
        "A request accepts both kinds of answer, repeats itself in headers and has an id of its own, also when it is made again.",
        [f"{ERAS}a_call_that_is_made_again_with_its_answer_has_another_id", f"{ERAS}many_callers_with_the_same_ids_see_their_own_canaries"],
    ),
    Duty(
        "U2",
        "basic/transports/streamable-http, Custom Headers from Tool Parameters",
        "Tools whose annotations for headers are not valid are left out, alone.",
        [f"{DEFINITION}a_bad_definition_costs_that_one_tool"],
    ),
    Duty(
        "U3",
        "basic, Capability Negotiation",
        "A server is told what the caller can do, and nothing that only we can.",
        [f"{ERAS}who_cannot_be_asked_is_told_so", f"{ERAS}what_a_caller_says_beside_reaches_the_server_but_for_what_is_ours"],
    ),
    Duty(
        "U4",
        "basic/versioning, Backward Compatibility",
        "A server's era is found out and remembered, and clients of one era are understood by servers of another.",
        [
            f"{ERAS}a_question_reaches_the_callers_person_and_the_answer_the_server",
            "upstream/test_children.py::test_a_child_with_bad_habits_serves_all_the_same",
        ],
    ),
    Duty(
        "U5",
        "server/tools, Security Considerations",
        "What a server says of its tools is not believed: not that they only read, not by invisible letters, not when it has changed.",
        [
            f"{DEFINITION}hints_are_hints_and_the_operator_knows_better",
            f"{DEFINITION}hidden_characters_are_taken_out_of_what_models_read",
            f"{ERAS}a_changed_definition_is_kept_back_while_the_others_are_served",
        ],
    ),
    Duty(
        "U6",
        "basic/authorization, Authorization Server Discovery",
        "Who gives tokens is found by RFC 9728 and RFC 8414 or OpenID Discovery, in the order of the specification.",
        [
            "oauth/test_metadata.py::test_metadata_of_a_resource_is_looked_for_where_it_says_at_its_path_and_at_its_root",
            "oauth/test_metadata.py::test_metadata_of_a_server_is_looked_for_in_the_order_of_the_specification",
        ],
    ),
    Duty(
        "U7",
        "basic/authorization, Authorization Server Discovery",
        "A document about another resource, or of another issuer, counts for nothing.",
        [
            "oauth/test_metadata.py::test_a_document_about_another_resource_counts_for_nothing",
            "oauth/test_metadata.py::test_a_document_of_another_issuer_counts_for_nothing",
            f"{CONSENT}a_server_that_lies_gets_no_code_and_no_secret",
        ],
    ),
    Duty(
        "U8",
        "basic/authorization, Authorization Code Protection",
        "PKCE with S256, and no server that does not say it has it.",
        [
            "oauth/test_flow.py::test_a_person_is_sent_with_a_challenge_a_state_and_the_resource",
            "oauth/test_flow.py::test_a_server_without_s256_is_refused",
        ],
    ),
    Duty(
        "U9",
        "basic/authorization, Resource Parameter Implementation",
        "Authorizations and tokens are asked for with the resource that they are for (RFC 8707).",
        [
            f"{CONSENT}a_yes_becomes_a_token_for_that_resource_and_that_caller",
            "upstream/test_oauth.py::test_client_credentials_need_no_person",
        ],
    ),
    Duty(
        "U10",
        "basic/authorization, Mix-Up Attack Protection",
        "An answer comes from the issuer that was asked, letter by letter (RFC 9207).",
        [
            "oauth/test_flow.py::test_any_other_answer_is_none",
            "oauth/test_flow.py::test_an_issuer_that_was_not_announced_still_has_to_be_the_right_one",
            f"{CONSENT}an_answer_of_another_server_is_not_taken_to_the_one_that_was_asked",
        ],
    ),
    Duty(
        "U11",
        "basic/authorization/client-registration",
        "Who we are to one issuer is shown to no other, and a grant to no other resource.",
        [
            f"{CONSENT}who_gives_tokens_has_changed_and_the_old_ones_client_and_tokens_stay_with_it",
            f"{CONSENT}a_client_of_the_operators_is_shown_to_its_own_issuer_only",
            f"{CONSENT}a_grant_is_shown_to_no_other_server_and_refreshed_at_no_other_issuer",
        ],
    ),
    Duty(
        "U12",
        "basic/authorization, Scope Challenge Handling",
        "A scope too few is asked for on top of those there are, by a person, and not again and again.",
        [
            "upstream/test_oauth.py::test_one_consent_serves_everybody_and_a_scope_too_few_says_how_to_get_it",
            f"{CONSENT}more_is_asked_for_on_top_of_what_was_granted",
        ],
    ),
)

HEAD = """\
# Conformance to MCP

Toolgate passes the official suite (`@modelcontextprotocol/conformance` 0.2.0-alpha.12), with no list of expected failures: **30 of 30**
scored scenarios of 2025-11-25 and **37 of 37** of 2026-07-28 through the gateway, the SDK's everything server behind it; and, with the
suite's own servers behind the gateway, 13 scenarios of the protocol and 27 of authorization. The MCP Inspector speaks to it over Streamable
HTTP, SSE and stdio, and the reference server (`@modelcontextprotocol/server-everything`) stands behind it.

```sh
make conformance   # fetches the suite by npm and runs all of it; it fails unless every check has ended well
```

Of the extension tasks (`io.modelcontextprotocol/tasks`) four scenarios are run, and the core tasks of 2025-11-25 by our own tests. A task
never asks its client anything (`input_required`): what a person has to say is asked before there is one. Not served at all: DPoP,
workload identities and enterprise-managed authorization, all of them extensions.

The suite asks for a part of what the specification wants. The table below is the rest: each duty of a server and of who stands between,
where it is said (pages below `specification/2026-07-28/`), and the tests that hold Toolgate to it. It is made from
`tests/conformance/duties.py` by `python -m tests.conformance.duties`; a test fails when a row names a test that does not exist, or a duty
has none.
"""


def page() -> str:
    """The page of documentation that the duties make."""
    rows = [f"| {duty.id} | {duty.source} | {duty.sentence} | {len(duty.proof)} |" for duty in DUTIES]
    proofs = [line for duty in DUTIES for line in (f"\n**{duty.id}**", "", *(f"- `{test}`" for test in duty.proof))]
    parts = [HEAD, "| | where | what | tests |\n|---|---|---|---|", "\n".join(rows), "\n## The tests, below `tests/`", "\n".join(proofs)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
