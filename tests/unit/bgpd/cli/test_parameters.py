"""Options say what they expect, as the file's keys do."""

import pytest
from click.testing import CliRunner

from bgpd.cli.daemon import main
from bgpd.cli.parameters import AS_NUMBER
from tests.support.cases import cases

GIVEN = {"as": "64512", "router-id": "192.0.2.1", "clients": "10.0.0.0/8"}


def error_of(option: str, value: str) -> str:
    given = GIVEN | {option: value}
    arguments = [word for name, text in given.items() for word in (f"--{name}", text)]
    result = CliRunner().invoke(main, ["reflector", *arguments])
    assert result.exit_code == 2
    last = result.output.splitlines()[-1]
    return last.removeprefix(f"Error: Invalid value for '--{option}': ")


@cases(
    ("option", "value", "expected"),
    [
        (
            "as",
            "x",
            "'x' is not an AS number; expected 1 to 4294967295, or such as 1.10",
        ),
        *(
            (
                "as",
                value,
                f"{value!r} is not an AS number; expected 1 to 4294967295, or such as 1.10",
            )
            for value in (
                "",
                "0",
                "-1",
                "4294967296",
                "1.65536",
                "1.10.2",
                "65536.1",
                "\u0661",
            )
        ),
        *(
            (
                "clients",
                value,
                f"{value!r} is not a prefix; expected one such as 10.0.0.0/16 or fd00::/64",
            )
            for value in (
                "foo",
                "",
                "10.0.0.0/33",
                "10/8",
                "fd00::/129",
                "10.0.0.0/8/8",
                "010.0.0.0/8",
            )
        ),
        (
            "clients",
            "10.0.0.1/8",
            "10.0.0.1/8 has host bits set; did you mean 10.0.0.0/8?",
        ),
        (
            "clients",
            "fd00::1/64",
            "fd00::1/64 has host bits set; did you mean fd00::/64?",
        ),
        *(
            (
                "router-id",
                value,
                f"{value!r} is not a BGP identifier; expected four octets such as 192.0.2.1",
            )
            for value in ("abc", "", "0.0.0.0", "::1", "1", "256.1.1.1")
        ),
        *(
            (
                "listen",
                value,
                f"{value!r} is not an IP address; expected one such as 192.0.2.1 or 2001:db8::1",
            )
            for value in ("foo", "", "1.2.3", "10.0.0.0/8", "1::2::3")
        ),
    ],
)
def test_a_wrong_value_says_what_was_expected(
    option: str, value: str, expected: str
) -> None:
    assert error_of(option, value) == expected


@pytest.mark.parametrize("value", ["1.10", "65546"])
def test_an_as_number_may_have_a_dot(value: str) -> None:

    assert AS_NUMBER.convert(value, None, None) == "65546"
