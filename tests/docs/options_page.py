"""docs/operations/options.md, made of what the programs say: `--help` of every command, and the table of
a job's options (gristmill-option-table), which knows ranges, members and what identifies a job.

  options_page.py BUILD            prints the page
  options_page.py BUILD --write    writes it
"""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/operations/options.md"

# Where more is said about an option than its line of help; where one program means something else by
# it, under the program's name too.
MORE = {
    "gristmill-worker --api-key-env": "security.md#api-keys-of-endpoints",
    "gristmill-worker --endpoint": "start-a-cluster.md#workers-and-endpoints",
    "gristmill-worker --model": "start-a-cluster.md#workers-and-endpoints",
    "export --output": "results.md#a-table-of-the-answers",
    "INPUT": "inputs.md",
    "--allow-key": "security.md#api-keys-of-endpoints",
    "--api-key-env": "run-on-one-machine.md",
    "--budget-usd": "budgets-and-rates.md#money",
    "--ca-file": "security.md#api-keys-of-endpoints",
    "--chunk-overlap": "requests.md#long-documents",
    "--chunk-tokens": "requests.md#long-documents",
    "--class": "when-something-fails.md#error-classes",
    "--config": "pools.md#configuration-files",
    "--data-root": "security.md#files-and-processes",
    "--deadline": "submit-and-watch.md#sharing-the-cluster-between-jobs",
    "--delimiter": "inputs.md#tables",
    "--dry-run": "run-on-one-machine.md#look-before-you-pay",
    "--endpoint": "pools.md#which-endpoints-a-job-uses",
    "--continue": "inputs.md#standard-input",
    "--fallback-model": "when-something-fails.md#fallback-models",
    "--fields": "results.md#a-table-of-the-answers",
    "--hedge": "when-something-fails.md#slow-ends",
    "--http-host": "http-api.md#which-requests-are-accepted",
    "--http-per-address": "http-api.md#slow-and-many-clients",
    "--http-plain": "security.md#clients-and-http",
    "--in-place": "submit-and-watch.md#submitting",
    "--item": "why-it-waits.md",
    "--json-schema": "requests.md#json-answers",
    "--format": "inputs.md#formats",
    "--keep": "results.md#result-lines",
    "--keys": "security.md#keys-of-the-cluster",
    "--labels": "requests.md#classification",
    "--log-format": "monitoring.md#log",
    "--max-failures": "when-something-fails.md#what-stops-a-job",
    "--max-tokens": "requests.md#parameters",
    "--metrics-url": "budgets-and-rates.md#queues-that-servers-report",
    "--model": "requests.md#the-model",
    "--output": "results.md#forms-of-output",
    "--param": "requests.md#parameters",
    "--patience": "when-something-fails.md#when-an-endpoint-is-away",
    "--priority": "submit-and-watch.md#sharing-the-cluster-between-jobs",
    "--prompt": "requests.md#templates",
    "--reduce-prompt": "requests.md#long-documents",
    "--restart": "run-on-one-machine.md#resume",
    "--retries": "when-something-fails.md#error-classes",
    "--retry-failed": "run-on-one-machine.md#resume",
    "--drop-empty": "inputs.md#documents-without-text",
    "--normalise": "inputs.md#which-records-are-items",
    "--sample": "inputs.md#which-records-are-items",
    "--where": "inputs.md#which-records-are-items",
    "--strict": "inputs.md#bad-lines",
    "--task": "requests.md#tasks",
    "--tokenizer": "counted-tokens.md",
    "--tpm": "budgets-and-rates.md#tokens-per-minute",
    "--weight": "submit-and-watch.md#sharing-the-cluster-between-jobs",
}

# An option or argument: `names` as listed, `kind` of its value ("" = a flag).
Option = collections.namedtuple("Option", "names kind default values excludes repeatable help")

# CLI11 prints NAMES [KIND][:CHECK][=DEFAULT] [...] [(Env:NAME)] [REQUIRED] [Excludes: NAME], and the
# help beside it or, where that is too long, in the next line.
OPTION = re.compile(
    r"^  (?P<names>-[\w,-]+|[A-Z_]+)"
    r"(?: (?P<kind>TEXT|UINT|INT|FLOAT|PERCENT)(?::(?P<check>\{[^}]*\}|\w+ in \[[^]]*\]|[A-Z]+))?(?:=(?P<default>\S*))?)?"
    r"(?P<repeatable> \.\.\.)?(?: \(Env:(?P<environment>\w+)\))?(?P<required> REQUIRED)?"
    r"(?: Excludes: (?P<excludes>[\w-]+))?(?:\n {10,}| +)(?P<help>\S.*)$", re.M)


def values_of(check):
    if not check or check == "POSITIVE":
        return "from 1" if check else ""
    if check.startswith("{"):
        return check.strip("{}").replace(",", " or ")
    return check.partition(" in ")[2].strip("[]").replace(" - ", " to ")


def as_code(text):
    """Marks what Markdown would take for something else: templates, tables, variables, URLs, options."""
    return re.sub(r"(\\\{\{|\{\{\w+\}\}|\[\[\w+\]\]|\$\w+|\w+://[^\s,;]*[^\s,;:]|(?<![\w`-])--?[a-z][\w-]*)", r"`\1`",
                  text)


def options_of(text):
    listed = text.partition("Subcommands:\n")[0].partition("\nExample:")[0]
    for found in OPTION.finditer(listed):
        help_text, default = found["help"], found["default"] or ""
        bracket = re.search(r" \[([^\[\]]+)\]$", help_text)  # how a default that is no value is said
        if bracket:
            help_text, default = help_text[:bracket.start()], as_code(bracket[1])
        elif default:
            default = f"`{default}`"
        if found["environment"]:
            default = f"`${found['environment']}`, else {default}"
        yield Option(tuple(found["names"].split(",")), found["kind"] or "", default, values_of(found["check"]),
                     found["excludes"] or "", bool(found["repeatable"]), help_text)


