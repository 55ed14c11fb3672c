"""Second calls of the last items that take far longer than the others, as the servers' logs show."""
import unittest
from collections import defaultdict

from harness import EndToEnd, write_batch
from options_test import Jobs

SECOND = 1_000_000_000


def gaps(calls):
    """Seconds between the first and the second call of each text that was asked twice."""
    times = defaultdict(list)
    for call in calls:
        times[call["crc"]].append(call["t_ns"])
    return sorted((t[1] - t[0]) / SECOND for t in times.values() if len(t) > 1)


class Elsewhere(EndToEnd):
    COUNT = 300

    def test_what_hangs_at_one_endpoint_is_answered_by_another(self):
        servers = [self.server("--latency", "50ms", "--fault", "hang:match=slow", label="hanging"),
                   self.server("--latency", "50ms", label="good")]
        config = self.directory / "gristmill.toml"
        config.write_text('[[pool]]\nmodel = "sim-small"\n' + "".join(
            f'[[pool.endpoint]]\nurl = "{server.url}"\n' for server in servers))
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        text = lambda n: f"{'slow' if n % 10 == 9 else 'quick'} {n}"
        write_batch(source, self.COUNT, text)
        self.gristmill("run", source, "--config", config, "-o", output, "--concurrency", 16,
                       "--timeout", 600, "--hedge", "10%")
        hanging, good = (self.calls(server) for server in servers)
        hung = {call["crc"] for call in hanging if call["fault"] == "hang"}
        self.assertGreater(len(hung), 0)
        self.assertEqual(len(hanging) + len(good), self.COUNT + len(hung))
        self.assertLessEqual(hung, {call["crc"] for call in good})
        counts = self.summary(output)["counts"]
        self.assertEqual((counts["completed"], counts["failed"]), (self.COUNT, 0))
        # Taken back, not waited for. What became of the last ones may be told after the end.
        self.assertEqual(counts["attempts"], self.COUNT)
        self.assertLessEqual(counts["late"], len(hung))
        self.check_result(output, self.COUNT, text)


class Share(Jobs):
    COUNT, SLOW, TIMEOUT_S = 200, 10, 3

    def second_calls(self, *options):
        """For `run` and `submit`: seconds after which each hanging call got a second one."""
        write_batch(self.source, self.COUNT, lambda n: f"{'slow' if n < self.SLOW else 'quick'} {n}")
        for job in self.both("--timeout", self.TIMEOUT_S, *options,
                             server=["--latency", "20ms", "--fault", "hang:match=slow,times=1"]):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                calls = self.calls(job.server)
                self.assertEqual(len(calls), self.COUNT + self.SLOW)
                yield gaps(calls)

    def test_no_more_than_the_share_that_is_allowed(self):
        for waits in self.second_calls("--hedge", "2%"):
            early = [wait for wait in waits if wait < self.TIMEOUT_S - 0.5]
            self.assertEqual((len(waits), len(early)), (self.SLOW, 4))

    def test_none_unless_it_is_asked_for(self):
        for waits in self.second_calls():
            self.assertGreater(waits[0], self.TIMEOUT_S - 0.5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
