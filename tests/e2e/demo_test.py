"""The demo as a newcomer runs it: it ends well, says where the result is, and leaves no process."""
import json
import os
import re
import signal
import subprocess
import sys
import types
import unittest

from harness import BUILD, PATIENCE_S, ROOT, EndToEnd


class Demo(EndToEnd):
    FILES = 150

    def start_demo(self):
        self.result = self.directory / "demo" / "summaries.jsonl"
        self.words = self.directory / "demo.stdout"
        with open(self.words, "wb") as stdout:
            demo = subprocess.Popen(
                [sys.executable, "-B", ROOT / "deploy/demo.py", BUILD, "--files", str(self.FILES),
                 "--directory", self.result.parent],
                stdout=stdout, stderr=subprocess.PIPE, text=True)
        self.addCleanup(demo.kill)
        return demo

    def end_of(self, demo):
        _, self.complaint = demo.communicate(timeout=PATIENCE_S)
        return demo.returncode

    def pids(self):
        """Name -> pid of the processes that the demo says it started."""
        return {name: int(pid) for name, pid in
                re.findall(r"^  (\S+) +process (\d+)", self.words.read_text(), re.MULTILINE)}

    def check_all_gone(self, *names):
        pids = self.pids()
        self.assertEqual(set(pids), set(names))
        alive = []
        for name, pid in pids.items():
            try:
                os.kill(pid, 0)
                alive.append(name)
            except ProcessLookupError:
                pass
        self.assertEqual(alive, [])

    def until_calls_are_made(self):
        """Some of the calls; the others take seconds."""
        self.until("the demo to hand in its files", lambda: "--endpoint" in self.words.read_text())
        url = re.search(r"--endpoint (\S+)", self.words.read_text()).group(1)
        self.until_calls(types.SimpleNamespace(url=url), 10)

    ALL = ("model", "coordinator", "worker-1", "worker-2")

    def test_a_corpus_is_answered_and_nothing_stays_behind(self):
        self.FILES = 24
        code = self.end_of(self.start_demo())
        words = self.words.read_text()
        self.assertEqual(code, 0, words + self.complaint)
        self.check_all_gone(*self.ALL)
        lines = [json.loads(line) for line in self.result.read_text().splitlines()]
        self.assertEqual(len({line["custom_id"] for line in lines}), len(lines))
        self.assertTrue(all(line["response"]["status_code"] == 200 for line in lines))
        self.assertIn(str(self.result), words)
        self.assertIn(f"{len(lines)} items: {len(lines)} answered, 0 failed", words)
        self.assertIn("gristmill run", words)

    def test_interrupted_it_stops_what_it_started(self):
        for sig in (signal.SIGINT, signal.SIGTERM):
            demo = self.start_demo()
            self.until_calls_are_made()
            demo.send_signal(sig)
            self.assertEqual(self.end_of(demo), 128 + sig, self.complaint)
            self.assertIn("interrupted", self.complaint)
            self.check_all_gone(*self.ALL)
            self.assertFalse(self.result.exists())

    def test_a_lost_coordinator_is_named_and_the_rest_stopped(self):
        demo = self.start_demo()
        self.until_calls_are_made()
        os.kill(self.pids()["coordinator"], signal.SIGKILL)
        self.assertEqual(self.end_of(demo), 1, self.complaint)
        self.assertIn("coordinator ended with code -9", self.complaint)
        self.check_all_gone(*self.ALL)


if __name__ == "__main__":
    unittest.main(verbosity=2)
