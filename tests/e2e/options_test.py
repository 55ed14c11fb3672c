"""What options do to a job, by `run` and by `submit`: each test is red if its options are read and
then forgotten. The witness is what the simulated server was sent, when, and how often.
"""
import contextlib
import json
import pathlib
import re
import socket
import sqlite3
import sys
import unittest

from harness import EndToEnd, write_batch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "torture"))
from witness import BATCH, Witness

WAYS = ("run", "submit")


class Jobs(EndToEnd):
    """The same job by `run` and by `submit` to a cluster, at once, each with its own server."""

    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"
        self.hub = None

    def begin(self, way, *arguments, label="", server=(), endpoint=None):
        name = way + label
        simllm = None if endpoint else self.server("--log-bodies", *server, label=f"simllm-{name}")
        output = self.directory / f"{name}.jsonl"
        given = [way, self.source, "--endpoint", endpoint or simllm.url, "-o", output, *arguments]
        if way == "submit":
            if not self.hub:
                self.hub = self.coordinator()
                self.worker(self.hub, "w")
            given += ["--wait", "--server", self.hub.http]
        job = self.start("gristmill", *given, label=name)
        job.way, job.server, job.output = way, simllm, output
        return job

    def both(self, *arguments, **options):
        jobs = [self.begin(way, *arguments, **options) for way in WAYS]
        for job in jobs:
            job.code = job.wait()
        return jobs

    def lines(self, job):
        return [json.loads(line) for line in job.output.read_text().splitlines()]

    def bodies(self, job):
        return [json.loads(call["body"]) for call in self.calls(job.server)]

    def write_objects(self, *objects):
        self.source.write_text("".join(json.dumps(one) + "\n" for one in objects))


