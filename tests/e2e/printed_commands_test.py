"""Every command that the documents, the help texts, the demo and the sentences of the programs print
is one that works: it is run here as it stands, but for the addresses and the names of things.

What cannot be run bears its reason in the document, above its block: <!-- not run: REASON -->
"""
import contextlib
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import unittest

from cache_files import make_cache
from harness import BUILD, PATIENCE_S, ROOT, EndToEnd, Process, binary, write_batch

sys.path.insert(0, str(ROOT / "deploy"))
import demo  # noqa: E402

FENCE = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
                   re.M | re.S)
DAEMONS = ("gristmill-simllm", "gristmill-coordinator", "gristmill-worker")
PROGRAMS = ("gristmill", *DAEMONS)
COMMAND = re.compile(r"^(\w+=\S+ )*(curl|scp|ssh|\./x|printf|export|gristmill)\b", re.M)
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
PROVIDER = "https://api.openai.com/v1"


def blocks_of(document):
    """(line, language, text, name of the file that it is, reason why it is not run)"""
    text = (ROOT / document).read_text()
    for found in FENCE.finditer(text):
        before = text[:found.start()]
        name = re.search(r"`([\w.-]+\.json)`:\s*\Z", before)
        yield (before.count("\n") + 1, found["language"], found["text"], name and name[1], found["reason"])


def commands_in(text):
    """The commands of a block, each with the lines over which it goes on."""
    command = ""
    for line in text.splitlines():
        command += line + "\n"
        if command.strip() and not line.rstrip().endswith(("\\", "|")):
            yield command.strip()
            command = ""


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


