"""The invariants, one function each. A function returns its counts and what it found wrong, a
sentence per finding; it knows nothing of the others. The names are those of docs/TESTING.md.
"""
import collections
import json

from evidence import (COMPLETED, FAILED, REOPENED, answer_of, answers_of, gap_of, is_part, sealed,
                      text_of)

WINDOW_NS = 60 * 10**9
FINAL = {400, 401, 403, 404, 413, 422}  # answers that end an item at once
# Faults of the endpoint, which cost an item nothing; 0: no answer, which may have been a time-out.
FAULTS = {0, 424, 425, 499, 502, 503, 504, *range(520, 531)}
POISON = 6  # of them make an item poison

JUDGE = 31 << 21  # the level of the judge's part

JOB_BLOCKS = 1 << 28  # blocks of jobs and money are numbered from here: no attempt is of theirs


def i1_conservation(case):
    """Every item is open, completed or failed, and at the end none is open."""
    wrong = []
    if case.journal.integrity != "ok":
        wrong.append(f"integrity_check says {case.journal.integrity}")
    for name, journal in case.all_journals():
        strangers = [item for item in journal.terminal if item >= len(case.items)]
        if strangers:
            wrong.append(f"{name}: items {strangers[:3]} are not in the input")
        for commit in journal.commits:
            counted = tuple(sum(entry.kind == kind for entry in commit.entries)
                            for kind in (REOPENED, COMPLETED, FAILED))
            if counted != commit.sums:
                wrong.append(f"{name}: position {commit.position} says {commit.sums}, holds {counted}")
    done = len(case.journal.terminal)
    if not case.partial and done != len(case.items):
        missing = [n for n in range(len(case.items)) if n not in case.journal.terminal]
        wrong.append(f"{len(missing)} items have no result in the journal, the first is {missing[:3]}")
    return f"items={len(case.items)} terminal={done} open={len(case.items) - done}", wrong


def i2_recorded_stays(case):
    """What one journal held every later one holds; the lines are there, whole, and in the output."""
    wrong, rows = [], 0
    journals = case.all_journals()
    for (early_name, early), (late_name, late) in zip(journals, journals[1:]):
        held = {commit.raw for commit in late.commits}
        lost = [f"position {commit.position}" for commit in early.commits if commit.raw not in held]
        # A block goes when it is over; by then there is a newer one, or a newer life.
        newest = max([*late.blocks, (late.epochs[-1], 0)])  # of any kind
        lost += [f"block {epoch}-{number}" for (epoch, number), block in early.blocks.items()
                 if late.blocks.get((epoch, number), block)[:3] != block[:3]
                 or ((epoch, number) not in late.blocks and (epoch, number) >= newest)]
        lost += [f"the mark {early.mark}"] if late.mark < early.mark else []
        rows += len(early.commits) + len(early.blocks)
        if lost:
            wrong.append(f"{late_name} has not, or not as it was, what {early_name} had: {lost[:3]}")
    if case.partial:
        places = [("results", commit.lines) for commit in case.journal.commits]
        places += [("parts", commit.parts) for commit in case.journal.commits]
        for kind, number in {(kind, place.segment) for kind, place in places if place.segment}:
            end = max(p.end for k, p in places if (k, p.segment) == (kind, number))
            size = case.journal.segment_path(number, kind).stat().st_size
            if size < end:
                wrong.append(f"segment {number} of {kind} has {size} bytes, the journal knows {end}")
        return f"snapshots={len(journals) - 1} rows={rows}", wrong
    try:
        lines = case.journal.lines()
        parts = list(case.journal.each_line("parts"))
    except (ValueError, OSError) as error:
        return "", [*wrong, str(error)]
    written = set(case.output)
    for item, line in lines.items():
        if not sealed(line):
            wrong.append(f"item {item}: its line in the segment is damaged")
        elif line not in written:
            wrong.append(f"item {item}: the recorded line is not in the output")
    wrong += [f"item {entry.item}: the line of its part {entry.part} is damaged, or another's"
              for _, entry, line in parts if not is_part(line, entry.item, entry.part)]
    return f"snapshots={len(journals) - 1} rows={rows} lines={len(lines)} parts={len(parts)}", wrong