class Requests(Jobs):
    def test_all_that_shapes_a_request_is_in_it_and_nothing_else(self):
        self.write_objects({"key": "first", "body": "Guten Tag", "lang": "German",
                            "text": "not me", "id": "nor me"})
        prompt, schema = self.directory / "prompt.txt", self.directory / "facts.json"
        prompt.write_text("In {{lang}}: {{text}}")
        schema.write_text('{"type": "object"}')
        jobs = self.both("-m", "given", "--prompt-file", prompt, "--system", "Speak {{lang}}.",
                         "--id-field", "key", "--text-field", "body", "--keep", "lang", "--param",
                         "top_p=0.5", "--param", "user=someone", "--max-tokens", "17",
                         "--temperature", "0.25", "--json-schema", schema)
        for job in jobs:
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual(self.bodies(job), [{
                    "model": "given", "max_tokens": 17, "temperature": 0.25, "top_p": 0.5,
                    "user": "someone",
                    "messages": [{"role": "system", "content": "Speak German."},
                                 {"role": "user", "content": "In German: Guten Tag"}],
                    "response_format": {"type": "json_schema", "json_schema": {
                        "name": "facts", "schema": {"type": "object"}, "strict": True}}}])
                (line,) = self.lines(job)
                self.assertEqual(line["custom_id"], "first")
                self.assertEqual(line["gristmill"]["input"], {"lang": "German"})

    def test_a_prompt_on_the_command_line_and_the_task_of_embedding(self):
        self.write_objects({"id": "a", "text": "some words"})
        for job in self.both("-m", "m", "-p", "query: {{text}}", "--task", "embed"):
            with self.subTest(job.way):
                self.assertEqual(self.bodies(job), [{"model": "m", "input": "query: some words"}])
                self.assertEqual(self.calls(job.server)[0]["path"], "/v1/embeddings")

    def test_a_prompt_without_a_field_is_refused_unless_it_is_meant(self):
        self.write_objects({"id": "a", "title": "one"}, {"id": "b", "title": "two"})
        for prompt in ("Summarise {title}", "Summarise the text.", "\\{{title}}"):
            for job in self.both("-m", "m", "-p", prompt, label=f"-{len(self.processes)}"):
                with self.subTest(job.way, prompt=prompt):
                    self.assertEqual(job.code, 2, job.stderr())
                    self.assertIn('the fields "id", "title"', job.stderr())
                    self.assertIn("--no-field-needed", job.stderr())
                    self.assertEqual(self.calls(job.server), [])
        for job in self.both("-m", "m", "-p", "Say \\{{hello}}", "--no-field-needed", label="-meant"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual([body["messages"][0]["content"] for body in self.bodies(job)], ["Say {{hello}}"] * 2)

    def test_documents_without_text_are_error_lines_or_left_out(self):
        blank = ["", None, " \n\u00a0", "\u200b"]
        self.write_objects(*({"id": f"blank-{n}", "text": text} for n, text in enumerate(blank)),
                           {"id": "good", "text": "words"})
        for job in self.both("-m", "m", "-p", "Sum up: {{text}}"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                self.assertEqual(len(self.calls(job.server)), 1)
                self.assertEqual([line["custom_id"] for line in self.lines(job) if line["error"]],
                                 [f"blank-{n}" for n in range(len(blank))])
        for job in self.both("-m", "m", "-p", "Sum up: {{text}}", "--drop-empty", label="-skipped"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual([line["custom_id"] for line in self.lines(job)], ["good"])

    def test_an_input_is_what_its_user_says(self):
        self.source = self.directory / "in.log"
        self.source.write_text("first line\n\nsecond line\n")
        for job in self.both("-m", "m", "--format", "lines"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual([line["custom_id"].rpartition("/")[2] for line in self.lines(job)],
                                 ["in.log:1", "in.log:3"])
                self.assertEqual(sorted(body["messages"][0]["content"] for body in self.bodies(job)),
                                 ["first line", "second line"])
        for job in self.both("-m", "m", "--format", "text", label="-text"):
            with self.subTest(job.way):
                self.assertEqual([line["custom_id"].rpartition("/")[2] for line in self.lines(job)], ["in.log"])

    def test_the_separator_of_a_table_is_found_or_told(self):
        self.source = self.directory / "in.csv"
        for content, more in (("id;text\n1;a, b\n", []), ("id#text\n1#a, b\n", ["--delimiter", "#"]),
                              ("id\ttext\tx,y\n1\ta, b\t\n", ["--delimiter", "tab"])):
            self.source.write_text(content)
            for job in self.both("-m", "m", *more, label=f"-{len(self.processes)}"):
                with self.subTest(job.way, content=content):
                    self.assertEqual(job.code, 0, job.stderr())
                    self.assertEqual(self.bodies(job)[0]["messages"][0]["content"], "a, b")
                    self.assertEqual(self.lines(job)[0]["custom_id"], "1")

    def test_batch_lines_of_other_services_call_what_they_are_told_to(self):
        self.write_objects({"custom_id": "0", "body": {"messages": [{"role": "user", "content": "hi"}]}})
        for job in self.both("-m", "m", "--assume-url", "/v1/chat/completions", "--max-tokens", "9"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual(self.bodies(job)[0]["max_tokens"], 9)
        for job in self.both("-m", "m", label="-untold"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                self.assertIn("--assume-url", self.lines(job)[0]["error"]["message"])
                self.assertEqual(self.calls(job.server), [])

    def test_first_items_only_in_the_order_of_their_answers(self):
        write_batch(self.source, 40)
        for job in self.both("--order", "completion", "--limit", "30",
                             server=["--latency", "uniform:1ms:300ms"]):
            with self.subTest(job.way):
                names = [line["custom_id"] for line in self.lines(job)]
                wanted = [f"item-{n}" for n in range(30)]
                self.assertEqual(sorted(names), sorted(wanted))
                self.assertNotEqual(names, wanted)

    def test_a_line_longer_than_allowed_is_an_error_line(self):
        write_batch(self.source, 3, lambda n: "x" * (1_000 if n == 1 else 10))
        for job in self.both("--max-line-bytes", "500"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                self.assertIn("500", self.lines(job)[1]["error"]["message"])
                self.assertEqual(len(self.calls(job.server)), 2)

    def test_the_fallback_model_answers_what_the_first_cannot(self):
        write_batch(self.source, 3, lambda n: f"question {n}" + (" LONG" if n == 1 else ""))
        for job in self.both("--fallback-model", "large",
                             server=["--fault", "context:match=LONG,model=sim-small"]):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual([line["gristmill"]["model"] for line in self.lines(job)],
                                 ["sim-small", "large", "sim-small"])


class Failures(Jobs):
    def test_a_call_ends_at_its_timeout_and_is_tried_again_as_often_as_told(self):
        # It counts against an item that others are answered meanwhile.
        write_batch(self.source, 1_500, lambda n: "SLOW" if n == 100 else f"question {n}")
        # Without --timeout the answer would come, without --retries there would be six calls.
        for job in self.both("--timeout", "0.5", "--retries", "1", "--max-in-flight", "2",
                             server=["--latency", "20ms", "--fault", "hang:match=SLOW"]):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                self.assertEqual(self.lines(job)[100]["error"]["code"], "timeout")
                self.assertEqual(len(self.calls(job.server)), 1_501)

    def test_connecting_ends_at_its_own_timeout(self):
        write_batch(self.source, 1)
        # Whose line of connections is full answers no further one.
        with contextlib.ExitStack() as stack:
            silent = stack.enter_context(socket.socket())
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            waiting = [stack.enter_context(socket.socket()) for _ in range(4)]
            for connection in waiting:
                connection.setblocking(False)
                connection.connect_ex(silent.getsockname())
            jobs = [self.begin(way, "--connect-timeout", "0.3", "--timeout", "60", "--patience", "1",
                               endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}/v1") for way in WAYS]
            for job in jobs:
                # A job of a cluster is not over then; it goes on by itself.
                self.until(f"{job.way} to say what it waits for", lambda: "--patience 1" in job.stderr())
                waited_ms = int(re.search(r"connect_timeout: .* (\d+) m", job.stderr()).group(1))
                self.assertLess(waited_ms, 10_000, "that is how long it waits unless told")
            self.assertEqual(jobs[0].wait(), 4)

    def test_a_job_stops_when_so_many_items_have_failed(self):
        write_batch(self.source, 50)
        for job in self.both("--max-failures", "3", "--max-in-flight", "1",
                             server=["--fault", "status:code=400"]):
            with self.subTest(job.way):
                self.assertEqual(job.code, 4, job.stderr())
                self.assertLess(len(self.calls(job.server)), 50)


class Budgets(Jobs):
    def test_requests_tokens_and_calls_in_flight_stay_below_their_limits(self):
        # Tokens of a call, nearly all in its answer: what is reserved is what is used.
        count, each = 40, 209
        write_batch(self.source, count, lambda n: f"question no. {n:04}")
        # Servers that allow as much as the job does, and refuse what is more.
        limits = {"--rpm": (1_200, ["--rpm", "1200"]),
                  "--tpm": (1_200 * each, ["--tpm", 1_200 * each, "--answer-tokens", 200]),
                  "--max-in-flight": (3, ["--latency", "40ms"])}
        jobs = [(option, self.begin(way, option, most, "--max-tokens", 200, label=option,
                                    server=server))
                for option, (most, server) in limits.items() for way in WAYS]
        for option, job in jobs:
            with self.subTest(way=job.way, option=option):
                self.assertEqual(job.wait(), 0, job.stderr())
                stats = self.stats(job.server)
                self.assertEqual((stats["calls"], stats["rate_limited"]), (count, 0))
                if option == "--max-in-flight":
                    self.assertEqual(stats["peak_in_flight"], 3)


class Batches(Jobs):
    def test_no_more_calls_are_sent_together_than_told(self):
        write_batch(self.source, 120)
        self.hub = self.coordinator()
        witness = Witness(int(self.hub.listen.rsplit(":", 1)[1]))
        self.addCleanup(witness.close)
        self.start("gristmill-worker", "--coordinator", f"tcp://127.0.0.1:{witness.port}", "--name",
                   "watched").ready()
        for job in self.both("--batch-size", "2"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual(len(self.calls(job.server)), 120)
        self.assertGreaterEqual(witness.counts[BATCH], 60)
        # Under `run` nothing passes between processes: the journal says what the job was given.
        path = f"{self.directory}/run.jsonl.state/journal.db"
        with contextlib.closing(sqlite3.connect(path)) as journal:
            (spec,) = journal.execute("SELECT spec FROM jobs").fetchone()
        self.assertEqual(json.loads(spec)["batch_size"], 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
