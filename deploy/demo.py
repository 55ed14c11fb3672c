#!/usr/bin/env python3
"""The demo: a real corpus through a small cluster of separate processes on this machine.

usage: deploy/demo.py BUILD_DIR [--files N] [--directory DIR]

Everything it writes lies in DIR (build/demo). However it ends, so do all processes that it started.
"""
import argparse
import fcntl
import glob
import json
import os
import pathlib
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ["/usr/share/common-licenses/*", "/usr/share/doc/*/copyright"]
SPARE_CORPUS = ["*.md", "docs/**/*.md", "LICENSE", "protocol/**/*.hpp", "actors/**/*.hpp", "tests/**/*.py"]
FEW_FILES = 20
DOCUMENT_BYTES_MAX = 256 * 1024
INSTRUCTION = "Summarise in one sentence: "
PATIENCE_S = 60  # for one process to become ready
ENDING_S = 3  # for processes to end when asked, before they are forced


class Failed(Exception):
    """A step failed; the message says which, and what to do."""


class Interrupted(Exception):
    """Somebody asked us to stop."""


class Stop:
    """Remembers a signal instead of raising, so that no process is started and then forgotten."""

    def __init__(self):
        self.signal = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.remember)

    def remember(self, number, _frame):
        self.signal = number

    def check(self):
        if self.signal is not None:
            raise Interrupted


def say(text=""):
    print(text, flush=True)


def count_of(number, noun):
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(path):
    """As the user would type it from where the demo was started."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative


def as_typed(words):
    return shlex.join(shown(word) if isinstance(word, pathlib.Path) else word for word in words)


# ---- the corpus ------------------------------------------------------------------------------------


def text_of(path):
    """The document's text; None if a newcomer would not call this file a text."""
    try:
        if not path.is_file() or not 0 < path.stat().st_size <= DOCUMENT_BYTES_MAX:
            return None
        str(path).encode()
        text = path.read_bytes().decode()
    except (OSError, UnicodeError):
        return None
    # What begins like JSON would be read as one item a line.
    return None if "\0" in text or not text.strip() or text.lstrip("\ufeff \t\r\n").startswith("{") else text


def collect(patterns, most, documents):
    for pattern in patterns:
        for name in sorted(glob.glob(pattern, recursive=True)):
            if len(documents) >= most:
                return
            path = pathlib.Path(name).resolve()
            text = None if path in documents else text_of(path)
            if text is not None:
                documents[path] = text


def corpus(most):
    """Real path -> text, each document once."""
    documents = {}
    collect(CORPUS, most, documents)
    if len(documents) < min(most, FEW_FILES):
        collect([str(ROOT / pattern) for pattern in SPARE_CORPUS], most, documents)
    if not documents:
        raise Failed(f"expected text files at {' or '.join(CORPUS)} or in {ROOT}, found none that can be read")
    return documents


# ---- the processes ---------------------------------------------------------------------------------


class Cluster:
    """Processes that end with the demo: by pid, and with force if asking does not help."""

    def __init__(self, build, directory, stop):
        self.build, self.directory, self.stop = build, directory, stop
        self.daemons = []  # (name, Popen), in the order they were started

    def start(self, name, program, *arguments):
        """Starts a daemon and returns the JSON of its ready line."""
        self.stop.check()
        with open(self.log_of(name), "wb") as log:
            # A group of its own: Ctrl-C reaches the demo, which ends the daemons in order.
            daemon = subprocess.Popen([self.build / program, *arguments], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=log, process_group=0)
        self.daemons.append((name, daemon))
        say(f"  {name:<12} process {daemon.pid}  {program} {as_typed(arguments)}")
        return self.ready_line(name, daemon)

    def ready_line(self, name, daemon):
        deadline = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as selector:
            selector.register(daemon.stdout, selectors.EVENT_READ)
            while not selector.select(0.1):
                self.stop.check()
                if time.monotonic() > deadline:
                    raise Failed(f"{name} did not become ready within {PATIENCE_S} s; {self.words_of(name)}")
        line = daemon.stdout.readline()
        if not line:
            raise Failed(f"{name} ended with code {daemon.wait()} before it was ready; {self.words_of(name)}")
        return json.loads(line)

    def run(self, command):
        """Runs a command beside the daemons; returns its exit code and standard output."""
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            while child.poll() is None:
                self.stop.check()
                self.check_daemons()
                time.sleep(0.05)
            self.stop.check()
            self.check_daemons()  # the cause, where the command only saw the effect
            return child.returncode, child.stdout.read().decode()
        finally:
            end(child)

    def check_daemons(self):
        """One worker is enough to go on; nothing else can be spared."""
        for name, daemon in [(n, d) for n, d in self.daemons if d.poll() is not None]:
            self.daemons.remove((name, daemon))
            end(daemon)
            words = f"{name} ended with code {daemon.returncode}"
            if not is_worker(name) or not any(is_worker(other) for other, _ in self.daemons):
                raise Failed(f"{words} in mid-work; {self.words_of(name)}")
            say(f"{words}; the work goes on with the other one, once its calls are known to be lost.")

    def log_of(self, name):
        return self.directory / f"{name}.log"

    def words_of(self, name):
        lines = self.log_of(name).read_text(errors="replace").splitlines()
        return f"its last words: {lines[-1] if lines else '(none)'} (all of them: {shown(self.log_of(name))})"

    def end(self):
        """The workers first: they hand what they have to a coordinator that still listens."""
        for those in (True, False):
            end(*[daemon for name, daemon in self.daemons if is_worker(name) == those])
        self.daemons.clear()


