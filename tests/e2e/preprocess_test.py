"""What is an item: --normalise, --where, --drop-empty, --sample and --seed. The witness is what the server was
sent, against a count of its own in Python: its unicodedata, its re, its hashlib.
"""
import codecs
import csv
import hashlib
import io
import json
import random
import re
import unicodedata
import unittest
import urllib.error
import urllib.request

from options_test import Jobs

ENGLISH, EMPTY = "lang=en", ["", None, " \u00a0\r\n"]
WORDS = ["caf\u00e9", "cafe\u0301", "na\u0131\u0308ve", "\u1112\u1161\u11ab", "\ud55c", "\u2126 ohm", "line\r\nend", "\ufb01n",
         "q\u0307\u0323", "\U0001f600", "plain", "old\rmac", "\u0344", "\u0f73 tibetan", "\u1e9b\u0323"]


def in_sample(percent, seed, source, line):
    drawn = hashlib.sha256(f"{seed}:{source}:{line}".encode()).digest()[:8]
    return int.from_bytes(drawn, "big") < percent / 100 * 2**64


def normal(text):
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n")


def records(count, seed=1):
    chance = random.Random(seed)
    for n in range(count):
        text = chance.choice(EMPTY) if n % 11 == 0 else f"{n} {' '.join(chance.sample(WORDS, 3))}"
        yield {"id": f"item-{n}", "text": text, "lang": chance.choice(["en", "en", "de", None]), "n": n}


def is_empty(text):
    return not (text or "").strip()


class Items:
    """What a job should make of records, each with its place."""

    def __init__(self, places, where=lambda record: True, percent=100.0, seed=0, drop=True, normalise=True):
        self.kept, self.dropped, self.normalised, self.mended = [], {"where": 0, "empty": 0, "sample": 0}, 0, 0
        for source, line, record, mended in places:
            text = record["text"] and (normal(record["text"]) if normalise else record["text"])
            if not where({**record, "text": text}):
                self.dropped["where"] += 1
            elif drop and is_empty(text):
                self.dropped["empty"] += 1
            elif not in_sample(percent, seed, source, line):
                self.dropped["sample"] += 1
            else:
                self.kept.append((record["id"], text))
                self.normalised += text != record["text"] or mended
                self.mended += mended