class Printed(EndToEnd):
    """A directory with what the documents take for granted; all their machines are this one."""

    REQUESTS = 20

    def setUp(self):
        super().setUp()
        self.home, self.programs = self.directory / "home", self.directory / "bin"
        self.printed = []  # by each Python block
        self.home.mkdir()
        self.programs.mkdir()
        self.local = self.server("--model", "llama-3", "--answer", "label", label="local")
        self.provider = self.server("--api-key", "...", label="provider")
        self.http, zmq = free_address(), free_address()
        self.places = {
            "coordinator.example:7412": self.http, "0.0.0.0:7412": self.http, "127.0.0.1:7412": self.http,
            "coordinator.example:7411": zmq, "0.0.0.0:7411": zmq, "THIS_HOST:7411": zmq,
            "127.0.0.1:8099": free_address(), "127.0.0.1:8000": free_address(),
            "localhost:8000": self.local.url.removeprefix("http://").removesuffix("/v1"),
        }
        self.environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.home),
                            "OPENAI_BASE_URL": PROVIDER, "OPENAI_API_KEY": "...", "LANG": "C.UTF-8",
                            "GRISTMILL_SERVER": f"http://{self.http}"}
        for name in PROGRAMS:
            self.put_program(name, f'exec {shlex.quote(binary(name))} "$@"')
        # Its port for clients is the only address that the documents leave to the default.
        self.put_program("gristmill-coordinator",
                         f'case "$*" in *--http*) ;; *) set -- "$@" --http {self.http} ;; esac\n'
                         f'exec {shlex.quote(binary("gristmill-coordinator"))} "$@"')
        self.put_program("scp", 'shift; cp -p "$1" "$HOME"')
        self.put_program("ssh", 'shift; exec "$@"')
        write_batch(self.home / "requests.jsonl", self.REQUESTS)
        (self.home / "monday.jsonl").write_text('{"id":"monday-1","text":"some words"}\n')
        self.put_program("produce-lines", """echo '{"id":"line-1","text":"more words"}'""")

    def put_program(self, name, text):
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def as_here(self, command):
        """The provider's place takes a key by its name; ours, on this machine, must be told so."""
        asks_provider = re.search(rf"--endpoint {PROVIDER}(?!\S)", command) or (
            "gristmill run" in command and "--endpoint" not in command)
        if asks_provider:
            command = re.sub(r"gristmill (run|submit) ", r"gristmill \1 --api-key-env OPENAI_API_KEY ", command)
        for printed, here in {PROVIDER: self.provider.url, **self.places}.items():
            command = command.replace(printed, here)
        return command

    def carry_out(self, command, codes=(0,)):
        """As a shell would: daemons stay, and what is exported holds from then on."""
        command = self.as_here(command)
        environment = {name: self.as_here(value) for name, value in self.environment.items()}
        words = [word for word in shlex.split(command, comments=True) if not re.match(r"[A-Z_]+=", word)]
        if (words[2:] if words[0] == "ssh" else words)[0] in DAEMONS:
            return self.start_daemon(command, environment)
        kept = self.directory / "environment"
        script = f"set -o pipefail\n{command}\ncode=$?\nenv -0 > {shlex.quote(str(kept))}\nexit $code"
        done = subprocess.run(["bash", "-c", script], cwd=self.home, env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        self.assertIn(done.returncode, codes, f"{command}\n{done.stdout}{done.stderr}")
        exported = dict(pair.split("=", 1) for pair in kept.read_text().split("\0") if "=" in pair)
        self.environment |= {name: value for name, value in exported.items()
                             if name not in ("OPENAI_BASE_URL", "PWD", "SHLVL", "_")}
        return done

    def start_daemon(self, command, environment):
        """A group of its own, because the shell is its parent."""
        label = f"daemon-{len(self.processes)}"
        daemon = Process(["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "setsid", "bash",
                          "-c", f"cd {shlex.quote(str(self.home))}; {command}"], self.directory, label)
        self.processes.append(daemon)
        self.addCleanup(self.end_group, daemon)
        daemon.said = daemon.ready()
        return daemon

    @staticmethod
    def end_group(daemon):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.popen.pid, signal.SIGKILL)
        daemon.popen.wait()

    def carry_out_document(self, document):
        """The blocks in their order; a JSON block is the file that the text before it names."""
        commands = 0
        for line, language, text, name, reason in blocks_of(document):
            with self.subTest(f"{document}:{line}"):
                if reason is not None:
                    continue
                if name:
                    (self.home / name).write_text(text)
                elif language == "python":
                    done = subprocess.run([sys.executable, "-c", text], cwd=self.home, text=True,
                                          capture_output=True, timeout=PATIENCE_S)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertTrue(done.stdout)
                    self.printed.append(done.stdout)
                elif COMMAND.search(text):
                    for command in commands_in(text):
                        commands += 1
                        self.carry_out(command)
        return commands

    def lines(self, name):
        return [json.loads(line) for line in (self.home / name).read_text().splitlines()]

    def cluster(self):
        """A coordinator, and a worker beside a server."""
        self.hub = self.coordinator(http=self.http)
        self.worker(self.hub, "gpu-3", "--endpoint", self.local.url, "--model", "llama-3")


