"""--cache DIR: what was asked before, by whatever job, is not called again, and neither damage, nor kills, nor
others that use the cache make an answer a wrong one. The witness is what the server was sent.
"""
import collections
import contextlib
import itertools
import json
import random
import sqlite3
import time
import types
import unittest

import packs_test
from chunks_test import book
from dedupe import Dedupe, chat
from harness import crc
from packs import vector

LABELS = ["good", "bad", "ugly"]
FACTS = '{"type": "object", "properties": {"checksum": {"type": "string"}}}'


class Cached(Dedupe):
    def setUp(self):
        super().setUp()
        self.cache, self.numbers = self.directory / "cache", itertools.count(1)

    @property
    def file(self):
        return self.cache / "answers.db"

    def command(self, server, *arguments, output=None):
        return ["run", self.source, "--endpoint", server.url, "-o", output or self.output, "--no-progress",
                "--cache", self.cache, *arguments]

    def round(self, server, *arguments, check=0):
        """What one run made and called, with a result of its own."""
        output, before = self.directory / f"round-{next(self.numbers)}.jsonl", len(self.calls(server))
        begun = time.monotonic()
        said = self.run_on(server, *arguments, output=output, check=check)
        seconds = time.monotonic() - begun
        return self.made(server, before, output, said=said, seconds=seconds)

    def made(self, server, before, output, **more):
        summary = self.summary(output)
        return types.SimpleNamespace(lines=list(self.lines(output)), calls=self.calls(server)[before:],
                                     summary=summary, counts=summary["counts"], **more)

    def cluster(self, workers=1, *arguments):
        self.hub = self.coordinator("--cache", self.cache, *arguments)
        self.workers = [self.worker(self.hub, f"w{n}") for n in range(workers)]

    def cache_stats(self):
        return json.loads(self.gristmill("cache", "stats", self.cache, "--json").stdout)

    def sql(self, *statement):
        with contextlib.closing(sqlite3.connect(self.file)) as cache:
            found = cache.execute(*statement).fetchall()
            cache.commit()
            return found

    def sent(self, calls):
        """How often each text was asked; the server logs bodies."""
        return collections.Counter(json.loads(call["body"])["messages"][-1]["content"] for call in calls)

    # ---- what is right -------------------------------------------------------------------------------

    def check_answers(self, made, texts, failed=()):
        """Each item once, in input order, with the answer to its own text. Returns which were cached."""
        self.assertEqual(len(made.lines), len(texts))
        cached = set()
        for n, (line, text) in enumerate(zip(made.lines, texts)):
            if text in failed:
                self.assertNotEqual((line["response"] or {}).get("status_code"), 200, line)
            elif line["error"] or not self.content(line).startswith("sim " + crc(text)):
                self.fail(f"item {n} has not its own answer: {line}")
            if line["custom_id"] != f"item-{n}":
                self.fail(f"line {n + 1}: {line}")
            if line["gristmill"]["cached"]:
                self.check_cached(line)
                cached.add(n)
        self.assertEqual(made.counts["cached"], len(cached))
        return cached

    def check_known(self, first, second):
        """Nothing was called, and each item says what it said the first time."""
        self.assertEqual(second.calls, [])
        self.assertEqual([second.counts[key] for key in ("calls", "attempts", "failed")], [0, 0, 0])
        self.assertEqual(len(first.lines), len(second.lines))
        for one, again in zip(first.lines, second.lines):
            if one["response"]["body"] != again["response"]["body"] or one["custom_id"] != again["custom_id"]:
                self.fail(f"another answer: {one} {again}")
            self.check_cached(again)
        self.assertEqual(set(second.summary["tokens"].values()), {0})


