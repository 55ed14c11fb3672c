"""`gristmill run -` begins with the first line of standard input and not with its end, prints each answer when it
is durable, and goes on after a kill where it was. The witness is what the server was sent.
"""
import collections
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from dedupe import Dedupe
from harness import PATIENCE_S, binary, crc


def line(n, text=None):
    return json.dumps({"id": f"i{n}", "text": text or f"question {n}"}).encode() + b"\n"


class Streams(Dedupe):
    def setUp(self):
        super().setUp()
        self.piped = []

    def tearDown(self):
        for process in self.piped:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        super().tearDown()

    def pipe(self, server, *arguments, output=None):
        """The command, with pipes at its standard input and output."""
        process = subprocess.Popen([binary("gristmill"), "run", "-", "--endpoint", server.url, "-m", "m", "-o",
                                    str(output or self.output), "--no-progress", *map(str, arguments)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.piped.append(process)
        return process

    def end(self, process, code=0):
        process.stdin.close()
        process.wait(PATIENCE_S)
        said = process.stderr.read().decode()
        self.assertEqual(process.returncode, code, said)
        return said

    def asked(self, server):
        return collections.Counter(json.loads(call["body"])["messages"][-1]["content"] for call in self.calls(server))

    def ids(self):
        return [json.loads(text)["custom_id"] for text in self.output.read_text().splitlines()]

    def test_each_answer_comes_before_the_next_question(self):
        server = self.server("--latency", "100ms")
        run = self.pipe(server, output="-")
        waited = []
        for n in range(8):
            begun = time.monotonic()
            run.stdin.write(line(n))
            answer = json.loads(run.stdout.readline())
            waited.append(time.monotonic() - begun)
            self.assertEqual(answer["custom_id"], f"i{n}")
            self.assertTrue(answer["response"]["body"]["choices"][0]["message"]["content"].startswith(
                "sim " + crc(f"question {n}")))
        self.assertLess(sorted(waited)[len(waited) // 2], 0.1 + 1, waited)
        self.end(run)

    def test_a_file_has_all_answers_in_input_order(self):
        server = self.server("--latency", "uniform:1ms:50ms", "--log-bodies")
        run = self.pipe(server)
        for n in range(300):
            run.stdin.write(line(n))
            if n % 100 == 0:
                self.until_calls(server, n + 1)
        self.end(run)
        self.assertEqual(self.ids(), [f"i{n}" for n in range(300)])
        self.assertEqual(set(self.asked(server).values()), {1})
        self.assertFalse(list(self.directory.glob("*.stdin*")), "the spool goes with success")

    def test_a_torn_line_is_one_when_its_rest_has_come(self):
        server = self.server("--log-bodies")
        run = self.pipe(server)
        run.stdin.write(line(0) + line(1)[:9])
        self.until_calls(server, 1)
        run.stdin.write(line(1)[9:] + line(2)[:-1])
        self.until_calls(server, 2)
        self.end(run)
        self.assertEqual(self.ids(), ["i0", "i1", "i2"])

    def begin_and_kill(self, server, count=5):
        run = self.pipe(server)
        for n in range(count):
            run.stdin.write(line(n))
        run.stdin.write(line(count)[:7])  # torn by the kill
        self.until_calls(server, count)
        state = self.directory / "out.jsonl.state"
        self.until("the answers to be durable", lambda: len(self.durable(state)) >= count)
        self.until("all to be spooled", lambda: (self.directory / "out.jsonl.state.stdin").read_bytes().endswith(line(count)[:7]))
        run.kill()
        run.wait()

    def test_killed_it_goes_on_when_it_is_given_the_same_again(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        run = self.pipe(server)
        for n in range(8):
            run.stdin.write(line(n))
        self.end(run)
        self.assertEqual(self.ids(), [f"i{n}" for n in range(8)])
        self.assertEqual(self.asked(server), collections.Counter(f"question {n}" for n in range(8)))

    def test_or_when_it_goes_on_behind_that(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        run = self.pipe(server, "--continue")
        for n in range(6, 9):
            run.stdin.write(line(n))
        self.assertIn("a line of standard input was cut", self.end(run))
        self.assertEqual(self.ids(), [f"i{n}" for n in (0, 1, 2, 3, 4, 6, 7, 8)])
        self.assertEqual(set(self.asked(server).values()), {1})

    def test_or_ends_with_what_came(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        said = self.end(self.pipe(server))
        self.assertIn("standard input had not come to its end: the job ends with the", said)
        self.assertIn("without the line that was cut", said)
        self.assertEqual(self.ids(), [f"i{n}" for n in range(5)])
        self.assertIn("finished: 5 items", self.end(self.pipe(server)))

    def test_another_one_is_refused_and_nothing_is_lost(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        other = self.pipe(server)
        other.stdin.write(line(9))
        said = self.end(other, 2)
        self.assertIn("expected the standard input that the earlier run began with", said)
        self.assertIn("--restart", said)
        self.assertIn("--continue", said)
        shorter = self.pipe(server)
        shorter.stdin.write(line(0))
        self.assertIn("its beginning", self.end(shorter, 2))
        run = self.pipe(server)
        for n in range(6):
            run.stdin.write(line(n))
        self.end(run)
        self.assertEqual(self.ids(), [f"i{n}" for n in range(6)])
        self.assertEqual(sum(self.asked(server).values()), 6)

    def test_a_command_that_is_refused_leaves_the_stream_as_it_was(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        spool = self.directory / "out.jsonl.state.stdin"
        before = spool.read_bytes()
        said = self.end(self.pipe(server, "-p", "another {{text}}"), 2)  # without standard input
        self.assertIn("--prompt differs", said)
        self.assertEqual(spool.read_bytes(), before)
        run = self.pipe(server)
        for n in range(7):
            run.stdin.write(line(n))
        self.end(run)
        self.assertEqual(self.ids(), [f"i{n}" for n in range(7)])

    def test_one_that_meets_a_running_one_leaves_it_alone(self):
        server = self.server("--log-bodies")
        run = self.pipe(server, "--state", self.directory / "st", output="-")
        run.stdin.write(line(0) + line(1)[:9])
        self.assertEqual(json.loads(run.stdout.readline())["custom_id"], "i0")
        said = self.end(self.pipe(server, "--state", self.directory / "st", output="-"), 2)
        self.assertIn("in use", said)
        run.stdin.write(line(1)[9:])
        self.assertEqual(json.loads(run.stdout.readline())["custom_id"], "i1")
        self.end(run)

    def test_resumed_it_waits_in_peace_and_finishes_what_it_had(self):
        server = self.server("--log-bodies")
        self.begin_and_kill(server)
        run = self.pipe(server, "--continue")
        self.until("the command to be up", lambda: (self.directory / "out.jsonl.state" / "journal.db-wal").exists())
        time.sleep(0.5)  # so that what it uses is what it uses while it waits
        used = self.cpu_seconds(run)
        time.sleep(1.5)
        self.assertLess(self.cpu_seconds(run) - used, 0.5)
        run.stdin.write(line(6))
        self.end(run)
        self.assertEqual(self.ids(), [f"i{n}" for n in (0, 1, 2, 3, 4, 6)])

    @staticmethod
    def cpu_seconds(process):
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_the_same_that_stays_open_does_not_hold_up_what_was_left(self):
        server = self.server("--log-bodies", "--latency", "3600s")
        run = self.pipe(server)
        run.stdin.write(line(0) + line(1))
        self.until_calls(server, 2)
        run.kill()
        run.wait()
        quick = self.server("--log-bodies", label="quick")
        again = self.pipe(quick)
        again.stdin.write(line(0) + line(1))
        self.until_calls(quick, 2)  # though standard input stays open
        self.end(again)
        self.assertEqual(self.ids(), ["i0", "i1"])

    def test_a_long_first_line_is_a_first_line(self):
        server = self.server()
        run = self.pipe(server, output="-")
        run.stdin.write(line(0, "x" * 2_000_000))
        self.assertEqual(json.loads(run.stdout.readline())["custom_id"], "i0")
        self.end(run)

    def test_an_array_is_told_as_one_however_slowly_it_comes(self):
        server = self.server("--log-bodies")
        run = self.pipe(server)
        run.stdin.write(b"[\n")
        time.sleep(0.6)
        run.stdin.write(b'{"id":"a","text":"x"}]\n')
        self.end(run, 3)
        self.assertIn("JSON array", self.output.read_text())
        self.assertEqual(self.calls(server), [])

    def test_a_finished_one_that_was_killed_at_its_end_is_known_again(self):
        server = self.server("--log-bodies", "--latency", "3600s")
        run = self.pipe(server)
        run.stdin.write(line(0))
        self.until_calls(server, 1)
        run.stdin.write(line(1))
        self.until_calls(server, 2)
        run.stdin.close()
        self.until("the end to be known", lambda: not list(self.directory.glob("*.open")))
        run.kill()
        run.wait()
        quick = self.server(label="quick")
        self.end(self.pipe(quick))
        self.assertEqual(self.ids(), ["i0", "i1"])
        self.assertIn("finished: 2 items", self.end(self.pipe(quick)))

    def test_continue_is_for_what_had_not_ended(self):
        server = self.server()
        run = self.pipe(server)
        run.stdin.write(line(0))
        self.end(run)
        again = self.pipe(server, "--continue")
        self.assertIn("--continue: expected a job whose standard input had not come to its end", self.end(again, 2))

    def test_a_finished_one_is_known_again_by_its_content(self):
        server = self.server()
        run = self.pipe(server)
        run.stdin.write(line(0))
        self.until_calls(server, 1)
        run.stdin.write(line(1))
        self.until_calls(server, 2)
        self.end(run)
        for given, code, words in ((line(0) + line(1), 0, "finished: 2 items"), (b"", 0, "finished: 2 items"),
                                   (line(0), 2, "--restart"), (line(0) + line(2), 2, "--restart")):
            with self.subTest(given):
                again = self.pipe(server)
                again.stdin.write(given)
                self.assertIn(words, self.end(again, code))

    def test_it_stops_at_its_limit_and_goes_on_with_a_higher_one(self):
        server = self.server("--log-bodies")
        run = self.pipe(server, "--limit", 3)
        for n in range(5):
            run.stdin.write(line(n))
        run.wait(PATIENCE_S)  # though standard input goes on
        self.assertEqual(run.returncode, 0, run.stderr.read())
        self.assertEqual(self.ids(), ["i0", "i1", "i2"])
        more = self.pipe(server, "--limit", 6)
        for n in range(6):
            more.stdin.write(line(n))
        more.wait(PATIENCE_S)
        self.assertEqual(more.returncode, 0, more.stderr.read())
        self.assertEqual(self.ids(), [f"i{n}" for n in range(6)])
        self.assertEqual(set(self.asked(server).values()), {1})

    def test_ctrl_c_ends_it_and_the_same_command_resumes(self):
        server = self.server("--log-bodies")
        run = self.pipe(server)
        run.stdin.write(line(0))
        self.until_calls(server, 1)
        run.send_signal(signal.SIGINT)
        run.wait(PATIENCE_S)
        self.assertEqual(run.returncode, 128 + signal.SIGINT, run.stderr.read())
        again = self.pipe(server)
        again.stdin.write(line(0) + line(1))
        self.end(again)
        self.assertEqual(self.ids(), ["i0", "i1"])
        self.assertEqual(sum(self.asked(server).values()), 2)

    def test_retries_go_on_while_there_is_no_more_input(self):
        server = self.server("--log-bodies", "--fault", "status:code=500,times=2")
        run = self.pipe(server, output="-")
        run.stdin.write(line(0))
        self.assertEqual(json.loads(run.stdout.readline())["custom_id"], "i0")
        self.end(run)

    def test_ten_thousand_lines_a_second_and_more(self):
        count = 30_000
        server = self.server("--latency", "5ms")
        run = self.pipe(server, "--concurrency", 512)
        begun = time.monotonic()
        writer = threading.Thread(target=lambda: [run.stdin.write(b"".join(line(n) for n in range(m, m + 100)))
                                                  for m in range(0, count, 100)])
        writer.start()
        writer.join()
        self.end(run)
        print(f"\n{count / (time.monotonic() - begun):.0f} items/s through a pipe")
        self.assertEqual(self.ids(), [f"i{n}" for n in range(count)])


if __name__ == "__main__":
    unittest.main()
