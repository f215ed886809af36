"""Ways of a run: back and forth between ranks, other data, two at once, weights that are no numbers."""

import math
import os
import struct

from cases import case
from jobs import Job, check


def elastic(before, after, *more):
    def body(bench):
        run = bench.make(ranks=before)
        run.dies(f"forward:{before - 1}:7", *more)
        return run.resumes(bench.reference(ranks=before), *more, ranks=after)

    return body


for before, after in ((2, 1), (1, 2), (2, 3), (3, 2), (3, 1), (1, 3)):
    case(f"killed on {before}, goes on on {after}", short=(before, after) in ((3, 2), (1, 2)))(
        elastic(before, after))
case("killed with weights cut over ranks, goes on with whole ones on fewer")(
    elastic(3, 2, "--parallel.sharding=parameters"))


def all_finite(path):
    """Whether all numbers of a file of fp32 tensors are numbers."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    count = (len(data) - start) // 4
    return all(math.isfinite(n) for n in struct.unpack_from(f"<{count}f", data, start))


@case("weights that are no numbers: code 6, nothing such is saved", short=True)
def not_finite(bench):
    run = bench.make("--optimizer.learning_rate=3e38", "--checkpoint.keep=0")
    result = run.go()
    result.expect(6, seconds=60)
    for name in run.checkpoints():
        for file in ("model.safetensors", "optimizer.safetensors"):
            check(all_finite(run.path(f"checkpoints/{name}/{file}")), f"{file} of {name} holds what is no number")
    return result


@case("two runs in one folder: the second is refused", short=True)
def two_at_once(bench):
    run = bench.make()
    # The second is started within a step of the first.
    second = " ".join(f"'{word}'" for word in run.command("--overwrite", ranks=1))
    fault = f"forward:1:6:env -u LASP_FAULT $(env | grep -o '^OMPI_[^=]*\\|^PMIX_[^=]*' | sed 's/^/-u /') {second} >second 2>&1; echo $? >code"
    result = run.start(fault=fault).wait().expect(0)
    with open(os.path.join(run.folder, "code")) as file:
        code = int(file.read())
    check(code != 0, "the second run was not refused")
    run.equals(bench.reference())
    return result


def other(title, *arguments, accepted=False):
    """Going on with what makes it another run is refused by name."""

    def body(bench):
        run = bench.make("--checkpoint.background=false")
        run.dies("forward:1:7")
        result = run.go("--training.resume=auto", *arguments)
        key = arguments[0].split("=")[0].lstrip("-").split(".")[-1]
        result.expect([2, 4], key, seconds=60)
        run.resumes(bench.reference())
        return result

    case(f"goes on with another {title}", short=title == "batch")(body)


other("batch", "--training.batch=2")
other("length", "--sequence.length=24")
other("model", "--model.heads=4")
other("seed", "--training.seed=7")


@case("a finished run goes on: nothing to do, and nothing is lost")
def finished(bench):
    run = bench.reference(copy=True)
    before = run.model()
    result = run.go("--training.resume=auto").expect(0)
    check(run.model() == before, "the weights are others")
    return result


@case("a rank of another program", short=True)
def another_program(bench):
    run = bench.make()
    words = run.command("--parallel.timeout=3", ranks=1)
    command = [*words, ":", "-n", "1", "sleep", "1000"]
    return Job(run.folder, command).wait(90).expect([5, 1], seconds=90)


@case("a rank that ends well before it is one")
def ends_early(bench):
    run = bench.make()
    words = run.command("--parallel.timeout=3", ranks=1)
    return Job(run.folder, [*words, ":", "-n", "1", "true"]).wait(90).expect([5, 1], seconds=90)
