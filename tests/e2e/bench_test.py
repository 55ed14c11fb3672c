"""The clients that are measured beside `gristmill run` do what they are measured for: each asks for every item
of a batch file, and none takes an answer that is not a 200 for a success.

Without wrk, which runs for 5 seconds whatever it is given, and without gristmill, which has its own tests.
"""
import pathlib
import subprocess
import sys
import unittest

from harness import BUILD, EndToEnd, write_batch

BENCH = pathlib.Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))
import client_table  # noqa: E402

SCRIPTS = ("aiohttp", "undici", "openai")


class Bench(EndToEnd):
    def bench(self, *arguments):
        return subprocess.run([sys.executable, "-B", str(BENCH / "bench.py"), str(BUILD), *arguments],
                              capture_output=True, text=True, timeout=300)

    def test_the_table_has_a_row_of_each_client(self):
        done = self.bench("--items", "20", "--concurrency", "4", "--clients", ",".join(("bare", *SCRIPTS)))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in done.stdout.splitlines()]
        expected = [[latency, "4", client, "20"] for latency in ("0", "lognormal:50ms:0.5")
                    for client in ("bare", *SCRIPTS)]
        self.assertEqual(rows[2:], expected)

    def test_an_answer_that_is_no_success_ends_a_client(self):
        source = self.directory / "in.jsonl"
        write_batch(source, 3)
        server = self.server("--fault", "status:code=500")
        for name in SCRIPTS:
            client = client_table.chosen(["bare", name])[1]
            command = client.command(source, server.url, self.directory / "out.jsonl", 2)
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(done.returncode, 0, name)
            self.assertIn("500", done.stderr, name)

    def test_what_it_cannot_measure_is_refused(self):
        for arguments, sentence in (
                (("--items", "0"), "expected a whole number of 1 or more, got '0'"),
                (("--concurrency", "4,b"), "expected a whole number of 1 or more, got 'b'"),
                (("--clients", "bare,wget"), "expected clients among bare,gristmill,wrk,"),
                (("--clients", "gristmill"), "expected bare among the clients")):
            done = self.bench(*arguments)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertIn(sentence, done.stderr)


if __name__ == "__main__":
    unittest.main()