class Again(Cached):
    def test_one_that_begins_anew_in_its_place_calls_nothing(self):
        texts = [f"question {n}" for n in range(300)]
        self.write_chats(*texts)
        server = self.server()
        self.run_on(server)
        first = self.made(server, 0, self.output)
        self.run_on(server, "--restart")
        self.check_known(first, self.made(server, 300, self.output))
        self.assertEqual(len(self.calls(server)), 300)

    def test_only_lines_that_are_new_or_changed_are_called(self):
        server = self.server("--log-bodies")
        texts = [f"question {n}" for n in range(400)]

        def write(names, **fields):
            with open(self.source, "w", encoding="utf-8") as file:
                for n, text in enumerate(texts):
                    file.write(json.dumps({"id": f"{names}-{n}", "text": text,
                                           **{key: f"{value} {n}" for key, value in fields.items()}}) + "\n")

        write("old", title="title", lang="de")
        first = self.round(server, "-m", "m", "--keep", "title")
        self.assertEqual(len(first.calls), 400)
        bodies = {text: line["response"]["body"] for text, line in zip(texts, first.lines)}
        # One changed, one left out, two added, all in another order and with other names.
        texts[7] = "another question"
        del texts[11]
        texts += ["new one", "new two"]
        random.Random(1).shuffle(texts)
        write("new", title="other", lang="en")
        second = self.round(server, "-m", "m", "--keep", "lang")
        self.assertEqual(self.sent(second.calls), {"another question": 1, "new one": 1, "new two": 1})
        for n, (text, line) in enumerate(zip(texts, second.lines, strict=True)):
            about = line["gristmill"]
            self.assertEqual((line["custom_id"], about["input"], about["source"]),
                             (f"new-{n}", {"lang": f"en {n}"}, f"{self.source}:{n + 1}"))
            self.assertEqual(about["cached"], text in bodies, line)
            if text in bodies:
                self.assertEqual(line["response"]["body"], bodies[text])
                self.check_cached(line)
            else:
                self.assertTrue(self.content(line).startswith("sim " + crc(text)))

    def test_lines_on_standard_output_come_from_the_cache_too(self):
        texts = [f"question {n}" for n in range(500)]
        self.write_chats(*texts)
        server = self.server()
        printed = []
        for n in range(2):
            done = self.gristmill(*self.command(server, "--state", self.directory / f"state-{n}", output="-"))
            printed.append([json.loads(line) for line in done.stdout.splitlines()])
        self.assertEqual(len(self.calls(server)), 500)
        key = lambda line: int(line["custom_id"][5:])
        first, second = (sorted(lines, key=key) for lines in printed)
        self.assertEqual([line["custom_id"] for line in second], [f"item-{n}" for n in range(500)])
        for text, one, again in zip(texts, first, second, strict=True):
            self.assertTrue(self.content(again).startswith("sim " + crc(text)))
            self.assertEqual(one["response"], again["response"])
            self.check_cached(again)

    def test_a_model_that_was_found_at_the_endpoint_is_a_model(self):
        texts = [f"question {n}" for n in range(50)]
        self.write_lines(*({"messages": chat(text)["messages"]} for text in texts))
        server = self.server("--model", "the-only-one")
        first = self.round(server)
        self.assertEqual({call["model"] for call in first.calls}, {"the-only-one"})
        self.check_known(first, self.round(server))
        # It is the model that is known, whoever names it.
        self.write_lines(*(chat(text, "the-only-one") for text in texts))
        self.check_known(first, self.round(server))


