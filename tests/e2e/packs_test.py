"""Texts that are embedded together in one call: how many, which, and what each of them gets."""
import itertools
import json
import time
import unittest
import urllib.error
import urllib.request

from harness import EndToEnd
from options_test import Jobs
from packs import Packs, vector

NOWHERE = "http://127.0.0.1:9/v1"  # nothing listens there


class Sizes(Packs):
    def rate(self, server, count, *arguments):
        """Items a second, from the command's start to its end."""
        begun = time.monotonic()
        self.embed("--endpoint", server.url, "--restart", *arguments)
        return count / (time.monotonic() - begun)

    def test_a_hundred_thousand_texts_take_few_calls_and_little_time(self):
        # A server that works at a few calls at a time, as those that have one GPU do.
        server = self.server("--latency", "5ms", "--slots", "8")
        alone, together = 10_000, 100_000
        self.documents(alone)
        rate_alone = self.rate(server, alone, "--pack", "1")
        self.assertEqual(self.sizes(server), [1] * alone)
        self.check_vectors(alone)
        self.documents(together)
        rate = self.rate(server, together)
        sizes = self.sizes(server)[alone:]
        print(f"\n{together} texts in {len(sizes)} calls of {min(sizes)} to {max(sizes)}, {rate:.0f} a second; "
              f"one by one {rate_alone:.0f} a second")
        self.assertEqual(sum(sizes), together)
        self.assertLessEqual(len(sizes) * 20, together)
        self.assertGreaterEqual(rate, 5 * rate_alone)
        self.check_vectors(together)

    def test_calls_grow_one_step_at_a_time(self):
        count = 40_000
        server = self.server("--latency", "5ms")
        self.documents(count)
        # While one call tries a larger size, the others go at the one that is proved.
        self.embed("--endpoint", server.url, "--max-in-flight", "4")
        sizes = self.sizes(server)
        self.assertEqual(sizes[0], 8)
        self.assertGreaterEqual(max(sizes), 1_024)
        # None is more than twice as large as what was taken before.
        largest = list(itertools.accumulate(sizes, max))
        for before, size in zip(largest, sizes[1:]):
            self.assertLessEqual(size, 2 * before)
        self.check_vectors(count)

    def test_a_call_is_no_larger_than_a_server_takes(self):
        # 300,000 tokens, of which no text has more than it has bytes.
        count, text = 60, lambda n: f"document {n} ".ljust(50_000 if n % 3 else 290_000, "g")
        server = self.server("--log-bodies")
        self.documents(count, text)
        self.embed("--endpoint", server.url)
        self.check_vectors(count, text)
        together = 0
        for call in self.calls(server):
            given = json.loads(call["body"])["input"]
            if isinstance(given, list):
                self.assertLessEqual(sum(len(one.encode()) for one in given), 300_000)
                together = max(together, len(given))
        self.assertGreater(together, 1)

    def test_long_vectors_come_in_answers_that_are_taken(self):
        # 2,048 of them would be an answer of 160 MB; what an answer may have is 16 MiB.
        count, dimensions = 600, 4_096
        server = self.server("--dimensions", dimensions)
        self.documents(count)
        self.embed("--endpoint", server.url)
        self.check_vectors(count, dimensions=dimensions)
        self.assertLess(len(self.calls(server)), count / 4)

    def test_calls_are_small_where_few_tokens_a_minute_are_allowed(self):
        per_minute = 600_000
        window = per_minute // 30  # two seconds of it
        count, long = 1_000, 500
        text = lambda n: f"document {n} ".ljust(30_000 if n == long else 100, "g")
        server = self.server("--tpm", per_minute, "--log-bodies")
        self.documents(count, text)
        config = self.pool(f'url = "{server.url}"\ntokens_per_minute = {per_minute}\nstrict_tokens = true')
        self.embed("--config", config, "--max-in-flight", "4")
        self.check_vectors(count, text)
        self.assertEqual(self.stats(server)["rate_limited"], 0)
        for call in self.calls(server):
            given = json.loads(call["body"])["input"]
            if text(long) in given:
                self.assertEqual(call["inputs"], 1)
            else:
                self.assertLessEqual(sum(len(one.encode()) for one in given), window)
        self.assertGreaterEqual(max(self.sizes(server)), 16)