class Page:
    def __init__(self, build):
        self.build = pathlib.Path(build)
        self.rows = json.loads(self.run("tests/gristmill-option-table"))
        self.lines = []

    def run(self, program, *arguments):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GRISTMILL_")}
        return subprocess.run([self.build / program, *arguments], capture_output=True, text=True, check=True,
                              env=kept).stdout

    def help(self, program, *command):
        """{long name: option}, without those that every program has."""
        text = self.run(program, *command, "--help")
        return {option.names[-1]: option for option in options_of(text)
                if option.names[-1] not in ("--help", "--version")}

    def commands(self, *command):
        text = self.run("gristmill", *command, "--help")
        return re.findall(r"(?m)^  (\w+) +(\S.*)$", text.partition("Subcommands:\n")[2].partition("\n\n")[0])

    def members(self, flag):
        """Rows of a job's table, by the option that sets them; `output` is the coordinator's own."""
        return [row for row in self.rows if row["flag"] == flag and row["member"] != "output"]

    @staticmethod
    def name(option):
        value = {"": "", "UINT": " N", "INT": " N", "FLOAT": " X", "PERCENT": " P", "TEXT": " TEXT"}[option.kind]
        if not option.names[-1].startswith("-"):
            value = ""
        names = [f"`{name}`" for name in option.names[:-1]] + [f"`{option.names[-1]}{value}`"]
        return ", ".join(names)

    @staticmethod
    def meaning(option, program=""):
        said = option.help
        if option.repeatable and "repeatable" not in said:
            said += "; repeatable"
        if option.excludes:
            said += f"; not together with `{option.excludes}`"
        name = option.names[-1]
        more = MORE.get(f"{program} {name}", MORE.get(name))
        return as_code(said) + (f" ([more]({more}))" if more else "")

    def say(self, *lines):
        self.lines += lines

    def table(self, options, program=""):
        """Of programs that make no job."""
        self.say("| option | meaning | default | values |", "|---|---|---|---|")
        self.say(*(self.row(self.name(o), self.meaning(o, program), o.default, o.values) for o in options), "")

    @staticmethod
    def row(*cells):
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    def job_table(self, options, others=None):
        """`others`: the same options of another command, where a default may differ."""
        self.say("| option | meaning | default | values | member | identifies |", "|---|---|---|---|---|---|")
        for name, option in options.items():
            members = self.members(name)
            default, other = option.default, others[name].default if others else option.default
            if other != default:
                default = f"`run`: {default}; `submit`: {other}"
            values = next((row["values"] for row in members if row["values"]), option.values)
            self.say(self.row(self.name(option), self.meaning(option), default, values,
                              ", ".join(f"`{row['member']}`" for row in members),
                              "yes" if any(row["identifies"] for row in members) else ""))
        self.say("")

    def text(self):
        run, submit = self.help("gristmill", "run"), self.help("gristmill", "submit")
        both = {name: option for name, option in run.items()
                if name in submit and submit[name].help == option.help}
        self.say(
            "# Options", "",
            "<!-- Generated by `./x docs` from what the programs say; edit that instead. -->", "",
            "All options of all programs. This page is generated from the programs. An option with a long name",
            "is also a key of the program's [configuration file](pools.md#configuration-files), with underscores",
            "for dashes.", "",
            "## Options of a job", "",
            "Both `gristmill run` and `gristmill submit` take them. *member*: its name in a job's",
            "[specification](http-api.md#submitting-a-job) over HTTP, where times called `_ms` are in",
            "milliseconds. *identifies*: with another value it is another job, and a run is",
            "[not resumed](run-on-one-machine.md#resume).", "")
        self.job_table(both, submit)
        self.say("### Only gristmill run", "")
        self.job_table({name: option for name, option in run.items() if name not in both})
        self.say("### Only gristmill submit", "")
        shared = self.help("gristmill", "jobs")
        self.say("Also those of [all commands that ask a coordinator](#the-other-commands).", "")
        self.job_table({name: option for name, option in submit.items() if name not in both and name not in shared})
        self.clients(shared)
        for program in ("gristmill-coordinator", "gristmill-worker"):
            self.say(f"## {program}", "")
            self.table(self.help(program).values(), program)
        return "\n".join(self.lines).rstrip() + "\n"

    def clients(self, shared):
        self.say("## The other commands", "", "All commands that ask a coordinator, `submit` too, take these:", "")
        self.table(shared.values())
        commands = [((name,), help_text) for name, help_text in self.commands() if name not in ("run", "submit")]
        commands += [((above, name), help_text) for above in ("journal", "cache")
                     for name, help_text in self.commands(above)]
        self.say("| command | what it does | its own arguments and options |", "|---|---|---|")
        for command, help_text in commands:
            if command in (("journal",), ("cache",)):
                continue
            own = [option for name, option in self.help("gristmill", *command).items() if shared.get(name) != option]
            said = "; ".join(f"{self.name(o)}: {self.meaning(o, command[0])}" + (f" (default: {o.default})" if o.default else "")
                             for o in own)
            self.say(self.row(f"`{' '.join(command)}`", help_text, said))
        self.say("")


def page(build):
    return Page(build).text()


if __name__ == "__main__":
    if sys.argv[2:] == ["--write"]:
        PAGE.write_text(page(sys.argv[1]))
        print(f"wrote {PAGE}", file=sys.stderr)
    else:
        print(page(sys.argv[1]), end="")
