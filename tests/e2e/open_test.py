"""Open jobs: inputs that are appended while the job runs, each once, whoever dies meanwhile; answers
that are printed as they come; and the job's end when it is closed. The witness is the server's log.
"""
import collections
import json
import signal
import socket
import subprocess
import unittest

from harness import PATIENCE_S, EndToEnd, binary, crc


class Open(EndToEnd):
    def setUp(self):
        super().setUp()
        self.simllm = self.server()
        self.output = self.directory / "out.jsonl"
        self.uploads = self.directory / "state/inputs"

    def serve(self, workers=2):
        self.hub = self.coordinator()
        for n in range(workers):
            self.worker(self.hub, f"w{n}", "--endpoint", self.simllm.url, "--model", "m")

    def again(self):
        """The coordinator that was killed comes back where it was."""
        self.hub = self.coordinator(label="again", listen=self.hub.listen,
                                    http=self.hub.http.removeprefix("http://"))

    def ask(self, *arguments, check=0, stdin=None):
        done = subprocess.run([binary("gristmill"), *map(str, arguments), "--server", self.hub.http],
                              capture_output=True, text=True, timeout=PATIENCE_S, input=stdin or "",
                              cwd=self.directory)
        self.assertEqual(done.returncode, check, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def begin(self, *arguments):
        return self.ask("submit", "--open", "-m", "m", *arguments).stdout.strip()

    def follow(self, job, label="follow"):
        return self.start("gristmill", "results", job, "--follow", "--server", self.hub.http, label=label)

    def close(self, job, check=0):
        self.ask("close", job)
        self.ask("watch", job, check=check)

    def documents(self, name, numbers):
        path = self.directory / name
        path.write_text("".join(f'{{"id":"{n}","text":"text {n}"}}\n' for n in numbers))
        return path

    def check_lines(self, lines, numbers):
        """Exactly these items, in this order, each with its own answer."""
        results = [json.loads(line) for line in lines]
        self.assertEqual([r["custom_id"] for r in results], [str(n) for n in numbers])
        for result in results:
            content = result["response"]["body"]["choices"][0]["message"]["content"]
            self.assertTrue(content.startswith("sim " + crc("text " + result["custom_id"])), result)

    def check_end(self, job, numbers):
        self.ask("results", job, "-o", self.output)
        self.check_lines(self.output.read_text().splitlines(), numbers)

    def is_idle(self, job, completed):
        shown = self.job(self.hub, job)
        return shown["counts"]["completed"] == completed and shown["waiting_for"] == "input"


class Appends(Open):
    def test_items_of_three_appends_are_answered_once_and_printed_as_they_come(self):
        self.serve()
        job = self.begin()
        follow = self.follow(job)
        (self.directory / "b.csv").write_text("id,text\n" + "".join(f"{n},text {n}\n" for n in range(10, 15)))
        appended = [self.ask("append", job, self.documents("a.jsonl", range(10))).stdout]
        lines = [follow.popen.stdout.readline() for _ in range(10)]  # while nothing else is there
        self.check_lines(sorted(lines, key=lambda line: int(json.loads(line)["custom_id"])), range(10))
        appended.append(self.ask("append", job, "b.csv").stdout)
        appended.append(self.ask("append", job, "-", stdin='{"id":"15","text":"text 15"}\n').stdout)
        self.assertEqual(appended, [f"{job}: append {n} (1 input)\n" for n in (1, 2, 3)])
        shown = self.job(self.hub, job)
        self.assertEqual((shown["open"], shown["appends"]), (True, 3))
        self.close(job)
        self.assertEqual(self.job(self.hub, job)["open"], False)
        lines += follow.popen.stdout.readlines()
        self.assertEqual(follow.wait(), 0, follow.stderr())
        self.assertEqual(sorted(int(json.loads(line)["custom_id"]) for line in lines), list(range(16)))
        self.check_end(job, range(16))
        self.assertEqual(len(self.calls(self.simllm)), 16)

    def test_a_job_may_begin_with_inputs_and_many_files_are_one_append(self):
        self.serve()
        job = self.begin(self.documents("a.jsonl", range(3)))
        for n in range(3, 33):
            self.documents(f"more-{n:02}.jsonl", [n])
        self.assertIn("append 1 (30 inputs)", self.ask("append", job, "more-*.jsonl").stdout)
        self.close(job)
        self.check_end(job, range(33))

    def test_an_id_that_an_earlier_append_has_is_an_error_line(self):
        self.serve()
        job = self.begin()
        self.ask("append", job, self.documents("a.jsonl", range(3)))
        self.ask("append", job, self.documents("b.jsonl", [2, 3]))
        self.close(job, check=3)
        self.ask("results", job, "-o", self.output)
        results = [json.loads(line) for line in self.output.read_text().splitlines()]
        self.assertEqual(len(results), 5)
        self.assertEqual([n for n, r in enumerate(results) if r["error"]], [3])
        self.assertEqual(len(self.calls(self.simllm)), 4)

    def test_an_open_job_without_input_says_that_it_waits_for_some(self):
        self.serve(1)
        job = self.begin(self.documents("a.jsonl", range(2)))
        self.until("it has nothing to do", lambda: self.is_idle(job, 2))
        self.assertIn("input", self.ask("explain", job).stdout)
        self.assertRegex(self.ask("status", job).stdout, r"waiting +\S.*input")
        self.assertEqual(json.loads(self.ask("explain", job, "--json").stdout)["kind"], "input")
        self.close(job)

    def test_a_cancelled_job_takes_no_more_and_a_forgotten_one_leaves_no_upload(self):
        self.serve(1)
        job = self.begin()
        self.ask("append", job, self.documents("a.jsonl", range(3)))
        self.until("it has nothing to do", lambda: self.is_idle(job, 3))
        self.assertEqual(len(list(self.uploads.iterdir())), 1)
        self.ask("cancel", job)
        self.ask("watch", job, check=3)
        self.assertIn(job, self.ask("append", job, self.documents("b.jsonl", [4]), check=2).stderr)
        self.check_end(job, range(3))
        self.ask("forget", job)
        self.assertEqual(list(self.uploads.iterdir()), [])


class Refusals(Open):
    def test_each_append_that_cannot_be_has_its_own_words_and_leaves_nothing(self):
        self.serve(1)
        a, b = self.documents("a.jsonl", range(3)), self.documents("b.jsonl", [3])
        self.assertIn("job-99", self.ask("append", "job-99", a, check=2).stderr)
        ended = self.ask("submit", a, "-m", "m").stdout.strip()
        self.ask("watch", ended)
        before = len(list(self.uploads.iterdir()))
        self.assertRegex(self.ask("append", ended, b, check=2).stderr, "open|over|finished")
        self.assertEqual(len(list(self.uploads.iterdir())), before)
        job = self.begin()
        self.ask("append", job, a, "--key", "monday")
        again = self.ask("append", job, a, "--key", "monday")
        self.assertEqual(again.stdout, f"{job}: appended before, as append 1; nothing was added\n")
        self.assertIn("monday", self.ask("append", job, b, "--key", "monday", check=2).stderr)
        self.ask("append", job, b)
        self.assertIn("appended before, as append 2", self.ask("append", job, b, check=2).stderr)
        self.assertEqual(len(list(self.uploads.iterdir())), before + 2, "those that jobs have, no others")
        self.close(job)
        self.assertRegex(self.ask("append", job, self.documents("c.jsonl", [4]), check=2).stderr, "clos|over")
        self.check_end(job, range(4))
        self.assertEqual(len(self.calls(self.simllm)), 3 + 4)

    def test_what_goes_with_no_open_job_is_refused_by_name(self):
        self.serve(0)
        self.assertIn("gristmill close", self.ask("submit", "--open", "-m", "m", "--wait", check=2).stderr)
        self.assertIn("INPUT", self.ask("submit", "-m", "m", check=2).stderr)
        refused = self.ask("results", "job-1", "--follow", "-o", "x.jsonl", check=2)
        self.assertIn("--follow", refused.stderr)

    def test_an_upload_that_is_cut_is_no_append(self):
        self.serve(1)
        job = self.begin()
        port = int(self.hub.http.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /api/v1/inputs?name=a.jsonl HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n"
                           b'{"id":"0","text":"text 0"}\n')
        self.until("nothing of it is left", lambda: list(self.uploads.iterdir()) == [])
        self.ask("append", job, self.documents("a.jsonl", range(2)))
        self.close(job)
        self.check_end(job, range(2))

    def test_places_of_lines_are_those_that_were_named(self):
        self.serve(1)
        job = self.begin(self.documents("a.jsonl", range(2)))
        self.until("it has nothing to do", lambda: self.is_idle(job, 2))
        for place in ("x", "1", "7:0", "1:1", "1:999999", "0:1"):
            with self.subTest(place):
                with socket.create_connection(("127.0.0.1", int(self.hub.http.rsplit(":", 1)[1]))) as client:
                    client.sendall(f"GET /api/v1/jobs/{job}/lines?from={place} HTTP/1.1\r\n"
                                   "Host: localhost\r\nConnection: close\r\n\r\n".encode())
                    self.assertEqual(client.makefile("rb").readline().split()[1], b"400")
        self.close(job)


class Deaths(Open):
    def test_a_killed_coordinator_loses_no_append_and_knows_its_keys(self):
        self.serve()
        self.control(self.simllm, latency="50ms")
        job = self.begin()
        follow = self.follow(job)
        a, b = self.documents("a.jsonl", range(200)), self.documents("b.jsonl", range(200, 300))
        self.ask("append", job, a, "--key", "a")
        self.until_calls(self.simllm, 50)
        self.hub.kill()
        self.again()
        self.assertIn("before, as append 1", self.ask("append", job, a, "--key", "a").stdout)
        self.assertIn("append 2", self.ask("append", job, b, "--key", "b").stdout)
        self.until("all to be done", lambda: self.is_idle(job, 300))
        self.hub.kill()  # while it has nothing to do
        self.again()
        self.assertIn("before, as append 2", self.ask("append", job, b, "--key", "b").stdout)
        self.close(job)
        followed = [json.loads(line)["custom_id"] for line in follow.popen.stdout]
        self.assertEqual(follow.wait(), 0, follow.stderr())
        self.assertEqual(sorted(map(int, followed)), list(range(300)), "each once, through both deaths")
        self.check_end(job, range(300))
        self.check_one_call_per_attempt(self.calls(self.simllm))

    def test_an_append_that_a_kill_meets_is_there_once_when_it_is_tried_again(self):
        self.serve()
        job = self.begin()
        a = self.documents("a.jsonl", range(50_000))
        append = ["gristmill", "append", job, a, "--key", "a", "--server", self.hub.http]
        killed = self.start(*append, label="append")
        self.until("its upload has begun", lambda: any(self.uploads.iterdir()) or killed.popen.poll() is not None)
        self.hub.kill()
        self.assertIn(killed.wait(), (0, 4), killed.stderr())
        self.again()
        self.ask("append", job, self.documents("b.jsonl", range(50_000, 50_010)), "--key", "b")
        self.ask("append", job, a, "--key", "a")
        self.assertEqual(self.job(self.hub, job)["appends"], 2)
        self.close(job)
        self.ask("results", job, "-o", self.output)
        ids = collections.Counter(json.loads(line)["custom_id"] for line in self.output.read_text().splitlines())
        self.assertEqual(len(ids), 50_010)
        self.assertEqual(set(ids.values()), {1})

    def test_who_follows_ends_in_peace_when_told_or_when_nobody_reads(self):
        self.serve(1)
        job = self.begin(self.documents("a.jsonl", range(2)))
        told, unread = self.follow(job, "told"), self.follow(job, "unread")
        for process in (told, unread):
            process.popen.stdout.readline()
        unread.popen.stdout.close()
        self.assertEqual(unread.wait(), 0, unread.stderr())
        self.assertEqual(told.end(signal.SIGINT), 130)
        self.close(job)


if __name__ == "__main__":
    unittest.main(verbosity=2)
