"""A job that is there at crash after crash of the coordinator goes on by itself, with one call at a
time while it gets nowhere, and is paused when the same call is out each time."""
import json
import random
import time
import unittest
import urllib.request

from harness import EndToEnd, write_batch


class Crashes(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        self.simllm = self.server("--fault", "hang")

    def workers(self, coordinator):
        with urllib.request.urlopen(f"{coordinator.http}/api/v1/workers", timeout=10) as answer:
            return [worker["state"] for worker in json.load(answer)["workers"]]

    def test_a_job_that_gets_nowhere_goes_on_probation_and_is_paused_in_the_end(self):
        write_batch(self.source, 50)
        node = self.coordinator(label="first")
        hung = self.worker(node, "w", "--concurrency", "4")
        job = self.gristmill("submit", self.source, "--server", node.http, "--endpoint",
                             self.simllm.url).stdout.strip()
        self.until_calls(self.simllm, 4)
        listen, http = node.listen, node.http.removeprefix("http://")
        kills = 0
        while (shown := self.job(node, job))["state"] == "running":
            self.assertEqual("one call at a time" in shown["detail"], kills >= 3)
            # A life that did not come to note which item is out does not count.
            self.assertLess(kills, 12)
            self.until("the worker to be there", lambda: self.workers(node) == ["active"])
            node.kill()
            kills += 1
            node = self.coordinator(label=f"again-{kills}", listen=listen, http=http)
        self.assertGreaterEqual(kills, 6)
        self.assertEqual((shown["state"], shown["reason"]), ("paused", "crashes"))
        self.assertIn(f"{kills} times", shown["detail"])
        self.assertIn(f"gristmill resume {job}", shown["detail"])
        # Resumed when the server answers again, it finishes; a crash on the way is the first one.
        self.control(self.simllm, faults=[], latency="20ms")
        hung.kill()  # its calls would keep its room for as long as --timeout
        self.worker(node, "other", "--concurrency", "4")
        self.gristmill("resume", job, "--server", node.http)
        self.until("a line", lambda: self.job(node, job)["counts"]["completed"] > 0)
        node.kill()
        node = self.coordinator(label="last", listen=listen, http=http)
        self.until("the job to finish", lambda: self.job(node, job)["state"] == "finished")
        self.gristmill("results", job, "-o", self.output, "--server", node.http)
        self.check_result(self.output, 50)

    def test_thirty_kills_do_not_stop_a_job(self):
        """Of the coordinator and of workers, 0.3 to 1.2 s apart: nobody types a command."""
        drawn = random.Random(30)
        self.control(self.simllm, faults=[], latency="300ms")
        write_batch(self.source, 3_000)
        node = self.coordinator(label="life-0")
        workers = {n: self.worker(node, f"w{n}", "--concurrency", "16") for n in range(3)}
        job = self.gristmill("submit", self.source, "--server", node.http, "--endpoint",
                             self.simllm.url).stdout.strip()
        self.until_calls(self.simllm, 1)
        listen, http = node.listen, node.http.removeprefix("http://")
        for kill in range(30):
            time.sleep(drawn.uniform(0.3, 1.2))  # what is tested
            if drawn.random() < 0.5:
                node.kill()
                node = self.coordinator(label=f"life-{kill + 1}", listen=listen, http=http)
            else:
                n = drawn.choice(list(workers))
                workers[n].kill()
                workers[n] = self.worker(node, f"w{n}", "--concurrency", "16")
        self.until("the job to end", lambda: self.job(node, job)["state"] not in ("running", "merging"))
        self.assertEqual(self.job(node, job)["state"], "finished", self.job(node, job))
        self.gristmill("results", job, "-o", self.output, "--server", node.http)
        self.check_result(self.output, 3_000)
        counts = self.job(node, job)["counts"]
        print(f"{len(self.calls(self.simllm))} calls for 3,000 items; counts {counts}")
        self.assertEqual(counts["failed"], 0)

    def test_ends_in_order_are_no_crashes(self):
        write_batch(self.source, 50)
        node = self.coordinator(label="first")
        self.worker(node, "w", "--concurrency", "4")
        job = self.gristmill("submit", self.source, "--server", node.http, "--endpoint",
                             self.simllm.url).stdout.strip()
        self.until_calls(self.simllm, 4)
        listen, http = node.listen, node.http.removeprefix("http://")
        for n in range(4):
            self.until("the worker to be there", lambda: self.workers(node) == ["active"])
            node.end()
            node = self.coordinator(label=f"again-{n}", listen=listen, http=http)
        self.assertEqual(self.job(node, job)["state"], "running")

    def test_run_goes_on_with_one_call_at_a_time_until_something_is_recorded(self):
        write_batch(self.source, 40)
        arguments = ["run", self.source, "-o", self.output, "--endpoint", self.simllm.url]
        for n in range(3):
            before = self.stats(self.simllm)["calls"]
            run = self.start("gristmill", *arguments, label=f"run-{n}")
            self.until("more calls than one", lambda: self.stats(self.simllm)["calls"] > before + 5)
            run.kill()
        before = self.stats(self.simllm)["calls"]
        self.control(self.simllm, faults=[], latency="300ms")
        run = self.start("gristmill", *arguments, label="run-last")
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, 40)
        came = [call["t_ns"] / 1e6 for call in self.calls(self.simllm)[before:]]
        self.assertGreaterEqual(came[1] - came[0], 300, "the second call begins after the first")
        self.assertLess(came[10] - came[1], 300, "then many at a time")


if __name__ == "__main__":
    unittest.main(verbosity=2)
