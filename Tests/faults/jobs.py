"""Jobs of ranks that are disturbed: what they print, how they end, and what they leave behind."""

import os
import re
import signal
import subprocess
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MPIRUN = os.path.join(REPOSITORY, "Launch", "mpirun")


class Failed(Exception):
    """A promise that was not kept."""


def check(kept, promise):
    if not kept:
        raise Failed(promise)


class Result:
    """How a job ended."""

    def __init__(self, code, output, seconds):
        self.code, self.output, self.seconds = code, output, seconds

    def expect(self, codes, pattern=None, seconds=None):
        """Checks code, message and time, of which a machine that others use gives more; gives itself."""
        codes = codes if isinstance(codes, (list, tuple, set)) else [codes]
        said = self.output.strip()[-1500:]
        check(self.code in codes, f"code {self.code} instead of {codes}: {said}")
        if pattern:
            check(re.search(pattern, self.output), f"no '{pattern}' in: {said}")
        if seconds:
            seconds *= max(1, os.getloadavg()[0] / os.cpu_count())
            check(self.seconds < seconds, f"it took {self.seconds:.1f} s, and may {seconds}")
        check("Fatal error" not in self.output, f"a trap: {said}")
        check("NSCocoaErrorDomain" not in self.output, f"an error of Foundation's: {said}")
        return self


class Job:
    """A job in a folder of its own, that ends with all of its processes."""

    # More than any job takes that does not hang, on a machine that others use too.
    MOST = 200

    def __init__(self, folder, command, environment=None, wrapper=()):
        self.folder = folder
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        # mpirun waits so many seconds before it kills what is left of a job that has failed.
        environment = {"OMPI_MCA_odls_base_sigkill_timeout": "1", **os.environ, "NO_COLOR": "1",
                       "LASP_FAULT_JOB": self.mark, **(environment or {})}
        self.path = os.path.join(folder, f"output-{self.mark}")
        self.began = time.monotonic()
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                [*wrapper, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def output(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.process.send_signal(number)

    def processes(self):
        """Numbers of all processes of the job that run, by a mark in their environment."""
        found = []
        mark = f"LASP_FAULT_JOB={self.mark}".encode()
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{name}/stat") as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if state not in "ZX":
                found.append(int(name))
        return found

    def wait(self, most=None):
        """Waits for the job's end, and checks that nothing of it is left."""
        most = most or self.MOST
        try:
            code = self.process.wait(timeout=most)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed(f"it hangs: nothing ended it in {most} s: {self.output.strip()[-1000:]}")
        seconds = time.monotonic() - self.began
        # A signal by which the job ended, as a shell tells it.
        result = Result(code if code >= 0 else 128 - code, self.output, seconds)
        left = self.processes()
        ended = time.monotonic()
        while left and time.monotonic() - ended < 10:
            time.sleep(0.05)
            left = self.processes()
        if left:
            names = [open(f"/proc/{p}/cmdline").read().replace("\0", " ")[:60] for p in left]
            self.end()
            raise Failed(f"processes are left: {names}")
        return result

    def end(self):
        """Ends all processes of the job."""
        for process in self.processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
