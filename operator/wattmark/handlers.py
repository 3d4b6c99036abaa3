"""kopf: start-up, end, and the sensors of our two kinds. The only module that imports kopf."""

import asyncio
import contextlib
import dataclasses
import os
from typing import Any, cast

import kopf

from wattmark.api.schema import GROUP, VERSION
from wattmark.identity import BENCHMARK_JOB, MODEL_CHECK, Key
from wattmark.operation import Operation, operating
from wattmark.settings import Settings


def register(settings: Settings) -> kopf.OperatorRegistry:
    """The handlers of one operator with these settings."""
    registry = kopf.OperatorRegistry()
    stack = contextlib.AsyncExitStack()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
        _configure(settings)
        memo.operation, task = await stack.enter_async_context(operating(memo.settings))
        task.add_done_callback(_end_with)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await stack.aclose()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        inside = kopf.login_with_service_account(**kwargs)
        if inside is None:
            return kopf.login_with_kubeconfig(**kwargs)
        # kopf goes by the Service's name, which only a cluster with DNS can resolve; the address needs none.
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        address = f"[{host}]" if ":" in host else host
        return dataclasses.replace(inside, server=f"https://{address}:{port}")

    @kopf.on.event(GROUP, VERSION, "benchmarkjobs", registry=registry)
    async def benchmark_changed(memo: kopf.Memo, event: kopf.RawEvent, **_: Any) -> None:
        _sense(memo.operation, BENCHMARK_JOB, event)

    @kopf.on.event(GROUP, VERSION, "modelchecks", registry=registry)
    async def check_changed(memo: kopf.Memo, event: kopf.RawEvent, **_: Any) -> None:
        _sense(memo.operation, MODEL_CHECK, event)

    return registry


class _NoDiffs(kopf.DiffBaseStorage):
    """No handler of ours asks what changed, yet kopf copies each object deeply, at each event, in order to tell.

    That copying was two fifths of the operator's CPU.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.peering.standalone = True  # one replica; no peering resource that could pause it
    settings.scanning.disabled = True  # no watch of CRDs and namespaces, and no rights for it
    settings.posting.enabled = False  # Events are ours, posted after the status write
    settings.networking.request_timeout = 30
    # Never used, for no handler of ours needs them; if one ever does, they are ours and not kopf's.
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = _NoDiffs()


def _sense(operation: Operation, kind: str, event: kopf.RawEvent) -> None:
    body: dict[str, Any] = dict(cast("dict[str, Any]", event["object"]))
    metadata = body["metadata"] = dict(body["metadata"])
    key = Key(kind, metadata["namespace"], metadata["name"])
    if event["type"] == "DELETED":
        operation.gone(key, metadata.get("uid"))
    else:
        operation.seen(key, body)


def _end_with(task: asyncio.Task[None]) -> None:
    """A dead loop must not leave a live process behind: the kubelet starts a new one."""
    if not task.cancelled() and task.exception() is not None:
        os._exit(1)


def run(settings: Settings) -> None:
    """Operate until told to end."""
    kopf.run(
        registry=register(settings),
        memo=kopf.Memo(settings=settings),
        standalone=True,
        clusterwide=settings.namespace is None,
        namespaces=[settings.namespace] if settings.namespace else [],
    )
