"""Data, folders and files that change, or are other things than they seem."""

import os
import shutil

from cases import case
from jobs import MPIRUN, Job, check


# A checkpoint is whole before the run goes on.
WHOLE = "--checkpoint.background=false"


def shrinks(bench, run, fault, pattern, names=("data.txt",)):
    """Data are damaged at a step: code 3 and a sentence; restored, the run goes on to the same end."""
    for name in names:
        shutil.copy(os.path.join(run.folder, name), os.path.join(run.folder, name + ".good"))
    reference = bench.reference(*run.arguments, ranks=run.ranks, like=run)
    result = run.start(fault=fault).wait().expect(3, pattern, seconds=60)
    check(run.checkpoints(), "there is no checkpoint")
    for name in names:
        shutil.copy(os.path.join(run.folder, name + ".good"), os.path.join(run.folder, name))
    run.resumes(reference)
    return result


@case("the data file is cut to nothing while it is read", short=True)
def cut_to_nothing(bench):
    return shrinks(bench, bench.make(WHOLE), "forward:0:6:: >data.txt", r"data.txt: it was changed meanwhile")


@case("the data file is cut in half while it is read")
def cut_in_half(bench):
    return shrinks(bench, bench.make(WHOLE, ranks=3), "forward:1:6:truncate -s 3000 data.txt",
                   r"data.txt: it was changed meanwhile, and ends at byte 3000")


TOKENS = (WHOLE, "--data.token_bytes=2", "--model.vocabulary=300")


def tokens(run):
    with open(os.path.join(run.folder, "data.txt"), "wb") as file:
        for place in range(10000):
            file.write((place * 7 % 300).to_bytes(2, "little"))


@case("tokens beyond the vocabulary while they are read", short=True)
def beyond(bench):
    run = bench.make(*TOKENS, prepare=tokens)
    fault = r"forward:1:6:head -c 20000 /dev/zero | tr '\0' '\377' >new && cat new >data.txt"
    return shrinks(bench, run, fault, r"has token 65535 at position \d+, beyond the vocabulary of 300")


@case("another file takes the place of the data")
def renamed(bench):
    run = bench.make()
    result = run.start(fault="forward:1:6:echo x >new && mv new data.txt").wait().expect(0)
    run.equals(bench.reference())
    return result


@case("the folder of the run disappears while it trains")
def folder_gone(bench):
    run = bench.make()
    result = run.start(fault="forward:1:6:mv runs/run runs/away").wait()
    check(result.code in (0, 1, 3, 4, 7, 75), f"code {result.code}: {result.output[-800:]}")
    check("runs/run" in result.output, result.output[-800:])
    return result


def instead(title, make, pattern, short=False):
    """Something else stands where the data should."""

    def body(bench):
        run = bench.make()
        path = os.path.join(run.folder, "data.txt")
        os.remove(path)
        make(path)
        return run.go().expect(3, pattern, seconds=30)

    case(f"data: {title}", short=short)(body)


instead("a pipe", os.mkfifo, "data.txt: it is a pipe", short=True)
instead("a folder", os.mkdir, "data.txt")
instead("a device", lambda path: os.symlink("/dev/zero", path), "data.txt: it is a device")
instead("an empty file", lambda path: open(path, "w").close(), "is empty")
instead("nothing", lambda path: None, "No such file")
instead("a link to itself", lambda path: os.symlink("data.txt", path), "data.txt")


