"""What verify looks at: input, output, raw journal, segments and the provider's call log, each read
here by its own few lines, so that a mistake of the product cannot hide in code that both share.
Invariant: nothing is changed; of a journal a copy is opened.
"""
import collections
import contextlib
import json
import itertools
import pathlib
import re
import shutil
import sqlite3
import tempfile
import zlib

# Kinds in commits.items.
COMPLETED, FAILED, ATTEMPTS, FALLBACK, REOPENED, OF_A_PART, KEYED = range(7)
SIZED, KEYED_PART = 4, 5  # of a part: an answer that a step joins with others; one with its request's key
KEY_BYTES = 16
Entry = collections.namedtuple("Entry", "kind item bytes cls part")  # part: None of a whole item
Range = collections.namedtuple("Range", "segment begin end")
Commit = collections.namedtuple("Commit", "position epoch lines parts sums entries part_entries raw")
Block = collections.namedtuple("Block", "account calls tokens drawn_calls")
Call = collections.namedtuple("Call", "t_ns attempt block n crc ok rate tokens status")


class Varints:
    """The numbers of a blob, one after the other."""

    def __init__(self, blob):
        self.bytes = iter(blob)

    def __iter__(self):
        return self

    def __next__(self):
        value = shift = 0
        for byte in self.bytes:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
        if shift:
            raise ValueError("a number is cut")
        raise StopIteration

    def skip(self, count):
        if len(list(itertools.islice(self.bytes, count))) != count:
            raise ValueError("a key is cut")


def entries(blob):
    """The items of one commit; the grammar stands in actors/journal/commit_row.hpp."""
    numbers, item, result = Varints(blob), 0, []
    for head in numbers:
        kind, delta = head & 7, head >> 3
        item += (delta >> 1) ^ -(delta & 1)
        size = cls = 0
        part = None
        if kind == OF_A_PART:
            number = next(numbers)
            kind, part = number & 7, number >> 3
        is_keyed = kind == (KEYED if part is None else KEYED_PART)
        is_sized = part is not None and kind in (SIZED, KEYED_PART)
        kind = COMPLETED if is_sized or is_keyed else kind
        if kind in (COMPLETED, FAILED):
            size = next(numbers)
            if is_sized:
                next(numbers)  # of its answer
            if is_keyed:
                numbers.skip(KEY_BYTES)
            cls = next(numbers) if kind == FAILED else 0
        elif kind in (ATTEMPTS, FALLBACK):
            for _ in range(2 if kind == ATTEMPTS else 3):
                next(numbers)
        elif kind != REOPENED or part is not None:
            raise ValueError(f"an entry of the unknown kind {kind}")
        result.append(Entry(kind, item, size, cls, part))
    return result


BY_REFERENCE = re.compile(rb'\{"by_reference":\["([^"]+)",(\d+),(\d+),"[0-9a-f]{8}",(\d+)\],"line":')


