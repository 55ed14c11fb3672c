"""verify accepts a run that was killed and resumed, and rejects each way in which the evidence could
speak of a broken promise, by the invariant that was broken.
"""
import contextlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import evidence
import invariants
from harness import EndToEnd, write_batch

COUNT = 600


def encoded(entries):
    """The blob of these (kind, item, numbers...); what evidence.entries reads. Of a part kind is 5,
    and its number and kind are the first of the numbers."""
    blob, before = bytearray(), 0
    for kind, item, *numbers in entries:
        delta = item - before
        before = item
        for value in ((delta << 1 if delta >= 0 else -delta * 2 - 1) << 3 | kind, *numbers):
            while value >= 0x80:
                blob.append(value & 0x7F | 0x80)
                value >>= 7
            blob.append(value)
    return bytes(blob)


def seal(body):
    """A line with the checksum that belongs to it."""
    line = body + b',"crc":"00000000"}}\n'
    value = 0xFFFFFFFF
    for byte in body:
        value = evidence.CRC32C[(value ^ byte) & 0xFF] ^ value >> 8
    return line[:-12] + b'%08x"}}\n' % (value ^ 0xFFFFFFFF)


def of_model(model, index=0):
    return model << 26 | index


class SeveralModels(unittest.TestCase):
    """An item that several models were asked, by its parts' lines alone."""

    def sealed(self, about, response):
        return seal(json.dumps({"response": response, "error": None,
                                "gristmill": about}).encode()[:-2])

    def response(self, text):
        return {"status_code": 200, "body": {"choices": [{"message": {"content": text}}]}}

    def parts(self, texts):
        return {number: (evidence.COMPLETED, self.sealed({"part": number}, self.response(text)))
                for number, text in texts.items()}

    def wrong(self, parts, texts, judge=None):
        answers = [{"response": self.response(text), "error": None} for text in texts]
        about = {"answers": answers}
        if judge is not None:
            about["judge"] = {"response": self.response(judge), "error": None}
        entry = evidence.Entry(evidence.COMPLETED, 7, 0, 0, None)
        return invariants.wrong_join(entry, self.parts(parts), self.sealed(about, answers[0]["response"]))

    def test_each_models_answer_is_that_of_its_parts(self):
        judge = of_model(2, invariants.JUDGE)
        two = {of_model(0): "a", of_model(1): "b"}
        chunks = {of_model(0): "a", of_model(0, 1): "A", of_model(1): "b", of_model(1, 1): "B"}
        self.assertEqual(self.wrong(two, ["a", "b"]), [])
        self.assertEqual(self.wrong({**two, judge: "j"}, ["a", "b"], "j"), [])
        self.assertEqual(self.wrong({0: "a", of_model(1, invariants.JUDGE): "j"}, ["a"], "j"), [])
        self.assertEqual(self.wrong(chunks, ["aA", "bB"]), [])
        for texts in (["a", "c"], ["c", "b"], ["b", "a"], ["a"], ["a", "b", "b"]):
            self.assertNotEqual(self.wrong(two, texts), [], texts)
        self.assertNotEqual(self.wrong({**two, judge: "j"}, ["a", "b"], "k"), [])
        self.assertNotEqual(self.wrong({**two, judge: "j"}, ["a", "b"]), [])

    def test_a_part_of_a_model_that_is_missing(self):
        judge = of_model(1, invariants.JUDGE)
        for numbers in ([of_model(1)], [0, of_model(2)], [0, of_model(1, 1)], [judge],
                        [0, judge, of_model(2)], [0, judge, of_model(1)]):
            self.assertRegex(str(self.wrong(dict.fromkeys(numbers, "a"), ["a", "a"])), "are not all")

    def test_the_answer_is_that_of_the_highest_level(self):
        level = 1 << 21
        parts = {0: "a", 1: "b", level: "ab"}
        self.assertEqual(self.wrong_of_one(parts, "ab"), [])
        self.assertEqual(self.wrong_of_one({**parts, level + 1: "c", 2 * level: "all"}, "all"), [])
        self.assertEqual(len(self.wrong_of_one(parts, "a")), 1)
        self.assertEqual(len(self.wrong_of_one({1: "b", level: "ab"}, "ab")), 1)
        self.assertEqual(len(self.wrong_of_one({0: "a", 2 * level: "ab"}, "ab")), 1)

    def test_a_gap_that_answers_lost_is_the_documents(self):
        chunks = {0: "a", 1: "b ", 2: "c"}
        gaps = {0: "\n\n", 1: "\n\n", 2: ""}
        self.assertEqual(self.wrong_of_one(chunks, "a\n\nb c", gaps), [])
        self.assertEqual(len(self.wrong_of_one(chunks, "ab c", gaps)), 1)

    def wrong_of_one(self, parts, text, gaps={}):
        lines = {number: (evidence.COMPLETED, self.sealed(
            {"part": number, "chunk": {"gap": gaps.get(number, "")}}, self.response(said)))
                 for number, said in parts.items()}
        entry = evidence.Entry(evidence.COMPLETED, 3, 0, 0, None)
        return invariants.wrong_join(entry, lines, self.sealed({"item": 3}, self.response(text)))

    def test_the_answers_of_a_failed_item(self):
        failed = {"response": None, "error": {"code": "c"}}
        result = {"error": {"code": "model_failed"}, "response": self.response("a"),
                  "gristmill": {"answers": [{"response": self.response("a"), "error": None}, failed]}}
        self.assertEqual(invariants.texts_of(result), ["a"])
        result["gristmill"] = {"class": "timeout"}
        self.assertEqual(invariants.texts_of(result), [])


