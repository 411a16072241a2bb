"""Which tokens are taken, and whom they are taken for. Case F22 of the fault table is the table of refusals."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.effort import within
from tests.server.issuing import AUDIENCE, ISSUER, NOW, Provider, claims, ec, ed, raw, rsa, token
from toolgate.calls import Principal
from toolgate.errors import Misconfigured, NotIdentified, Unreachable
from toolgate.openapi.exchange import Subjects
from toolgate.server.tokens import Tokens
from toolgate.settings import Caller, Claims, Issuer
from toolgate.testing import FakeClock


def an_issuer(**more: Any) -> Issuer:
    return Issuer.model_validate({"issuer": ISSUER, "audience": AUDIENCE, "name": "corp", **more})


def the_tokens(*issuers: Issuer, provider: Provider | None = None, subjects: Subjects | None = None) -> tuple[Tokens, Provider, FakeClock]:
    clock, provider = FakeClock(NOW), provider or Provider()
    return Tokens(issuers or (an_issuer(),), provider, subjects, clock=clock, ticks=clock), provider, clock


async def refused(text: str, tokens: Tokens | None = None) -> str:
    with pytest.raises(NotIdentified) as error:
        await (tokens or the_tokens()[0]).principal(text)
    assert error.value.shown
    assert not text or text not in str(error.value)
    return str(error.value).removeprefix("the token is not taken: ")


@pytest.mark.parametrize(("signing", "algorithm"), [(rsa(), "RS256"), (ec(), "ES256"), (ed(), "EdDSA")])
async def test_whoever_shows_a_good_token_is_taken_for_its_user(signing: Any, algorithm: str) -> None:
    tokens, _, _ = the_tokens()

    assert await tokens.principal(token(signing, algorithm)) == Principal(
        id="corp:ada",
        roles=("readonly",),
        tier="free",
        tenant="default",
        via="token",
        scopes=frozenset({"tools:read"}),
        credential=ISSUER,
    )


async def test_claims_say_roles_tier_and_tenant_as_the_settings_map_them() -> None:
    issuer = an_issuer(
        claims=Claims(id="email", roles="realm_access.roles", tier="https://example.com/plan", tenant="org"),
        roles={"engineers": ["developer", "agent"], "leads": "admin", "nobody": []},
    )
    tokens, _, _ = the_tokens(issuer)
    said: dict[str, Any] = {
        "email": "ada@example.com",
        "realm_access": {"roles": ["engineers", "strangers", "admin", 7, "engineers", "leads"]},
        "https://example.com/plan": "pro",
        "org": "acme",
    }

    seen = await tokens.principal(token(**said))

    assert (seen.id, seen.roles, seen.tier, seen.tenant) == ("corp:ada@example.com", ("developer", "agent", "admin"), "pro", "acme")


@pytest.mark.parametrize("roles", [None, [], "strangers", ["admin"], {"strangers": True}, 7])
async def test_a_role_that_the_settings_do_not_map_is_none(roles: Any) -> None:
    issuer = an_issuer(claims=Claims(roles="groups"), roles={"engineers": ["developer"]}, everyone=Caller(roles=("readonly",), tier="free"))

    assert (await the_tokens(issuer)[0].principal(token(groups=roles))).roles == ("readonly",)


async def test_names_of_an_object_are_roles() -> None:
    # As in a token of Zitadel: https://zitadel.com/docs/apis/openidoauth/claims
    said: dict[str, Any] = {"urn:zitadel:iam:org:project:roles": {"engineers": {"173": "acme.example"}, "strangers": {}}}
    issuer = an_issuer(claims=Claims(roles="urn:zitadel:iam:org:project:roles"), roles={"engineers": ["developer"]})

    assert (await the_tokens(issuer)[0].principal(token(**said))).roles == ("developer",)


async def test_a_claim_below_a_name_with_dots_is_found() -> None:
    said: dict[str, Any] = {"resource_access": {"tools.example.com": {"roles": ["engineers"]}, "tools": {"example": {}}}}
    issuer = an_issuer(claims=Claims(roles="resource_access.tools.example.com.roles"), roles={"engineers": ["developer"]})

    assert (await the_tokens(issuer)[0].principal(token(**said))).roles == ("developer",)


async def test_a_token_without_a_type_is_a_jwt() -> None:
    assert (await the_tokens(an_issuer(types=["JWT"]))[0].principal(token(header={"typ": None}))).id == "corp:ada"


@pytest.mark.parametrize(("told", "said"), [("", "/"), ("/", ""), ("/", "/")])
async def test_a_host_is_the_same_with_a_slash_behind_it(told: str, said: str) -> None:
    provider = Provider(metadata={"issuer": ISSUER + said, "jwks_uri": f"{ISSUER}/keys"})
    issuer = an_issuer(issuer=ISSUER + told, audience="https://tools.example" + told)
    tokens, _, _ = the_tokens(issuer, provider=provider)

    assert (await tokens.principal(token(iss=ISSUER + said, aud="https://tools.example" + said))).id == "corp:ada"


@pytest.mark.parametrize("tenant", [None, "", 7, ["acme"], "a\nb", "x" * 257])
async def test_a_token_without_its_tenant_is_of_none(tenant: Any) -> None:
    tokens, _, _ = the_tokens(an_issuer(claims=Claims(tenant="org")))

    assert await refused(token(org=tenant), tokens) == "its claim org is not a name"


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scope": "tools:read tools:call openid"}, {"tools:read", "tools:call", "openid"}),
        ({"scope": None, "scp": ["tools:call", 7]}, {"tools:call"}),
        ({"scope": None, "scp": "tools:call"}, {"tools:call"}),
        ({"scope": ""}, set()),
        ({"scope": None}, set()),
        ({"scope": {"tools:call": True}}, set()),
    ],
)
async def test_scopes_are_read_and_a_token_without_any_has_none(said: dict[str, Any], scopes: set[str]) -> None:
    assert (await the_tokens()[0].principal(token(**said))).scopes == frozenset(scopes)


async def test_scopes_of_an_issuer_that_has_none_of_ours_bound_nothing() -> None:
    assert (await the_tokens(an_issuer(scoped=False))[0].principal(token(scope=None))).scopes is None


PEM = rsa().private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def confused(secret: bytes) -> str:
    """RS256's public key taken for a secret of HS256, signed by hand since PyJWT would refuse."""
    unsigned = raw({"alg": "HS256", "typ": "at+jwt", "kid": "rsa-1"}, claims()).rpartition(".")[0]
    return raw({"alg": "HS256", "typ": "at+jwt", "kid": "rsa-1"}, claims(), hmac.digest(secret, unsigned.encode(), hashlib.sha256))


