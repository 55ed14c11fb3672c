"""SIGTERM under load, again and again, to worker, coordinator and `gristmill run` in turn: each ends
with its exit code within its drain time, nothing is lost and nothing is called twice.

GRISTMILL_DRAINS is the number of signals (9).
"""
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
from harness import EndToEnd, write_batch

DRAINS = int(os.environ.get("GRISTMILL_DRAINS", "9"))
SEED = int(os.environ.get("GRISTMILL_SEED", "1"))
DRAIN_S = 10
COUNT = 350 * DRAINS
VERIFY = HERE.parent / "verify/verify.py"


class Drain(EndToEnd):
    def told_to_end(self, process, code):
        begin = time.monotonic()
        self.assertEqual(process.end(signal.SIGTERM), code, process.stderr())
        # The drain time is what was promised to whoever stops the service.
        self.assertLess(time.monotonic() - begin, DRAIN_S, process.stderr())
        process.popen.stdout.close()

    def verify(self, journal, server, output):
        self.calls(server)
        done = subprocess.run([sys.executable, "-B", VERIFY, "--input", self.source, "--output", output,
                               "--journal", journal, "--log", server.log],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.stats(server)["calls"], COUNT)

    def test_whoever_is_told_to_end_loses_nothing_and_calls_nothing_twice(self):
        rng = random.Random(SEED)
        self.source = self.directory / "in.jsonl"
        write_batch(self.source, COUNT)
        outputs = self.directory / "cluster.jsonl", self.directory / "run.jsonl"
        servers = [self.server("--latency", "uniform:50ms:300ms", label=label) for label in ("a", "b")]

        drain = "--drain-timeout", str(DRAIN_S)
        coordinator = self.coordinator(*drain)
        workers = [self.worker(coordinator, f"w{n}", "--concurrency", "16", *drain) for n in range(2)]
        job = self.gristmill("submit", self.source, "--endpoint", servers[0].url, "--server",
                             coordinator.http).stdout.strip()
        command = ["run", self.source, "--endpoint", servers[1].url, "-o", outputs[1], "--concurrency",
                   "32", *drain]
        run = self.start("gristmill", *command, label="run")

        for n in range(DRAINS):
            server = servers[n % 3 == 2]
            target = int(0.7 * COUNT * (n + rng.random()) / DRAINS)
            self.until_calls(server, target)
            self.assertLess(self.stats(server)["calls"], COUNT, "the job was over before the signal")
            if n % 3 == 0:
                which = rng.randrange(2)
                self.told_to_end(workers[which], 0)
                workers[which] = self.worker(coordinator, f"w{which}", "--concurrency", "16", *drain)
            elif n % 3 == 1:
                self.told_to_end(coordinator, 0)
                coordinator = self.coordinator(*drain, label=f"coordinator-{n}",
                                               listen=coordinator.listen,
                                               http=coordinator.http.removeprefix("http://"))
            else:
                self.told_to_end(run, 128 + signal.SIGTERM)
                run = self.start("gristmill", *command, label="run")

        self.assertEqual(run.wait(), 0, run.stderr())
        self.until("the job to end", lambda: self.job(coordinator, job)["state"] == "finished")
        self.gristmill("results", job, "-o", outputs[0], "--server", coordinator.http)
        self.told_to_end(coordinator, 0)
        self.verify(self.directory / "state", servers[0], outputs[0])
        self.verify(f"{outputs[1]}.state", servers[1], outputs[1])
        print(f"{DRAINS} times SIGTERM, {2 * COUNT} items, {2 * COUNT} calls")


if __name__ == "__main__":
    unittest.main()
