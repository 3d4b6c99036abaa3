"""What finished BenchmarkJobs say of another need: Measured where they ran the same, else Calibrated. Pure."""

from wattmark.evidence.experience import NO_EXPERIENCE, Experience
from wattmark.evidence.lesson import NOTHING_LEARNT, Lesson, deepest, informed, must_be_offered
from wattmark.evidence.run import Run, read
from wattmark.evidence.store import Runs
from wattmark.evidence.subject import Subject, device, subject

__all__ = [
    "NOTHING_LEARNT",
    "NO_EXPERIENCE",
    "Experience",
    "Lesson",
    "Run",
    "Runs",
    "Subject",
    "deepest",
    "device",
    "informed",
    "must_be_offered",
    "read",
    "subject",
]
