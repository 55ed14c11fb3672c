"""A server that says how many calls wait (`metrics_url`): calls in flight follow its word, also where
latencies tell little because they differ widely. The witness is the server's own log.
"""
import json
import re
import unittest

from harness import EndToEnd, write_batch
from pressure_test import SECOND, served

SLOTS, ALLOWED = 32, 512
LAW = "lognormal:100ms:1.0"  # one answer in a hundred takes ten times as long as the median one


def figures(calls, after_s):
    """(slots in use, 95th percentile of the seconds in line), from after_s to the last arrival."""
    times = served(calls, lambda _: SLOTS)
    begin, end = times[0][0] + after_s * SECOND, times[-1][0]
    busy, waits = 0, []
    for call, (arrival, ended) in zip(calls, times):
        started = ended - call["latency_us"] * 1_000
        busy += max(0, min(ended, end) - max(started, begin))
        if arrival >= begin:
            waits.append((started - arrival) / SECOND)
    return busy / (end - begin), sorted(waits)[len(waits) * 95 // 100]


class QueueMetrics(EndToEnd):
    def configuration(self, server, name, **keys):
        path = self.directory / f"{name}.toml"
        lines = ["[[pool]]", 'model = "sim-small"', "[[pool.endpoint]]", f'url = "{server.url}"']
        path.write_text("\n".join(lines + [f"{key} = {json.dumps(value)}" for key, value in
                                           keys.items()]) + "\n")
        return path

    def metrics_of(self, server):
        return server.url.removesuffix("/v1") + "/metrics"

    def begin(self, server, name, count, **keys):
        """A run through a pool of its own; `seen` is what the server's log held before it."""
        source = self.directory / f"{name}.jsonl"
        write_batch(source, count)
        seen = len(self.calls(server))
        run = self.start("gristmill", "run", source, "--config",
                         self.configuration(server, name, **keys), "--concurrency", ALLOWED, "-v",
                         "-o", self.directory / f"{name}.out", label=name)
        run.seen = seen
        return run

    def figures_of(self, run, server, count, after_s):
        """Of its first calls; it is killed then, because its last ones take long."""
        self.until_calls(server, run.seen + count)
        run.kill()
        busy, wait = figures(self.calls(server)[run.seen:], after_s)
        print(f"{run.name}: {busy:.1f} of {SLOTS} slots, p95 of the wait {wait:.3f} s")
        return busy, wait

    def test_as_good_as_a_fixed_limit_and_nobody_waits(self):
        server = self.server("--slots", SLOTS, "--latency", LAW)
        run = self.begin(server, "fixed", 10_000, max_in_flight=SLOTS + 2)
        fixed = self.figures_of(run, server, 500, 0.5)
        self.until("the calls of the killed run to be over",
                   lambda: self.stats(server)["in_flight"] == 0)
        run = self.begin(server, "told", 10_000, max_in_flight=ALLOWED,
                         metrics_url=self.metrics_of(server))
        told = self.figures_of(run, server, 1_400, 5)
        self.assertGreaterEqual(told[0], 0.95 * fixed[0])
        self.assertLessEqual(told[1], 0.15)  # some four of the server's answers
        self.assertNotIn("metrics.unreadable", run.stderr())

    def test_a_wrong_page_harms_nothing_and_is_told_once(self):
        server = self.server("--slots", SLOTS, "--latency", "200ms")
        run = self.begin(server, "wrong", 640, max_in_flight=SLOTS,
                         metrics_url=self.metrics_of(server) + "/nothing")
        self.assertEqual(run.wait(), 0, run.stderr())
        self.check_result(self.directory / "wrong.out", 640)
        self.assertGreaterEqual(figures(self.calls(server), 0.5)[0], 0.9 * SLOTS)
        told = re.findall(r"metrics\.unreadable .*", run.stderr())
        self.assertEqual(len(told), 1, run.stderr())
        self.assertIn("/metrics/nothing", told[0])
        self.assertIn("got 404", told[0])

    def test_pools_show_what_an_announced_endpoint_says_of_its_queue(self):
        server = self.server("--slots", "4", "--latency", "300ms")
        coordinator = self.coordinator()
        self.worker(coordinator, "w1", "--endpoint", server.url, "--model", "sim-small",
                    "--metrics-url", self.metrics_of(server), "--concurrency", "64")
        source = self.directory / "in.jsonl"
        write_batch(source, 400)

        def endpoint():
            shown = self.gristmill("pools", "--json", "--server", coordinator.http).stdout
            return json.loads(shown)["pools"][0]["endpoints"][0]

        self.assertIsNone(endpoint()["queue_waiting"])
        self.assertIsNone(endpoint()["queue_running"])
        self.gristmill("submit", source, "--model", "sim-small", "--server", coordinator.http)
        seen = []

        def settled():
            seen.append(endpoint())
            return seen[-1]["queue_running"] == 4 and seen[-1]["concurrency_limit"] == 5

        self.until("the limit to follow the queue", settled)
        self.assertLessEqual(seen[-1]["queue_waiting"], 64)
        self.gristmill("cancel", "job-1", "--server", coordinator.http)
        self.until("the last word to grow old", lambda: endpoint()["queue_waiting"] is None)

    def test_a_bad_url_ends_with_2_and_its_place(self):
        server = self.server()
        path = self.configuration(server, "bad", metrics_url="gpu1:8000/metrics")
        source = self.directory / "in.jsonl"
        write_batch(source, 1)
        done = self.gristmill("run", source, "--config", path, "-o", self.directory / "out", check=2)
        self.assertRegex(done.stderr, r"bad\.toml:5:\d+: metrics_url: expected a URL with http://")
        for arguments, words in ((["--endpoint", server.url, "--model", "m"],
                                  "--metrics-url: expected a URL with http://"),
                                 ([], "expected --endpoint for --metrics-url")):
            worker = self.start("gristmill-worker", *arguments, "--metrics-url", "gpu1/metrics",
                                label=f"worker-{len(arguments)}")
            self.assertEqual(worker.wait(), 2)
            self.assertIn(words, worker.stderr())


if __name__ == "__main__":
    unittest.main(verbosity=2)
