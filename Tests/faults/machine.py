"""What the machine has no more of: disk space, memory, files; output that nobody takes."""

import os
import pathlib
import shutil
import subprocess

from cases import case
from jobs import MPIRUN, check


def unprivileged(program):
    """Why a file system of its own cannot be made here; nothing where it can."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "not root"
    made = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
                          capture_output=True)
    return None if made.returncode == 0 else "no file system may be mounted"


def on_small_disk(run, size, *more, **options):
    """Runs in a file system of a size that the job alone sees; what it wrote is kept beside it."""
    kept = os.path.join(run.folder, "kept")
    script = (
        f'mount -t tmpfs -o size={size} none "$1/runs" && shift && "$@"; code=$?; '
        f'mkdir -p "{kept}" && cp -a "{run.folder}/runs/." "{kept}"; exit $code')
    os.makedirs(os.path.join(run.folder, "runs"), exist_ok=True)
    wrapper = ["unshare", "--mount", "bash", "-c", script, "bash", run.folder]
    result = run.start(*more, wrapper=wrapper, **options).wait()
    shutil.rmtree(os.path.join(run.folder, "runs"))
    os.rename(kept, os.path.join(run.folder, "runs"))
    return result


@case("a full disk", short=True, needs=unprivileged)
def full_disk(bench):
    run = bench.make("--checkpoint.keep=0")
    checkpoint = 260_000
    result = on_small_disk(run, f"{checkpoint}")
    check(result.code in (0, 7), f"code {result.code}: {result.output[-1000:]}")
    check("No space left" in result.output or "space" in result.output, result.output[-1000:])
    if run.checkpoints():
        run.resumes(bench.reference())
    return result


@case("files of 30 kB at most (ulimit -f)", short=True)
def short_files(bench):
    run = bench.make()
    result = run.start(limits="ulimit -f 30").wait().expect([0, 7], "File too large", seconds=60)
    if run.steps():
        run.go("--training.resume=auto").expect(0)
    return result


def few_files(number):
    def body(bench):
        run = bench.make()
        result = run.start("--parallel.timeout=10", limits=f"ulimit -n {number}").wait()
        return goes_on_or_is_equal(bench, run, result)

    return body


for number in (12, 20, 40, 64, 80):
    case(f"{number} open files at most (ulimit -n)", short=number == 20)(few_files(number))


@case("a stack of 200 kB at most (ulimit -s)")
def small_stack(bench):
    run = bench.make()
    # It is found out by a crash, which says so in a line.
    result = run.start("--parallel.timeout=10", limits="ulimit -s 200").wait()
    result.expect([0, 128 + 11], r"ulimit -s\b", seconds=60)
    return result


def goes_on_or_is_equal(bench, run, result):
    """What was too little ends in few words and loses nothing; what was enough changes nothing."""
    if result.code == 0:
        run.equals(bench.reference())
        return result
    # 127: the system could not even load the program.
    result.expect([7, 127])
    said = result.output.count("\n")
    check(said < 8 or "steps" in result.output and said < 40, f"{said} lines: {result.output[:1500]}")
    run.go("--training.resume=auto").expect(0)
    run.equals(bench.reference())
    return result


def memory(megabytes):
    def body(bench):
        run = bench.make()
        limits = f"ulimit -v {megabytes * 1024}"
        result = run.start("--parallel.timeout=10", limits=limits).wait(100)
        return goes_on_or_is_equal(bench, run, result)

    return body


for megabytes in (60, 120, 200, 300, 400, 500, 600, 700, 800, 1000):
    case(f"{megabytes} MB of addresses a rank (ulimit -v)", short=megabytes in (300, 700))(memory(megabytes))


@case("more threads than the system gives", short=True)
def many_threads(bench):
    run = bench.make()
    result = run.go("--threads=100000").expect([2, 7], seconds=60)
    check(result.output.count("\n") < 8, result.output[:1500])
    return result


for key, value in (("model.depth", 10**9), ("training.batch", 2**40), ("model.dimension", 10**15),
                   ("sequence.length", 2**50), ("model.heads", 2**40), ("evaluation.tokens", 2**62)):
    def huge(bench, key=key, value=value):
        result = bench.make().go(f"--{key}={value}").expect([2, 3, 7], seconds=60)
        check(result.output.count("\n") < 8, result.output[:1500])
        return result

    case(f"{key} = {value}", short=key == "training.batch")(huge)


def deaf(title, redirection):
    def body(bench):
        run = bench.make()
        wrapper = ["bash", "-c", f'"$@" {redirection}', "bash"]
        result = run.start(wrapper=wrapper).wait().expect(0, seconds=30)
        run.equals(bench.reference())
        return result

    case(title, short="full" in title)(body)


deaf("standard output is closed", ">&-")
deaf("standard output and error are closed", ">&- 2>&-")
deaf("standard output is full", ">/dev/full")
deaf("nobody reads standard output", "> >(exec true)")
deaf("all three standard streams are closed", "<&- >&- 2>&-")


@case("a pipe that is full and that nobody reads is the standard output", short=True)
def unread(bench):
    run = bench.make()
    script = 'mkfifo full; exec 9<>full; head -c 65536 /dev/zero >&9; "$@" >full 9>&-'
    result = run.start("--parallel.timeout=3", wrapper=["bash", "-c", script, "bash"]).wait()
    result.expect(0, seconds=40)
    run.equals(bench.reference())
    return result


# Somebody who is not root.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def no_other_user(program):
    """Why nobody else can be played here; nothing where one can."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return "not root"
    # Both are started by the other user, who must be let through all folders above them.
    for path in (program, MPIRUN):
        parts = pathlib.PurePath(path).parts
        for count in range(1, len(parts) + 1):
            part = os.path.join(*parts[:count])
            if subprocess.run(NOBODY + ["test", "-x", part]).returncode != 0:
                return f"{part} is closed to other users"
    return None


def not_allowed(title, path, mode, codes):
    """Somebody who is not root may not use a file or a folder."""

    def body(bench):
        run = bench.make()
        os.makedirs(run.path(""), exist_ok=True)
        subprocess.run(["chown", "-R", "65534:65534", run.folder], check=True)
        # The folders above must let everybody through.
        os.chmod(os.path.dirname(run.folder), 0o755)
        os.chmod(os.path.join(run.folder, path), mode)
        # Of the folder for temporary files that this user has, the other one may not be let in.
        place = {"HOME": "/tmp", "TMPDIR": "/tmp"}
        return run.start(wrapper=NOBODY, environment=place).wait().expect(
            codes, "Permission denied", seconds=60)

    case(f"another user: {title}", needs=no_other_user, short=title.startswith("the run"))(body)


not_allowed("data that may not be read", "data.txt", 0, 3)
not_allowed("the run's folder may not be written", "runs/run", 0o555, 1)
