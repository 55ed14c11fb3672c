"""What Prometheus is told: read strictly while real jobs run, and held against the servers' logs, the
status and the log of the coordinator.
"""
import json
import re
import unittest
import urllib.error
import urllib.request

from harness import EndToEnd, write_batch

# The text format 0.0.4, as far as counters and gauges need it.
NAME, VALUE = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
COMMENT = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({VALUE})")


def read_metrics(text):
    """{(name, frozenset of labels): value}; every family is described once, before its samples."""
    described, samples, family = {}, {}, None
    assert text.endswith("\n"), text[-100:]
    for line in text.splitlines():
        if comment := COMMENT.fullmatch(line):
            word, family, rest = comment.groups()
            assert (family, word) not in described, line
            described[family, word] = rest
            assert word == "HELP" or rest in ("counter", "gauge"), line
            assert not (word == "TYPE" and rest == "counter") or family.endswith("_total"), line
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        name, labels, value = sample.groups()
        assert name == family and (name, "HELP") in described and (name, "TYPE") in described, line
        pairs = (label.split("=", 1) for label in re.findall(LABEL, labels or ""))
        key = name, frozenset((label, json.loads(text)) for label, text in pairs)
        assert key not in samples, line
        samples[key] = float(value)
    return samples


class Metrics(EndToEnd):
    def scrape(self, node, token=None):
        request = urllib.request.Request(f"{node.http}/metrics")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertEqual(answer.headers["Content-Type"],
                             "text/plain; version=0.0.4; charset=utf-8")
            text = answer.read().decode()
        return read_metrics(text)

    @staticmethod
    def of(samples, name, **labels):
        """The one sample of this name with at least these labels; None if there is none."""
        found = [value for (called, given), value in samples.items()
                 if called == name and labels.items() <= dict(given).items()]
        assert len(found) <= 1, (name, labels, found)
        return found[0] if found else None

    def until_waiting(self, node, job, reason, endpoint):
        """The scrape gives the reason, and so do status, explain and the log."""
        self.until(f"metrics to say {reason}", lambda: self.of(
            self.scrape(node), "gristmill_job_waiting", job=job, reason=reason,
            endpoint=endpoint) == 1)
        self.until(f"status to say {reason}",
                   lambda: self.job(node, job)["waiting_for"] == reason)
        with urllib.request.urlopen(f"{node.http}/api/v1/jobs/{job}/explain", timeout=10) as answer:
            why = json.load(answer)
        self.assertEqual((why["kind"], why["endpoint"] or ""), (reason, endpoint))
        self.until(f"the log to say {reason}", lambda: f"for={reason}" in node.stderr())

    def submit(self, node, source, *arguments):
        return self.gristmill("submit", source, "--server", node.http, *arguments).stdout.strip()

    def test_reasons_are_those_of_status_explain_and_log(self):
        simllm = self.server()
        config = self.directory / "gristmill.toml"
        config.write_text(f'[[pool]]\nmodel = "m"\n[[pool.endpoint]]\nurl = "{simllm.url}"\n'
                          f'requests_per_minute = 30\n')
        node = self.coordinator("--config", config)
        source = self.directory / "in.jsonl"
        write_batch(source, 40, model="m")
        job = self.submit(node, source)
        self.until_waiting(node, job, "no_worker", "")
        self.worker(node, "w")
        self.until_waiting(node, job, "requests", simllm.url)
        samples = self.scrape(node)
        window = {"model": "m", "url": simllm.url, "window": "requests_per_minute"}
        self.assertEqual(self.of(samples, "gristmill_endpoint_limit", **window), 30)
        used = self.of(samples, "gristmill_endpoint_used", **window)
        self.assertGreaterEqual(used, len(self.calls(simllm)) - 1)  # one may have begun since
        self.assertLessEqual(used, 30)
        self.gristmill("pause", job, "--server", node.http)
        samples = self.scrape(node)
        self.assertEqual(self.of(samples, "gristmill_job_state", job=job, state="paused",
                                 reason="user"), 1)
        self.assertIsNone(self.of(samples, "gristmill_job_waiting", job=job))
        self.assertEqual(self.of(samples, "gristmill_jobs", state="paused"), 1)

    def test_an_endpoint_that_gets_no_calls_says_why(self):
        for fault, reason in (("status:code=429,retry_after=30", "cooldown"),
                              ("status:code=503", "breaker"), ("quota", "quota")):
            with self.subTest(reason):
                simllm = self.server("--fault", fault, label=f"llm-{reason}")
                node = self.coordinator(label=reason, state=reason)
                self.worker(node, f"w-{reason}")
                source = self.directory / f"{reason}.jsonl"
                write_batch(source, 100)
                job = self.submit(node, source, "--endpoint", simllm.url, "--retries", "100",
                                  "--max-failures", "off")
                self.until(f"{reason} to be told", lambda: self.of(
                    self.scrape(node), "gristmill_endpoint_parked", url=simllm.url,
                    reason=reason) == 1)
                self.gristmill("cancel", job, "--server", node.http)

    def test_figures_of_a_job_are_those_of_its_server(self):
        simllm = self.server("--fault", "status:code=400,first=7,from=20")
        node = self.coordinator()
        self.worker(node, "w")
        source = self.directory / "in.jsonl"
        write_batch(source, 300)
        job = self.submit(node, source, "--endpoint", simllm.url)
        self.until("its end", lambda: self.job(node, job)["state"] == "finished")
        samples = self.scrape(node)
        calls = self.calls(simllm)
        answered = [call for call in calls if call["status"] == 200]
        self.assertEqual(len(calls) - len(answered), 7)
        for name, labels, value in (
                ("gristmill_job_items", {}, 300),
                ("gristmill_job_input_read", {}, 1),
                ("gristmill_job_results_total", {"result": "completed"}, 293),
                ("gristmill_job_results_total", {"result": "failed"}, 7),
                ("gristmill_job_attempts_total", {}, len(calls)),
                ("gristmill_job_tokens_total", {"kind": "prompt"},
                 sum(call["prompt_tokens"] for call in answered)),
                ("gristmill_job_tokens_total", {"kind": "completion"},
                 sum(call["completion_tokens"] for call in answered))):
            self.assertEqual(self.of(samples, name, job=job, **labels), value, (name, labels))
        self.assertEqual(self.of(samples, "gristmill_workers"), 1)
        self.assertEqual(self.of(samples, "gristmill_worker_calls_total", worker="w"), len(calls))

    # ---- events ------------------------------------------------------------------------------------

    def events(self, node, path):
        """The stream's events as they come, (name, data); closed with the test."""
        answer = urllib.request.urlopen(node.http + path, timeout=60)
        self.addCleanup(answer.close)
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        return self.read_events(answer)

    @staticmethod
    def read_events(lines):
        name = None
        for line in lines:
            word, _, rest = line.decode().rstrip("\n").partition(": ")
            if word == "event":
                name = rest
            elif word == "data":
                yield name, json.loads(rest)

    def test_events_tell_reasons_and_states_as_they_change(self):
        simllm, node = self.server(), self.coordinator()
        source = self.directory / "in.jsonl"
        write_batch(source, 40)
        all_jobs = self.events(node, "/api/v1/events")
        job = self.submit(node, source, "--endpoint", simllm.url)
        reasons = []
        for name, data in self.events(node, f"/api/v1/jobs/{job}/events"):
            self.assertEqual((name, data["id"]), ("job", job))
            if data["waiting_for"] and data["waiting_for"] not in reasons:
                reasons.append(data["waiting_for"])
                self.assertTrue(data["why_waiting"])
                self.worker(node, "w")  # what it waits for
        self.assertEqual(reasons[0], "no_worker")
        self.assertEqual(data["state"], "finished")  # and the stream has ended by itself
        self.assertEqual(data, self.job(node, job))
        self.gristmill("forget", job, "--server", node.http)
        names = []
        for name, data in all_jobs:
            names.append(name)
            if name == "job.forgotten":
                break
        self.assertEqual(data, {"id": job})
        self.assertEqual(set(names[:-1]), {"job"})

    def test_a_coordinator_that_ends_does_not_wait_for_who_listens(self):
        simllm, node = self.server(), self.coordinator("--drain-timeout", "60")
        source = self.directory / "in.jsonl"
        write_batch(source, 1)
        self.submit(node, source, "--endpoint", simllm.url)
        events = self.events(node, "/api/v1/events")
        self.assertEqual(next(events)[0], "job")
        node.popen.terminate()
        list(events)  # ends
        self.assertEqual(node.wait(), 0)

    def test_nobody_without_the_token_is_told(self):
        keys = self.directory / "keys"
        self.gristmill("keygen", keys)
        node = self.coordinator("--keys", keys)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.scrape(node)
        self.assertEqual(refused.exception.code, 401)
        refused.exception.close()
        token = (keys / "client.token").read_text().strip()
        self.assertEqual(self.of(self.scrape(node, token), "gristmill_workers"), 0)


if __name__ == "__main__":
    unittest.main()
