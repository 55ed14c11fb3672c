"""Answers that must fit a JSON schema: what is repaired, what fails and how it is named, and which schemas
are refused. The witness is what the server was sent; it answers each chat with the checksum of what was asked.
"""
import collections
import http.server
import json
import unittest

from harness import crc, write_batch
from options_test import Jobs
from packs_test import Options as PackOptions
from scripted_server import url_of

CHECKSUM = {"type": "object", "properties": {"checksum": {"type": "string", "pattern": "^[0-9a-f]{8}$"},
                                             "length": {"type": "integer"}},
            "required": ["checksum"], "additionalProperties": False}
UNFIT = '{"checksum":7}'  # as the server's fault says it
MISFIT = "expected an answer that fits the schema, got at /checksum: "
COMPLAINT = "That does not fit the JSON schema: "
AGAIN = "Answer again, with nothing but JSON that fits it."


class Speaker:
    """A server that answers a chat with what `says(messages)` gives, a content and a finish_reason."""

    def __init__(self, case, says):
        speaker = self
        self.bodies, self.sizes = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                sent = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(sent)
                speaker.bodies.append(body)
                speaker.sizes.append(len(sent))
                content, reason = says(body["messages"])
                answer = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}],
                    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self.url = url_of(case, Handler)


def is_repair(body):
    return len(body["messages"]) > 2 and COMPLAINT in body["messages"][-1]["content"]


class Schemas(Jobs):
    def setUp(self):
        super().setUp()
        self.schema, self.output = self.directory / "facts.json", self.directory / "out.jsonl"
        self.schema.write_text(json.dumps(CHECKSUM))

    def texts(self, *texts):
        """One document for each text, asked for as it is."""
        self.write_objects(*({"id": f"doc-{n}", "text": text} for n, text in enumerate(texts)))

    def command(self, server, *arguments, output=None):
        return ["run", self.source, "-m", "sim-small", "--json-schema", self.schema, "--endpoint", server.url,
                "-o", output or self.output, *arguments]

    def run_on(self, server, *arguments, check=0, output=None):
        self.gristmill(*self.command(server, *arguments, output=output), check=check)
        return self.results(output or self.output)

    @staticmethod
    def results(output):
        return [json.loads(line) for line in output.read_text().splitlines()]

    def json_server(self, *faults, label="simllm"):
        given = [word for fault in faults for word in ("--fault", fault)]
        return self.server("--answer", "json", "--log-bodies", *given, label=label)

    def asked(self, server):
        """The bodies of the calls for each text, by its checksum, in the order of their arrival."""
        bodies = collections.defaultdict(list)
        for call in self.calls(server):
            bodies[call["crc"]].append(json.loads(call["body"]))
        return bodies

    @staticmethod
    def content(line):
        return line["response"]["body"]["choices"][0]["message"]["content"]

    def check_right(self, line, text, repaired=False):
        self.assertIsNone(line["error"], line)
        self.assertEqual(json.loads(self.content(line)), {"checksum": crc(text), "length": len(text.encode())})
        self.assertEqual(line["gristmill"].get("repaired", False), repaired, line)

    def check_failed(self, line, code="schema_mismatch", message=MISFIT):
        self.assertIsNone(line["response"], line)
        self.assertEqual(line["error"]["code"], code)
        self.assertIn(message, line["error"]["message"])
        self.assertEqual(line["gristmill"]["class"], "bad_result")
        self.assertNotIn("repaired", line["gristmill"])

    def check_repair(self, first, second, bad=UNFIT, place=MISFIT):
        """The second request is the first one, with the bad answer and a complaint at its end."""
        *before, answer, complaint = second["messages"]
        self.assertEqual({**second, "messages": before}, first)
        self.assertEqual(answer, {"role": "assistant", "content": bad})
        self.assertEqual((complaint["role"], set(complaint)), ("user", {"role", "content"}))
        self.assertTrue(complaint["content"].startswith(COMPLAINT + place), complaint)
        self.assertTrue(complaint["content"].endswith(". " + AGAIN), complaint)
        self.assertNotIn("..", complaint["content"])


