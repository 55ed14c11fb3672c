"""A coordinator and workers as processes, with kills."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import tempfile
import time
import unittest

from harness import EndToEnd, write_batch


class Cluster(EndToEnd):
    COUNT = 20_000

    def submit(self, coordinator, server, *arguments):
        source = self.directory / "in.jsonl"
        if not source.exists():
            write_batch(source, self.COUNT)
        done = self.gristmill("submit", source, "--endpoint", server.url, "--server",
                              coordinator.http, *arguments)
        return done.stdout.strip()

    def finish(self, coordinator, job):
        self.until(f"{job} to finish",
                   lambda: self.job(coordinator, job)["state"] in ("finished", "failed", "cancelled"))
        self.assertEqual(self.job(coordinator, job)["state"], "finished")
        output = self.directory / "out.jsonl"
        self.gristmill("results", job, "-o", output, "--server", coordinator.http)
        return output

    def recorded(self):
        """Terminal items in the raw journal, of which a copy is read: its owner locks it."""
        copy = pathlib.Path(tempfile.mkdtemp(dir=self.directory))
        for file in (self.directory / "state").glob("journal.db*"):
            shutil.copy(file, copy)
        with contextlib.closing(sqlite3.connect(copy / "journal.db")) as journal:
            return journal.execute("SELECT coalesce(sum(completed + failed), 0) FROM commits").fetchone()[0]

    def test_a_worker_dies_another_comes_late(self):
        server = self.server("--latency", "40ms")
        coordinator = self.coordinator()
        workers = [self.worker(coordinator, f"w{n}", "--concurrency", "64") for n in range(2)]
        job = self.submit(coordinator, server)
        self.until_calls(server, 5_000)
        with coordinator.frozen():
            workers[0].kill()
            # Read in this order: a call that arrives in between may be counted, none is missed.
            recorded = self.recorded()
            unrecorded = self.stats(server)["calls"] - recorded
        self.assertGreater(unrecorded, 0)
        self.worker(coordinator, "w2", "--concurrency", "64")
        output = self.finish(coordinator, job)
        self.check_result(output, self.COUNT)
        calls = self.calls(server)
        self.check_one_call_per_attempt(calls)
        self.assertGreater(len(calls), self.COUNT, "the dead worker had no call in flight")
        self.assertLessEqual(len(calls) - self.COUNT, unrecorded)

    def test_the_coordinator_dies_and_comes_back(self):
        server = self.server("--latency", "10ms")
        coordinator = self.coordinator()
        for n in range(2):
            self.worker(coordinator, f"w{n}", "--concurrency", "64")
        job = self.submit(coordinator, server)
        self.until_calls(server, 5_000)
        coordinator.kill()
        coordinator = self.coordinator("--drain-timeout", "5", label="coordinator-2",
                                       listen=coordinator.listen,
                                       http=coordinator.http.removeprefix("http://"))
        output = self.finish(coordinator, job)
        self.check_result(output, self.COUNT)
        calls = self.calls(server)
        self.check_one_call_per_attempt(calls)
        # The workers lived: they kept what they had, so nothing was called twice.
        self.assertEqual(len(calls), self.COUNT)

    def test_status_jobs_workers_and_cancel(self):
        server = self.server("--latency", "200ms")
        coordinator = self.coordinator()
        self.worker(coordinator, "w0", "--concurrency", "8")
        job = self.submit(coordinator, server)
        at = ["--server", coordinator.http]
        self.until_calls(server, 20)
        self.assertIn("w0", self.gristmill("workers", *at).stdout)
        self.assertIn(job, self.gristmill("jobs", *at).stdout)
        status = json.loads(self.gristmill("status", job, "--json", *at).stdout)
        self.assertEqual(status["state"], "running")
        self.gristmill("cancel", job, *at)
        self.until("the cancelled job to end", lambda: self.job(coordinator, job)["state"] == "cancelled")
        output = self.directory / "out.jsonl"
        self.gristmill("results", job, "-o", output, *at)
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        self.assertEqual(len(lines), self.COUNT, "every item gets its line")
        cancelled = [line for line in lines if (line["error"] or {}).get("code") == "cancelled"]
        self.assertGreater(len(cancelled), self.COUNT - 2_000)

    def test_an_announced_endpoint_serves_the_jobs_of_its_model(self):
        server = self.server("--model", "local-model")
        coordinator = self.coordinator()
        self.worker(coordinator, "gpu", "--endpoint", server.url, "--model", "local-model")
        source = self.directory / "in.jsonl"
        write_batch(source, 500)
        output = self.directory / "out.jsonl"
        self.gristmill("submit", source, "-m", "local-model", "--server", coordinator.http, "--wait",
                       "-o", output)
        self.check_result(output, 500)

    def test_a_job_uses_its_own_endpoints_or_its_models_and_no_others(self):
        own, announced = self.server(label="own"), self.server("--model", "local", label="announced")
        coordinator = self.coordinator()
        self.worker(coordinator, "w0", "--endpoint", announced.url, "--model", "local")
        source = self.directory / "in.jsonl"
        write_batch(source, 300)
        at = ["--server", coordinator.http, "--wait"]
        self.gristmill("submit", source, "--endpoint", own.url, *at, "-o", self.directory / "1.jsonl")
        self.gristmill("submit", source, "-m", "local", *at, "-o", self.directory / "2.jsonl")
        for n in (1, 2):
            self.check_result(self.directory / f"{n}.jsonl", 300)
        self.assertEqual([len(self.calls(server)) for server in (own, announced)], [300, 300])

    def test_a_worker_that_dies_with_a_full_hand_is_soon_missed(self):
        server = self.server("--latency", "150ms")
        coordinator = self.coordinator()
        workers = [self.worker(coordinator, f"w{n}", "--concurrency", "8") for n in range(2)]
        job = self.submit(coordinator, server, "--limit", "200")
        self.until_calls(server, 100)
        workers[0].kill()
        output = self.finish(coordinator, job)
        self.check_result(output, 200)
        # Found by a frame that cannot be sent, not by forty seconds of silence.
        self.assertIn("worker.disconnected", coordinator.stderr())
        self.assertNotIn("silent", coordinator.stderr())

    def test_a_worker_drains(self):
        server = self.server("--latency", "50ms")
        coordinator = self.coordinator()
        leaving = self.worker(coordinator, "leaving", "--concurrency", "32")
        self.worker(coordinator, "staying", "--concurrency", "32")
        job = self.submit(coordinator, server, "--limit", "4000")
        self.until_calls(server, 500)
        self.assertEqual(leaving.end(signal.SIGTERM), 0, leaving.stderr())
        output = self.finish(coordinator, job)
        self.check_result(output, 4_000)
        self.assertEqual(len(self.calls(server)), 4_000, "a drained worker's calls are not made twice")

    def test_only_who_has_a_key_joins_and_asks(self):
        server = self.server()
        keys = self.directory / "keys"
        self.gristmill("keygen", keys, "--address", "tcp://127.0.0.1:7411")
        for file in keys.iterdir():
            self.assertEqual(file.stat().st_mode & 0o777, 0o600, file)
        coordinator = self.coordinator("--keys", keys)
        self.worker(coordinator, "w0", "--keys", keys)
        stranger = self.start("gristmill-worker", "--coordinator", coordinator.listen, "--name",
                              "stranger", label="stranger")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 300)
        arguments = ["submit", source, "--endpoint", server.url, "--server", coordinator.http, "--wait",
                     "-o", output]
        refused = self.gristmill(*arguments, check=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("token", refused.stderr)
        token = (keys / "client.token").read_text().strip()
        self.gristmill(*arguments, env={"GRISTMILL_TOKEN": token})
        self.check_result(output, 300)
        workers = self.gristmill("workers", "--json", "--server", coordinator.http,
                                 env={"GRISTMILL_TOKEN": token}).stdout
        self.assertNotIn("stranger", workers)
        self.assertIsNone(stranger.popen.poll(), "a worker without a coordinator keeps trying")
        open_to_all = self.start("gristmill-coordinator", "--listen", "tcp://0.0.0.0:0", "--http",
                                 "127.0.0.1:0", "--state", self.directory / "other", label="open")
        self.assertEqual(open_to_all.wait(), 2)
        self.assertIn("keygen", open_to_all.stderr())


if __name__ == "__main__":
    unittest.main(verbosity=2)
