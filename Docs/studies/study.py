"""What the studies in this folder share: jobs that go on where they were stopped, and plots.

A job trains one model and evaluates it on its task. Its result is a file, written when it is complete; a study
that is started again runs the jobs without one.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

COLOURS = ["#0068a8", "#c44a00", "#008560", "#a8458a", "#7a6500", "#5b5bd0", "#b02a37", "#3d7d8a"]


class Job:
    """A training run, and what it is evaluated on.

    keys: of the run file, as section.key=value. evaluation: options of `lasp-train evaluate`.
    """

    def __init__(self, name, keys, evaluation):
        self.name, self.keys, self.evaluation = name, keys, evaluation

    def run(self, program, folder):
        """Gives the result, from its file if it is there and of the same job."""
        place = os.path.join(folder, self.name)
        path = os.path.join(place, "result.json")
        asked = {"keys": self.keys, "evaluation": self.evaluation}
        if os.path.exists(path):
            with open(path) as file:
                result = json.load(file)
            if result["asked"] == asked:
                return result
        os.makedirs(place, exist_ok=True)
        started = time.time()
        call(place, "train", [program, "train", f"--log.directory={place}", "--overwrite"]
             + [f"--{key}" for key in self.keys])
        answers = os.path.join(place, "answers.json")
        # The task's keys as in training, but the lengths of its documents.
        task = [f"--{key}" for key in self.keys
                if re.match(r"data\.\w+\.", key) and not key.split("=")[0].endswith("est")]
        call(place, "evaluate", [program, "evaluate", f"{place}/model", "--output", answers]
             + self.evaluation + task)
        with open(answers) as file:
            result = {"asked": asked, "seconds": round(time.time() - started, 1),
                      "answers": json.load(file)}
        with open(path + ".new", "w") as file:
            json.dump(result, file)
        os.replace(path + ".new", path)
        return result


class Failed(Exception):
    pass


children = set()
lock = threading.Lock()


def call(place, what, command):
    """Runs a command; all that it says goes into a file."""
    output = os.path.join(place, f"{what}.txt")
    with open(output, "w") as file:
        with lock:
            child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
            children.add(child)
        code = child.wait()
        children.discard(child)
    if code != 0:
        with open(output) as file:
            words = [line.strip() for line in file if line.strip()]
        raise Failed(f"{what}: exit code {code}: {words[-1] if words else ''} ({output})")


def options(description):
    """The command line that all studies have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--program", default=".build/release/lasp-train")
    parser.add_argument("--output", help="folder of jobs, figures and plot")
    parser.add_argument("--at-once", type=int, default=2, help="jobs at the same time, a thread each")
    parser.add_argument("--only", default="", help="regular expression of the jobs to run")
    parser.add_argument("--steps", type=int, help="steps of a job, for a trial")
    return parser


def run(jobs, arguments):
    """Runs the jobs that have no result; gives results by job name, and whether all ended well."""
    results, failed = {}, []
    os.makedirs(arguments.output, exist_ok=True)

    def one(job):
        try:
            result = job.run(arguments.program, arguments.output)
            last = result["answers"]["lengths"][-1]
            print(f"{job.name}: {last['accuracy']:.1%} at length {last['length']}"
                  f" ({result['seconds']:.0f} s)", flush=True)
            results[job.name] = result
        except Failed as error:
            print(f"{job.name}: failed: {error}", flush=True)
            failed.append(job.name)

    pool = ThreadPoolExecutor(arguments.at_once)
    try:
        wanted = [job for job in jobs if re.search(arguments.only, job.name)]
        for future in [pool.submit(one, job) for job in wanted]:
            future.result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in list(children):
            child.terminate()
        sys.exit("interrupted; started again, it goes on with the jobs that are left")
    return results, not failed


# Plots: SVG that stands alone.

WIDTH, HEIGHT = 640, 360
LEFT, TOP, RIGHT, BOTTOM = 64, 40, 470, 310


def svg(title, body, height=HEIGHT):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="sans-serif" font-size="12"><style>'
            f'text{{fill:#222}}.grid{{stroke:#ddd}}.chance{{stroke:#888;stroke-dasharray:4 4}}</style>'
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
            f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{title}</text>\n'
            + "\n".join(body) + "\n</svg>\n")


def mark(kind, x, y, colour):
    """A marker; kinds differ in shape, so that they are told apart without colours."""
    shapes = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" ',
              f'<path d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z" ',
              f'<path d="M{x:.1f} {y - 5:.1f}l5 8h-10z" ',
              f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" ']
    return shapes[kind % 4] + f'fill="{colour}" fill-opacity="0.85"/>'


