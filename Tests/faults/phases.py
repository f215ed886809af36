"""Ranks that die, stand still or are asked to stop, in each phase of a run."""

from cases import case
from jobs import check

# Places of the program, in the order of a run, with the step in which they are meant; steps count from 1.
PHASES = {
    "start": ("start", 0), "world": ("world", 0), "data": ("data", 7), "forward": ("forward", 7),
    "state": ("forward state of layer", 0), "backward": ("backward", 7), "reduction": ("reduction", 7),
    "update": ("update", 7), "checkpoint": ("checkpoint", 8), "writing": ("writing", 0),
    "evaluation": ("evaluation", 6), "end": ("checkpoint", 12), "model": ("model file", 12),
    "ending": ("ending", 0), "finalize": ("finalize", 0), "exit": ("exit", 0),
}
# Where all is done, or is being done whatever is asked.
LATE = ("end", "model", "ending", "finalize", "exit")
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
        codes = [75] + ([0] if phase in LATE else [])
        if (phase, whom, name) == ("start", "mpirun", "USR1"):
            # mpirun hands it on at once, to a rank that perhaps has not come to main yet; Launch/mpirun waits for that.
            codes.append(128 + 10)
        result.expect(codes, seconds=60)
        if result.code == 75:
            check("signal" in (run.reason() or "signal"), f"the log ends with {run.reason()}")
        goes_on(bench, run)
        return result

    return body


for index, phase in enumerate(PHASES):
    rank = index % 3
    case(f"kill -9 rank {rank}, {phase}", short=phase in ("forward", "writing", "evaluation", "finalize"))(
        killed(phase, rank))
    case(f"stop rank {rank}, {phase}", short=phase in ("world", "state", "checkpoint", "finalize"))(
        stopped(phase, rank))
    case(f"stop rank {(rank + 1) % 3}, {phase}")(stopped(phase, (rank + 1) % 3))
    case(f"TERM to Launch/mpirun, {phase}", short=phase in ("start", "evaluation"))(
        asked(phase, "TERM", "Launch/mpirun"))
    case(f"USR1 to mpirun, {phase}", short=phase == "backward")(asked(phase, "USR1", "mpirun"))
    case(f"INT to a rank, {phase}", short=phase == "data")(asked(phase, "INT", "a rank"))
    case(f"HUP to a rank, {phase}", short=phase == "forward")(asked(phase, "HUP", "a rank"))


def saves(place, step):
    def body(bench):
        run = bench.make("--checkpoint.every=0", "--checkpoint.keep=0")
        result = run.start(fault=f"{place}:1:{step}:kill -USR2 $PPID").wait().expect(0)
        check(run.checkpoints()[0] in (f"step-{step:08}", f"step-{step + 1:08}"), f"checkpoints {run.checkpoints()}")
        run.equals(bench.reference())
        return result

    return body


for phase in ("data", "forward", "reduction", "evaluation"):
    case(f"USR2 to a rank, {phase}: a checkpoint, and on", short=phase == "forward")(
        saves(PHASES[phase][0], 6))


def undisturbed(title, fault, short=False):
    """What is no reason to end."""

    def body(bench):
        run = bench.make()
        result = run.start(f"--parallel.timeout={PATIENCE}", fault=fault).wait().expect(0, seconds=60)
        run.equals(bench.reference())
        return result

    case(title, short=short)(body)


for phase in ("start", "forward", "checkpoint", "finalize"):
    undisturbed(f"PIPE to a rank, {phase}: nothing comes of it", at(phase, 1, "kill -PIPE $PPID"), phase == "forward")
for phase in ("forward", "evaluation"):
    undisturbed(
        f"a rank stops for a second and goes on, {phase}",
        at(phase, 1, "(sleep 1; kill -CONT $PPID) & kill -STOP $PPID; wait"), phase == "evaluation")
undisturbed("a disk that needs twice parallel.timeout for a checkpoint", f"writing:1:0:sleep {2 * PATIENCE}")


@case("a disk that never comes back: the rank that waits for it is named")
def disk_stands(bench):
    run = bench.make()
    fault = "writing:1:0:while kill -0 $PPID; do sleep 0.2; done 2>/dev/null"
    result = run.start("--parallel.timeout=1", fault=fault).wait()
    result.expect(7, r"rank 1 \(.*\) could not finish writing the checkpoint after step 4", seconds=60)
    goes_on(bench, run)
    return result


def twice(bench):
    """The second SIGINT to Launch/mpirun ends the job at once."""
    run = bench.make()
    fault = ("forward:1:7:trap '' USR1; read -r _ _ _ p _ </proc/$PPID/stat; read -r _ _ _ p _ </proc/$p/stat; "
             "kill -INT $p; sleep 0.5; kill -INT $p; sleep 60")
    job = run.start(fault=fault)
    result = job.wait()
    check(result.code not in (0, 75), f"code {result.code}")
    check(result.seconds < 40, f"it took {result.seconds:.0f} s")
    goes_on(bench, run)
    return result


case("INT to Launch/mpirun, twice: the job ends at once")(twice)


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