def swapped() -> str:
    good, other = token().split("."), token(sub="eve").split(".")
    return f"{good[0]}.{other[1]}.{good[2]}"


NOT_GENUINE = "it is not genuine, or does not have the form of a token"
FORM = "it does not have the form of a token"
BAD: dict[str, tuple[str, str]] = {
    "for another server": (token(aud="https://other.example/mcp"), "it was issued for another server (`aud`)"),
    "for a server that begins like us": (token(aud=AUDIENCE + ".evil.example"), "it was issued for another server (`aud`)"),
    "for several others": (token(aud=["https://a.example", "https://b.example"]), "it was issued for another server (`aud`)"),
    "for nobody": (token(aud=None), "it lacks the claim aud"),
    "by somebody else": (token(iss="https://evil.example"), "it was issued by somebody whom this server does not trust"),
    "by nobody": (token(iss=None), "it was issued by somebody whom this server does not trust"),
    "by an issuer that is a list": (raw({"alg": "RS256"}, claims(iss=[ISSUER])), "it was issued by somebody"),
    "expired": (token(exp=NOW - 1), "it has expired; ask its issuer for a new one"),
    "expired this second": (token(exp=NOW), "it has expired; ask its issuer for a new one"),
    "for ever": (token(exp=None), "it lacks the claim exp"),
    "not yet": (token(nbf=NOW + 60), "its time has not come yet"),
    "from the future": (token(iat=NOW + 60), "its time has not come yet"),
    "at a time that is a text": (token(exp=str(NOW + 60)), "its times are not numbers"),
    "at a time that is true": (token(exp=True), "its times are not numbers"),
    "without a user": (token(sub=None), "its claim sub is not a name"),
    "with a user that breaks a line": (token(sub="ada\nadmin"), "its claim sub is not a name"),
    "alg none": (raw({"alg": "none", "typ": "at+jwt"}, claims()), "it is signed in a way that is not allowed for its issuer"),
    "alg None": (raw({"alg": "nOnE", "typ": "at+jwt"}, claims()), "it is signed in a way that is not allowed for its issuer"),
    "alg absent": (raw({"typ": "at+jwt"}, claims()), "it is signed in a way that is not allowed for its issuer"),
    "alg a list": (raw({"alg": ["RS256"], "typ": "at+jwt"}, claims()), "it is signed in a way that is not allowed for its issuer"),
    "HS/RS confusion, PEM": (confused(PEM), "it is signed in a way that is not allowed for its issuer"),
    "HS/RS confusion, JWK": (confused(json.dumps(rsa().public).encode()), "it is signed in a way that is not allowed for its issuer"),
    "an algorithm that is not allowed": (token(algorithm="RS512"), "it is signed in a way that is not allowed for its issuer"),
    "an algorithm of another key": (token(ec(), "ES256", {"kid": "rsa-1"}), "the token is not signed by a key of its issuer"),
    "an id token": (token(header={"typ": "JWT"}), "it is not an access token: the `typ` in its header must be at+jwt"),
    "no type": (token(header={"typ": None}), "it is not an access token: the `typ` in its header must be at+jwt"),
    "swapped payload": (swapped(), NOT_GENUINE),
    "no signature": (token().rpartition(".")[0] + ".", NOT_GENUINE),
    "signed by another": (token(rsa("other"), header={"kid": "rsa-1"}), NOT_GENUINE),
    "an unknown key": (token(header={"kid": "unknown"}), "the token is not signed by a key of its issuer"),
    "a key by a URL": (
        token(rsa("other"), header={"kid": "other", "jku": "https://evil.example/keys"}),
        "the token is not signed by a key of its issuer",
    ),
    "its own key": (token(rsa("other"), header={"kid": "rsa-1", "jwk": dict(rsa("other").public)}), NOT_GENUINE),
    "a critical extension": (token(header={"crit": ["x"], "x": 1}), NOT_GENUINE),
    "kid a number": (raw({"alg": "RS256", "typ": "at+jwt", "kid": 7}, claims()), FORM),
    "four parts": (token() + ".x", FORM),
    "two parts": ("e30.e30", FORM),
    "one part": ("opaque", FORM),
    "nothing": ("", FORM),
    "a space before": (" " + token(), FORM),
    "not base64": ("é.é.é", FORM),
    "not JSON": (raw(b"{", b"{"), FORM),
    "not an object": (raw([], claims()), FORM),
    "NaN": (raw({"alg": "RS256", "typ": "at+jwt"}, b'{"exp": NaN}'), FORM),
    "deeply nested": (raw({"alg": "RS256"}, b'{"iss":"' + ISSUER.encode() + b'","x":' + b"[" * 900 + b"]" * 900 + b"}"), FORM),
    "10 MB": (raw({"alg": "RS256", "typ": "at+jwt"}, claims(iss="https://evil.example", x="x" * 10_000_000)), "it was issued by somebody"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_token_is_refused_with_the_reason(case: str) -> None:
    text, reason = BAD[case]

    assert (await refused(text)).startswith(reason)


async def test_no_bad_token_takes_more_than_five_milliseconds() -> None:
    tokens, _, _ = the_tokens()
    await tokens.principal(token())
    for text, _ in BAD.values():
        if len(text) > 8192:  # no request carries it as far as here
            continue

        with within(0.05):  # ten times over, since one collection of garbage takes as long as a token
            await refused(text, tokens)


@settings(max_examples=60)
@given(st.integers(0, 8191), st.characters(min_codepoint=33, max_codepoint=126))
async def test_no_changed_character_is_overlooked(place: int, other: str) -> None:
    tokens, _, _ = the_tokens()
    good = token(ed(), "EdDSA")
    place %= len(good) - 1  # the last letter of 64 bytes in base64 has bits that mean nothing
    assume(other != good[place])
    changed = good[:place] + other + good[place + 1 :]

    with pytest.raises(NotIdentified):
        await tokens.principal(changed)


async def test_a_flood_of_unknown_keys_asks_the_issuer_once_in_thirty_seconds() -> None:
    tokens, provider, clock = the_tokens()
    await tokens.principal(token())
    assert provider.fetches == 1
    clock.now += 30

    for second in range(60):
        clock.now += 1
        for number in range(20):
            await refused(token(ed(), "EdDSA", {"kid": f"made up {second}.{number}"}), tokens)

    assert provider.fetches == 1 + 2


async def test_a_new_key_of_the_issuer_is_known_once_it_is_used() -> None:
    tokens, provider, clock = the_tokens()
    await tokens.principal(token())
    provider.keys.append(rsa("rsa-2"))
    clock.now += 30

    assert (await tokens.principal(token(rsa("rsa-2")))).id == "corp:ada"


async def test_a_key_that_the_issuer_took_back_is_good_for_five_minutes_at_most() -> None:
    tokens, provider, clock = the_tokens()
    await tokens.principal(token())
    provider.keys = [ec()]
    clock.now += 301

    assert await refused(token(sub="eve", exp=NOW + 900), tokens) == "the token is not signed by a key of its issuer"


async def test_known_keys_stay_good_for_an_hour_while_the_issuer_is_away() -> None:
    tokens, provider, clock = the_tokens()
    await tokens.principal(token())
    provider.away = True

    clock.now = NOW + 3600
    assert (await tokens.principal(token(sub="eve", exp=NOW + 9000))).id == "corp:eve"

    clock.now = NOW + 3601
    with pytest.raises(Unreachable, match="cannot be fetched"):
        await tokens.principal(token(sub="bob", exp=NOW + 9000))


async def test_while_an_issuer_was_never_reached_nobody_can_say_whose_a_token_is() -> None:
    tokens, provider, clock = the_tokens(provider=Provider(away=True))

    for _ in range(3):
        with pytest.raises(Unreachable, match=f"the keys of {ISSUER} cannot be fetched"):
            await tokens.principal(token())
    assert len(provider.asked) == 1

    provider.away = False
    clock.now += 30
    assert (await tokens.principal(token())).id == "corp:ada"


async def test_a_checked_token_is_not_checked_again_for_a_minute_and_never_after_its_end() -> None:
    tokens, provider, clock = the_tokens()
    long, short = token(exp=NOW + 600), token(exp=NOW + 30)
    await tokens.principal(long)
    await tokens.principal(short)
    provider.keys, provider.away = [], True
    clock.now += 29

    assert (await tokens.principal(short)).id == "corp:ada"
    clock.now += 1
    assert await refused(short, tokens) == "it has expired; ask its issuer for a new one"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER + "/x", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": "http://id.example/keys"},
        {"issuer": ISSUER, "jwks_uri": ["x"]},
    ],
)
async def test_metadata_that_is_not_the_issuers_own_is_not_believed(metadata: dict[str, Any]) -> None:
    tokens, provider, _ = the_tokens(provider=Provider(metadata=metadata))

    with pytest.raises(Unreachable):
        await tokens.principal(token())
    assert provider.fetches == 0


