"""Runs of a small model: what they write, and whether one went the way of another."""

import hashlib
import json
import os
import re
import shutil

from jobs import MPIRUN, Job, check

# A model that trains a step in milliseconds, on text that lies in the repository.
SMALL = [
    "--threads=1", "--model.dimension=16", "--model.depth=2", "--model.heads=2", "--training.batch=4",
    "--sequence.length=48", "--training.steps=12", "--checkpoint.every=4", "--evaluation.every=6",
    "--evaluation.tokens=192", "--data.path=data.txt", "--data.held_out=0.1",
]


class Run:
    """A run in a folder of its own."""

    def __init__(self, folder, program, ranks=2, arguments=(), name="run"):
        self.folder, self.program, self.ranks, self.name = folder, program, ranks, name
        self.arguments = list(arguments)
        os.makedirs(folder, exist_ok=True)
        data = os.path.join(folder, "data.txt")
        if not os.path.exists(data):
            source = os.path.join(os.path.dirname(MPIRUN), "..", "Docs", "LASP.md")
            with open(source, "rb") as file, open(data, "wb") as copy:
                copy.write(file.read()[:20000])

    def command(self, *more, ranks=None, limits=None):
        ranks = ranks or self.ranks
        # Limits of the ranks; what mpirun does without memory is not ours.
        limited = ["bash", "-c", f'{limits}; exec "$0" "$@"'] if limits else []
        return [MPIRUN, "-n", str(ranks), *limited, self.program, *SMALL, f"--training.name={self.name}",
                *self.arguments, *more]

    def start(self, *more, ranks=None, fault=None, environment=None, limits=None, **options):
        """Starts it, with a fault such as `forward:1:3:kill -KILL $PPID`, and limits such as `ulimit -v 100000`."""
        environment = dict(environment or {})
        if fault:
            environment["LASP_FAULT"] = fault
        return Job(self.folder, self.command(*more, ranks=ranks, limits=limits), environment, **options)

    def go(self, *more, **options):
        """Runs it to its end."""
        return self.start(*more, **options).wait()

    def dies(self, fault, *more):
        """Runs it until a rank is killed at a place such as `forward:1:7`."""
        result = self.start(*more, fault=f"{fault}:kill -KILL $PPID").wait()
        result.expect([1, 5, 137])
        return result

    def path(self, name):
        return os.path.join(self.folder, "runs", self.name, name)

    def events(self):
        """The log's events; each line must be whole, and no step may stand twice after one start."""
        events, done = [], 0
        if not os.path.exists(self.path("log.jsonl")):
            return events
        with open(self.path("log.jsonl"), encoding="utf-8") as file:
            text = file.read()
        check(not text or text.endswith("\n"), "the log ends within a line")
        for line in text.splitlines():
            event = json.loads(line)
            if event["event"] == "start":
                done = event["steps_done"]
            elif event["event"] == "step":
                check(event["step"] == done + 1, f"step {event['step']} follows step {done} in the log")
                done += 1
            events.append(event)
        return events

    def steps(self):
        """Loss and gradient norm of each step, the latest that was logged."""
        return {e["step"]: (e["loss"], e["grad_norm"]) for e in self.events() if e["event"] == "step"}

    def reason(self):
        """The reason of the last `end` event; nothing where the run was killed."""
        events = self.events()
        return events[-1].get("reason") if events and events[-1]["event"] == "end" else None

    def checkpoints(self):
        """Names of the checkpoints, oldest first."""
        folder = self.path("checkpoints")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(n for n in names if re.fullmatch(r"step-\d+", n))

    def model(self):
        """A hash of the final weights."""
        with open(self.path("model/model.safetensors"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def copy(self, folder):
        """The same run, with all that it has written, in another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Run(folder, self.program, self.ranks, self.arguments, self.name)

    def resumes(self, reference, *more, ranks=None, **options):
        """Goes on to the end, and checks that it ends where an undisturbed run does."""
        result = self.go("--training.resume=auto", *more, ranks=ranks, **options)
        result.expect(0)
        self.equals(
            reference, exactly=(ranks or self.ranks) == reference.ranks == self.ranks,
            # All was written, and only the log does not know.
            had_ended="nothing to do" in result.output)
        return result

    def equals(self, reference, exactly=True, had_ended=False):
        own, other = self.steps(), reference.steps()
        check(own.keys() == other.keys(), f"steps {sorted(own)} instead of {sorted(other)}")
        for step, numbers in own.items():
            for a, b in zip(numbers, other[step]):
                near = a == b if exactly else abs(a - b) <= 1e-5 * max(abs(a), abs(b))
                check(near, f"step {step} has {a} instead of {b}")
        check(not exactly or self.model() == reference.model(), "the final weights are others")
        check(had_ended or self.reason() == "finished", f"the log ends with {self.reason()}")
