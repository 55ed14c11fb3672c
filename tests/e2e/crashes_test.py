"""A job that is there at every crash of the coordinator and gets nowhere does not start a fourth time."""
import json
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

    def test_after_three_crashes_without_an_outcome_a_job_starts_paused(self):
        write_batch(self.source, 50)
        node = self.coordinator(label="first")
        hung = self.worker(node, "w", "--concurrency", "4")
        job = self.gristmill("submit", self.source, "--server", node.http, "--endpoint",
                             self.simllm.url).stdout.strip()
        self.until_calls(self.simllm, 4)
        listen, http = node.listen, node.http.removeprefix("http://")
        for n in range(3):
            self.until("the worker to be there", lambda: self.workers(node) == ["active"])
            self.assertEqual(self.job(node, job)["state"], "running")
            node.kill()
            node = self.coordinator(label=f"again-{n}", listen=listen, http=http)
        shown = self.job(node, job)
        self.assertEqual((shown["state"], shown["reason"]), ("paused", "crashes"))
        self.assertIn("3 times", shown["detail"])
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
