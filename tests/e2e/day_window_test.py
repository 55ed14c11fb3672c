"""Limits of a day, as the server's own log shows them: used up at once, never exceeded, known after
kills of the coordinator, and told to whoever asks why nothing goes on.
"""
import json
import re
import sqlite3
import unittest
import urllib.request

from harness import EndToEnd, write_batch


class DayWindow(EndToEnd):
    COUNT = 500

    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"
        write_batch(self.source, self.COUNT)
        self.simllm = self.server()

    def start_node(self, *limits, label="coordinator"):
        config = self.directory / "gristmill.toml"
        config.write_text('[[pool]]\nmodel = "sim-small"\n[[pool.endpoint]]\n'
                          f'url = "{self.simllm.url}"\n' + "\n".join(limits))
        listen = getattr(self, "node", None)
        arguments = {} if listen is None else {"listen": listen.listen,
                                               "http": listen.http.removeprefix("http://")}
        self.node = self.coordinator("--config", config, label=label, **arguments)

    def submit(self, *arguments):
        return self.gristmill("submit", self.source, "--server", self.node.http,
                              *arguments).stdout.strip()

    def why(self, job):
        with urllib.request.urlopen(f"{self.node.http}/api/v1/jobs/{job}/explain",
                                    timeout=10) as answer:
            return json.load(answer)

    def until_used_up(self, job, kind):
        self.until(f"{job} to wait for {kind}", lambda: self.why(job)["kind"] == kind)
        # Nothing is under way any more that could count.
        self.until("the calls to end", lambda: sum(
            self.job(self.node, job)["counts"][what] for what in ("completed", "failed"))
            == len(self.calls(self.simllm)))
        self.assertEqual(self.why(job)["kind"], kind)

    def asks_and_gets_nothing(self, calls):
        """The worker has asked again, twice, and was told to wait."""
        self.until("the reason to be told", lambda: "for=day_" in self.node.stderr())
        self.assertEqual(len(self.calls(self.simllm)), calls)

    def test_requests_of_a_day_are_used_up_and_stay_so_through_kills(self):
        self.start_node("requests_per_day = 300")
        self.worker(self.node, "w", "--concurrency", "64")
        job = self.submit()
        self.until_used_up(job, "day_requests")
        self.assertEqual(len(self.calls(self.simllm)), 300)
        for n in range(3):
            self.node.kill()
            self.start_node("requests_per_day = 300", label=f"again-{n}")
            self.until_used_up(job, "day_requests")
            self.asks_and_gets_nothing(300)

        why = self.why(job)
        self.assertEqual((why["endpoint"], why["limit"]), (self.simllm.url, 300))
        self.assertGreater(why["for_s"], 23.9 * 3600)
        self.assertLess(why["for_s"], 24.1 * 3600)
        sentence = (rf"requests per day at {re.escape(self.simllm.url)} \(300\) are used up; "
                    r"the next call may go in 2[34] h \d+ min")
        self.assertRegex(why["sentence"], sentence)
        for command in ("explain", "status"):
            shown = self.gristmill(command, job, "--server", self.node.http).stdout
            self.assertRegex(shown, sentence)
        pools = self.gristmill("pools", "--server", self.node.http).stdout
        self.assertIn("RPD", pools)
        self.assertIn("300", pools)

        # A higher limit lets it go on, and what was called before still counts.
        self.node.end()
        self.start_node("requests_per_day = 400", label="higher")
        self.until_calls(self.simllm, 400)
        self.until_used_up(job, "day_requests")
        self.assertEqual(len(self.calls(self.simllm)), 400)
        self.check_one_call_per_attempt(self.calls(self.simllm))

    def test_kills_amid_the_calls_never_exceed_the_day(self):
        self.start_node("requests_per_day = 300")
        self.worker(self.node, "w", "--concurrency", "16")
        self.control(self.simllm, latency="20ms")
        job = self.submit()
        for n, calls in enumerate((40, 110, 200)):
            self.until_calls(self.simllm, calls)
            self.node.kill()
            self.start_node("requests_per_day = 300", label=f"again-{n}")
        self.until_used_up(job, "day_requests")
        calls = len(self.calls(self.simllm))
        self.assertLessEqual(calls, 300)
        self.assertGreaterEqual(calls, 290)  # what an open block had left counts as spent

    def test_tokens_of_a_day(self):
        limits = ("tokens_per_day = 5000", "strict_tokens = true")
        self.start_node(*limits)
        self.worker(self.node, "w", "--concurrency", "16")
        job = self.submit("--max-tokens", "20")
        self.until_used_up(job, "day_tokens")
        self.node.kill()
        self.start_node(*limits, label="again")
        self.until_used_up(job, "day_tokens")
        used = sum(call["prompt_tokens"] + call["completion_tokens"]
                   for call in self.calls(self.simllm))
        self.assertLessEqual(used, 5_000)
        self.assertGreater(used, 4_600)
        why = self.why(job)
        self.assertIn(f"tokens per day at {self.simllm.url} (5000) are used up", why["sentence"])

    def test_the_journal_keeps_a_day_in_few_rows(self):
        self.start_node("requests_per_day = 100000")
        self.worker(self.node, "w", "--concurrency", "64")
        job = self.submit()
        self.until("the end", lambda: self.job(self.node, job)["state"] == "finished")
        self.node.end()
        with sqlite3.connect(self.directory / "state/journal.db") as journal:
            rows = journal.execute("SELECT account, calls FROM days").fetchall()
        self.assertLessEqual(len(rows), 3)
        self.assertGreaterEqual(sum(calls for _, calls in rows), self.COUNT)
        self.assertLessEqual(sum(calls for _, calls in rows), self.COUNT + 2_000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