def i3_each_once(case):
    """Each custom_id once, in the input's order, with its own answer, in whole lines."""
    if case.partial:
        return "no output yet", []
    wrong, failed = [], 0
    if len(case.output) != len(case.items):
        wrong.append(f"{len(case.items)} items, {len(case.output)} lines")
    if case.output and not case.output[-1].endswith(b"\n"):
        wrong.append("the last line is torn")
    for number, (line, (name, crc)) in enumerate(zip(case.output, case.items)):
        try:
            result = json.loads(line)
        except ValueError:
            wrong.append(f"line {number + 1} does not parse")
            continue
        if result["custom_id"] != name:
            wrong.append(f"line {number + 1} is {result['custom_id']}, expected {name}")
            continue
        for said in texts_of(result):
            if said.split()[:2] != ["sim", crc]:
                wrong.append(f"{name} has the answer {said[:16]}, expected sim {crc}")
        if result["error"] or (result["response"] or {}).get("status_code") != 200:
            failed += 1
            calls = case.calls_of[crc]
            lost = len(case.unrecorded & {call.attempt for call in calls})
            faults = sum(call.status in FAULTS for call in calls)
            poison = result["gristmill"].get("class") == "poison" and faults + lost >= POISON
            if not (any(call.status in FINAL for call in calls) or lost >= 3 or poison or
                    sum(not call.ok and not call.rate for call in calls) + lost > case.retries):
                wrong.append(f"{name} has failed, and the provider's log does not say why")
    return f"lines={len(case.output)} failed={failed}", wrong


def i4_first_terminal(case):
    """An item has one terminal outcome, unless a retry reopened a failed one, and keeps it. So has a
    part; and an item of several is answered when all of them are, with their texts."""
    wrong, terminal, parts = [], {}, collections.defaultdict(dict)
    try:
        part_lines = {(commit.position, entry.item, entry.part): line
                      for commit, entry, line in case.journal.each_line("parts")}
        lines = case.journal.lines()
    except (ValueError, OSError):
        part_lines, lines = {}, {}  # I2 says so
    for commit in case.journal.commits:
        for entry in commit.entries:
            if entry.kind in (COMPLETED, FAILED) and parts.get(entry.item):
                wrong += wrong_join(entry, parts[entry.item], lines.get(entry.item))
            if entry.kind == REOPENED:
                parts[entry.item] = {part: outcome for part, outcome in parts[entry.item].items()
                                     if outcome[0] != FAILED}
                if terminal.pop(entry.item, (COMPLETED, 0))[0] != FAILED:
                    wrong.append(f"item {entry.item} was reopened, and had not failed")
            elif entry.kind in (COMPLETED, FAILED):
                if entry.item in terminal:
                    wrong.append(f"item {entry.item} has two results")
                terminal.setdefault(entry.item, (entry.kind, entry.cls))
        for entry in commit.part_entries:
            if entry.kind not in (COMPLETED, FAILED):
                continue
            if entry.part in parts[entry.item] or entry.item in terminal:
                wrong.append(f"part {entry.part} of item {entry.item} has two results, or ended late")
            parts[entry.item][entry.part] = (
                entry.kind, part_lines.get((commit.position, entry.item, entry.part)))
    if not any(commit.sums[0] for commit in case.journal.commits):
        for name, snapshot in case.snapshots:
            for item, outcome in snapshot.terminal.items():
                if case.journal.terminal.get(item) != outcome:
                    wrong.append(f"item {item} was {outcome} in {name}, is "
                                 f"{case.journal.terminal.get(item)}")
    return f"terminal={len(terminal)} in-parts={sum(map(len, parts.values()))}", wrong


def texts_of(result):
    """The answers to what the item asks: one, or one of each model."""
    several = result["gristmill"].get("answers")
    if several is not None:
        return [text_of(answer["response"]) for answer in several if not answer["error"]]
    answered = not result["error"] and (result["response"] or {}).get("status_code") == 200
    return [text_of(result["response"])] if answered else []


def by_model(parts):
    """The parts of each model and then the judge's, from their numbers: model, level, index."""
    models = collections.defaultdict(dict)
    for number, part in parts.items():
        models[number >> 26][number & (1 << 26) - 1] = part
    return models


