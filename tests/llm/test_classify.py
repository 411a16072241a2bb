"""What providers' errors mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import EgressBlocked, ModelFailed, TimedOut
from toolgate.llm.classify import answered, cut_off, interrupted, malformed, unanswered


def error(code: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code or None, "message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        # OpenAI
        (
            429,
            error("rate_limit_exceeded", "Rate limit reached for gpt-5 on tokens per min. Please try again in 1.2s."),
            "transient",
            "rate_limited",
        ),
        (429, error("insufficient_quota", "You exceeded your current quota", type="insufficient_quota"), "provider", "quota"),
        (401, error("invalid_api_key", "Incorrect API key provided"), "provider", "authentication"),
        (403, error("unsupported_country_region_territory"), "provider", "permission"),
        (404, error("model_not_found", "The model `gpt-9` does not exist or you do not have access to it."), "provider", "model_unknown"),
        (400, error("context_length_exceeded", "Your input exceeds the context window of this model."), "provider", "context_exceeded"),
        (400, error("invalid_prompt", "Your prompt was flagged as potentially violating our usage policy"), "provider", "refused"),
        (400, error("invalid_function_parameters", "Invalid schema for function 'moderation_list'"), "request", "schema"),
        (400, error("", "Invalid type for 'input[0].content': expected a string.", param="input[0].content"), "request", "invalid"),
        (413, error("", "Request too large"), "request", "too_large"),
        (422, error("", "Unprocessable"), "request", "invalid"),
        (500, error("server_error"), "transient", "server_error"),
        (503, error("server_is_overloaded", "overloaded"), "transient", "overloaded"),
        # Anthropic
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "transient", "overloaded"),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}},
            "provider",
            "context_exceeded",
        ),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."},
            },
            "provider",
            "quota",
        ),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "tools.0.name: String should match pattern"}},
            "request",
            "invalid",
        ),
        (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}}, "provider", "model_unknown"),
        (402, {"type": "error", "error": {"type": "billing_error", "message": "pay"}}, "provider", "quota"),
        (504, {"type": "error", "error": {"type": "timeout_error", "message": "late"}}, "transient", "timeout"),
        # vLLM, llama.cpp, OpenRouter, DeepSeek, Groq, Mistral
        (
            400,
            error("", "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", type="BadRequestError"),
            "provider",
            "context_exceeded",
        ),
        (
            400,
            {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}},
            "provider",
            "context_exceeded",
        ),
        (402, {"error": {"code": 402, "message": "Insufficient credits"}}, "provider", "quota"),
        (
            403,
            {"error": {"code": 403, "message": "openai/gpt-5 requires moderation on OpenAI. Your input was flagged."}},
            "provider",
            "refused",
        ),
        (402, error("invalid_request_error", "Insufficient Balance"), "provider", "quota"),
        (400, error("model_decommissioned", "The model `x` has been decommissioned"), "provider", "model_unknown"),
        (400, error("tool_use_failed", "Failed to call a function."), "transient", "malformed"),  # Groq's model wrote it
        (400, error("json_validate_failed", "Failed to generate JSON."), "transient", "malformed"),
        (  # Google's compatible address answers with a list
            400,
            [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}],
            "provider",
            "authentication",
        ),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***no. You can obtain an API key."},
            "provider",
            "authentication",
        ),
        (
            400,
            error("unsupported_value", "Your organization must be verified to stream this model.", param="stream"),
            "provider",
            "permission",
        ),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "request", "invalid"),
        (404, {"error": "model 'llama9' not found"}, "provider", "model_unknown"),
        (404, "404 page not found", "provider", "not_found"),
        # others on the way
        (408, None, "transient", "timeout"),
        (409, None, "transient", "conflict"),
        (425, None, "transient", "too_early"),
        (499, "", "transient", "disconnected"),
        (502, "<html>Bad gateway</html>", "transient", "server_error"),
        (524, "<html>A timeout occurred</html>", "transient", "timeout"),
        (418, None, "request", "invalid"),
        (308, None, "provider", "redirected"),
    ],
)
def test_an_answer_is_transient_or_the_providers_or_the_requests(status: int, body: Any, kind: str, reason: str) -> None:
    failed = answered("acme", status, {}, body)

    assert (failed.kind, failed.reason, failed.status) == (kind, reason, status)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "transient", "overloaded"),
        ({"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}, "transient", "server_error"),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}, "transient", "rate_limited"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}, "request", "invalid"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}, "transient", "rate_limited"),
        ({"code": "server_error", "message": "The model had an error"}, "transient", "server_error"),
        ({"code": "context_length_exceeded", "message": "too long"}, "provider", "context_exceeded"),
        ({"code": "insufficient_quota", "message": "You exceeded your current quota"}, "provider", "quota"),
        ({"error": {"code": 502, "message": "Provider disconnected"}}, "transient", "server_error"),  # OpenRouter
        ({"error": {"code": 429, "message": "Rate limited"}}, "transient", "rate_limited"),
        ({"message": "something"}, "transient", "server_error"),
        ("gone", "transient", "server_error"),
    ],
)
def test_an_error_in_a_stream_means_what_its_type_says(body: Any, kind: str, reason: str) -> None:
    failed = interrupted("acme", body)

    assert (failed.kind, failed.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("status", "should", "kind"),
    [(500, "false", "provider"), (400, "true", "transient"), (429, "true", "transient"), (400, "false", "request")],
)
def test_what_the_provider_says_of_trying_again_wins(status: int, should: str, kind: str) -> None:
    assert answered("acme", status, {"x-should-retry": should}).kind == kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
        ({"retry-after": "4294967295"}, 86_400.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back_is_in_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert answered("acme", 429, headers).retry_after == seconds


def test_no_answer_says_why_there_is_none() -> None:
    blocked = ConnectionError("x")
    blocked.__cause__ = EgressBlocked("the way out does not go to 10.0.0.1")
    late = ConnectionError("x")
    late.__cause__ = TimedOut("late")

    found = [unanswered("acme", error) for error in (blocked, late, ConnectionError("x"))]

    assert [(each.kind, each.reason) for each in found] == [("provider", "blocked"), ("transient", "timeout"), ("transient", "connection")]
    assert (cut_off("acme").reason, malformed("acme").reason) == ("cut_off", "malformed")


@given(
    status=st.integers(100, 999),
    body=st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "param", "detail", "status"]), inner)
        ),
    ),
    headers=st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date", "x-should-retry"]), st.text()),
)
def test_everything_means_something(status: int, body: Any, headers: dict[str, str]) -> None:
    for failed in (answered("acme", status, headers, body), interrupted("acme", body)):
        assert isinstance(failed, ModelFailed)
        assert failed.kind in ("transient", "provider", "request")
        assert failed.reason
        assert failed.retry_after is None or 0 <= failed.retry_after <= 86_400


def test_the_sentence_names_the_error_and_never_quotes_the_prose() -> None:
    failed = answered(
        "openai", 400, {}, error("invalid_value", "Invalid value: 'my secret'", param="input[0].content", type="invalid_request_error")
    )

    assert str(failed) == "openai cannot understand the request (HTTP 400, invalid_value, invalid_request_error, at input[0].content)"
