"""Money and quota: a cap that holds whatever dies, a pause that says how to go on, endpoints without
credit. What was spent is what the server's own log says, times the prices.
"""
import collections
import json
import subprocess
import unittest

from harness import EndToEnd, crc, write_batch

PRICE_INPUT, PRICE_OUTPUT = 1, 30  # US$ for 1M tokens


class Money(EndToEnd):
    COUNT = 400

    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"
        self.output = self.directory / "out.jsonl"
        self.config_text = ""  # more of the pool

    def batch(self, count=COUNT, max_tokens=16, model="sim-small"):
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(count):
                body = {"model": model, "max_tokens": max_tokens,
                        "messages": [{"role": "user", "content": f"question {n}"}]}
                file.write(json.dumps({"custom_id": f"item-{n}", "method": "POST",
                                       "url": "/v1/chat/completions", "body": body}) + "\n")
        return self.source

    def config(self, server=None, model="sim-small", price=True):
        text = f'[[pool]]\nmodel = "{model}"\n'
        if price:
            text += f"price_input = {PRICE_INPUT}\nprice_output = {PRICE_OUTPUT}\n"
        text += self.config_text
        if server:
            text += f'[[pool.endpoint]]\nurl = "{server.url}"\n'
        path = self.directory / "gristmill.toml"
        path.write_text(text)
        return path

    @staticmethod
    def batch_line_with_limit():
        body = {"model": "sim-small", "max_tokens": 8,
                "messages": [{"role": "user", "content": "question 6"}]}
        return json.dumps({"custom_id": "item-6", "method": "POST",
                           "url": "/v1/chat/completions", "body": body})

    def spent(self, server):
        """US$ of all calls that the server made answers for, whether anybody saw them or not."""
        return sum(call["prompt_tokens"] * PRICE_INPUT + call["completion_tokens"] * PRICE_OUTPUT
                   for call in self.calls(server) if call["status"] == 200) / 1e6

    def price_of_all(self):
        """US$ of the whole input, as a run without a budget finds it."""
        server = self.server(label="unlimited")
        self.gristmill("run", self.source, "--endpoint", server.url, "-o",
                       self.directory / "unlimited.jsonl")
        return self.spent(server)

    def most_of_a_call(self, sentence):
        return float(sentence.split("may cost up to $")[1].split(";")[0])

    def run_within(self, server, usd, *more, check=0):
        return self.gristmill("run", self.source, "--endpoint", server.url, "--config",
                              self.config(), "--budget-usd", f"{usd:.9f}", "-o", self.output, *more,
                              check=check)

    def calls_of_items(self, server):
        return collections.Counter(call["crc"] for call in self.calls(server))

    def check_nothing_paid_twice(self, server, count=COUNT):
        calls = self.calls_of_items(server)
        self.assertEqual([n for n in range(count) if calls[crc(f"question {n}")] != 1], [])

    def test_a_run_stops_at_its_cap_and_goes_on_with_a_higher_one(self):
        self.batch()
        whole = self.price_of_all()
        server = self.server()
        stopped = self.run_within(server, whole / 2, check=4)
        self.assertEqual(len([line for line in stopped.stderr.splitlines()
                              if line.startswith("gristmill run:")]), 1, stopped.stderr)
        for word in ("is spent", "next call may cost up to", "--budget-usd",
                     f"budget of ${whole / 2:.6f}"):
            self.assertIn(word, stopped.stderr)
        spent = self.spent(server)
        self.assertLessEqual(spent, whole / 2)
        self.assertGreater(spent, 0.8 * whole / 2)
        # Again with the same budget: not one call more than it pays for.
        self.run_within(server, whole / 2, check=4)
        self.assertLessEqual(self.spent(server), whole / 2)
        self.run_within(server, 2 * whole)
        self.check_result(self.output, self.COUNT)
        self.check_nothing_paid_twice(server)
        summary = self.summary(self.output)
        self.assertAlmostEqual(summary["cost_usd"], whole, places=9)
        self.assertAlmostEqual(summary["budget_usd"], 2 * whole, places=8)

    def test_a_cap_of_the_exact_price_and_the_reserve_of_a_call_is_enough_one_below_is_not(self):
        self.batch(count=1)
        whole = self.price_of_all()
        server = self.server()
        # What the call may cost at most is more than it costs, and more than all that there is: no
        # pause helps, and nobody else has to wait for it.
        self.run_within(server, whole, check=3)
        self.assertEqual(self.calls(server), [])
        with open(self.output) as results:
            error = json.loads(results.readline())["error"]
        self.assertEqual(error["code"], "exceeds_limit")
        most = float(error["message"].split("may cost $")[1].split(";")[0])
        self.run_within(server, most - 1e-6, "--retry-failed", check=3)
        self.assertEqual(self.calls(server), [])
        self.run_within(server, most, "--retry-failed")
        self.check_result(self.output, 1)

    def test_the_cap_holds_though_the_run_is_killed_again_and_again(self):
        self.batch()
        whole = self.price_of_all()
        server = self.server("--latency", "30ms")
        arguments = ("run", self.source, "--endpoint", server.url, "--config", self.config(),
                     "--budget-usd", f"{0.7 * whole:.9f}", "-o", self.output, "--concurrency", "8",
                     "--quiet")
        made = 0
        for _ in range(5):
            process = self.start("gristmill", *arguments)
            self.until("calls of this life, or its end", lambda: process.popen.poll() is not None or
                       self.stats(server)["calls"] >= made + 20)
            process.kill()
            made = self.stats(server)["calls"]
        self.gristmill(*arguments, check=4)
        self.assertLessEqual(self.spent(server), 0.7 * whole)
        self.run_within(server, 3 * whole)
        self.check_result(self.output, self.COUNT)
        # Only calls that were in flight at a kill, or not recorded yet, are made again.
        again = sum(self.calls_of_items(server).values()) - self.COUNT
        self.assertLessEqual(again, 5 * 16)

    def test_a_budget_without_a_price_is_refused_and_names_the_model(self):
        self.batch(count=5, model="sim-large")
        server = self.server()
        for more in ((), ("--config", self.config()), ("--config", self.config(
                model="sim-large", price=False))):
            refused = self.gristmill("run", self.source, "--endpoint", server.url, "--budget-usd",
                                     "1", "-o", self.output, *more, check=2)
            for word in ('"sim-large"', "[[pool]]", "price_input", "price_output"):
                self.assertIn(word, refused.stderr)
        coordinator = self.coordinator()
        refused = self.gristmill("submit", self.source, "-m", "sim-large", "--endpoint", server.url,
                                 "--budget-usd", "1", "--server", coordinator.http, check=2)
        self.assertIn('"sim-large"', refused.stderr)
        for usd in ("0", "-1", "many"):
            self.gristmill("run", self.source, "--endpoint", server.url, "--budget-usd", usd,
                           check=2)
        self.assertEqual(self.calls(server), [])

    def test_a_line_whose_answer_nobody_limits_is_not_sent(self):
        write_batch(self.source, 6)
        limited = self.batch_line_with_limit()
        with open(self.source, "a", encoding="utf-8") as file:
            file.write(limited + "\n")
        server = self.server()
        self.run_within(server, 5, check=3)
        self.assertEqual(len(self.calls(server)), 1)
        lines = [json.loads(line) for line in self.output.read_text().splitlines()]
        self.assertEqual([line["error"] and line["error"]["code"] for line in lines],
                         ["unlimited_answer"] * 6 + [None])
        for word in ("--max-tokens", "max_output_tokens"):
            self.assertIn(word, lines[0]["error"]["message"])
        # A limit of the pool is one, and what failed is all that is called.
        self.config_text += "max_output_tokens = 64\n"
        self.run_within(server, 5, "--retry-failed")
        self.assertEqual(len(self.calls(server)), 7)
        self.check_result(self.output, 7)

    def test_documents_whose_answers_nobody_limits_are_refused(self):
        documents = self.directory / "texts.jsonl"
        documents.write_text('{"id": "a", "text": "one"}\n')
        server, prompt = self.server(), ("-m", "sim-small", "-p", "Sum up: {{text}}")
        coordinator = self.coordinator("--config", self.config(server))
        for command in (("run", "--endpoint", server.url, "--config", self.config(server), "-o",
                         self.output), ("submit", "--server", coordinator.http)):
            refused = self.gristmill(command[0], documents, *command[1:], *prompt, "--budget-usd",
                                     "1", check=2)
            for word in ('"sim-small"', "--max-tokens", "max_output_tokens"):
                self.assertIn(word, refused.stderr)
        self.gristmill("run", documents, "--endpoint", server.url, "--config", self.config(server),
                       "-o", self.output, *prompt, "--budget-usd", "1", "--max-tokens", "8")
        self.assertEqual(len(self.calls(server)), 1)

    def test_a_dry_run_says_what_the_budget_allows(self):
        self.batch()
        for usd, word in (("100", "is enough"), ("0.01", "then the job pauses")):
            said = self.gristmill("run", self.source, "--config", self.config(), "--endpoint",
                                  "http://127.0.0.1:9/v1", "--budget-usd", usd, "--dry-run")
            self.assertIn(word, said.stdout)
        figures = json.loads(self.gristmill(
            "run", self.source, "--config", self.config(), "--endpoint", "http://127.0.0.1:9/v1",
            "--budget-usd", "0.01", "--dry-run", "--json").stdout)
        self.assertEqual(figures["budget"]["usd"], 0.01)
        self.assertEqual(figures["budget"]["items"],
                         int(self.COUNT * 0.01 / figures["cost_usd"]["likely"]))

    def cluster(self, server, workers=2):
        self.toml = self.config(server)
        coordinator = self.coordinator("--config", self.toml)
        return coordinator, [self.worker(coordinator, f"w{n}", "--concurrency", "8")
                             for n in range(workers)]

    def submitted(self, coordinator, usd):
        return self.gristmill("submit", self.source, "--budget-usd", f"{usd:.9f}", "--server",
                              coordinator.http).stdout.strip()

    def until_paused(self, coordinator, job):
        self.until("the pause", lambda: self.job(coordinator, job)["state"] == "paused")
        view = self.job(coordinator, job)
        self.assertEqual(view["reason"], "budget")
        self.assertIn(f"gristmill resume {job} --budget-usd", view["detail"])
        return view

    def check_the_rest(self, coordinator, job, server, usd, again):
        """With so much money the job ends, and at most so many calls were made a second time."""
        self.gristmill("resume", job, "--budget-usd", f"{usd:.9f}", "--server", coordinator.http)
        self.gristmill("watch", job, "--server", coordinator.http, "--quiet")
        self.gristmill("results", job, "-o", self.output, "--server", coordinator.http)
        self.check_result(self.output, self.COUNT)
        self.assertLessEqual(sum(self.calls_of_items(server).values()) - self.COUNT, again)
        self.assertGreaterEqual(self.summary(self.output)["cost_usd"], self.spent(server) - 1e-9)

    def test_the_cap_holds_in_a_cluster_whose_worker_is_killed(self):
        self.batch()
        whole = self.price_of_all()
        server = self.server("--latency", "30ms")
        coordinator, workers = self.cluster(server)
        cap = 0.8 * whole
        job = self.submitted(coordinator, cap)
        self.until_calls(server, 40)
        workers[0].kill()
        view = self.until_paused(coordinator, job)
        self.assertAlmostEqual(view["budget_usd"], cap, places=8)
        self.assertLessEqual(self.spent(server), cap)
        most = self.most_of_a_call(view["detail"])
        self.assertGreater(self.spent(server), cap - (8 + 2) * most)
        shown = self.gristmill("status", job, "--server", coordinator.http).stdout
        self.assertIn(f"of ${cap:.4f}", shown)
        self.gristmill("watch", job, "--server", coordinator.http, check=4)
        self.check_the_rest(coordinator, job, server, 3 * whole, again=8)

    def test_a_job_says_what_it_will_have_cost_when_it_is_done(self):
        self.batch(count=40)
        whole = self.price_of_all()
        server = self.server()
        coordinator, _ = self.cluster(server, workers=1)
        job = self.submitted(coordinator, whole / 2)
        self.until_paused(coordinator, job)
        def settled():  # every call that has been paid is a line, and counted
            view = self.job(coordinator, job)
            counts = view["counts"]
            return view["estimate"] and counts["completed"] == counts["attempts"] and view
        self.until("counts", settled)
        view = settled()
        self.assertTrue(0.8 * whole < view["estimate"]["cost_usd"] < 1.2 * whole, view)
        self.assertGreater(view["estimate"]["tokens"]["completion"], view["tokens"]["completion"])
        self.assertIn("est. total", self.gristmill("status", job, "--server",
                                                   coordinator.http).stdout)

    def test_the_cap_holds_in_a_cluster_whose_coordinator_is_killed(self):
        self.batch()
        whole = self.price_of_all()
        server = self.server("--latency", "30ms")
        coordinator, _ = self.cluster(server)
        cap = 0.8 * whole
        job = self.submitted(coordinator, cap)
        for life, calls in enumerate((60, 120)):
            self.until_calls(server, calls)
            listen, http = coordinator.listen, coordinator.http.removeprefix("http://")
            coordinator.kill()
            coordinator = self.coordinator("--config", self.toml, listen=listen, http=http,
                                           label=f"life-{life + 2}")
        view = self.until_paused(coordinator, job)
        self.assertLessEqual(self.spent(server), cap)
        # Every worker has said what became of its calls, so nothing is lost to the crashes but for
        # outcomes that were told twice, and count twice.
        told_twice = self.spent(server) / len(self.calls(server)) * view["counts"]["late"]
        self.assertGreater(self.spent(server) + told_twice,
                           cap - 2 * self.most_of_a_call(view["detail"]))
        self.check_the_rest(coordinator, job, server, 3 * whole, again=0)

    def test_a_call_whose_answer_is_cut_costs_what_it_may_have_cost(self):
        self.batch(count=20)
        server = self.server("--fault", "die_after_read:first=3")
        self.run_within(server, 10)
        self.check_result(self.output, 20)
        most = 3 * 16 * PRICE_OUTPUT / 1e6  # of the three answers alone
        self.assertGreater(self.summary(self.output)["cost_usd"], self.spent(server) + most)