class Sameness(Cached):
    """What another job must have the same of, to take the answers of an earlier one."""

    def test_all_that_an_answer_follows_from(self):
        schema = self.directory / "facts.json"
        schema.write_text(FACTS)
        self.write_documents(*(f"question {n}" for n in range(5)))
        server = self.server("--answer", "json")
        other = self.server("--answer", "json", label="other")
        jobs = {"plain": [], "model": ["-m", "n"], "temperature": ["--temperature", "0.5"],
                "another temperature": ["--temperature", "0.25"], "prompt": ["-p", "Say: {{text}}"],
                "max-tokens": ["--max-tokens", "50"], "system": ["--system", "Be brief."],
                "param": ["--param", "seed=7"], "schema": ["--json-schema", schema],
                "no-check": ["--json-schema", schema, "--no-check"]}
        made = {}
        for name, options in jobs.items():
            with self.subTest(name):
                model = [] if name == "model" else ["-m", "m"]
                made[name] = self.round(server, *model, *options)
                self.assertEqual(len(made[name].calls), 5)
        for name, options in jobs.items():
            with self.subTest(name, again=True):
                model = [] if name == "model" else ["-m", "m"]
                self.check_known(made[name], self.round(server, *model, *options, "--concurrency", "3"))
        with self.subTest("another endpoint"):
            first = self.round(other, "-m", "m")
            self.assertEqual(len(first.calls), 5)
            self.check_known(first, self.round(other, "-m", "m"))
        with self.subTest("two endpoints, in whatever order"):
            first = self.round(server, "--endpoint", other.url, "-m", "m")
            self.assertEqual(first.counts["calls"], 5)
            second = self.round(other, "--endpoint", server.url, "-m", "m")
            self.assertEqual(second.calls, [])
            self.assertEqual([second.counts["cached"], second.counts["calls"]], [5, 0])

    def test_a_job_that_wants_nothing_of_the_cache(self):
        texts = [f"question {n}" for n in range(40)]
        self.write_chats(*texts)
        server = self.server()
        for made in [self.round(server, "--no-cache") for _ in range(2)]:
            self.assertEqual(len(made.calls), 40)
            self.assertEqual(self.check_answers(made, texts), set())
        first = self.round(server)
        self.assertEqual(len(first.calls), 40, "an answer was kept that was not to be")
        self.check_known(first, self.round(server))
        self.assertEqual(len(self.round(server, "--no-cache").calls), 40)
        # What it was answered has not taken the place of what is known.
        self.check_known(first, self.round(server))
        self.assertEqual(self.cache_stats()["entries"], 40)

    def test_failures_are_not_kept(self):
        bad = {f"BAD {n}" for n in range(0, 60, 3)}
        texts = [f"BAD {n}" if n % 3 == 0 else f"question {n}" for n in range(60)]
        self.write_chats(*texts)
        server = self.server("--log-bodies", "--fault", "status:code=400,match=BAD")
        for wanted in (texts, bad):
            made = self.round(server, "--max-failures", "off", check=3)
            self.assertEqual(self.sent(made.calls), dict.fromkeys(wanted, 1))
            self.check_answers(made, texts, failed=bad)
        self.control(server, faults=[])
        made = self.round(server)
        self.assertEqual(self.sent(made.calls), dict.fromkeys(bad, 1))
        self.check_answers(made, texts)
        self.check_answers(self.round(server), texts)
        self.assertEqual(len(self.calls(server)), 60 + 20 + 20)

    def test_what_the_fallback_model_said_is_not_known_of_the_first(self):
        texts = ["LONG", "short"]
        self.write_documents(*texts)
        server = self.server("--fault", "context:match=LONG,model=small")
        models = ("-m", "small", "--fallback-model", "large")
        asked = lambda made: sorted((call["model"], call["crc"]) for call in made.calls)
        long = [("large", crc("LONG")), ("small", crc("LONG"))]
        self.assertEqual(asked(self.round(server, *models)), sorted([*long, ("small", crc("short"))]))
        second = self.round(server, *models)
        self.assertEqual(asked(second), long)
        self.assertEqual(self.check_answers(second, texts), {1})
        self.assertEqual([line["gristmill"]["model"] for line in second.lines], ["large", "small"])
        self.control(server, faults=[])
        third = self.round(server, "-m", "small")
        self.assertEqual(asked(third), [("small", crc("LONG"))])
        self.assertEqual(third.lines[0]["response"]["body"]["model"], "small")

    def test_a_dry_run_counts_what_is_known(self):
        texts = [f"question {n}" for n in range(1_200)]
        self.write_chats(*texts[:1_100])
        server = self.server()
        dry = lambda *more: self.gristmill(*self.command(server, "--dry-run", *more,
                                                         output=self.directory / "never.jsonl")).stdout
        self.assertNotIn("have an answer in the cache", dry())
        self.assertFalse(self.cache.exists(), "nothing is written")
        self.round(server)
        self.write_chats(*texts, texts[-1])
        before = self.file.read_bytes()
        told = json.loads(dry("--json"))
        self.assertEqual([told[key] for key in ("items", "calls", "known", "repeated")],
                         [1_201, {"/chat/completions": 100}, 1_100, 1])
        self.assertIn("1,100 more have an answer in the cache", dry())
        self.assertEqual(json.loads(dry("--json", "--no-cache"))["known"], 0)
        self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual(len(self.calls(server)), 1_100)
        self.assertEqual(len(self.round(server).calls), 100)


    def test_a_dry_run_counts_of_parts_what_the_job_will_call(self):
        server = self.server("--answer", "label")
        jobs = {"models": ("-m", "a", "-m", "b"), "chunks": ("-m", "a", "--chunk-tokens", "100"),
                "embed": ("-m", "a", "--task", "embed", "--pack", "1"),
                "classify": ("-m", "a", "--task", "classify", "--labels", "x,y")}
        for name, options in jobs.items():
            with self.subTest(name):
                self.cache = self.directory / f"cache-{name}"
                texts = [book(2_000, n) for n in range(60)]
                self.write_documents(*texts[:40])
                self.round(server, *options)
                self.write_documents(*texts[20:])
                told = json.loads(self.gristmill(*self.command(server, *options, "--dry-run", "--json")).stdout)
                made = self.round(server, *options)
                self.assertEqual(sum(told["calls"].values()), len(made.calls))
                self.assertEqual(told["known"], made.counts["cached"])
                self.assertGreater(told["known"], 10)