def levels_of(parts):
    """One model's parts by their level: chunks, then those that join answers of the level below."""
    levels = collections.defaultdict(dict)
    for number, part in parts.items():
        levels[number >> 21][number & (1 << 21) - 1] = part
    return levels


def are_all(models):
    """Levels of each model are numbered from 0, and so are the parts of each; the last model may be
    the judge, who has one part."""
    last = len(models) - 1
    return sorted(models) == [*range(len(models))] and all(
        (model == last > 0 and [*parts] == [JUDGE]) or
        (sorted(levels_of(parts)) == [*range(len(levels_of(parts)))] and
         all(sorted(level) == [*range(len(level))] for level in levels_of(parts).values()))
        for model, parts in models.items())


def joined(lines):
    """The answers one behind the other; a gap between them that no answer has is the document's."""
    text = ""
    for before, line in zip([None, *lines], lines):
        answer = answer_of(line)
        if before and text and answer and not text[-1].isspace() and not answer[0].isspace():
            text += gap_of(before)
        text += answer
    return text


def wrong_join(entry, parts, line):
    """`line`: the item's last one; None: it cannot be read."""
    if entry.kind == FAILED:
        return []
    models = by_model(parts)
    if not are_all(models) or any(kind == FAILED for kind, _ in parts.values()):
        return [f"item {entry.item} was answered, its parts {sorted(parts)} are not all"]
    tops = [levels_of(of_one)[max(levels_of(of_one))] for _, of_one in sorted(models.items())]
    lines = [[part for _, (_, part) in sorted(top.items())] for top in tops]
    if line is None or not sealed(line) or not all(
            part and sealed(part) and isinstance(answer_of(part), str) for top in lines for part in top):
        return []  # I2 says so
    texts = [joined(top) for top in lines]
    if answer_of(line) != texts[0] or (len(texts) > 1 and answers_of(line) != texts):
        return [f"item {entry.item}: its answer is not that of its {len(parts)} parts"]
    return []


def i5_lifetime(case):
    """No item is called more often than its retries allow, no block drawn beyond what it reserves."""
    wrong, most = [], 0
    for name, crc in case.items:
        consumed = sum(not call.ok and not call.rate and call.status not in FAULTS
                       for call in case.calls_of[crc])
        most = max(most, consumed)
        lost = len(case.unrecorded & {call.attempt for call in case.calls_of[crc]})
        if consumed > case.models * (case.retries + 1) + lost:
            wrong.append(f"{name} failed {consumed} times at the provider, --retries is {case.retries}")
    for (epoch, number), block in case.journal.blocks.items():
        drawn = case.drawn[epoch, number]
        allowed = block.calls if block.drawn_calls is None else block.drawn_calls
        if drawn > allowed or (block.drawn_calls or 0) > block.calls:
            wrong.append(f"block {epoch}-{number} of {block.calls} calls, closed at "
                         f"{block.drawn_calls}: call {drawn} was made under it")
    return f"calls={len(case.calls)} blocks={len(case.journal.blocks)} failures-of-one={most}", wrong


def i6_windows(case):
    """In no minute more calls or tokens at the provider than the job or its endpoint allows."""
    spec, wrong, words = case.journal.spec, [], []
    for what, key, weight in (("calls", "requests_per_minute", lambda call: 1),
                              ("tokens", "tokens_per_minute", lambda call: call.tokens)):
        limits = [limit for limit in (spec.get(key, 0), *(endpoint.get(key, 0) for endpoint in
                                                          spec.get("endpoints", []))) if limit]
        if not limits:
            continue
        most, held, window = 0, 0, collections.deque()
        for call in case.calls:
            window.append(call)
            held += weight(call)
            while call.t_ns - window[0].t_ns >= WINDOW_NS:
                held -= weight(window.popleft())
            most = max(most, held)
        words.append(f"{what} max={most}/{min(limits)}")
        if most > min(limits):
            wrong.append(f"{most} {what} within a minute, {min(limits)} are allowed")
    return f"windows={len(case.calls)} " + (" ".join(words) or "no limit"), wrong


