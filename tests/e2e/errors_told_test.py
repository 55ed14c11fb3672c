"""Which errors a job meets is said while it meets them, in the server's words: progress, status,
explain, metrics, pools and log; at its end, with the command that goes on; and after a restart.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import unittest
import urllib.request

from harness import BUILD, PATIENCE_S, EndToEnd, write_batch

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)"


class ErrorsTold(EndToEnd):
    def setUp(self):
        super().setUp()
        self.source = self.directory / "in.jsonl"
        self.output = self.directory / "out.jsonl"

    def get(self, node, path):
        with urllib.request.urlopen(f"{node.http}{path}", timeout=10) as answer:
            return answer.read().decode()

    def begin(self, count, *arguments, faults=(), node=(), worker=()):
        """A server, a coordinator, a worker that announces the server, and a job of its model."""
        self.simllm = self.server(*[word for fault in faults for word in ("--fault", fault)])
        self.node = self.coordinator(*node)
        self.worker(self.node, "w", "--endpoint", self.simllm.url, "--model", "sim-small", *worker)
        write_batch(self.source, count)
        done = self.gristmill("submit", self.source, "--server", self.node.http, *arguments)
        return done.stdout.strip()

    def noted(self, job):
        """Errors of a job in the journal of a coordinator that stands still: it has them locked."""
        with self.node.frozen():
            copy = self.directory / "looked-at"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.directory / "state", copy)
        with contextlib.closing(sqlite3.connect(copy / "journal.db")) as journal:
            return journal.execute("SELECT coalesce(sum(count), 0) FROM errors WHERE job = ?",
                                   [int(job.removeprefix("job-"))]).fetchone()[0]

    def shell(self, command, check):
        """A command as it was printed, with our build in front of all others."""
        done = subprocess.run(command, shell=True, capture_output=True, text=True,
                              timeout=PATIENCE_S, cwd=self.directory,
                              env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"})
        self.assertEqual(done.returncode, check, f"{command}: {done.stdout}{done.stderr}")
        return done

    def next_of(self, said):
        """The command behind `next`, which stands alone on its line."""
        found = re.findall(r"(?m)^next    (.+)$", said)
        self.assertEqual(len(found), 1, said)
        return found[0]

    # ---- while it runs ---------------------------------------------------------------------------

    def test_while_items_are_tried_again_everything_names_the_error(self):
        job = self.begin(40, faults=["status:code=500,body-code=gpu_on_fire"])
        server = self.simllm.url

        def met():
            return next((e for e in self.job(self.node, job)["errors"] if e["retried"] > 0), None)

        self.until("an error to be counted", met)
        error = met()
        self.assertEqual((error["class"], error["code"], error["http_status"]),
                         ("transient", "gpu_on_fire", 500))
        self.assertEqual(error["final"] + error["retried"], error["count"])
        self.assertTrue(error["sample"])
        self.assertGreater(error["at"], 1_700_000_000)
        self.assertIn("gpu_on_fire", self.gristmill("status", job, "--server",
                                                    self.node.http).stdout)
        # Whatever keeps its items for the moment: as long as there are some that wait, why is said.
        self.until("explain to name the error", lambda: "gpu_on_fire" in json.loads(
            self.get(self.node, f"/api/v1/jobs/{job}/explain"))["sentence"])
        self.until("the page of metrics to count it", lambda: re.search(
            rf'gristmill_job_errors_total{{job="{job}",class="transient",final="false"}} [1-9]',
            self.get(self.node, "/metrics")))
        self.assertRegex(self.get(self.node, "/metrics"),
                         rf'gristmill_endpoint_errors_total{{model="sim-small",url="{server}",'
                         r'worker="w",class="transient"} [1-9]')
        pool = json.loads(self.get(self.node, "/api/v1/pools"))["pools"][0]
        self.assertEqual(pool["endpoints"][0]["last_error"]["code"], "gpu_on_fire")
        self.assertIn("gpu_on_fire", self.gristmill("pools", "--server", self.node.http).stdout)
        log = self.node.stderr()
        self.assertEqual(log.count("call.failed"), 1, log)  # 40 and more calls have failed by now
        self.assertIn(f"endpoint={server} class=transient status=500 code=gpu_on_fire", log)
        self.assertRegex(log, rf"(?m)^{TIME} \S+ call.failed ")
        self.gristmill("cancel", job, "--server", self.node.http)

    def test_progress_of_run_says_why_its_only_item_waits(self):
        server = self.server("--fault", "status:code=429,body-code=tokens_per_day,retry_after=300")
        write_batch(self.source, 1)
        run = self.start("gristmill", "run", self.source, "--endpoint", server.url, "-o",
                         self.output, label="run")
        self.until("progress to name the error",
                   lambda: re.search(r"waiting: .*HTTP 429 tokens_per_day: ", run.stderr()))
        self.assertEqual(run.end(signal.SIGINT), 130)

    def test_at_full_speed_a_job_does_not_wait(self):
        server = self.server("--latency", "400ms")
        write_batch(self.source, 60)
        run = self.start("gristmill", "run", self.source, "--endpoint", server.url, "-o",
                         self.output, "--max-in-flight", "4", label="run")
        self.assertEqual(run.wait(), 0, run.stderr())
        self.assertNotIn("waiting", run.stderr())

    # ---- at its end ------------------------------------------------------------------------------

    def test_a_run_that_ends_with_failures_says_which_and_the_command_that_goes_on_does(self):
        write_batch(self.source, 30, lambda n: f"question {n}" + " BAD" * (n < 3) + " SICK" * (n > 25))
        server = self.server("--fault", "status:code=422,body-code=wrong_field,match=BAD",
                             "--fault", "status:code=500,body-code=ill,match=SICK")
        done = self.shell(f"gristmill run in.jsonl --endpoint {server.url} -o 'out put.jsonl' "
                          "--retries 0 --max-failures off --restart", check=3)
        said = done.stderr
        self.assertIn("errors  4 failed as transient: HTTP 500 ill: ", said)
        self.assertIn("        3 failed as bad_line: HTTP 422 wrong_field: ", said)
        self.assertRegex(said, r"\(item-\d+, in.jsonl:\d+\)\n")
        again = self.next_of(said)
        self.assertEqual(again, f"gristmill run in.jsonl --endpoint {server.url} -o "
                                "'out put.jsonl' --retries 0 --max-failures off "
                                "--retry-failed=transient")
        self.control(server, faults=["status:code=422,body-code=wrong_field,match=BAD"])
        said = self.shell(again, check=3).stderr
        self.assertIn("errors  3 failed as bad_line", said)
        self.assertIn("they fail again unless that is mended", said)
        self.control(server, faults=[])
        self.shell(self.next_of(said), check=0)
        summary = self.summary(self.directory / "out put.jsonl")
        self.assertEqual(summary["counts"]["failed"], 0)

    def test_a_run_that_stops_says_why_and_the_command_that_goes_on_does(self):
        write_batch(self.source, 500)
        server = self.server("--latency", "5ms", "--fault", "status:code=400,body-code=no_taste")
        said = self.shell(f"gristmill run in.jsonl --endpoint {server.url} -o out.jsonl "
                          "--max-failures 5 --concurrency 4", check=4).stderr
        self.assertRegex(said, r"errors  \d+ failed as bad_line: HTTP 400 no_taste: ")
        self.control(server, faults=[])
        self.shell(self.next_of(said), check=3)

    def test_in_a_cluster_the_end_says_it_too_and_the_retry_it_names_works(self):
        job = self.begin(10, "--retries", "0", "--max-failures", "off",
                         faults=["status:code=500,body-code=ill"])
        done = self.gristmill("watch", job, "--server", self.node.http, check=3)
        self.assertIn("errors  10 failed as transient: HTTP 500 ill: ", done.stderr)
        again = self.next_of(done.stderr)
        self.assertEqual(again, f"gristmill retry {job} --server {self.node.http}")
        self.control(self.simllm, faults=[])
        self.shell(again, check=0)
        self.gristmill("watch", job, "--server", self.node.http)

    def test_retries_without_a_failure_stand_in_the_summary(self):
        write_batch(self.source, 20)
        server = self.server("--fault", "status:code=500,body-code=shy,times=1")
        done = self.gristmill("run", self.source, "--endpoint", server.url, "-o", self.output)
        self.assertIn("errors  20 tried again after transient: HTTP 500 shy: ", done.stderr)
        self.assertNotIn("next", done.stderr)
        error, = self.summary(self.output)["errors"]
        self.assertEqual((error["class"], error["code"], error["count"], error["retried"]),
                         ("transient", "shy", 0, 20))
        self.assertTrue(error["sample"]["message"])

    # ---- the log ---------------------------------------------------------------------------------

    def test_the_log_tells_a_job_s_life_as_json_too(self):
        job = self.begin(20, node=["--log-format", "json"])
        server = ("--server", self.node.http)
        self.until("the job to end", lambda: self.job(self.node, job)["state"] == "finished")
        self.control(self.simllm, latency="3600s")
        second = self.gristmill("submit", self.source, *server).stdout.strip()
        self.gristmill("pause", second, *server)
        self.gristmill("resume", second, *server)
        self.gristmill("cancel", second, *server)
        self.until("the log to tell it", lambda: "job.cancelling" in self.node.stderr())
        told = [json.loads(line) for line in self.node.stderr().splitlines()]
        lives = {of: [entry["event"] for entry in told
                      if entry.get("job") == of and entry["event"] not in ("job.waiting", "job.goes_on")]
                 for of in (job, second)}
        self.assertEqual(lives[job], ["job.submitted", "job.started", "job.merging", "job.ended"])
        self.assertEqual(lives[second][:5], ["job.submitted", "job.started", "job.paused",
                                             "job.resumed", "job.cancelling"])
        for entry in told:
            self.assertRegex(entry["time"], f"^{TIME}$")
            self.assertEqual(entry["level"] in ("info", "warning"), True, entry)
        end = next(entry for entry in told if entry["event"] == "job.ended")
        self.assertEqual((end["state"], end["items"], end["completed"], end["failed"]),
                         ("finished", "20", "20", "0"))

    # ---- restarts --------------------------------------------------------------------------------

    def test_what_a_job_met_is_known_after_a_crash_and_calls_in_flight_alone_are_ambiguous(self):
        job = self.begin(400, "--retries", "50", worker=["--concurrency", "4"],
                         faults=["status:code=500,body-code=ill,first=8"])
        self.until("errors to be counted",
                   lambda: sum(e["count"] for e in self.job(self.node, job)["errors"]) == 8)
        self.until_calls(self.simllm, 20)
        self.control(self.simllm, latency="3600s")
        self.until("calls to hang", lambda: self.stats(self.simllm)["in_flight"] == 4)
        self.until("the journal to hold the errors", lambda: self.noted(job) == 8)
        for process in self.processes:
            if process.name in ("w", "coordinator"):
                process.kill()
        self.control(self.simllm, latency="1ms")
        self.node = self.coordinator(label="again")
        self.worker(self.node, "other", "--endpoint", self.simllm.url, "--model", "sim-small")
        self.until("the job to end", lambda: self.job(self.node, job)["state"] == "finished")
        view = self.job(self.node, job)
        self.assertEqual(view["counts"]["completed"], 400)
        self.assertLessEqual(view["counts"]["ambiguous"], 4)
        error, = view["errors"]
        self.assertEqual((error["code"], error["final"], error["retried"]), ("ill", 0, 8))
        self.assertTrue(error["sample"])

    def test_after_a_stop_in_peace_nothing_is_ambiguous(self):
        write_batch(self.source, 3_000)
        server = self.server("--latency", "50ms")
        arguments = ["run", self.source, "--endpoint", server.url, "-o", self.output,
                     "--concurrency", "8"]
        crashed = self.start("gristmill", *arguments, label="crashed")
        self.until_calls(server, 50)
        crashed.kill()
        for n in range(2):
            stopped = self.start("gristmill", *arguments, label=f"stopped-{n}")
            before = self.stats(server)["calls"]
            self.until("calls to be made", lambda: self.stats(server)["calls"] > before + 50)
            self.assertEqual(stopped.end(signal.SIGINT), 130, stopped.stderr())
        self.control(server, latency="1ms")
        self.gristmill(*arguments)
        self.assertLessEqual(self.summary(self.output)["counts"]["ambiguous"], 8)

    def test_a_result_that_was_moved_away_is_written_again_without_a_call(self):
        write_batch(self.source, 50)
        server = self.server()
        arguments = ["run", self.source, "--endpoint", server.url, "-o", self.output]
        self.gristmill(*arguments)
        first = self.output.read_bytes()
        self.output.rename(self.directory / "elsewhere.jsonl")
        self.control(server, reset_stats=True)
        again = self.gristmill(*arguments)
        self.assertIn("is written again", again.stderr)
        self.assertEqual(self.output.read_bytes(), first)
        self.assertEqual(self.stats(server)["calls"], 0)
        self.assertNotIn("written again", self.gristmill(*arguments).stderr)

    def test_a_coordinator_s_result_that_was_moved_away_is_made_again_after_a_restart_too(self):
        job = self.begin(50)
        self.until("the job to end", lambda: self.job(self.node, job)["state"] == "finished")
        server = ("--server", self.node.http)
        self.gristmill("results", job, "-o", self.output, *server)
        first = self.output.read_bytes()
        self.assertEqual(self.node.end(), 0)
        self.node = self.coordinator(label="again")
        server = ("--server", self.node.http)
        made = self.directory / "state/jobs" / job.removeprefix("job-") / "output.jsonl"
        made.rename(self.directory / "elsewhere.jsonl")
        calls = self.stats(self.simllm)["calls"]
        self.gristmill("results", job, "-o", self.directory / "second.jsonl", *server)
        self.assertEqual((self.directory / "second.jsonl").read_bytes(), first)
        self.assertEqual(self.job(self.node, job)["state"], "finished")
        self.assertEqual(self.stats(self.simllm)["calls"], calls)
        self.gristmill("forget", job, *server)


if __name__ == "__main__":
    unittest.main()