class Parts(Cached):
    """Items of several parts, and what is made of answers."""

    def twice(self, server, *arguments):
        first, second = (self.round(server, *arguments) for _ in range(2))
        self.assertGreater(len(first.calls), 0)
        self.assertEqual(second.calls, [])
        self.assertEqual([second.counts[key] for key in ("calls", "attempts", "failed")], [0, 0, 0])
        self.assertEqual([line["response"]["body"] for line in second.lines],
                         [line["response"]["body"] for line in first.lines])
        return first, second

    def test_several_models_and_their_judge(self):
        texts = [f"document {n}" for n in range(100)]
        self.write_documents(*texts)
        server = self.server()
        judge = ("--judge-model", "j", "--judge-prompt", "Is it so? {{text}}: {{answer.1}} {{answer.2}}")
        first, second = self.twice(server, "-m", "a", "-m", "b", *judge)
        self.assertEqual(collections.Counter(call["model"] for call in first.calls), {"a": 100, "b": 100, "j": 100})
        self.assertEqual(second.counts["cached"], 300)
        for text, one, again in zip(texts, first.lines, second.lines, strict=True):
            self.assertEqual([answer["response"] for answer in one["gristmill"]["answers"]],
                             [answer["response"] for answer in again["gristmill"]["answers"]])
            self.assertEqual(one["gristmill"]["judge"]["response"], again["gristmill"]["judge"]["response"])
            self.assertEqual([answer["model"] for answer in again["gristmill"]["answers"]], ["a", "b"])
            self.assertTrue(self.content(again).startswith("sim " + crc(text)))
        # One of them alone is known, and with another the other one is called.
        self.assertEqual(self.round(server, "-m", "b").calls, [])
        self.assertEqual({call["model"] for call in self.round(server, "-m", "b", "-m", "c").calls}, {"c"})

    def test_chunks_and_what_joins_them(self):
        texts = [book(8_000, n) for n in range(5)]
        self.write_documents(*texts)
        server = self.server("--answer-tokens", "60", "--log-bodies")
        options = ("-m", "m", "--chunk-tokens", "200", "--reduce-prompt", "Join: {{answers}}")
        first, second = self.twice(server, *options)
        self.assertGreater(len(first.calls), 50)
        self.assertEqual(second.counts["cached"], len(first.calls))
        # A document of which the last chunk has changed has only that called, and the steps above it.
        texts[2] += " And that is not all."
        self.write_documents(*texts)
        third = self.round(server, *options)
        parts = collections.Counter(text.startswith("Join: ") for text in self.sent(third.calls).elements())
        self.assertEqual(parts[False], 1)
        self.assertLess(parts[True], 10)

    def test_vectors_whatever_goes_together(self):
        texts = [f"document {n}" for n in range(3_000)]
        self.write_documents(*texts)
        server = self.server()
        first, second = self.twice(server, "-m", "m", "--task", "embed", "--pack", "64")
        self.assertLess(len(first.calls), 1_500)
        alone = self.round(server, "-m", "m", "--task", "embed", "--pack", "1")
        self.assertEqual(alone.calls, [])
        for made in (second, alone):
            self.assertEqual(made.counts["cached"], 3_000)
            for n, (text, line) in enumerate(zip(texts, made.lines, strict=True)):
                (entry,) = line["response"]["body"]["data"]
                if (line["custom_id"], entry["embedding"]) != (f"item-{n}", vector(text)):
                    self.fail(f"item {n} has not its own vector: {line}")
                self.check_cached(line)
        # In one pack are only those that nobody knows.
        texts[::100] = [f"new {n}" for n in range(30)]
        self.write_documents(*texts)
        third = self.round(server, "-m", "m", "--task", "embed", "--pack", "64")
        self.assertEqual(sum(call["inputs"] for call in third.calls), 30)
        self.assertEqual([line["response"]["body"]["data"][0]["embedding"] for line in third.lines],
                         list(map(vector, texts)))

    def test_labels(self):
        texts = [f"document {n}" for n in range(60)]
        self.write_documents(*texts)
        server = self.server("--answer", "label")
        classify = ("-m", "m", "--task", "classify", "--labels")
        for made in self.twice(server, *classify, ",".join(LABELS)):
            self.assertEqual([line["gristmill"]["label"] for line in made.lines],
                             [LABELS[int(crc(text), 16) % len(LABELS)] for text in texts])
        self.assertEqual(len(self.round(server, *classify, "good,bad").calls), 60)

    def test_a_repaired_answer_is_kept_and_one_that_never_fits_is_not(self):
        texts = ["ONCE", "NEVER", "good"]
        self.write_documents(*texts)
        schema = self.directory / "facts.json"
        schema.write_text(FACTS)
        server = self.server("--answer", "json", "--fault", "unfit:match=ONCE,times=1", "--fault", "unfit:match=NEVER")
        options = ("-m", "m", "--json-schema", schema, "--max-failures", "off")
        asked = lambda made: collections.Counter(call["crc"] for call in made.calls)
        first = self.round(server, *options, check=3)
        self.assertEqual(asked(first), {crc("ONCE"): 2, crc("NEVER"): 2, crc("good"): 1})
        second = self.round(server, *options, check=3)
        self.assertEqual(asked(second), {crc("NEVER"): 2})
        for text, one, again in zip(texts, first.lines, second.lines, strict=True):
            if text == "NEVER":
                self.assertEqual(again["gristmill"]["class"], "bad_result")
            else:
                self.assertEqual(json.loads(self.content(again))["checksum"], crc(text))
                self.assertEqual(one["response"]["body"], again["response"]["body"])
                self.check_cached(again)