def run_file(title, text, pattern, codes=2):
    """A hostile run file."""

    def body(bench):
        run = bench.make()
        with open(os.path.join(run.folder, "run.yaml"), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        command = [MPIRUN, "-n", "2", run.program, "run.yaml"]
        return Job(run.folder, command).wait().expect(codes, pattern, seconds=60)

    case(f"run file: {title}")(body)


BOMB = "model:\n- &a0 1\n" + "\n".join(f"- &a{i} {{? [*a{i-1}, *a{i-1}] : 1}}" for i in range(1, 40))
run_file("anchors within anchors as keys", BOMB, "refers to anchors")
run_file("nested ten thousand deep", "model: " + "[" * 10000, "run.yaml")
run_file("bytes that are no text", b"\xff\xfe\0\1", "not UTF-8")
run_file("a key a thousand times", "model:\n" + "  heads: 2\n" * 1000, "more than once")


def output(title, prepare, pattern):
    """Where `evaluate --output` would write, something stands that is never replaced."""

    def body(bench):
        run = bench.reference(copy=True)
        path = os.path.join(run.folder, "out")
        prepare(path)
        kind = os.lstat(path).st_mode
        command = [run.program, "evaluate", "runs/run/model", "--task", "copy", "--lengths", "64", "--output", "out"]
        result = Job(run.folder, command).wait()
        check(result.code != 0, "it was written")
        result.expect(result.code, pattern, seconds=60)
        check(os.lstat(path).st_mode == kind, "it was replaced")
        return result

    case(f"output: {title}", short=title == "a pipe")(body)


output("a pipe", os.mkfifo, "it is a pipe, which is never replaced")
output("a link", lambda path: os.symlink("data.txt", path), "it is a link, which is never replaced")
output("a folder", os.mkdir, "out")


def in_the_way(title, name, make, codes=0, short=False):
    """Something else stands where the run writes; what a link leads to is never changed."""

    def body(bench):
        run = bench.make()
        os.makedirs(run.path(""))
        with open(os.path.join(run.folder, "precious"), "w") as file:
            file.write("x")
        make(run.path(name))
        result = run.start("--overwrite", "--parallel.timeout=5").wait().expect(codes, seconds=60)
        with open(os.path.join(run.folder, "precious")) as file:
            check(file.read() == "x", "it was written through the link")
        if result.code == 0:
            run.equals(bench.reference())
        return result

    case(f"in the way: {title}", short=short)(body)


def to_precious(path):
    os.symlink(os.path.relpath("precious", "runs/run"), path)


in_the_way("the log is a link", "log.jsonl", to_precious, short=True)
in_the_way("the log is a pipe", "log.jsonl", os.mkfifo)
in_the_way("the model is a link", "model", to_precious)
in_the_way("checkpoints is a file", "checkpoints", lambda path: open(path, "w").close(), (0, 1, 4, 7))
in_the_way("checkpoints is a pipe", "checkpoints", os.mkfifo, (0, 1, 4, 7))
in_the_way("the lock is a folder", "writer.json", os.mkdir, (1, 2))
in_the_way("the lock is empty", "writer.json", lambda path: open(path, "w").close(), (0, 2))


def meanwhile(title, place, step, command, codes=(0, 1, 4, 7)):
    """What lies in the run's folder goes or changes while it trains; the run ends by itself, whatever is left."""

    def body(bench):
        run = bench.make(WHOLE)
        result = run.start("--parallel.timeout=5", fault=f"{place}:0:{step}:{command}").wait()
        result.expect(codes, seconds=60)
        if result.code == 0:
            check(run.model() == bench.reference().model(), "the final weights are others")
        return result

    case(f"meanwhile: {title}")(body)


meanwhile("the log is cut to nothing", "update", 3, ": >runs/run/log.jsonl", 0)
meanwhile("the log goes", "update", 3, "rm runs/run/log.jsonl", 0)
meanwhile("the lock goes", "update", 3, "rm runs/run/writer.json", 0)
meanwhile("all checkpoints go", "evaluation", 6, "rm -rf runs/run/checkpoints", 0)
meanwhile("a folder of the next checkpoint's name", "update", 3, "mkdir -p runs/run/checkpoints/step-00000004/x")
meanwhile("a link in the place of the checkpoints", "evaluation", 6, "rm -rf runs/run/checkpoints; ln -s /nowhere/x runs/run/checkpoints")
meanwhile("a file in the place of the model", "model file", 0, "echo x >runs/run/model")
