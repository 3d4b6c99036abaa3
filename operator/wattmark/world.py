"""What the operator holds of the cluster: our own objects as kopf tells of them, the rest by reflectors."""

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wattmark import observe
from wattmark.api.schema import API_VERSION
from wattmark.cluster.client import Client
from wattmark.cluster.reflector import Name, Reflector
from wattmark.evidence import Run, Runs
from wattmark.fleet import nodes, slices
from wattmark.identity import BENCHMARK_JOB, KIND_LABEL, MODEL_CHECK, Key, run_name
from wattmark.observe import SeenJob, SeenPod
from wattmark.settings import Settings

PLURALS = {BENCHMARK_JOB: "benchmarkjobs", MODEL_CHECK: "modelchecks"}
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
LIVE_PODS = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
OURS = {"labelSelector": f"{KIND_LABEL} in ({BENCHMARK_JOB},{MODEL_CHECK})"}


def object_path(key: Key, subresource: str = "") -> str:
    """The API path of one of our objects."""
    tail = f"/{subresource}" if subresource else ""
    return f"/apis/{API_VERSION}/namespaces/{key.namespace}/{PLURALS[key.kind]}/{key.name}{tail}"


@dataclass(frozen=True, slots=True)
class Wake:
    """Whom to tell: of one key (urgently or not), all whose answer rests on nodes, or on a namespace's runs."""

    one: Callable[[Key, bool], None]
    fleet: Callable[[], None]
    learnt: Callable[[str], None]


class Held:
    """One of our objects. A finished one is packed: there may be thousands, and they are seldom looked at again."""

    __slots__ = ("_body", "finished", "uid", "version")

    def __init__(self, body: dict[str, Any]) -> None:
        self.uid = observe.text(body["metadata"].get("uid"))
        self.version = version(body)
        self.finished = "completionTime" in observe.mapping(body.get("status"))
        self._body = zlib.compress(json.dumps(body).encode(), 1) if self.finished else body

    @property
    def body(self) -> dict[str, Any]:
        """The object; not to be changed."""
        if isinstance(self._body, dict):
            return self._body
        unpacked: dict[str, Any] = json.loads(zlib.decompress(self._body))
        return unpacked