class Documents(Printed):
    def test_the_readme_from_its_beginning_to_its_end(self):
        self.assertGreaterEqual(self.carry_out_document("README.md"), 13)
        self.assertEqual(len(self.lines("summaries.jsonl")), 2)
        # The provider's calls bore the key, on the one machine and in the cluster.
        self.assertEqual(self.stats(self.provider)["calls"], 2 * self.REQUESTS)

    def test_the_recipes(self):
        (self.home / "monday.jsonl").unlink()  # one of them makes it
        for n in range(3):
            (self.home / "texts").mkdir(exist_ok=True)
            (self.home / f"texts/{n}.txt").write_text(f"text {n}")
        for name in ("invoices", "tickets"):
            (self.home / f"{name}.jsonl").write_text(
                "".join(json.dumps({"id": f"{name}-{n}", "text": f"text {n}"}) + "\n" for n in range(3)))
        (self.home / "texts/2.txt").write_text("How do I change the lamp?")
        (self.home / "tickets.csv").write_text("text\n" + "".join(f"text {n}\n" for n in range(3)))
        (self.home / "app.log").write_text("INFO all is well\nERROR nothing is\n")
        for name in ("book.txt", "manual.md"):
            (self.home / name).write_text("".join(f"## Part {n}\n\n{'Words of it. ' * 300}\n\n" for n in range(12)))
        self.cluster()
        self.assertGreaterEqual(self.carry_out_document("docs/RECIPES.md"), 13)
        self.assertTrue(any(words.startswith("1.000  texts/2.txt\n") for words in self.printed), self.printed)
        for name in ("book-summary", "manual-german"):
            (line,) = self.lines(f"{name}.jsonl")
            self.assertGreater(line["gristmill"]["chunks"], 3)
        self.assertEqual([line["gristmill"]["cached"] for line in self.lines("tuesday.jsonl")], [True] * 3)
        for line in self.lines("judged.jsonl"):
            self.assertEqual(line["gristmill"]["label"], line["gristmill"]["judge"]["label"])
        self.assertEqual({line["gristmill"]["label"] for line in self.lines("classified.jsonl")}
                         - {"billing", "bug", "praise"}, set())

    def carry_out_operations(self, page):
        """By the tests that test_of_each_page() makes."""
        if page != "start-a-cluster.md":  # which starts one itself
            self.cluster()
        self.assertGreater(self.carry_out_document(f"docs/operations/{page}"), 0)

    def test_a_block_that_is_not_run_says_why(self):
        for document in sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS):
            run_here = document in ("README.md", "docs/RECIPES.md") or document.startswith("docs/operations/")
            for line, language, text, _, reason in blocks_of(document):
                with self.subTest(f"{document}:{line}"):
                    if reason is not None:
                        self.assertGreater(len(reason), 20)
                    elif not run_here:
                        self.assertFalse(language in ("", "sh", "bash") and COMMAND.search(text))

    def test_the_demo_prints_what_can_be_typed_next(self):
        with contextlib.redirect_stdout(io.StringIO()) as words:
            demo.suggest(BUILD)
        program = demo.shown(BUILD / "gristmill")
        for n in range(12):
            (self.home / f"{n}.txt").write_text(f"text {n}")
        typed = "\n".join(line[2:] for line in words.getvalue().splitlines() if line.startswith("  "))
        commands = list(commands_in(typed))
        self.assertGreaterEqual(len(commands), 6)
        for command in commands:
            command = command.replace(program, "gristmill").replace("FILE...", "[0-9]*.txt")
            if "--access worker.access" in command:
                self.carry_out("scp -p keys/worker.access elsewhere.example:")
            self.carry_out(command)
        self.assertEqual(self.stats(self.provider)["calls"], 10 + 12)


def test_of_each_page():
    """Each page of the operations that prints commands is a test of its own, because it is read by itself."""
    for path in sorted((ROOT / "docs/operations").glob("*.md")):
        if any(reason is None and not name and language != "python" and COMMAND.search(text)
               for _, language, text, name, reason in blocks_of(path.relative_to(ROOT))):
            setattr(Documents, f"test_operations_{path.stem.replace('-', '_')}",
                    lambda self, page=path.name: self.carry_out_operations(page))


test_of_each_page()


