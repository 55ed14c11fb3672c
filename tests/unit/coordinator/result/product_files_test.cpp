// What jobs leave in a directory is no input of the next job that reads it.
#include "cli/inputs.hpp"
#include "coordinator/result/product_files.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <fstream>
#include <zlib.h>

namespace product_files_test {

using namespace gristmill;
using namespace gristmill::coordinator;
namespace fs = std::filesystem;

namespace {

const std::string result =
    "{\"id\":\"batch_req_12_0\",\"custom_id\":\"a\",\"gristmill\":{\"item\":0}}\n";
const std::string summary = "{\n  \"job\": \"job-12\",\n  \"state\": \"finished\"\n}\n";
const std::string row_names =
    "{\"row\":0,\"custom_id\":\"a\",\"source\":\"in.jsonl:1\",\"failed\":false}\n";

// How a journal begins.
std::string journal_head() {
  std::string head{"SQLite format 3\0", 16};
  head.resize(100);
  return head.replace(68, 4, "Gmil");
}

struct Directory {
  const store_test::TempDirectory temp;
  std::string put(const std::string& name, std::string_view text) const {
    const std::string path = temp / name;
    fs::create_directories(fs::path{path}.parent_path());
    std::ofstream{path, std::ios::binary} << text;
    return path;
  }
  std::string pack(const std::string& name, const std::string& text) const {
    const std::string path = temp / name;
    gzFile file = ::gzopen(path.c_str(), "wb");
    ::gzputs(file, text.c_str());
    ::gzclose(file);
    return path;
  }
  // The names below the directory, in order; an error's message.
  std::string found(const std::string& name) const {
    const auto inputs = cli::found_inputs({name}, "");
    if (!inputs) return inputs.error().message;
    std::string names;
    for (const InputSpec& input : *inputs)
      names += fs::relative(input.path, temp / "").string() + " ";
    return names;
  }
};

} // namespace

TEST_CASE(
    "results, summaries and states of other jobs are no documents of a directory or pattern") {
  const Directory dir;
  dir.put("in/a.jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n");
  dir.put("in/b.txt", "a document");
  dir.put("in/a.jsonl.results.jsonl", result);
  dir.put("in/a.jsonl.results.jsonl.summary.json", summary);
  dir.put("in/v.ids.jsonl", row_names);
  dir.put("in/answers.txt", result); // -o of any name
  dir.pack("in/old.jsonl.gz", result);
  dir.pack("in/c.jsonl.gz", "{\"id\":\"c\",\"text\":\"x\"}\n");
  dir.put("in/a.jsonl.results.jsonl.state/results-000001.jsonl", result);
  dir.put("in/a.jsonl.results.jsonl.state/journal.db", journal_head());
  dir.put("in/sub/state/journal.db", journal_head());
  dir.put("in/sub/state/inputs.jsonl", "{\"path\":\"x\"}\n");
  dir.put("in/sub/d.md", "text");
  CHECK(dir.found(dir.temp / "in") == "in/a.jsonl in/b.txt in/c.jsonl.gz in/sub/d.md ");
  CHECK(dir.found(dir.temp / "in/*") == "in/a.jsonl in/b.txt in/c.jsonl.gz in/sub/d.md ");
  CHECK(dir.found(dir.temp / "in/*.jsonl") == "in/a.jsonl ");
  // Whoever names one has it.
  CHECK(dir.found(dir.temp / "in/answers.txt") == "in/answers.txt ");
  CHECK_THAT(dir.found(dir.temp / "in/*.results.jsonl"),
             Catch::Contains("only what jobs have left"));
  CHECK_THAT(dir.found(dir.temp / "in/a.jsonl.results.jsonl.state"),
             Catch::Contains("only what jobs have left"));
}

TEST_CASE("what only looks like a job's file is a document") {
  const Directory dir;
  dir.put("in/a.jsonl", "{\"id\":\"batch_req_abc\",\"text\":\"of OpenAI itself\"}\n");
  dir.put("in/b.jsonl", "{\"id\":\"batch_req_1_0\",\"text\":\"x\"}\n");
  dir.put("in/c.json", "{\"job\": \"job-1\"}\n");
  dir.put("in/d.jsonl", "{\"row\":0,\"text\":\"x\"}\n");
  dir.put("in/e.state/f.txt", "text");
  dir.put("in/e.state/journal.db", "SQLite format 3, or something like that, of another program");
  CHECK(dir.found(dir.temp / "in") ==
        "in/a.jsonl in/b.jsonl in/c.json in/d.jsonl in/e.state/f.txt ");
}

} // namespace product_files_test