class Options(Jobs):
    COUNT = 3_000

    def embed_both(self, *arguments, label=""):
        self.write_documents()
        jobs = self.both("-m", "sim-small", "--task", "embed", "--max-in-flight", "4", *arguments, label=label,
                         server=["--latency", "2ms"])
        for job in jobs:
            self.assertEqual(job.code, 0, job.stderr())
            for n, line in enumerate(self.lines(job)):
                self.assertEqual(line["custom_id"], f"doc-{n}")
                self.assertEqual(Packs.vector_of(line), vector(f"document {n}"))
        return jobs

    def write_documents(self):
        self.write_objects(*({"id": f"doc-{n}", "text": f"document {n}"} for n in range(self.COUNT)))

    def most(self, server):
        return max(call["inputs"] for call in self.calls(server))

    def test_no_call_carries_more_than_told(self):
        for job in self.embed_both(label="-default"):
            self.assertGreater(self.most(job.server), 10)
        for job in self.embed_both("--pack", "10", label="-10"):
            self.assertEqual(self.most(job.server), 10)
        for job in self.embed_both("--pack", "1", label="-1"):
            # The request is what it was before several could go together.
            self.assertEqual(sorted(body["input"] for body in self.bodies(job)),
                             sorted(f"document {n}" for n in range(self.COUNT)))

    def test_a_configuration_and_a_request_say_it_too(self):
        data = self.directory / "data"
        data.mkdir()
        self.source = data / "in.jsonl"
        self.write_documents()
        config = self.directory / "gristmill.toml"
        config.write_text("pack = 10\nmax_in_flight = 4\n")
        job = self.begin("run", "-m", "sim-small", "--task", "embed", "--config", config, label="-toml")
        self.assertEqual(job.wait(), 0, job.stderr())
        self.assertEqual(self.most(job.server), 10)
        server = self.server(label="simllm-http")
        hub = self.coordinator("--data-root", data, label="hub", state="hub-state")
        self.worker(hub, "w-http")
        spec = {"inputs": [{"path": str(self.source), "name": "in.jsonl"}], "task": "embed",
                "model": "sim-small", "pack": 10, "max_in_flight": 4, "endpoints": [{"url": server.url}]}
        status, told = self.post(hub, spec)
        self.assertEqual(status, 200, told)
        self.until("the job to end", lambda: self.job(hub, "job-1")["state"] == "finished")
        self.assertEqual(self.most(server), 10)
        self.assertEqual(sum(call["inputs"] for call in self.calls(server)), self.COUNT)

    @staticmethod
    def post(hub, spec):
        """(status, body) of a submission."""
        request = urllib.request.Request(f"{hub.http}/api/v1/jobs", json.dumps({"spec": spec}).encode(),
                                         {"content-type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return min(answer.status, 200), answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


class Told(EndToEnd):
    """Before anything is called."""

    def setUp(self):
        super().setUp()
        self.data = self.directory / "data"
        self.data.mkdir()
        self.source = self.data / "in.jsonl"
        self.source.write_text("".join(json.dumps({"id": f"doc-{n}", "text": f"document {n}"}) + "\n"
                                       for n in range(100)))
        self.base = [self.source, "--task", "embed", "-m", "m", "--endpoint", NOWHERE, "-o",
                     self.directory / "out.jsonl"]

    def test_what_is_no_size_is_refused_by_name(self):
        for value in ("0", "2049", "-1", "x", ""):
            for way in ("run", "submit"):
                with self.subTest(value=value, way=way):
                    told = self.gristmill(way, *self.base, "--pack", value, check=2).stderr
                    self.assertIn("--pack", told)
        config = self.directory / "gristmill.toml"
        for value in ("0", "2049", "-1", '"x"', "1.5"):
            config.write_text(f"\npack = {value}\n")
            with self.subTest(toml=value):
                told = self.gristmill("run", *self.base, "--config", config, check=2).stderr
                self.assertIn("gristmill.toml:2:", told)
                self.assertIn("pack", told)
        hub = self.coordinator("--data-root", self.data)
        for value in (0, 2049, -1, "x", 1.5, None):
            with self.subTest(json=value):
                spec = {"inputs": [{"path": str(self.source), "name": "in.jsonl"}], "task": "embed",
                        "model": "m", "endpoints": [{"url": NOWHERE}], "pack": value}
                status, told = Options.post(hub, spec)
                self.assertEqual(status, 400, told)
                self.assertIn("pack", told)

    def test_a_dry_run_says_what_goes_together(self):
        for pack in ((), ("--pack", "10"), ("--pack", "1")):
            with self.subTest(pack=pack):
                told = json.loads(self.gristmill("run", *self.base, "--dry-run", "--json", *pack).stdout)
                self.assertEqual(told["items"], 100)
                self.assertIn("pack", told)
                self.gristmill("run", *self.base, "--dry-run", *pack)


if __name__ == "__main__":
    unittest.main(verbosity=2)
