"""How calls in flight begin at a server of which nothing is known, with what an earlier job found,
and with what the server says: one table, by the server's own log.

GRISTMILL_SLOW_START=whole also measures the large servers, which wants the machine to itself.
"""
import heapq
import json
import math
import os
import subprocess
import unittest

from harness import BUILD, EndToEnd, write_batch

WHOLE = os.environ.get("GRISTMILL_SLOW_START") == "whole"
SECOND = 1_000_000_000


def in_line(calls, slots):
    """(arrival, end) of each call in ns at a server of so many slots, first come, first served."""
    free, times = [0] * slots, []
    for call in calls:
        begin = max(call["t_ns"], heapq.heappop(free))
        times.append((call["t_ns"], begin + call["latency_us"] * 1_000))
        heapq.heappush(free, times[-1][1])
    return times


def most_in_flight(times):
    most, ends = 0, []
    for arrival, end in times:
        while ends and ends[0] <= arrival:
            heapq.heappop(ends)
        heapq.heappush(ends, end)
        most = max(most, len(ends))
    return most


class SlowStart(EndToEnd):
    def cluster(self, slots, seconds, page, concurrency=8_192):
        self.slots, self.seconds = slots, seconds
        self.sim = self.server("--slots", slots, "--latency", f"{int(seconds * 1000)}ms")
        path = self.directory / "pools.toml"
        path.write_text('[[pool]]\nmodel = "sim-small"\n[[pool.endpoint]]\n'
                        f'url = "{self.sim.url}"\nmetrics_url = "{page}"\n')
        self.config = path
        self.node = self.coordinator("--config", path)
        self.worker(self.node, "w1", "--concurrency", concurrency)

    def submit(self, count, *options):
        source, output = self.directory / f"{count}.jsonl", self.directory / f"{count}.out"
        write_batch(source, count)
        seen = len(self.calls(self.sim))
        self.gristmill("submit", source, "--model", "sim-small", "--server", self.node.http, "--wait",
                       "-o", output, *options)
        self.check_result(output, count)
        output.unlink()
        return self.calls(self.sim)[seen:]

    def figures(self, what, calls, count):
        """Time of the whole beside the ideal, calls for an item, most calls in flight."""
        times = in_line(calls, self.slots)
        took = (max(end for _, end in times) - times[0][0]) / SECOND
        ideal = math.ceil(count / self.slots) * self.seconds
        most = most_in_flight(times)
        print(f"| {self.slots} x {self.seconds} s | {count} | {what} | {took:.2f} s | "
              f"{took / ideal:.3f} | {len(calls) / count:.3f} | {most} |")
        return took / ideal, len(calls) / count, most

    def limit(self):
        shown = self.gristmill("pools", "--json", "--server", self.node.http).stdout
        return json.loads(shown)["pools"][0]["endpoints"][0]["concurrency_limit"]

    def bare(self, slots, seconds, count):
        """What libcurl alone takes that knows the slots: no client is faster on this machine."""
        server = self.server("--slots", slots, "--latency", f"{int(seconds * 1000)}ms", label="bare")
        source = self.directory / "bare.jsonl"
        write_batch(source, count)
        subprocess.run([BUILD / "gristmill-bench-bare", source, "--endpoint", server.url, "-o",
                        self.directory / "bare.out", "--concurrency", str(slots)], check=True,
                       stdout=subprocess.DEVNULL)
        self.slots, self.seconds = slots, seconds
        return self.figures("libcurl alone", self.calls(server), count)[0]

    def compare(self, slots, seconds, count, cold, known, told):
        root = self.directory
        if slots > 1_000:  # so many calls take the machine its time to begin, whoever makes them
            of_bare = self.bare(slots, seconds, count)
            known, told = known * of_bare, told * of_bare
        self.directory = root / f"cold-{slots}"
        self.directory.mkdir()
        self.cluster(slots, seconds, "")
        self.assertLessEqual(self.figures("cold", self.submit(count), count)[0], cold)
        self.assertLessEqual(self.figures("found before", self.submit(count), count)[0], known)
        for process in self.processes:
            process.kill()
        self.directory = root / f"told-{slots}"
        self.directory.mkdir()
        self.cluster(slots, seconds, "auto")
        ratio, _, most = self.figures("page", self.submit(count), count)
        self.assertLessEqual(ratio, told)
        self.assertLessEqual(most, max(32, 1.25 * slots))
        self.directory = root

    def test_a_small_server_is_not_given_more_than_it_answers_in_time(self):
        factor = 1 if WHOLE else 10
        self.cluster(4, 2 / factor, "")
        calls = self.submit(120, "--timeout", 20 / factor)
        ratio, calls_an_item, most = self.figures("cold", calls, 120)
        self.assertLessEqual(calls_an_item, 1.05)
        self.assertLessEqual(ratio, 1.2)
        self.assertLessEqual(most, 40)

    def test_a_server_is_soon_filled(self):
        self.compare(64, 0.5, 1_000, 1.35, 1.2, 1.25)
        if WHOLE:
            self.compare(512, 0.5, 5_000, 1.25, 1.05, 1.05)
            self.compare(4_000, 1, 20_000, 1.8, 1.03, 1.2)

    def test_a_page_that_nobody_named_is_found_and_followed(self):
        slots = 64
        self.slots, self.seconds = slots, 0.5
        self.sim = self.server("--slots", slots, "--latency", "500ms")
        self.node = self.coordinator()
        worker = self.worker(self.node, "w1", "--endpoint", self.sim.url, "--model", "sim-small",
                             "--concurrency", 512)
        _, _, most = self.figures("page found", self.submit(1_000), 1_000)
        self.assertLessEqual(most, 1.25 * slots)
        self.assertIn("metrics.found", worker.stderr())

    def test_what_a_job_brought_to_a_cluster_is_not_asked_for_a_page(self):
        self.slots, self.seconds = 4, 0.05
        self.sim = self.server("--slots", 4, "--latency", "50ms")
        self.node = self.coordinator()
        worker = self.worker(self.node, "w1")
        source = self.directory / "in.jsonl"
        write_batch(source, 200)
        self.gristmill("submit", source, "--endpoint", self.sim.url, "--model", "sim-small",
                       "--server", self.node.http, "--wait", "-o", self.directory / "out")
        self.assertNotIn("metrics.", worker.stderr())

    def test_a_restart_begins_with_what_was_found(self):
        self.cluster(8, 0.3, "")
        source = self.directory / "in.jsonl"
        write_batch(source, 100_000)
        self.gristmill("submit", source, "--model", "sim-small", "--server", self.node.http)
        self.until("the slots to be found", lambda: self.limit() <= 12)
        for life in range(2):
            answered = self.stats(self.sim)["calls"]
            self.until_calls(self.sim, answered + 60)
            listen, http = self.node.listen, self.node.http.removeprefix("http://")
            self.node.kill()
            # Those that began before the slots were found have ended by now.
            since = self.calls(self.sim)[-1]["t_ns"] if life == 0 else since
            self.node = self.coordinator("--config", self.config, label=f"life-{life}",
                                         listen=listen, http=http)
        answered = self.stats(self.sim)["calls"]
        self.until_calls(self.sim, answered + 120)
        times = [t for t in in_line(self.calls(self.sim), self.slots)]
        most = most_in_flight([t for t in times if t[1] > since])
        print(f"| 8 x 0.3 s | - | two restarts | - | - | - | {most} |")
        self.assertLessEqual(most, 12)

    def test_run_looks_for_a_page_at_loopback(self):
        self.slots, self.seconds = 64, 0.5
        self.sim = self.server("--slots", 64, "--latency", "500ms")
        source = self.directory / "in.jsonl"
        write_batch(source, 1_000)
        self.gristmill("run", source, "--endpoint", self.sim.url, "--concurrency", 512, "-o",
                       self.directory / "out.jsonl")
        _, _, most = self.figures("run, page found", self.calls(self.sim), 1_000)
        self.assertLessEqual(most, 80)


if __name__ == "__main__":
    print("| server | items | known | time | of the ideal | calls an item | most in flight |\n"
          "|---|---:|---|---:|---:|---:|---:|")
    unittest.main(verbosity=2)
