#!/usr/bin/env python3
"""The measured table: `gristmill run` beside a plain libcurl client and others, in turns, in one session.

usage: tests/bench/bench.py BUILD_DIR [--items N] [--concurrency C,...] [--clients NAME,...]

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

from client_table import BARE, CLIENTS, GRISTMILL, chosen

ROUNDS = 3
LATENCY = "lognormal:50ms:0.5"
LATENCY_CALLS_PER_SLOT = 100  # enough waves of calls for a steady state, few enough to wait for
RPM, RPM_ITEMS, RPM_WORKERS = 3000, 600, 2


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def positives(text):
    return [positive(number) for number in text.split(",")]


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures gristmill run beside other clients.")
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD_DIR")
    parser.add_argument("--items", type=positive, default=20_000, help="lines of the batch file (20000)")
    parser.add_argument("--concurrency", type=positives, default="64,512", metavar="C,...",
                        help="calls in flight, comma-separated (64,512)")
    parser.add_argument("--clients", default="", help=f"some of {','.join(CLIENTS)} (all that are installed); "
                        "undici and openai are installed where they are named")
    options = parser.parse_args()
    options.clients = [name for name in options.clients.split(",") if name]
    return options


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Run:
    """One finished run of one client: what it took and what the server saw."""

    def __init__(self, items, seconds, cpu_s, peak_rss_mb, statuses):
        self.items, self.seconds, self.peak_rss_mb = items, seconds, peak_rss_mb
        self.statuses = statuses  # of the server's answers: how many of each
        self.items_per_s, self.cpu_s_per_1000 = items / seconds, cpu_s * 1000 / items
        self.of_ideal = None  # how many times the least makespan it took


def watch_peak_rss(pid, peak):
    """VmHWM belongs to the program alone; ru_maxrss would count what we were before exec."""
    with contextlib.suppress(OSError, AttributeError):  # it has ended
        while True:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            peak[0] = int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024
            time.sleep(0.02)


def timed(command, directory):
    """(seconds, CPU seconds, peak RSS in MB, standard output) of a command that must succeed."""
    peak = [0.0]
    with open(directory / "client.stdout", "w+") as stdout, open(directory / "client.stderr", "w+") as stderr:
        begin = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                 stdout=stdout, stderr=stderr)
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
        stdout.seek(0)
        return seconds, usage.ru_utime + usage.ru_stime, peak[0], stdout.read()


class Bench:
    def __init__(self, options, clients, harness, directory):
        self.options, self.clients, self.harness, self.directory = options, clients, harness, directory
        self.input, self.log = directory / "in.jsonl", directory / "server.log"

    def run(self, client, items, concurrency, *, server=(), extra=()):
        """Runs one client against a new server, so that the same texts draw the same latencies."""
        output = self.directory / "out.jsonl"
        for path in self.directory.glob("out.jsonl*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        simllm = self.harness.Process([self.harness.binary("gristmill-simllm"), "--listen", "127.0.0.1:0",
                                       "--log", str(self.log), *server], self.directory, "simllm")
        try:
            url = simllm.ready()["url"]
            command = [*client.command(self.input, url, output, concurrency), *extra]
            seconds, cpu_s, peak_rss_mb, printed = timed(command, self.directory)
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as answer:
                statuses = json.load(answer)["by_status"]
        finally:
            simllm.end()
            simllm.popen.stdout.close()
        done, seconds = client.outcome(output, printed, seconds)
        if client.reads_batch and done != items:
            raise SystemExit(f"bench: expected {items} lines from {client.name}, got {done}")
        return Run(done, seconds, cpu_s, peak_rss_mb, statuses)

    def calls(self):
        """What the server wrote of the last run."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def write(self, items):
        self.harness.write_batch(self.input, items)

    def rounds(self, items, concurrency, latency):
        """ROUNDS runs of each client, in turns; who begins changes, so that nobody gains by it."""
        runs = {client.name: [] for client in self.clients}
        for number in range(ROUNDS):
            first = number % len(self.clients)
            for client in self.clients[first:] + self.clients[:first]:
                run = self.run(client, items, concurrency, server=["--latency", latency])
                if set(run.statuses) != {"200"}:
                    raise SystemExit(f"bench: expected {client.name} to get only 200, got {run.statuses}")
                if client.reads_batch and latency != "0":
                    run.of_ideal = run.seconds / self.ideal_s(items, concurrency)
                progress(f"latency {latency}, {concurrency} in flight, round {number + 1}: "
                         f"{client.name} {run.items_per_s:,.0f} items/s")
                runs[client.name].append(run)
        return runs

    def ideal_s(self, items, concurrency):
        """Makespan of the greedy list schedule in input order with the latencies that were drawn."""
        drawn = {}
        for call in self.calls():
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
            runs = bench.rounds(items, concurrency, latency)
            for client, own in runs.items():
                beside = list(zip(own, runs[BARE.name]))
                makespan = f"{median(r.of_ideal for r in own):.2f}" if own[0].of_ideal else ""
                row(latency, concurrency, client, f"{median(r.items for r in own):,}",
                    f"{median(r.items_per_s for r in own):,.0f}",
                    f"{median(r.items_per_s / bare.items_per_s for r, bare in beside):.2f}",
                    f"{median(r.cpu_s_per_1000 for r in own):.3f}",
                    f"{median(r.cpu_s_per_1000 / bare.cpu_s_per_1000 for r, bare in beside):.2f}",
                    f"{median(r.peak_rss_mb for r in own):.0f}", makespan)


def use_of_rate(bench):
    bench.write(RPM_ITEMS)
    run = bench.run(GRISTMILL, RPM_ITEMS, 64, server=["--rpm", str(RPM), "--burst-seconds", "1"],
                    extra=["--rpm", RPM, "--workers", RPM_WORKERS])
    progress(f"{RPM} requests a minute over {RPM_WORKERS} workers: {run.seconds:.1f} s")
    # The burst that a fresh minute allows would flatter the figure: the first second does not count.
    times = [call["t_ns"] / 1e9 for call in bench.calls()]
    steady = [t for t in times if t >= times[0] + 1]
    used = (len(steady) - 1) / (steady[-1] - steady[0]) / (RPM / 60)
    print()
    row("allowed requests per minute", "workers", "items", "seconds", "used", "429 caused")
    row(*["---:"] * 6)
    row(f"{RPM:,}", RPM_WORKERS, RPM_ITEMS, f"{run.seconds:.1f}", f"{used:.1%}", run.statuses.get("429", 0))


def main():
    options = parse_arguments()
    os.environ["GRISTMILL_BUILD"] = str(options.build.resolve())
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
    import harness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Below the build, on the disk that a user's result would lie on; /tmp is often memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.build) as directory:
        bench = Bench(options, chosen(options.clients), harness, pathlib.Path(directory).resolve())
        compare(bench)
        if GRISTMILL in bench.clients:
            use_of_rate(bench)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
