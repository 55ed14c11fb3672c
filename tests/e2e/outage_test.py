"""Endpoints that go away in the middle and come back: items wait for them, or go elsewhere."""
import signal
import unittest

from harness import EndToEnd, write_batch

COUNT = 3_000


class Outage(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input, self.output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(self.input, COUNT)

    def begin(self, *endpoints):
        arguments = [argument for server in endpoints for argument in ("--endpoint", server.url)]
        return self.start("gristmill", "run", self.input, *arguments, "-o", self.output, "--concurrency",
                          "32", "--retries", "2", label="run")

    def test_a_server_that_restarts_costs_no_item(self):
        server = self.server("--latency", "20ms")
        run = self.begin(server)
        self.until_calls(server, 500)
        server.kill()
        # Without the breaker each item would be tried three times within some two seconds.
        self.until("the progress says what it waits for", lambda: "has answered nothing" in run.stderr())
        again = self.start("gristmill-simllm", "--listen", server.url.removeprefix("http://").removesuffix("/v1"),
                           "--latency", "20ms", "--log", self.directory / "again.log", label="again")
        again.url, again.log = again.ready()["url"], self.directory / "again.log"
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, COUNT)

    def test_another_server_takes_the_calls_meanwhile(self):
        first, second = (self.server("--latency", "20ms", label=f"server-{n}") for n in range(2))
        run = self.begin(first, second)
        self.until_calls(first, 300)
        self.until_calls(second, 300)
        before = self.stats(second)["calls"]
        first.kill()
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, COUNT)
        self.assertGreater(self.stats(second)["calls"], before + COUNT // 3)

    def test_a_server_that_stands_still_for_a_while_costs_no_item(self):
        first, second = (self.server("--latency", "20ms", label=f"server-{n}") for n in range(2))
        run = self.begin(first, second)
        self.until_calls(first, 300)
        first.popen.send_signal(signal.SIGSTOP)
        before = self.stats(second)["calls"]
        self.until("the other one goes on", lambda: self.stats(second)["calls"] > before + 500)
        first.popen.send_signal(signal.SIGCONT)
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.output, COUNT)

    def test_a_wait_that_is_told_as_a_moment_is_as_long_as_one_in_seconds(self):
        """Measured against a clock that was never set, each would be ten minutes or one."""
        write_batch(self.input, 8)
        moments = ["--retry-after", "date", "--resets"]
        for label, options in (
                ("date", ["--fault", "status:code=429,retry_after=2,first=1", *moments, "rfc3339"]),
                ("rfc3339", ["--rpm", "60", "--burst-seconds", "2", *moments, "rfc3339"]),
                ("epoch", ["--rpm", "60", "--burst-seconds", "2", *moments, "epoch"])):
            with self.subTest(label):
                server = self.server(*options, label=label)
                self.gristmill("run", self.input, "--endpoint", server.url, "-o", self.directory / f"{label}.jsonl")
                self.check_result(self.directory / f"{label}.jsonl", 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