async def test_keys_are_asked_for_at_their_own_origin_only() -> None:
    tokens, provider, _ = the_tokens(an_issuer(jwks_uri=f"{ISSUER}/keys", allow_networks=["10.0.0.0/8"]))

    await tokens.principal(token())

    assert provider.asked == [f"{ISSUER}/keys"]
    assert [(reach.origins, [str(network) for network in reach.networks]) for reach in provider.reaches] == [
        (frozenset({"https://id.example:443"}), ["10.0.0.0/8"])
    ]


@pytest.mark.parametrize(
    "public", [{**rsa().public, "use": "enc"}, {**rsa().public, "alg": "PS256"}, {**rsa().public, "key_ops": ["sign"]}]
)
async def test_a_key_is_used_only_for_what_it_is(public: dict[str, Any]) -> None:
    provider = Provider(keys=[type(rsa())(rsa().private, public)])

    assert await refused(token(), the_tokens(provider=provider)[0]) == "the token is not signed by a key of its issuer"


async def test_a_short_rsa_key_signs_nothing() -> None:
    weak = rsa("weak", 1024)
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        shown = token(weak)

    assert await refused(shown, the_tokens(provider=Provider(keys=[weak]))[0]) == NOT_GENUINE


async def test_a_token_without_a_key_name_needs_an_issuer_with_one_key() -> None:
    one, several = Provider(keys=[rsa()]), Provider(keys=[rsa(), rsa("rsa-2")])
    nameless = token(header={"kid": None})

    assert (await the_tokens(provider=one)[0].principal(nameless)).id == "corp:ada"
    assert await refused(nameless, the_tokens(provider=several)[0]) == "the token is not signed by a key of its issuer"


