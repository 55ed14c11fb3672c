"""What the end-to-end tests share: real processes on loopback, readiness by their ready line, and
checks that read only input, output, journal and the simulated server's log.
"""
import collections
import contextlib
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GRISTMILL_BUILD", ROOT / "build/release")).resolve()
PATIENCE_S = int(os.environ.get("GRISTMILL_PATIENCE_S", "120"))  # how long anything may take before the test gives up on it


# What sanitizers add to the memory of a process.
MEMORY_SLACK_MIB = int(os.environ.get("GRISTMILL_MEMORY_SLACK_MIB", "0"))


def binary(name):
    for path in (BUILD / name, BUILD / "tests/simllm" / name, BUILD / "tests/bench" / name):
        if path.exists():
            return str(path)
    raise FileNotFoundError(f"{name} is not below {BUILD}; build it first")


def crc(text):
    return f"{zlib.crc32(text.encode()):08x}"


def write_batch(path, count, text=lambda n: f"question {n}", model="sim-small"):
    """An OpenAI batch file; item n asks text(n)."""
    with open(path, "w", encoding="utf-8") as file:
        for n in range(count):
            body = {"model": model, "messages": [{"role": "user", "content": text(n)}]}
            file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST",
                                   "url": "/v1/chat/completions", "body": body}) + "\n")


class Process:
    """A child with its own output files; ended by pid, never by name."""

    def __init__(self, arguments, directory, name, env=None):
        self.name = name
        self.stderr_path = directory / f"{name}.stderr"
        with open(self.stderr_path, "ab") as stderr:
            self.popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=stderr,
                                          env={**os.environ, **(env or {})})

    def ready(self):
        """The JSON of the process's first line on standard output."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE_S):
                raise TimeoutError(f"{self.name} printed no ready line: {self.stderr()}")
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self.popen.wait()}: {self.stderr()}")
        return json.loads(line)

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    @contextlib.contextmanager
    def frozen(self):
        """Inside, the process stands still: what it has written is all that it has written."""
        self.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self.popen.send_signal(signal.SIGCONT)

    def end(self, sig=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        return self.popen.wait(PATIENCE_S)

    def wait(self):
        return self.popen.wait(PATIENCE_S)


class EndToEnd(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gristmill-e2e-"))
        self.processes = []

    def tearDown(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()
            process.popen.stdout.close()
        result = self._outcome.result
        if not self._outcome.success or any(case is self for case, _ in result.failures + result.errors):
            print(f"kept for a look: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory)

    def start(self, name, *arguments, env=None, label=None):
        return self.start_command([binary(name), *map(str, arguments)], label or name, env)

    def start_command(self, command, label, env=None):
        process = Process(command, self.directory, label, env)
        self.processes.append(process)
        return process

    # ---- the simulated server ------------------------------------------------------------------

    def server(self, *arguments, label="simllm"):
        process = self.start("gristmill-simllm", "--listen", "127.0.0.1:0", "--log",
                             self.directory / f"{label}.log", *arguments, label=label)
        process.url = process.ready()["url"]
        process.log = self.directory / f"{label}.log"
        return process

    def stats(self, server):
        with urllib.request.urlopen(server.url.removesuffix("/v1") + "/stats", timeout=10) as answer:
            return json.load(answer)

    def control(self, server, **settings):
        request = urllib.request.Request(server.url.removesuffix("/v1") + "/control",
                                         json.dumps(settings).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    def calls(self, server):
        """The server's own log, flushed by asking for its counters."""
        self.stats(server)
        return [json.loads(line) for line in server.log.read_text().splitlines()]

    # ---- the cluster -----------------------------------------------------------------------------

    def coordinator(self, *arguments, label="coordinator", listen="tcp://127.0.0.1:0",
                    http="127.0.0.1:0", state="state"):
        process = self.start("gristmill-coordinator", "--listen", listen, "--http", http, "--state",
                             self.directory / state, *arguments, label=label)
        ready = process.ready()
        process.listen, process.http = ready["listen"], ready["http"]
        return process

    def worker(self, coordinator, name, *arguments):
        process = self.start("gristmill-worker", "--coordinator", coordinator.listen, "--name", name,
                             *arguments, label=name)
        process.ready()
        return process

    def gristmill(self, *arguments, env=None, check=0):
        """Runs the command to its end; returns its CompletedProcess."""
        done = subprocess.run([binary("gristmill"), *map(str, arguments)], capture_output=True,
                              text=True, timeout=PATIENCE_S, env={**os.environ, **(env or {})})
        if check is not None:
            self.assertEqual(done.returncode, check, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def job(self, coordinator, job):
        with urllib.request.urlopen(f"{coordinator.http}/api/v1/jobs/{job}", timeout=10) as answer:
            return json.load(answer)

    # ---- waiting for progress, never for time ------------------------------------------------------

    def until(self, what, condition):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.01)  # between two looks at a condition, not in place of one
        self.fail(f"waited {PATIENCE_S} s in vain for: {what}")

    def until_calls(self, server, count):
        self.until(f"{count} calls at the server", lambda: self.stats(server)["calls"] >= count)

    # ---- what is right -------------------------------------------------------------------------------

    def check_result(self, path, count, text=lambda n: f"question {n}", failed=()):
        """Each item once, in input order, with its own answer; `failed` ones with an error."""
        with open(path, encoding="utf-8") as file:
            for n, line in enumerate(file):
                result = json.loads(line)
                self.assertEqual(result["custom_id"], f"item-{n}", f"line {n + 1} of {path}")
                if n in failed:
                    self.assertNotEqual((result["response"] or {}).get("status_code"), 200, line)
                else:
                    self.assertEqual(result["response"]["status_code"], 200, line)
                    content = result["response"]["body"]["choices"][0]["message"]["content"]
                    self.assertTrue(content.startswith("sim " + crc(text(n))), line)
        self.assertEqual(n + 1, count, path)

    def check_one_call_per_attempt(self, calls):
        attempts = collections.Counter(call["attempt"] for call in calls)
        self.assertEqual([a for a, n in attempts.items() if n > 1 or not a], [])

    def summary(self, output):
        return json.loads(pathlib.Path(f"{output}.summary.json").read_text())
