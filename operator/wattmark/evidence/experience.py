"""Many finished runs, found again by what they have in common with a question."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from wattmark.estimate.calibration import VARIANCES, Correlations, Deviation, Share
from wattmark.estimate.interval import Interval
from wattmark.estimate.repeatability import MARGINS, around
from wattmark.evidence.lesson import NOTHING_LEARNT, Lesson
from wattmark.evidence.run import Figure, Run, Sizes
from wattmark.evidence.subject import Subject

# The likest runs that are listened to. More add little, for what they share among each other counts once, and time.
MOST_OF_MODEL, MOST_OF_KIND, MOST = 6, 10, 12
MOST_LOOKED_AT = 64
MOST_MEASURED = 32
MOST_NAMES = 3


class Experience:
    """Finished runs that may speak for each other; not to be changed. What it says is worked out once a question."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._same: dict[int, list[Run]] = {}  # by question, the oldest first, as all of these
        self._of_model: dict[tuple[int, str], list[Run]] = {}
        self._devices_of: dict[int, dict[str, None]] = {}
        # The newest run of each model is enough where the model differs.
        self._of_kind: dict[str, dict[tuple[int, str], Run]] = {}
        self._on_device: dict[str, dict[int, Run]] = {}
        self._lessons: dict[tuple[Subject, str | None], Lesson] = {}
        for _, run in sorted(((run.sizes.ended, run) for run in runs), key=lambda one: (one[0], one[1].name)):
            self._take(run)

    def _take(self, run: Run) -> None:
        about, device = run.subject, run.device
        self._same.setdefault(about.question, []).append(run)
        if not run.enough:
            return
        self._of_model.setdefault((about.model, device), []).append(run)
        self._devices_of.setdefault(about.model, {})[device] = None
        of_kind = self._of_kind.setdefault(about.kind, {})
        of_kind.pop((about.model, device), None)
        of_kind[about.model, device] = run
        on_device = self._on_device.setdefault(device, {})
        on_device.pop(about.model, None)
        on_device[about.model] = run

    def __bool__(self) -> bool:
        """Whether there is any run."""
        return bool(self._same)

    def lesson(self, about: Subject, device: str | None) -> Lesson:
        """What the runs say of this question on this device; `device` is None where it is not known."""
        if not self:
            return NOTHING_LEARNT
        key = about, device
        if key not in self._lessons:
            self._lessons[key] = self._learn(about, device)
        return self._lessons[key]

    def _learn(self, about: Subject, device: str | None) -> Lesson:
        same = [run for run in self._same.get(about.question, ()) if run.device == device]
        failed = [] if any(run.enough for run in same) else [run.sizes for run in same]
        ran = [run for run in same if run.enough and run.comparable][-MOST_MEASURED:]
        sizes = [run.sizes for run in ran]
        measured = tuple(_measured(figure, sizes) for figure in Figure)
        too_little = tuple(
            max((s for one in failed if (s := one.measured[f]) is not None), default=None) for f in Figure
        )
        alike = list(self._alike(about, device))
        spoke = ran[::-1] or alike or same[::-1]
        return Lesson(
            measured,
            _deviations(about, device, alike),
            too_little,
            same=len(ran),
            alike=len(alike),
            names=tuple((run.namespace, run.name) for run in spoke[:MOST_NAMES]),
        )

    def _alike(self, about: Subject, device: str | None) -> Iterator[Run]:
        """The likest runs, no two of the same question on the same device, the likest first."""
        seen: set[tuple[int, str]] = set()

        def fresh(runs: Iterable[Run], most: int) -> Iterator[Run]:
            for run in islice(runs, MOST_LOOKED_AT):
                if len(seen) >= most:
                    return
                key = run.subject.question, run.device
                if key not in seen:
                    seen.add(key)
                    yield run

        own = (run for run in reversed(self._same.get(about.question, ())) if run.enough)
        here = () if device is None else reversed(self._of_model.get((about.model, device), ()))
        devices = self._devices_of.get(about.model, {})
        elsewhere = chain.from_iterable(reversed(self._of_model[about.model, d]) for d in devices if d != device)
        of_kind = self._of_kind.get(about.kind, {})
        on_device = {} if device is None else self._on_device.get(device, {})
        yield from fresh(own, MOST_OF_MODEL)
        yield from fresh(here, MOST_OF_MODEL)
        yield from fresh(elsewhere, MOST_OF_MODEL)
        yield from fresh((run for run in reversed(of_kind.values()) if run.device == device), MOST_OF_KIND)
        yield from fresh(reversed(of_kind.values()), MOST_OF_KIND)
        yield from fresh(reversed(on_device.values()), MOST)


NO_EXPERIENCE = Experience()


def _measured(figure: Figure, runs: list[Sizes]) -> Interval | None:
    sizes = [size for run in runs if (size := run.measured[figure]) is not None]
    return around(sizes, MARGINS[figure.name]) if sizes else None


def _deviations(about: Subject, device: str | None, alike: list[Run]) -> tuple[Deviation | None, ...]:
    residuals = [run.sizes.residuals for run in alike]
    solved: dict[tuple[int, ...], Correlations] = {}
    found: list[Deviation | None] = []
    for figure in Figure:
        said = tuple(at for at, one in enumerate(residuals) if one[figure] is not None)
        if not said:
            found.append(None)
            continue
        if said not in solved:
            solved[said] = _correlations(about, device, [alike[at] for at in said])
        found.append(solved[said].expect([value for at in said if (value := residuals[at][figure]) is not None]))
    return tuple(found)


def _correlations(about: Subject, device: str | None, runs: list[Run]) -> Correlations:
    subjects = [run.subject for run in runs]
    known = list(zip(subjects, (run.device for run in runs), strict=True))
    among = [
        [1.0 if i == j else shared(*one, *other) for j, other in enumerate(known[: i + 1])]
        for i, one in enumerate(known)
    ]
    return Correlations(among, [shared(about, device, *one) for one in known])


def shared(about: Subject, device: str | None, other: Subject, other_device: str | None) -> float:
    """Part of a residual's variance that two different runs have in common."""
    common = VARIANCES[Share.DEVICE] if device == other_device else 0.0
    if about.kind == other.kind:
        common += VARIANCES[Share.KIND]
        if about.model == other.model:
            common += VARIANCES[Share.MODEL]
            if about.question == other.question:
                common += VARIANCES[Share.QUESTION]
    return common
