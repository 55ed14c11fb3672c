"""Options of the programs themselves: nodes, output modes, who may ask; and that no option of any
program is without a test that would be red if it were read and then forgotten.
"""
import importlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import unittest

import harness
import option_table
from harness import PATIENCE_S, EndToEnd, binary, write_batch

PROGRESS = r"(?m)^[\d,]+/[\d,]+\+? "


class Run(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"

    def begin(self, server, *arguments, label="run", env=None):
        return self.start("gristmill", "run", self.source, "--endpoint", server.url, "-o",
                          self.directory / f"{label}.jsonl", *arguments, label=label, env=env)

    def test_as_many_workers_with_as_many_calls_each_as_told(self):
        server = self.server("--latency", "300ms")
        write_batch(self.source, 30)
        self.assertEqual(self.begin(server, "--workers", "2", "--concurrency", "3").wait(), 0)
        self.assertEqual(self.stats(server)["peak_in_flight"], 6)

    def test_after_its_drain_time_it_waits_no_longer(self):
        server = self.server("--latency", "20s")  # less than what it waits for unless told
        write_batch(self.source, 1)
        run = self.begin(server, "--drain-timeout", "0.2")
        self.until_calls(server, 1)
        self.assertEqual(run.end(signal.SIGINT), 130, run.stderr())
        self.until("the server to see it go", lambda: self.stats(server)["in_flight"] == 0)
        self.assertEqual(self.stats(server)["abandoned"], 1)

    def test_the_key_of_a_file_is_sent(self):
        server = self.server("--api-key", "sk-right")
        write_batch(self.source, 1)
        (self.directory / "key").write_text("sk-right\n")
        run = self.begin(server, "--api-key-file", self.directory / "key")
        self.assertEqual(run.wait(), 0, run.stderr())

    def test_it_says_as_much_as_told(self):
        server = self.server("--latency", "300ms")
        write_batch(self.source, 1)
        runs = {mode: self.begin(server, *mode, label="run" + "".join(mode))
                for mode in ((), ("-q",), ("-v",), ("--no-progress",), ("--json",))}
        said, printed = {}, {}
        for mode, run in runs.items():
            self.assertEqual(run.wait(), 0, run.stderr())
            said["".join(mode)], printed["".join(mode)] = run.stderr(), run.popen.stdout.read()
        self.assertRegex(said[""], PROGRESS)
        self.assertIn("finished: 1 items", said[""])
        self.assertNotIn("worker.hello", said[""])
        self.assertEqual(said["-q"], "")
        self.assertRegex(said["-v"], "worker.hello source=.*name=local-1")
        self.assertNotRegex(said["--no-progress"], PROGRESS)
        self.assertIn("finished: 1 items", said["--no-progress"])
        self.assertEqual(json.loads(printed["--json"])["counts"]["completed"], 1)
        self.assertEqual(said["--json"], "")


class Cluster(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"

    def submit(self, coordinator, *arguments):
        done = self.gristmill("submit", self.source, "--server", coordinator.http, *arguments)
        return done.stdout.strip()

    def test_every_command_asks_whom_it_is_told_with_a_token_and_answers_in_json(self):
        token = self.directory / "token"
        token.write_text("a" * 64)
        token.chmod(0o600)
        server = self.server("--fault", "status:code=400,match=BAD")
        coordinator = self.coordinator("--token-file", token)
        write_batch(self.source, 40, lambda n: f"question {n}" + (" BAD" if n == 7 else ""))
        submit = ["submit", self.source, "--endpoint", server.url]
        asked = {"run", "export", "keygen", "journal", "cache"}  # which ask nobody

        def ask(*command, check=0):
            with self.subTest(command[0]):
                given = [*command, "--json", "--server", coordinator.http]
                refused = self.gristmill(*given, check=2, env={"GRISTMILL_TOKEN": "b" * 64})
                self.assertIn("token", refused.stderr)
                json.loads(self.gristmill(*given, "--token-file", token, check=check).stdout)
                asked.add(command[0])

        for command in (submit, ["jobs"], ["pools"], ["pause", "job-1"], ["status", "job-1"],
                        ["explain", "job-1"], ["resume", "job-1"]):
            ask(*command)
        worker = self.worker(coordinator, "w")
        ask("workers")
        ask("watch", "job-1", check=3)
        ask("retry", "job-1")
        ask("watch", "job-1", check=3)
        ask("results", "job-1", "-o", self.directory / "out.jsonl")
        self.check_result(self.directory / "out.jsonl", 40, lambda n: f"question {n}", failed={7})
        ask("forget", "job-1")
        ask("drain", "w")
        self.assertEqual(worker.wait(), 0)
        ask(*submit)
        ask("cancel", "job-2")
        ask("submit", "--open", "--endpoint", server.url)
        ask("append", "job-3", self.source)
        ask("close", "job-3")
        self.assertEqual(asked, set(commands()))

    def test_waiting_for_a_job_says_as_much_as_told(self):
        server, coordinator = self.server("--latency", "1500ms"), self.coordinator()
        self.worker(coordinator, "w")
        write_batch(self.source, 1)
        watch = ["watch", self.submit(coordinator, "--endpoint", server.url)]
        begun = []
        for mode in ("", "-q", "--no-progress"):
            submit = ["submit", self.source, "--endpoint", server.url, "--wait", "-o",
                      self.directory / f"out{mode}.jsonl"]
            for command in (submit, watch):
                begun.append((mode, self.start("gristmill", *command, *mode.split(), "--server",
                                               coordinator.http, label=command[0] + mode)))
        for mode, process in begun:
            with self.subTest(process.name):
                self.assertEqual(process.wait(), 0, process.stderr())
                said = process.stderr()
                if mode == "-q":
                    self.assertEqual(said, "")
                else:
                    self.assertIn("finished: 1 items", said)
                    (self.assertNotRegex if mode else self.assertRegex)(said, PROGRESS)

    def test_nodes_log_as_much_as_told(self):
        server = self.server()
        write_batch(self.source, 3)
        said = {}
        for mode in ((), ("-q",), ("-v",)):
            name = "".join(mode)
            coordinator = self.coordinator(*mode, label="coordinator" + name, state="state" + name)
            worker = self.worker(coordinator, "w" + name, *mode)
            self.submit(coordinator, "--endpoint", server.url, "--wait", "-o",
                        self.directory / f"out{name}.jsonl")
            said[name] = coordinator.stderr(), worker.stderr()
        self.assertIn("worker.hello", said[""][0])
        self.assertIn("session.begun", said[""][1])
        self.assertNotIn("http.request", said[""][0])
        self.assertNotIn("call.ended", said[""][1])
        self.assertEqual(said["-q"], ("", ""))
        self.assertIn("http.request source=http method=POST path=/api/v1/jobs", said["-v"][0])
        logged = set(re.findall(r"call\.ended source=worker attempt=(\S+) status=200",
                                said["-v"][1]))
        self.assertEqual(logged, {call["attempt"] for call in self.calls(server)[-3:]})

    def test_nodes_log_as_json_where_told(self):
        server = self.server()
        write_batch(self.source, 3)
        coordinator = self.coordinator("--log-format", "json")
        worker = self.worker(coordinator, "w", "--log-format", "json")
        self.submit(coordinator, "--endpoint", server.url, "--wait", "-o",
                    self.directory / "out.jsonl")
        run = self.start("gristmill", "run", self.source, "--endpoint", server.url, "-o",
                         self.directory / "run.jsonl", "-v", "--log-format", "json",
                         "--no-progress", label="run")
        self.assertEqual(run.wait(), 0, run.stderr())
        for process, event in ((coordinator, "worker.hello"), (worker, "session.begun"),
                               (run, "job.ended")):
            lines = [line for line in process.stderr().splitlines() if line.startswith("{")]
            told = [json.loads(line) for line in lines]
            self.assertIn(event, [entry["event"] for entry in told], process.stderr())
            self.assertEqual({"time", "level", "event", "source"} - set(told[0]), set())
        self.assertEqual(len(coordinator.stderr().splitlines()),
                         sum(line.startswith("{") for line in coordinator.stderr().splitlines()))

    def test_a_worker_has_no_more_calls_in_flight_than_told(self):
        server, coordinator = self.server("--latency", "100ms"), self.coordinator()
        self.worker(coordinator, "w", "--concurrency", "3")
        write_batch(self.source, 20)
        self.submit(coordinator, "--endpoint", server.url, "--wait", "-o",
                    self.directory / "out.jsonl")
        self.assertEqual(self.stats(server)["peak_in_flight"], 3)

    def test_a_worker_sends_the_key_of_its_endpoint(self):
        server, coordinator = self.server("--api-key", "sk-right"), self.coordinator()
        (self.directory / "key").write_text("sk-right\n")
        write_batch(self.source, 1)
        for model, key in (("of-env", ["--api-key-env", "KEY"]),
                           ("of-file", ["--api-key-file", self.directory / "key"])):
            self.start("gristmill-worker", "--coordinator", coordinator.listen, "--endpoint",
                       server.url, "--model", model, *key, label=model, env={"KEY": "sk-right"}).ready()
            self.submit(coordinator, "-m", model, "--wait", "-o", self.directory / f"{model}.jsonl")

    def test_after_its_drain_time_a_worker_waits_no_longer(self):
        server, coordinator = self.server("--latency", "20s"), self.coordinator()
        worker = self.worker(coordinator, "w", "--drain-timeout", "0.2")
        write_batch(self.source, 1)
        self.submit(coordinator, "--endpoint", server.url)
        self.until_calls(server, 1)
        self.assertEqual(worker.end(), 0, worker.stderr())
        self.until("the server to see it go", lambda: self.stats(server)["in_flight"] == 0)
        self.assertEqual(self.stats(server)["abandoned"], 1)

    def test_after_its_drain_time_a_coordinator_waits_no_longer(self):
        patient, hasty = ((self.coordinator("--drain-timeout", seconds, label=name, state=name), name)
                          for seconds, name in (("15", "patient"), ("0.2", "hasty")))
        for coordinator, name in (patient, hasty):
            host, port = coordinator.http.removeprefix("http://").split(":")
            upload = socket.create_connection((host, int(port)))
            self.addCleanup(upload.close)
            upload.sendall(b"POST /api/v1/inputs?name=x HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Length: 9999\r\n\r\nsome")
            self.until("the upload to begin",
                       lambda: list(self.directory.glob(f"{name}/inputs/*/*.part")))
            coordinator.popen.send_signal(signal.SIGTERM)
        self.assertEqual(hasty[0].wait(), 0)
        # It was told first; if nobody listened to how long, it has ended first, too.
        self.assertIsNone(patient[0].popen.poll())


def help_of(*command):
    return subprocess.run([binary(command[0]), *command[1:], "--help"], capture_output=True,
                          text=True, timeout=PATIENCE_S, check=True).stdout


def commands(*program):
    """The names of the commands below a program or command."""
    _, _, after = help_of(*program or ("gristmill",)).partition("Subcommands:\n")
    listed, _, _ = after.partition("\n\n")
    return re.findall(r"(?m)^  (\w+) ", listed)


def all_options():
    """(command, option) for each option that any --help lists."""
    programs = [("gristmill",), ("gristmill-coordinator",), ("gristmill-worker",)]
    while programs:
        program = programs.pop()
        programs += [(*program, name) for name in commands(*program)]
        for option in re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", help_of(*program)):
            if option != "--help":  # which is what was just seen to work
                yield " ".join(program).removeprefix("gristmill ").strip(), option


class Table(EndToEnd):
    def test_each_option_has_a_test_that_would_be_red_without_it(self):
        listed, table = set(all_options()), option_table.table()
        shared = pathlib.Path(harness.__file__).read_text()
        self.assertGreater(len(listed), 100)
        self.assertEqual(sorted(listed - set(table)), [], "no test of these in option_table.py")
        self.assertEqual(sorted(set(table) - listed), [], "no --help lists these any more")
        for (command, option), name in table.items():
            with self.subTest(command=command, option=option):
                module, case, test = name.split(".")
                module = importlib.import_module(module)
                self.assertTrue(hasattr(getattr(module, case), test), name)
                short = option_table.SHORT.get(option, option)
                text = pathlib.Path(module.__file__).read_text() + shared
                self.assertRegex(text, rf"[\"' ]({option}|{short})\b", name)

    def test_programs_say_their_version(self):
        for program in ("gristmill", "gristmill-coordinator", "gristmill-worker"):
            said = subprocess.run([binary(program), "--version"], capture_output=True, text=True,
                                  timeout=PATIENCE_S, check=True).stdout
            self.assertRegex(said, rf"^{program} \d+\.\d+\.\d+")


if __name__ == "__main__":
    unittest.main(verbosity=2)
