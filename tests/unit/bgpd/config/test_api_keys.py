"""The keys of the API: what must go together, by where it listens."""

import json

import pytest

from bgpd.config.advice import advice
from bgpd.config.consistency import contradictions
from bgpd.config.convert import to_settings
from bgpd.config.document import format_path, parse_document
from bgpd.config.validation import validate

TLS = {"cert_file": "/c", "key_file": "/k"}


def problems_of(**api: object) -> list[str]:
    content = {"bgp": {"as": 64512, "router_id": "10.0.0.1"}, "api": api}
    found, problems = validate(parse_document(json.dumps(content), "f"))
    if found is None:
        return [str(each) for each in problems]
    return [f"{format_path(path)}: {text}" for path, text in contradictions(found)]


@pytest.mark.parametrize(
    ("api", "named"),
    [
        ({"listen": "10.0.0.1:8080", "read_token_file": "/t"}, "api.cert_file"),
        ({"listen": "[fd00::1]:8080", **TLS}, "api.read_token_file"),
        ({"listen": "0.0.0.0:8080", "full_token_file": "/t"}, "api.cert_file"),
        ({"listen": "127.0.0.1:8080", "cert_file": "/c"}, "api.key_file"),
        ({"listen": "127.0.0.1:8080", "key_file": "/k"}, "api.cert_file"),
        ({"listen": "127.0.0.1:8080", "loopback": "write"}, "api.loopback"),
        ({"listen": "127.0.0.1:8080", "max_clients": 0}, "api.max_clients"),
        ({"listen": "8080"}, "api.listen"),
        ({"listne": "127.0.0.1:8080"}, "api.listne"),
    ],
)
def test_what_does_not_go_together_is_named(api: dict[str, object], named: str) -> None:
    (problem,) = problems_of(**api)
    assert named in problem


@pytest.mark.parametrize(
    "api",
    [
        {},
        {"listen": "127.0.0.1:8080"},
        {"listen": "[::1]:8080", "loopback": "full"},
        {"listen": "127.0.0.1:8080", **TLS},
        {"listen": "10.0.0.1:8080", **TLS, "read_token_file": "/t"},
        {"listen": "0.0.0.0:8080", **TLS, "full_token_file": "/t"},
    ],
)
def test_what_goes_together_is_accepted(api: dict[str, object]) -> None:
    assert problems_of(**api) == []


def test_keys_that_have_no_effect_are_a_warning() -> None:
    content = {
        "bgp": {"as": 64512, "router_id": "10.0.0.1"},
        "api": {"loopback": "none"},
    }
    found, _ = validate(parse_document(json.dumps(content), "f"))
    assert found is not None
    assert "api: these keys have no effect without api.listen" in advice(
        to_settings(found)
    )