class Help(Printed):
    REQUESTS = 130

    def examples(self, program, *command):
        """What --help shows as an example, less the words beside it."""
        done = subprocess.run([binary(program), *command, "--help"], capture_output=True, text=True, check=True)
        text = done.stdout.partition("Example:\n")[2]
        self.assertTrue(text, f"{program} {' '.join(command)} has no example")
        examples = list(commands_in("\n".join(line for line in text.splitlines() if line.startswith("  "))))
        self.assertTrue(examples, text)
        return examples

    def subcommands(self):
        """All that are listed, with those of `journal` and `cache`."""
        found = []
        for command in ((), ("journal",), ("cache",)):
            done = subprocess.run([binary("gristmill"), *command, "--help"], capture_output=True, text=True, check=True)
            names = re.findall(r"^  (\w+) ", done.stdout.partition("Subcommands:\n")[2].partition("Example:")[0], re.M)
            found += [(*command, name) for name in names]
        return [command for command in found if command not in (("journal",), ("cache",))]

    def submitted(self, *more):
        return self.gristmill("submit", self.home / "requests.jsonl", "-m", "llama-3", "--server", f"http://{self.http}",
                              *more).stdout.strip()

    def finished(self):
        job = self.submitted()
        self.gristmill("watch", job, "--server", f"http://{self.http}", check=None)
        return job

    def test_the_examples_of_every_command(self):
        self.cluster()
        make_cache(self.home / "answers.cache", hours_ago=[1])
        self.control(self.local, faults=["status:code=500,match=question 129"])
        done = self.submitted("--retries", "0")
        self.gristmill("watch", done, "--server", f"http://{self.http}", check=3)
        self.control(self.local, faults=[])
        self.control(self.local, latency="5s")  # it stays under way
        busy = self.submitted()
        opened = self.gristmill("submit", "--open", "-m", "llama-3", "--server", f"http://{self.http}").stdout.strip()
        jobs = {"pause": busy, "resume": busy, "cancel": busy, "forget": None, "append": opened, "close": opened}
        commands = self.subcommands()
        self.assertGreaterEqual(len(commands), 16)
        # What makes something comes before what needs it.
        first = [("pause",), ("resume",), ("cancel",), ("run",)]
        last = [("drain",), ("submit",)]
        for command in first + [c for c in commands if c not in first + last]:
            for example in self.examples("gristmill", *command):
                with self.subTest(example):
                    self.assertEqual(example.split()[1:1 + len(command)], list(command))
                    if command == ("resume",):
                        self.until("the job is paused", lambda: self.job(self.hub, busy)["state"] == "paused")
                    if command == ("run",):
                        self.control(self.local, latency="0ms")
                    job = self.finished() if command == ("forget",) else jobs.get(command[0]) or done
                    self.carry_out(example.replace("job-7", job), codes=(0, 3) if command in (("watch",), ("results",)) else (0,))
        for path in self.home.glob("answers.jsonl*"):
            if path.is_file():
                path.unlink()
        for command in reversed(last):
            for example in self.examples("gristmill", *command):
                self.carry_out(example)

    def test_the_examples_of_the_daemons(self):
        self.carry_out("gristmill keygen DIR --address tcp://coordinator.example:7411")
        self.carry_out("scp -p DIR/worker.access elsewhere.example:")
        config = (ROOT / "deploy/gristmill.toml").read_text()
        (self.home / "gristmill.toml").write_text(config)
        for program in DAEMONS[1:]:
            for example in self.examples(program):
                with self.subTest(example):
                    self.assertEqual(self.carry_out(example).said["event"], "ready")


class Sentences(unittest.TestCase):
    """Commands inside of sentences, of the programs and of the documents: they exist, with these options."""

    def options_of(self, words):
        """Of the command that these words begin with; None if there is none."""
        for length in (2, 1, 0):
            command = [word for word in words[1:1 + length] if re.fullmatch(r"[a-z]+", word)]
            if len(command) < length:
                continue
            done = subprocess.run([binary(words[0]), *command, "--help"], capture_output=True, text=True)
            names_it = f"[OPTIONS]" in done.stdout and (not command or f"{' '.join(command)} " in done.stdout)
            if done.returncode == 0 and names_it:
                return command, set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout))
        return None

    def test_commands_in_sentences_exist(self):
        sources = list(DOCUMENTS)
        for room in ("actors", "cli", "coordinator", "worker", "protocol"):
            sources += (ROOT / room).rglob("*.cpp")
        found = 0
        for source in sources:
            text = source.read_text()
            if source.suffix == ".cpp":  # a literal goes on in the next line
                text = re.sub(r'"\s*\n\s*"', "", text)
            for command in re.findall(r"`((?:gristmill|gristmill-coordinator|gristmill-worker)(?: [^`]*)?)`", text):
                words = command.split()
                found += 1
                with self.subTest(f"{source.relative_to(ROOT)}: {command}"):
                    known = self.options_of(words)
                    self.assertIsNotNone(known)
                    subcommand, options = known
                    if words[0] == "gristmill" and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
                        self.assertTrue(subcommand, "no such command")
                    given = {word.strip("[]").split("=")[0] for word in words if word.strip("[").startswith("-") and word != "-"}
                    self.assertEqual(given - options, set())
        self.assertGreater(found, 40)


if __name__ == "__main__":
    unittest.main(verbosity=2)
