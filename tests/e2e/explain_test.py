"""Why a job or an item waits: each reason is brought about for real, explained by the command and in
the status, and gone when its cause is gone.
"""
import json
import unittest
import urllib.error
import urllib.parse
import urllib.request

from harness import EndToEnd, write_batch


class Explain(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"

    def begin(self, count, *arguments, server=(), worker=(), text=lambda n: f"question {n}"):
        """A server, a coordinator, a worker and a job of so many items at an endpoint of its own."""
        self.simllm, self.node = self.server(*server), self.coordinator()
        self.worker(self.node, "w", *worker)
        write_batch(self.source, count, text)
        return self.submit("--endpoint", self.simllm.url, *arguments)

    def submit(self, *arguments):
        done = self.gristmill("submit", self.source, "--server", self.node.http, *arguments)
        return done.stdout.strip()

    def why(self, job, item=None, **query):
        """Over HTTP; the tests of the command compare it with what that prints."""
        if item is not None:
            query["item"] = item
        url = f"{self.node.http}/api/v1/jobs/{job}/explain?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def until_why(self, job, kind, item=None):
        """Waits for a reason of that kind; returns it."""
        found = {}

        def met():
            found.update(self.why(job, item))
            return found["kind"] == kind

        try:
            self.until(f"{job} {item} to wait for {kind}", met)
        except AssertionError:
            self.fail(f"expected {kind}, got {found}\n{self.node.stderr()}")
        return found

    def until_events(self, job, *kinds):
        """The log tells these reasons last, one after the other; job.goes_on is one of them."""
        def told():
            return [kind for line in self.node.stderr().splitlines()
                    for kind in dict.fromkeys((*kinds, "job.goes_on"))
                    if f"job={job}" in line.split() and
                    (f"for={kind}" in line.split() or kind == "job.goes_on" in line.split())]

        try:
            self.until("the log to tell the reasons",
                       lambda: told()[-len(kinds):] == [*kinds])
        except AssertionError:
            self.fail(f"expected {kinds}, got {told()}\n{self.node.stderr()}")

    def until_finished(self, job):
        self.until(f"{job} to finish", lambda: self.job(self.node, job)["state"] == "finished")
        self.assertEqual(self.job(self.node, job)["why_waiting"], "")
        self.assertIsNone(self.job(self.node, job)["waiting_for"])
        self.assertEqual(self.why(job)["kind"], "over")

    # ---- the workers ---------------------------------------------------------------------------

    def test_nobody_is_there_and_then_somebody_comes(self):
        self.simllm, self.node = self.server(), self.coordinator()
        write_batch(self.source, 20)
        job = self.submit("--endpoint", self.simllm.url)
        why = self.until_why(job, "no_worker")
        self.assertEqual(why["sentence"], "no worker is connected")
        self.assertEqual(self.job(self.node, job)["why_waiting"], "no worker is connected")
        self.assertEqual(self.job(self.node, job)["waiting_for"], "no_worker")
        self.assertEqual(self.why(job, "item-3")["kind"], "no_worker")
        status = self.gristmill("status", job, "--server", self.node.http).stdout
        self.assertIn("no worker is connected", status)
        explained = self.gristmill("explain", job, "--server", self.node.http).stdout
        self.assertEqual(explained, f"{job}: no worker is connected\n"
                                    "  what would change it: start a gristmill-worker\n")
        self.until("the log to say so", lambda: "job.waiting" in self.node.stderr())
        self.worker(self.node, "w")
        self.until_finished(job)
        self.assertEqual(self.node.stderr().count("job.waiting"), 1, self.node.stderr())

    def test_workers_that_have_all_they_take_and_another_job_before_ours(self):
        # Both jobs fit what a server of which nothing is known takes up: the last state stays.
        first = self.begin(20, server=("--latency", "3600s"), worker=("--concurrency", "4"))
        full = self.until_why(first, "workers_full")
        self.assertEqual(full["limit"], 4)
        self.assertEqual(self.until_why(first, "workers_full", "item-15")["limit"], 4)
        write_batch(self.source, 8)
        second = self.submit("--endpoint", self.simllm.url)
        turn = self.until_why(second, "turn")
        self.assertEqual(turn["limit"], 1)
        self.worker(self.node, "w2", "--concurrency", "100")
        self.until_why(second, "none")
        self.assertEqual(self.until_why(second, "in_flight", "item-7")["worker"], "w2")

    def test_a_model_that_nobody_serves(self):
        self.simllm, self.node = self.server(), self.coordinator()
        announce = ["--endpoint", self.simllm.url, "--model"]
        self.worker(self.node, "w0", *announce, "other")
        write_batch(self.source, 5, model="small")
        job = self.submit()
        why = self.until_why(job, "unserved")
        self.assertIn('no pool serves the model "small"; served: other', why["sentence"])
        self.assertIn("worker that announces", why["remedy"])
        self.worker(self.node, "w1", *announce, "small")
        self.until_finished(job)

    def test_after_a_crash_items_wait_for_workers_that_may_be_calling(self):
        job = self.begin(8, server=("--latency", "3600s"), worker=("--concurrency", "2"))
        self.until_calls(self.simllm, 2)
        for process in self.processes:
            if process.name in ("w", "coordinator"):
                process.kill()
        self.node = self.coordinator(label="again")
        self.worker(self.node, "other", "--concurrency", "2")
        why = self.until_why(job, "claims", "item-0")
        self.assertIn("the restart", why["sentence"])
        self.control(self.simllm, latency="1ms")
        self.until_finished(job)

    # ---- budgets ---------------------------------------------------------------------------------

    def test_requests_per_minute_of_the_job_and_what_changes_it(self):
        job = self.begin(60, "--rpm", "60")
        why = self.until_why(job, "requests")
        self.assertIsNone(why["endpoint"])
        self.assertEqual(why["limit"], 60)
        self.assertGreaterEqual(why["for_s"], 0)
        self.assertLessEqual(why["for_s"], 60)
        self.assertEqual(why["remedy"], "a higher --rpm")
        self.assertIn("requests per minute of the job itself (60)",
                      self.job(self.node, job)["why_waiting"])
        self.until_events(job, "requests")
        last = self.until_why(job, "requests", "item-59")
        self.assertEqual((last["worker"], last["number"]), ("w", 60))
        self.gristmill("pause", job, "--server", self.node.http)
        paused = self.why(job)
        self.assertEqual(paused["kind"], "paused")
        self.assertIn("on request", paused["sentence"])
        self.assertIn(f"gristmill resume {job}", paused["remedy"])
        self.assertEqual(self.why(job, "item-59")["kind"], "paused")
        self.until_events(job, "requests", "job.goes_on")
        self.gristmill("resume", job, "--server", self.node.http)
        self.until_why(job, "requests")
        self.gristmill("cancel", job, "--server", self.node.http)
        self.until("its end", lambda: self.job(self.node, job)["state"] == "cancelled")
        self.assertEqual(self.why(job)["sentence"], "the job is cancelled")

    def test_windows_of_an_endpoint(self):
        self.simllm = self.server()
        config = self.directory / "gristmill.toml"
        for key, limit, kind in (("requests_per_minute", 30, "requests"),
                                 ("tokens_per_minute", 9_000, "tokens")):
            with self.subTest(key):
                model = kind
                config.write_text(f'[[pool]]\nmodel = "{model}"\n[[pool.endpoint]]\n'
                                  f'url = "{self.simllm.url}"\n{key} = {limit}\n')
                self.node = self.coordinator("--config", config, label=kind, state=kind)
                self.worker(self.node, f"w-{kind}")
                write_batch(self.source, 30, model=model)
                why = self.until_why(self.submit(), kind)
                self.assertEqual((why["endpoint"], why["limit"]), (self.simllm.url, limit))

    def test_calls_in_flight_of_the_job_and_those_that_a_server_takes_up(self):
        job = self.begin(20, "--max-in-flight", "3", server=("--latency", "3600s"))
        why = self.until_why(job, "calls_allowed")
        self.assertEqual((why["endpoint"], why["limit"]), (None, 3))
        self.gristmill("cancel", job, "--server", self.node.http)
        write_batch(self.source, 400)
        many = self.submit("--endpoint", self.simllm.url)
        why = self.until_why(many, "calls_taken_up")
        self.assertEqual(why["endpoint"], self.simllm.url)
        self.assertEqual(why["limit"], 32)  # of a server of which nothing is known
        self.control(self.simllm, latency="1ms")

    # ---- endpoints ---------------------------------------------------------------------------------

    def test_an_endpoint_that_asked_to_wait_is_told_with_its_answer(self):
        # Enough of them that others wait when the answer comes, however slow the machine.
        job = self.begin(4_000, server=("--latency", "5ms", "--fault",
                                        "status:code=429,retry_after=4,first=1,from=50"),
                         worker=("--concurrency", "16"))
        why = self.until_why(job, "cooldown")
        self.assertEqual(why["endpoint"], self.simllm.url)
        refused = [call for call in self.calls(self.simllm) if call["status"] == 429]
        self.assertEqual([call["attempt"] for call in refused], [why["call"]])
        self.assertLessEqual(why["for_s"], 4)
        self.assertLess(why["since_s"], 4)
        self.assertIn("asked us to wait", self.job(self.node, job)["why_waiting"])
        self.until("the log to tell it", lambda: "for=cooldown" in self.node.stderr())
        self.until_finished(job)

    def test_an_endpoint_that_fails_is_left_alone_until_it_answers(self):
        job = self.begin(4_000, "--retries", "100", server=("--latency", "5ms"),
                         worker=("--concurrency", "16"))
        self.until_calls(self.simllm, 50)
        self.control(self.simllm, faults=["reset"])
        why = self.until_why(job, "breaker")
        self.assertEqual(why["endpoint"], self.simllm.url)
        self.assertIn("the endpoint fails", why["sentence"])
        self.control(self.simllm, faults=[])
        self.until_finished(job)

    # ---- items ---------------------------------------------------------------------------------------

    def test_an_item_on_its_way(self):
        text = lambda n: {0: "AGAIN", 1: "HANG"}.get(n, f"question {n}")
        job = self.begin(6_000, server=("--latency", "2ms", "--fault", "hang:match=HANG", "--fault",
                                        "status:code=503,retry_after=3600,match=AGAIN"), text=text)
        flies = self.until_why(job, "in_flight", "item-1")
        self.assertEqual((flies["worker"], flies["endpoint"], flies["number"]),
                         ("w", self.simllm.url, 2))
        self.until("time to pass", lambda: self.why(job, "item-1")["since_s"] > 0.3)
        self.assertIn(flies["call"], [call["attempt"] for call in self.calls(self.simllm)] +
                      [flies["call"]])
        self.until("all the others to end",
                   lambda: self.job(self.node, job)["counts"]["completed"] == 5_998)
        again = self.until_why(job, "retry", "item-0")
        self.assertGreater(again["for_s"], 3)
        self.assertEqual(self.why(job, number=1)["item"], "item-0")
        self.assertEqual(self.why(job, number=3)["kind"], "recorded")
        self.assertEqual(self.why(job, "item-2")["kind"], "recorded")
        self.assertEqual(self.why(job, "item-6000")["kind"], "not_open")
        for wrong in ({"number": 0}, {"number": "x"}, {"number": 1, "item": "item-0"}, {"item": ""}):
            with self.assertRaises(urllib.error.HTTPError, msg=wrong) as refused:
                self.why(job, **wrong)
            self.assertEqual(refused.exception.code, 400)
        none = self.gristmill("explain", job, "--item", "6001", "--server", self.node.http, check=2)
        self.assertIn(f"{job} has no item 6001: its last one is 6000", none.stderr)
        printed = self.gristmill("explain", job, "item-1", "--server", self.node.http).stdout
        self.assertRegex(printed, rf"{job} item-1: in flight at worker w at http.* since .* s")
        as_json = self.gristmill("explain", job, "--item", "1", "--json", "--server",
                                 self.node.http).stdout
        self.assertEqual(json.loads(as_json)["item"], "item-0")

    def line_at(self, result):
        with open(result["file"], "rb") as file:
            file.seek(result["offset"])
            return json.loads(file.read(result["bytes"]))

    def test_what_became_of_an_item_that_is_over(self):
        text = lambda n: {1: "REFUSED", 2: "HANG"}.get(n, f"question {n}")
        job = self.begin(4, "--retries", "0", "--max-failures", "off",
                         server=("--fault", "status:code=500,match=REFUSED",
                                 "--fault", "hang:match=HANG"), text=text)
        self.until("all but one to end", lambda: sum(
            self.job(self.node, job)["counts"][what] for what in ("completed", "failed")) == 3)
        self.until_why(job, "recorded", "item-1")
        for over in (False, True):
            answered = self.why(job, "item-0")
            self.assertEqual(answered["kind"], "recorded")
            self.assertIsNone(answered["result"]["class"])
            self.assertEqual(answered["result"]["status_code"], 200)
            self.assertRegex(answered["sentence"], rf"^answered by {self.simllm.url} at attempt 1; "
                                                   r"its line begins at byte \d+ of /")
            self.assertEqual(self.why(job, number=1)["result"], answered["result"])
            failed = self.why(job, "item-1")
            line = self.line_at(failed["result"])
            self.assertEqual(line["custom_id"], "item-1")
            self.assertEqual(failed["result"]["class"], line["gristmill"]["class"])
            self.assertEqual(failed["result"]["message"],
                             line["response"]["body"]["error"]["message"])
            self.assertRegex(failed["sentence"], r"^failed as transient by http.*: .*; its line ")
            self.assertIn(f"gristmill retry {job}", failed["remedy"])
            printed = self.gristmill("explain", job, "item-1", "--server", self.node.http).stdout
            self.assertIn(failed["sentence"], printed)
            self.assertIn("no line of this item is recorded", self.why(job, "item-9")["sentence"])
            if not over:
                self.control(self.simllm, faults=[])
                self.gristmill("cancel", job, "--server", self.node.http)
                self.until("its end", lambda: self.job(self.node, job)["state"] == "cancelled")
        cancelled = self.why(job, "item-2")
        self.assertEqual(self.line_at(cancelled["result"])["custom_id"], "item-2")
        # A second generation's line is the one that holds.
        self.gristmill("retry", job, "--server", self.node.http)
        self.until("its end", lambda: self.job(self.node, job)["state"] == "finished")
        again = self.why(job, "item-1")
        self.assertIsNone(again["result"]["class"])
        self.assertNotEqual(again["result"]["offset"], failed["result"]["offset"])

    def test_an_item_whose_line_has_not_been_read(self):
        job = self.begin(30_000, "--rpm", "60")
        self.until_why(job, "requests", "item-1")
        self.assertEqual(self.why(job, "item-29999")["kind"], "not_read")
        self.assertEqual(self.why(job, number=30_000)["kind"], "not_read")
        self.until_why(job, "recorded", "item-0")

    def test_all_that_is_left_waits_for_another_attempt(self):
        job = self.begin(3, server=("--fault", "status:code=500,retry_after=5,first=3"))
        why = self.until_why(job, "retry")
        self.assertLessEqual(why["for_s"], 6)
        self.assertEqual(why["limit"], 3)
        self.until_finished(job)
        self.until_events(job, "retry")


if __name__ == "__main__":
    unittest.main(verbosity=2)