class Quota(EndToEnd):
    COUNT = 60

    def source(self):
        path = self.directory / "in.jsonl"
        write_batch(path, self.COUNT)
        return path

    def without_credit(self, server, **keys):
        fault = ",".join(["quota"] + [f"{key}={value}" for key, value in keys.items()])
        self.control(server, faults=[fault.replace(",", ":", 1)])

    def test_a_run_without_credit_ends_with_4_and_goes_on_when_there_is_some(self):
        server, output = self.server("--latency", "10ms"), self.directory / "out.jsonl"
        self.without_credit(server, **{"from": 21})
        arguments = ("run", self.source(), "--endpoint", server.url, "-o", output, "--concurrency",
                     "4")
        stopped = self.gristmill(*arguments, check=4)
        for word in ("quota", server.url, "insufficient_quota", "the same command resumes"):
            self.assertIn(word, stopped.stderr)
        self.assertLess(len(self.calls(server)), 30)
        self.control(server, faults=[])
        self.gristmill(*arguments)
        self.check_result(output, self.COUNT)
        answered = collections.Counter(call["crc"] for call in self.calls(server)
                                       if call["status"] == 200)
        self.assertEqual(set(answered.values()), {1})

    def test_a_job_in_a_cluster_goes_on_by_itself_or_at_once_when_resumed(self):
        server, output = self.server("--latency", "10ms"), self.directory / "out.jsonl"
        self.without_credit(server)
        coordinator = self.coordinator()
        self.worker(coordinator, "w0", "--concurrency", "8")
        job = self.gristmill("submit", self.source(), "--endpoint", server.url, "--server",
                             coordinator.http).stdout.strip()
        self.until("the pause", lambda: self.job(coordinator, job)["state"] == "paused")
        view = self.job(coordinator, job)
        self.assertEqual(view["reason"], "quota")
        for word in (server.url, "insufficient_quota", f"gristmill resume {job}"):
            self.assertIn(word, view["detail"])
        refused = len(self.calls(server))
        self.assertLessEqual(refused, 8)
        # It asks again by itself, with one call at a time.
        self.until("another question", lambda: len(self.calls(server)) > refused)
        self.until("the pause", lambda: self.job(coordinator, job)["state"] == "paused")
        self.assertEqual(len(self.calls(server)), refused + 1)
        self.gristmill("resume", job, "--server", coordinator.http)
        self.until("another question", lambda: len(self.calls(server)) > refused + 1)
        self.until("the pause", lambda: self.job(coordinator, job)["state"] == "paused")
        self.control(server, faults=[])
        # And when there is credit again, it goes on though nobody says anything.
        self.gristmill("watch", job, "--server", coordinator.http, "--quiet", check=None)
        self.until("the end", lambda: self.job(coordinator, job)["state"] == "finished")
        self.gristmill("results", job, "-o", output, "--server", coordinator.http)
        self.check_result(output, self.COUNT)

    def test_an_endpoint_with_credit_gets_what_the_other_cannot_pay(self):
        servers = [self.server("--latency", "10ms", label=f"server-{n}") for n in range(2)]
        self.without_credit(servers[0])
        output = self.directory / "out.jsonl"
        self.gristmill("run", self.source(), "--endpoint", servers[0].url, "--endpoint",
                       servers[1].url, "-o", output, "--concurrency", "4")
        self.check_result(output, self.COUNT)
        self.assertLessEqual(len(self.calls(servers[0])), 5)


if __name__ == "__main__":
    unittest.main()
