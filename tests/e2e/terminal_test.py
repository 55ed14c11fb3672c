"""What a terminal would obey is shown, whoever chose it: names of files and inputs, sentences."""
import json
import subprocess
import unittest
import urllib.request

import harness

# Sets the window's title, clears the screen, writes from right to left, and a control of 8 bits.
EVIL = "\x1b]0;PWNED\x07\x1b[2J\u202e\u009b"
COMMANDS = ["\x1b]", "\x1b[2J", "\x07", "\u202e", "\u009b"]


class Terminal(harness.EndToEnd):
    def said_by(self, *arguments):
        done = subprocess.run([harness.binary("gristmill"), *map(str, arguments)], timeout=harness.PATIENCE_S,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def check_harmless(self, said, shown="PWNED"):
        self.assertIn(shown, said)
        for command in COMMANDS:
            self.assertNotIn(command, said)

    def test_names_of_files_are_shown_and_not_obeyed(self):
        names = self.directory / "names"
        names.mkdir()
        (names / f"x{EVIL}.jsonl").write_text("not json\n")
        asked = [names, "-m", "m", "--endpoint", "http://127.0.0.1:9/v1"]
        self.check_harmless(self.said_by("run", *asked, "--dry-run"))
        self.check_harmless(self.said_by("run", *asked, "--strict", "-o", self.directory / "out"))
        self.check_harmless(self.said_by("run", names / f"y{EVIL}", "-o", self.directory / "out"))

    def test_names_that_a_client_gave_are_shown_to_others_and_not_obeyed(self):
        data = self.directory / "data"
        data.mkdir()
        (data / "in.jsonl").write_text('{"id":"a","text":"hello"}\n')
        coordinator = self.coordinator("--data-root", data)
        spec = {"inputs": [{"path": "in.jsonl", "name": f"n{EVIL}"}], "model": "m", "strict": True,
                "line_bytes_max": 3, "endpoints": [{"url": "http://127.0.0.1:9/v1"}]}
        asked = urllib.request.Request(coordinator.http + "/api/v1/jobs", json.dumps({"spec": spec}).encode(),
                                       {"Content-Type": "application/json"})
        urllib.request.urlopen(asked, timeout=harness.PATIENCE_S).close()
        self.until("the job to fail", lambda: self.job(coordinator, "job-1")["state"] == "failed")
        for command in (["status", "job-1"], ["explain", "job-1"], ["watch", "job-1"]):
            self.check_harmless(self.said_by(*command, "--server", coordinator.http))
        # As data it is what it was.
        shown = self.said_by("status", "job-1", "--json", "--server", coordinator.http)
        self.check_harmless(shown)
        self.assertIn(EVIL, json.loads(shown)["detail"])


if __name__ == "__main__":
    unittest.main()