def test_users_of_two_issuers_cannot_have_one_name() -> None:
    one, two = (Issuer(issuer=f"https://id.example/{realm}", audience=(AUDIENCE,)) for realm in ("a", "b"))

    with pytest.raises(Misconfigured, match=r"would both be called id\.example:"):
        the_tokens(one, two)
    the_tokens(one, two.model_copy(update={"name": "b"}))


@pytest.mark.parametrize(("url", "name"), [("https://id.example", "local"), ("https://agent/realm", None)])
def test_users_of_an_issuer_cannot_be_called_as_people_at_this_machine_or_agents(url: str, name: str | None) -> None:
    with pytest.raises(Misconfigured, match=r"give .* another `name`"):
        the_tokens(Issuer(issuer=url, audience=(AUDIENCE,), name=name))


async def test_a_token_is_kept_for_exchange_only_where_there_is_one_and_never_in_the_principal() -> None:
    clock, subjects = FakeClock(NOW), Subjects(FakeClock(NOW))
    tokens = Tokens([an_issuer()], Provider(), subjects, clock=clock, ticks=clock)
    shown = token()

    seen = await tokens.principal(shown)

    assert seen.subject is not None
    assert subjects.token(seen.subject) == shown
    assert shown not in repr([seen, subjects, tokens])
    assert shown.split(".")[2] not in str({name: getattr(seen, name) for name in Principal.__slots__})
    assert (await the_tokens()[0].principal(shown)).subject is None
