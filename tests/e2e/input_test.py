"""What a user can give as INPUT: every form gives the same answers, and every mistake is named."""
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import PATIENCE_S, EndToEnd, binary, crc, write_batch

DOCUMENTS = {f"doc-{n:02}": f"Document {n}, with \"quotes\", a comma,\nand a second line." for n in range(12)}


def batch_line(custom_id="x", method="POST", url="/v1/chat/completions", content="hello"):
    body = {"model": "sim-small", "messages": [{"role": "user", "content": content}]}
    return json.dumps({"custom_id": custom_id, "method": method, "url": url, "body": body}).encode()


def objects():
    return "".join(json.dumps({"id": name, "text": text, "n": name[-2:]}) + "\n"
                   for name, text in DOCUMENTS.items()).encode()


def table(separator=","):
    quoted = lambda text: '"' + text.replace('"', '""') + '"'
    rows = [separator.join(["id", "text", "n"])]
    rows += [separator.join([name, quoted(text), name[-2:]]) for name, text in DOCUMENTS.items()]
    return "\r\n".join(rows).encode()


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


class Input(EndToEnd):
    def setUp(self):
        super().setUp()
        self.simllm = self.server()
        self.output = self.directory / "out.jsonl"

    def put(self, name, data):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run_on(self, *arguments, check=0, stdin=None):
        done = subprocess.run(
            [binary("gristmill"), "run", *map(str, arguments), "--endpoint", self.simllm.url, "-m",
             "sim-small", "-o", str(self.output)],
            input=stdin, capture_output=True, timeout=PATIENCE_S,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {}))
        done.stderr = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, check, f"{arguments}: {done.stderr}")
        return done

    def results(self):
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def anew(self):
        for path in self.directory.glob("out.jsonl*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def check_documents(self, ids=None):
        """Each document once, in order, with the answer to its own text."""
        results = self.results()
        if ids is not None:
            self.assertEqual([r["custom_id"] for r in results], ids)
        self.assertEqual(len(results), len(DOCUMENTS))
        for result, text in zip(results, DOCUMENTS.values()):
            content = result["response"]["body"]["choices"][0]["message"]["content"]
            self.assertTrue(content.startswith("sim " + crc("Sum up: " + text)), result)

    # ---- forms -----------------------------------------------------------------------------------

    def test_every_form_gives_the_same_answers(self):
        prompt = ["-p", "Sum up: {{text}}"]
        names = list(DOCUMENTS)
        for name, text in DOCUMENTS.items():
            self.put(f"docs/{name[-1]}/{name}.txt" if name < "doc-06" else f"docs/z{name}.md", text.encode())
            self.put(f"flat/{name}.txt", text.encode())
        self.put("docs/.hidden.txt", b"not me")
        self.put("docs/picture.png", b"not me either")
        forms = {
            "objects": ([self.put("a.jsonl", objects())], None, names),
            "csv": ([self.put("a.csv", b"\xef\xbb\xbf" + table())], None, names),
            "tsv": ([self.put("a.tsv", table("\t"))], None, names),
            "csv.gz": ([self.put("a2.csv.gz", gzip.compress(table()))], None, names),
            "gz": ([self.put("a.jsonl.gz", gzip.compress(objects()[:300]) + gzip.compress(objects()[300:]))],
                   None, names),
            "gz without suffix": ([self.put("packed", gzip.compress(objects()))], None, names),
            "directory": ([self.directory / "docs"], None, None),
            "pattern": ([str(self.directory / "flat/*.txt")], None,
                        [str(self.directory / f"flat/{name}.txt") for name in names]),
            "standard input": (["-"], objects(), names),
            "packed standard input": (["-"], gzip.compress(objects()), names),
            "zst": ([self.put("a.jsonl.zst", zstd(objects()[:300]) + zstd(objects()[300:]))], None, names),
        }
        for form, (arguments, stdin, ids) in forms.items():
            with self.subTest(form):
                self.run_on(*arguments, *prompt, stdin=stdin)
                self.check_documents(ids)
                self.anew()

    def test_kept_fields_stand_beside_the_answer(self):
        for source in (self.put("a.jsonl", objects()), self.put("a.csv", table())):
            self.run_on(source, "--keep", "n,none", "--keep", "id", "--keep", "n")
            for result, name in zip(self.results(), DOCUMENTS):
                self.assertEqual(result["gristmill"]["input"], {"n": name[-2:], "id": name})
            self.assertTrue(self.summary(self.output)["counts"]["completed"], len(DOCUMENTS))
            refused = self.run_on(source, "--keep", "id", check=2)
            self.assertIn("--keep", refused.stderr)
            self.anew()

    def test_a_packed_table_resumes_after_a_kill_with_its_ids_still_unique(self):
        self.control(self.simllm, latency="20ms")
        rows = [f"item-{n},question {n}" for n in range(3_000)] + ["item-1,again", "item-3000,question 3000"]
        source = self.put("a.csv.gz", gzip.compress("\n".join(["id,text", *rows]).encode()))
        arguments = ["run", source, "--endpoint", self.simllm.url, "-m", "sim-small", "-o", self.output,
                     "--concurrency", "64"]
        for at in (500, 1_500, 2_500):
            process = self.start("gristmill", *arguments, label=f"run-{at}")
            self.until_calls(self.simllm, at)
            process.kill()
        self.gristmill(*arguments, check=3)
        results = self.results()
        self.assertEqual(len(results), 3_002)
        for n, result in enumerate(results[:3_000]):
            self.assertEqual(result["custom_id"], f"item-{n}")
            self.assertEqual(result["response"]["status_code"], 200)
        self.assertEqual(results[3_000]["custom_id"], f"{source}:3002")
        self.assertIn("line 3's", results[3_000]["error"]["message"])
        self.assertEqual(results[3_001]["custom_id"], "item-3000")

    def test_a_directory_of_many_documents_stands_in_a_list(self):
        for n in range(1_200):
            self.put(f"docs/{n % 7}/{n:04}.txt", f"text {n}".encode())
        source = self.directory / "docs"
        arguments = ["run", source, "--endpoint", self.simllm.url, "-m", "sim-small", "-o", self.output,
                     "--concurrency", "16"]
        self.control(self.simllm, latency="20ms")
        process = self.start("gristmill", *arguments, label="run")
        self.until_calls(self.simllm, 300)
        process.kill()
        one_more = self.put("docs/new.txt", b"new")
        refused = self.gristmill(*arguments, check=2)
        self.assertIn("INPUT", refused.stderr)
        one_more.unlink()
        self.gristmill(*arguments)
        results = self.results()
        self.assertEqual([r["custom_id"] for r in results],
                         sorted(str(path) for path in source.glob("*/*.txt")))
        for result in results:
            n = int(pathlib.Path(result["custom_id"]).stem)
            content = result["response"]["body"]["choices"][0]["message"]["content"]
            self.assertTrue(content.startswith("sim " + crc(f"text {n}")), result)

    def test_a_job_of_many_documents_is_submitted(self):
        coordinator = self.coordinator()
        self.worker(coordinator, "worker", "--endpoint", self.simllm.url, "--model", "sim-small")
        for name, text in DOCUMENTS.items():
            self.put(f"docs/{name}.txt", text.encode())
        self.gristmill("submit", self.directory / "docs", self.put("a.jsonl.gz", gzip.compress(objects())),
                       str(self.directory / "docs/*-0[12].txt"), "--server", coordinator.http, "-m",
                       "sim-small", "-p", "Sum up: {{text}}", "--wait", "-o", self.output)
        job = self.gristmill("submit", self.directory / "docs", "--server", coordinator.http, "-m",
                             "sim-small").stdout.strip()
        self.gristmill("watch", job, "--server", coordinator.http)
        self.assertEqual(self.job(coordinator, job)["counts"]["completed"], len(DOCUMENTS))
        files = [str(self.directory / f"docs/{name}.txt") for name in DOCUMENTS]
        # What the pattern names is in the directory already.
        self.assertEqual([r["custom_id"] for r in self.results()], files + list(DOCUMENTS))

    # ---- mistakes --------------------------------------------------------------------------------

    def test_a_bad_line_becomes_an_error_line_and_the_others_go_on(self):
        deep = b'{"custom_id":"deep","body":' + b"[" * 1_000 + b"]" * 1_000 + b"}"
        rows = {
            "not JSON": (b"not json", None, "expected a JSON object"),
            "no object": (b"[1]", None, "expected a JSON object, got an array"),
            "no custom_id": (b'{"method":"POST","url":"/v1/chat/completions","body":{}}', None, "custom_id"),
            "repeated custom_id": (batch_line("first"), None, "got \"first\" again, which is line 1's"),
            "other url": (batch_line("u", url="/v1/images"), "u", "/chat/completions"),
            "url with a host": (batch_line("h", url="http://elsewhere/v1/chat/completions"), "h", "url"),
            "other method": (batch_line("m", method="GET"), "m", "POST"),
            "too long": (b'{"custom_id":"l' + b"x" * (16 << 20) + b'"}', None, "at most 16777216 bytes"),
            "deep nesting": (deep, "deep", "nesting"),
            "NUL": (batch_line("nul").replace(b"hello", b"he\0llo"), "nul", "expected"),
            "invalid UTF-8": (batch_line("utf").replace(b"hello", b"he\xffllo"), "utf", "UTF-8"),
            "half a character": (batch_line("half").replace(b"hello", b"he\\ud83dllo"), "half", "surrogate"),
            "a comma too many": (batch_line("comma").replace(b'"}]}', b'"}],}'), "comma", "expected"),
            "cut": (batch_line("cut")[:-20], "cut", "expected"),
        }
        data = b"\xef\xbb\xbf" + batch_line("first") + b"\r\n"
        for line, _, _ in rows.values():
            data += line + b"\n\n \t\r\n"
        source = self.put("in.jsonl", data + batch_line("last"))
        self.run_on(source, check=3)
        results = self.results()
        self.assertEqual(len(results), len(rows) + 2)
        self.assertEqual((results[0]["custom_id"], results[-1]["custom_id"]), ("first", "last"))
        for result in (results[0], results[-1]):
            self.assertEqual(result["response"]["status_code"], 200)
        for n, (name, (_, custom_id, sentence)) in enumerate(rows.items()):
            with self.subTest(name):
                place = f"{source}:{2 + 3 * n}"
                self.assertEqual(results[n + 1]["custom_id"], custom_id or place)
                self.assertEqual(results[n + 1]["error"]["code"], "invalid_line")
                self.assertIn(sentence, results[n + 1]["error"]["message"])
                self.assertIn(place, results[n + 1]["error"]["message"])
        self.assertEqual(len(self.calls(self.simllm)), 2)

    def test_a_bad_row_or_document_becomes_an_error_line(self):
        rows = {
            "t.csv": (b"id,text\n1\n", "1", "expected 2 fields as in the header, got 1"),
            "u.csv": (b"id,text\n1,\"open\n", "1", "closing quote"),
            "v.csv": (b"id,text\n1,\xff\n", "1", "UTF-8"),
            "no-id.jsonl": (b'{"text":"x","id":{}}\n', "no-id.jsonl:1", "expected id to be"),
            "binary.txt": (b"\x7fELF\0\0", "binary.txt", "binary"),
            "binary.jsonl": (os.urandom(1 << 20) + b"\0", "binary.jsonl", "binary"),
            "utf16.jsonl": ('{"id":"x"}\n'.encode("utf-16"), "utf16.jsonl", "UTF-16"),
            "utf16.csv": ("id,text\r\na,caf\xe9\r\n".encode("utf-16"), "utf16.csv", "UTF-16"),
            "utf16.txt": ("caf\xe9 and more".encode("utf-16-le"), "utf16.txt", "UTF-16"),
            "utf32.tsv": ("id\ttext\r\na\tx\r\n".encode("utf-32"), "utf32.tsv", "UTF-32"),
            "array.json": (b'[{"id":"x","text":"y"},\n {"id":"z"}]\n', "array.json", "JSON array"),
            "pretty.json": (json.dumps({"id": "x", "text": "y"}, indent=2).encode(), "pretty.json", "several lines"),
            "blank.txt": (b" \r\n", "blank.txt", "only space"),
            "latin.txt": ("caf\xe9".encode("latin-1"), "latin.txt", "UTF-8"),
        }
        paths = [self.put(name, data) for name, (data, _, _) in rows.items()]
        good = self.put("good.jsonl", b'{"text":"without an id"}\n')
        self.run_on(*paths, good, check=3)
        results = self.results()
        self.assertEqual(len(results), len(rows) + 1)
        for result, (_, place, sentence) in zip(results, rows.values()):
            with self.subTest(place):
                self.assertEqual(result["custom_id"], place if place == "1" else f"{self.directory}/{place}")
                self.assertIn(sentence, result["error"]["message"])
        self.assertEqual(results[-1]["custom_id"], f"{good}:1")
        self.assertEqual(results[-1]["response"]["status_code"], 200)

    def test_what_cannot_be_an_input_is_named_before_anything_starts(self):
        os.mkfifo(self.directory / "pipe.jsonl")
        (self.directory / "none").mkdir()
        (self.directory / "links").mkdir()
        os.symlink("nowhere", self.directory / "links/a.txt")
        secret = self.put("secret.jsonl", objects())
        secret.chmod(0)
        rows = [
            (["missing.jsonl"], "missing.jsonl: expected a readable file"),
            (["none"], "none: expected files in it"),
            (["*.nothing"], "*.nothing: expected files that match, got none"),
            (["pipe.jsonl"], "pipe.jsonl: expected a file with content"),
            (["links"], "links/a.txt: expected a readable file"),
            ([self.put("empty.jsonl", b"").name], "empty.jsonl: expected items, got nothing"),
        ]
        if os.geteuid() != 0:
            rows.append((["secret.jsonl"], "secret.jsonl: expected a readable file"))
        for names, sentence in rows:
            with self.subTest(names[0]):
                refused = self.run_on(*(self.directory / name for name in names), check=2)
                self.assertIn(sentence, refused.stderr)
                self.assertEqual(len(refused.stderr.splitlines()), 1)
        self.assertIn("standard input is empty", self.run_on("-", check=2, stdin=b"").stderr)
        self.assertEqual(list(self.directory.glob("out.jsonl*")), [])

    def test_what_cannot_be_read_to_its_end_fails_the_job_by_name(self):
        packed = gzip.compress(objects() * 100)
        rows = {  # those that are packed before the first call
            "cut.jsonl.gz": (packed[:-20], "cut", 2),
            "damaged.jsonl.gz": (packed[:200] + b"\x55" * 20 + packed[220:], "damaged", 2),
            "plain.jsonl.zst": (objects(), "expected zstd data because of its name", 2),
            "header.csv": (b"id,id\n1,2\n", "two columns have the name", 4),
            "unnamed.csv": (b",\n1,2\n", "no column has a name", 4),
        }
        for name, (data, sentence, code) in rows.items():
            with self.subTest(name):
                failed = self.run_on(self.put(name, data), check=code)
                self.assertIn(name, failed.stderr)
                self.assertIn(sentence, failed.stderr)
                self.anew()

    def test_an_input_without_items_says_so(self):
        for name, data in {"blank.jsonl": b"\n \n", "header.csv": b"id,text\n"}.items():
            done = self.run_on(self.put(name, data))
            self.assertIn("no items", done.stderr)
            self.assertEqual(self.results(), [])
            self.anew()

    def test_a_document_that_is_named_twice_is_called_once(self):
        self.put("d/a.txt", b"one")
        self.put("d/b.txt", b"two")
        directory = self.directory / "d"
        for inputs in ([directory, directory / "a.txt"], [f"{directory}/*", f"{directory}/../d"],
                       [directory / "a.txt", directory / "b.txt", f"{directory}/./a.txt"]):
            with self.subTest(inputs):
                self.anew()
                self.assertIn("names already", self.run_on(*inputs, "-p", "{{text}}").stderr)
                self.assertEqual(len(self.results()), 2)

    def test_an_empty_template_is_no_template(self):
        source, empty = self.put("in.jsonl", objects()), self.put("empty", b"\xef\xbb\xbf\n")
        self.assertIn("expected a template", self.run_on(source, "-p", "", check=2).stderr)
        for path in (empty, "/dev/null"):
            self.assertIn("expected a template", self.run_on(source, "--prompt-file", path, check=2).stderr)

    def test_a_template_beside_requests_is_refused(self):
        requests = self.put("requests.jsonl", batch_line() + b"\n")
        for option, text in (("--prompt", "say {{text}}"), ("--system", "be brief")):
            said = self.run_on(requests, option, text, check=2).stderr
            self.assertIn(f"{option}: expected documents", said)
            self.run_on(requests, self.put("a.txt", b"one"), option, text)
            self.anew()
        self.run_on(requests)

    def test_a_file_that_was_cut_on_its_way_costs_nothing(self):
        whole = gzip.compress(b"".join(b'{"id":"%d","text":"%s"}\n' % (n, os.urandom(30).hex().encode())
                                       for n in range(2_000)))
        source = self.put("in.jsonl.gz", whole[:len(whole) // 2])
        self.assertIn("fetch it again", self.run_on(source, check=2).stderr)
        self.assertEqual(self.stats(self.simllm)["calls"], 0)
        self.put("in.jsonl.gz", whole)
        self.run_on(source)
        self.assertEqual(len(self.results()), 2_000)

    def test_a_mistake_keeps_the_standard_input_of_the_run_before(self):
        keeps = ["--limit", "100"]  # which may grow
        self.run_on("-", *keeps, stdin=objects())
        spool = self.directory / "out.jsonl.state.stdin"
        self.assertEqual(spool.read_bytes(), objects())
        refused = self.run_on("-", self.directory / "missing", "--restart", stdin=b"{}", check=2)
        self.assertIn("missing", refused.stderr)
        refused = self.run_on("-", "--id-field", "", "--restart", stdin=b"{}", check=2)
        self.assertEqual(spool.read_bytes(), objects())
        self.assertFalse(spool.with_name(spool.name + ".part").exists())
        self.run_on("-", "--restart", *keeps, stdin=b'{"text":"another"}')
        self.assertEqual(spool.read_bytes(), b'{"text":"another"}')
        self.assertEqual(len(self.results()), 1)

    def test_what_other_jobs_left_in_a_directory_is_not_its_input(self):
        docs = self.put("docs/a.jsonl", b'{"id":"a","text":"one"}\n').parent
        self.output = docs / "first.jsonl"
        self.run_on(docs)
        self.output = self.directory / "out.jsonl"
        done = self.run_on(docs)
        self.assertEqual([r["custom_id"] for r in self.results()], ["a"])
        self.assertIn("left out", done.stderr)
        self.assertIn("first.jsonl", done.stderr)
        self.anew()
        self.run_on(docs / "*.jsonl", "--restart")
        self.assertEqual(len(self.results()), 1)
        self.anew()
        # Named itself it is one, of objects: the answers of one job are the documents of the next.
        self.run_on(docs / "first.jsonl", "--id-field", "custom_id", "-p", "Check this answer: {{response}}")
        self.assertEqual([r["custom_id"] for r in self.results()], ["a"])

    def test_a_touched_or_renamed_input_goes_on_and_a_changed_one_is_named(self):
        source = self.put("in.jsonl", objects())
        keeps = ["-p", "Sum up: {{text}}"]
        self.run_on(source, *keeps, "--limit", "4")
        calls = len(self.calls(self.simllm))
        os.utime(source, (1, 1))
        self.run_on(source, *keeps, "--limit", "6")
        (self.directory / "link.jsonl").symlink_to(source)
        self.run_on(self.directory / "link.jsonl", *keeps, "--limit", "8")
        self.put("elsewhere/none", b"")
        self.run_on(self.directory / "elsewhere/../in.jsonl", *keeps, "--limit", "10")
        self.assertEqual(len(self.calls(self.simllm)), calls + 6)
        (self.directory / "moved").mkdir()
        source.rename(self.directory / "moved/in.jsonl")
        self.run_on(self.directory / "moved/in.jsonl", *keeps)
        self.assertEqual(len(self.calls(self.simllm)), len(DOCUMENTS))
        self.check_documents(list(DOCUMENTS))
        changed = (self.directory / "moved/in.jsonl")
        data = changed.read_bytes()
        for other, difference in ((data.replace(b"comma", b"point"), "another content"), (data[:-5], "bytes")):
            changed.write_bytes(other)
            refused = self.run_on(changed, *keeps, check=2)
            self.assertIn(f"INPUT {changed}: expected the", refused.stderr)
            self.assertIn(difference, refused.stderr)

    def test_the_result_of_a_directory_is_not_its_input(self):
        self.output = self.put("docs/a.txt", b"one").parent / "out.jsonl"
        self.run_on(self.directory / "docs")
        self.assertIn("finished", self.run_on(self.directory / "docs").stderr)
        self.assertEqual(len(self.results()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
