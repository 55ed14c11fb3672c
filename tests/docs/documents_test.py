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


class Architecture(unittest.TestCase):
    """What these pages name is there: `file.cpp`, `file.cpp: function, function`, `Class` and `folder/`."""
    PAGE, BOUNDS = ROOT / "docs/ARCHITECTURE.md", ROOT / "docs/BOUNDS.md"
    FOLDERS = ("actors", "cli", "coordinator", "deploy", "protocol", "tests", "worker")
    SPANS = sorted(set(re.findall(
        r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", PAGE.read_text() + BOUNDS.read_text()))))
    FILES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in (".cpp", ".hpp", ".py")]

    def test_it_is_short(self):
        self.assertLess(len(self.PAGE.read_text().splitlines()), 200)

    def test_every_file_and_function_is_there(self):
        named = 0
        for span in self.SPANS:
            found = re.fullmatch(r"([\w/]+\.(?:cpp|hpp|py))(?:: (.+))?", span)
            if not found:
                continue
            named += 1
            with self.subTest(span):
                paths = [path for path in self.FILES if path.as_posix().endswith("/" + found[1])]
                self.assertEqual([path.relative_to(ROOT).as_posix() for path in paths][1:], [], "more than one file")
                self.assertTrue(paths, "no such file")
                text = paths[0].read_text()
                for function in found[2].split(", ") if found[2] else ():
                    self.assertRegex(text, rf"\b{function}\(")
        self.assertGreater(named, 50)

    def test_every_class_is_there(self):
        sources = "\n".join(path.read_text() for path in self.FILES if path.suffix == ".hpp")
        declared = set(re.findall(r"\b(?:class|struct|using) (\w+)\b", sources))
        names = [span for span in self.SPANS if re.fullmatch(r"[A-Z]\w*[a-z]\w*", span)]
        for name in names:
            with self.subTest(name):
                self.assertIn(name, declared)
        self.assertGreater(len(names), 40)

    def test_every_table_of_the_journal_has_its_bound(self):
        tables = re.findall(r"CREATE TABLE (\w+)", (ROOT / "coordinator/journal/schema.hpp").read_text())
        self.assertEqual([table for table in tables if table not in self.SPANS], [])
        self.assertGreater(len(tables), 10)

    def test_every_folder_is_there(self):
        for span in self.SPANS:
            if re.fullmatch(r"[\w/]+/", span):
                with self.subTest(span):
                    self.assertTrue((ROOT / span).is_dir() or (ROOT / "actors/kit" / span).is_dir())


if __name__ == "__main__":
    unittest.main(verbosity=2)