class Repairs(Schemas):
    def test_what_does_not_fit_is_repaired_once_or_named(self):
        count = 1_000
        text = lambda n: f"document {n}" + {0: " ONCE", 10: " NEVER"}.get(n % 20, "")
        server = self.json_server("unfit:match=ONCE,times=1", "unfit:match=NEVER")
        self.texts(*map(text, range(count)))
        lines = self.run_on(server, "--system", "Be exact.", check=3)
        self.assertEqual([line["custom_id"] for line in lines], [f"doc-{n}" for n in range(count)])
        asked = self.asked(server)
        for n, line in enumerate(lines):
            once, never = n % 20 == 0, n % 20 == 10
            if never:
                self.check_failed(line)
            else:
                self.check_right(line, text(n), repaired=once)
            bodies = asked[crc(text(n))]
            self.assertEqual(len(bodies), 2 if once or never else 1, text(n))
            self.assertEqual(line["gristmill"]["attempts"], len(bodies))
            self.assertEqual(bodies[0]["messages"], [{"role": "system", "content": "Be exact."},
                                                     {"role": "user", "content": text(n)}])
            if once or never:
                self.check_repair(*bodies)
        self.assertEqual(len(self.calls(server)), count + 50 + 50)
        self.check_one_call_per_attempt(self.calls(server))
        summary = self.summary(self.output)
        self.assertEqual([summary["counts"][key] for key in ("total", "completed", "failed")], [count, 950, 50])
        told = [error for error in summary["errors"] if error["code"] == "schema_mismatch"]
        self.assertEqual(sum(error["count"] for error in told), 50)
        self.assertEqual({error["class"] for error in told}, {"bad_result"})
        self.assertEqual(sum(error["count"] for error in summary["errors"]), 50)
        self.assertIn("/checksum: ", json.dumps([error["sample"] for error in told]))

    def test_what_is_no_json_is_repaired_likewise(self):
        texts = ["ONCE", "NEVER", "good"]
        server = self.json_server("prose:match=ONCE,times=1", "prose:match=NEVER")
        self.texts(*texts)
        once, never, good = self.run_on(server, check=3)
        self.check_right(once, "ONCE", repaired=True)
        self.check_right(good, "good")
        self.check_failed(never, "no_json", "expected an answer in JSON, got ")
        asked = self.asked(server)
        self.assertEqual([len(asked[crc(text)]) for text in texts], [2, 2, 1])
        for text in ("ONCE", "NEVER"):
            self.check_repair(*asked[crc(text)], bad="I would rather say it in words.", place="")

    def test_a_repair_may_turn_no_json_into_json_that_does_not_fit(self):
        server = self.json_server("prose:times=1", "unfit")
        self.texts("document")
        line, = self.run_on(server, check=3)
        self.check_failed(line)
        self.assertEqual(len(self.calls(server)), 2)

    def test_without_a_retry_there_is_no_repair(self):
        server = self.json_server("unfit:match=UNFIT,times=1", "prose:match=PROSE,times=1")
        self.texts("UNFIT", "PROSE", "good")
        unfit, prose, good = self.run_on(server, "--retries", "0", check=3)
        self.check_failed(unfit)
        self.check_failed(prose, "no_json", "expected an answer in JSON, got ")
        self.check_right(good, "good")
        self.assertEqual(len(self.calls(server)), 3)

    def test_a_repair_that_meets_a_broken_server_is_tried_again(self):
        server = self.json_server("unfit:times=1", "status:code=500,times=2")
        self.texts(*(f"document {n}" for n in range(20)))
        for n, line in enumerate(self.run_on(server)):
            self.assertEqual(json.loads(self.content(line))["checksum"], crc(f"document {n}"))
            last = self.asked(server)[crc(f"document {n}")][-1]
            self.assertEqual(line["gristmill"].get("repaired", False), is_repair(last))

    def test_the_fallback_model_answers_what_the_first_cannot_and_begins_anew(self):
        texts = ["BAD", "WORSE", "HOPELESS", "good"]
        server = self.json_server("unfit:match=BAD,model=sim-small", "unfit:match=WORSE,times=3",
                                  "unfit:match=HOPELESS")
        self.texts(*texts)
        lines = self.run_on(server, "--fallback-model", "large", check=3)
        self.check_right(lines[0], "BAD")
        self.check_right(lines[1], "WORSE", repaired=True)
        self.check_failed(lines[2])
        self.check_right(lines[3], "good")
        self.assertEqual([lines[n]["gristmill"]["model"] for n in (0, 1, 3)], ["large", "large", "sim-small"])
        asked = self.asked(server)
        self.assertEqual([[(body["model"], is_repair(body)) for body in asked[crc(text)]] for text in texts], [
            [("sim-small", False), ("sim-small", True), ("large", False)],
            *[[("sim-small", False), ("sim-small", True), ("large", False), ("large", True)]] * 2,
            [("sim-small", False)]])
        for text in texts[1:3]:
            self.check_repair(*asked[crc(text)][2:])

    def test_batch_lines_are_checked_too(self):
        text = lambda n: f"question {n}" + {3: " ONCE", 7: " NEVER"}.get(n, "")
        write_batch(self.source, 10, text)
        server = self.json_server("unfit:match=ONCE,times=1", "unfit:match=NEVER")
        self.gristmill(*[word for word in self.command(server) if word not in ("-m", "sim-small")], check=3)
        lines = self.results(self.output)
        for n, line in enumerate(lines):
            self.assertEqual(line["custom_id"], f"item-{n}")
            if n == 7:
                self.check_failed(line)
            else:
                self.check_right(line, text(n), repaired=n == 3)
        self.check_repair(*self.asked(server)[crc(text(3))])
        self.assertEqual(len(self.calls(server)), 12)

    def test_a_run_that_was_killed_goes_on_and_every_item_is_right(self):
        count = 2_000
        text = lambda n: f"document {n}" + {0: " ONCE", 10: " NEVER"}.get(n % 20, "")
        server = self.server("--answer", "json", "--log-bodies", "--latency", "20ms", "--fault",
                             "unfit:match=ONCE,times=1", "--fault", "unfit:match=NEVER")
        self.texts(*map(text, range(count)))
        run = self.start("gristmill", *self.command(server), label="killed")
        self.until_calls(server, 800)
        run.kill()
        self.run_on(server, check=3)
        self.check_all(server, self.results(self.output), text, count)

    def check_all(self, server, lines, text, count):
        """Where processes died: an item's first answer may have died with them, and its repair too."""
        asked = self.asked(server)
        self.assertEqual([line["custom_id"] for line in lines], [f"doc-{n}" for n in range(count)])
        for n, line in enumerate(lines):
            if n % 20 == 10:
                self.check_failed(line)
            else:
                self.check_right(line, text(n), repaired=is_repair(asked[crc(text(n))][-1]))
        counts = self.summary(self.output)["counts"]
        self.assertEqual([counts[key] for key in ("total", "completed", "failed")],
                         [count, count - count // 20, count // 20])
        self.check_one_call_per_attempt(self.calls(server))

    def test_a_cluster_repairs_too_and_loses_nothing_with_a_worker(self):
        count = 2_000
        text = lambda n: f"document {n}" + {0: " ONCE", 10: " NEVER"}.get(n % 20, "")
        server = self.server("--answer", "json", "--log-bodies", "--latency", "40ms", "--fault",
                             "unfit:match=ONCE,times=1", "--fault", "unfit:match=NEVER")
        self.texts(*map(text, range(count)))
        coordinator = self.coordinator()
        workers = [self.worker(coordinator, f"w{n}", "--concurrency", "64") for n in range(2)]
        job = self.gristmill("submit", self.source, "-m", "sim-small", "--json-schema", self.schema, "--endpoint",
                             server.url, "--server", coordinator.http).stdout.strip()
        self.until_calls(server, 600)
        workers[0].kill()
        self.worker(coordinator, "w2", "--concurrency", "64")
        self.until(f"{job} to finish",
                   lambda: self.job(coordinator, job)["state"] in ("finished", "failed", "cancelled"))
        self.gristmill("results", job, "-o", self.output, "--server", coordinator.http, check=None)
        lines = self.results(self.output)
        self.check_all(server, lines, text, count)
        repaired = [line for line in lines if line["gristmill"].get("repaired")]
        self.assertGreater(len(repaired), 80)
        self.check_repair(*self.asked(server)[crc(text(1_980))][-2:])


class Unchecked(Schemas):
    def test_what_is_not_to_be_checked_is_a_result_as_it_came(self):
        self.texts("UNFIT", "good", "ONCE", "PROSE")
        for job in self.both("-m", "sim-small", "--json-schema", self.schema, "--no-check", "--retries", "2",
                             server=["--answer", "json", "--fault", "unfit:match=UNFIT", "--fault",
                                     "prose:match=ONCE,times=1", "--fault", "prose:match=PROSE"]):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                unfit, good, once, prose = self.lines(job)
                self.assertEqual(self.content(unfit), UNFIT)
                self.assertNotIn("repaired", unfit["gristmill"])
                self.check_right(good, "good")
                # What is no JSON is asked for again, as before: by the same request.
                self.check_right(once, "ONCE")
                self.check_failed(prose, "no_json", "expected an answer in JSON, got ")
                asked = self.asked(job.server)
                self.assertEqual([len(asked[crc(text)]) for text in ("UNFIT", "good", "ONCE", "PROSE")], [1, 1, 2, 3])
                for bodies in asked.values():
                    self.assertTrue(all(body == bodies[0] for body in bodies), bodies)
                self.assertEqual(asked[crc("good")][0]["response_format"]["json_schema"]["schema"], CHECKSUM)

    def test_a_configuration_and_a_request_say_it_too(self):
        self.texts("UNFIT")
        config = self.directory / "gristmill.toml"
        for check, expected in (("true", 0), ("false", 3)):
            with self.subTest(toml=check):
                config.write_text(f"no_check = {check}\n")
                server = self.json_server("unfit", label=f"simllm-{check}")
                line, = self.run_on(server, "--config", config, check=expected,
                                    output=self.directory / f"{check}.jsonl")
                self.assertEqual(line["error"] is None, check == "true")
        config.write_text('\nno_check = "x"\n')
        self.assertIn("gristmill.toml:2:", self.gristmill(
            *self.command(server, "--config", config, output=self.directory / "x.jsonl"), check=2).stderr)
        data = self.directory / "data"
        data.mkdir()
        self.source = self.source.rename(data / "in.jsonl")
        hub = self.coordinator("--data-root", data)
        self.worker(hub, "w")
        spec = {"inputs": [{"path": str(self.source), "name": "in.jsonl"}], "model": "sim-small", "params": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": CHECKSUM}}}}
        for n, (no_check, calls) in enumerate(((True, 1), (False, 2)), 1):
            with self.subTest(json=no_check):
                server = self.json_server("unfit", label=f"simllm-http-{n}")
                status, told = PackOptions.post(hub, {**spec, "no_check": no_check,
                                                      "endpoints": [{"url": server.url}]})
                self.assertEqual(status, 200, told)
                self.until("the job to end", lambda: self.job(hub, f"job-{n}")["state"] in ("finished", "failed"))
                counts = self.job(hub, f"job-{n}")["counts"]
                self.assertEqual((counts["completed"], len(self.calls(server))), (int(no_check), calls))


# Schema, an answer that fits, one that does not, and where it is told to be wrong (a pattern).
NODE = {"type": "object", "required": ["name"], "additionalProperties": False, "properties": {
    "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
FORMS = {
    "pattern": ({"properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}}}, {"zip": "12345"},
                {"zip": "123456"}, "/zip"),
    "pattern anywhere": ({"properties": {"a": {"pattern": "b+c"}}}, {"a": "abbcd"}, {"a": "acbd"}, "/a"),
    "enum": ({"properties": {"color": {"enum": ["red", "green"]}}}, {"color": "red"}, {"color": "blue"}, "/color"),
    "minItems": ({"properties": {"tags": {"type": "array", "minItems": 2}}}, {"tags": [1, 2]}, {"tags": [1]}, "/tags"),
    "additionalProperties": ({"properties": {"facts": {"properties": {"a": {}}, "additionalProperties": False}}},
                             {"facts": {"a": 1}}, {"facts": {"a": 1, "b": 2}}, "/facts(/b)?"),
    "required": ({"properties": {"facts": {"required": ["a"]}}}, {"facts": {"a": None}}, {"facts": {"b": 1}},
                 "/facts"),
    "a tree": ({"$ref": "#/$defs/node", "$defs": {"node": NODE}},
               {"name": "a", "children": [{"name": "b"}, {"name": "c", "children": [{"name": "d"}]}]},
               {"name": "a", "children": [{"name": "b"}, {"name": "c", "children": [{"name": 7}]}]},
               "/children/1/children/0/name"),
    "anyOf": ({"properties": {"value": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}, {"value": 3},
              {"value": 3.5}, "/value"),
    "items": ({"properties": {"items": {"items": {"properties": {"price": {"type": "number"}}}}}},
              {"items": [{"price": 1}] * 4}, {"items": [{"price": 1}] * 3 + [{"price": "1"}]}, "/items/3/price"),
    "the root": ({"type": "array"}, [], {}, "the root"),
    "names that a pointer escapes": ({"properties": {"a/b~c": {"type": "null"}}}, {"a/b~c": None}, {"a/b~c": 1},
                                     "/a~1b~0c"),
    "names that are words of schemas": (
        {"properties": {"pattern": {"type": "string"}, "id": {"type": "integer"}, "$ref": {"type": "null"},
                        "format": {"enum": [{"pattern": "("}]}}},
        {"pattern": "(", "id": 1, "$ref": None, "format": {"pattern": "("}}, {"id": "1"}, "/id"),
    "format is not checked": ({"properties": {"day": {"type": "string", "format": "date"}}}, {"day": "no day"},
                              {"day": 3}, "/day"),
}


class Forms(Schemas):
    def test_each_form_of_a_schema_fits_what_it_should(self):
        for number, (name, (schema, good, bad, pointer)) in enumerate(FORMS.items()):
            with self.subTest(name):
                server = Speaker(self, lambda messages: (
                    json.dumps(good if messages[0]["content"] == "good" else bad), "stop"))
                self.schema.write_text(json.dumps(schema))
                self.texts("good", "bad")
                fits, fails = self.run_on(server, check=3, output=self.directory / f"{number}.jsonl")
                self.assertEqual(json.loads(self.content(fits)), good)
                self.check_failed(fails, message="expected an answer that fits the schema, got at ")
                self.assertRegex(fails["error"]["message"], f"got at {pointer}: .")
                self.assertEqual(len(server.bodies), 3)

    def test_thoughts_and_a_fence_are_no_part_of_what_is_checked(self):
        good, bad = json.dumps({"checksum": "0123abcd"}), UNFIT
        wrap = lambda thought, said: f"<think>It may be {thought}.</think>\n\n```json\n{said}\n```\n"
        said = {"good": wrap(bad, good), "bad": wrap(good, bad)}
        server = Speaker(self, lambda messages: (
            said[messages[0]["content"]] if len(messages) == 1 else wrap(bad, good), "stop"))
        self.texts("good", "bad")
        lines = self.run_on(server)
        self.assertEqual([self.content(line) for line in lines], [said["good"], wrap(bad, good)])
        self.assertEqual([line["gristmill"].get("repaired", False) for line in lines], [False, True])
        (repair,) = [body["messages"] for body in server.bodies if is_repair(body)]
        self.assertEqual(repair[0], {"role": "user", "content": "bad"})
        self.assertIn(bad, repair[1]["content"])

    def test_an_answer_that_was_cut_is_not_repaired(self):
        server = Speaker(self, lambda _: ('{"checksum":"0123', "length"))
        self.texts("document")
        line, = self.run_on(server, "--retries", "1", check=3)
        self.assertEqual(line["error"]["code"], "cut_answer")
        self.assertFalse([body for body in server.bodies if is_repair(body)])

    def test_a_very_long_answer_is_not_sent_back(self):
        long = '{"checksum":"' + "x" * 300_000 + '"}'
        texts, seen = ["LONG", "ONCE", "good"], []

        def says(messages):
            first = messages[0]["content"]
            seen.append(first)
            if first == "LONG" or first == "ONCE" and seen.count(first) == 1:
                return long, "stop"
            return '{"checksum":"0123abcd"}', "stop"
        server = Speaker(self, says)
        self.texts(*texts)
        never, once, good = self.run_on(server, "--retries", "2", check=3)
        self.assertLess(max(server.sizes), 100 * 1024)
        self.check_failed(never)
        self.assertLess(len(json.dumps(never)), 4_096)
        self.assertLessEqual(seen.count("LONG"), 3)
        if once["error"]:  # it need not be tried again
            self.check_failed(once)
        self.assertIsNone(good["error"])

    def test_no_answer_ends_the_worker(self):
        hostile = {"deep": "[" * 100_000 + "]" * 100_000, "huge": '{"checksum":1e999}',
                   "digits": '{"length":' + "9" * 1_000 + "}", "half": '{"checksum":"\\ud800"}',
                   "twice": '{"checksum":7,"checksum":"0123abcd"}', "zero": '{"checksum":"\\u0000"}',
                   "long": '{"checksum":"' + "a" * 1_000_000 + '"}'}
        self.schema.write_text(json.dumps({"anyOf": [CHECKSUM, {"$ref": "#/$defs/list"}], "$defs": {
            "list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}}))
        names = [*hostile, *(f"good {n}" for n in range(20))]
        server = Speaker(self, lambda messages: (
            hostile.get(messages[0]["content"], '{"checksum":"0123abcd"}'), "stop"))
        self.texts(*names)
        lines = self.run_on(server, "--retries", "1", "--max-failures", "off", check=3)
        self.assertEqual(len(lines), len(names))
        for line in lines[len(hostile):]:
            self.assertIsNone(line["error"], line)
        for name, line in zip(hostile, lines):
            with self.subTest(name):
                self.assertIn((line["error"] or {}).get("code"), (None, "schema_mismatch", "no_json"), name)
        self.assertEqual({name: line["error"] is None for name, line in zip(hostile, lines)
                          if name in ("huge", "digits", "long")},
                         {"huge": False, "digits": False, "long": False})


def nested(levels):
    schema = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


# A schema that is refused, and what is said of it.
REFUSED = {
    "an unknown type": ({"type": "objekt"}, "objekt"),
    "an unknown type further in": ({"properties": {"a": {"items": {"type": "objekt"}}}}, "/properties/a/items"),
    "properties that are none": ({"properties": 7}, "properties"),
    "a schema that is none": ({"properties": {"a": 7}}, "/properties/a"),
    "a reference to a server": ({"$ref": "http://127.0.0.1:9/schema.json"}, "http://127.0.0.1:9/schema.json"),
    "a reference to a file": ({"properties": {"a": {"$ref": "other.json#/a"}}}, "other.json#/a"),
    "a reference to nothing": ({"$ref": "#/$defs/none", "$defs": {"some": {}}}, "#/$defs/none"),
    "a reference to itself": ({"$ref": "#"}, "$ref"),
    "references in a circle": ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"},
                                                             "b": {"$ref": "#/$defs/a"}}}, "#/$defs/"),
    "a circle through allOf": ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
                               "#/$defs/a"),
    "a circle through anyOf and not": ({"anyOf": [{"type": "null"}, {"not": {"$ref": "#"}}]}, "$ref"),
    "a pattern that looks ahead": ({"properties": {"a": {"pattern": "(?=a)b"}}}, "(?=a)b"),
    "half a pattern": ({"pattern": "("}, "pattern"),
    "a pattern that only a reference leads to": ({"$ref": "#/parts/a", "parts": {"a": {"pattern": "(?=a)b"}}}, ""),
    "patternProperties": ({"patternProperties": {"^a": {}}}, "patternProperties"),
    "patternProperties further in": ({"items": {"patternProperties": {"^a": {}}}}, "/items"),
    "too many levels": (nested(100), "64"),
    "too many bytes": ({"description": "x" * (256 << 10)}, ""),
}


class Refused(Schemas):
    def test_a_schema_that_cannot_be_checked_is_refused_by_name_before_the_start(self):
        server, hub = self.server(), self.coordinator()
        self.worker(hub, "w")
        self.texts("document")
        for number, (name, (schema, word)) in enumerate(REFUSED.items()):
            self.schema.write_text(json.dumps(schema))
            self.output = self.directory / f"{number}.jsonl"
            for way, more in (("run", ["--dry-run"]), ("run", []), ("submit", ["--server", hub.http])):
                with self.subTest(name, way=way, more=more):
                    given = self.command(server, *more)[1:]
                    if way == "submit":  # which has an output only if it waits
                        given = [word for word in given if word not in ("-o", self.output)]
                    told = self.gristmill(way, *given, check=2).stderr
                    self.assertRegex(told, r"(?m)^(gristmill( \w+)?: )?--json-schema\b")
                    self.assertIn(word, told)
                    self.assertLess(len(told), 2_000)
                    self.assertFalse(self.output.exists())
        self.assertEqual(self.calls(server), [])
        self.assertEqual(json.loads(self.gristmill("jobs", "--json", "--server", hub.http).stdout), {"jobs": []})

    def test_a_request_with_such_a_schema_is_refused_too(self):
        data = self.directory / "data"
        data.mkdir()
        self.texts("document")
        self.source = self.source.rename(data / "in.jsonl")
        hub = self.coordinator("--data-root", data)
        for name, (schema, word) in REFUSED.items():
            with self.subTest(name):
                status, told = PackOptions.post(hub, {
                    "inputs": [{"path": str(self.source), "name": "in.jsonl"}], "model": "m",
                    "endpoints": [{"url": "http://127.0.0.1:9/v1"}], "params": {"response_format": {
                        "type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}})
                self.assertEqual(status, 400, told)
                self.assertIn("schema", told)

    def test_unchecked_they_are_sent_as_they_are(self):
        self.texts("document")
        for number, (name, (schema, _)) in enumerate(REFUSED.items()):
            with self.subTest(name):
                self.schema.write_text(json.dumps(schema))
                server = self.json_server(label=f"simllm-{number}")
                line, = self.run_on(server, "--no-check", output=self.directory / f"{number}.jsonl")
                self.check_right(line, "document")
                (call,) = self.calls(server)
                self.assertEqual(json.loads(call["body"])["response_format"]["json_schema"]["schema"], schema)
                server.end()

    def test_what_is_allowed_is_not_refused(self):
        self.texts("document")
        allowed = {"64 levels but one": nested(62), "a schema for nothing": {"not": {}},
                   "a definition that nothing uses": {"definitions": {"a": {"type": "integer"}}},
                   "a tree below items": {"properties": {"a": {"items": {"$ref": "#"}}}},
                   "an annotation": {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "http://h/a",
                                     "title": "t", "default": {"type": "objekt"}, "examples": [{"$ref": "x"}]}}
        for number, (name, schema) in enumerate(allowed.items()):
            with self.subTest(name):
                self.schema.write_text(json.dumps(schema))
                server = self.json_server(label=f"simllm-{number}")
                self.gristmill(*self.command(server, output=self.directory / f"{number}.jsonl"),
                               check=3 if "not" in schema else 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
