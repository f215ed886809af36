"""Ranks that die, stand still or are asked to stop, in each phase of a run."""

from cases import case
from jobs import check

# Places of the program, in the order of a run, with the step in which they are meant; steps count from 1.
PHASES = {
    "start": ("start", 0), "world": ("world", 0), "data": ("data", 7), "forward": ("forward", 7),
    "state": ("forward state of layer", 7), "backward": ("backward", 7), "reduction": ("reduction", 7),
    "update": ("update", 7), "checkpoint": ("checkpoint", 8), "evaluation": ("evaluation", 6),
    "end": ("checkpoint", 12),
}
# Seconds that a rank may stand still in these tests.
PATIENCE = 3


def at(phase, rank, command):
    place, step = PHASES[phase]
    return f"{place}:{rank}:{step}:{command}"


def goes_on(bench, run):
    """A disturbed run goes on from what it has saved, or from nothing, to the end of an undisturbed one."""
    reference = bench.reference(ranks=run.ranks)
    if run.steps() or run.checkpoints():
        run.resumes(reference)
    else:
        run.go("--training.resume=auto").expect(0)
        run.equals(reference)


def killed(phase, rank):
    def body(bench):
        run = bench.make(ranks=3)
        result = run.start(fault=at(phase, rank, "kill -KILL $PPID")).wait()
        result.expect([5, 137, 1], seconds=60)
        goes_on(bench, run)
        return result

    return body


def stopped(phase, rank):
    def body(bench):
        run = bench.make(ranks=3)
        job = run.start(f"--parallel.timeout={PATIENCE}", fault=at(phase, rank, "kill -STOP $PPID"))
        result = job.wait()
        result.expect(5, rf"rank {rank}\b|a rank on this host", seconds=PATIENCE + 60)
        goes_on(bench, run)
        return result

    return body


def asked(phase, name, whom):
    """A signal to a rank, to mpirun or to Launch/mpirun: a checkpoint and code 75, or the end where all is done."""
    command = {
        "a rank": f"kill -{name} $PPID",
        "mpirun": f"read -r _ _ _ parent _ </proc/$PPID/stat; kill -{name} $parent",
        "Launch/mpirun": f"read -r _ _ _ p _ </proc/$PPID/stat; read -r _ _ _ p _ </proc/$p/stat; kill -{name} $p",
    }[whom]

    def body(bench):
        run = bench.make(ranks=2)
        result = run.start(fault=at(phase, 1, command)).wait()
        late = phase == "end"
        result.expect([75] + ([0] if late else []), seconds=60)
        if result.code == 75:
            check("signal" in (run.reason() or "signal"), f"the log ends with {run.reason()}")
        goes_on(bench, run)
        return result

    return body


for index, phase in enumerate(PHASES):
    rank = index % 3
    case(f"kill -9 rank {rank}, {phase}", short=phase in ("forward", "state", "checkpoint", "end"))(
        killed(phase, rank))
    case(f"stop rank {rank}, {phase}", short=phase in ("world", "state", "reduction"))(
        stopped(phase, rank))
    case(f"stop rank {(rank + 1) % 3}, {phase}")(stopped(phase, (rank + 1) % 3))
    case(f"TERM to Launch/mpirun, {phase}", short=phase in ("start", "evaluation"))(
        asked(phase, "TERM", "Launch/mpirun"))
    case(f"USR1 to mpirun, {phase}", short=phase == "backward")(asked(phase, "USR1", "mpirun"))
    case(f"INT to a rank, {phase}", short=phase == "data")(asked(phase, "INT", "a rank"))
    case(f"HUP to a rank, {phase}", short=phase == "forward")(asked(phase, "HUP", "a rank"))


@case("USR2 to a rank: a checkpoint, and on", short=True)
def saves(bench):
    run = bench.make("--checkpoint.every=0", "--checkpoint.keep=0")
    result = run.start(fault="forward:1:5:kill -USR2 $PPID").wait().expect(0)
    check("step-00000005" in run.checkpoints(), f"checkpoints {run.checkpoints()}")
    run.equals(bench.reference())
    return result


@case("SEGV in a rank: one line with rank and phase", short=True)
def crashes(bench):
    run = bench.make()
    result = run.start(fault="forward:1:7:kill -SEGV $PPID").wait()
    result.expect([128 + 11, 5, 1], r"rank 1 \(.*\): ended by SIGSEGV", seconds=60)
    goes_on(bench, run)
    return result


@case("mpirun is killed")
def launcher_dies(bench):
    run = bench.make()
    result = run.start(fault="forward:1:7:read -r _ _ _ p _ </proc/$PPID/stat; kill -KILL $p").wait()
    result.expect([137, 5, 1], seconds=60)
    goes_on(bench, run)
    return result


@case("mpirun stands still", short=True)
def launcher_stands(bench):
    run = bench.make(ranks=2)
    fault = "forward:1:7:read -r _ _ _ p _ </proc/$PPID/stat; kill -STOP $p"
    # The ranks need no mpirun until they end.
    result = run.start(f"--parallel.timeout={PATIENCE}", fault=fault).wait()
    result.expect(5, "mpirun .* has been stopped", seconds=60)
    goes_on(bench, run)
    return result
