"""--dedupe: what asks the same is called for once, whatever happens meanwhile, and the others take the answer
of the first. The witness is what the server was sent.
"""
import collections
import json
import random
import threading
import time
import unittest
import urllib.request

import metrics_test
import packs_test
from chunks_test import book
from dedupe import Dedupe, chat, shuffled
from harness import MEMORY_SLACK_MIB, crc
from packs import vector
from run_test import tree_rss_mb
from scripted_server import Server, free_port

NOWHERE = packs_test.NOWHERE
LABELS = ["good", "bad", "ugly"]
WAITS = "waits for the answer to an earlier item that asks the same (--dedupe)"


class Many(Dedupe):
    def test_a_hundred_thousand_of_which_two_fifths_ask_again(self):
        distinct, total = 60_000, 100_000
        texts = [f"question {n}" for n in shuffled(distinct, total)]
        self.assertEqual(len(set(map(crc, texts))), distinct, "the log tells them apart")
        self.write_chats(*texts)
        server = self.server()
        self.cluster(2)
        begun = time.monotonic()
        job = self.submit(server)
        self.finish(job)
        rate = total / (time.monotonic() - begun)
        calls = self.calls(server)
        print(f"\n{total} items in {len(calls)} calls, {rate:.0f} items a second")
        self.assertEqual(len(calls), distinct)
        self.assertEqual(set(collections.Counter(call["crc"] for call in calls).values()), {1})
        self.check_one_call_per_attempt(calls)
        self.assertEqual(self.check_twins(texts), total - distinct)
        counts = self.counts()
        self.assertEqual([counts[key] for key in ("total", "completed", "failed", "cached", "calls", "attempts")],
                         [total, total, 0, total - distinct, distinct, distinct])
        view = self.job(self.hub, job)["counts"]
        self.assertEqual((view["cached"], view["calls"]), (total - distinct, distinct))

    def test_all_ask_the_same(self):
        texts = ["the one question"] * 10_000
        self.write_chats(*texts)
        server = self.server("--latency", "1s")
        said = self.run_on(server)
        self.assertEqual(len(self.calls(server)), 1)
        self.assertEqual(self.check_twins(texts), 9_999)
        self.assertIn("10000 items, 10000 answered, 0 failed, 9999 cached, 1 calls", said)

    def test_what_was_not_called_costs_nothing(self):
        texts = [f"{'the same beginning ' * 20}{n % 7}" for n in range(700)]
        self.write_chats(*texts)
        for models in (("a",), ("a", "b")):
            with self.subTest(models=models):
                server = self.server("--prefix-cache", "10:200:2", label=f"simllm-{len(models)}")
                config, output = self.directory / "gristmill.toml", self.directory / f"{len(models)}.jsonl"
                config.write_text("".join(
                    f'[[pool]]\nmodel = "{model}"\nprice_input = 0.5\nprice_output = 2\n[[pool.endpoint]]\n'
                    f'url = "{server.url}"\nmax_in_flight = 1\n' for model in models))
                named = [word for model in models for word in ("-m", model)]
                self.gristmill("run", self.source, "--config", config, "--dedupe", *named, "-o", output)
                calls, summary = self.calls(server), self.summary(output)
                self.assertEqual(len(calls), 7 * len(models))
                used = [sum(call.get(f"{kind}_tokens", 0) for call in calls)
                        for kind in ("prompt", "completion", "cached")]
                self.assertGreater(used[2], 0)
                self.assertEqual([summary["tokens"][kind] for kind in ("prompt", "completion")], used[:2])
                self.assertAlmostEqual(summary["cost_usd"], (used[0] * 0.5 + used[1] * 2) / 1e6, places=9)
                self.assertEqual(summary["tokens"]["cached"], used[2])

    def test_no_more_items_wait_than_are_kept(self):
        most, total = 262_144, 300_000  # open items of a job; its items
        first = threading.Event()
        slow = Server(free_port(), lambda question: first.wait() and None)
        self.addCleanup(slow.end)
        self.addCleanup(first.set)
        slow.url = f"http://127.0.0.1:{slow.http.server_port}/v1"
        self.write_chats(*["SLOW"] * total)
        self.cluster()
        job = self.submit(slow)
        at = ("--server", self.hub.http)
        why = lambda: json.loads(self.gristmill("explain", job, "--json", *at).stdout)
        self.until("no more to be read", lambda: why()["kind"] == "open_items")
        self.until("that to be reported", lambda: self.job(self.hub, job)["counts"]["total"] >= most)
        self.assertEqual(self.job(self.hub, job)["counts"]["total"], most)
        waiting = tree_rss_mb(self.hub.popen.pid)
        first.set()
        self.until("the job to finish", lambda: self.job(self.hub, job)["state"] == "finished")
        peak = tree_rss_mb(self.hub.popen.pid)
        counts = self.job(self.hub, job)["counts"]
        self.assertEqual((counts["completed"], counts["cached"]), (total, total - 1))
        self.assertEqual(len(slow.answered_at), 1)
        # The same without waiting for each other.
        self.cluster(label="plain")
        server = self.server()
        job = self.submit(server, "--limit", "20000", dedupe=False)
        self.finish(job)
        self.assertEqual(len(self.calls(server)), 20_000)
        plain = tree_rss_mb(self.hub.popen.pid)
        print(f"\n{waiting:.0f} MiB with {most} items that wait, at most {peak:.0f}; {plain:.0f} without --dedupe")
        self.assertLess(waiting, plain + most * 512 / 2**20 + MEMORY_SLACK_MIB)
        self.assertLess(peak, 400 + MEMORY_SLACK_MIB)

    def test_a_long_answer_serves_many(self):
        # 128 MiB of lines that say what one call did.
        texts = ["tell me all"] * 1_000
        self.write_chats(*texts)
        server = self.server("--answer-tokens", "22000")
        process = self.start("gristmill", *self.command(server), label="run")
        peak = self.peak(process)
        self.check_twins(texts)
        self.assertGreater(self.output.stat().st_size, 100 << 20)
        self.assertEqual(len(self.calls(server)), 1)
        print(f"\n{self.output.stat().st_size >> 20} MiB of twins' lines, peak {peak:.0f} MiB")
        self.assertLess(peak, 250 + MEMORY_SLACK_MIB)

    def peak(self, process):
        """Peak resident size in MiB, as last seen before its end."""
        peak = 0
        while process.popen.poll() is None:
            try:
                peak = max(peak, tree_rss_mb(process.popen.pid))
            except (FileNotFoundError, AttributeError):
                break  # it has just ended
            time.sleep(0.02)  # between two looks
        self.assertEqual(process.wait(), 0, process.stderr())
        return peak


