"""A disk that is full, on a small file system of its own: the job waits, nothing is lost, nothing is
called twice, and it goes on by itself.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from harness import EndToEnd, binary, write_batch


class FullDisk(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input = self.directory / "in.jsonl"
        self.disk = self.directory / "disk"
        self.disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "gristmill-e2e", self.disk],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.fail(f"expected to be allowed `mount -t tmpfs`, got {done.stderr.strip()}; this test "
                      "needs root (CAP_SYS_ADMIN)")

    def tearDown(self):
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()
        subprocess.run(["umount", self.disk], check=True)
        super().tearDown()

    def fill(self):
        """A file that takes all that is left, while others also write."""
        ballast = self.disk / "ballast"
        with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 12))
        return ballast

    def each_once(self, server, count):
        self.assertEqual(len(self.calls(server)), count)
        self.check_one_call_per_attempt(self.calls(server))


class Cluster(FullDisk):
    COUNT = 6_000

    def begin(self, *arguments):
        server = self.server("--latency", "10ms")
        write_batch(self.input, self.COUNT)
        coordinator = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http",
                                 "127.0.0.1:0", "--state", self.disk / "state", label="coordinator")
        ready = coordinator.ready()
        coordinator.listen, coordinator.http = ready["listen"], ready["http"]
        self.worker(coordinator, "w", "--concurrency", "32")
        self.gristmill("submit", self.input, "--server", coordinator.http, "--endpoint", server.url,
                       *arguments)
        return server, coordinator

    def ready(self, coordinator):
        try:
            with urllib.request.urlopen(f"{coordinator.http}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def calls_at_rest(self, server, coordinator):
        """How many were made, once none is in flight and none was begun for three seconds."""
        seen = (-1, 0.0)

        def rest():
            nonlocal seen
            calls = self.stats(server)["calls"]
            if calls != seen[0] or self.job(coordinator, "job-1")["counts"]["in_flight"] > 0:
                seen = (calls, time.monotonic())
            return time.monotonic() - seen[1] > 3

        self.until("calls come to rest", rest)
        return seen[0]

    def test_a_job_waits_for_space_and_goes_on_by_itself(self):
        server, coordinator = self.begin()
        self.until_calls(server, 500)
        ballast = self.fill()
        self.until("the job says that it waits for the disk",
                   lambda: self.job(coordinator, "job-1")["state"] == "paused")
        why = self.gristmill("explain", "job-1", "--json", "--server", coordinator.http).stdout
        self.assertEqual(json.loads(why)["kind"], "disk", why)
        job = self.job(coordinator, "job-1")
        self.assertEqual(job["reason"], "disk")
        self.assertIn("free some space", job["detail"])
        self.assertIn("goes on by itself", job["detail"])
        self.assertEqual(self.ready(coordinator)[0], 503)
        # Budget blocks are durable or not drawn from: calls come to rest while the disk is full.
        at_rest = self.calls_at_rest(server, coordinator)
        self.assertLess(at_rest, self.COUNT)
        for _ in range(20):
            self.assertEqual(self.job(coordinator, "job-1")["state"], "paused")
        self.assertEqual(self.stats(server)["calls"], at_rest)
        ballast.unlink()
        self.gristmill("watch", "job-1", "--server", coordinator.http)
        self.assertEqual(self.ready(coordinator)[0], 200)
        result = self.directory / "result.jsonl"
        self.gristmill("results", "job-1", "-o", result, "--server", coordinator.http)
        self.check_result(result, self.COUNT)
        self.each_once(server, self.COUNT)

    def test_a_coordinator_that_is_killed_on_a_full_disk_says_why_it_does_not_start(self):
        server, coordinator = self.begin()
        self.until_calls(server, 500)
        ballast = self.fill()
        self.until("the job says that it waits for the disk",
                   lambda: self.job(coordinator, "job-1")["state"] == "paused")
        coordinator.kill()
        again = self.start("gristmill-coordinator", "--listen", coordinator.listen, "--http",
                           coordinator.http.removeprefix("http://"), "--state", self.disk / "state",
                           label="again")
        self.assertNotEqual(again.wait(), 0)
        self.assertIn("free some space", again.stderr())
        ballast.unlink()
        third = self.start("gristmill-coordinator", "--listen", coordinator.listen, "--http",
                           coordinator.http.removeprefix("http://"), "--state", self.disk / "state",
                           label="third")
        third.ready()
        self.gristmill("watch", "job-1", "--server", coordinator.http)
        result = self.directory / "result.jsonl"
        self.gristmill("results", "job-1", "-o", result, "--server", coordinator.http)
        self.check_result(result, self.COUNT)
        # The worker kept what the first could not record.
        self.each_once(server, self.COUNT)


    def test_an_upload_that_does_not_fit_leaves_nothing(self):
        server, coordinator = self.begin()
        self.gristmill("watch", "job-1", "--server", coordinator.http)
        big = self.directory / "big.jsonl"
        big.write_bytes(b"{}\n" * (30 << 20))
        before = sorted(path.name for path in (self.disk / "state/inputs").iterdir())
        # The first says how large it is; the second is cut while it comes.
        for source in (["submit", big], ["submit", "-"]):
            with open(big, "rb") as lines:
                refused = subprocess.run([binary("gristmill"), *map(str, source), "-m", "m", "--endpoint",
                                          server.url, "--server", coordinator.http], stdin=lines,
                                         capture_output=True, text=True)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn("free some space", refused.stderr)
            self.until("what came to be gone", lambda: sorted(
                path.name for path in (self.disk / "state/inputs").iterdir()) == before)
        write_batch(self.input, 10)
        self.gristmill("submit", self.input, "--server", coordinator.http, "--endpoint", server.url)
        self.gristmill("watch", "job-2", "--server", coordinator.http)


class Run(FullDisk):
    COUNT = 4_000

    def begin(self, output, state):
        server = self.server("--latency", "10ms")
        write_batch(self.input, self.COUNT)
        run = self.start("gristmill", "run", self.input, "--endpoint", server.url, "--concurrency", "32",
                         "-o", output, "--state", state, label="run")
        return server, run

    def test_the_command_waits_and_goes_on(self):
        output = self.disk / "out.jsonl"
        server, run = self.begin(output, self.disk / "state")
        self.until_calls(server, 500)
        ballast = self.fill()
        self.until("the progress says so", lambda: "goes on by itself" in run.stderr())
        self.assertIsNone(run.popen.poll())
        ballast.unlink()
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(output, self.COUNT)
        self.each_once(server, self.COUNT)

    def test_a_result_that_has_no_space_is_merged_when_there_is_some(self):
        output = self.disk / "out.jsonl"
        server, run = self.begin(output, self.directory / "state")
        self.until_calls(server, 100)
        ballast = self.fill()
        self.until("the progress says so", lambda: "goes on by itself" in run.stderr())
        self.until_calls(server, self.COUNT)
        self.assertFalse(output.exists())
        ballast.unlink()
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(output, self.COUNT)
        self.each_once(server, self.COUNT)
        self.assertEqual(json.loads(pathlib.Path(f"{output}.summary.json").read_text())["counts"]["completed"],
                         self.COUNT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
