"""What a user meets at the command line: sentences, exit codes, the model that nobody named, progress
on a terminal, draining, signals.
"""
import fcntl
import http.server
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import unittest

from harness import PATIENCE_S, ROOT, EndToEnd, binary, write_batch
from scripted_server import free_port

COMMANDS = ("run", "submit", "watch", "jobs", "status", "results", "cancel", "pause", "resume", "retry",
            "forget", "explain", "workers", "drain", "pools", "keygen", "journal",
            "cache")


class Endpoint:
    """An OpenAI-compatible server that remembers what it was asked; `models`: or the status that it
    answers with instead."""

    def __init__(self, models, port=0):
        self.models, self.asked, self.bodies = models, [], []
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                endpoint.asked.append(self.path)
                if isinstance(endpoint.models, int):
                    return self.answer(endpoint.models, {"error": {"message": "no models"}})
                self.answer(200, {"object": "list", "data": [{"id": model} for model in endpoint.models]})

            def do_POST(self):
                endpoint.asked.append(self.path)
                endpoint.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.answer(200, {"choices": [{"index": 0, "finish_reason": "stop", "message":
                                               {"role": "assistant", "content": "{}"}}],
                                  "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Sentences(EndToEnd):
    def test_a_mistake_is_one_line_with_what_was_expected_and_exit_code_2(self):
        source = self.directory / "in.jsonl"
        write_batch(source, 1)
        table = [
            (["gristmill", "fly"], "expected a command", "fly"),
            (["gristmill", "--bogus"], "expected a command", "--bogus"),
            (["gristmill", "run"], "expected INPUT", "none"),
            (["gristmill", "submit"], "expected INPUT", "none"),
            (["gristmill", "status"], "expected JOB", "none"),
            (["gristmill", "results", "job-1"], "expected --output", "none"),
            (["gristmill", "drain"], "expected WORKER", "none"),
            (["gristmill", "keygen"], "expected DIR", "none"),
            (["gristmill", "run", source, "--limit", "1", "--limit", "2"], "expected it once", "2 times"),
            (["gristmill", "status", "job-1", "more"], "expected", "more"),
            (["gristmill", "jobs", "--server", "nonsense"], "expected http://HOST:PORT", "nonsense"),
            (["gristmill-coordinator", "more"], "expected", "more"),
            (["gristmill-coordinator", "--listen", "nonsense"], "expected", "nonsense"),
            (["gristmill-coordinator", "--drain-timeout", "soon"], "expected 0 to 86400", "soon"),
            (["gristmill-worker", "--coordinator", "nonsense"], "expected tcp://HOST:PORT", "nonsense"),
            (["gristmill-worker", "--concurrency", "0"], "expected 1 to 32768", "0"),
            (["gristmill-worker", "--concurrency", "-1"], "expected 1 to 32768", "-1"),
            (["gristmill-worker", "--endpoint", "http://127.0.0.1:1/v1"], "expected --endpoint and --model together", "only --endpoint"),
        ]
        for command in (["gristmill", "run", source], ["gristmill", "submit", source],
                        ["gristmill", "status", "job-1"], ["gristmill-coordinator"],
                        ["gristmill-worker"]):
            table.append(([*command, "--bogus"], "expected", "--bogus"))
        for command in ("run", "submit"):
            given = ["gristmill", command, source]
            table += [([*given, option, value], "expected", value) for option, value in (
                ("--limit", "abc"), ("--limit", "-3"), ("--rpm", "1.5"), ("--tpm", "1e3"),
                ("--max-tokens", "99999999999999999999"), ("--retries", "1001"), ("--timeout", "0"),
                ("--temperature", "hot"), ("--order", "sideways"), ("--param", "foo"),
                ("--max-line-bytes", "0"), ("--json-schema", "missing.json"))]
            table.append(([*given, "--param", "k=st\udcfc"], "expected UTF-8", "k=st"))
            table += [([*given, option], "expected a value", "none") for option in (
                "--limit", "--endpoint", "-p", "--timeout", "--json-schema")]
        for option in ("--listen", "--http", "--state"):
            table.append((["gristmill-coordinator", option], "expected a value", "none"))
        table.append((["gristmill-worker", "--name"], "expected a value", "none"))
        for (program, *arguments), expected, came in table:
            with self.subTest([program, *map(str, arguments)]):
                done = subprocess.run([binary(program), *map(str, arguments)], capture_output=True,
                                      text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
                                      cwd=self.directory)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertTrue(done.stderr.startswith(program), done.stderr)
                self.assertIn(expected, done.stderr)
                self.assertIn(came, done.stderr)
        self.assertEqual([path.name for path in self.directory.iterdir()], ["in.jsonl"])

    def test_without_arguments_the_help_is_printed(self):
        done = self.gristmill(check=2)
        for command in COMMANDS:
            self.assertRegex(done.stderr, rf"(?m)^  {command} ")

    def test_every_command_has_an_example_in_its_help(self):
        for command in COMMANDS:
            self.assertIn(f"gristmill {command}", self.gristmill(command, "--help").stdout.split("Example")[1])
        # A coordinator has no endpoint of its own that it could fall back to.
        self.assertIn("OPENAI_BASE_URL", self.gristmill("run", "--help").stdout)
        self.assertNotIn("OPENAI_BASE_URL", self.gristmill("submit", "--help").stdout)
        for daemon in ("gristmill-coordinator", "gristmill-worker"):
            shown = subprocess.run([binary(daemon), "--help"], capture_output=True, text=True, check=True)
            self.assertIn("Example", shown.stdout)

    def test_every_option_is_in_the_operations_manual(self):
        manual = "".join(page.read_text() for page in (ROOT / "docs/operations").glob("*.md"))
        programs = [["gristmill", name] for name in COMMANDS]
        programs += [["gristmill", *names] for names in (("journal", "verify"), ("journal", "show"),
                                                         ("cache", "stats"), ("cache", "prune"))]
        programs += [["gristmill-coordinator"], ["gristmill-worker"]]
        missing = []
        for program, *command in programs:
            shown = subprocess.run([binary(program), *command, "--help"], capture_output=True, text=True,
                                   check=True).stdout
            options = re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", shown)
            self.assertIn("--help", options)
            missing += [f"{program} {option}" for option in options if f"{option}`" not in manual and
                        f"{option} " not in manual]
        self.assertEqual(missing, [])


class Models(EndToEnd):
    def setUp(self):
        super().setUp()
        self.document = self.directory / "doc.txt"
        self.document.write_text("some words")
        self.output = self.directory / "out.jsonl"

    def endpoint(self, models, port=0):
        endpoint = Endpoint(models, port)
        self.addCleanup(endpoint.close)
        return endpoint

    def run_document(self, url, *arguments, check=0, env=None):
        return self.gristmill("run", self.document, "--endpoint", url, "-o", self.output, *arguments,
                              check=check, env=env)

    def check_refused(self, done, *parts, lines=1):
        self.assertEqual(len(done.stderr.splitlines()), lines, done.stderr)
        for part in (*parts, "-m"):
            self.assertIn(part, done.stderr)
        self.assertFalse(self.output.exists())
        self.assertFalse((self.directory / "out.jsonl.state").exists(), "nothing was started")

    def test_an_endpoint_with_one_model_supplies_it(self):
        endpoint = self.endpoint(["the-only-one"])
        self.run_document(endpoint.url)
        asked = [path for path in endpoint.asked if path != "/metrics"]  # looked for by the worker
        self.assertEqual(asked, ["/v1/models", "/v1/chat/completions"])
        self.assertEqual(endpoint.bodies[0]["model"], "the-only-one")

    def test_several_models_are_named_and_one_is_asked_for(self):
        endpoint = self.endpoint([f"m{n:02}" for n in range(25)])
        done = self.run_document(endpoint.url, check=2)
        self.check_refused(done, "m00", "m09", "15 more", "25")
        self.assertNotIn("m10", done.stderr)
        self.assertEqual(endpoint.bodies, [])

    def test_two_endpoints_supply_a_model_if_it_is_the_same(self):
        one, same, other = (self.endpoint([model]) for model in ("a", "a", "b"))
        self.check_refused(self.run_document(one.url, "--endpoint", other.url, check=2), "a, b")
        self.run_document(one.url, "--endpoint", same.url)

    def test_without_a_list_of_models_or_an_endpoint_the_run_does_not_begin(self):
        self.check_refused(self.run_document(self.endpoint(404).url, check=2), "status 404", "/v1/models")
        self.check_refused(self.run_document(self.endpoint([]).url, check=2), "none")

    def test_an_endpoint_that_is_away_is_waited_for(self):
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1"
        done = self.run_document(url, "--patience", "1", check=4)
        self.check_refused(done, url, "no endpoint answers", lines=2)
        run = self.start("gristmill", "run", self.document, "--endpoint", url, "-o", self.output)
        self.until("it says that nobody listens", lambda: "no endpoint answers" in run.stderr())
        endpoint = self.endpoint(503, port)
        self.until("it says what the server says", lambda: "status 503: no models" in run.stderr())
        endpoint.models = ["late"]
        self.assertEqual(run.wait(), 0, run.stderr())
        self.assertEqual([body["model"] for body in endpoint.bodies], ["late"])

    def test_the_list_is_asked_for_with_the_endpoints_key(self):
        server = self.server("--api-key", "sk-right")
        refused = self.run_document(server.url, "--api-key-env", "KEY", check=2, env={"KEY": "sk-wrong"})
        self.check_refused(refused, "401", "--api-key-env")
        self.assertNotIn("sk-wrong", refused.stderr)
        self.assertIn("KEY_NOT_SET", self.run_document(server.url, "--api-key-env", "KEY_NOT_SET",
                                                       check=2).stderr)
        self.run_document(server.url, "--api-key-env", "KEY", env={"KEY": "sk-right"})
        self.assertEqual([call["model"] for call in self.calls(server)], ["sim-small"])

    def test_nothing_is_asked_when_each_item_has_a_model(self):
        endpoint = self.endpoint(["a", "b"])
        source = self.directory / "in.jsonl"
        write_batch(source, 3, model="mine")
        self.gristmill("run", source, "--endpoint", endpoint.url, "-o", self.output)
        for given, output in ((["-m", "not-listed"], "out-2.jsonl"), (["--param", "model=given"], "out-3.jsonl")):
            self.gristmill("run", self.document, "--endpoint", endpoint.url, *given, "-o",
                           self.directory / output)
        self.assertNotIn("/v1/models", endpoint.asked)
        self.assertEqual([body["model"] for body in endpoint.bodies], ["mine"] * 3 + ["not-listed", "given"])

    def test_a_batch_line_without_a_model_gets_the_endpoints_and_the_others_keep_theirs(self):
        endpoint = self.endpoint(["theirs"])
        source = self.directory / "in.jsonl"
        write_batch(source, 2, model="mine")
        lines = [json.loads(line) for line in source.read_text().splitlines()]
        del lines[0]["body"]["model"]
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.gristmill("run", source, "--endpoint", endpoint.url, "-o", self.output)
        self.assertEqual(sorted(body["model"] for body in endpoint.bodies), ["mine", "theirs"])

    def test_a_resumed_run_keeps_its_model_and_asks_nothing(self):
        server = self.server("--latency", "50ms")
        documents = []
        for n in range(400):
            documents.append(self.directory / f"doc-{n}.txt")
            documents[-1].write_text(f"document {n}")
        arguments = ["run", *documents, "-o", self.output, "--concurrency", "8"]
        process = self.start("gristmill", *arguments, "--endpoint", server.url, label="run")
        self.until_calls(server, 50)
        process.kill()
        endpoint = self.endpoint(["other-1", "other-2"])
        self.gristmill(*arguments, "--endpoint", endpoint.url)
        self.assertNotIn("/v1/models", endpoint.asked)
        self.assertEqual({body["model"] for body in endpoint.bodies}, {"sim-small"})
        # A finished job needs no endpoint at all.
        again = self.gristmill(*arguments, "--endpoint", "http://127.0.0.1:1/v1")
        self.assertIn("finished", again.stderr)


class Schema(EndToEnd):
    def test_a_schema_goes_with_every_call_and_identifies_the_job(self):
        endpoint = Endpoint(["m"])
        self.addCleanup(endpoint.close)
        document, output = self.directory / "doc.txt", self.directory / "out.jsonl"
        document.write_text("some words")
        schema = self.directory / "city facts.json"
        properties = {"zip": {"type": "string"}, "city": {"type": "string"}}
        wanted = {"type": "object", "properties": properties, "required": ["zip", "city"],
                  "additionalProperties": False}
        schema.write_text(json.dumps(wanted))
        # Whatever it answers: schema_test sees what becomes of what does not fit.
        arguments = ["run", document, "-m", "m", "--endpoint", endpoint.url, "-o", output, "--no-check"]
        self.gristmill(*arguments, "--json-schema", schema)
        sent = endpoint.bodies[0]["response_format"]
        self.assertEqual(sent, {"type": "json_schema", "json_schema":
                                {"name": "city_facts", "schema": wanted, "strict": True}})
        # A model answers in the order of the schema.
        self.assertEqual(list(sent["json_schema"]["schema"]["properties"]), ["zip", "city"])
        self.assertIn("finished", self.gristmill(*arguments, "--json-schema", schema).stderr)
        self.assertIn("--param", self.gristmill(*arguments, check=2).stderr)
        for text, got in (("[]", "array"), ("{", "not JSON"), ("", "not JSON")):
            schema.write_text(text)
            refused = self.gristmill(*arguments, "--json-schema", schema, check=2).stderr
            self.assertIn("expected a JSON object", refused)
            self.assertIn(got, refused)


class OnATerminal(EndToEnd):
    def screen(self, columns, env):
        """What `gristmill run` writes to a terminal of so many columns."""
        server = self.server("--latency", "100ms", label=f"simllm-{columns}-{len(env)}")
        source = self.directory / "in.jsonl"
        write_batch(source, 200, text=lambda n: f"question {n}" + (" BAD" if n == 0 else ""))
        self.control(server, faults=["status:code=400,match=BAD"])
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [binary("gristmill"), "run", source, "--endpoint", server.url, "--concurrency", "16", "-o",
             self.directory / f"out-{columns}-{len(env)}.jsonl"], stderr=theirs, stdin=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm", **env})
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the last writer has closed the terminal
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        self.assertEqual(process.wait(PATIENCE_S), 3)
        return shown.decode()

    def lines_of(self, screen):
        lines = [line for line in screen.split("\r\x1b[K") if "/" in line.split("\n")[0]]
        return [re.sub(r"\x1b\[\d*m", "", line.split("\n")[0].rstrip("\r")) for line in lines]

    def test_the_line_fits_the_terminal_and_has_colour_unless_told_otherwise(self):
        os.environ.pop("NO_COLOR", None)
        for columns in (20, 60, 200):
            lines = [line for line in self.lines_of(self.screen(columns, {})) if not line.startswith("finished")]
            progress = [line for line in lines if re.match(r"[\d,]+/[\d,]+", line)]
            self.assertGreater(len(progress), 2)
            self.assertLessEqual(max(map(len, progress)), columns - 1)
            if columns != 60:  # where they fit or not
                self.assertEqual(any("tokens" in line for line in progress), columns == 200)
        self.assertIn("\x1b[31mfailed 1\x1b[0m", self.screen(201, {}))
        self.assertNotRegex(self.screen(202, {"NO_COLOR": "1"}), r"\x1b\[\d*m")

    def test_elsewhere_it_is_plain_lines(self):
        server = self.server()
        source = self.directory / "in.jsonl"
        write_batch(source, 50)
        done = self.gristmill("run", source, "--endpoint", server.url, "-o", self.directory / "out.jsonl")
        self.assertNotIn("\x1b", done.stderr)
        self.assertNotIn("\r", done.stderr)


class Cluster(EndToEnd):
    def submit(self, coordinator, server, count, *arguments):
        source = self.directory / "in.jsonl"
        write_batch(source, count)
        return self.gristmill("submit", source, "--endpoint", server.url, "--server", coordinator.http,
                              *arguments).stdout.strip()

    def test_a_drained_worker_ends_in_peace_and_the_others_finish(self):
        server = self.server("--latency", "50ms")
        coordinator = self.coordinator()
        leaving = self.worker(coordinator, "leaving", "--concurrency", "32")
        self.worker(coordinator, "staying", "--concurrency", "32")
        job = self.submit(coordinator, server, 4_000)
        self.until_calls(server, 500)
        at = ["--server", coordinator.http]
        told = json.loads(self.gristmill("drain", "leaving", "--json", *at).stdout)["workers"]
        self.assertEqual([(worker["name"], worker["state"]) for worker in told], [("leaving", "draining")])
        self.assertEqual(leaving.wait(), 0, leaving.stderr())
        unknown = self.gristmill("drain", "leaving", *at, check=2)
        self.assertIn("no worker leaving", unknown.stderr)
        self.gristmill("watch", job, "-q", *at)
        output = self.directory / "out.jsonl"
        self.gristmill("results", job, "-o", output, *at)
        self.check_result(output, 4_000)
        self.assertEqual(len(self.calls(server)), 4_000, "a drained worker's calls are not made twice")

    def test_the_commands_print_aligned_tables_or_json(self):
        server = self.server()
        coordinator = self.coordinator()
        self.worker(coordinator, "w0")
        job = self.submit(coordinator, server, 30, "--wait", "-o", self.directory / "out.jsonl")
        at = ["--server", coordinator.http]
        for command, head in (("jobs", "JOB"), ("workers", "WORKER")):
            lines = self.gristmill(command, *at).stdout.splitlines()
            self.assertTrue(lines[0].startswith(head))
            for column in re.findall(r"\S+(?: \S+)*", lines[0])[:2]:
                self.assertNotEqual(lines[1][lines[0].index(column)], " ", lines)
            self.assertIn(command, json.loads(self.gristmill(command, "--json", *at).stdout))
        shown = json.loads(self.gristmill("status", job, "--json", *at).stdout)
        self.assertEqual((shown["id"], shown["state"], shown["counts"]["completed"]), (job, "finished", 30))
        self.assertEqual(json.loads(self.gristmill("watch", job, "--json", *at).stdout)["id"], job)
        fetched = self.directory / "again.jsonl"
        told = json.loads(self.gristmill("results", job, "-o", fetched, "--json", *at).stdout)
        self.assertEqual(told["result"], str(fetched))
        self.check_result(fetched, 30)
        self.assertEqual(self.gristmill("results", job, "-o", "-", *at).stdout, fetched.read_text())
        for command in ("status", "watch", "cancel"):
            self.assertIn("job-99", self.gristmill(command, "job-99", *at, check=2).stderr)

    def test_the_second_signal_leaves_at_once(self):
        server = self.server("--fault", "hang:rate=1")
        coordinator = self.coordinator()
        worker = self.worker(coordinator, "w0", "--drain-timeout", "3600")
        self.submit(coordinator, server, 5)
        self.until_calls(server, 5)
        worker.popen.send_signal(signal.SIGTERM)
        self.until("the worker to drain", lambda: "worker.draining" in worker.stderr())
        self.assertIsNone(worker.popen.poll(), "it waits for its calls in flight")
        self.assertEqual(worker.end(signal.SIGTERM), 143)

    def test_a_coordinator_waits_for_an_upload_and_leaves_at_the_second_signal(self):
        coordinator = self.coordinator("--drain-timeout", "3600")
        upload = subprocess.Popen([binary("gristmill"), "submit", "-", "--endpoint", "http://127.0.0.1:1/v1", "--server",
                                   coordinator.http],
                                  stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        upload.stdin.write(b"{}\n" * 100_000)
        upload.stdin.flush()
        self.until("the upload to begin", lambda: list(self.directory.glob("state/inputs/*/*.part")))
        coordinator.popen.send_signal(signal.SIGTERM)
        self.until("the coordinator to refuse new requests", lambda: self.gristmill(
            "jobs", "--server", coordinator.http, check=None).returncode == 2)
        self.assertIsNone(coordinator.popen.poll(), "it waits for the upload")
        self.assertEqual(coordinator.end(signal.SIGTERM), 143)
        upload.kill()
        upload.communicate()

    def test_a_coordinator_that_is_told_to_stop_ends_with_0(self):
        self.assertEqual(self.coordinator().end(signal.SIGTERM), 0)

    def test_a_run_leaves_at_the_second_signal_and_resumes(self):
        server = self.server("--fault", "hang:rate=1,first=5")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, 20)
        arguments = ["run", source, "--endpoint", server.url, "-o", output, "--concurrency", "5"]
        for sig, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            self.control(server, faults=["hang:rate=1"])
            process = self.start("gristmill", *arguments, label=f"run-{code}")
            calls = self.stats(server)["calls"]
            self.until_calls(server, calls + 5)
            process.popen.send_signal(sig)
            self.until("the run to stop", lambda: "stopping" in process.stderr())
            self.assertEqual(process.end(sig), code, process.stderr())
        self.control(server, faults=[])
        self.gristmill(*arguments)
        self.check_result(output, 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
