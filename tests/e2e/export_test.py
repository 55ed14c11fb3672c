"""Flat tables of results: what `gristmill export` writes is read by Python's csv and json modules and held
against what the result's lines say.
"""
import collections
import csv
import gzip
import io
import json
import os
import pathlib
import subprocess
import unittest

from harness import MEMORY_SLACK_MIB, PATIENCE_S, EndToEnd, binary, crc

csv.field_size_limit(1 << 30)
# What a reader of tables may stumble over.
TEXTS = ['plain', 'a,b', 'say "hi"', '"', 'two\nlines', 'carriage\r\nreturn', 'tab\there', ' space ', '=1+1', "'",
         'Grüße, 你好 😀', '\\n', '#', 'x\u2028y', 'NULL', '007', 'a;b', '{"a": [1, 2]}', 'x' * 40_000]
TEXTS += [f"document {n}" for n in range(400)]
DEFAULT = ["custom_id", "status", "content", "label", "error_code", "error_message"]


def text_of(response):
    return response["body"]["choices"][0]["message"]["content"]


def rows_of(text, delimiter=","):
    """With the header's names as keys."""
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


class Export(EndToEnd):
    def setUp(self):
        super().setUp()
        self.output = self.directory / "out.jsonl"

    def documents(self, *objects):
        path = self.directory / "in.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in objects))
        return path

    def lines(self, path=None):
        with open(path or self.output, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def echoes(self, *arguments, output=None):
        """Each text of TEXTS is answered with itself; those with "document 3" in them fail."""
        server = self.server("--answer", "echo", "--fault", "status:code=400,match=document 3",
                             label=f"simllm-{len(self.processes)}")
        source = self.documents(*({"id": f"id,{n}", "text": text, "title": f'"{n}"\n', "n": n}
                                  for n, text in enumerate(TEXTS)))
        self.gristmill("run", source, "-p", "{{text}}", "-m", "sim-small", "--keep", "title,n,text", "--endpoint",
                       server.url, "-o", output or self.output, *arguments, check=3)

    def table(self, *arguments, path=None, check=0):
        return self.gristmill("export", path or self.output, *arguments, check=check)

    def printed(self, *arguments, path=None):
        """Bytes as they are: text mode would change line ends."""
        done = subprocess.run([binary("gristmill"), "export", str(path or self.output), *map(str, arguments)],
                              capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()


class Tables(Export):
    def test_each_item_is_a_row_with_what_its_line_says(self):
        self.echoes()
        lines = self.lines()
        rows = rows_of(self.printed())
        self.assertEqual(list(rows[0]), DEFAULT)
        self.assertEqual(len(rows), len(TEXTS))
        self.assertEqual([row["custom_id"] for row in rows], [line["custom_id"] for line in lines])
        for text, row, line in zip(TEXTS, rows, lines):
            if "document 3" in text:
                body = line["response"]["body"]["error"]
                self.assertEqual((row["status"], row["content"]), ("failed", ""))
                self.assertEqual(row["error_message"], line["gristmill"]["message"])
                self.assertIn(row["error_message"], body["message"])
            else:
                self.assertEqual((row["status"], row["content"]), ("completed", text))
                self.assertEqual((row["error_code"], row["error_message"]), ("", ""))
        summary = self.summary(self.output)["counts"]
        self.assertEqual(collections.Counter(row["status"] for row in rows),
                         {"completed": summary["completed"], "failed": summary["failed"]})
        self.assertGreater(summary["failed"], 100)

    def test_fields_of_answers_inputs_and_lines(self):
        self.echoes()
        wanted = {"item": lambda line: line["gristmill"]["item"], "source": lambda line: line["gristmill"]["source"],
                  "input.title": lambda line: line["gristmill"]["input"]["title"],
                  "input.n": lambda line: line["gristmill"]["input"]["n"],
                  "model": lambda line: line["gristmill"]["model"],
                  "endpoint": lambda line: line["gristmill"]["endpoint"],
                  "attempts": lambda line: line["gristmill"]["attempts"],
                  "latency_ms": lambda line: line["gristmill"]["latency_ms"],
                  "cached": lambda line: line["gristmill"]["cached"],
                  "error_class": lambda line: line["gristmill"].get("class"),
                  "http_status": lambda line: line["response"]["status_code"],
                  "prompt_tokens": lambda line: line["response"]["body"].get("usage", {}).get("prompt_tokens"),
                  "completion_tokens": lambda line: line["response"]["body"].get("usage", {}).get("completion_tokens"),
                  "finish_reason": lambda line: line["response"]["body"].get("choices", [{}])[0].get("finish_reason"),
                  "/response/request_id": lambda line: line["response"]["request_id"],
                  "/gristmill/crc": lambda line: line["gristmill"]["crc"]}
        text = self.printed("--fields", ", ".join(wanted), "--format", "jsonl")
        # JSON lines keep types and order.
        rows = [json.loads(line, object_pairs_hook=collections.OrderedDict) for line in io.StringIO(text)]
        self.assertEqual(len(rows), len(TEXTS))
        for row, line in zip(rows, self.lines()):
            self.assertEqual(list(row.items()), [(name, read(line)) for name, read in wanted.items()])
        # A table of the same has the same as text.
        spelled = {"None": "", "True": "true", "False": "false"}
        for flat, row in zip(rows_of(self.printed("--fields", ",".join(wanted))), rows):
            self.assertEqual(flat, {name: spelled.get(str(value), str(value)) for name, value in row.items()})

    def test_only_those_that_are_completed_or_have_failed(self):
        self.echoes()
        failed = [line["custom_id"] for line in self.lines() if "class" in line["gristmill"]]
        completed = [line["custom_id"] for line in self.lines() if "class" not in line["gristmill"]]
        for only, ids in (("failed", failed), ("completed", completed)):
            rows = rows_of(self.printed("--only", only, "--fields", "custom_id,status"))
            self.assertEqual([row["custom_id"] for row in rows], ids)
            self.assertEqual({row["status"] for row in rows}, {only})

    def test_the_name_of_a_file_says_its_form(self):
        self.echoes()
        unpack = {".gz": gzip.decompress,
                  ".zst": lambda data: subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout}
        failed = sum("class" in line["gristmill"] for line in self.lines())
        for form in ("csv", "tsv", "jsonl"):
            printed = self.printed("--format", form)
            for packing in ("", ".gz", ".zst"):
                path = self.directory / f"table.{form}{packing}"
                said = self.table("-o", path)
                self.assertEqual(said.stdout, "")
                self.assertIn(f"{path}: {len(TEXTS)} rows, {failed} of failed items", said.stderr)
                self.assertEqual(unpack.get(packing, bytes)(path.read_bytes()).decode(), printed)
        self.assertEqual([row["content"] for row in rows_of(self.printed("--format", "tsv"), "\t")],
                         [row["content"] for row in rows_of(self.printed())])
        self.assertEqual(sorted(path.name for path in self.directory.glob("table*.part")), [])

    def test_results_of_every_form_give_the_same_table(self):
        self.echoes()
        printed = self.printed()
        for suffix, pack in ((".gz", ["gzip", "-c"]), (".zst", ["zstd", "-qc"])):
            path = self.directory / f"packed.jsonl{suffix}"
            path.write_bytes(subprocess.run(pack, input=self.output.read_bytes(), capture_output=True, check=True).stdout)
            self.assertEqual(self.printed(path=path), printed)
            done = subprocess.run([binary("gristmill"), "export", "-"], input=path.read_bytes(), capture_output=True)
            self.assertEqual(done.stdout.decode(), printed)
        done = subprocess.run([binary("gristmill"), "export", "-"], input=self.output.read_bytes(), capture_output=True)
        self.assertEqual(done.stdout.decode(), printed)

    def exported(self, path):
        """The most memory that it took, in MiB, and the rows."""
        with open(self.directory / "table", "wb") as table:
            child = subprocess.Popen([binary("gristmill"), "export", str(path)], stdout=table)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0)
        with open(self.directory / "table", newline="", encoding="utf-8") as table:
            return used.ru_maxrss >> 10, sum(1 for _ in csv.reader(table)) - 1

    def test_memory_does_not_follow_the_length_of_a_result(self):
        self.echoes()
        many, data = self.directory / "many.jsonl", self.output.read_bytes()
        times = (300 << 20) // len(data) + 1
        with open(many, "wb") as file:
            for _ in range(times):
                file.write(data)
        few_mib, rows = self.exported(self.output)
        self.assertEqual(rows, len(TEXTS))
        many_mib, rows = self.exported(many)
        self.assertEqual(rows, times * len(TEXTS))
        self.assertLess(many_mib, few_mib + 8 + MEMORY_SLACK_MIB)


class Answers(Export):
    """What is in a line of other tasks than one chat."""

    def test_members_of_answers_in_json(self):
        server = self.server("--answer", "json", "--fault", "unfit:match=BROKEN")
        schema = self.directory / "facts.json"
        schema.write_text(json.dumps({"type": "object", "properties": {"checksum": {"type": "string", "minLength": 8},
                                                                       "length": {"type": "integer"}},
                                      "required": ["checksum", "length"]}))
        texts = [f"text {n}" if n % 10 else f"BROKEN {n}" for n in range(100)]
        self.gristmill("run", self.documents(*({"id": str(n), "text": text} for n, text in enumerate(texts))),
                       "--json-schema", schema, "-m", "sim-small", "--endpoint", server.url, "-o", self.output, check=3)
        rows = rows_of(self.printed("--fields", "custom_id,content.checksum,content.length,content/length,error_code"))
        for n, (text, row) in enumerate(zip(texts, rows)):
            if text.startswith("BROKEN"):
                self.assertEqual(list(row.values()), [str(n), "", "", "", "schema_mismatch"])
            else:
                length = str(len(text))
                self.assertEqual(list(row.values()), [str(n), crc(text), length, length, ""])

    def test_what_several_models_and_the_judge_said(self):
        server = self.server("--answer", "label")
        self.gristmill("run", self.documents(*({"id": f"doc-{n}", "text": f"document {n}"} for n in range(200))),
                       "--task", "classify", "--labels", "good,bad,ugly", "-m", "org/a.1", "-m", "b", "-m", "c",
                       "--judge-model", "j", "--judge-prompt", "{{answer.1}} or {{answer.2}}: {{text}}",
                       "--endpoint", server.url, "-o", self.output)
        fields = "label,tie,votes,answers.1,answers.b,labels.org/a.1,labels.3,judge,prompt_tokens"
        rows = rows_of(self.printed("--fields", fields))
        self.assertEqual(len(rows), 200)
        for row, line in zip(rows, self.lines()):
            about = line["gristmill"]
            said = [text_of(answer["response"]) for answer in about["answers"]]
            tokens = sum(answer["response"]["body"]["usage"]["prompt_tokens"]
                         for answer in (*about["answers"], about["judge"]))
            votes = row.pop("votes")
            self.assertEqual(json.loads(votes), about["votes"])
            self.assertEqual(list(row.values()),
                             [about["label"], "true" if about.get("tie") else "false", said[0], said[1],
                              about["answers"][0]["label"], about["answers"][2]["label"],
                              text_of(about["judge"]["response"]), str(tokens)])

    def test_vectors_are_arrays(self):
        server = self.server("--dimensions", "16")
        for packed in ("float", "base64"):
            with self.subTest(packed):
                output = self.directory / f"{packed}.jsonl"
                self.gristmill("run", self.documents(*({"text": f"text {n}"} for n in range(50))), "--task", "embed", "-m",
                               "sim-small", "--param", f"encoding_format={packed}", "--endpoint", server.url, "-o", output)
                vectors = [json.loads(row["content"]) for row in rows_of(self.printed(path=output))]
                self.assertEqual({len(vector) for vector in vectors}, {16})
                if packed == "float":
                    floats = vectors
                    self.assertEqual(vectors, [line["response"]["body"]["data"][0]["embedding"]
                                               for line in self.lines(output)])
                else:
                    self.assertTrue(all(abs(a - b) < 1e-6 for one, other in zip(vectors, floats)
                                        for a, b in zip(one, other)))


class Refusals(Export):
    def setUp(self):
        super().setUp()
        server = self.server()
        self.gristmill("run", self.documents(*({"id": f"doc-{n}", "text": f"document {n}"} for n in range(20))),
                       "-p", "{{text}}", "-m", "sim-small", "--keep", "id", "--endpoint", server.url, "-o", self.output)

    def refused(self, *words, arguments=(), path=None, code=2):
        done = self.table(*arguments, path=path, check=code)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in ("gristmill export: ", *words):
            self.assertIn(str(word), done.stderr)
        return done

    def test_what_is_no_field_or_none_of_the_values(self):
        self.refused("--fields: expected custom_id, ", "got \"contents\"", arguments=("--fields", "custom_id,contents"))
        self.refused("got \"status\" twice", arguments=("--fields", "status,status"))
        self.refused("an empty name", arguments=("--fields", "custom_id,"))
        self.refused("--format: expected csv, tsv or jsonl, got \"xlsx\"", arguments=("--format", "xlsx"))
        self.refused("--only: expected completed or failed, got \"done\"", arguments=("--only", "done"))
        self.refused("table.xlsx", "--format", arguments=("-o", self.directory / "table.xlsx"))
        self.refused("expected ", "to be a directory", arguments=("-o", self.directory / "none/table.csv"))

    def test_a_field_that_no_line_has_is_said(self):
        done = self.table("--fields", "custom_id,input.id,input.idd,content.x,votes")
        self.assertEqual(len(rows_of(done.stdout)), 20)
        self.assertIn("no row has anything in input.idd, content.x:", done.stderr)

    def test_what_is_no_result(self):
        where = self.directory
        self.refused("No such file", where / "none.jsonl", path=where / "none.jsonl")
        (where / "later.jsonl.state").mkdir()
        self.refused("not there yet", "later.jsonl.state", path=where / "later.jsonl")
        self.refused("a directory", path=where)
        self.refused("summary", path=f"{self.output}.summary.json")
        self.refused("expected a result line", f"{where}/in.jsonl:1:", path=where / "in.jsonl")
        server = self.server(label="vectors")
        vectors = where / "vectors.npy"
        self.gristmill("run", where / "in.jsonl", "--task", "embed", "-m", "sim-small", "--endpoint", server.url,
                       "-o", vectors)
        self.refused("a NumPy array", "-o NAME.jsonl", path=vectors)
        self.refused("the names of an array's rows", path=where / "vectors.ids.jsonl")

    def test_lines_that_are_cut_or_changed(self):
        lines = self.output.read_text().splitlines(keepends=True)
        cut, changed = self.directory / "cut.jsonl", self.directory / "changed.jsonl"
        cut.write_text("".join(lines)[:-40])
        table = self.directory / "table.csv"
        self.refused(f"{cut}:20: expected a whole line", "cut after", path=cut, arguments=("-o", table))
        changed.write_text("".join(lines[:3]) + lines[3].replace("sim ", "Sim ", 1) + "".join(lines[4:]))
        self.refused(f"{changed}:4: expected the CRC", path=changed, arguments=("-o", table))
        packed = self.directory / "cut.jsonl.gz"
        packed.write_bytes(gzip.compress(self.output.read_bytes())[:-9])
        self.refused("a file that is cut", packed, path=packed, arguments=("-o", table))
        self.assertEqual([path.name for path in self.directory.glob("table*")], [])

    def test_nothing_is_replaced_that_may_be_wanted(self):
        table = self.directory / "table.csv"
        before = self.output.read_bytes()
        for path in (self.output, self.directory / "in.jsonl"):
            self.refused(path, "-o", arguments=("--format", "csv", "-o", path))
        link = self.directory / "link.jsonl"
        link.symlink_to(self.output)
        self.refused("-o", arguments=("-o", link))
        with open(self.output, "ab") as end:
            done = subprocess.run([binary("gristmill"), "export", str(self.output)], stdout=end, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"standard output", done.stderr)
        self.assertEqual(self.output.read_bytes(), before)
        self.table("-o", table)
        written = table.read_bytes()
        self.refused(table, "does not exist yet", arguments=("-o", table))
        self.assertEqual(table.read_bytes(), written)
        # An empty file holds nothing, and what a kill left is the part of such a table.
        table.write_bytes(b"")
        part = pathlib.Path(f"{table}.part")
        part.write_bytes(written[:len(written) // 2])
        self.table("-o", table)
        self.assertEqual(table.read_bytes(), written)
        self.assertFalse(part.exists())
        table.unlink()
        part.write_text("my own notes\n")
        self.refused(part, arguments=("-o", table))
        self.assertEqual(part.read_text(), "my own notes\n")

    def test_a_reader_that_goes_away_and_a_disk_that_is_full(self):
        many = self.directory / "many.jsonl"
        many.write_bytes(self.output.read_bytes() * 2_000)
        child = subprocess.Popen([binary("gristmill"), "export", str(many)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
        child.stderr.close()
        self.assertEqual(child.wait(PATIENCE_S), 4)
        self.assertIn(b"standard output did not take the whole table", said)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([binary("gristmill"), "export", str(self.output)], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 4, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