def i7_covered(case):
    """Each call carries an attempt id that a durable block covers; none is made twice. A block was
    durable first: what had been called at a kill has its block in the journal of that moment."""
    wrong, seen = [], set()
    item_of = {crc: n for n, (_, crc) in enumerate(case.items)}
    for t_ns, (name, snapshot) in zip(case.kill_times, case.snapshots):
        early = [call.attempt for call in case.calls if call.t_ns <= t_ns and
                 call.block in case.journal.blocks and call.block not in snapshot.blocks]
        if early:
            wrong.append(f"{name} has no block for {early[:3]}, which were called by then")
        ahead = [call.attempt for call in case.calls if call.t_ns <= t_ns and
                 item_of.get(call.crc, 0) >= snapshot.mark]
        if ahead:
            wrong.append(f"{name} has a mark of {snapshot.mark}, and {ahead[:3]} were called by then")
    blocks = {}
    for _, journal in case.all_journals():
        blocks.update(journal.blocks)
    for call in case.calls:
        if call.attempt in seen:
            wrong.append(f"attempt {call.attempt} was called twice")
        seen.add(call.attempt)
        block, item = blocks.get(call.block), item_of.get(call.crc)
        if call.block is None:
            wrong.append(f"a call has the attempt id {call.attempt!r}")
        elif item is None:
            wrong.append(f"attempt {call.attempt} asks what no item asks")
        elif item >= case.journal.mark:
            wrong.append(f"attempt {call.attempt} for item {item}: the mark is {case.journal.mark}")
        elif block is None:
            # Of one that is over nothing is kept; its number was given away before a later one's.
            if call.block > max(((e, b) for e, b in blocks if b < JOB_BLOCKS), default=(0, 0)):
                wrong.append(f"attempt {call.attempt} has no block in any journal")
        elif not 1 <= call.n <= block.calls:
            wrong.append(f"attempt {call.attempt}: its block has {block.calls} calls")
    return f"calls={len(case.calls)} attempts={len(seen)}", wrong


def i8_epochs(case):
    """No record of an older life of the coordinator after one of a newer life."""
    wrong = []
    for (_, early), (name, late) in zip(case.all_journals(), case.all_journals()[1:]):
        newest = early.epochs[-1] if early.epochs else 0
        old = [c.position for c in late.commits if c.position > early.last_position and c.epoch < newest]
        if old:
            wrong.append(f"{name}: positions {old[:3]} are older than epoch {newest} before them")
    newest, epochs = 0, case.journal.epochs
    for commit in case.journal.commits:
        if commit.epoch < newest:
            wrong.append(f"position {commit.position} is of epoch {commit.epoch}, after {newest}")
        newest = max(newest, commit.epoch)
        if commit.position > case.journal.last_position:
            wrong.append(f"position {commit.position} is after the last, {case.journal.last_position}")
    if epochs != sorted(set(epochs)):
        wrong.append(f"expected epochs that rise, got {epochs[:5]}")
    # Epochs of which nothing counts any more are not kept.
    strangers = {e for e, _ in case.journal.blocks} - set(epochs)
    strangers |= {c.epoch for c in case.journal.commits if c.epoch > epochs[-1]}
    if strangers:
        wrong.append(f"records of epochs {sorted(strangers)[:3]}, which never began")
    return f"epochs={len(epochs)} commits={len(case.journal.commits)}", wrong


def i9_waste(case):
    """A second good call of an item only for one that a kill took before it was recorded."""
    wrong, twice, errors = [], 0, 0
    for name, crc in case.items:
        good = [call.attempt for call in case.calls_of[crc] if call.ok]
        errors += len(case.calls_of[crc]) - len(good)
        twice += max(0, len(good) - case.models)
        lost = len(case.unrecorded.intersection(good))
        if len(good) - case.models > lost:
            wrong.append(f"{name} was answered {len(good)} times, at kills {lost} were not recorded")
    return (f"calls={len(case.calls)} items={len(case.items)} errors={errors} called-again={twice} "
            f"unrecorded-at-kills={len(case.unrecorded)}"), wrong


ALL = [("I1", i1_conservation), ("I2", i2_recorded_stays), ("I3", i3_each_once),
       ("I4", i4_first_terminal), ("I5", i5_lifetime), ("I6", i6_windows), ("I7", i7_covered),
       ("I8", i8_epochs), ("I9", i9_waste)]
