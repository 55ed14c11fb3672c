// Which inputs a command may give to go on with an earlier run, and how the others are told.
#include "cli/run/same_inputs.hpp"

#include "cli/inputs.hpp"
#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/list.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <fstream>

namespace same_inputs_test {

using namespace gristmill;
using namespace gristmill::cli;
namespace fs = std::filesystem;

namespace {

struct Inputs {
  const store_test::TempDirectory temp;
  std::vector<std::string> names{put("a.jsonl", "{\"text\":\"a\"}\n"), put("b.txt", "b text")};

  std::string put(const std::string& name, std::string_view text) const {
    const std::string path = temp / name;
    fs::create_directories(fs::path{path}.parent_path());
    std::ofstream{path, std::ios::binary} << text;
    return path;
  }
  static void touch(const std::string& path) {
    fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds{5});
  }
  std::vector<InputSpec> now() const { return found_inputs(names, "").value(); }
  std::vector<InputSpec> at_the_beginning(std::uint64_t digested_bytes = 1'000) const {
    auto inputs = now();
    coordinator::InputDigests digests{digested_bytes};
    for (InputSpec& input : inputs) REQUIRE(digests.take(input));
    return inputs;
  }
};

std::string error_of(const Result<std::vector<InputSpec>>& same) {
  REQUIRE_FALSE(same);
  CHECK(same.error().code == ErrorCode::usage);
  return same.error().message;
}

} // namespace

TEST_CASE("inputs that were only touched or copied back are the same, by their content") {
  const Inputs inputs;
  const auto before = inputs.at_the_beginning();
  CHECK(same_inputs(before, inputs.now()));
  Inputs::touch(inputs.names[0]);
  const auto touched = same_inputs(before, inputs.now());
  REQUIRE(touched);
  CHECK(touched->front().modified_ns == inputs.now()[0].modified_ns); // no more comparing
  CHECK(touched->front().digest == before[0].digest);
  const std::string copy = inputs.temp / "copy";
  fs::copy_file(inputs.names[1], copy);
  fs::remove(inputs.names[1]);
  fs::rename(copy, inputs.names[1]);
  Inputs::touch(inputs.names[1]);
  CHECK(same_inputs(before, inputs.now()));
}

TEST_CASE("an input that differs is named, and how") {
  Inputs inputs;
  auto before = inputs.at_the_beginning();
  SECTION("longer") {
    inputs.put("a.jsonl", "{\"text\":\"longer\"}\n");
    CHECK_THAT(error_of(same_inputs(before, inputs.now())),
               Catch::StartsWith("INPUT " + inputs.names[0] + ": expected the 13 bytes") &&
                   Catch::Contains("got 18 bytes"));
  }
  SECTION("another content of the same length") {
    inputs.put("b.txt", "B text");
    Inputs::touch(inputs.names[1]);
    CHECK_THAT(error_of(same_inputs(before, inputs.now())),
               Catch::StartsWith("INPUT " + inputs.names[1]) && Catch::Contains("another content"));
  }
  SECTION("modified, and too large for a digest") {
    before = inputs.at_the_beginning(3);
    CHECK(same_inputs(before, inputs.now()));
    Inputs::touch(inputs.names[0]);
    CHECK_THAT(error_of(same_inputs(before, inputs.now())), Catch::Contains("modified since"));
  }
  SECTION("another file, though its content is the same") {
    inputs.names[0] = inputs.put("c.jsonl", "{\"text\":\"a\"}\n");
    CHECK_THAT(error_of(same_inputs(before, inputs.now())),
               Catch::StartsWith("INPUT " + inputs.names[0]) &&
                   Catch::Contains("input 1 of the job"));
  }
  SECTION("in another order") {
    std::swap(inputs.names[0], inputs.names[1]);
    CHECK_THAT(error_of(same_inputs(before, inputs.now())), Catch::Contains("another file"));
  }
  SECTION("one more") {
    inputs.names.push_back(inputs.put("c.txt", "c"));
    CHECK_THAT(error_of(same_inputs(before, inputs.now())),
               Catch::StartsWith("INPUT " + inputs.names[2]) && Catch::Contains("one more file"));
  }
  SECTION("one less") {
    const std::string missing = inputs.names[1];
    inputs.names.pop_back();
    CHECK_THAT(error_of(same_inputs(before, inputs.now())),
               Catch::Contains("INPUT: expected the 2 files") && Catch::Contains(missing));
  }
}

TEST_CASE("the same file by another path is the same, under the name that it had") {
  Inputs inputs;
  const auto before = inputs.at_the_beginning();
  const std::string name = inputs.names[0];
  SECTION("another spelling") {
    inputs.names[0] = inputs.temp / "./none/../a.jsonl";
    fs::create_directory(inputs.temp / "none");
  }
  SECTION("a link") {
    inputs.names[0] = inputs.temp / "link";
    fs::create_symlink(name, inputs.names[0]);
  }
  SECTION("moved with its directory") {
    fs::create_directory(inputs.temp / "moved");
    inputs.names[0] = inputs.temp / "moved/a.jsonl";
    fs::rename(name, inputs.names[0]);
  }
  const auto same = same_inputs(before, inputs.now());
  REQUIRE(same);
  CHECK(same->front().name == name);
  CHECK(fs::equivalent(same->front().path, inputs.names[0]));
}

TEST_CASE("a list of many inputs is compared one by one") {
  const Inputs inputs;
  const auto before = inputs.at_the_beginning();
  std::string text;
  for (const InputSpec& input : before) text += to_json(input) + "\n";
  const std::string path = inputs.put("inputs.list", text);
  const std::vector<InputSpec> list{
      coordinator::listed_input(path, 2, text.size(), coordinator::digest_of_list(text))};
  Inputs::touch(inputs.names[0]);
  CHECK(same_inputs(list, inputs.now()).value() == list);
  inputs.put("b.txt", "another text");
  CHECK_THAT(error_of(same_inputs(list, inputs.now())),
             Catch::StartsWith("INPUT " + inputs.names[1]));
}

} // namespace same_inputs_test
