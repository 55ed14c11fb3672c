"""A slow disk slows the work, and does not end it: many jobs at a rate that the server offers, under
a coordinator each of whose syncs takes longer, beside one with the same tracer and no delay.

  GRISTMILL_SLOW_DISK=whole slow_disk_test.py     every delay and 10, 100, 400 jobs at 1,000 calls/s

Nor does it hold up clients that want nothing of it.
"""
import concurrent.futures
import json
import os
import pathlib
import statistics
import sys
import threading
import time
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
from harness import EndToEnd, binary, write_batch

WHOLE = os.environ.get("GRISTMILL_SLOW_DISK") == "whole"
# At so many calls a second, of a server with so many slots.
RATE = int(os.environ.get("GRISTMILL_SLOW_DISK_RATE", 1_000 if WHOLE else 200))
LATENCY_MS = 200
# What is kept of the rate, by the number of active jobs.
KEPT = {10: 0.95, 100: 0.90, 400: 0.80}
DELAYS_MS = (5, 400, 1_500) if WHOLE else (400,)
JOBS = (10, 100, 400) if WHOLE else (100,)
WINDOW_S = 20 if WHOLE else 10
SYNCS = "fdatasync,fsync,syncfs"
# What else an upload asks of a disk, but its writes, which cannot be told from those to sockets.
NAMES = "mkdir,rename,unlink,unlinkat,rmdir,statfs,fstatfs"


class SlowDisk(EndToEnd):
    def traced(self, delay_ms, command, label, calls=SYNCS):
        """The command, its child `strace` beside it; also with no delay, for the tracer's own cost."""
        inject = ["-e", f"inject={calls}:delay_enter={delay_ms * 1_000}"] if delay_ms else []
        return self.start_command(
            ["strace", "-D", "-f", "--seccomp-bpf", "-q", "-o", "/dev/null", "-e", f"trace={calls}", *inject,
             *map(str, command)], label)

    def rate(self, jobs, delay_ms):
        """Calls a second at the server, once the first have been recorded."""
        name = f"{jobs}-jobs-{delay_ms}-ms"
        server = self.server("--latency", f"{LATENCY_MS}ms", label=f"simllm-{name}")
        seconds = WINDOW_S + 30 + 20 * delay_ms / 1_000
        source = self.directory / f"data-{name}" / "in.jsonl"
        source.parent.mkdir()
        write_batch(source, int(RATE * seconds / jobs) + 1)
        coordinator = self.traced(delay_ms, [
            binary("gristmill-coordinator"), "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0",
            "--state", self.directory / f"state-{name}", "--data-root", source.parent], f"hub-{name}")
        coordinator.__dict__.update(coordinator.ready())
        self.submit(coordinator, server, source, jobs)
        worker = self.start("gristmill-worker", "--coordinator", coordinator.listen, "--name", "w",
                            "--concurrency", str(RATE * LATENCY_MS // 1_000), label=f"worker-{name}")
        worker.ready()
        # The first marks and blocks are written, and how long commits take has been seen.
        self.until_calls(server, RATE * (5 + 10 * delay_ms / 1_000))
        before, begin = self.stats(server)["calls"], time.monotonic()
        time.sleep(WINDOW_S)  # what is measured
        rate = (self.stats(server)["calls"] - before) / (time.monotonic() - begin)
        for process in (worker, coordinator, server):
            process.kill()
        return rate

    def submit(self, coordinator, server, source, jobs):
        spec = json.dumps({"spec": {"inputs": [{"path": source.name, "name": source.name}],
                                    "model": "sim-small", "endpoints": [{"url": server.url}]}}).encode()

        def one(_):
            request = urllib.request.Request(coordinator.http + "/api/v1/jobs", spec,
                                             {"Content-Type": "application/json"}, method="POST")
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            self.assertEqual(len(list(pool.map(one, range(jobs)))), jobs)

    def test_many_jobs_keep_their_rate(self):
        rows = []
        for jobs in JOBS:
            # Side by side where that is no load: the machine then is the same to both.
            with concurrent.futures.ThreadPoolExecutor(1 if WHOLE else 1 + len(DELAYS_MS)) as pool:
                plain, *slow = pool.map(lambda delay_ms: self.rate(jobs, delay_ms), (0, *DELAYS_MS))
            rows += [(jobs, delay_ms, rate / plain, plain) for delay_ms, rate in zip(DELAYS_MS, slow)]
        table = "\n".join(f"{jobs:4} jobs, +{delay_ms} ms: {kept:.1%} of {plain:.0f} calls/s"
                          for jobs, delay_ms, kept, plain in rows)
        print(table, file=sys.stderr)
        for jobs, _, kept, _ in rows:
            self.assertGreaterEqual(kept, KEPT[jobs], table)

    def test_health_is_answered_while_uploads_wait_for_the_disk(self):
        coordinator = self.traced(500, [
            binary("gristmill-coordinator"), "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0",
            "--state", self.directory / "state"], "hub", f"{SYNCS},{NAMES}")
        coordinator.__dict__.update(coordinator.ready())
        enough = threading.Event()

        def uploads(_):
            done = 0
            while not enough.is_set():
                request = urllib.request.Request(
                    coordinator.http + "/api/v1/inputs?name=x", bytes(4 << 20),
                    {"Content-Type": "application/octet-stream"}, method="POST")
                with urllib.request.urlopen(request, timeout=120) as answer:
                    self.assertEqual(json.load(answer)["bytes"], 4 << 20)
                done += 1
            return done

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = pool.map(uploads, range(8))
            self.until("uploads to be under way", lambda: list((self.directory / "state/inputs").iterdir()))
            took, begin = [], time.monotonic()
            try:
                while len(took) < 500 or time.monotonic() - begin < WINDOW_S:
                    asked = time.monotonic()
                    with urllib.request.urlopen(coordinator.http + "/healthz", timeout=120) as answer:
                        self.assertEqual(answer.status, 200)
                    took.append(1_000 * (time.monotonic() - asked))
            finally:
                enough.set()
        p99 = statistics.quantiles(took, n=100)[98]
        print(f"/healthz {len(took)} times, p99 {p99:.1f} ms, max {max(took):.1f} ms", file=sys.stderr)
        self.assertLess(p99, 200)
        self.assertGreater(sum(running), 0)

    def test_a_run_comes_to_its_end(self):
        server = self.server("--latency", "50ms")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 200)
        run = self.traced(3_000, [binary("gristmill"), "run", source, "-o", output, "--endpoint",
                                  server.url, "-q"], "run")
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(output, 200)


if __name__ == "__main__":
    unittest.main()
