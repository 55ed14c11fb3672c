"""What a user meets between the first command and the morning: failures, stops, and going on."""
import contextlib
import json
import os
import sqlite3
import unittest

from harness import EndToEnd, write_batch


def write_documents(path, count):
    with open(path, "w", encoding="utf-8") as file:
        for n in range(count):
            file.write(json.dumps({"id": f"item-{n}", "text": f"question {n}"}) + "\n")


class Night(EndToEnd):
    def setUp(self):
        super().setUp()
        self.input = self.directory / "in.jsonl"
        self.output = self.directory / "out.jsonl"

    def run_command(self, server, *arguments, check=0, env=None):
        return self.gristmill("run", self.input, "--endpoint", server.url, "-o", self.output,
                              *arguments, check=check, env=env)

    def test_failed_items_are_run_again_and_no_others(self):
        # Digits that make three of ten lines wrong.
        bad = {n for n in range(1_000) if n % 10 in (2, 5, 8)}
        text = lambda n: f"question {n}" + (" BAD" if n in bad else "")
        write_batch(self.input, 1_000, text)
        server = self.server("--fault", "status:code=400,body-code=bad_taste,match=BAD")
        self.run_command(server, check=3)
        summary = self.summary(self.output)
        self.assertEqual(summary["counts"]["failed"], 300)
        self.assertEqual([(cause["class"], cause["code"], cause["count"])
                          for cause in summary["errors"]], [("bad_line", "bad_taste", 300)])
        with open(self.output, encoding="utf-8") as file:
            classes = [json.loads(line)["gristmill"].get("class") for line in file]
        self.assertEqual({n for n, cls in enumerate(classes) if cls == "bad_line"}, bad)
        self.assertEqual(classes.count(None), 700)
        self.assertEqual(summary["errors"][0]["sample"]["custom_id"], "item-2")
        self.check_result(self.output, 1_000, text, failed=bad)

        self.control(server, faults=[], reset_stats=True)
        nothing = self.run_command(server, "--retry-failed=timeout", check=2)
        self.assertIn("no failed item of these classes", nothing.stderr)
        self.assertEqual(self.stats(server)["calls"], 0)
        self.run_command(server, "--retry-failed=bad_line")
        self.assertEqual(self.stats(server)["calls"], 300)
        self.check_result(self.output, 1_000, text)
        self.assertEqual(self.summary(self.output)["counts"]["failed"], 0)
        self.assertIn("finished", self.run_command(server, "--retry-failed").stderr)
        self.assertEqual(self.stats(server)["calls"], 300)

    def test_a_retry_that_is_killed_resumes(self):
        text = lambda n: f"question {n} BAD"
        write_batch(self.input, 500, text)
        server = self.server("--fault", "status:code=400,match=BAD")
        self.run_command(server, "--max-failures", "off", check=3)
        self.control(server, faults=[], latency="20ms", reset_stats=True)
        process = self.start("gristmill", "run", self.input, "--endpoint", server.url, "-o",
                             self.output, "--retry-failed", "--concurrency", "8")
        self.until_calls(server, 100)
        process.kill()
        self.control(server, latency="0")
        self.run_command(server, "--retry-failed")
        self.check_result(self.output, 500, text)
        self.assertLessEqual(self.stats(server)["calls"], 500 + 2 * 8)

    def test_an_unknown_class_of_errors_is_named(self):
        write_batch(self.input, 1)
        server = self.server()
        self.run_command(server)
        done = self.run_command(server, "--retry-failed=typo", check=2)
        self.assertIn("expected a class of errors (transient, timeout", done.stderr)

    def test_a_wrong_template_pauses_the_job_early(self):
        write_documents(self.input, 100_000)
        server = self.server("--fault", "status:code=400,body-code=nonsense,match=Nonsense",
                             "--latency", "5ms")
        wrong = ("-m", "sim-small", "--concurrency", "64", "-p", "Nonsense {{text}}")
        done = self.run_command(server, *wrong, check=4)
        self.assertLessEqual(self.stats(server)["calls"], 200)
        self.assertIn("--max-failures 50%", done.stderr)
        self.assertIn("bad_line, nonsense", done.stderr)
        self.assertRegex(done.stderr, r"item-\d+ \(.*in\.jsonl:\d+\): HTTP 400 nonsense")
        self.assertFalse(self.output.exists())
        # Nothing is forgotten: going on without mending fails on.
        self.run_command(server, *wrong, check=4)
        self.assertLessEqual(self.stats(server)["calls"], 400)
        right = ("-m", "sim-small", "--concurrency", "64", "-p", "{{text}}")
        refused = self.run_command(server, *right, check=2)
        self.assertIn("--prompt differs", refused.stderr)
        self.run_command(server, *right, "--restart")
        self.check_result(self.output, 100_000)

    def test_a_template_field_that_is_missing_is_named(self):
        write_documents(self.input, 1_000)
        server = self.server()
        done = self.run_command(server, "-m", "sim-small", "-p", "{{titel}}", check=4)
        self.assertIn('the field "titel"', done.stderr)
        self.assertEqual(self.stats(server)["calls"], 0)

    def test_a_number_of_failures_pauses_the_job(self):
        write_batch(self.input, 50, lambda n: f"question {n}" + (" BAD" if n < 20 else ""))
        server = self.server("--fault", "status:code=400,match=BAD")
        options = ("--concurrency", "1", "--max-failures")
        done = self.run_command(server, *options, "10", check=4)
        self.assertIn("10 of 10 items failed", done.stderr)
        self.run_command(server, *options, "off", check=3)
        self.assertEqual(self.stats(server)["calls"], 50)
        self.run_command(server, *options, "0", "--restart", check=2)

    def test_a_wrong_key_stops_the_job_and_costs_no_item(self):
        write_batch(self.input, 1_000)
        server = self.server("--api-key", "right", "--latency", "5ms")
        key = ("--api-key-env", "NIGHT_KEY", "--concurrency", "64")
        done = self.run_command(server, *key, env={"NIGHT_KEY": "wrong"}, check=4)
        self.assertEqual(len(done.stderr.strip().splitlines()[-1:]), 1)
        self.assertIn(f"{server.url} refuses the job's calls", done.stderr)
        self.assertIn("HTTP 401", done.stderr)
        self.assertLessEqual(self.stats(server)["calls"], 2 * 64)
        self.run_command(server, *key, env={"NIGHT_KEY": "right"})
        self.check_result(self.output, 1_000)

    def test_no_key_at_all_is_said_before_anything_starts(self):
        write_batch(self.input, 10)
        server = self.server("--api-key", "right")
        (self.directory / "empty.key").write_text("\n")
        for given, named in ((["--api-key-env", "NIGHT_NO_SUCH_KEY"], "NIGHT_NO_SUCH_KEY"),
                             (["--api-key-file", self.directory / "none.key"], "none.key"),
                             (["--api-key-file", self.directory / "empty.key"], "empty.key")):
            done = self.run_command(server, *given, check=2)
            self.assertIn(named, done.stderr)
            self.assertNotIn("worker", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertEqual(self.stats(server)["calls"], 0)
            self.assertEqual(list(self.directory.glob(f"{self.output.name}*")), [])
        # A key that a job needs to go on is missed before it goes on.
        key = ("--api-key-env", "NIGHT_KEY")
        self.run_command(server, *key, "--limit", "5", env={"NIGHT_KEY": "right"})
        self.assertIn("NIGHT_KEY", self.run_command(server, *key, check=2).stderr)
        self.run_command(server, *key, "--limit", "5", check=0)  # it is over, and needs none

    def test_an_empty_name_of_a_key_means_that_there_is_none(self):
        write_batch(self.input, 10)
        server = self.server()
        self.run_command(server, "--api-key-env", "", env={"OPENAI_API_KEY": ""})
        # Of other places the key is missed, of private networks it is not.
        refused = self.gristmill("run", self.input, "-o", self.output.with_name("other.jsonl"), "--endpoint",
                                 "https://api.example.com/v1", env={"OPENAI_API_KEY": ""}, check=2)
        self.assertIn("OPENAI_API_KEY", refused.stderr)
        self.assertIn("--api-key-env ''", refused.stderr)

    def test_an_unknown_model_stops_the_job(self):
        write_batch(self.input, 10)
        server = self.server("--fault", "status:code=404,body-code=model_not_found,rate=1")
        done = self.run_command(server, check=4)
        self.assertIn("HTTP 404 model_not_found", done.stderr)

    def test_an_endpoint_that_refuses_connections_is_named_and_costs_no_item(self):
        write_batch(self.input, 1_000)
        server = self.server()
        server.end()
        done = self.run_command(server, "--retries", "0", "--patience", "2", check=4)
        self.assertIn("connect_refused: ", done.stderr)
        self.assertIn("Failed to connect", done.stderr)
        with contextlib.closing(sqlite3.connect(f"{self.output}.state/journal.db")) as journal:
            self.assertEqual(journal.execute("SELECT coalesce(sum(failed), 0) FROM commits").fetchone(), (0,))

    def test_a_state_directory_in_use_or_of_another_version_is_named(self):
        write_batch(self.input, 10)
        server = self.server("--fault", "hang:rate=1")
        process = self.start("gristmill", "run", self.input, "--endpoint", server.url, "-o",
                             self.output)
        self.until_calls(server, 1)
        done = self.run_command(server, check=2)
        self.assertIn(f"is in use by process {process.popen.pid}", done.stderr)
        process.kill()
        with contextlib.closing(sqlite3.connect(f"{self.output}.state/journal.db")) as journal:
            journal.execute("PRAGMA user_version=99")
        done = self.run_command(server, check=2)
        self.assertIn("expected schema version", done.stderr)
        self.assertIn("version 99", done.stderr)

    def test_a_state_directory_of_another_user_is_refused(self):
        server = self.server()
        write_batch(self.input, 5)
        self.run_command(server)
        journal = f"{self.output}.state/journal.db"
        os.chown(journal, 65534, -1)  # needs root, as other tests do
        done = self.run_command(server, check=2)
        self.assertIn(f"{journal} belongs to user 65534", done.stderr)
        os.chown(journal, os.geteuid(), -1)
        self.run_command(server)

    def test_a_state_directory_is_verified_and_shown(self):
        server = self.server()
        write_batch(self.input, 50)
        self.gristmill("run", self.input, "--endpoint", server.url, "-o", self.output)
        state = f"{self.output}.state"
        self.assertIn("50 result lines", self.gristmill("journal", "verify", state).stdout)
        self.assertEqual(json.loads(self.gristmill("journal", "verify", state, "--json").stdout)["lines"], 50)
        self.assertRegex(self.gristmill("journal", "show", state).stdout, r"job-1 +finished +50 ")
        shown = json.loads(self.gristmill("journal", "show", state, "--json").stdout)
        self.assertEqual([(job["state"], job["completed"]) for job in shown["jobs"]], [("finished", 50)])
        commits = [json.loads(line) for line in
                   self.gristmill("journal", "show", state, "--commits", "--json").stdout.splitlines()]
        self.assertEqual(sum(commit["completed"] for commit in commits), 50)
        with open(f"{state}/results-000001.jsonl", "r+b") as segment:
            segment.seek(100)
            segment.write(b"~")
        self.assertIn("damaged", self.gristmill("journal", "verify", state, check=70).stdout)
        self.assertIn("no journal.db", self.gristmill("journal", "verify", self.directory, check=2).stderr)

    def test_strict_fails_the_job_at_the_first_bad_line(self):
        write_batch(self.input, 10)
        with open(self.input, "a", encoding="utf-8") as file:
            file.write("nonsense\n")
        server = self.server()
        done = self.run_command(server, "--strict", check=5)
        self.assertIn("in.jsonl:11: ", done.stderr)
        self.run_command(server, "--restart", check=3)

    def test_a_limit_may_grow_and_not_shrink(self):
        write_batch(self.input, 100)
        server = self.server()
        self.run_command(server, "--limit", "10")
        self.check_result(self.output, 10)
        self.run_command(server, "--limit", "25")
        self.check_result(self.output, 25)
        smaller = self.run_command(server, "--limit", "24", check=2)
        self.assertIn("--limit may only grow", smaller.stderr)
        self.run_command(server)
        self.check_result(self.output, 100)
        self.run_command(server, "--limit", "100", check=2)
        self.assertEqual(self.stats(server)["calls"], 100)

    def test_in_a_cluster_a_job_is_paused_resumed_and_retried(self):
        bad = set(range(0, 2_000, 10))
        text = lambda n: f"question {n}" + (" BAD" if n in bad else "")
        write_batch(self.input, 2_000, text)
        server = self.server("--latency", "20ms", "--fault", "status:code=400,match=BAD")
        coordinator = self.coordinator()
        self.worker(coordinator, "w", "--concurrency", "16")
        at = ("--server", coordinator.http, "--json")
        job = self.gristmill("submit", self.input, "--endpoint", server.url, "--server",
                             coordinator.http).stdout.strip()
        self.until_calls(server, 200)
        self.assertEqual(json.loads(self.gristmill("pause", job, *at).stdout)["state"], "paused")
        self.until("calls in flight to end",
                   lambda: self.job(coordinator, job)["counts"]["in_flight"] == 0)
        calls = self.stats(server)["calls"]
        self.assertLess(calls, 2_000)
        view = self.job(coordinator, job)
        self.assertEqual((view["state"], view["reason"]), ("paused", "user"))
        self.assertEqual(self.gristmill("watch", job, *at, check=4).returncode, 4)
        self.assertIn("resume it", self.gristmill("retry", job, *at, check=2).stderr)

        # A pause outlives the coordinator.
        coordinator.end()
        coordinator = self.coordinator(label="coordinator-2", listen=coordinator.listen,
                                       http=coordinator.http.removeprefix("http://"))
        self.assertEqual(self.job(coordinator, job)["state"], "paused")
        self.assertEqual(self.stats(server)["calls"], calls)
        self.gristmill("resume", job, *at)
        self.gristmill("watch", job, *at, check=3)
        self.gristmill("results", job, "-o", self.output, *at)
        self.check_result(self.output, 2_000, text, failed=bad)
        self.assertEqual(self.stats(server)["calls"], 2_000)
        self.assertIn("nothing to go on with",
                      self.gristmill("resume", job, *at, check=2).stderr)

        self.control(server, faults=[])
        self.assertIn("no failed item of these classes",
                      self.gristmill("retry", job, "--class", "timeout", *at, check=2).stderr)
        self.gristmill("retry", job, *at)
        self.gristmill("watch", job, *at)
        self.gristmill("results", job, "-o", self.output, *at)
        self.check_result(self.output, 2_000, text)
        self.assertEqual(self.stats(server)["calls"], 2_000 + len(bad))

    def test_a_forgotten_job_leaves_nothing_behind_and_its_number_is_not_used_again(self):
        write_batch(self.input, 20)
        server = self.server("--latency", "100ms")
        coordinator = self.coordinator()
        self.worker(coordinator, "w", "--concurrency", "2")
        at = ("--server", coordinator.http)
        job = self.gristmill("submit", self.input, "--endpoint", server.url, *at).stdout.strip()
        self.assertIn("cancel it first", self.gristmill("forget", job, *at, check=2).stderr)
        self.control(server, latency="0")
        self.gristmill("watch", job, *at)
        state = self.directory / "state"
        self.assertTrue(list(state.glob("inputs/*")) and list(state.glob("jobs/*")))
        self.gristmill("forget", job, *at)
        self.until("its directories to be swept",  # by a thread of its own, behind the answer
                   lambda: not [*state.glob("inputs/*"), *state.glob("jobs/*")])
        self.assertIn(f"there is no {job}", self.gristmill("status", job, *at, check=2).stderr)
        coordinator.end()
        coordinator = self.coordinator(label="coordinator-2", listen=coordinator.listen,
                                       http=coordinator.http.removeprefix("http://"))
        again = self.gristmill("submit", self.input, "--endpoint", server.url, *at).stdout.strip()
        self.assertNotEqual(again, job)
        self.gristmill("watch", again, *at)


if __name__ == "__main__":
    unittest.main()