class Sameness(Dedupe):
    """Which requests ask the same."""

    def write_raw(self, *requests):
        """Each (url, body) a line, with the body as it is spelled."""
        self.source.write_text("".join(
            f'{{"custom_id": "item-{n}", "method": "POST", "url": "{url}", "body": {body}}}\n'
            for n, (url, body) in enumerate(requests)))

    CHAT = "/v1/chat/completions"
    FIRST = '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}'
    SAME = (
        '{"temperature": 0, "messages": [{"role": "user", "content": "hello"}], "model": "sim-small"}',
        '{"model":"sim-small","temperature":0,"messages":[{"content":"hello","role":"user"}]}',
        '{ "model" :\t"sim-small" , "temperature": 0,  "messages": [ { "role": "user", "content": "hello" } ] }',
        r'{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "h\u0065llo"}]}',
        '{"model": "sim-small", "temperature": 0, "user": "a", "messages": [{"role": "user", "content": "hello"}]}',
        '{"user": "b", "model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello"}], '
        '"metadata": {"a": ["b"]}, "safety_identifier": "c", "prompt_cache_key": "d"}',
    )
    OTHER = (
        '{"model": "sim-large", "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "temperature": 0.5, "messages": [{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "messages": [{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello "}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "Hello"}]}',
        '{"model": "sim-small", "temperature": 0, "seed": 1, "messages": [{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "system", "content": "hello"}]}',
        # Members of the same name further in are not who asks.
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello", "user": "a"}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello", '
        '"metadata": {}}]}',
        # The order of a list counts.
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "a"}, '
        '{"role": "user", "content": "hello"}]}',
        '{"model": "sim-small", "temperature": 0, "messages": [{"role": "user", "content": "hello"}, '
        '{"role": "user", "content": "a"}]}',
    )

    def test_lines_whose_bodies_mean_the_same_are_called_once(self):
        chats = [self.FIRST, *self.SAME, *self.OTHER]
        urls = [(path, '{"model": "sim-small", "input": "hello"}') for path in ("/v1/embeddings", "/v1/responses")]
        requests = [*((self.CHAT, body) for body in chats), *urls] * 2
        self.write_raw(*requests)
        server = self.server("--log-bodies")
        self.run_on(server)
        # Those that lead are sent as they stand.
        sent = collections.Counter((call["path"], call["body"]) for call in self.calls(server))
        wanted = [*((self.CHAT, body) for body in (self.FIRST, *self.OTHER)), *urls]
        normal = lambda body: json.dumps(json.loads(body), sort_keys=True)
        self.assertEqual(collections.Counter((path, normal(body)) for path, body in sent.elements()),
                         collections.Counter((path, normal(body)) for path, body in wanted))
        lines = list(self.lines())
        self.assertEqual([line["custom_id"] for line in lines], [f"item-{n}" for n in range(len(requests))])
        answers = [line["response"]["body"] for line in lines]
        half = len(requests) // 2
        self.assertEqual(answers[:half], answers[half:])
        for line in (*lines[1:1 + len(self.SAME)], *lines[half:]):
            self.check_cached(line)
            self.assertEqual(line["gristmill"]["source"], f"{self.source}:{1 + lines.index(line)}")
        for answer in answers[1:1 + len(self.SAME)]:
            self.assertEqual(answer, answers[0])
        self.assertEqual(len({json.dumps(answer) for answer in answers}), len(wanted))
        models = collections.Counter(answer["model"] for answer in answers[:half])
        self.assertEqual((set(models), models["sim-large"]), ({"sim-small", "sim-large"}, 1))

    def test_models_given_for_all_lines_and_for_none(self):
        self.write_lines(chat("hello", "a"), chat("hello", "b"), chat("hello", "a"))
        server = self.server()
        self.run_on(server)
        self.assertEqual(sorted(call["model"] for call in self.calls(server)), ["a", "b"])
        self.run_on(server, "-m", "c", output=self.directory / "c.jsonl")
        self.assertEqual([call["model"] for call in self.calls(server)[2:]], ["c"])

    def test_another_job_calls_for_itself(self):
        texts = [f"question {n % 5}" for n in range(50)]
        self.write_chats(*texts)
        server = self.server("--log-bodies")
        self.cluster()
        for job in [self.submit(server), self.submit(server)]:
            output = self.directory / f"{job}.jsonl"
            self.finish(job, output)
            self.assertEqual(self.check_twins(texts, output=output), 45)
        self.assertEqual(self.asked(server), {f"question {n}": 2 for n in range(5)})

    def test_documents_are_known_by_what_is_asked_of_them(self):
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(60):
                file.write(json.dumps({"id": f"item-{n}", "text": f"text {n % 3}", "title": f"title {n}"}) + "\n")
        server = self.server("--log-bodies")
        self.run_on(server, "-m", "m", "-p", "Say: {{text}}", "--keep", "title")
        self.assertEqual(self.asked(server), {f"Say: text {n}": 1 for n in range(3)})
        self.check_twins([f"Say: text {n % 3}" for n in range(60)])
        self.assertEqual([line["gristmill"]["input"]["title"] for line in self.lines()],
                         [f"title {n}" for n in range(60)])
        # With a prompt that uses it each title makes another question.
        self.run_on(server, "-m", "m", "-p", "{{title}}: {{text}}", output=self.directory / "titles.jsonl")
        self.assertEqual(len(self.calls(server)), 3 + 60)

    def test_without_the_option_every_line_is_called(self):
        texts = [f"question {n % 5}" for n in range(500)]
        self.write_chats(*texts)
        server = self.server("--log-bodies")
        self.gristmill("run", self.source, "--endpoint", server.url, "-o", self.output)
        self.assertEqual(self.asked(server), {f"question {n}": 100 for n in range(5)})
        self.assertEqual(self.check_twins(texts, calls_each=100), 0)
        counts = self.counts()
        self.assertEqual((counts["cached"], counts["calls"]), (0, 500))
        told = json.loads(self.gristmill("run", self.source, "--endpoint", NOWHERE, "-o", self.directory / "x",
                                         "--dry-run", "--json").stdout)
        self.assertEqual((told["calls"], told["repeated"]), ({"/chat/completions": 500}, 0))