class Others(Cached):
    """Processes that share a cache, or die."""

    def test_two_runs_at_once(self):
        texts = [f"question {n}" for n in range(3_000)]
        self.write_chats(*texts)
        server = self.server("--latency", "20ms")
        outputs = [self.directory / f"at-once-{n}.jsonl" for n in range(2)]
        runs = [self.start("gristmill", *self.command(server, "--concurrency", "32", output=output),
                           label=output.stem) for output in outputs]
        for run, output in zip(runs, outputs):
            self.assertEqual(run.wait(), 0, run.stderr())
            self.assertNotIn("cache.", run.stderr())
        both = [self.made(server, 0, output) for output in outputs]
        for made in both:
            self.check_answers(made, texts)
            self.assertGreater(made.counts["calls"], 0, "they did not run at once")
        self.assertEqual(sum(made.counts["calls"] for made in both), len(both[0].calls))
        third = self.round(server)
        self.assertEqual(third.calls, [])
        self.assertEqual(len(self.check_answers(third, texts)), 3_000)
        self.assertEqual(self.cache_stats()["entries"], 3_000)

    def test_runs_that_are_killed(self):
        texts = [f"question {n}" for n in range(6_000)]
        self.write_chats(*texts)
        slots = 32
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        state = self.directory / "out.jsonl.state"
        kills = []  # (how many calls the server had seen, the texts that had durable answers)
        for at in (1_000, 2_500, 4_000):
            process = self.start("gristmill", *self.command(server, "--concurrency", slots), label=f"run-{at}")
            self.until_calls(server, at)
            process.kill()
            durable = {texts[int(line["custom_id"][5:])] for line in self.durable(state)}
            seen = len(self.calls(server))
            kills.append((seen, durable))
        before = self.cache_stats()["entries"]
        self.run_on(server)
        self.check_answers(self.made(server, 0, self.output), texts)
        for seen, durable in kills:
            self.assertEqual(durable & set(self.sent(self.calls(server)[seen:])), set(), "its answer was durable")
        # All that was answered since the last kill is kept; of what was before, as much as had come that far.
        kept, seen = self.cache_stats()["entries"], kills[-1][0]
        print(f"\n{[len(durable) for _, durable in kills]} durable at the kills, {before} kept at the last, "
              f"{kept} at the end")
        self.assertGreater(before, 0)
        self.assertGreaterEqual(kept, len(texts) - seen - 4 * slots)
        again = self.round(server)
        self.assertEqual(len(self.check_answers(again, texts)), kept)
        self.assertEqual(len(again.calls), len(texts) - kept)
        self.check_known(again, self.round(server))

    def test_a_killed_run_leaves_its_answers_to_another_one(self):
        texts = [f"question {n}" for n in range(4_000)]
        self.write_chats(*texts)
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        process = self.start("gristmill", *self.command(server, "--concurrency", "32"), label="killed")
        self.until("answers to be kept", lambda: self.file.exists() and self.entries() > 500)
        process.kill()
        kept, seen = self.entries(), len(self.calls(server))
        self.assertLess(kept, 4_000)
        made = self.round(server)
        self.assertEqual(len(self.check_answers(made, texts)), kept)
        self.assertEqual(len(made.calls), 4_000 - kept)
        self.assertLessEqual(set(self.sent(self.calls(server)[:seen])), set(texts))

    def entries(self):
        done = self.gristmill("cache", "stats", self.cache, "--json", check=None)
        return json.loads(done.stdout)["entries"] if done.returncode == 0 else 0


