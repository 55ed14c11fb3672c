"""`gristmill cache`: what it says of a cache, what it removes, and what it refuses."""
import contextlib
import json
import sqlite3
import unittest

from cache_files import make_cache
from harness import EndToEnd


class Cache(EndToEnd):
    def setUp(self):
        super().setUp()
        self.cache = self.directory / "cache"

    def stats(self):
        return json.loads(self.gristmill("cache", "stats", self.cache, "--json").stdout)

    def test_it_says_how_large_a_cache_is_and_when_it_was_used(self):
        make_cache(self.cache, hours_ago=[0, 5, 50], bytes_max=20_000)
        self.assertRegex(self.gristmill("cache", "stats", self.cache).stdout,
                         r"cache: 3 answers, 3,000 of at most 20,000 bytes, 9,000 bytes unpacked, a file of [\d,]+ bytes; "
                         r"used from 20\d\d-\d\d-\d\d \d\d:00 to 20\d\d-\d\d-\d\d \d\d:00\n$")
        stats = self.stats()
        self.assertEqual((stats["entries"], stats["bytes"], stats["body_bytes"], stats["bytes_max"]),
                         (3, 3_000, 9_000, 20_000))
        self.assertEqual(stats["newest_use"] - stats["oldest_use"], 50 * 3_600)
        self.assertEqual(stats["file_bytes"], (self.cache / "answers.db").stat().st_size)

    def test_it_removes_what_was_used_longest_ago(self):
        make_cache(self.cache, hours_ago=range(40))
        done = self.gristmill("cache", "prune", self.cache, "--to", "10K")
        self.assertRegex(done.stdout, r"cache: 30 answers of 30,000 bytes removed\n.*cache: 10 answers, 10,000 of ")
        stats = self.stats()
        self.assertEqual(stats["entries"], 10)
        self.assertEqual(stats["newest_use"] - stats["oldest_use"], 9 * 3_600)

    def test_it_removes_what_nobody_has_used_for_so_long(self):
        make_cache(self.cache, hours_ago=[0, 10, 20, 30, 48 * 24])
        self.gristmill("cache", "prune", self.cache, "--older-than", "30d")
        self.assertEqual(self.stats()["entries"], 4)
        self.gristmill("cache", "prune", self.cache, "--older-than", "15h", "--to", "1T")
        self.assertEqual(self.stats()["entries"], 2)
        self.gristmill("cache", "prune", self.cache, "--older-than", "15h", "--to", "0")
        empty = self.stats()
        self.assertEqual((empty["entries"], empty["oldest_use"]), (0, None))
        self.assertRegex(self.gristmill("cache", "stats", self.cache).stdout, r"cache: 0 answers, .* bytes\n$")

    def check_refused(self, *parts, check=2):
        for command in (["stats"], ["prune", "--to", "0"]):
            done = self.gristmill("cache", command[0], self.cache, *command[1:], check=check)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            for part in (f"gristmill cache {command[0]}: expected", *parts):
                self.assertIn(part, done.stderr)

    def test_what_is_no_cache_is_refused_and_stays_as_it_is(self):
        self.check_refused(f"there is no answers.db in {self.cache}")
        self.assertFalse(self.cache.exists())
        self.cache.mkdir(mode=0o700)
        self.check_refused(f"there is no answers.db in {self.cache}")
        file = self.cache / "answers.db"
        with contextlib.closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE diary(day TEXT)")
        before = file.read_bytes()
        self.check_refused("is a database of another program", str(file))
        self.assertEqual(file.read_bytes(), before)

    def test_another_version_and_damage_are_named(self):
        file = make_cache(self.cache, hours_ago=[1])
        with contextlib.closing(sqlite3.connect(file)) as cache:
            cache.execute("PRAGMA user_version=99")
        self.check_refused("expected version 1", "has version 99")
        file.write_bytes(b"no database " * 1_000)
        self.check_refused("is damaged", check=70)
        self.assertEqual(file.read_bytes(), b"no database " * 1_000)

    def test_a_command_that_cannot_be_read_says_what_was_expected(self):
        make_cache(self.cache, hours_ago=[1])
        for options, words in ((["--to", "20GB"], 'expected a size such as 500M or 20G (of 1024 each), got "20GB"'),
                               (["--older-than", "5w"], 'expected a span such as 90s, 30m, 2h or 30d, got "5w"'),
                               ([], "expected --to or --older-than, got neither")):
            self.assertIn(words, self.gristmill("cache", "prune", self.cache, *options, check=2).stderr)
        self.assertEqual(self.stats()["entries"], 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
