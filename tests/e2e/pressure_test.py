"""A server that queues in silence: calls in flight follow what it takes up. The witness is the
server's own log; how long a call stood in line follows from arrivals, latencies and slots.
"""
import heapq
import unittest

from harness import EndToEnd, write_batch

ALLOWED = 512  # calls in flight; the server takes up far fewer
SECOND = 1_000_000_000


def served(calls, slots):
    """(arrival, end) of each call in ns, first come, first served; `slots(arrival)` says how many."""
    ends, times = [], []
    for call in calls:
        now = call["t_ns"]
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        # As many as are ahead of it must have ended before it finds a slot.
        line = sorted(ends)
        begin = max(now, line[-slots(now)] if len(line) >= slots(now) else now)
        end = begin + call["latency_us"] * 1_000
        heapq.heappush(ends, end)
        times.append((now, end))
    return times


def figures(times, after_s):
    """Calls a second and their 95th percentile in seconds, from after_s on, without the last second."""
    begin, end = times[0][0] + after_s * SECOND, max(end for _, end in times) - SECOND
    steady = [(a, e) for a, e in times if a >= begin and e <= end]
    latencies = sorted((e - a) / SECOND for a, e in steady)
    return len(steady) * SECOND / (end - begin), latencies[len(latencies) * 95 // 100]


class SilentQueue(EndToEnd):
    def calls_of(self, server, client, concurrency, count):
        """What the server logs while the client asks `count` times."""
        source = self.directory / f"{count}.jsonl"
        write_batch(source, count)
        before = len(self.calls(server))
        begun = self.start(client[0], *client[1:], source, "--endpoint", server.url, "--concurrency",
                           concurrency, "-o", self.directory / f"{client[0]}-{concurrency}.jsonl",
                           label=f"{client[0]}-{concurrency}")
        return before, begun

    def test_as_good_as_the_best_fixed_limit_of_a_sweep(self):
        slots = 32
        server = self.server("--slots", slots, "--latency", "lognormal:100ms:0.3")
        best = (0, 0)
        for fixed in (24, slots, 40):
            before, client = self.calls_of(server, ["gristmill-bench-bare"], fixed, 1_200)
            self.assertEqual(client.wait(), 0, client.stderr())
            found = figures(served(self.calls(server)[before:], lambda _: slots), 0.5)
            print(f"fixed {fixed}: {found[0]:.0f} calls/s, p95 {found[1]:.3f} s")
            best = max(best, found)
        before, run = self.calls_of(server, ["gristmill", "run"], ALLOWED, 5_500)
        self.assertEqual(run.wait(), 0, run.stderr())
        found = figures(served(self.calls(server)[before:], lambda _: slots), 10)
        print(f"of {ALLOWED} allowed: {found[0]:.0f} calls/s, p95 {found[1]:.3f} s")
        self.assertGreaterEqual(found[0], 0.95 * best[0])
        self.assertLessEqual(found[1], 1.5 * best[1])

    def test_fewer_slots_in_the_middle_are_followed(self):
        server = self.server("--slots", 32, "--latency", "lognormal:100ms:0.3")
        before, run = self.calls_of(server, ["gristmill", "run"], ALLOWED, 1_000_000)
        self.until_calls(server, before + 2_500)
        change = self.calls(server)[-1]["t_ns"]
        self.control(server, slots=8)
        # 20 s in which the limit may follow, and some in which it is seen.
        self.until("28 s by the server's clock",
                   lambda: self.calls(server)[-1]["t_ns"] > change + 28 * SECOND)
        calls = self.calls(server)[before:]
        run.kill()
        times = served(calls, lambda now: 32 if now < change else 8)
        begin, end = change + 20 * SECOND, change + 27 * SECOND
        later = [(a, e) for a, e in times if a >= begin and a < end]
        in_line = [sum(1 for a, e in times if a <= now < e)
                   for now in range(begin, end, SECOND // 10)]
        mean = sum(in_line) / len(in_line)
        print(f"8 slots: {mean:.1f} calls at the server, {len(later) / 7:.0f} a second")
        self.assertLessEqual(mean, 1.5 * 8)
        self.assertGreaterEqual(len(later) / 7, 0.9 * 8 / 0.105)


if __name__ == "__main__":
    unittest.main(verbosity=2)
