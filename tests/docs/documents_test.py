"""The documents agree with the programs and with each other: the reference of options is what the
programs say, every link leads somewhere, and every document that a source names is there.
"""
import os
import pathlib
import re
import unittest

import options_page

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GRISTMILL_BUILD", ROOT / "build/release")).resolve()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = sorted((ROOT / "docs/operations").glob("*.md"))
LINES_MAX = 250


def without_code(text):
    text = re.sub(r"(?ms)^```.*?^```$", "", text)
    return re.sub(r"`[^`\n]*`", "", text)


def anchor(title):
    """As GitHub makes it of a heading."""
    title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower()
    return re.sub(r"[^\w\- ]", "", title).replace(" ", "-")


def anchors(path):
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text())
    return {anchor(title) for title in re.findall(r"(?m)^#+ (.+)$", text)}


class Options(unittest.TestCase):
    def test_the_page_of_options_is_what_the_programs_say(self):
        generated, written = options_page.page(BUILD), options_page.PAGE.read_text()
        if generated != written:
            differing = set(generated.splitlines()) ^ set(written.splitlines())
            self.fail(f"{options_page.PAGE.relative_to(ROOT)} is not what the programs say in {len(differing)} lines; "
                      f"mend it by: ./x docs\n" + "\n".join(sorted(differing)[:4]))

    def test_each_option_has_its_row_and_each_member_its_place(self):
        page = options_page.Page(BUILD)
        text = page.text()
        for command in (("gristmill", "run"), ("gristmill", "submit"), ("gristmill-coordinator",), ("gristmill-worker",)):
            shown = page.run(command[0], *command[1:], "--help")
            for name in set(re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", shown)) - {"--help", "--version"}:
                self.assertRegex(text, rf"(?m)^\| (`-\w`, )?`{name}( \w+)?` \|", command)
        api = (ROOT / "docs/operations/http-api.md").read_text()
        for row in page.rows:
            self.assertTrue(f"`{row['member']}`" in text or f"`{row['member']}`" in api, row)

    def test_places_where_more_is_said_are_of_options_that_there_are(self):
        text = options_page.page(BUILD)
        for name in options_page.MORE:
            self.assertIn(f"`{name.split()[-1]}", text)


class Links(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        found = 0
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
                if re.match(r"[a-z]+:", target):
                    continue
                found += 1
                with self.subTest(f"{document.relative_to(ROOT)}: {target}"):
                    name, _, fragment = target.partition("#")
                    path = (document.parent / name).resolve() if name else document
                    self.assertTrue(path.exists())
                    if fragment:
                        self.assertIn(fragment, anchors(path))
        self.assertGreater(found, 100)

    def test_every_document_that_a_source_names_is_there(self):
        named = 0
        for folder in ("actors", "cli", "coordinator", "deploy", "protocol", "tests", "worker"):
            for source in (ROOT / folder).rglob("*"):
                if source.suffix not in (".cpp", ".hpp", ".py", ".toml", ".txt", ".sh", ".cmake"):
                    continue
                for name in re.findall(r"(?<![\w/.])docs/[\w/-]+\.md", source.read_text()):
                    if source.name in ("input_test.py", "submit_test.py", "job_inputs_test.cpp"):
                        continue  # inputs of tests
                    named += 1
                    with self.subTest(f"{source.relative_to(ROOT)}: {name}"):
                        self.assertTrue((ROOT / name).exists())
        self.assertGreater(named, 3)


class Operations(unittest.TestCase):
    def test_no_page_is_long_and_the_index_names_each(self):
        index = (ROOT / "docs/operations/README.md").read_text()
        for page in PAGES:
            with self.subTest(page.name):
                self.assertLessEqual(len(page.read_text().splitlines()), LINES_MAX)
                if page.name != "README.md":
                    self.assertIn(f"]({page.name})", index)


if __name__ == "__main__":
    unittest.main(verbosity=2)