class Damage(Cached):
    COUNT = 400

    def setUp(self):
        super().setUp()
        self.texts = [f"question {n}" for n in range(self.COUNT)]
        self.write_chats(*self.texts)
        self.sim = self.server("--log-bodies")
        self.first = self.round(self.sim)
        self.whole = self.file.read_bytes()

    def check_after(self, damaged):
        """How many calls it costs; wrong answers never. Then the cache works."""
        self.file.write_bytes(damaged)
        made = self.round(self.sim, "-v")
        for n in self.check_answers(made, self.texts):
            self.assertEqual(made.lines[n]["response"], self.first.lines[n]["response"])
        self.assertEqual(len(made.calls), self.COUNT - made.counts["cached"])
        # Damage that is found when much has been taken from the file costs that at the next time.
        second = self.round(self.sim)
        self.check_answers(second, self.texts)
        self.check_known(second, self.round(self.sim))
        self.assertGreaterEqual(self.cache_stats()["entries"], self.COUNT)
        return made

    def test_files_that_are_no_database(self):
        size = len(self.whole)
        for name, damaged in (("zeros", bytes(size)), ("garbage", random.Random(1).randbytes(size)),
                              ("empty", b""), ("one byte", b"S"), ("text", b"no database " * 100)):
            with self.subTest(name):
                made = self.check_after(damaged)
                self.assertEqual(len(made.calls), self.COUNT)
                if size == len(damaged):
                    self.assertIn("cache.notice", made.said)
                    self.assertIn(damaged, [file.read_bytes() for file in self.cache.glob("answers.db.damaged-?")])

    def test_files_that_were_cut_off(self):
        page = 8_192
        self.assertEqual(len(self.whole) % page, 0)
        for name, size in (("half of a page", len(self.whole) - page // 2), ("half", len(self.whole) // 2),
                           ("the first page", page), ("half of the first page", page // 2)):
            with self.subTest(name):
                self.assertGreater(len(self.check_after(self.whole[:size]).calls), 0)

    def test_one_byte_of_an_answer(self):
        (packed,), = self.sql("SELECT packed FROM entries ORDER BY id LIMIT 1 OFFSET ?", (self.COUNT // 2,))
        at = self.whole.index(packed) + len(packed) // 2
        made = self.check_after(self.flipped(at))
        self.assertEqual(len(made.calls), 1, "who else's was it")

    def test_one_byte_anywhere(self):
        chance = random.Random(1)
        # Behind the head, by which it is seen whose database it is.
        for at in [len(self.whole) // 2, *(chance.randrange(100, len(self.whole)) for _ in range(15))]:
            with self.subTest(at=at):
                self.check_after(self.flipped(at))

    def flipped(self, at):
        return self.whole[:at] + bytes([self.whole[at] ^ 0x55]) + self.whole[at + 1:]

    def test_an_answer_that_stands_at_another_request(self):
        # Two whole entries whose keys were exchanged: each answers for the other.
        (one, key), (other, other_key) = self.sql("SELECT id, key FROM entries ORDER BY id LIMIT 2")
        for number, value in ((one, b"x"), (other, key), (one, other_key)):
            self.sql("UPDATE entries SET key = ? WHERE id = ?", (value, number))
        made = self.check_after(self.file.read_bytes())
        self.assertEqual(len(made.calls), 2)


class Refused(Cached):
    def setUp(self):
        super().setUp()
        self.write_chats("question")
        self.sim = self.server()

    def check_refused(self, *parts, cache=None, arguments=()):
        given = ["--cache", cache or self.cache, *arguments]
        run = self.gristmill("run", self.source, "--endpoint", self.sim.url, "-o", self.output, *given, check=2)
        node = self.start("gristmill-coordinator", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--state",
                          self.directory / "state", *given, label=f"node-{next(self.numbers)}")
        self.assertEqual(node.wait(), 2, node.stderr())
        for said in (run.stderr, node.stderr()):
            self.assertEqual(len(said.splitlines()), 1, said)
            for part in ("expected", *parts):
                self.assertIn(part, said)
        self.assertEqual(self.stats(self.sim)["calls"], 0)

    def test_a_database_of_another_program_and_one_of_another_version(self):
        self.cache.mkdir(mode=0o700)
        self.sql("CREATE TABLE diary(day TEXT)")
        before = self.file.read_bytes()
        self.check_refused("is a database of another program", str(self.file), "--cache")
        self.assertEqual(self.file.read_bytes(), before)
        self.file.unlink()
        self.round(self.sim)
        self.control(self.sim, reset_stats=True)
        for version in (0, 99):
            with self.subTest(version):
                self.sql(f"PRAGMA user_version={version}")
                before = self.file.read_bytes()
                self.check_refused("expected version 1", f"has version {version}", str(self.file))
                self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual([file.name for file in self.cache.iterdir() if "damaged" in file.name], [])

    def test_what_is_no_directory(self):
        file = self.directory / "file"
        file.write_text("precious")
        self.check_refused("--cache", "directory", str(file), cache=file)
        self.assertEqual(file.read_text(), "precious")

    def test_what_is_no_size(self):
        for size, word in (("3", "bytes or more, got 3"), ("x", 'got "x"'), ("20GB", 'got "20GB"'), ("-1", "-1"),
                           ("99999999999T", "99999999999T")):
            with self.subTest(size):
                self.check_refused("--cache-bytes", word, arguments=["--cache-bytes", size])
        self.assertFalse(self.cache.exists())


class Bound(Cached):
    def noise(self, name, count):
        """Texts whose echo does not pack well."""
        chance = random.Random(name)
        return [f"{name} {n} {chance.randbytes(600).hex()}" for n in range(count)]

    def round_of(self, server, texts, *arguments):
        self.write_chats(*texts)
        made = self.round(server, "--cache-bytes", "1M", *arguments)
        self.assertEqual([self.content(line) for line in made.lines], texts)
        stats = self.cache_stats()
        self.assertLessEqual(stats["bytes"], 1 << 20)
        self.assertEqual(stats["bytes_max"], 1 << 20)
        self.assertEqual(stats["file_bytes"], self.file.stat().st_size)
        self.assertLess(stats["file_bytes"], 2 << 20)
        return made

    def test_a_run_keeps_no_more_than_told_and_what_was_used_last(self):
        server = self.server("--answer", "echo")
        used, unused = self.noise("used", 100), self.noise("unused", 300)
        self.round_of(server, [*used, *unused])
        stats = self.cache_stats()
        self.assertEqual(stats["entries"], 400)
        fit = (1 << 20) * 400 // stats["bytes"]
        self.assertGreater(fit, 800)
        self.sql("UPDATE entries SET used = used - 5")  # hours
        self.assertEqual(self.round_of(server, used).calls, [])
        # Some 50 more than there is room for: a tenth at most makes way, and those used first are not among it.
        new = self.noise("new", fit - 350)
        self.assertEqual(len(self.round_of(server, new).calls), len(new))
        self.assertLess(self.cache_stats()["entries"], 400 + len(new))
        self.assertEqual(self.round_of(server, [*used, *new]).calls, [])
        gone = len(self.round_of(server, unused[::-1]).calls)
        print(f"\n{gone} of {len(unused)} that nobody used have gone")
        self.assertGreater(gone, 0)
        # Many times as much as there is room for.
        self.round_of(server, self.noise("more", 3_000))

    def test_a_coordinator_keeps_no_more_than_told(self):
        server = self.server("--answer", "echo")
        self.cluster(1, "--cache-bytes", "1M")
        self.write_chats(*self.noise("new", 2_000))
        self.finish(self.submit(server, dedupe=False))
        self.hub.end()
        stats = self.cache_stats()
        self.assertEqual(stats["bytes_max"], 1 << 20)
        self.assertLessEqual(stats["bytes"], 1 << 20)
        self.assertGreater(stats["entries"], 100)


class Cluster(Cached):
    COUNT = 2_000

    def job_of(self, server, *arguments):
        before = len(self.calls(server))
        job = self.submit(server, *arguments, dedupe=False)
        output = self.directory / f"round-{next(self.numbers)}.jsonl"
        self.finish(job, output)
        counts = self.job(self.hub, job)["counts"]
        return types.SimpleNamespace(lines=list(self.lines(output)), calls=self.calls(server)[before:], counts=counts,
                                     summary=self.job(self.hub, job))

    def test_a_second_job_calls_nothing_even_of_a_coordinator_that_was_killed(self):
        data = self.directory / "data"
        data.mkdir()
        self.source = data / "in.jsonl"
        texts = [f"question {n}" for n in range(self.COUNT)]
        self.write_chats(*texts)
        server = self.server()
        self.cluster(2, "--data-root", data)
        first = self.job_of(server)
        self.assertEqual(len(first.calls), self.COUNT)
        self.assertEqual(self.check_answers(first, texts), set())
        self.until("all to be in the cache", lambda: self.cache_stats()["entries"] == self.COUNT)
        second = self.job_of(server)
        self.check_known(first, second)
        self.check_answers(second, texts)
        self.hub.kill()
        self.again("again", "--data-root", data)
        third = self.job_of(server)
        self.check_known(first, third)
        self.assertEqual(third.counts["cached"], self.COUNT)
        self.assertEqual(third.summary["saved"]["tokens"], {key: first.summary["tokens"][key]
                                                            for key in ("prompt", "completion")})
        with self.subTest("a run with the same cache, beside it"):
            self.check_known(first, self.round(server))
        with self.subTest("submit --no-cache"):
            self.assertEqual(len(self.job_of(server, "--no-cache").calls), self.COUNT)
        spec = {"inputs": [{"path": str(self.source), "name": "in.jsonl"}], "endpoints": [{"url": server.url}]}
        for no_cache, calls in ((True, self.COUNT), (False, 0)):
            with self.subTest("by HTTP", no_cache=no_cache):
                before = len(self.calls(server))
                status, told = packs_test.Options.post(self.hub, {**spec, "no_cache": no_cache})
                self.assertEqual(status, 200, told)
                self.finish(json.loads(told)["id"], self.directory / f"{no_cache}.jsonl")
                self.assertEqual(len(self.calls(server)) - before, calls)
        status, told = packs_test.Options.post(self.hub, {**spec, "no_cache": "yes"})
        self.assertEqual(status, 400)
        self.assertIn("no_cache", told)

    def test_a_coordinator_that_is_killed_while_it_keeps_answers(self):
        texts = [f"question {n}" for n in range(6_000)]
        self.write_chats(*texts)
        server = self.server("--latency", "uniform:1ms:15ms", "--log-bodies")
        self.cluster(2)
        job = self.submit(server, dedupe=False)
        for calls in (1_500, 3_500):
            self.until_calls(server, calls)
            self.hub.kill()
            seen = len(self.calls(server))
            self.again(f"after-{calls}")
        self.finish(job)
        self.assertEqual(set(self.asked(server).values()), {1}, "workers keep what they have")
        self.assertEqual(self.hub.end(), 0)
        self.assertNotIn("cache.", self.hub.stderr())
        # One that ends keeps what it was given.
        kept = self.cache_stats()["entries"]
        print(f"\n{kept} of {len(texts)} kept over two kills, the last one after {seen} calls")
        self.assertGreaterEqual(kept, len(texts) - seen)
        self.again("ended")
        made = self.job_of(server)
        self.assertEqual(len(self.check_answers(made, texts)), kept)
        self.assertEqual(len(made.calls), len(texts) - kept)
        self.until("all to be in the cache", lambda: self.cache_stats()["entries"] == len(texts))
        self.check_known(made, self.job_of(server))

    def again(self, label, *arguments):
        self.hub = self.coordinator("--cache", self.cache, *arguments, label=label, listen=self.hub.listen,
                                    http=self.hub.http.removeprefix("http://"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