class Parts(Dedupe):
    """Items of several parts, and what is made of answers."""

    def test_each_model_is_asked_once_and_so_is_the_judge(self):
        texts = [f"document {n}" for n in shuffled(300, 500)]
        self.write_documents(*texts)
        server = self.server("--log-bodies")
        self.run_on(server, "-m", "a", "-m", "b", "--judge-model", "j", "--judge-prompt",
                    "Is it so? {{text}}: {{answer.1}}")
        asked = collections.Counter((body["model"], body["messages"][-1]["content"]) for body in self.bodies(server))
        self.assertEqual(set(asked.values()), {1})
        self.assertEqual(collections.Counter(model for model, _ in asked), {"a": 300, "b": 300, "j": 300})
        said_of = {}
        for n, line in enumerate(self.lines()):
            said = line["gristmill"]
            self.assertEqual([answer["model"] for answer in said["answers"]], ["a", "b"])
            self.assertEqual([answer["response"]["body"]["model"] for answer in said["answers"]], ["a", "b"])
            for answer in said["answers"]:
                self.assertTrue(self.content(answer).startswith("sim " + crc(texts[n])), line)
            self.assertEqual(line["response"], said["answers"][0]["response"])
            judged = f"Is it so? {texts[n]}: {self.content(said['answers'][0])}"
            self.assertTrue(self.content(said["judge"]).startswith("sim " + crc(judged)), line)
            responses = [answer["response"] for answer in (*said["answers"], said["judge"])]
            self.assertEqual(said_of.setdefault(texts[n], responses), responses)
        counts = self.counts()
        self.assertEqual([counts[key] for key in ("completed", "parts", "cached", "calls")], [500, 1_500, 600, 900])

    def test_equal_documents_of_one_model_and_another(self):
        self.write_documents("x", "x")
        server = self.server("--fault", "status:code=400,model=b")
        self.run_on(server, "-m", "a", "-m", "b", "--max-failures", "off", check=3)
        self.assertEqual(sorted((call["model"], call["status"]) for call in self.calls(server)),
                         [("a", 200), ("b", 400)])
        one, other = ([(answer["response"], answer["error"]) for answer in line["gristmill"]["answers"]]
                      for line in self.lines())
        self.assertEqual(one, other)
        self.assertEqual(one[0][0]["status_code"], 200)
        self.assertTrue(one[1][1] or one[1][0]["status_code"] == 400)

    def test_chunks_of_a_document_are_called_once(self):
        text, half = book(20_000), book(20_000)[:9_000]
        self.write_documents(text, "short", text, half, "short", text)
        server = self.server("--answer", "echo", "--log-bodies")
        self.run_on(server, "-m", "m", "--chunk-tokens", "400")
        asked = self.asked(server)
        self.assertEqual(set(asked.values()), {1})
        lines = list(self.lines())
        self.assertEqual([self.content(line) for line in lines], [text, "short", text, half, "short", text])
        chunks = [line["gristmill"]["chunks"] for line in lines]
        self.assertGreater(chunks[0], 10)
        # The shorter one ends within a chunk of the longer; what precedes is theirs together.
        self.assertLess(len(asked), chunks[0] + chunks[3] // 2)
        self.assertEqual(self.counts()["cached"], sum(chunks) - len(asked))

    def test_chunks_of_one_document_that_are_equal(self):
        sentence = "All that is said is said again, in as many words as before. " * 4 + "\n\n"
        text = sentence * 400
        self.write_documents(text)
        server = self.server("--answer", "echo", "--log-bodies")
        self.run_on(server, "-m", "m", "--chunk-tokens", "100")
        (line,) = self.lines()
        self.assertEqual(self.content(line), text)
        self.assertGreaterEqual(line["gristmill"]["chunks"], 200)
        self.assertEqual(set(self.asked(server).values()), {1})
        self.assertLess(len(self.calls(server)), 5)

    def test_what_joins_answers_is_called_once_too(self):
        text = book(40_000)
        with open(self.source, "w", encoding="utf-8") as file:
            for n, title in enumerate(("T", "T", "U")):
                file.write(json.dumps({"id": f"item-{n}", "text": text, "title": title}) + "\n")
        server = self.server("--answer-tokens", "60", "--log-bodies")
        self.run_on(server, "-m", "m", "-p", "Read: {{text}}", "--chunk-tokens", "800", "--reduce-prompt",
                    "Of {{title}}: {{answers}}")
        asked = self.asked(server)
        self.assertEqual(set(asked.values()), {1})
        steps = {title: [one for one in asked if one.startswith(f"Of {title}: ")] for title in "TU"}
        one, twin, other = self.lines()
        self.assertEqual(len(asked), one["gristmill"]["chunks"] + len(steps["T"]) + len(steps["U"]))
        self.assertGreater(len(steps["T"]), 1)
        self.assertEqual(one["response"]["body"], twin["response"]["body"])
        for line, title in ((one, "T"), (other, "U")):
            self.assertIn(self.content(line).split()[1], list(map(crc, steps[title])))

    def test_texts_are_embedded_once_whatever_goes_together(self):
        texts = [f"document {n}" for n in shuffled(3_000, 10_000)]
        self.write_documents(*texts)
        for pack in ("1", "16", "2048"):
            with self.subTest(pack=pack):
                server = self.server("--log-bodies", label=f"simllm-{pack}")
                output = self.directory / f"{pack}.jsonl"
                self.run_on(server, "-m", "m", "--task", "embed", "--pack", pack, output=output)
                asked = collections.Counter()
                for body in self.bodies(server):
                    given = body["input"]
                    asked.update([given] if isinstance(given, str) else given)
                self.assertEqual(set(asked.values()), {1})
                self.assertEqual(set(asked), set(texts))
                if pack != "1":
                    self.assertLessEqual(len(self.calls(server)) * 6, len(asked))
                for n, line in enumerate(self.lines(output)):
                    (entry,) = line["response"]["body"]["data"]
                    if (line["custom_id"], entry["embedding"]) != (f"item-{n}", vector(texts[n])):
                        self.fail(f"item {n} has not its own vector: {line}")
                counts = self.counts(output)
                self.assertEqual((counts["completed"], counts["cached"]), (10_000, 7_000))
                used = sum(call["prompt_tokens"] for call in self.calls(server))
                self.assertEqual(self.summary(output)["tokens"]["prompt"], used)

    def test_a_text_that_no_server_embeds_fails_once(self):
        texts = ["BAD" if n % 4 == 0 else f"document {n % 50}" for n in range(200)]
        self.write_documents(*texts)
        server = self.server("--log-bodies", "--fault", "status:code=400,match=BAD")
        self.run_on(server, "-m", "m", "--task", "embed", "--max-failures", "off", check=3)
        alone = [body for body in self.bodies(server) if body["input"] in ("BAD", ["BAD"])]
        self.assertEqual(len(alone), 1)
        for text, line in zip(texts, self.lines(), strict=True):
            if text == "BAD":
                self.assertEqual(line["gristmill"]["class"], "bad_line", line)
            else:
                self.assertEqual(line["response"]["body"]["data"][0]["embedding"], vector(text))
        self.assertEqual(self.counts()["failed"], 50)

    def test_labels_stand_at_all_that_ask_the_same(self):
        texts = [f"document {n % 40}" for n in range(400)]
        self.write_documents(*texts)
        server = self.server("--answer", "label", "--log-bodies", "--fault", "babble:match=document 7,times=1")
        self.run_on(server, "-m", "m", "--task", "classify", "--labels", ",".join(LABELS))
        asked = self.asked(server)
        self.assertEqual(sum(asked.values()), 40 + 1)
        votes = collections.Counter()
        for text, line in zip(texts, self.lines(), strict=True):
            label = LABELS[int(crc(text), 16) % len(LABELS)]
            self.assertEqual(line["gristmill"]["label"], label, line)
            votes[label] += 1
        found = self.summary(self.output)["classifications"]
        self.assertEqual({label: said["count"] for label, said in found["labels"].items()}, votes)
        self.assertEqual(self.counts()["cached"], 360)

    def test_a_repaired_answer_serves_all_and_so_does_one_that_never_fits(self):
        texts = ["ONCE", "NEVER", "good"] * 30
        self.write_documents(*texts)
        schema = self.directory / "facts.json"
        schema.write_text('{"type": "object", "properties": {"checksum": {"type": "string"}}}')
        server = self.server("--answer", "json", "--log-bodies", "--fault", "unfit:match=ONCE,times=1", "--fault",
                             "unfit:match=NEVER")
        self.run_on(server, "-m", "m", "--json-schema", schema, "--max-failures", "off", check=3)
        self.assertEqual(collections.Counter(call["crc"] for call in self.calls(server)),
                         {crc("ONCE"): 2, crc("NEVER"): 2, crc("good"): 1})
        errors = set()
        for n, (text, line) in enumerate(zip(texts, self.lines(), strict=True)):
            if n >= 3:
                self.check_cached(line)
            if text == "NEVER":
                self.assertEqual(line["gristmill"]["class"], "bad_result")
                errors.add(json.dumps(line["error"]))
            else:
                self.assertEqual(json.loads(self.content(line))["checksum"], crc(text))
        self.assertEqual(len(errors), 1)
        self.assertEqual([self.counts()[key] for key in ("completed", "failed", "cached")], [60, 30, 87])

    def test_the_answer_of_the_fallback_model_serves_all(self):
        self.write_documents(*["LONG", "short"] * 20)
        server = self.server("--fault", "context:match=LONG,model=small")
        self.run_on(server, "-m", "small", "--fallback-model", "large")
        self.assertEqual(sorted((call["model"], call["crc"]) for call in self.calls(server)),
                         sorted([("small", crc("LONG")), ("large", crc("LONG")), ("small", crc("short"))]))
        for n, line in enumerate(self.lines()):
            self.assertEqual(line["gristmill"]["model"], "small" if n % 2 else "large")
            self.assertTrue(self.content(line).startswith("sim " + crc("short" if n % 2 else "LONG")))


class Failures(Dedupe):
    def test_what_is_refused_is_refused_once_and_run_again_once(self):
        texts = ["BAD" if n % 2 else f"question {n}" for n in range(100)]
        self.write_chats(*texts)
        asked, wrong = [], json.dumps({"error": {"message": "No.", "type": "t", "code": "bad_taste"}}).encode()

        def reply(question):
            asked.append(question)
            if question == "BAD" and wrong:
                # So all the others that ask it have been read.
                self.until("all else to be answered", lambda: len(server.answered_at) >= 50)
                time.sleep(0.03)  # what a call takes is not nothing
                return 400, wrong
            return None

        server = Server(free_port(), reply)
        self.addCleanup(server.end)
        server.url = f"http://127.0.0.1:{server.http.server_port}/v1"
        said = self.run_on(server, "--max-failures", "off", check=3)
        self.assertIn("50 failed as bad_line", said)
        self.assertEqual(asked.count("BAD"), 1)
        codes = collections.Counter(line["gristmill"].get("code") for line in self.lines())
        self.assertEqual(codes, {None: 50, "bad_taste": 50})
        self.assertEqual([(cause["code"], cause["count"]) for cause in self.summary(self.output)["errors"]],
                         [("bad_taste", 50)])
        with self.subTest("the lines of those that were not called"):
            self.assertEqual(self.check_twins(texts, failed={"BAD"}), 49)
        self.run_on(server, "--max-failures", "off", "--retry-failed", check=3)
        self.assertEqual(asked.count("BAD"), 2)
        self.assertEqual(self.counts()["failed"], 50)
        wrong = None
        self.run_on(server, "--max-failures", "off", "--retry-failed")
        self.assertEqual(asked.count("BAD"), 3)
        self.assertEqual(self.check_twins(texts), 49)
        self.assertEqual(len(asked), 53)
        counts = self.counts()
        self.assertEqual((counts["completed"], counts["failed"]), (100, 0))

    def test_in_a_cluster_what_failed_is_run_again_once(self):
        texts = ["BAD"] * 30 + ["good"] * 30
        self.write_chats(*texts)
        server = self.server("--log-bodies", "--fault", "status:code=422,match=BAD")
        self.cluster()
        job = self.submit(server, "--max-failures", "off")
        self.finish(job)
        self.assertEqual(self.asked(server), {"BAD": 1, "good": 1})
        self.assertEqual(self.counts()["failed"], 30)
        self.control(server, faults=[])
        self.gristmill("retry", job, "--server", self.hub.http)
        self.finish(job)
        self.assertEqual(self.asked(server), {"BAD": 2, "good": 1})
        self.check_twins(texts)

    def test_retries_are_those_of_one(self):
        texts = ["question"] * 100
        self.write_chats(*texts)
        for broken, retries, calls in ((3, 5, 4), (1_000, 2, 3)):
            with self.subTest(broken=broken):
                fails = broken > retries
                server = self.server("--fault", f"status:code=500,first={broken}", label=f"simllm-{broken}")
                output = self.directory / f"{broken}.jsonl"
                self.run_on(server, "--retries", retries, "--max-failures", "off", output=output,
                            check=3 if fails else 0)
                self.assertEqual(len(self.calls(server)), calls)
                if not fails:
                    self.assertEqual(self.check_twins(texts, output=output), 99)
                first = next(self.lines(output))["gristmill"]
                self.assertEqual((first["attempts"], first.get("class")), (calls, "transient" if fails else None))
                counts = self.counts(output)
                self.assertEqual([counts[key] for key in ("failed", "cached", "attempts")],
                                 [100 if fails else 0, 99, calls])

    def test_each_that_fails_counts_towards_the_most_that_may(self):
        # Most of the others are still to be called when it fails: a job of which nothing is left is finished.
        texts = ["BAD"] * 40 + [f"question {n}" for n in range(1_000)]
        self.write_chats(*texts)
        server = self.server("--log-bodies", "--latency", "5ms", "--fault", "status:code=400,match=BAD")
        said = self.run_on(server, "--max-failures", "30", "--concurrency", "8", check=4)
        self.assertIn("--max-failures 30", said)
        self.assertEqual(self.asked(server)["BAD"], 1)
        self.run_on(server, "--max-failures", "41", check=3)
        self.assertEqual(self.counts()["failed"], 40)
        before = self.asked(server)["BAD"]
        self.assertLessEqual(before, 2)
        # A share of all that have ended.
        self.write_chats(*["BAD"] * 120, *(f"question {n}" for n in range(20_000)))
        self.control(server, latency="10ms")
        half = self.directory / "half.jsonl"
        said = self.run_on(server, "--max-failures", "50%", "--concurrency", "8", output=half, check=4)
        self.assertIn("--max-failures 50%", said)
        self.assertEqual(self.asked(server)["BAD"], before + 1)

    def test_a_server_that_is_away_fails_nobody(self):
        texts = [f"question {n % 10}" for n in range(500)]
        self.write_chats(*texts)
        server = self.server("--log-bodies", "--fault", "status:code=503,first=3")
        self.run_on(server)
        self.assertEqual(self.check_twins(texts), 490)
        served = collections.Counter(call["crc"] for call in self.calls(server) if call["status"] == 200)
        self.assertEqual(set(served.values()), {1})
        self.assertEqual(len(self.calls(server)), 13)


class Stops(Dedupe):
    """Jobs that end, or stand, before all is answered."""

    def hanging(self, *arguments):
        """A job of 20 questions, each asked 100 times, of which one is answered and the others hang."""
        self.texts = [f"question {n % 20}" for n in range(2_000)]
        self.write_chats(*self.texts)
        server = self.server("--log-bodies", *(word for n in range(1, 20)
                                               for word in ("--fault", f"hang:match=question {n}")))
        self.cluster(2)
        job = self.submit(server, *arguments)
        self.until_calls(server, 20)
        self.until("what is answered to be taken", lambda: self.job(self.hub, job)["counts"]["completed"] == 100)
        return server, job

    def test_a_job_is_cancelled_while_others_wait_for_those_that_hang(self):
        server, job = self.hanging()
        self.gristmill("cancel", job, "--server", self.hub.http)
        self.until("the cancelled job to end", lambda: self.job(self.hub, job)["state"] == "cancelled")
        self.gristmill("results", job, "-o", self.output, "--server", self.hub.http)
        found = 0
        for n, line in enumerate(self.lines()):
            found += 1
            self.assertEqual(line["custom_id"], f"item-{n}")
            if n % 20 == 0:
                self.assertEqual(line["response"]["status_code"], 200)
            else:
                self.assertEqual(line["error"]["code"], "cancelled", line)
        self.assertEqual(found, 2_000)
        self.assertEqual(set(self.asked(server).values()), {1})
        self.until("the calls to be withdrawn", lambda: self.stats(server)["in_flight"] == 0)
        # What was cancelled can be run again: each question once.
        self.control(server, faults=[])
        self.gristmill("retry", job, "--server", self.hub.http)
        self.finish(job)
        self.assertEqual(self.check_twins(self.texts), 1_980)
        self.assertEqual(self.asked(server), {f"question {n}": 1 if n == 0 else 2 for n in range(20)})

    def test_a_job_is_paused_and_goes_on(self):
        texts = [f"question {n}" for n in shuffled(400, 4_000)]
        self.write_chats(*texts)
        server = self.server("--latency", "20ms", "--log-bodies")
        self.cluster(1, "--concurrency", "4")
        job = self.submit(server)
        at = ("--server", self.hub.http)
        for calls in (50, 150, 250):
            self.until_calls(server, calls)
            self.assertEqual(json.loads(self.gristmill("pause", job, "--json", *at).stdout)["state"], "paused")
            self.until("calls in flight to end", lambda: self.job(self.hub, job)["counts"]["in_flight"] == 0)
            self.assertLess(self.stats(server)["calls"], 400)
            if calls == 150:  # a pause outlives the coordinator
                self.hub.kill()
                self.hub = self.coordinator(label="again", listen=self.hub.listen,
                                            http=self.hub.http.removeprefix("http://"))
            self.gristmill("resume", job, *at)
        self.finish(job)
        self.assertEqual(self.check_twins(texts), 3_600)
        self.assertEqual(set(self.asked(server).values()), {1})

    def test_a_job_is_paused_while_others_wait_for_one_that_hangs(self):
        self.write_chats(*["HANG"] * 500)
        server = self.server("--log-bodies", "--fault", "hang:match=HANG,first=1")
        self.cluster()
        job = self.submit(server, "--timeout", "2")
        self.until_calls(server, 1)
        self.gristmill("pause", job, "--server", self.hub.http)
        self.until("the call to time out", lambda: self.job(self.hub, job)["counts"]["in_flight"] == 0)
        self.assertEqual(len(self.calls(server)), 1)
        self.gristmill("resume", job, "--server", self.hub.http)
        self.finish(job)
        self.assertEqual(self.check_twins(["HANG"] * 500), 499)
        self.assertEqual(len(self.calls(server)), 2)

    def test_a_larger_limit_asks_nothing_again(self):
        texts = [f"question {n % 20}" for n in range(1_000)]
        self.write_chats(*texts)
        server = self.server("--log-bodies")
        for limit in (15, 30, 1_000):
            self.run_on(server, "--limit", limit)
            self.assertEqual(set(self.asked(server).values()), {1}, f"--limit {limit}")
        self.check_twins(texts)

    def test_what_failed_takes_the_answer_that_another_got(self):
        # The first is refused, and the last, which is read much later, is not.
        texts = ["AGAIN", *(f"question {n}" for n in range(10_000)), "AGAIN"]
        self.write_chats(*texts)
        for way in ("run", "submit"):
            with self.subTest(way):
                server = self.server("--log-bodies", "--fault", "status:code=400,match=AGAIN,first=1",
                                     label=f"simllm-{way}")
                output = self.directory / f"{way}.jsonl"
                if way == "run":
                    self.run_on(server, output=output, check=3)
                    self.run_on(server, "--retry-failed", output=output)
                else:
                    self.cluster()
                    job = self.submit(server)
                    self.finish(job, output)
                    self.gristmill("retry", job, "--server", self.hub.http)
                    self.finish(job, output)
                self.assertEqual(self.asked(server)["AGAIN"], 2)
                self.check_twins(texts, output=output)

    def test_the_option_comes_and_goes_between_two_runs(self):
        texts = [f"question {n}" for n in shuffled(300, 1_000)]
        self.write_chats(*texts)
        for first in (True, False):
            with self.subTest(first=first):
                server = self.server("--latency", "5ms", label=f"simllm-{first}")
                output = self.directory / f"{first}.jsonl"
                arguments = self.command(server, "--concurrency", "8", output=output)
                other = [word for word in arguments if word != "--dedupe"]
                process = self.start("gristmill", *(arguments if first else other), label=f"run-{first}")
                self.until_calls(server, 100)
                self.assertEqual(process.end(), 143, process.stderr())
                self.gristmill(*(other if first else arguments))
                cached = self.check_twins(texts, calls_each=1_000, output=output)
                self.assertEqual(len(self.calls(server)), 1_000 - cached)
                self.assertEqual(self.counts(output)["cached"], cached)
                self.assertGreater(cached, 0)


class Kills(Dedupe):
    """Processes that die with many calls in flight, and many items that wait for those."""
    SLOTS = 32

    def setUp(self):
        super().setUp()
        self.kills = []  # (how many calls the server had seen, the texts that had durable answers)
        self.waited = 0  # items whose answers were durable at a kill and which had not taken them

    def write(self, distinct, total):
        self.distinct, self.total = distinct, total
        self.texts = [f"question {n}" for n in shuffled(distinct, total)]
        self.write_chats(*self.texts)

    def killed(self, server, state):
        """What was at a kill. Of what has been called all must be in the server's log."""
        lines = self.durable(state)
        recorded = {line["custom_id"] for line in lines}
        answered = {self.texts[int(name[5:])] for name in recorded}
        self.waited += sum(1 for n, text in enumerate(self.texts) if text in answered and f"item-{n}" not in recorded)
        self.kills.append((len(self.calls(server)), answered))

    @staticmethod
    def texts_of(bodies):
        for body in bodies:
            given = body["input"] if "input" in body else body["messages"][-1]["content"]
            yield from [given] if isinstance(given, str) else given

    def check_calls(self, server):
        """Asked again is only what was in flight, or answered and not durable, at a kill; how much that
        is depends on the disk."""
        bodies = self.bodies(server)
        asked = collections.Counter(self.texts_of(bodies))
        self.check_one_call_per_attempt(self.calls(server))
        self.assertEqual(set(asked), set(self.texts))
        may_be = collections.Counter(set(asked))
        for calls, answered in self.kills:
            again = answered.intersection(self.texts_of(bodies[calls:]))
            self.assertEqual(again, set(), "its answer was durable")
            may_be.update(set(self.texts_of(bodies[:calls])) - answered)
        self.assertEqual(asked - may_be, collections.Counter(), "asked more often than it was lost")
        again, lost = asked.total() - self.distinct, may_be.total() - self.distinct
        print(f"\n{again} texts asked again, {lost} were lost at {len(self.kills)} kills; {self.waited} items had "
              "still to take an answer that was durable")
        self.assertLess(again, self.distinct // 2)
        self.assertGreater(self.waited, 0)

    def check_result_of_kills(self, output=None):
        cached = self.check_twins(self.texts, calls_each=1 + len(self.kills), output=output)
        counts = self.counts(output)
        self.assertEqual([counts[key] for key in ("total", "completed", "cached")], [self.total, self.total, cached])
        self.assertGreater(2 * cached, self.total - self.distinct)

    def kill_often(self, server, arguments, calls):
        """The command is killed when the server has seen so many calls, each time, and runs to its end."""
        for at in calls:
            process = self.start("gristmill", *arguments, label=f"run-{at}")
            self.until_calls(server, at)
            process.kill()
            self.killed(server, self.directory / "out.jsonl.state")
        self.gristmill(*arguments)

    def test_a_run_that_is_killed_five_times(self):
        self.write(12_000, 20_000)
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        self.kill_often(server, self.command(server, "--concurrency", self.SLOTS),
                        [kill * 1_900 + random.Random(kill).randrange(400) for kill in range(1, 6)])
        self.check_result_of_kills()
        self.check_calls(server)
        self.gristmill("journal", "verify", self.directory / "out.jsonl.state")

    def test_a_run_that_is_interrupted_calls_nothing_again(self):
        self.write(4_000, 6_500)
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        arguments = self.command(server, "--concurrency", self.SLOTS)
        for calls in (1_000, 2_500):
            process = self.start("gristmill", *arguments, label=f"run-{calls}")
            self.until_calls(server, calls)
            self.assertEqual(process.end(), 143, process.stderr())
        self.gristmill(*arguments)
        self.assertEqual(set(self.asked(server).values()), {1})
        self.check_result_of_kills()

    def begin_cluster(self, distinct, total):
        self.write(distinct, total)
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        self.cluster(2, "--concurrency", self.SLOTS)
        return server, self.submit(server)

    def coordinator_again(self, label):
        self.hub = self.coordinator(label=label, listen=self.hub.listen, http=self.hub.http.removeprefix("http://"))

    def test_a_worker_dies_then_the_coordinator_then_all(self):
        server, job = self.begin_cluster(12_000, 20_000)
        state = self.directory / "state"
        self.until_calls(server, 3_000)
        # Killed before anything stands still: a worker that nobody tells what to call has soon nothing in flight.
        self.workers[0].kill()
        with self.hub.frozen():
            self.killed(server, state)
        self.workers[0] = self.worker(self.hub, "late", "--concurrency", self.SLOTS)
        self.until_calls(server, 6_000)
        self.hub.kill()
        self.coordinator_again("again")
        self.until_calls(server, 9_000)
        for process in (self.hub, *self.workers):
            process.kill()
        self.killed(server, state)
        self.coordinator_again("once-more")
        for n in range(2):
            self.worker(self.hub, f"new-{n}", "--concurrency", self.SLOTS)
        self.finish(job)
        self.check_result_of_kills()
        self.check_calls(server)
        self.assertGreater(len(self.calls(server)), self.distinct, "the dead had no call in flight")

    def test_a_coordinator_dies_and_its_workers_keep_what_they_have(self):
        server, job = self.begin_cluster(4_000, 6_500)
        for calls in (1_000, 2_500):
            self.until_calls(server, calls)
            self.hub.kill()
            self.coordinator_again(f"after-{calls}")
        self.finish(job)
        self.assertEqual(set(self.asked(server).values()), {1})
        self.check_result_of_kills()

    def test_a_drained_worker_leaves_nothing_to_be_done_again(self):
        server, job = self.begin_cluster(4_000, 6_500)
        self.until_calls(server, 1_000)
        self.assertEqual(self.workers[0].end(), 0, self.workers[0].stderr())
        self.finish(job)
        self.assertEqual(set(self.asked(server).values()), {1})
        self.check_result_of_kills()

    def test_chunks_and_what_joins_them_over_kills(self):
        self.texts = [book(8_000, n % 20) for n in range(60)]
        self.write_documents(*self.texts)
        server = self.server("--latency", "uniform:1ms:15ms", "--answer-tokens", "60", "--log-bodies")
        arguments = self.command(server, "-m", "m", "--chunk-tokens", "200", "--reduce-prompt", "Join: {{answers}}",
                                 "--concurrency", "8")
        self.kill_often(server, arguments, (80, 240, 400))
        asked, counts = self.asked(server), self.counts()
        self.assertGreater(len(asked), 450)
        self.assertEqual(counts["completed"], 60)
        # In flight, or answered and not durable.
        again = asked.total() - len(asked)
        print(f"\n{again} calls again of {len(asked)}")
        self.assertLessEqual(again, 3 * 4 * 8)
        # Every part of a twin took its answer from the first, but for what was called at a kill.
        self.assertGreaterEqual(counts["cached"], counts["parts"] - asked.total())
        said = [self.content(line) for line in self.lines()]
        for n, content in enumerate(said):
            self.assertEqual(content, said[n % 20])

    def test_packs_over_kills(self):
        self.write(6_000, 10_000)
        self.write_documents(*self.texts)
        server = self.server("--latency", "uniform:5ms:25ms", "--log-bodies")
        arguments = self.command(server, "-m", "m", "--task", "embed", "--pack", "16", "--concurrency", "4")
        self.kill_often(server, arguments, (80, 180, 280))
        self.check_calls(server)
        for n, line in enumerate(self.lines()):
            (entry,) = line["response"]["body"]["data"]
            if (line["custom_id"], entry["embedding"]) != (f"item-{n}", vector(self.texts[n])):
                self.fail(f"item {n} has not its own vector: {line}")
        self.assertEqual(n + 1, self.total)

    def test_the_call_that_all_wait_for_dies_with_its_worker(self):
        self.texts = ["SLOW"] * 500
        self.write_chats(*self.texts)
        server = self.server("--log-bodies", "--fault", "hang:match=SLOW,first=1")
        self.cluster()
        job = self.submit(server)
        self.until_calls(server, 1)
        self.workers[0].kill()
        self.worker(self.hub, "late")
        self.finish(job)
        self.assertEqual(len(self.calls(server)), 2)
        self.check_twins(self.texts)


class Told(Dedupe):
    """Before anything is called, and while it is."""

    def test_a_dry_run_counts_what_will_be_called(self):
        server = self.server()
        texts = [f"text {n}" for n in shuffled(30, 100)]
        judge = ("--judge-model", "j", "--judge-prompt", "{{answer.1}}")
        jobs = {"plain": ("-m", "m"), "models": ("-m", "a", "-m", "b"), "judged": ("-m", "a", *judge),
                "embed": ("-m", "m", "--task", "embed", "--pack", "1"), "chunks": ("-m", "m", "--chunk-tokens", "100")}
        for name, arguments in jobs.items():
            with self.subTest(name):
                self.write_documents(*(book(2_000, int(text[5:])) if name == "chunks" else text for text in texts))
                output = self.directory / f"{name}.jsonl"
                command = self.command(server, *arguments, output=output)
                told = json.loads(self.gristmill(*command, "--dry-run", "--json").stdout)
                self.assertEqual(self.stats(server)["calls"], 0)
                self.gristmill(*command)
                calls = len(self.calls(server))
                self.control(server, reset_stats=True)
                self.assertEqual(told["items"], 100)
                if name != "judged":  # of answers that nobody knows yet
                    self.assertEqual(sum(told["calls"].values()), calls - self.before)
                    self.assertGreaterEqual(told["repeated"], 70)
                    self.assertEqual(told["repeated"], self.counts(output)["cached"])
                self.before = calls

    before = 0

    def test_a_dry_run_says_how_many_are_repeated(self):
        self.write_chats(*(f"text {n}" for n in shuffled(300, 2_000)))
        said = self.gristmill("run", self.source, "--endpoint", NOWHERE, "--dedupe", "-o", self.output,
                              "--dry-run").stdout
        self.assertRegex(said, r"calls +300 of POST")
        self.assertIn("1,700 more are equal to one of these, and take its answer", said)

    def test_a_configuration_and_a_request_say_it_too(self):
        data = self.directory / "data"
        data.mkdir()
        self.source = data / "in.jsonl"
        texts = [f"question {n % 5}" for n in range(50)]
        self.write_chats(*texts)
        server = self.server("--log-bodies")
        config = self.directory / "gristmill.toml"
        base = ["run", self.source, "--endpoint", server.url, "-o", self.output, "--config", config]
        config.write_text("dedupe = true\n")
        self.gristmill(*base)
        self.assertEqual(self.check_twins(texts), 45)
        self.assertEqual(len(self.calls(server)), 5)
        config.write_text("dedupe = false\n")
        self.gristmill(*base, "--restart")
        self.assertEqual(len(self.calls(server)), 5 + 50)
        for value in ("1", '"yes"', "[]"):
            config.write_text(f"\ndedupe = {value}\n")
            with self.subTest(toml=value):
                told = self.gristmill(*base, check=2).stderr
                self.assertIn("gristmill.toml:2:", told)
                self.assertIn("dedupe", told)
        self.hub = self.coordinator("--data-root", data)
        self.worker(self.hub, "w")
        spec = {"inputs": [{"path": str(self.source), "name": "in.jsonl"}], "endpoints": [{"url": server.url}]}
        for value in (1, "yes", None, []):
            with self.subTest(json=value):
                status, told = packs_test.Options.post(self.hub, {**spec, "dedupe": value})
                self.assertEqual(status, 400, told)
                self.assertIn("dedupe", told)
        for value, calls in ((True, 5), (False, 50)):
            with self.subTest(json=value):
                before = len(self.calls(server))
                status, told = packs_test.Options.post(self.hub, {**spec, "dedupe": value})
                self.assertEqual(status, 200, told)
                job = json.loads(told)["id"]
                self.finish(job, self.directory / f"{job}.jsonl")
                self.assertEqual(len(self.calls(server)) - before, calls)
                self.assertEqual(self.job(self.hub, job)["counts"]["cached"], 50 - calls)

    def test_who_waits_for_whom_is_explained(self):
        texts = ["HANG", "HANG", "question", "HANG", "question"]
        self.write_chats(*texts)
        server = self.server("--fault", "hang:match=HANG")
        self.cluster()
        job = self.submit(server)
        at = ("--server", self.hub.http)
        self.until("all to end but those that hang", lambda: self.job(self.hub, job)["counts"]["completed"] == 2)
        for item in ("item-1", "item-3"):
            explained = self.gristmill("explain", job, item, *at).stdout
            self.assertIn(f"{job} {item}: {WAITS}", explained)
            why = json.loads(self.gristmill("explain", job, item, "--json", *at).stdout)
            self.assertEqual(why["kind"], "same_request")
        self.assertIn("in flight", self.gristmill("explain", job, "item-0", *at).stdout)
        self.assertEqual(json.loads(self.gristmill("explain", job, "item-4", "--json", *at).stdout)["kind"], "recorded")
        self.assertIn("1 took the answer to an equal request", self.gristmill("status", job, *at).stdout)
        self.assertEqual(json.loads(self.gristmill("status", job, "--json", *at).stdout)["counts"]["cached"], 1)
        with urllib.request.urlopen(f"{self.hub.http}/metrics", timeout=10) as answer:
            samples = metrics_test.read_metrics(answer.read().decode())
        self.assertEqual(metrics_test.Metrics.of(samples, "gristmill_job_cached_total", job=job), 1)
        self.assertEqual(self.stats(server)["calls"], 2)

    def test_a_cluster_says_at_the_end_how_many_were_not_called(self):
        self.write_chats(*["question"] * 20)
        server = self.server()
        self.cluster()
        done = self.gristmill("submit", self.source, "--endpoint", server.url, "--dedupe", "--wait", "-o", self.output,
                              "--no-progress", "--server", self.hub.http)
        self.assertIn("20 items, 20 answered, 0 failed, 19 cached, 1 calls", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
