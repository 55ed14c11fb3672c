"""`gristmill run --dry-run`: reads what the job would read, calls nothing, leaves nothing."""
import json
import pathlib
import re
import subprocess
import unittest

from harness import MEMORY_SLACK_MIB, PATIENCE_S, ROOT, EndToEnd, binary, write_batch


def english():
    """Paragraphs of English prose that lie in the tree."""
    texts = []
    for path in [ROOT / "LICENSE", ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            text = " ".join(paragraph.split())
            if len(text) > 200 and "|" not in text and text.count("`") <= 4:
                texts.append(text)
    return texts


def chat_line(custom_id, text, **body):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
                       "body": {"messages": [{"role": "user", "content": text}], **body}})


class DryRun(EndToEnd):
    NOWHERE = "http://127.0.0.1:1/v1"  # nothing listens there, and nobody may notice

    def dry(self, *arguments, check=0, stdin=None):
        done = subprocess.run([binary("gristmill"), "run", *map(str, arguments), "--dry-run", "--json"],
                              capture_output=True, text=True, timeout=PATIENCE_S, input=stdin,
                              cwd=self.directory)
        self.assertEqual(done.returncode, check, done.stdout + done.stderr)
        return json.loads(done.stdout) if check == 0 else done.stderr

    def names(self):
        return sorted(path.name for path in self.directory.iterdir())

    def test_it_calls_nothing_writes_nothing_and_says_what_would_be_done(self):
        server = self.server()
        source = self.directory / "in.jsonl"
        write_batch(source, 100)
        before = self.names()
        done = self.gristmill("run", source, "--endpoint", server.url, "--dry-run", "--rpm", "10")
        self.assertEqual(self.names(), before)
        self.assertEqual(self.stats(server)["calls"], 0)
        self.assertEqual(self.calls(server), [])
        for part in ("100 items", "0 bad lines", server.url + "/chat/completions", "sim-small",
                     f"{source}.results.jsonl", "would be made", "no price of sim-small", "10m00s"):
            self.assertIn(part, done.stdout)

    def test_the_estimate_of_english_is_near_what_the_server_reports(self):
        server = self.server("--answer-tokens", "40")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        texts = english()
        self.assertGreater(len(texts), 40)
        source.write_text("".join(chat_line(f"i{n}", text, model="sim-small") + "\n"
                                  for n, text in enumerate(texts)))
        arguments = [source, "--endpoint", server.url, "-o", output, "--max-tokens", "40"]
        tokens = self.dry(*arguments)["tokens"]
        self.gristmill("run", *arguments)
        reported = self.summary(output)["tokens"]
        self.assertAlmostEqual(tokens["input"]["likely"] / reported["prompt"], 1, delta=0.15)
        self.assertLessEqual(tokens["input"]["low"], reported["prompt"])
        self.assertGreaterEqual(tokens["input"]["high"], reported["prompt"])
        self.assertEqual(tokens["output"]["likely"], reported["completion"])
        self.assertEqual(tokens["output"]["high"], reported["completion"])

    def test_a_line_is_bad_exactly_if_the_job_would_not_call_for_it(self):
        server = self.server()
        documents = [{"id": "a", "text": "x", "lang": "de"}, {"id": "b", "text": "y"},
                     {"id": "c", "lang": "fr"}, [1], {"id": "d", "text": "z", "lang": {"a": 1}}]
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        source.write_text("".join(json.dumps(d) + "\n" for d in documents) + "{\n\n")
        arguments = [source, "-p", "In {{lang}}: {{text}}", "--endpoint", server.url, "-m", "sim-small",
                     "-o", output]
        forecast = self.dry(*arguments)
        self.assertEqual((forecast["items"], forecast["bad"]), (6, 4))
        self.assertEqual([line["source"].rsplit(":", 1)[1] for line in forecast["bad_lines"]],
                         ["2", "3", "4", "6"])
        self.assertIn('"lang"', forecast["bad_lines"][0]["message"])
        self.gristmill("run", *arguments, check=3)
        failed = [json.loads(line)["gristmill"]["source"] for line in output.read_text().splitlines()
                  if json.loads(line)["error"]]
        self.assertEqual(failed, [line["source"] for line in forecast["bad_lines"]])
        refused = self.dry(*arguments, "--restart", "--strict", check=5)
        self.assertIn(f"{source}:2: ", refused)
        self.assertEqual(len(refused.splitlines()), 1, refused)
        self.assertTrue(output.exists(), "a dry run with --restart removes nothing")

    def test_a_strict_run_calls_nothing_if_a_line_is_bad(self):
        server = self.server()
        good = "".join(chat_line(f"i{n}", "hello", model="m") + "\n" for n in range(300))
        arguments = [binary("gristmill"), "run", "-", "--strict", "--endpoint", server.url, "-o",
                     self.directory / "out.jsonl"]
        refused = subprocess.run(arguments, input=good + "x\n", capture_output=True, text=True,
                                 timeout=PATIENCE_S)
        self.assertEqual(refused.returncode, 5)
        self.assertIn("stdin:301: expected a JSON object", refused.stderr)
        self.assertEqual(len(refused.stderr.splitlines()), 1)
        self.assertEqual(self.names(), ["simllm.log", "simllm.stderr"])
        # What comes through the pipe the next time is another input.
        subprocess.run(arguments, input=good, text=True, check=True, stderr=subprocess.DEVNULL)
        self.assertEqual(len((self.directory / "out.jsonl").read_text().splitlines()), 300)
        self.assertEqual(len(self.calls(server)), 300)

    def test_samples_are_few_and_limit_counts(self):
        source = self.directory / "in.jsonl"
        source.write_text(chat_line("a", "hello", model="m") + "\n" + "x\n" * 50)
        forecast = self.dry(source, "--endpoint", self.NOWHERE)
        self.assertEqual((forecast["items"], forecast["bad"], len(forecast["bad_lines"])), (51, 50, 5))
        self.assertTrue(forecast["bad_lines"][0]["source"].endswith(":2"))
        self.assertEqual(self.dry(source, "--endpoint", self.NOWHERE, "--limit", "7")["items"], 7)

    def test_models_are_told_apart_and_a_missing_one_is_said(self):
        source = self.directory / "in.jsonl"
        lines = [chat_line(f"i{n}", "hello", model=f"m{n % 100}") for n in range(1_000)]
        lines.append(chat_line("none", "hello"))
        source.write_text("\n".join(lines))
        forecast = self.dry(source, "--endpoint", self.NOWHERE)
        self.assertLessEqual(len(forecast["models"]), 33)
        self.assertEqual(sum(model["items"] for model in forecast["models"]), 1_001)
        self.assertIsNone(forecast["cost_usd"])
        source.write_text(lines[-1])
        forecast = self.dry(source, "--endpoint", self.NOWHERE)
        self.assertEqual(forecast["models"][0]["model"], None)
        self.assertEqual(forecast["bad"], 0)

    def test_a_pipe_is_read_and_leaves_nothing(self):
        before = self.names()
        text = "".join(chat_line(f"i{n}", "hello " * 50, model="m") + "\n" for n in range(2_000))
        forecast = self.dry("-", "--endpoint", self.NOWHERE, stdin=text)
        self.assertEqual((forecast["items"], forecast["bad"]), (2_000, 0))
        self.assertEqual(self.names(), before)

    def test_nonsense_is_refused_as_a_run_would(self):
        source = self.directory / "in.jsonl"
        write_batch(source, 1)
        self.assertIn("INPUT", self.dry(self.directory / "missing.jsonl", check=2))
        self.assertIn("--prompt", self.dry(source, "-p", "{{", check=2))
        (self.directory / "out").write_text("precious")
        self.assertIn("--restart", self.dry(source, "-o", self.directory / "out", check=2))

    def peak_mib(self, source):
        """Peak resident size of a dry run over this file, as last seen before its end."""
        process = subprocess.Popen([binary("gristmill"), "run", source, "--dry-run", "--endpoint",
                                    self.NOWHERE], stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())
            peak = max(peak, int(found.group(1)) if found else 0)
        self.assertEqual(process.returncode, 0)
        return peak / 1024

    def test_a_million_lines_take_the_memory_of_ten_thousand(self):
        source = self.directory / "in.jsonl"
        write_batch(source, 10_000)
        few = self.peak_mib(source)
        write_batch(source, 1_000_000)
        many = self.peak_mib(source)
        # The filter that finds repeated ids grows with them, to 32 MiB at most.
        self.assertLess(many, few + 8 + 32 + MEMORY_SLACK_MIB, f"{few:.0f} MiB, then {many:.0f} MiB")


if __name__ == "__main__":
    unittest.main(verbosity=2)