class GoodRun(EndToEnd):
    """Makes the evidence once: faults, a kill with calls in flight, and the end."""

    def make(self):
        server = self.server("--latency", "20ms", "--fault", "status:code=500,rate=0.05")
        source, output = self.directory / "in.jsonl", self.directory / "out.jsonl"
        write_batch(source, COUNT)
        arguments = ["run", source, "--endpoint", server.url, "-o", output, "--concurrency", "16",
                     "--rpm", "60000", "--tpm", "60000000"]
        process = self.start("gristmill", *arguments, label="run")
        self.until_calls(server, 200)
        process.kill()
        self.stats(server)
        self.kill_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        (self.directory / "kill").mkdir()
        for file in pathlib.Path(f"{output}.state").glob("journal.db*"):
            shutil.copy(file, self.directory / "kill")
        self.gristmill(*arguments)
        server.end()


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.good = GoodRun()
        cls.good.directory = pathlib.Path(tempfile.mkdtemp(prefix="gristmill-verify-test-"))
        cls.good.processes = []
        cls.addClassCleanup(shutil.rmtree, cls.good.directory)
        cls.good.make()
        for process in cls.good.processes:
            process.popen.stdout.close()

    def setUp(self):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="gristmill-verify-case-"))
        self.addCleanup(shutil.rmtree, self.place)
        shutil.copytree(self.good.directory, self.place, dirs_exist_ok=True)
        self.output, self.log = self.place / "out.jsonl", self.place / "simllm.log"
        self.state = self.place / "out.jsonl.state"

    def verify(self, *more):
        done = subprocess.run(
            [sys.executable, "-B", HERE / "verify.py", "--input", self.place / "in.jsonl", "--output",
             self.output, "--journal", self.state, "--log", self.log, "--kill",
             f"{self.good.kill_ns}={self.place}/kill/journal.db", *more],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        failed = {line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ["FAIL"]}
        self.assertEqual(done.returncode, 1 if failed else 0, done.stdout)
        return failed, done.stdout

    def rejected_by(self, *names):
        failed, text = self.verify()
        self.assertEqual(failed, set(names), text)

    def divide(self, numbers=(0, 1), kinds=(0, 0), texts=lambda text: (text[:5], text[5:]),
               named=None, late=False):
        """Gives an item of the last commit two parts, whose lines an earlier commit has; the file.
        `named`: what the lines call them, if not what the journal does."""
        with contextlib.closing(sqlite3.connect(self.place / "kill/journal.db")) as journal:
            killed_at = journal.execute(
                "SELECT value FROM meta WHERE key='last_position'").fetchone()[0]
        last = self.last_commit()
        before = last if late else self.sql("SELECT min(position) FROM commits WHERE position > ?",
                                            killed_at)[0][0]
        self.assertTrue(late or before < last)
        item = next(e.item for e in evidence.entries(self.sql(
            "SELECT items FROM commits WHERE position=?", last)[0][0]) if e.kind == 0)
        line = next(line for line in self.lines() if b'"item":%d,' % item in line)
        result, entries, lines = json.loads(line), [], []
        message = result["response"]["body"]["choices"][0]["message"]
        for number, name, kind, text in zip(numbers, named or numbers, kinds,
                                            texts(message["content"])):
            message["content"] = text
            del result["gristmill"]["crc"]
            result["gristmill"]["part"] = name
            part = json.dumps(result, separators=(",", ":")).encode()
            lines.append(seal(part[:-2]))
            result["gristmill"]["crc"] = ""
            entries.append((5, item, number << 3 | kind, len(lines[-1]), *([8] if kind else [])))
        self.change_entries(before, lambda said: [*said, *entries])
        self.sql("INSERT INTO part_ranges SELECT job, position, 1, 0, ? FROM commits "
                 "WHERE position=?", sum(map(len, lines)), before)
        parts = self.state / "parts-000001.jsonl"
        parts.write_bytes(b"".join(lines))
        return parts

    def lines(self):
        return self.output.read_bytes().splitlines(keepends=True)

    def write_lines(self, lines):
        self.output.write_bytes(b"".join(lines))

    def calls(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def write_calls(self, calls):
        self.log.write_text("".join(json.dumps(call) + "\n" for call in calls))

    def sql(self, statement, *values):
        with contextlib.closing(sqlite3.connect(self.state / "journal.db")) as journal:
            rows = journal.execute(statement, values).fetchall()
            journal.commit()
        return rows

    def change_entries(self, position, change):
        """Entries as (kind, item, numbers...) without notes; the row's sums are kept true."""
        old = evidence.entries(self.sql("SELECT items FROM commits WHERE position=?", position)[0][0])
        new = change([(e.kind, e.item, *([e.bytes] if e.kind == 0 else [])) for e in old if e.kind == 0])
        lines = [entry[2] for entry in new if entry[0] == 0]
        self.sql("UPDATE commits SET items=?, completed=?, to_offset=from_offset+? WHERE position=?",
                 encoded(new), len(lines), sum(lines), position)

    def last_commit(self):
        return self.sql("SELECT max(position) FROM commits WHERE completed > 0")[0][0]

    # ---- what is right ---------------------------------------------------------------------------

    def test_a_killed_and_resumed_run_kept_every_promise(self):
        failed, text = self.verify()
        self.assertEqual(failed, set(), text)
        self.assertIn(f"items={COUNT} terminal={COUNT} open=0", text)
        self.assertRegex(text, r"called-again=\d+ unrecorded-at-kills=[1-9]", "no call was in flight")
        self.assertEqual(self.verify("--partial")[0], set())

    # ---- the output ------------------------------------------------------------------------------

    def test_a_missing_line(self):
        lines = self.lines()
        self.write_lines(lines[:100] + lines[101:])
        self.rejected_by("I2", "I3")

    def test_a_line_twice(self):
        lines = self.lines()
        self.write_lines(lines[:100] + [lines[99]] + lines[100:])
        self.rejected_by("I3")

    def test_a_torn_last_line(self):
        self.output.write_bytes(self.output.read_bytes()[:-40])
        self.rejected_by("I2", "I3")

    def test_two_lines_that_changed_places(self):
        lines = self.lines()
        lines[7], lines[8] = lines[8], lines[7]
        self.write_lines(lines)
        self.rejected_by("I3")

    def test_an_altered_body(self):
        lines = self.lines()
        lines[50] = lines[50].replace(b" grain", b" chaff", 1)
        self.write_lines(lines)
        self.rejected_by("I2")

    def test_the_answer_of_another_item_under_a_true_seal(self):
        segment = sorted(self.state.glob("results-*.jsonl"))[-1]
        line = segment.read_bytes().splitlines(keepends=True)[0]
        at = line.index(b'"content":"sim ') + 15
        other = seal(line[:at] + b"00000000" + line[at + 8:-20])
        for file in (segment, self.output):
            file.write_bytes(file.read_bytes().replace(line, other))
        self.rejected_by("I3")

    def test_a_failed_line_that_nothing_explains(self):
        lines = self.lines()
        calls = self.calls()
        clean = next(n for n in range(COUNT) if [c["status"] for c in calls if c["crc"] in
                                                 lines[n].decode()] == [200])
        result = json.loads(lines[clean])
        result |= {"response": None, "error": {"code": "transient", "message": "lost"}}
        other = seal(json.dumps(result, separators=(",", ":")).encode().rsplit(b',"crc"', 1)[0])
        self.write_lines(lines[:clean] + [other] + lines[clean + 1:])
        self.rejected_by("I2", "I3")

    # ---- the journal -----------------------------------------------------------------------------

    def test_an_item_that_the_journal_lost(self):
        self.change_entries(self.last_commit(), lambda entries: entries[:-1])
        self.rejected_by("I1")

    def test_a_count_that_its_items_do_not_bear_out(self):
        self.sql("UPDATE commits SET completed=completed+1 WHERE position=?", self.last_commit())
        self.rejected_by("I1")

    def test_a_damaged_page(self):
        path = self.state / "journal.db"
        page = self.sql("PRAGMA page_size")[0][0]
        root = self.sql("SELECT rootpage FROM sqlite_master WHERE name='epochs'")[0][0]  # it has rows
        data = bytearray(path.read_bytes())
        data[(root - 1) * page + 8:(root - 1) * page + 10] = b"\xff\xff"
        path.write_bytes(data)
        failed, text = self.verify()
        # What of the epochs can still be read depends on how many rows the page has.
        self.assertIn(failed, ({"I1"}, {"I1", "I8"}), text)

    def test_a_commit_that_a_kill_took_back(self):
        position = self.sql("SELECT min(position) FROM commits WHERE completed > 0")[0][0]
        self.sql("DELETE FROM commits WHERE position=?", position)
        self.assertIn("I2", self.verify()[0])

    def test_a_segment_that_is_cut(self):
        segment = sorted(self.state.glob("results-*.jsonl"))[-1]
        segment.write_bytes(segment.read_bytes()[:-40])
        self.rejected_by("I2")
        self.assertEqual(self.verify("--partial")[0], {"I2"})

    def test_an_item_with_two_results(self):
        first = evidence.entries(self.sql("SELECT items FROM commits WHERE completed > 0 "
                                          "ORDER BY position")[0][0])[0]
        self.change_entries(self.last_commit(), lambda entries: [*entries, (0, first.item, 600)])
        self.assertIn("I4", self.verify()[0])

    def test_a_result_that_changed_after_the_kill(self):
        position = self.sql("SELECT min(position) FROM commits WHERE completed > 0")[0][0]
        blob = self.sql("SELECT items FROM commits WHERE position=?", position)[0][0]
        new = [(1, e.item, e.bytes, 8) if n == 0 else (e.kind, e.item, e.bytes)
               for n, e in enumerate(e for e in evidence.entries(blob) if e.kind == 0)]
        self.sql("UPDATE commits SET items=?, completed=completed-1, failed=failed+1 WHERE position=?",
                 encoded(new), position)
        self.rejected_by("I2", "I4")

    def test_a_record_of_an_older_epoch(self):
        self.sql("UPDATE commits SET epoch=1 WHERE position=?", self.last_commit())
        self.rejected_by("I8")

    def test_an_epoch_that_never_began(self):
        self.sql("UPDATE epochs SET epoch=3 WHERE epoch=2")
        self.rejected_by("I8")

    # ---- parts -----------------------------------------------------------------------------------

    def test_an_item_of_parts(self):
        self.divide()
        failed, text = self.verify()
        self.assertEqual(failed, set(), text)
        self.assertIn(" parts=2\n", text)
        self.assertIn(" in-parts=2\n", text)
        self.assertEqual(self.verify("--partial")[0], set())

    def test_a_damaged_part(self):
        parts = self.divide()
        text = bytearray(parts.read_bytes())
        text[20] ^= 1
        parts.write_bytes(text)
        self.rejected_by("I2")

    def test_parts_that_changed_places(self):
        parts = self.divide()
        parts.write_bytes(b"".join(parts.read_bytes().splitlines(keepends=True)[::-1]))
        self.assertIn("I2", self.verify()[0])

    def test_parts_under_each_others_number(self):
        self.divide(named=(1, 0))
        self.rejected_by("I2")

    def test_parts_that_are_cut(self):
        parts = self.divide()
        parts.write_bytes(parts.read_bytes()[:-1])
        self.rejected_by("I2")
        self.assertEqual(self.verify("--partial")[0], {"I2"})

    def test_an_answer_that_is_not_that_of_its_parts(self):
        self.divide(texts=lambda text: (text, "chaff"))
        self.rejected_by("I4")

    def test_an_item_answered_before_its_parts(self):
        self.divide(numbers=(0, 2))
        self.rejected_by("I4")

    def test_an_item_answered_though_a_part_failed(self):
        self.divide(kinds=(0, 1))
        self.rejected_by("I4")

    def test_a_part_with_two_results(self):
        self.divide(numbers=(1, 1))
        self.rejected_by("I4")

    def test_a_part_after_its_item(self):
        self.divide(late=True)
        self.rejected_by("I4")

    # ---- the provider ----------------------------------------------------------------------------

    def test_a_call_that_was_not_needed(self):
        calls = self.calls()
        good = next(call for call in reversed(calls) if call["status"] == 200)
        block, n = good["attempt"].rsplit("-", 1)
        spare = 1 + max(int(c["attempt"].rsplit("-", 1)[1]) for c in calls
                        if c["attempt"].startswith(block + "-"))
        self.sql("UPDATE blocks SET drawn_calls=NULL")
        self.write_calls([*calls, {**good, "attempt": f"{block}-{spare}"}])
        self.rejected_by("I9")

    def test_a_call_without_a_block_or_without_an_attempt_id(self):
        calls = self.calls()
        epoch = self.sql("SELECT max(epoch) FROM epochs")[0][0]
        for stranger in (f"{epoch}-{2**28 - 1}-1", ""):
            calls[-1]["attempt"] = stranger
            self.write_calls(calls)
            self.rejected_by("I7")

    def test_an_attempt_that_is_called_twice(self):
        calls = self.calls()
        bad = next(call for call in calls if call["status"] == 500)
        self.write_calls([*calls, bad])
        self.rejected_by("I7")

    def test_a_call_beyond_the_mark(self):
        self.sql("UPDATE marks SET mark=10")
        with contextlib.closing(sqlite3.connect(self.place / "kill/journal.db")) as journal:
            journal.execute("UPDATE marks SET mark=10")
            journal.commit()
        self.rejected_by("I7")

    def test_a_call_before_its_block_was_durable(self):
        with contextlib.closing(sqlite3.connect(self.place / "kill/journal.db")) as journal:
            journal.execute("DELETE FROM blocks")
            journal.commit()
        self.rejected_by("I7")

    def test_a_call_beyond_what_its_block_had_left(self):
        block = self.calls()[0]["attempt"].split("-")[:2]
        self.sql("UPDATE blocks SET drawn_calls=1 WHERE epoch=? AND block=?", *block)
        self.rejected_by("I5")

    def test_more_failures_than_retries_allow(self):
        calls = self.calls()
        bad = next(call for call in reversed(calls) if call["status"] == 500)
        spare = max(int(call["attempt"].split("-")[2]) for call in calls)
        self.sql("UPDATE blocks SET drawn_calls=NULL")
        block = bad["attempt"].rsplit("-", 1)[0]
        self.write_calls([*calls, *({**bad, "attempt": f"{block}-{spare + n}"} for n in range(1, 9))])
        self.rejected_by("I5")

    def test_a_minute_with_too_many_calls_or_tokens(self):
        spec = json.loads(self.sql("SELECT spec FROM jobs")[0][0])
        for key in ("requests_per_minute", "tokens_per_minute"):
            self.sql("UPDATE jobs SET spec=?", json.dumps({**spec, key: 500}))
            self.rejected_by("I6")


if __name__ == "__main__":
    unittest.main()
