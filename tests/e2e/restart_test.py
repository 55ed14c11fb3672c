"""A coordinator that dies with a large job nearly done: how soon it serves again, and that nothing is
read, called or written twice. GRISTMILL_RESTART_ITEMS=10000000 is the long form.
"""
import json
import os
import time
import unittest

from harness import EndToEnd, write_batch

ITEMS = int(os.environ.get("GRISTMILL_RESTART_ITEMS", "200000"))
TAIL = 4_000  # the last items, which are all called
ONE_IN = 100  # of the others; the rest are bad lines, which take their way without a call
IN_FLIGHT = 4


def is_called(n):
    return n % ONE_IN == 0 or n >= ITEMS - TAIL


class Failed:
    def __contains__(self, n):
        return not is_called(n)


class Restart(EndToEnd):
    def write(self, path):
        body = {"model": "sim-small", "messages": [{"role": "user", "content": "question"}]}
        good = json.dumps({"method": "POST", "url": "/v1/chat/completions", "body": body})[1:]
        with open(path, "w", encoding="utf-8") as file:
            for n in range(ITEMS):
                rest = good.replace("question", f"question {n}") if is_called(n) else '"body": 0}'
                file.write(f'{{"custom_id": "item-{n}", {rest}\n')

    def test_it_serves_again_before_the_work_could_be_done_anew(self):
        data = self.directory / "data"
        data.mkdir()
        self.write(data / "in.jsonl")
        server = self.server("--latency", "2ms")
        first = self.coordinator("--data-root", data)
        self.worker(first, "w")
        begin = time.monotonic()
        job = self.gristmill("submit", data / "in.jsonl", "--in-place", "--endpoint", server.url,
                             "--max-failures", ITEMS, "--max-in-flight", IN_FLIGHT, "--server",
                             first.http).stdout.strip()
        called = sum(map(is_called, range(ITEMS)))
        self.until_calls(server, called - TAIL + 100)
        worked_s = time.monotonic() - begin
        first.kill()

        begin = time.monotonic()
        again = self.coordinator("--data-root", data, listen=first.listen, label="again")
        ready_s = time.monotonic() - begin
        recorded = self.job(again, job)["counts"]
        self.until("the job to end", lambda: self.job(again, job)["state"] == "finished")
        print(f"\n{ITEMS} items, {recorded['completed'] + recorded['failed']} recorded before the kill, "
              f"after {worked_s:.1f} s of work; ready again after {ready_s:.2f} s; at the end "
              f"after {time.monotonic() - begin:.1f} s")
        self.assertGreater(recorded["failed"], ITEMS / 2)
        self.assertLess(ready_s, worked_s)
        output = self.directory / "out.jsonl"
        self.gristmill("results", job, "-o", output, "--server", again.http)
        self.check_result(output, ITEMS, failed=Failed())
        self.assertLessEqual(len(self.calls(server)), called + IN_FLIGHT)


class Learned(EndToEnd):
    """A call may use 4,000 tokens and uses some twenty, as the first calls teach."""
    TOKENS_PER_MINUTE = 60_000

    def test_a_job_that_is_killed_is_as_fast_afterwards(self):
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 5_000)
        server = self.server("--latency", "20ms")
        arguments = ("run", source, "--endpoint", server.url, "-o", output, "--tpm",
                     self.TOKENS_PER_MINUTE, "--quiet")
        first = self.start("gristmill", *arguments, label="first")
        self.until_calls(server, 400)
        first.kill()
        before = self.calls(server)
        self.start("gristmill", *arguments, label="again")
        self.until_calls(server, len(before) + 100)
        calls = self.calls(server)
        of_first = before[-1]["t_ns"] - before[-101]["t_ns"]
        of_second = calls[len(before) + 99]["t_ns"] - calls[len(before)]["t_ns"]
        print(f"\n100 calls took {of_first / 1e9:.1f} s before the kill and {of_second / 1e9:.1f} s "
              "after it")
        self.assertLess(of_second, 2 * of_first)


if __name__ == "__main__":
    unittest.main(verbosity=2)
