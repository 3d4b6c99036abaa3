"""Requests to the API server through `kubectl proxy`, and watches that remember what they saw and when."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

Body = dict[str, Any]
JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
SECONDS = 90.0  # a wait that lasts longer fails the test; no promise is measured by it


@dataclass(frozen=True)
class Api:
    """Plain HTTP on loopback; the proxy brings the credentials. `user` is impersonated where it is set."""

    port: int
    user: str = ""

    def impersonating(self, user: str) -> "Api":
        """The same API server, as another user."""
        return replace(self, user=user)

    def ask(self, method: str, path: str, body: Body | None = None, kind: str = JSON) -> tuple[int, Body]:
        """Status code and parsed body, a refusal included."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers(kind))
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else {"message": text.decode()}
        finally:
            connection.close()

    def get(self, path: str) -> Body | None:
        """An object or list; None where there is none."""
        status, body = self.ask("GET", path)
        assert status in (200, 404), body
        return body if status == 200 else None

    def create(self, path: str, body: Body) -> Body:
        status, answer = self.ask("POST", path, body)
        assert status == 201, answer
        return answer

    def patch(self, path: str, body: Body) -> Body:
        status, answer = self.ask("PATCH", path, body, MERGE_PATCH)
        assert status == 200, answer
        return answer

    def delete(self, path: str, **options: Any) -> None:
        """Delete; gone already is fine."""
        status, answer = self.ask("DELETE", path, options)
        assert status in (200, 202, 404), answer

    @contextmanager
    def stream(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """An answer that is read while it arrives."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", path, headers=self._headers(JSON))
            yield connection.getresponse()
        finally:
            connection.close()

    def _headers(self, kind: str) -> dict[str, str]:
        return {"Content-Type": kind, **({"Impersonate-User": self.user} if self.user else {})}


@contextmanager
def reaching(kubectl: str, environment: dict[str, str]) -> Iterator[Api]:
    """A `kubectl proxy` for as long as the block lasts."""
    command = [kubectl, "proxy", "--port=0", "--accept-hosts=^127.0.0.1$"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            greeting = proxy.stdout.readline()  # Starting to serve on 127.0.0.1:PORT
            yield Api(int(greeting.rsplit(":", 1)[1]))
        finally:
            proxy.terminate()


@dataclass(frozen=True)
class Sight:
    """One version of an object as a watch brought it. `at` is in monotonic seconds."""

    at: float
    kind: str  # ADDED, MODIFIED or DELETED
    body: Body

    @property
    def version(self) -> int:
        return int(self.body["metadata"]["resourceVersion"])


class Recorder:
    """Watches one list from its present state on, and keeps every version it sees."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path
        self._news = threading.Condition()
        self._sights: list[Sight] = []
        self._over = False
        listed = api.get(path)
        assert listed is not None, path
        self._keep([Sight(time.monotonic(), "ADDED", item) for item in listed["items"]])
        self._version = listed["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer; the thread ends with the server's next word."""
        self._over = True

    def of(self, name: str) -> list[Sight]:
        """Every version that was seen of objects with this name, oldest first."""
        with self._news:
            return [s for s in self._sights if s.body["metadata"]["name"] == name]

    def all(self) -> list[Sight]:
        """Every version of every object."""
        with self._news:
            return list(self._sights)

    def newest(self, name: str) -> Body | None:
        """The object as it is now; None where it is gone or never was."""
        seen = self.of(name)
        return seen[-1].body if seen and seen[-1].kind != "DELETED" else None

    def wait(self, what: str, true: Callable[[Sight], bool], seconds: float = SECONDS) -> Sight:
        """The first sight, past ones included, for which `true` holds."""
        deadline, looked_at = time.monotonic() + seconds, 0
        with self._news:
            while True:
                for sight in self._sights[looked_at:]:
                    if true(sight):
                        return sight
                looked_at = len(self._sights)
                if not self._news.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() > deadline:
                    break
        last = {s.body["metadata"]["name"]: _standing(s.body) for s in self.all()}
        raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen at {self._path}: {json.dumps(last)}")

    def gone(self, name: str, seconds: float = SECONDS) -> Sight:
        """The deletion of the object that has this name now, or last had it."""
        return self.wait(f"{name} gone", lambda s: s.kind == "DELETED" and s.body["metadata"]["name"] == name, seconds)

    def _keep(self, sights: list[Sight]) -> None:
        with self._news:
            self._sights.extend(sights)
            self._news.notify_all()

    def _watch(self) -> None:
        while not self._over:
            # The proxy or the API server may go away with the test session; there is nobody left to tell then.
            with suppress(OSError, http.client.HTTPException):
                query = f"watch=1&allowWatchBookmarks=true&resourceVersion={self._version}"
                with self._api.stream(f"{self._path}?{query}") as answer:
                    for line in answer:
                        self._take(json.loads(line))
            time.sleep(0.1)

    def _take(self, event: Body) -> None:
        body = event["object"]
        assert event["type"] != "ERROR", body
        self._version = body["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self._keep([Sight(time.monotonic(), event["type"], body)])


def _standing(body: Body) -> Body:
    """Where an object stands, for the message of a wait that was in vain."""
    status = body.get("status", {})
    conditions = [{k: c.get(k) for k in ("type", "status", "reason", "message")} for c in status.get("conditions", [])]
    return {"phase": status.get("phase"), "conditions": conditions[-3:]}
