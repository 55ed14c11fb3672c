#!/usr/bin/env python3
"""Proves the floors of the house: who may include whom, and which library is seen by which file.

Prints each breach as FILE:LINE: sentence and exits 1 if there is one.
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')
ROOMS = ["supervisor", "rate_limiter", "coordinator", "jobs", "joiner", "journal", "merger", "worker"]

# A folder may include headers below these; the longest matching folder of a file decides.
MAY_INCLUDE = {
    "protocol": ["protocol"],
    "actors/kit": ["actors/kit", "protocol"],
    "actors/words": ["actors/words", "actors/kit", "protocol"],
    "actors/intake": ["actors/intake", "actors/words", "actors/kit", "protocol"],
    **{f"actors/{room}": [f"actors/{room}", "actors/words", "actors/kit", "protocol"] for room in ROOMS},
    "actors/wiring": ["actors", "protocol"],
    "coordinator": ["coordinator", "actors", "protocol"],
    "worker": ["worker", "actors", "protocol"],
    "cli": ["cli", "coordinator", "worker", "actors", "protocol"],
    "tests": ["tests", "cli", "coordinator", "worker", "actors", "protocol"],
}
MAY_INCLUDE["actors/supervisor"].append("actors/intake")
MAY_INCLUDE["actors/joiner"].append("actors/journal")  # its window on durable lines
# The worker's room and the others meet only through protocol/.
NEVER = {
    "coordinator": ["actors/worker"],
    "worker": [f"actors/{room}" for room in ROOMS if room != "worker"] + ["actors/intake", "actors/wiring"],
}

# Header of a library -> the files (or folders, with a slash) that may see it.
SEEN_BY = {
    "zmq.hpp": ["coordinator/gateway/", "worker/link/"],
    "unicode/": ["protocol/text/normal_text.cpp"],
    "re2/": ["protocol/openai/schema/answer_schema.cpp", "protocol/rules/where.cpp"],
    "regex": [],  # std::regex recurses for each character
    "pcre2.h": ["protocol/openai/tokens/bpe/splitter.cpp"],
    "zmq.h": ["coordinator/gateway/", "worker/link/"],
    "msgpack.hpp": ["protocol/node/codec.cpp", "protocol/node/msgpack_"],
    "msgpack.h": [],
    "sqlite3.h": ["coordinator/journal/sqlite.cpp"],
    "curl/curl.h": ["worker/http/curl_", "cli/cluster/http_client.cpp"],
    "csv.h": ["actors/intake/csv_parser.cpp"],
    "zlib.h": ["coordinator/inputs/unpacker.cpp", "coordinator/result/compressor.cpp"],
    "zstd.h": ["coordinator/cache/packed_body.cpp", "coordinator/inputs/unpacker.cpp",
               "coordinator/result/compressor.cpp"],
    "microhttpd.h": ["coordinator/http/server/"],
    "prometheus/": ["coordinator/http/api/metrics_text.cpp"],
    "caf/": ["actors/kit/caf_compat.hpp"],
    "toml++/toml.h": ["actors/kit/program/config_file.cpp"],
}

# Trees of foreign text are as deep as it likes, unless this file makes them.
PARSES = re.compile(r"\b[Jj]son::parse\(")
PARSER = "protocol/text/json_tree.cpp"

# What the rooms may not touch: they take time, randomness and the outside as arguments.
PURE = [f"actors/{room}/" for room in ROOMS + ["wiring", "intake"]]
IMPURE = re.compile(
    r"std::(thread|mutex|condition_variable|atomic|random_device|ifstream|ofstream|fstream|getenv)\b"
    r"|(system|steady|high_resolution)_clock|boot_now\(|\bspdlog\b|\bprintf\(")


# What is durable is reached through the windows of actors/journal/: one folder knows how it lies on
# a disk, and shows these headers to whoever opens it, checks it or clears it away.
STORE = "coordinator/journal/"
STORE_SHOWS = [STORE + header for header in ("store.hpp", "check.hpp", "mark.hpp")]
# SQLite's window, which is for whoever keeps tables.
STORE_SHOWS_TO = {STORE + "sqlite.hpp": "coordinator/cache/"}
# A segment's path, or an upload's.
STORED = re.compile(r'"(results|parts)-|\bsegment_(name|path)\(|["}]/inputs["/]')


# What any file of the product leaves to one that does it right, and who that is.
NOT_BY_HAND = [
    (re.compile(r"std::j?thread(\s+\w+)?\s*[{(]|\bthread_\{\["), "actors/kit/guarded_thread.hpp",
     "a thread's exception must end the process with 70: use guarded_thread"),
    (re.compile(r"\bf?puts\(|\bf?printf\(|\bstd::c(out|err)\b|\bfwrite\("), "actors/kit/program/terminal.cpp",
     "foreign text may command a terminal: use say, print or print_json"),
    (re.compile(r"\bdump\(\d*\)"), None,
     "dump() throws at text that is not UTF-8: give it error_handler_t::replace"),
]


def sources():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.cpp", "*.hpp"],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return sorted(f for f in listed if (ROOT / f).exists())


def longest(table, file):
    return max((folder for folder in table if file.startswith(folder + "/")), key=len, default=None)


def breaches_of(file):
    folder = longest(MAY_INCLUDE, file)
    forbidden = NEVER.get(longest(NEVER, file), [])
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            header = found.group(1)
            ours = longest(MAY_INCLUDE, header) is not None
            if ours and folder and not any(header.startswith(may + "/") for may in MAY_INCLUDE[folder]):
                yield number, f"{folder} must not include {header}"
            if any(header.startswith(never + "/") for never in forbidden):
                yield number, f"{file.split('/')[0]} must not include {header}"
            for library, seers in SEEN_BY.items():
                hit = header.startswith(library) if library.endswith("/") else header == library
                if hit and not file.startswith("tests/") and not any(file.startswith(s) for s in seers):
                    yield number, f"{header} may be seen only by {', '.join(seers) or 'nobody'}"
        elif any(file.startswith(pure) for pure in PURE) and IMPURE.search(line.split("//")[0]):
            yield number, "a room must not read clocks, files, randomness or threads: " + line.strip()


def left_to_others(file):
    if file.startswith("tests/"):
        return
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
        for pattern, owner, sentence in NOT_BY_HAND:
            if file != owner and pattern.search(line.split("//")[0]):
                yield number, sentence


def parsing_of(file):
    if file.startswith("tests/") or file == PARSER:
        return
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
        if PARSES.search(line.replace("ordered_json", "json").split("//")[0]):
            yield number, f"foreign text becomes a tree in {PARSER} only: use json::tree"


def around_the_store(file):
    if file.startswith(("tests/", STORE)):
        return
    for number, line in enumerate((ROOT / file).read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        if found and file.startswith(STORE_SHOWS_TO.get(found.group(1), STORE)):
            continue
        if found and found.group(1).startswith(STORE) and found.group(1) not in STORE_SHOWS:
            yield number, f"{found.group(1)} is for {STORE} alone: use the windows of actors/journal/"
        elif STORED.search(line.split("//")[0]):
            yield number, f"paths of segments and uploads are built in {STORE} only: " + line.strip()


# A folder that fits a glance: a header and its source count as one.
SOURCES_MAX = 20


def crowded(files):
    folders = collections.defaultdict(set)
    for file in files:
        if not file.startswith("tests/") or file.startswith("tests/unit/"):
            folders[file.rsplit("/", 1)[0]].add(file.rsplit(".", 1)[0])
    for folder, sources_of in sorted(folders.items()):
        if len(sources_of) > SOURCES_MAX:
            yield f"{folder}: expected at most {SOURCES_MAX} sources, got {len(sources_of)}"


def circles(files, top):
    """The folders below `top` that include each other, whichever way round."""
    sees = collections.defaultdict(set)
    for file in files:
        if file.startswith(top + "/"):
            for line in (ROOT / file).read_text().splitlines():
                found = INCLUDE.match(line)
                if found and found.group(1).startswith(top + "/"):
                    sees[file.rsplit("/", 1)[0]].add(found.group(1).rsplit("/", 1)[0])
    left = {folder: others - {folder} for folder, others in sees.items()}
    while lowest := {folder for folder, others in left.items() if not others & left.keys()}:
        left = {folder: others for folder, others in left.items() if folder not in lowest}
    if left:
        yield f"{top}: expected no circle, got one among {', '.join(sorted(left))}"


def main():
    count = 0
    files = sources()
    for sentence in (*crowded(files), *circles(files, "protocol")):
        print(sentence)
        count += 1
    for file in files:
        for number, sentence in (*breaches_of(file), *left_to_others(file), *parsing_of(file),
                                 *around_the_store(file)):
            print(f"{file}:{number}: {sentence}")
            count += 1
    print(f"check: {len(files)} files, {count} breaches")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
