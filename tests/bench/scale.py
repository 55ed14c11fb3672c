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
import pathlib
import shutil
import signal
import statistics
import sys
import time

from bench import progress, row
from nodes import Nodes, cpu_s, nodes_in, pairs_of, rss_mb

SESSIONS_OF_A_PROCESS = 125
MODEL = "sim-small"
WARM_UP_CALLS_PER_SLOT = 6  # in which the endpoint's concurrency is found


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


class Scale(Nodes):
    def __init__(self, options, harness, directory):
        super().__init__(harness, directory)
        self.options = options
        self.config = directory / "pools.toml"
        self.config.write_text(f'[[pool]]\nmodel = "{MODEL}"\n[[pool.endpoint]]\n'
                               'url = "http://127.0.0.1:9/v1"\nmetrics_url = ""\n')

    def run(self, sessions, slots, jobs, active):
        """(items/s, coordinator's CPU us an item, its RSS in MB, sums and waits of the sessions)."""
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        self.begin("--config", self.config)
        coordinator = self.coordinator
        left, stubs = sessions, []
        rate = self.options.rate
        latency_ms = sessions * slots / rate * 1000 if rate > 0 else 0
        while left > 0:
            n = min(left, SESSIONS_OF_A_PROCESS)
            stubs.append(self.start("gristmill-bench-sessions", "sessions", "--coordinator",
                                    coordinator.listen, "--name", f"stub{len(stubs)}", "--sessions", n,
                                    "--slots", slots, "--latency-ms", latency_ms))
            left -= n
        self.finish([self.submit(WARM_UP_CALLS_PER_SLOT * sessions * slots, "--model", MODEL)])
        waiting = json.dumps({"spec": {"open": True, "model": MODEL}}).encode()
        for _ in range(active, jobs):
            self.ask("jobs", waiting)
        ids = [self.submit(self.options.items // active, "--model", MODEL) for _ in range(active)]
        for stub in stubs:
            stub.popen.send_signal(signal.SIGUSR1)  # counts from here
        before, begin = cpu_s(coordinator.popen.pid), time.monotonic()
        self.finish(ids)
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
    with nodes_in(options.build, lambda *place: Scale(options, *place)) as scale:
        table(scale, options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
