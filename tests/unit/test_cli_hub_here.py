"""`wattmark check` asks a public hub for a model that the registry does not know, unless it is told not to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from wattmark.api.conditions import Reason
from wattmark.api.model import ModelSpec
from wattmark.cli.hub_here import facts_here
from wattmark.model_facts import Facts, Refusal
from wattmark.models import Architecture, lookup

GPT2 = lookup("gpt2")
UNHEARD_OF = ModelSpec.model_validate({"id": "org/unheard-of"})


@contextmanager
def hub(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A hub that gives one answer to all, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_model_of_the_hub_is_answered_for_like_any(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert GPT2 is not None
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with hub(200, json.dumps(dict(GPT2.config)).encode()) as (endpoint, asked):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        found = facts_here(UNHEARD_OF)
    assert isinstance(found, Facts) and isinstance(found.architecture, Architecture)
    assert found.architecture.model_type == "gpt2"
    assert asked == ["/org/unheard-of/resolve/main/config.json"]
    assert f"{endpoint} is asked for it" in capsys.readouterr().err


def test_a_known_model_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with hub(500, b"") as (endpoint, asked):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert isinstance(facts_here(ModelSpec.model_validate({"id": "gpt2"})), Facts)
    assert asked == []


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        pytest.param(404, Reason.UNKNOWN_MODEL, "has no model", id="it has no such model"),
        pytest.param(401, Reason.UNKNOWN_MODEL, "gated", id="it does not give it to everybody"),
        pytest.param(503, Reason.HUB_UNREACHABLE, "--config takes", id="it does not answer"),
    ],
)
def test_what_the_hub_does_not_give_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, status: int, reason: Reason, words: str
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with hub(status, b"") as (endpoint, _):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        found = facts_here(UNHEARD_OF)
    assert isinstance(found, Refusal) and found.reason is reason and words in found.message


def test_offline_no_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with hub(200, b"{}") as (endpoint, asked):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        found = facts_here(UNHEARD_OF)
    assert asked == []
    assert isinstance(found, Refusal) and "HF_HUB_OFFLINE" in found.message