class Preprocessing(Jobs):
    def write(self, count):
        self.all = list(records(count))
        self.write_objects(*self.all)
        return [(0, n + 1, record, False) for n, record in enumerate(self.all)]

    def check(self, job, wanted):
        self.assertEqual(job.code, 0, job.stderr())
        self.assertEqual([line["custom_id"] for line in self.lines(job)], [name for name, _ in wanted.kept])
        sent = sorted(body["messages"][-1]["content"] for body in self.bodies(job))
        self.assertEqual(sent, sorted(text for _, text in wanted.kept))
        self.check_counts(self.summary(job.output), wanted)

    def check_counts(self, about, wanted):
        self.assertEqual({key: about[key] for key in ("lines_read", "dropped", "normalised", "mended")}, {
            "lines_read": len(wanted.kept) + sum(wanted.dropped.values()), "dropped": wanted.dropped,
            "normalised": wanted.normalised, "mended": wanted.mended})
        counts = about["counts"] if "counts" in about else {"total": about["items"], "dropped": sum(wanted.dropped.values())}
        self.assertEqual((counts["total"], counts["dropped"]), (len(wanted.kept), sum(wanted.dropped.values())))

    def page(self, path):
        with urllib.request.urlopen(self.hub.http + path) as page:
            return page.read().decode()

    def test_what_is_left_is_what_python_would_leave(self):
        places = self.write(5_000)
        options = ["-m", "m", "--normalise", "--where", ENGLISH, "--where", r"n~[02468]$", "--drop-empty", "--sample",
                   "33.3333%", "--seed", "7"]
        wanted = Items(places, lambda one: one["lang"] == "en" and re.search(r"[02468]$", str(one["n"])), 33.3333, 7)
        self.assertGreater(min(*wanted.dropped.values(), len(wanted.kept), wanted.normalised), 50)
        for job in self.both(*options):
            with self.subTest(job.way):
                self.check(job, wanted)
        self.assertIn(f"read    5,000 records, {sum(wanted.dropped.values()):,} left out (--where", job_of(self, "run"))
        told = self.gristmill("run", self.source, *options, "--endpoint", "http://127.0.0.1:9/v1", "--dry-run", "--json")
        self.check_counts(json.loads(told.stdout), wanted)
        status = self.gristmill("status", "job-1", "--server", self.hub.http)
        self.assertIn(f"left out (--where {wanted.dropped['where']:,}, --drop-empty", status.stdout)
        view = self.job(self.hub, "job-1")
        self.check_counts(view, wanted)
        page = self.page("/metrics")
        for by, records_dropped in wanted.dropped.items():
            self.assertRegex(page, rf'gristmill_job_dropped_total{{[^}}]*by="{by}"[^}}]*}} {records_dropped}\n')

    def test_a_table_in_latin_1_is_mended_and_counted(self):
        self.source = self.directory / "in.csv"
        rows = [(f"i{n}", f"caf\u00e9 number {n}" if n % 3 else f"plain number {n}", "en" if n % 2 else "de") for n in range(90)]
        text = io.StringIO()
        csv.writer(text).writerows([("id", "text", "lang"), *rows])
        self.source.write_bytes(codecs.encode(text.getvalue(), "latin-1"))
        places = [(0, n + 2, {"id": name, "text": words.encode("latin-1").decode("utf-8", "replace"), "lang": lang},
                   words.startswith("caf")) for n, (name, words, lang) in enumerate(rows)]
        for job in self.both("-m", "m", "--normalise", "--where", ENGLISH):
            with self.subTest(job.way):
                self.check(job, Items(places, lambda one: one["lang"] == "en"))
        for job in self.both("-m", "m", label="-as-it-is"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 3, job.stderr())
                failed = [line for line in self.lines(job) if line["error"]]
                self.assertEqual(len(failed), 60)
                self.assertIn("--normalise puts U+FFFD in their place", failed[0]["error"]["message"])

    def test_lines_with_bytes_that_are_no_utf_8_read_as_python_reads_them(self):
        chance = random.Random(4)
        lines, places = [], []
        for n in range(300):
            noise = bytes(chance.choice([0x80, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0xf0, 0x9f, 0x98, 0xff, 0x61])
                          for _ in range(chance.randrange(1, 9)))
            lines.append(b'{"id":"i%d","text":"%d ' % (n, n) + noise + b'."}\n')
            text = f"{n} {noise.decode('utf-8', 'replace')}."
            places.append((0, n + 1, {"id": f"i{n}", "text": text}, "\ufffd" in text))
        self.source.write_bytes(b"".join(lines))
        for job in self.both("-m", "m", "--normalise"):
            with self.subTest(job.way):
                self.check(job, Items(places))

    def test_a_run_that_is_killed_goes_on_with_the_same_items_and_counts(self):
        places = self.write(3_000)
        wanted = Items(places, lambda one: one["lang"] == "en", 70, 3)
        server = self.server("--log-bodies", "--latency", "20ms")
        output = self.directory / "out.jsonl"
        command = ["run", self.source, "--endpoint", server.url, "-o", output, "-m", "m", "--normalise", "--where", ENGLISH,
                   "--drop-empty", "--sample", "70%", "--seed", "3", "--max-in-flight", "8", "--no-progress"]
        for kill in range(3):
            run = self.start("gristmill", *command, label=f"run-{kill}")
            self.until("calls to be made", lambda: len(self.calls(server)) > (kill + 1) * len(wanted.kept) // 5)
            run.kill()
        self.gristmill(*command)
        sent = [json.loads(call["body"])["messages"][-1]["content"] for call in self.calls(server)]
        self.assertEqual(set(sent), {text for _, text in wanted.kept})
        self.assertLessEqual(len(sent), len(wanted.kept) + 3 * 8 * 2)
        with open(output, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["custom_id"] for line in file], [name for name, _ in wanted.kept])
        self.check_counts(self.summary(output), wanted)
        for changed, name in ((["--where", "lang=de"], "--where"), (["--seed", "4"], "--seed"), (["--sample", "71%"], "--sample")):
            other = [*command, *changed]
            for option in {"--where", "--seed", "--sample"} & set(changed):
                at = other.index(option)
                del other[at:at + 2]
            with self.subTest(name):
                refused = self.gristmill(*other, check=2)
                self.assertIn(name, refused.stderr)

    def test_counts_outlive_the_coordinator(self):
        places = self.write(400)
        # What is dropped behind the last item is heard of, too.
        places += [(0, 401 + n, {"id": f"late-{n}", "text": "x", "lang": "de"}, False) for n in range(7)]
        self.write_objects(*(record for _, _, record, _ in places))
        wanted = Items(places, lambda one: one["lang"] == "en", normalise=False)
        job = self.begin("submit", "-m", "m", "--where", ENGLISH, "--skip-blank")
        job.code = job.wait()
        self.check(job, wanted)
        self.hub.kill()
        self.hub = self.coordinator(label="again")
        self.check_counts(self.job(self.hub, "job-1"), wanted)

    def test_the_limit_counts_items(self):
        places = self.write(200)
        wanted = Items(places, lambda one: one["lang"] == "en", normalise=False)
        for job in self.both("-m", "m", "--where", ENGLISH, "--drop-empty", "--limit", "20"):
            with self.subTest(job.way):
                self.assertEqual([line["custom_id"] for line in self.lines(job)], [name for name, _ in wanted.kept[:20]])

    def test_when_nothing_is_left_nothing_is_called_and_it_is_said(self):
        self.write(50)
        for job in self.both("-m", "m", "--where", "lang=fr"):
            with self.subTest(job.way):
                self.assertEqual(job.code, 0, job.stderr())
                self.assertEqual(self.calls(job.server), [])
                self.assertEqual(self.summary(job.output)["dropped"]["where"], 50)
        self.assertIn("no record is an item: all are left out", job_of(self, "run"))
        self.hub.kill()
        self.hub = self.coordinator(label="again")
        self.assertEqual(self.job(self.hub, "job-1")["dropped"], {"where": 50, "empty": 0, "sample": 0})

    def test_a_million_records_that_are_left_out_keep_nobody_waiting(self):
        with open(self.source, "w", encoding="utf-8") as file:
            for n in range(1_000_000):
                file.write('{"id":"%d","text":"x","lang":"%s"}\n' % (n, "en" if n == 999_999 else "de"))
        selective = self.begin("submit", "-m", "m", "--where", ENGLISH)
        self.until("the job to be there", lambda: "job-1" in self.page("/api/v1/jobs"))
        self.source = self.directory / "small.jsonl"
        self.write(20)
        other = self.begin("submit", "-m", "m", label="-other")
        self.assertEqual(other.wait(), 3)
        self.assertEqual(selective.wait(), 0, selective.stderr())
        self.assertEqual([line["custom_id"] for line in self.lines(selective)], ["999999"])

    def test_what_cannot_be_is_refused_by_name(self):
        self.write(5)
        cases = [(["--where", "lang"], "--where: expected FIELD=VALUE, FIELD!=VALUE or FIELD~REGEX, got \"lang\""),
                 (["--where", "=en"], "got \"=en\""),
                 (["--where", "text~("], "expected a regular expression that RE2 takes, got \"(\": missing )"),
                 (["--where", "text~(?<=a)b"], "RE2"),
                 (["--sample", "0%"], "expected a percentage above 0, up to 100, with four decimals at most, got 0%"),
                 (["--sample", "100.0001%"], "got 100.0001%"),
                 (["--sample", "0.00001%"], "got 0.00001%"),
                 (["--sample", "half"], "got half"),
                 (["--seed", "3"], "--seed: expected --sample with it (a model's own seed is --param seed=N)"),
                 (["--seed", "-3", "--sample", "5%"], "expected a natural number, got -3")]
        for arguments, why in cases:
            for more in ([], ["--dry-run"]):
                with self.subTest(arguments=arguments, more=more):
                    told = self.gristmill("run", self.source, "-m", "m", "--endpoint", "http://127.0.0.1:9/v1", "-o",
                                          self.directory / "no.jsonl", *arguments, *more, check=2)
                    self.assertIn(why, told.stderr)
        data = self.directory / "data"
        data.mkdir()
        self.source.rename(data / "in.jsonl")
        self.hub = self.coordinator("--data-root", data)
        for members, why in [({"where": ["text~("]}, "RE2"), ({"where": "lang=en"}, "expected where to be an array"),
                             ({"sample": 0}, "expected sample to be a percentage above 0"), ({"sample": "5%"}, "sample"),
                             ({"sample_seed": 4}, "--seed"), ({"normalise": 1}, "true or false")]:
            with self.subTest(members):
                body = json.dumps({"spec": {"inputs": [{"path": "in.jsonl", "name": "in.jsonl"}], "model": "m",
                                            "endpoints": [{"url": "http://127.0.0.1:9/v1"}], **members}})
                request = urllib.request.Request(f"{self.hub.http}/api/v1/jobs", body.encode(),
                                                 {"Content-Type": "application/json"})
                with self.assertRaises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(request)
                self.assertIn(why, refused.exception.read().decode())

    def test_a_configuration_says_it_too(self):
        places = self.write(100)
        config = self.directory / "job.toml"
        config.write_text('normalise = true\ndrop_empty = true\nwhere = ["lang=en", "text!=a,b"]\nsample = 62.5\nseed = 9\n')
        job = self.begin("run", "-m", "m", "--config", config)
        job.code = job.wait()
        self.check(job, Items(places, lambda one: one["lang"] == "en", 62.5, 9))


def job_of(test, way):
    return next(process.stderr() for process in test.processes if getattr(process, "way", "") == way)


if __name__ == "__main__":
    unittest.main()