def lines(title, x_name, values, series, chance, trained=None):
    """Shares over lengths. series: (name, hue, whether dashed, [share of each value])."""
    def x(value):
        return LEFT + (value - values[0]) / (values[-1] - values[0]) * (RIGHT - LEFT)

    def y(share):
        return BOTTOM - share * (BOTTOM - TOP)

    body = []
    for tick in range(0, 101, 20):
        body.append(f'<path class="grid" d="M{LEFT} {y(tick / 100):.1f}H{RIGHT}"/>'
                    f'<text x="{LEFT - 8}" y="{y(tick / 100) + 4:.1f}" text-anchor="end">{tick}%</text>')
    if trained:
        body.append(f'<rect x="{x(trained[0]):.1f}" y="{TOP}" width="{x(trained[1]) - x(trained[0]):.1f}" '
                    f'height="{BOTTOM - TOP}" fill="#0068a8" fill-opacity="0.08"/>'
                    f'<text x="{x(trained[0]) + 4:.1f}" y="{TOP + 14}" font-size="10">trained</text>')
    free = 0
    for value in values:
        if x(value) >= free:
            body.append(f'<text x="{x(value):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{value}</text>')
            free = x(value) + 26
    body.append(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 38}" text-anchor="middle">{x_name}</text>'
                f'<path class="chance" d="M{LEFT} {y(chance):.1f}H{RIGHT}"/>'
                f'<text x="{RIGHT + 6}" y="{y(chance) + 4:.1f}" font-size="10">chance</text>')
    seen = []
    for name, hue, dashed, shares in series:
        colour = COLOURS[hue % len(COLOURS)]
        points = [(x(v), y(s)) for v, s in zip(values, shares)]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        body.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
                    + "".join(mark(hue, a, b, colour) for a, b in points))
        if name not in seen:
            place = TOP + 12 + 20 * len(seen)
            body.append(mark(hue, RIGHT + 24, place - 4, colour)
                        + f'<text x="{RIGHT + 34}" y="{place}">{name}</text>')
            seen.append(name)
    return svg(title, body)


def dots(title, rows, kinds, chance):
    """A row for each name, with a marker for each kind. rows: (name, [share of each kind])."""
    left, pitch = 150, 26
    bottom = TOP + pitch * len(rows)

    def x(share):
        return left + share * (RIGHT - left)

    body = []
    for tick in range(0, 101, 20):
        body.append(f'<path class="grid" d="M{x(tick / 100):.1f} {TOP}V{bottom}"/>'
                    f'<text x="{x(tick / 100):.1f}" y="{bottom + 18}" text-anchor="middle">{tick}%</text>')
    body.append(f'<path class="chance" d="M{x(chance):.1f} {TOP}V{bottom}"/>'
                f'<text x="{(left + RIGHT) / 2}" y="{bottom + 38}" text-anchor="middle">right answers</text>')
    for index, (name, shares) in enumerate(rows):
        y = TOP + pitch * (index + 0.5)
        body.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
                    f'<path class="grid" d="M{left} {y:.1f}H{RIGHT}"/>')
        for kind, share in enumerate(shares):
            if share is not None:
                body.append(mark(kind, x(share), y, COLOURS[kind]))
    for kind, name in enumerate(kinds):
        place = TOP + 12 + 20 * kind
        body.append(mark(kind, RIGHT + 24, place - 4, COLOURS[kind])
                    + f'<text x="{RIGHT + 34}" y="{place}">{name}</text>')
    return svg(title, body, bottom + 50)


def bars(title, rows, kinds, line, line_name):
    """Numbers of a few kinds for each name, and a line for what they are compared with."""
    left, pitch = 170, 30
    bottom = TOP + pitch * len(rows)
    numbers = [n for _, shares in rows for n in shares if n is not None] + [line]
    low, high = min(numbers) * 0.95, max(numbers) * 1.02

    def x(value):
        return left + (value - low) / (high - low) * (RIGHT - left)

    body = []
    step = 0.25 if high - low < 2 else 0.5
    tick = step * (int(low / step) + 1)
    while tick < high:
        body.append(f'<path class="grid" d="M{x(tick):.1f} {TOP}V{bottom}"/>'
                    f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
        tick += step
    place = TOP + 8 + 20 * len(kinds)
    body.append(f'<path class="chance" d="M{x(line):.1f} {TOP}V{bottom}M{RIGHT + 16} {place}h16"/>'
                f'<text x="{RIGHT + 38}" y="{place + 4}">{line_name}</text>')
    for index, (name, numbers) in enumerate(rows):
        y = TOP + pitch * (index + 0.5)
        body.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
                    f'<path class="grid" d="M{left} {y:.1f}H{RIGHT}"/>')
        for kind, number in enumerate(numbers):
            if number is not None:
                body.append(mark(kind, x(number), y, COLOURS[kind]))
    for kind, name in enumerate(kinds):
        place = TOP + 12 + 20 * kind
        body.append(mark(kind, RIGHT + 24, place - 4, COLOURS[kind])
                    + f'<text x="{RIGHT + 34}" y="{place}">{name}</text>')
    return svg(title, body, bottom + 30)


def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)
    print(path)
