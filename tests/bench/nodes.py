"""What measurements of a cluster share: our programs in a directory of their own, and what is asked of them.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request


def pairs_of(text):
    pairs = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", pair) for pair in text.split(",")]
    if not all(pairs):
        raise argparse.ArgumentTypeError(f"expected NUMBERxNUMBER,... such as 4x400,100x16, got {text}")
    return [tuple(map(int, pair.groups())) for pair in pairs]


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Nodes:
    """A coordinator, whatever else was started, and the jobs that it is given."""

    def __init__(self, harness, directory):
        self.harness, self.directory = harness, directory
        self.processes = []
        self.coordinator = None

    def start(self, name, label, *arguments):
        command = [self.harness.binary(name), *map(str, arguments)]
        self.processes.append(self.harness.Process(command, self.directory, label))
        return self.processes[-1]

    def begin(self, *arguments, listen="tcp://127.0.0.1:0", http="127.0.0.1:0"):
        """The coordinator; the state is that of before."""
        self.coordinator = self.start("gristmill-coordinator", "coordinator", "--listen", listen, "--http", http,
                                      "--state", self.directory / "state", "--quiet", *arguments)
        ready = self.coordinator.ready()
        self.coordinator.listen, self.coordinator.http = ready["listen"], ready["http"]

    def submit(self, items, *arguments):
        """A job of so many items: its id."""
        source = self.directory / f"{items}.jsonl"
        if not source.exists():
            self.harness.write_batch(source, items)
        command = [self.harness.binary("gristmill"), "submit", source, "--server", self.coordinator.http, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def ask(self, path, body=None):
        request = urllib.request.Request(f"{self.coordinator.http}/api/v1/{path}", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def finish(self, jobs):
        for job in jobs:
            while self.ask(f"jobs/{job}")["state"] != "finished":
                time.sleep(0.1)

    def close(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()
            process.popen.stdout.close()
        self.processes = []


@contextlib.contextmanager
def nodes_in(build, make):
    """What `make` makes of the end-to-end tests' harness and a directory that goes away afterwards."""
    os.environ["GRISTMILL_BUILD"] = str(build.resolve())
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
    import harness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as directory:
        nodes = make(harness, pathlib.Path(directory).resolve())
        try:
            yield nodes
        finally:
            nodes.close()
