#!/usr/bin/env python3
"""verify: did a job keep its promises? Reads input, output, raw journal, segments and the simulated
provider's log, never the coordinator's answers; prints each invariant with its counts; exit code 1
if one does not hold.

  verify.py --input IN --output OUT --journal STATE --log LOG [--job N] [--kill T_NS=JOURNAL]...

STATE is a state directory whose coordinator is down or stopped. JOURNAL is a journal.db (its -wal
beside it) as it was at a kill, T_NS the CLOCK_BOOTTIME by which all calls of who was killed had
reached the provider. --partial: the job is not over, and there is no output yet; then STATE may be
a journal.db with its --segments elsewhere, and --until leaves out calls that came after it.
"""
import argparse
import collections
import sqlite3
import sys

import evidence
import invariants


class Case:
    """All the evidence about one job, and what more than one invariant derives from it."""

    def __init__(self, options):
        self.partial = options.partial
        self.journal = evidence.Journal(options.journal, options.job, options.segments,
                                        options.shared)
        self.retries = self.journal.spec.get("retries", 0)
        named = self.journal.spec.get("model", "")
        self.models = len(named) if isinstance(named, list) else 1  # that each item is asked of
        self.items = evidence.read_input(options.input, self.journal.spec.get("limit", 0))
        self.calls = evidence.read_log(options.log, options.until)
        self.output = []
        if not self.partial:
            with open(options.output, "rb") as file:
                self.output = file.readlines()
        self.calls_of = collections.defaultdict(list)
        self.drawn = collections.Counter()
        for call in self.calls:
            self.calls_of[call.crc].append(call)
            self.drawn[call.block] = max(self.drawn[call.block], call.n)
        kills = sorted((int(t_ns), path) for t_ns, _, path in
                       (kill.partition("=") for kill in options.kill))
        self.kill_times = [t_ns for t_ns, _ in kills]
        self.snapshots = [(f"the journal at {t_ns}", evidence.Journal(path, options.job))
                          for t_ns, path in kills]
        self.unrecorded = self.find_unrecorded()

    def find_unrecorded(self):
        """Attempts that the provider had seen at a kill and whose item had no result by then."""
        ordinal = {crc: n for n, (_, crc) in enumerate(self.items)}
        return {call.attempt for t_ns, (_, snapshot) in zip(self.kill_times, self.snapshots)
                for call in self.calls
                if call.t_ns <= t_ns and ordinal.get(call.crc) not in snapshot.terminal}

    def all_journals(self):
        return [*self.snapshots, ("the journal", self.journal)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--input", action="append", required=True)
    parser.add_argument("--output")
    parser.add_argument("--journal", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--job", type=int, default=1)
    parser.add_argument("--kill", action="append", default=[], metavar="T_NS=JOURNAL")
    parser.add_argument("--partial", action="store_true")
    parser.add_argument("--segments", metavar="STATE")
    parser.add_argument("--shared", metavar="DIR", help="where bodies of answers stand")
    parser.add_argument("--until", type=int, metavar="T_NS")
    options = parser.parse_args()
    if not options.partial and not options.output:
        parser.error("expected --output, or --partial for a job that is not over")
    try:
        case, bad = Case(options), 0
    except (sqlite3.DatabaseError, ValueError, KeyError, OSError) as error:
        print(f"I1 FAIL conservation: the evidence cannot be read: {error!r}")
        return 1
    for name, invariant in invariants.ALL:
        counts, wrong = invariant(case)
        print(f"{name} {'FAIL' if wrong else 'ok'} {invariant.__name__[3:]}: {counts}")
        for sentence in wrong[:5]:
            print(f"   {sentence}")
        if len(wrong) > 5:
            print(f"   and {len(wrong) - 5} more")
        bad += bool(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
