#!/usr/bin/env python3
"""What a cluster of real processes does on this machine, against the simulated model server.

usage: tests/bench/cluster.py BUILD_DIR [--only workers,reconnect,calls]

Prints Markdown on standard output: what workers take of the machine by their number; how long they need
when their coordinator was killed; and what one worker does with as many calls in flight as it may have.
"""
import argparse
import json
import pathlib
import resource
import shutil
import sys
import time
import urllib.request

from bench import progress, row
from nodes import Nodes, cpu_s, nodes_in, pairs_of, rss_mb

MODEL = "m"
MEASUREMENTS = ("workers", "reconnect", "calls")
DESCRIPTORS_OF_A_CALL, DESCRIPTORS_BESIDE = 2, 64  # what a worker counts with


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures a cluster of real processes.")
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD_DIR")
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help="some of workers,reconnect,calls")
    parser.add_argument("--shapes", type=pairs_of, default="4x400,20x80,100x16,300x8",
                        help="for workers: processes x slots (4x400,20x80,100x16,300x8)")
    parser.add_argument("--items", type=int, default=120_000, help="for workers: lines (120000)")
    parser.add_argument("--sessions", type=int, default=500, help="for reconnect: workers (500)")
    return parser.parse_args()


class Cluster(Nodes):
    def serve(self, latency):
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        simllm = self.start("gristmill-simllm", "simllm", "--listen", "127.0.0.1:0", "--latency", latency)
        self.url = simllm.ready()["url"]
        self.begin()

    def stats(self):
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=10) as answer:
            return json.load(answer)

    def workers(self, count, slots):
        return [self.start("gristmill-worker", f"w{n}", "--coordinator", self.coordinator.listen, "--name",
                           f"w{n}", "--endpoint", self.url, "--model", MODEL, "--concurrency", slots,
                           "--quiet") for n in range(count)]

    def answered(self):
        return self.stats()["completed"]

    def until_answered(self, most):
        while self.answered() < most:
            time.sleep(0.1)

    def take(self, count, slots):
        """(items/s, the coordinator's CPU us an item, that of all workers) amid a job."""
        # Slots alike, so that they could make 8,000 calls a second.
        self.serve(f"{count * slots / 8}ms")
        workers = self.workers(count, slots)
        self.submit(self.options.items, "-m", MODEL)
        self.until_answered(self.options.items // 6)

        def used():
            return cpu_s(self.coordinator.popen.pid), sum(cpu_s(worker.popen.pid) for worker in workers)
        before, begin, first = used(), time.monotonic(), self.answered()
        self.until_answered(self.options.items * 9 // 10)
        calls, seconds = self.answered() - first, time.monotonic() - begin
        per_call = [1e6 * (now - then) / calls for now, then in zip(used(), before)]
        self.close()
        return calls / seconds, *per_call

    def working(self):
        return sum(worker["in_flight"] > 0 for worker in self.ask("workers")["workers"])

    def reconnect(self, count):
        """Seconds from the start of the next coordinator until it serves, and until all workers work."""
        self.serve("2s")
        self.workers(count, 4)
        self.submit(400 * count, "-m", MODEL)
        while self.working() < count:
            time.sleep(0.1)
        listen, http = self.coordinator.listen, self.coordinator.http.removeprefix("http://")
        self.coordinator.kill()
        begin = time.monotonic()
        self.begin(listen=listen, http=http)
        serves = time.monotonic() - begin
        while self.working() < count:
            time.sleep(0.1)
        all_work = time.monotonic() - begin
        self.close()
        return serves, all_work

    def calls(self, most):
        """(calls/s once all slots are used, RSS in MB) of one worker against a server that takes 2 s."""
        self.serve("2s")
        (worker,) = self.workers(1, most)
        self.submit(25 * most, "-m", MODEL)
        while self.stats()["in_flight"] < 0.97 * most:
            time.sleep(0.5)
        self.until_answered(self.answered() + 4 * most)  # they do not end together any more
        begin, first = time.monotonic(), self.answered()
        self.until_answered(first + 10 * most)
        rate, rss = (self.answered() - first) / (time.monotonic() - begin), rss_mb(worker.popen.pid)
        self.close()
        return rate, rss


def measure(cluster, options, only):
    if "workers" in only:
        row("workers", "slots of each", "items/s", "coordinator's CPU us an item", "workers' CPU us an item")
        row("---:", *["---:"] * 4)
        for shape in options.shapes:
            progress(f"{shape[0]} workers of {shape[1]} slots")
            row(*shape, *(f"{figure:,.0f}" for figure in cluster.take(*shape)))
    if "reconnect" in only:
        progress(f"{options.sessions} workers whose coordinator is killed")
        serves, all_work = cluster.reconnect(options.sessions)
        print(f"\n{options.sessions} workers: the next coordinator serves after {serves:.1f} s, and all "
              f"workers work after {all_work:.1f} s\n")
    if "calls" in only:
        most = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_BESIDE) //
                   DESCRIPTORS_OF_A_CALL)
        progress(f"{most} calls of one worker")
        rate, rss = cluster.calls(most)
        print(f"\none worker with {most:,} calls of 2 s in flight: {rate:,.0f} calls/s of "
              f"{most / 2:,.0f}, {rss:.0f} MB\n")


def main():
    options = parse_arguments()
    only = options.only.split(",")
    if unknown := set(only) - set(MEASUREMENTS):
        sys.exit(f"cluster.py: expected --only {','.join(MEASUREMENTS)}, got {', '.join(unknown)}")

    def make(harness, directory):
        cluster = Cluster(harness, directory)
        cluster.options = options
        return cluster
    with nodes_in(options.build, make) as cluster:
        measure(cluster, options, only)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
