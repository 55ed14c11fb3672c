#!/usr/bin/env python3
"""The measured table: `gristmill run` beside a plain libcurl client, in turns, in one session.

usage: tests/bench/bench.py BUILD_DIR [--items N] [--concurrency C,...]

Prints Markdown on standard output, and what it is doing on standard error. Absolute figures depend on
the machine and on who else uses it; the ratios come from neighbouring runs.
"""
import argparse
import contextlib
import heapq
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
import threading
import time
import urllib.request

ROUNDS = 3
LATENCY = "lognormal:50ms:0.5"
LATENCY_CALLS_PER_SLOT = 100  # enough waves of calls for a steady state, few enough to wait for
RPM, RPM_ITEMS, RPM_WORKERS = 3000, 600, 2


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures gristmill run beside a plain client.")
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD_DIR")
    parser.add_argument("--items", type=int, default=20_000, help="lines of the batch file (20000)")
    parser.add_argument("--concurrency", default="64,512", help="calls in flight, comma-separated (64,512)")
    options = parser.parse_args()
    options.concurrency = [int(c) for c in options.concurrency.split(",")]
    return options


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Run:
    """One finished run of one client: what it took and what the server saw."""

    def __init__(self, seconds, cpu_s, peak_rss_mb, calls, rate_limited):
        self.seconds, self.cpu_s, self.peak_rss_mb = seconds, cpu_s, peak_rss_mb
        self.calls, self.rate_limited = calls, rate_limited


def watch_peak_rss(pid, peak):
    """VmHWM belongs to the program alone; ru_maxrss would count what we were before exec."""
    with contextlib.suppress(OSError, AttributeError):  # it has ended
        while True:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            peak[0] = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
            time.sleep(0.02)


def timed(command, directory):
    """(seconds, CPU seconds, peak RSS in MB) of a command that must succeed."""
    peak = [0.0]
    with open(directory / "client.stderr", "w+") as stderr:
        begin = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=stderr)
        watcher = threading.Thread(target=watch_peak_rss, args=(child.pid, peak))
        watcher.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        finally:
            seconds = time.monotonic() - begin
            watcher.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            stderr.seek(0)
            raise SystemExit(f"bench: {command[0]} ended with {child.returncode}: {stderr.read()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, peak[0]


class Bench:
    def __init__(self, options, harness, directory):
        self.options, self.harness, self.directory = options, harness, directory
        self.input = directory / "in.jsonl"

    def run(self, client, items, concurrency, *, server=(), extra=()):
        """Runs one client against a new server, so that the same texts draw the same latencies."""
        output, log = self.directory / "out.jsonl", self.directory / "server.log"
        for path in self.directory.glob("out.jsonl*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        simllm = self.harness.Process([self.harness.binary("gristmill-simllm"), "--listen", "127.0.0.1:0",
                                       "--log", str(log), *server], self.directory, "simllm")
        try:
            url = simllm.ready()["url"]
            program = {"bare": ["gristmill-bench-bare"], "gristmill": ["gristmill", "run"]}[client]
            command = [self.harness.binary(program[0]), *program[1:], self.input, "--endpoint", url,
                       "-o", output, "--concurrency", concurrency, *extra]
            figures = timed(command, self.directory)
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
                rate_limited = json.load(answer)["rate_limited"]
        finally:
            simllm.end()
            simllm.popen.stdout.close()
        with open(output, "rb") as file:
            lines = sum(1 for _ in file)
        if lines != items:
            raise SystemExit(f"bench: expected {items} lines from {client}, got {lines}")
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        return Run(*figures, calls, rate_limited)

    def write(self, items):
        self.harness.write_batch(self.input, items)

    def pairs(self, items, concurrency, latency):
        """ROUNDS runs of each client, in turns; who begins changes, so that neither gains by it."""
        runs = {"bare": [], "gristmill": []}
        for number in range(ROUNDS):
            for client in sorted(runs, reverse=number % 2 == 1):
                run = self.run(client, items, concurrency, server=["--latency", latency])
                progress(f"latency {latency}, {concurrency} in flight, round {number + 1}: "
                         f"{client} {items / run.seconds:,.0f} items/s")
                runs[client].append(run)
        return runs

    def ideal_s(self, items, concurrency, run):
        """Makespan of the greedy list schedule in input order with the latencies that were drawn."""
        drawn = {}
        for call in run.calls:
            drawn.setdefault(call["crc"], call["latency_us"])
        free = [0] * concurrency
        for n in range(items):
            heapq.heapreplace(free, free[0] + drawn[self.harness.crc(f"question {n}")])
        return max(free) / 1e6


def median(values):
    return statistics.median(list(values))


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def compare(bench):
    row("server's latency", "in flight", "client", "items", "items/s", "of bare", "CPU s per 1,000",
        "of bare", "peak RSS MB", "makespan of ideal")
    row("---", "---:", "---", *["---:"] * 7)
    for latency in ("0", LATENCY):
        for concurrency in bench.options.concurrency:
            items = bench.options.items
            if latency != "0":
                items = min(items, concurrency * LATENCY_CALLS_PER_SLOT)
            bench.write(items)
            runs = bench.pairs(items, concurrency, latency)
            for client, own in runs.items():
                beside = list(zip(own, runs["bare"]))
                makespan = "" if latency == "0" else \
                    f"{median(r.seconds / bench.ideal_s(items, concurrency, r) for r in own):.2f}"
                row(latency, concurrency, client, f"{items:,}",
                    f"{median(items / r.seconds for r in own):,.0f}",
                    f"{median(bare.seconds / r.seconds for r, bare in beside):.2f}",
                    f"{median(r.cpu_s * 1000 / items for r in own):.3f}",
                    f"{median(r.cpu_s / bare.cpu_s for r, bare in beside):.2f}",
                    f"{median(r.peak_rss_mb for r in own):.0f}", makespan)


def use_of_rate(bench):
    bench.write(RPM_ITEMS)
    run = bench.run("gristmill", RPM_ITEMS, 64, server=["--rpm", str(RPM), "--burst-seconds", "1"],
                    extra=["--rpm", RPM, "--workers", RPM_WORKERS])
    progress(f"{RPM} requests a minute over {RPM_WORKERS} workers: {run.seconds:.1f} s")
    # The burst that a fresh minute allows would flatter the figure: the first second does not count.
    times = [call["t_ns"] / 1e9 for call in run.calls]
    steady = [t for t in times if t >= times[0] + 1]
    used = (len(steady) - 1) / (steady[-1] - steady[0]) / (RPM / 60)
    print()
    row("allowed requests per minute", "workers", "items", "seconds", "used", "429 caused")
    row(*["---:"] * 6)
    row(f"{RPM:,}", RPM_WORKERS, RPM_ITEMS, f"{run.seconds:.1f}", f"{used:.1%}", run.rate_limited)


def main():
    options = parse_arguments()
    os.environ["GRISTMILL_BUILD"] = str(options.build.resolve())
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
    import harness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Below the build, on the disk that a user's result would lie on; /tmp is often memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.build) as directory:
        bench = Bench(options, harness, pathlib.Path(directory).resolve())
        compare(bench)
        use_of_rate(bench)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
