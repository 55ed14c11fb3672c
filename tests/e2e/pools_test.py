"""Pools of a configuration: several endpoints for one model, prices, fallback models, restarts."""
import collections
import json
import unittest
import urllib.request

from harness import ROOT, EndToEnd, write_batch


class Pools(EndToEnd):
    COUNT = 400

    def config(self, *pools, head="", name="gristmill.toml"):
        """A file with a [[pool]] for each (model, lines, endpoints), an endpoint being its lines."""
        text = head
        for model, lines, endpoints in pools:
            text += f'[[pool]]\nmodel = "{model}"\n{lines}\n'
            for endpoint in endpoints:
                text += f"[[pool.endpoint]]\n{endpoint}\n"
        path = self.directory / name
        path.write_text(text)
        return path

    def source(self, count=None, model="small", name="in.jsonl", **arguments):
        path = self.directory / name
        write_batch(path, count or self.COUNT, model=model, **arguments)
        return path

    def submit(self, coordinator, *arguments, check=0, output="out.jsonl"):
        self.output = self.directory / output
        return self.gristmill("submit", *arguments, "--server", coordinator.http, "--wait", "-o",
                              self.output, check=check)

    def cost(self, priced):
        """US$ of what the servers say that they answered; priced = [(server, input, output)]."""
        nano = 0
        for server, price_input, price_output in priced:
            for call in self.calls(server):
                if call["status"] == 200:
                    nano += round(call["prompt_tokens"] * price_input * 1000 +
                                  call["completion_tokens"] * price_output * 1000)
        return nano / 1e9

    def most_at_once(self, calls):
        """Most calls under way together, by the server's own times of arrival and latencies."""
        events = []
        for call in calls:
            events += [(call["t_ns"], 1), (call["t_ns"] + 1000 * call["latency_us"], -1)]
        most = now = 0
        for _, change in sorted(events):
            now += change
            most = max(most, now)
        return most

    def test_both_endpoints_are_used_each_within_its_limits(self):
        servers = [self.server("--latency", "20ms", label=f"server-{n}") for n in range(2)]
        config = self.config(("small", "price_input = 0.15\nprice_output = 0.60", [
            f'url = "{servers[0].url}"\nmax_in_flight = 4',
            f'url = "{servers[1].url}"\nmax_in_flight = 12']))
        coordinator = self.coordinator("--config", config)
        for n in range(2):
            self.worker(coordinator, f"w{n}", "--concurrency", "64")
        self.submit(coordinator, self.source())
        self.check_result(self.output, self.COUNT)
        calls = [self.calls(server) for server in servers]
        self.assertEqual(sum(map(len, calls)), self.COUNT)
        self.assertLessEqual(self.most_at_once(calls[0]), 4)
        self.assertLessEqual(self.most_at_once(calls[1]), 12)
        # By headroom: a third of the slots, about a third of the calls.
        self.assertGreater(len(calls[0]), self.COUNT / 8)
        self.assertGreater(len(calls[1]), len(calls[0]))
        summary = self.summary(self.output)
        cost = self.cost([(server, 0.15, 0.60) for server in servers])
        self.assertGreater(cost, 0)
        self.assertAlmostEqual(summary["cost_usd"], cost, places=9)
        self.assertEqual(sum(summary["endpoints"].values()), self.COUNT)
        status = json.loads(self.gristmill("status", "job-1", "--json", "--server",
                                           coordinator.http).stdout)
        self.assertAlmostEqual(status["cost_usd"], cost, places=9)

    def test_requests_per_minute_of_each_endpoint_are_kept(self):
        servers = [self.server("--rpm", str(rpm), "--burst-seconds", "1", label=f"server-{rpm}")
                   for rpm in (1200, 3600)]
        config = self.config(("small", "", [
            f'url = "{server.url}"\nrequests_per_minute = {rpm}'
            for server, rpm in zip(servers, (1200, 3600))]))
        coordinator = self.coordinator("--config", config)
        self.worker(coordinator, "w0", "--concurrency", "64")
        self.submit(coordinator, self.source(300))
        self.check_result(self.output, 300)
        calls = [len(self.calls(server)) for server in servers]
        self.assertEqual(sum(calls), 300)
        self.assertEqual([self.stats(server)["rate_limited"] for server in servers], [0, 0])
        self.assertGreater(min(calls), 40)

    def test_a_job_whose_model_nobody_serves_is_refused(self):
        server = self.server()
        coordinator = self.coordinator("--config", self.config(
            ("small", "", [f'url = "{server.url}"']), ("unreached", "price_input = 1", [])))
        self.worker(coordinator, "gpu", "--endpoint", server.url, "--model", "local")
        source = self.source(5)
        refused = self.submit(coordinator, source, "-m", "large", check=2)
        for word in ("--model", "local, small", '"large"'):
            self.assertIn(word, refused.stderr)
        self.assertIn('"unreached"', self.submit(coordinator, source, "-m", "unreached",
                                                 check=2).stderr)
        self.assertIn("--fallback-model", self.submit(coordinator, source, "-m", "small",
                                                      "--fallback-model", "large", check=2).stderr)
        empty = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http",
                           "127.0.0.1:0", "--state", self.directory / "other", label="empty")
        empty.http = empty.ready()["http"]
        self.assertIn("no pool is configured", self.submit(empty, source, check=2).stderr)
        self.assertEqual(self.calls(server), [])

    def test_lines_go_to_the_pools_of_their_models(self):
        servers = {model: self.server(label=model) for model in ("small", "large")}
        coordinator = self.coordinator("--config", self.config(
            *((model, "", [f'url = "{server.url}"']) for model, server in servers.items())))
        self.worker(coordinator, "w0")
        both = self.directory / "both.jsonl"
        self.source(50)
        self.source(50, model="large", name="large.jsonl", text=lambda n: f"question {n + 50}")
        large = (self.directory / "large.jsonl").read_text()
        for n in reversed(range(50)):
            large = large.replace(f'"item-{n}"', f'"item-{n + 50}"')
        both.write_text((self.directory / "in.jsonl").read_text() + large)
        self.submit(coordinator, both)
        self.check_result(self.output, 100)
        for model, server in servers.items():
            self.assertEqual(collections.Counter(call["model"] for call in self.calls(server)),
                             {model: 50})

    def test_lines_of_a_model_that_no_pool_serves_fail_at_once(self):
        server = self.server()
        coordinator = self.coordinator("--config", self.config(("small", "", [f'url = "{server.url}"'])))
        self.worker(coordinator, "w0", "--concurrency", "8")
        lines = self.source(300).read_text().splitlines(keepends=True)
        for n in range(0, 300, 10):
            lines[n] = lines[n].replace('"small"', '"unknown"')
        (self.directory / "in.jsonl").write_text("".join(lines))
        self.submit(coordinator, self.directory / "in.jsonl", check=3)
        self.check_result(self.output, 300, failed=range(0, 300, 10))
        failed = json.loads(self.output.read_text().splitlines()[10])
        self.assertEqual(failed["error"]["code"], "model_not_served")
        self.assertIn('no pool serves the model "unknown"; served: small', failed["error"]["message"])
        self.assertEqual(failed["gristmill"]["attempts"], 0)
        self.assertEqual(self.job(coordinator, "job-1")["counts"]["attempts"], 270)
        self.assertEqual(len(self.calls(server)), 270)

    def test_the_price_of_a_model_holds_at_a_jobs_own_endpoint(self):
        server = self.server()
        config = self.config(("small", "price_input = 2", []))
        output = self.directory / "out.jsonl"
        self.gristmill("run", self.source(20), "--config", config, "--endpoint", server.url, "-o", output)
        summary = json.loads((self.directory / "out.jsonl.summary.json").read_text())
        self.assertAlmostEqual(summary["cost_usd"], self.cost([(server, 2, 0)]))

    def test_the_only_model_supplies_documents_that_name_none(self):
        server = self.server()
        coordinator = self.coordinator("--config", self.config(
            ("small", "", [f'url = "{server.url}"'])))
        self.worker(coordinator, "w0")
        source = self.directory / "in.jsonl"
        source.write_text("".join(json.dumps({"id": f"item-{n}", "text": f"question {n}"}) + "\n"
                                  for n in range(20)))
        self.submit(coordinator, source)
        self.check_result(self.output, 20)
        self.assertEqual({call["model"] for call in self.calls(server)}, {"small"})

    def test_a_pools_fallback_answers_what_is_too_long_for_its_model(self):
        small = self.server("--fault", "context:match=LONG", label="small")
        large = self.server(label="large")
        coordinator = self.coordinator("--config", self.config(
            ("small", 'fallback = "large"\nprice_input = 1\nprice_output = 2',
             [f'url = "{small.url}"']),
            ("large", "price_input = 10\nprice_output = 20", [f'url = "{large.url}"'])))
        self.worker(coordinator, "w0")
        long = set(range(0, 100, 10))
        text = lambda n: f"question {n}" + (" LONG" if n in long else "")
        self.submit(coordinator, self.source(100, text=text))
        self.check_result(self.output, 100, text=text)
        self.assertEqual(len(self.calls(small)), 100)
        self.assertEqual({call["model"] for call in self.calls(large)}, {"large"})
        self.assertEqual(len(self.calls(large)), len(long))
        summary = self.summary(self.output)
        self.assertEqual(summary["models"], {"small": 90, "large": 10})
        self.assertAlmostEqual(summary["cost_usd"], self.cost([(small, 1, 2), (large, 10, 20)]),
                               places=9)
        for n, line in enumerate(self.output.read_text().splitlines()):
            about = json.loads(line)["gristmill"]
            self.assertEqual((about["model"], about["attempts"]),
                             ("large", 2) if n in long else ("small", 1))

    def test_a_jobs_fallback_at_its_own_endpoint_after_its_retries_and_once(self):
        server = self.server("--fault", "status:code=500,model=small",
                             "--fault", "content_filter:model=large,match=BAD")
        bad = {3}
        text = lambda n: f"question {n}" + (" BAD" if n in bad else "")
        output = self.directory / "out.jsonl"
        self.gristmill("run", self.source(8, text=text), "--endpoint", server.url, "--retries", "1",
                       "--fallback-model", "large", "-o", output, check=3)
        self.check_result(output, 8, text=text, failed=bad)
        models = collections.Counter(call["model"] for call in self.calls(server))
        self.assertEqual(models, {"small": 16, "large": 8})
        self.assertIsNone(self.summary(output)["cost_usd"])

    def test_run_reads_its_options_and_its_pools(self):
        server = self.server()
        output = self.directory / "out.jsonl"
        config = self.config(
            ("small", "price_input = 2", [f'url = "{server.url}"']),
            head=f'output = "{output}"\nmodel = "small"\nlimit = 7\nparam = ["top_p=0.5"]\n')
        done = self.gristmill("run", self.source(50, model="other"), "--config", config, "--limit",
                              "9")
        self.check_result(output, 9)
        self.assertEqual({call["model"] for call in self.calls(server)}, {"small"})
        self.assertIn("$", done.stderr)
        again = self.gristmill("run", self.source(50, model="other"), "--config", config, "--limit",
                               "9", "--model", "large", check=2)
        self.assertIn('"large"', again.stderr)

    def test_a_bad_configuration_ends_with_2_and_its_place(self):
        source = self.source(3)
        broken = self.config(head='listen = "tcp://\n', name="broken.toml")
        unknown = self.config(head='\nmodle = "m"\n', name="unknown.toml")
        wrong = self.config(("m", "price_input = -1", []), name="wrong.toml")
        pool = self.config(("m", "", []), name="pool.toml")
        commands = {"gristmill-coordinator": [], "gristmill-worker": [],
                    "gristmill": ["run", source], "submit": ["submit", source]}
        for program, arguments in commands.items():
            name = "gristmill" if program == "submit" else program
            for file, place in ((broken, "broken.toml:1:"), (unknown, "unknown.toml:2:1: "),
                                (wrong, "wrong.toml:3:15: ")):
                process = self.start(name, *arguments, "--config", file)
                self.assertEqual(process.wait(), 2, process.stderr())
                self.assertIn(place, process.stderr())
            if program in ("gristmill-worker", "submit"):
                process = self.start(name, *arguments, "--config", pool, label=f"{program}-pool")
                self.assertEqual(process.wait(), 2)
                self.assertIn("pool.toml:1:1: expected no [[pool]]", process.stderr())

    def test_a_worker_announces_what_its_configuration_says(self):
        server = self.server()
        coordinator = self.coordinator()
        self.worker(coordinator, "gpu", "--config", self.config(
            head=f'endpoint = "{server.url}"\nmodel = "local"\nconcurrency = 3\n'))
        self.submit(coordinator, self.source(20), "-m", "local")
        self.check_result(self.output, 20)

    def test_pools_are_listed(self):
        server = self.server()
        coordinator = self.coordinator("--config", self.config(
            ("small", 'fallback = "local"\nprice_input = 0.15\nprice_output = 0.6',
             [f'url = "{server.url}"\nrequests_per_minute = 600'])))
        self.worker(coordinator, "gpu", "--endpoint", server.url, "--model", "local")
        at = ["--server", coordinator.http]
        table = self.gristmill("pools", *at).stdout
        for word in ("MODEL", "small", "local", "gpu", server.url, "600", "0.15"):
            self.assertIn(word, table)
        pools = {pool["model"]: pool for pool in
                 json.loads(self.gristmill("pools", "--json", *at).stdout)["pools"]}
        self.assertEqual(pools["small"]["price_output"], 0.6)
        self.assertEqual(pools["small"]["fallback"], "local")
        self.assertIsNone(pools["small"]["endpoints"][0]["worker"])
        self.assertEqual(pools["small"]["endpoints"][0]["requests_per_minute"], 600)
        self.assertEqual(pools["local"]["endpoints"][0]["worker"], "gpu")
        self.assertIsNone(pools["local"]["price_input"])

    def test_an_endpoint_that_asks_to_wait_is_shown_as_parked(self):
        server = self.server("--fault", "status:code=429,retry_after=30")
        coordinator = self.coordinator("--config", self.config(
            ("small", "", [f'url = "{server.url}"'])))
        self.worker(coordinator, "w0")
        self.gristmill("submit", self.source(3), "--server", coordinator.http)

        def endpoint():
            with urllib.request.urlopen(f"{coordinator.http}/api/v1/pools", timeout=10) as answer:
                return json.load(answer)["pools"][0]["endpoints"][0]
        self.until("the endpoint to be parked", lambda: endpoint()["parked_s"] > 0)
        self.assertEqual(endpoint()["why"], "the endpoint asked us to wait")

    def test_a_restart_with_other_pools(self):
        first, second = self.server("--latency", "20ms", label="first"), self.server(label="second")
        pools = lambda model, server: self.config((model, "price_input = 1", [f'url = "{server.url}"']))
        coordinator = self.coordinator("--config", pools("small", first))
        self.worker(coordinator, "w0", "--concurrency", "8")
        at = {"listen": coordinator.listen, "http": coordinator.http.removeprefix("http://")}
        job = self.gristmill("submit", self.source(300), "-m", "small", "--server",
                             coordinator.http).stdout.strip()
        self.until_calls(first, 50)
        coordinator.kill()
        coordinator = self.coordinator("--config", pools("other", second), label="other", **at)
        self.until("the job to say why it waits", lambda: 'no pool serves the model "small"'
                   in self.job(coordinator, job)["why_waiting"])
        self.assertEqual(self.job(coordinator, job)["state"], "running")
        self.assertEqual(self.calls(second), [])
        coordinator.kill()
        coordinator = self.coordinator("--config", pools("small", second), label="back", **at)
        self.until("the job to finish", lambda: self.job(coordinator, job)["state"] == "finished")
        output = self.directory / "out.jsonl"
        self.gristmill("results", job, "-o", output, "--server", coordinator.http)
        self.check_result(output, 300)
        self.assertGreater(len(self.calls(second)), 0)
        self.check_one_call_per_attempt(self.calls(first) + self.calls(second))

    def test_the_example_configuration_is_true(self):
        coordinator = self.coordinator("--config", ROOT / "deploy/gristmill.toml")
        pools = json.loads(self.gristmill("pools", "--json", "--server", coordinator.http).stdout)
        self.assertEqual([(pool["model"], len(pool["endpoints"])) for pool in pools["pools"]],
                         [("gpt-4o", 1), ("gpt-4o-mini", 1), ("llama-3-70b", 2)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
