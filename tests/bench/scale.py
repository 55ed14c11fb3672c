#!/usr/bin/env python3
"""What a coordinator costs by the number of its workers: one real coordinator, many sessions of real
workers over ZeroMQ whose calls are answered without a server.

usage: tests/bench/scale.py BUILD_DIR [--shapes SESSIONSxSLOTS,...] [--jobs OPENxACTIVE,...] [--items N]
                             [--rate ITEMS_PER_S]

Of the open jobs the active ones share the items; the others wait for inputs. Calls take so long that all shapes together with their slots could make the same RATE of calls. Prints
Markdown on standard output. Rounds of all shapes are made in turns; figures are medians. The frames
are those of both directions; the wait is that of a slot from the end of a call to the next.
"""
import argparse
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from bench import progress, row

SESSIONS_OF_A_PROCESS = 125
WARM_UP_CALLS_PER_SLOT = 6  # in which the endpoint's concurrency is found


def pairs_of(text):
    pairs = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", pair) for pair in text.split(",")]
    if not all(pairs):
        raise argparse.ArgumentTypeError(f"expected NUMBERxNUMBER,... such as 4x400,100x16, got {text}")
    return [tuple(map(int, pair.groups())) for pair in pairs]


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures a coordinator alone.")
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD_DIR")
    parser.add_argument("--shapes", type=pairs_of, default="4x400,4x16,100x16,500x16",
                        help="sessions x slots, comma-separated (4x400,4x16,100x16,500x16)")
    parser.add_argument("--jobs", type=pairs_of, default="1x1",
                        help="open x active jobs, comma-separated, such as 1x1,1000x50 (1x1)")
    parser.add_argument("--items", type=int, default=60_000, help="lines of the batch file (60000)")
    parser.add_argument("--rate", type=float, default=5_000,
                        help="items/s that all slots together could take up; 0: answers at once (5000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each shape (3)")
    return parser.parse_args()


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class Scale:
    def __init__(self, options, harness, directory):
        self.options, self.harness, self.directory = options, harness, directory
        self.processes = []
        self.config = directory / "pools.toml"
        self.config.write_text('[[pool]]\nmodel = "sim-small"\n[[pool.endpoint]]\n'
                               'url = "http://127.0.0.1:9/v1"\nmetrics_url = ""\n')
    def start(self, name, label, *arguments):
        command = [self.harness.binary(name), *map(str, arguments)]
        self.processes.append(self.harness.Process(command, self.directory, label))
        return self.processes[-1]

    def submit(self, coordinator, items):
        """A job of so many items: its id."""
        source = self.directory / f"{items}.jsonl"
        if not source.exists():
            self.harness.write_batch(source, items)
        return subprocess.run([self.harness.binary("gristmill"), "submit", source, "--model", "sim-small",
                               "--server", coordinator.http], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()

    def ask(self, coordinator, path, body=None):
        request = urllib.request.Request(coordinator.http + "/api/v1/" + path, body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def finish(self, coordinator, jobs):
        for job in jobs:
            while self.ask(coordinator, f"jobs/{job}")["state"] != "finished":
                time.sleep(0.1)

    def run(self, sessions, slots, jobs, active):
        """(items/s, coordinator's CPU us an item, its RSS in MB, sums and waits of the sessions)."""
        state = self.directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        coordinator = self.start("gristmill-coordinator", "coordinator", "--listen",
                                 "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--state", state,
                                 "--config", self.config, "--quiet")
        ready = coordinator.ready()
        coordinator.http = ready["http"]
        left, stubs = sessions, []
        rate = self.options.rate
        latency_ms = sessions * slots / rate * 1000 if rate > 0 else 0
        while left > 0:
            n = min(left, SESSIONS_OF_A_PROCESS)
            stubs.append(self.start("gristmill-bench-sessions", "sessions", "--coordinator",
                                    ready["listen"], "--name", f"stub{len(stubs)}", "--sessions", n,
                                    "--slots", slots, "--latency-ms", latency_ms))
            left -= n
        self.finish(coordinator, [self.submit(coordinator, WARM_UP_CALLS_PER_SLOT * sessions * slots)])
        waiting = json.dumps({"spec": {"open": True, "model": "sim-small"}}).encode()
        for _ in range(active, jobs):
            self.ask(coordinator, "jobs", waiting)
        ids = [self.submit(coordinator, self.options.items // active) for _ in range(active)]
        for stub in stubs:
            stub.popen.send_signal(signal.SIGUSR1)  # counts from here
        before, begin = cpu_s(coordinator.popen.pid), time.monotonic()
        self.finish(coordinator, ids)
        seconds = time.monotonic() - begin
        used, rss = cpu_s(coordinator.popen.pid) - before, rss_mb(coordinator.popen.pid)
        said = []
        for stub in stubs:
            stub.end()
            said.append(stub.ready())
        coordinator.end()
        calls = sum(s["calls"] for s in said)
        return {"items_per_s": calls / seconds, "cpu_us": used * 1e6 / calls, "rss_mb": rss,
                "frames": sum(s["frames_in"] + s["frames_out"] for s in said) / calls,
                "bytes": sum(s["bytes_in"] + s["bytes_out"] for s in said) / calls,
                "stub_us": sum(s["cpu_s"] for s in said) * 1e6 / calls,
                "p50": statistics.median(s["wait_p50_ms"] for s in said),
                "p99": max(s["wait_p99_ms"] for s in said)}

    def close(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()
            process.popen.stdout.close()


def table(scale, options):
    shapes = [(*shape, *jobs) for shape, jobs in itertools.product(options.shapes, options.jobs)]
    runs = {shape: [] for shape in shapes}
    for number in range(options.rounds):
        for shape in shapes if number % 2 == 0 else reversed(shapes):
            runs[shape].append(scale.run(*shape))
            progress(f"round {number + 1}, {shape[0]} sessions of {shape[1]}, {shape[2]} jobs: "
                     f"{runs[shape][-1]['items_per_s']:,.0f} items/s")
    row("sessions", "slots of each", "jobs", "active", "items/s", "CPU us an item", "frames an item", "bytes an item",
        "sessions' CPU us", "wait p50 ms", "p99 ms", "RSS MB")
    row("---:", *["---:"] * 11)
    for shape, own in runs.items():
        def of(name):
            return statistics.median(run[name] for run in own)
        row(*shape, f"{of('items_per_s'):,.0f}", f"{of('cpu_us'):.0f}", f"{of('frames'):.2f}",
            f"{of('bytes'):,.0f}", f"{of('stub_us'):.0f}", f"{of('p50'):.1f}", f"{of('p99'):.1f}",
            f"{of('rss_mb'):.0f}")


def main():
    options = parse_arguments()
    os.environ["GRISTMILL_BUILD"] = str(options.build.resolve())
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
    import harness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="scale-", dir=options.build) as directory:
        scale = Scale(options, harness, pathlib.Path(directory).resolve())
        try:
            table(scale, options)
        finally:
            scale.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