def is_worker(name):
    return name.startswith("worker")


def end(*processes):
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + ENDING_S
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


# ---- the demo --------------------------------------------------------------------------------------


def introduce(directory, documents):
    size = sum(len(text) for text in documents.values())
    say(f"""\
Gristmill demo. On this machine only, it will
  1. start a simulated model server, a coordinator and two workers, as separate processes;
  2. ask the model for a summary of each of {count_of(len(documents), "text file")}, such as
     {next(iter(documents))} ({size / 1e6:.1f} MB in all);
  3. merge the answers into one file, check it, and stop everything that it started.
It writes below {shown(directory)} only and calls nothing outside: no key is needed, nothing is paid.
""")


def fresh(directory):
    """Empties the demo's own directory; returns the lock that keeps a second demo out."""
    lock_path = directory / "demo.lock"
    if directory.exists() and not lock_path.exists() and any(directory.iterdir()):
        raise Failed(f"expected an empty directory or one of an earlier demo, got {directory}; "
                     "give another one with --directory")
    directory.mkdir(parents=True, exist_ok=True)
    lock = open(lock_path, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed(f"another demo is at work in {shown(directory)}; wait for its end, or give "
                     "another directory with --directory") from None
    for entry in directory.iterdir():
        if entry != lock_path:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return lock


def start_all(cluster, directory):
    """Addresses of the model server and of the coordinator."""
    say("Starting (their logs are beside the result):")
    # Slow enough to watch, and few enough calls a worker that both get their share.
    server = cluster.start("model", "gristmill-simllm", "--listen", "127.0.0.1:0",
                           "--latency", "lognormal:150ms:0.5")
    coordinator = cluster.start("coordinator", "gristmill-coordinator", "--listen", "tcp://127.0.0.1:0",
                                "--http", "127.0.0.1:0", "--state", directory / "state")
    for name in ("worker-1", "worker-2"):
        cluster.start(name, "gristmill-worker", "--coordinator", coordinator["listen"],
                      "--name", name, "--concurrency", "8")
    return server["url"], coordinator["http"]


def submit(cluster, documents, server, coordinator, output):
    before = [cluster.build / "gristmill", "submit"]
    after = ["-m", "sim-small", "-p", INSTRUCTION + "{{text}}", "--endpoint", server,
             "--server", coordinator, "--wait", "-o", output]
    first, *others = documents
    more = f" ...{count_of(len(others), 'more file')}..." if others else ""
    say(f"\nThe command that hands the files to the cluster and waits for the result:\n"
        f"  {as_typed(before)} {shlex.quote(str(first))}{more} \\\n    {as_typed(after)}\n")
    begin = time.monotonic()
    code, _ = cluster.run([*before, *documents, *after])
    if code not in (0, 3):
        raise Failed(f"`gristmill submit` ended with code {code}, and said why above; "
                     f"{cluster.words_of('coordinator')}")
    return time.monotonic() - begin


def check(output, documents):
    """The result lines, once each is known to be the answer to its own document."""
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    if [line["custom_id"] for line in lines] != [str(path) for path in documents]:
        raise Failed(f"expected one line for each of {len(documents)} files, in their order, got {len(lines)} "
                     f"lines that differ in {shown(output)}; this is a fault of Gristmill, please report it")
    for line, text in zip(lines, documents.values()):
        asked = f"sim {zlib.crc32((INSTRUCTION + text).encode()):08x}"
        if line["error"] is None and not content_of(line).startswith(asked):
            raise Failed(f"expected an answer with \"{asked}\" for {line['custom_id']}, got "
                         f"\"{content_of(line)}\"; this is a fault of Gristmill, please report it")
    return lines


def content_of(line):
    return line["response"]["body"]["choices"][0]["message"]["content"]


def shortened(line):
    if line["error"] is not None:
        return f'{{"custom_id":{json.dumps(line["custom_id"])}, ... "error":{json.dumps(line["error"])} ...}}'
    return (f'{{"custom_id":{json.dumps(line["custom_id"])}, ... "status_code":{line["response"]["status_code"]},\n'
            f'   ... "content":{json.dumps(content_of(line))}, ... "attempts":{line["gristmill"]["attempts"]} ...}}')


def shares(coordinator):
    """Worker name -> items answered through it, as the coordinator counts."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
    try:
        with opener.open(f"{coordinator}/api/v1/workers", timeout=10) as answer:
            return {w["name"]: w["completed"] for w in json.load(answer)["workers"]}
    except (OSError, ValueError, KeyError):
        return {}  # a detail of the report, not worth failing for


def report(output, lines, seconds, by_worker):
    summary_path = pathlib.Path(f"{output}.summary.json")
    summary = json.loads(summary_path.read_text())
    counts, tokens = summary["counts"], summary["tokens"]
    say(f"""
The merged result is {shown(output)}: one line for each file, in the order given.
One of its lines, shortened:
  {shortened(lines[0])}
The simulated model does not summarise: it answers "sim" and a checksum of what it was asked. By
these checksums each answer is the one to its own file.

{count_of(counts["total"], "item")}: {counts["completed"]:,} answered, {counts["failed"]:,} failed, \
with {count_of(counts["attempts"], "call")} to the model in {seconds:.1f} s.
{tokens["prompt"]:,} tokens went in, {tokens["completion"]:,} came out.""")
    if by_worker:
        say(f"{', '.join(f'{name} did {done:,}' for name, done in sorted(by_worker.items()))}.")
    say(f"More figures: {shown(summary_path)}")
    if counts["failed"] or counts["completed"] != len(lines):
        raise Failed(f"expected an answer for every file, but {counts['failed']} failed; "
                     f"the lines with \"error\" in {shown(output)} say why")


def suggest(build):
    program = shown(build / "gristmill")
    say(f"""
Next, the same with a real model; one machine needs no cluster. It costs money, so begin with ten
files (--limit 10). Ctrl-C stops it, and the same command goes on where it stopped:
  export OPENAI_API_KEY=...
  {program} run FILE... --endpoint https://api.openai.com/v1 -m gpt-4o-mini \\
    -p "{INSTRUCTION}{{{{text}}}}" --rpm 500 --limit 10 -o summaries.jsonl
Your own server: give its address instead, such as --endpoint http://localhost:8000/v1

With several machines:
  {program} keygen keys --address tcp://THIS_HOST:7411
  {program}-coordinator --keys keys --listen tcp://0.0.0.0:7411
  OPENAI_API_KEY=... gristmill-worker --access worker.access \\
    --allow-key OPENAI_API_KEY=https://api.openai.com/v1         # elsewhere, with keys/worker.access
  {program} submit FILE... --token-file keys/client.token --wait -o of-the-cluster.jsonl \\
    --endpoint https://api.openai.com/v1 -m gpt-4o-mini -p "{INSTRUCTION}{{{{text}}}}\"""")


def demo(options, stop):
    build, directory = options.build.resolve(), options.directory.resolve()
    for program in ("gristmill", "gristmill-coordinator", "gristmill-worker", "gristmill-simllm"):
        if not os.access(build / program, os.X_OK):
            raise Failed(f"expected the program {build / program}, but it is not there; build it with ./x build")
    documents = corpus(options.files)
    introduce(directory, documents)
    cluster = Cluster(build, directory, stop)
    output = directory / "summaries.jsonl"
    with fresh(directory):
        try:
            server, coordinator = start_all(cluster, directory)
            seconds = submit(cluster, documents, server, coordinator, output)
            by_worker = shares(coordinator)
        finally:
            cluster.end()
        report(output, check(output, documents), seconds, by_worker)
    suggest(build)


def main():
    parser = argparse.ArgumentParser(description="Runs a real corpus through a small cluster on this machine.")
    parser.add_argument("build", type=pathlib.Path, metavar="BUILD_DIR", help="where the programs are, build/release")
    parser.add_argument("--files", type=int, default=200, help="most documents (200)")
    parser.add_argument("--directory", type=pathlib.Path, default=ROOT / "build/demo",
                        help="where the result goes; emptied first (build/demo)")
    options = parser.parse_args()
    if options.files < 1:
        parser.error(f"--files: expected at least 1, got {options.files}")
    sys.stdout.reconfigure(errors="replace")
    stop = Stop()
    try:
        demo(options, stop)
    except Interrupted:
        print("\ndemo: interrupted; everything that it had started is stopped", file=sys.stderr)
        return 128 + stop.signal
    except Failed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our words has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
