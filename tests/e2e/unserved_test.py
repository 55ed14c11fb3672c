"""Models that nobody serves: what is refused, what fails, and what waits for whoever may come."""
import unittest

from harness import EndToEnd, write_batch


class Unserved(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        self.simllm = self.server()

    def pooled(self, *arguments):
        """A coordinator with a pool of the model "small", and a worker."""
        config = self.directory / "gristmill.toml"
        config.write_text(f'[[pool]]\nmodel = "small"\n[[pool.endpoint]]\nurl = "{self.simllm.url}"\n')
        coordinator = self.coordinator("--config", config, *arguments)
        self.worker(coordinator, "w0")
        return coordinator

    def submit(self, coordinator, *arguments, check):
        return self.gristmill("submit", self.source, "--server", coordinator.http, "--wait", "-o",
                              self.output, *arguments, check=check)

    def test_a_job_of_lines_that_no_pool_serves_stops_early(self):
        coordinator = self.pooled()
        write_batch(self.source, 10_000, model="unknown")
        stopped = self.submit(coordinator, check=4)
        self.assertIn("--max-failures", stopped.stderr)
        self.assertIn('no pool serves the model "unknown"; served: small', stopped.stderr)
        self.assertEqual(self.calls(self.simllm), [])

    def test_nothing_is_uploaded_for_a_model_that_no_pool_serves(self):
        coordinator = self.pooled("-v")
        write_batch(self.source, 10, model="small")
        for option in ("--model", "--fallback-model"):
            refused = self.submit(coordinator, option, "large", check=2)
            self.assertIn(f'{option}: expected a model that a pool serves (small), got "large"',
                          refused.stderr)
        self.assertIn("path=/api/v1/pools", coordinator.stderr())
        self.assertNotIn("path=/api/v1/inputs", coordinator.stderr())
        self.submit(coordinator, "--model", "small", check=0)
        self.assertIn("path=/api/v1/inputs", coordinator.stderr())

    def test_without_pools_a_line_waits_for_who_announces_its_model_and_says_so(self):
        coordinator = self.coordinator()
        write_batch(self.source, 20, model="small")
        announce = ["--endpoint", self.simllm.url, "--model"]
        self.worker(coordinator, "w0", *announce, "other")
        job = self.gristmill("submit", self.source, "--server", coordinator.http).stdout.strip()
        self.until("the job to say why it waits", lambda: 'no pool serves the model "small"; served: other'
                   in self.job(coordinator, job)["why_waiting"])
        self.worker(coordinator, "w1", *announce, "small")
        self.until("the job to finish", lambda: self.job(coordinator, job)["state"] == "finished")
        self.assertEqual(self.job(coordinator, job)["counts"]["failed"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
