"""Several models: each item asked of each, one line of all answers, a vote, a judge."""
import collections
import json
import random
import unittest

from harness import EndToEnd

LABELS = ["good", "bad", "ugly"]


class SeveralModels(EndToEnd):
    def setUp(self):
        super().setUp()
        self.output = self.directory / "out.jsonl"

    def documents(self, count):
        path = self.directory / "in.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for n in range(count):
                file.write(json.dumps({"id": f"doc-{n}", "text": f"document {n}"}) + "\n")
        return path

    def lines(self):
        with open(self.output, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def pools(self, **servers):
        path = self.directory / "pools.toml"
        path.write_text("".join(f'[[pool]]\nmodel = "{model}"\n[[pool.endpoint]]\nurl = "{server.url}"\n{more}\n'
                                for model, (server, more) in servers.items()))
        return path

    @staticmethod
    def text_of(response):
        return response["body"]["choices"][0]["message"]["content"]

    def test_each_item_is_asked_of_each_model_once(self):
        server = self.server()
        count = 500
        self.gristmill("run", self.documents(count), "-p", "Say: {{text}}", "-m", "a", "-m", "b",
                       "--endpoint", server.url, "-o", self.output)
        lines = self.lines()
        self.assertEqual([line["custom_id"] for line in lines], [f"doc-{n}" for n in range(count)])
        for line in lines:
            answers = line["gristmill"]["answers"]
            self.assertEqual([answer["model"] for answer in answers], ["a", "b"])
            self.assertEqual(line["response"], answers[0]["response"])
            self.assertEqual([answer["response"]["body"]["model"] for answer in answers], ["a", "b"])
            self.assertIsNone(line["error"])
        calls = self.calls(server)
        self.assertEqual(collections.Counter(call["model"] for call in calls), {"a": count, "b": count})
        self.check_one_call_per_attempt(calls)
        summary = self.summary(self.output)
        self.assertEqual(summary["counts"]["completed"], count)
        self.assertEqual(summary["models"], {"a": count, "b": count})

    def test_votes_agreement_and_kappa_are_those_of_an_independent_count(self):
        server = self.server("--answer", "label")
        # The models see the same text; each of their prompts ends differently by the judge alone, so
        # that labels of models agree and the judge's do not.
        self.gristmill("run", self.documents(300), "--task", "classify", "--labels", ",".join(LABELS),
                       "-m", "a", "-m", "b", "--judge-model", "judge", "--judge-prompt",
                       "One says {{answer.1}}, the other {{answer.2}}, of: {{text}}",
                       "--endpoint", server.url, "-o", self.output)
        lines = self.lines()
        votes = collections.Counter()
        pairs = []
        for line in lines:
            said = line["gristmill"]
            labels = [self.text_of(answer["response"]) for answer in said["answers"]]
            pairs.append(labels)
            self.assertEqual(said["votes"], dict(collections.Counter(labels)))
            self.assertEqual(said["label"], self.text_of(said["judge"]["response"]))
            votes[said["label"]] += 1
        found = self.summary(self.output)["classifications"]
        self.assertEqual({label: said["count"] for label, said in found["labels"].items()},
                         {label: votes[label] for label in LABELS})
        agree = sum(a == b for a, b in pairs) / len(pairs)
        chance = sum(sum(a == label for a, _ in pairs) * sum(b == label for _, b in pairs)
                     for label in LABELS) / len(pairs) ** 2
        (pair,) = found["agreement"]
        self.assertEqual(pair["items"], len(pairs))
        self.assertAlmostEqual(pair["agreement"], agree, places=4)
        self.assertAlmostEqual(pair["kappa"], (agree - chance) / (1 - chance), places=4)

    def test_a_slow_model_does_not_hold_the_fast_one_back(self):
        fast = self.server(label="fast")
        slow = self.server("--latency", "20ms", label="slow")
        count = 1500
        config = self.pools(fast=(fast, ""), slow=(slow, "max_in_flight = 4"))
        coordinator = self.coordinator("--config", config)
        self.worker(coordinator, "w0", "--concurrency", "32")
        self.gristmill("submit", self.documents(count), "-p", "{{text}}", "-m", "slow", "-m", "fast",
                       "--server", coordinator.http)
        self.until("the fast model is done", lambda: len(self.calls(fast)) == count)
        self.assertLess(len(self.calls(slow)), count / 2)
        self.until("the job is done", lambda: self.job(coordinator, "job-1")["state"] == "finished")
        self.gristmill("results", "job-1", "--server", coordinator.http, "-o", self.output)
        self.assertEqual(len(self.calls(slow)), count)
        self.assertEqual(len(self.lines()), count)

    def test_a_cluster_asks_the_judge_too(self):
        server = self.server()
        coordinator = self.coordinator("--config", self.pools(a=(server, ""), j=(server, "")))
        self.worker(coordinator, "w0")
        self.worker(coordinator, "w1")
        self.gristmill("submit", self.documents(200), "-p", "{{text}}", "-m", "a", "--judge-model", "j",
                       "--judge-prompt", "Is it true? {{answer.1}}", "--wait", "-o", self.output,
                       "--server", coordinator.http)
        self.assertEqual(collections.Counter(call["model"] for call in self.calls(server)),
                         {"a": 200, "j": 200})
        for line in self.lines():
            self.assertEqual(line["gristmill"]["judge"]["model"], "j")

    def test_an_item_that_one_model_refuses_has_failed_and_says_so(self):
        good, bad = self.server(), self.server("--fault", "status:code=400", label="b")
        config = self.pools(a=(good, ""), b=(bad, ""))
        arguments = ["run", self.documents(20), "-p", "{{text}}", "-m", "a", "-m", "b", "--config", config,
                     "--max-failures", "off", "-o", self.output]
        self.gristmill(*arguments, check=3)
        for line in self.lines():
            self.assertEqual(line["error"]["code"], "model_failed")
            self.assertIn('"b"', line["error"]["message"])
            self.assertIsNotNone(line["response"])
            first, second = line["gristmill"]["answers"]
            self.assertIsNone(first["error"])
            self.assertIsNotNone(second["error"])
        # What was answered is not paid again.
        self.control(bad, faults=[])
        self.gristmill(*arguments, "--retry-failed")
        self.assertEqual([len(self.calls(good)), len(self.calls(bad))], [20, 40])
        for line in self.lines():
            self.assertIsNone(line["error"])
            self.assertEqual([answer["error"] for answer in line["gristmill"]["answers"]], [None, None])

    def test_nothing_is_paid_twice_over_kills(self):
        server = self.server("--latency", "uniform:1ms:30ms")
        source, count, slots = self.documents(600), 600, 16
        arguments = ["run", source, "-p", "{{text}}", "-m", "a", "-m", "b", "--judge-model", "j",
                     "--judge-prompt", "{{answer.1}} or {{answer.2}}", "--concurrency", str(slots),
                     "--endpoint", server.url, "-o", self.output]
        kills = 5
        for kill in range(kills):
            process = self.start("gristmill", *arguments, label=f"run-{kill}")
            self.until_calls(server, (kill + 1) * 250 + random.Random(kill).randrange(100))
            process.kill()
        self.gristmill(*arguments)
        lines = self.lines()
        self.assertEqual(len(lines), count)
        for line in lines:
            said = line["gristmill"]
            self.assertEqual([answer["model"] for answer in said["answers"]], ["a", "b"])
            self.assertEqual(said["judge"]["model"], "j")
        calls = self.calls(server)
        # Beyond one for each part: what was in flight, or answered and not durable, at a kill.
        self.assertGreaterEqual(len(calls), 3 * count)
        self.assertLessEqual(len(calls), 3 * count + kills * 4 * slots)

    def test_what_cannot_be_asked_is_refused_by_name(self):
        source = self.documents(1)
        for arguments, words in (
                (("-m", "a", "-m", "a"), ("--model", "each model once", '"a"')),
                (("-m", "a", "-m", "b", "--fallback-model", "c"), ("--fallback-model", "several --model")),
                (("-m", "a", "--judge-model", "j"), ("--judge-prompt", "both")),
                (("-m", "a", "--judge-prompt", "{{answer.1}}"), ("--judge-model", "both")),
                (("-m", "a", "--judge-model", "j", "--judge-prompt", "{{answer.2}}"),
                 ("--judge-prompt", "{{answer.1}}", "{{answer.2}}")),
                (("-m", "a", "--judge-model", "j", "--judge-prompt", "{{text}}"), ("no answer",)),
                (("-m", "a", "--task", "embed", "--judge-model", "j", "--judge-prompt", "{{answer.1}}"),
                 ("--judge-model", "embed"))):
            with self.subTest(arguments=arguments):
                told = self.gristmill("run", source, *arguments, "--endpoint", "http://127.0.0.1:9/v1",
                                      "-o", self.output, check=2)
                for word in words:
                    self.assertIn(word, told.stderr)
        told = self.gristmill("run", source, "--strict", "-m", "a", "--judge-model", "j", "--judge-prompt",
                              "{{title}} {{answer.1}}", "--endpoint", "http://127.0.0.1:9/v1", "-o",
                              self.output, check=5)
        self.assertIn('"title"', told.stderr)

    def test_a_dry_run_counts_the_calls_of_all(self):
        told = json.loads(self.gristmill(
            "run", self.documents(10), "-p", "{{text}}", "-m", "a", "-m", "b", "--judge-model", "j",
            "--judge-prompt", "{{answer.1}}", "--endpoint", "http://127.0.0.1:9/v1", "-o", self.output,
            "--dry-run", "--json").stdout)
        self.assertEqual(told["items"], 10)
        self.assertEqual(told["calls"], {"/chat/completions": 30})
        self.assertEqual({model["model"]: model["items"] for model in told["models"]},
                         {"a": 10, "b": 10, "j": 10})


if __name__ == "__main__":
    unittest.main(verbosity=2)
