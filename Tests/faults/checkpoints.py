"""Damage to the files of the newest checkpoint: it costs an interval, and not the run."""

import os

from cases import case
from jobs import Job, check


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def emptied(path):
    os.truncate(path, 0)


def flipped(path):
    with open(path, "r+b") as file:
        place = os.path.getsize(path) * 2 // 3
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def zeroed(path):
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        file.seek(size // 2)
        file.write(b"\0" * min(4096, size - size // 2))


def missing(path):
    os.remove(path)


def replaced(path):
    """A pipe stands where the file was."""
    os.remove(path)
    os.mkfifo(path)


DAMAGES = {"cut": cut, "empty": emptied, "bit flipped": flipped, "page of zeros": zeroed,
           "missing": missing, "a pipe": replaced}
FILES = ("state.json", "optimizer.safetensors", "model.safetensors", "config.json")


def damaged(name, damage):
    def body(bench):
        # It dies behind the second checkpoint, which is whole.
        run = bench.make("--checkpoint.keep=0", "--checkpoint.background=false")
        run.dies("forward:1:10")
        newest = run.checkpoints()[-1]
        check(newest == "step-00000008", f"the newest checkpoint is {newest}")
        damage(run.path(f"checkpoints/{newest}/{name}"))
        result = run.resumes(bench.reference())
        check(newest in result.output, f"nothing is said of {newest}: {result.output[-800:]}")
        return result

    return body


for name in FILES:
    for title, damage in DAMAGES.items():
        short = (name, title) in (
            ("state.json", "missing"), ("state.json", "cut"), ("optimizer.safetensors", "cut"),
            ("optimizer.safetensors", "bit flipped"), ("model.safetensors", "page of zeros"))
        case(f"newest checkpoint: {name} {title}", short=short)(damaged(name, damage))


@case("all checkpoints are damaged: an error, and nothing is trained", short=True)
def all_damaged(bench):
    run = bench.make()
    run.dies("forward:1:10")
    for name in run.checkpoints():
        cut(run.path(f"checkpoints/{name}/state.json"))
    before = run.checkpoints()
    result = run.go("--training.resume=auto").expect(4, "state.json")
    check(run.checkpoints() == before, "checkpoints are gone")
    return result


def as_model(command, damage, name):
    """A damaged checkpoint is refused by what reads it as a model, too."""

    def body(bench):
        run = bench.reference(copy=True)
        path = f"runs/run/checkpoints/{run.checkpoints()[-1]}"
        damage(os.path.join(run.folder, path, name))
        words = {
            "evaluate": ["evaluate", path, "--task", "copy", "--lengths", "64"],
            "generate": ["generate", path, "--prompt", "a", "--tokens", "2"],
            "export": ["export", path, "out"],
            "verify": ["checkpoints", "verify", path],
        }[command]
        result = Job(run.folder, [run.program, *words]).wait().expect(4, r"damaged|No such file", seconds=60)
        check(not os.path.exists(os.path.join(run.folder, "out")), "something was written")
        return result

    return body


for command in ("evaluate", "generate", "export", "verify"):
    for title, damage in (("cut", cut), ("bit flipped", flipped), ("missing", missing)):
        case(f"{command} of a checkpoint: model.safetensors {title}", short=(command, title) == ("generate", "bit flipped"))(
            as_model(command, damage, "model.safetensors"))
    case(f"{command} of a checkpoint: config.json bit flipped")(as_model(command, flipped, "config.json"))
    case(f"{command} of a checkpoint: state.json cut")(as_model(command, cut, "state.json"))