class World:
    """The stores, and the index from an object to its Pods."""

    def __init__(self, client: Client, settings: Settings, wake: Wake) -> None:
        self.objects: dict[Key, Held] = {}
        self.settings = settings
        self.runs = Runs(settings.evidence_namespaces)
        self.unread: set[Key] = set()  # BenchmarkJobs of before the start whose runs are not in `runs` yet
        self.fleet_version = 0  # counts the changes of nodes and of the Pods that hold GPUs
        self._wake = wake
        self._pods_of: dict[Key, dict[str, SeenPod]] = {}
        scope = f"namespaces/{settings.namespace}/" if settings.namespace else ""
        self.jobs = Reflector(client, f"/apis/batch/v1/{scope}jobs", observe.job, self._job_changed, OURS)
        self.pods = Reflector(client, f"/api/v1/{scope}pods", observe.pod, self._pod_changed, OURS)
        self.nodes = Reflector(client, "/api/v1/nodes", nodes.read_node, self._fleet_changed)
        self.slices = Reflector(client, SLICES, slices.read_slice, self._fleet_changed, optional=True)
        self.gpu_pods = Reflector(client, "/api/v1/pods", nodes.read_gpu_pod, self._fleet_changed, LIVE_PODS)

    @property
    def reflectors(self) -> list[Reflector[Any]]:
        """Those that the settings allow."""
        chosen: list[Reflector[Any]] = [self.jobs, self.pods]
        if self.settings.read_nodes:
            chosen += [self.nodes, self.slices]
            if self.settings.read_all_pods:
                chosen.append(self.gpu_pods)
        return chosen

    async def run(self) -> None:
        """Keep every reflector going until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self.reflectors:
                group.create_task(reflector.run())

    async def synced(self) -> None:
        """Return once every reflector has listed."""
        for reflector in self.reflectors:
            await reflector.synced.wait()

    def silence_seconds(self, loop_time: float) -> float:
        """How long the quietest watch has been silent, of those that there are."""
        return max(loop_time - r.last_heard for r in self.reflectors if not r.absent)

    def see(self, key: Key, body: dict[str, Any]) -> bool:
        """Take in one of our objects; False where what is held is as new."""
        held = self.objects.get(key)
        if held is not None and held.version >= version(body):
            return False  # also where it is of an earlier object of this name: news of each comes by its own way
        body["metadata"].pop("managedFields", None)
        self.objects[key] = Held(body)
        return True

    def body(self, key: Key) -> dict[str, Any] | None:
        """One of our objects as it was last seen; None where it is not held."""
        held = self.objects.get(key)
        return None if held is None else held.body

    def finished(self, key: Key) -> bool:
        """Whether one of our objects is held and over."""
        held = self.objects.get(key)
        return held is not None and held.finished

    def uid(self, key: Key) -> str | None:
        """UID of one of our objects; None where it is not held."""
        held = self.objects.get(key)
        return None if held is None else held.uid

    def forget(self, key: Key, uid: str | None) -> bool:
        """One of our objects is no more; False where what is held is another object of its name."""
        if key in self.objects and self.uid(key) != uid:
            return False
        self.objects.pop(key, None)
        return True

    def learn(self, key: Key, run: Run | None) -> None:
        """Hold what a finished BenchmarkJob says of other needs; None where it says nothing, or is no more."""
        if self.runs.put(key, run):
            self._wake.learnt(key.namespace)

    def pods_of(self, key: Key) -> tuple[SeenPod, ...]:
        """The Pods that carry the labels of this object's runs or traces."""
        return tuple(self._pods_of.get(key, {}).values())

    def own_pods(self) -> list[SeenPod]:
        """Pods of the runs themselves: of a Job that the BenchmarkJob of this name owns, not a namesake of either."""
        return [pod for pod in self.pods.items.values() if self._is_own(pod)]

    def _is_own(self, pod: SeenPod) -> bool:
        if pod.of_kind != BENCHMARK_JOB:
            return False  # a trace tells nothing while it runs
        job = self.jobs.items.get((pod.namespace, run_name(pod.of_name)))
        owner = self.uid(_of(pod))
        return job is not None and pod.owner_uid == job.uid and job.owner_uid == owner

    def _job_changed(self, name: Name, old: SeenJob | None, new: SeenJob | None) -> None:
        job = new or old
        if job is not None and job.owner_kind in PLURALS:
            self._wake.one(Key(job.owner_kind, job.namespace, job.owner_name), bool(new and new.failed_reason))

    def _pod_changed(self, name: Name, old: SeenPod | None, new: SeenPod | None) -> None:
        if old is not None and new is not None and _of(old) != _of(new):
            self._pod_changed(name, old, None)  # its label was edited
        pod = new or old
        if pod is None or pod.of_kind not in PLURALS or not pod.of_name:
            return
        pods = self._pods_of.setdefault(_of(pod), {})
        if new is None:
            pods.pop(pod.name, None)
            if not pods:
                del self._pods_of[_of(pod)]
        else:
            pods[new.name] = new
        self._wake.one(_of(pod), bool(new and (new.terminal or new.succeeded)))

    def _fleet_changed(self, name: Name, old: object, new: object) -> None:
        self.fleet_version += 1
        self._wake.fleet()


def _of(pod: SeenPod) -> Key:
    """The object that a Pod works for, by its labels."""
    return Key(pod.of_kind, pod.namespace, pod.of_name)


def version(body: dict[str, Any]) -> int:
    """The resource version as a number, as the API allows within one resource; 0 where it is none."""
    text = str(body["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdecimal() else 0
