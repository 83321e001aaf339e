"""Tokens come from where they should, are compared whole, and show up nowhere; rebound names are not heard."""

import base64
import io
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.access import tokens
from aifactory_lab.access.gate import Gate
from aifactory_lab.access.tokens import Token
from aifactory_lab.errors import FactoryError

HERE = ["127.0.0.1", "127.9.9.9", "::1", "localhost"]
ELSEWHERE = [
    "0.0.0.0",
    "::",
    "",
    "10.0.0.7",
    "fd00::1",
    "gpu-7",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "127.1",
]


def refusal(gate: Gate, method: str = "GET", **headers: str) -> int:
    found = gate.refuses(method, [(name.encode(), value.encode()) for name, value in headers.items()])
    return found.status if found else 200


@pytest.mark.parametrize("host", HERE)
def test_on_this_machine_no_token_is_asked_for(host):
    assert not tokens.wanted(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_wherever_others_could_come_a_token_is_made_and_never_the_same(host):
    one, other = tokens.wanted(host), tokens.wanted(host)
    assert one.made
    assert len({one.value, other.value}) == 2
    assert len(one.value) >= 43, "256 bits"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_that_is_given_is_asked_for_everywhere(host, secret, monkeypatch, tmp_path):
    monkeypatch.setenv("AIFACTORY_TOKEN", secret)
    assert tokens.wanted(host) == Token(secret)
    file = tmp_path / "token"
    file.write_text(f"{secret[::-1]}\n")
    file.chmod(0o600)
    monkeypatch.setenv("AIFACTORY_TOKEN_FILE", str(file))
    assert tokens.wanted(host) == Token(secret[::-1]), "the file goes before the variable"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_or_write_is_refused_without_a_word_of_it(mode, secret, monkeypatch, tmp_path):
    file = tmp_path / "token"
    file.write_text(secret)
    file.chmod(mode)
    monkeypatch.setenv("AIFACTORY_TOKEN_FILE", str(file))
    with pytest.raises(FactoryError, match="not yours alone") as error:
        tokens.wanted("127.0.0.1")
    assert secret not in str(error.value)
    assert f"chmod 600 {file}" in error.value.mend


@pytest.mark.parametrize("value", ["", "/dev/null", "nowhere/at/all"])
def test_a_file_without_a_token_never_opens_the_server(value, monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    monkeypatch.setenv("AIFACTORY_TOKEN_FILE", value or str(empty))
    with pytest.raises(FactoryError, match=r"is empty|not yours alone|cannot be read"):
        tokens.wanted("127.0.0.1")


@pytest.mark.parametrize(
    "value", ["short", "fifteen-letters", "with a space in it, and long enough", "ümlaut" * 5, "x" * 1_025]
)
def test_a_token_that_is_weak_or_no_header_could_carry_is_refused(value, monkeypatch):
    monkeypatch.setenv("AIFACTORY_TOKEN", value)
    with pytest.raises(FactoryError, match=f"has {len(value)} characters") as error:
        tokens.wanted("127.0.0.1")
    assert value not in str(error.value)


@given(st.binary(max_size=80))
def test_nothing_but_the_token_fits(header):
    token = Token("a-token-of-the-tests")
    assert not token.fits(header)
    assert not token.fits(b"Bearer " + header)
    assert not token.fits(b"Basic " + header)


@pytest.mark.parametrize("user", [b"", b"aifactory", b"prometheus"])
def test_the_token_fits_as_a_bearer_and_as_a_password(user, secret):
    token, packed = Token(secret), base64.b64encode(user + b":" + secret.encode())
    for header in (b"Bearer " + secret.encode(), b"bearer  " + secret.encode(), b"Basic " + packed):
        assert token.fits(header)
        assert not token.fits(header[:-1])
        assert not token.fits(header.replace(b"Be", b"Di").replace(b"be", b"di").replace(b"Ba", b"Di"))
    assert not token.fits(secret.encode())


def test_no_repr_tells_a_token(secret):
    gate = Gate(Token(secret))
    assert secret not in f"{gate!r} {gate.token} {gate.token!r}"
    assert pickle.loads(pickle.dumps(gate)) == gate, "it is plain data, which a process may be told"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_token_that_was_made_is_shown_once_on_a_terminal_and_never_in_a_log(secret):
    screen, log = Terminal(), io.StringIO()
    tokens.show(Token(secret, made=True), screen)
    assert screen.getvalue().count(secret) == 1
    tokens.show(Token(secret), screen)
    assert screen.getvalue().count(secret) == 1, "one that was given is known"
    with pytest.raises(FactoryError, match="no terminal") as error:
        tokens.show(Token(secret, made=True), log)
    assert secret not in log.getvalue() + str(error.value)
    assert "AIFACTORY_TOKEN_FILE" in error.value.mend


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost", "lab.localhost:1", "10.0.0.7:1"]
)
def test_this_machine_is_heard_under_its_own_names(host):
    assert refusal(Gate.of("127.0.0.1"), host=host) == 200


@given(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){1,3}(:[0-9]{1,5})?", fullmatch=True))
def test_a_rebound_name_is_not_heard_whatever_it_is(host):
    name = host.partition(":")[0]
    if name.endswith(".localhost") or name.replace(".", "").isdigit():
        return
    gate = Gate.of("127.0.0.1")
    assert refusal(gate, host=host) == 403
    assert refusal(gate, host=host, origin=f"http://{host}") == 403


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://localhost:3000", "http://127.0.0.1:8000@evil.example", ""]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_page_of_another_site_changes_nothing(method, origin):
    gate = Gate.of("127.0.0.1")
    assert refusal(gate, method, host="127.0.0.1:8000", origin=origin) == 403
    assert refusal(gate, method, host="127.0.0.1:8000", origin="http://127.0.0.1:8000") == 200
    assert refusal(gate, method, host="127.0.0.1:8000") == 200, "a program sends no origin"


def test_a_proxy_in_front_is_named(monkeypatch):
    monkeypatch.setenv("AIFACTORY_HOSTS", "hub.example.org, Lab.example.org")
    gate = Gate.of("127.0.0.1")
    assert refusal(gate, host="hub.example.org") == refusal(gate, host="lab.example.org:443") == 200
    assert refusal(gate, "POST", host="127.0.0.1:8000", origin="https://hub.example.org") == 200
    assert refusal(gate, host="evil.example.org") == 403


def test_elsewhere_the_token_decides_and_the_name_does_not(secret):
    gate = Gate.of("0.0.0.0", Token(secret))
    assert refusal(gate, host="gpu-7.example.org:8000") == 401
    assert refusal(gate, host="gpu-7.example.org:8000", authorization=f"Bearer {secret}") == 200
    assert (
        refusal(gate, "POST", host="gpu-7:8000", origin="https://evil.example", authorization=f"Bearer {secret}") == 403
    )
    assert gate.refuses("GET", [(b"host", b"gpu-7")], open_to_all=True) is None