class Journal:
    """One job of a journal file and its log, from a copy, without the coordinator."""

    def __init__(self, path, job, segments=None, shared=None):
        path = pathlib.Path(path)
        self.shared = shared
        self.state = pathlib.Path(segments or (path if path.is_dir() else path.parent))
        file = path / "journal.db" if path.is_dir() else path
        with tempfile.TemporaryDirectory(prefix="gristmill-verify-") as place:
            for part in (file, file.with_name(file.name + "-wal")):
                if part.exists():
                    shutil.copy(part, pathlib.Path(place) / part.name)
            with contextlib.closing(sqlite3.connect(f"{place}/{file.name}")) as database:
                self.read(database, job)

    def read(self, database, job):
        self.integrity = database.execute("PRAGMA integrity_check").fetchone()[0]
        self.epochs = [row[0] for row in database.execute("SELECT epoch FROM epochs ORDER BY rowid")]
        self.last_position = database.execute(
            "SELECT value FROM meta WHERE key='last_position'").fetchone()[0]
        found = database.execute("SELECT spec, state, directory FROM jobs WHERE job=?", (job,)).fetchone()
        self.spec, self.job_state, self.directory = ({}, "", "") if not found else (
            json.loads(found[0]), found[1], found[2])
        self.commits = []
        for row in database.execute(
                "SELECT position, epoch, c.segment, c.from_offset, c.to_offset, p.segment, "
                "p.from_offset, p.to_offset, reopened, completed, failed, items "
                "FROM commits c LEFT JOIN part_ranges p USING (job, position) "
                "WHERE job=? ORDER BY position", (job,)):
            found = entries(row[11])
            self.commits.append(Commit(
                *row[:2], Range(*row[2:5]), Range(*(value or 0 for value in row[5:8])), row[8:11],
                [entry for entry in found if entry.part is None],
                [entry for entry in found if entry.part is not None], row))
        self.blocks = {}
        for epoch, block, *held in database.execute(
                "SELECT epoch, block, account, calls, tokens, drawn_calls FROM blocks"):
            self.blocks[epoch, block] = Block(*held)
        mark = database.execute("SELECT mark FROM marks WHERE job=?", (job,)).fetchone()
        self.mark = mark[0] if mark else 0  # no item at or above it may have been called
        self.terminal = {}  # item -> (kind, class), the last one
        for commit in self.commits:
            for entry in commit.entries:
                if entry.kind in (COMPLETED, FAILED):
                    self.terminal[entry.item] = (entry.kind, entry.cls)
                elif entry.kind == REOPENED:
                    self.terminal.pop(entry.item, None)

    def segment_path(self, number, kind="results"):
        return self.state / self.directory / f"{kind}-{number:06}.jsonl"

    def whole(self, line):
        """With the body of its answer, if that stands in the shared directory."""
        found = BY_REFERENCE.match(line)
        if not found:
            return line
        ours = pathlib.Path(self.shared) / ("gristmill-" + (self.state / "shared.id").read_text())
        offset, size, at = map(int, found.groups()[1:])
        with open(ours / found[1].decode(), "rb") as file:
            file.seek(offset)
            body = file.read(size)
        if len(body) != size or b"\n" in body:
            raise ValueError(f"no whole body at byte {offset} of {file.name}")
        text = line[found.end():-2]
        return text[:at] + body + text[at + len(b"null"):] + b"\n"

    def each_line(self, kind="results"):
        """(commit, entry, line) of results or of parts, oldest first, whole; names what is not
        there."""
        files = {}
        for commit in self.commits:
            place, said = ((commit.lines, commit.entries) if kind == "results" else
                           (commit.parts, commit.part_entries))
            segment, offset, end = place
            if segment and segment not in files:
                files[segment] = self.segment_path(segment, kind).read_bytes()
            for entry in said:
                if entry.kind in (COMPLETED, FAILED):
                    line = files.get(segment, b"")[offset:offset + entry.bytes]
                    offset += entry.bytes
                    if len(line) != entry.bytes or line.count(b"\n") != 1 or line[-1:] != b"\n":
                        raise ValueError(f"item {entry.item}: no whole line at byte "
                                         f"{offset - entry.bytes} of {kind} {segment}")
                    yield commit, entry, self.whole(line)
            if offset != end:
                raise ValueError(f"position {commit.position}: {kind} end at {offset}, not {end}")

    def lines(self):
        """Each item's last line."""
        return {entry.item: line for _, entry, line in self.each_line()}


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC32C = crc32c_table()


def sealed(line):
    """A result line ends with ,"crc":"XXXXXXXX"}} over everything before it."""
    body, seal = line[:-20], line[-20:]
    value = 0xFFFFFFFF
    for byte in body:
        value = CRC32C[(value ^ byte) & 0xFF] ^ value >> 8
    return seal == b',"crc":"%08x"}}\n' % (value ^ 0xFFFFFFFF)


def is_part(line, item, part):
    """It is sealed, and names that part of that item."""
    return sealed(line) and line[:-20].endswith(b',"item":%d,"part":%d' % (item, part))


def text_of(response):
    return response["body"]["choices"][0]["message"]["content"]


def answer_of(line):
    """The text of a chat's answer; None if the line has none."""
    said = json.loads(line)
    return None if "class" in said["gristmill"] else text_of(said["response"])


def gap_of(line):
    """What stood in the document between this chunk and the next one."""
    return json.loads(line)["gristmill"].get("chunk", {}).get("gap", "")


def answers_of(line):
    """The text of each model's answer and then the judge's, of an item that several were asked; None
    for one that failed."""
    said = json.loads(line)["gristmill"]
    every = [*said.get("answers", []), *([said["judge"]] if "judge" in said else [])]
    return [None if answer["error"] else text_of(answer["response"]) for answer in every]


def read_input(paths, limit):
    """(custom_id, crc of what is asked) of each line of OpenAI Batch files."""
    items = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    request = json.loads(line)
                    text = "".join(message["content"] for message in request["body"]["messages"])
                    items.append((request["custom_id"], f"{zlib.crc32(text.encode()):08x}"))
    return items[:limit] if limit else items


def read_log(path, until_ns=None):
    """The provider's calls. A call is ok when the provider gave a usable answer."""
    calls = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            call = json.loads(line)
            parts = call["attempt"].split("-")  # EPOCH-BLOCK-N
            known = len(parts) == 3 and all(part.isdigit() for part in parts)
            calls.append(Call(call["t_ns"], call["attempt"],
                              (int(parts[0]), int(parts[1])) if known else None,
                              int(parts[2]) if known else 0, call["crc"],
                              call["status"] == 200 and not call["fault"], call["status"] == 429,
                              call["prompt_tokens"] + call["completion_tokens"], call["status"]))
    return sorted((call for call in calls if until_ns is None or call.t_ns <= until_ns),
                  key=lambda call: call.t_ns)
