// Rank files: what is wrong with one is said by its name, and jobs that count alike share one.
#include "coordinator/inputs/tokenizers.hpp"

#include "protocol/limits.hpp"
#include "tests/unit/coordinator/http/http_api_harness.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <fmt/format.h>

namespace tokenizers_test {

using namespace gristmill;
using namespace gristmill::http_api_test;
using Catch::Contains;
using gristmill::http_api_test::json;

namespace {

constexpr const char* name = "like-o200k_base";

struct Directory {
  fs::path path;
  Directory() {
    char made[] = "/tmp/gristmill-tokenizers-test-XXXXXX";
    path = ::mkdtemp(made);
  }
  ~Directory() { fs::remove_all(path); }
  std::string file(const std::string& called, const std::string& text) const {
    write(path / called, text);
    return (path / called).string();
  }
};

JobSpec spec_of(const std::string& file) {
  JobSpec spec;
  spec.tokenizer_file = file;
  spec.shape.tokenizer = to_string(id_of(*read_tokenizer({}, file, name).value()));
  return spec;
}

Error fault_of(const std::string& path, std::string_view encoding = name) {
  const auto read = read_tokenizer({}, path, encoding);
  REQUIRE_FALSE(read);
  return read.error();
}

} // namespace

TEST_CASE("what is wrong with a rank file is said with its name, and with its line") {
  const Directory directory;
  const std::string whole = test::rank_file({"th", "the"});
  struct Row {
    std::string text, sentence;
  };
  const auto row = GENERATE_COPY(values<Row>({
      {"", "an empty file"},
      {"<html>\n", "line 1"},
      {whole.substr(0, whole.rfind(' ')), "line 258"},
      {whole.substr(0, whole.find('\n', 100) + 1), "a token of each single byte"},
      {whole + whole, "line 259"},
  }));
  const std::string path = directory.file("ranks.tiktoken", row.text);
  const Error fault = fault_of(path);
  CHECK(fault.code == ErrorCode::bad_input);
  CHECK_THAT(fault.message, Contains(path) && Contains("expected") && Contains(row.sentence));
}

TEST_CASE("a file that is not there, is none, is too large or has another encoding is refused") {
  const Directory directory;
  const std::string path = directory.file("ranks.tiktoken", test::rank_file({"th"}));
  CHECK_THAT(fault_of(path + "x").message, Contains(path + "x") && Contains("readable rank file"));
  CHECK_THAT(fault_of(directory.path).message, Contains("not a file"));
  CHECK_THAT(fault_of(path, "").message, Contains("expected as many ranks as an encoding"));
  CHECK(fault_of(path, "none").code == ErrorCode::usage);
  CHECK_THAT(fault_of(path, "none").message, Contains("o200k_base") && Contains("\"none\""));
  CHECK_THAT(fault_of(path, "o200k_base").message, Contains("the 199998 ranks of o200k_base"));
  fs::resize_file(path, limits::rank_file_bytes_max + 1);
  CHECK_THAT(fault_of(path).message, Contains("at most 16777216 bytes, got 16777217"));
}

TEST_CASE("jobs that count alike share one tokenizer, wherever its file lies") {
  const Directory directory;
  const std::string ranks = test::rank_file({"th"});
  const JobSpec one = spec_of(directory.file("a", ranks)),
                two = spec_of(directory.file("b", ranks));
  Tokenizers tokenizers;
  CHECK(tokenizers.open(JobSpec{}, {}).value() == nullptr);
  const auto first = tokenizers.open(one, {}).value();
  CHECK(first->count("thth") == 2);
  CHECK(tokenizers.open(two, {}).value() == first);
  fs::remove(two.tokenizer_file);
  CHECK(tokenizers.open(two, {}).value() == first);
  JobSpec otherwise = one;
  otherwise.shape.tokenizer.replace(0, std::string{name}.size(), "like-cl100k_base");
  CHECK(tokenizers.open(otherwise, {}).value() != first);
}

TEST_CASE("a rank file that has changed is named, and taken again once it is put back") {
  const Directory directory;
  const std::string ranks = test::rank_file({"th"});
  const JobSpec spec = spec_of(directory.file("a", ranks));
  Tokenizers tokenizers;
  directory.file("a", test::rank_file({"he"}));
  const auto opened = tokenizers.open(spec, {});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == ErrorCode::bad_input);
  CHECK_THAT(opened.error().message, Contains(spec.tokenizer_file) && Contains("put the old file"));
  fs::remove(spec.tokenizer_file);
  CHECK_THAT(tokenizers.open(spec, {}).error().message, Contains("readable rank file"));
  directory.file("a", ranks);
  CHECK(tokenizers.open(spec, {}));
}

TEST_CASE("more tokenizers than there is memory for wait for others to be let go") {
  const Directory directory;
  Tokenizers tokenizers;
  std::vector<SharedTokenizer> held;
  const auto spec = [&](std::size_t n) {
    return spec_of(directory.file(fmt::format("{}", n), test::rank_file({fmt::format("t{}", n)})));
  };
  for (std::size_t n = 0; n < limits::tokenizers_max; ++n)
    held.push_back(tokenizers.open(spec(n), {}).value());
  const JobSpec more = spec(limits::tokenizers_max);
  CHECK(tokenizers.open(more, {}).error().code == ErrorCode::unavailable);
  CHECK(tokenizers.open(spec(0), {}).value() == held.front());
  held.pop_back();
  CHECK(tokenizers.open(more, {}));
}

TEST_CASE("a job over HTTP gets the whole id of the ranks that were uploaded for it") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data";
  write(data / "in.jsonl", "{}\n");
  const std::string ranks = test::rank_file({"th"});
  const auto uploaded = stage.call("POST", "/api/v1/inputs?name=ranks.tiktoken", ranks);
  REQUIRE(uploaded.status == 201);
  const std::string path = json::parse(uploaded.body).at("path");
  const std::string id = to_string(id_of(*read_tokenizer({}, path, name).value()));
  for (const std::string& said : {std::string{name}, id}) {
    const auto answer = stage.submit("in.jsonl", {{"tokenizer_file", path}, {"tokenizer", said}});
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    CHECK(stage.node.submitted.back().shape.tokenizer == id);
    CHECK(stage.node.submitted.back().tokenizer_file == path);
  }
  write(data / "ranks.tiktoken", ranks);
  CHECK(stage.submit("in.jsonl", {{"tokenizer_file", "ranks.tiktoken"}, {"tokenizer", name}})
            .status == 201);
  CHECK(stage.node.submitted.back().tokenizer_file ==
        fs::canonical(data / "ranks.tiktoken").string());
}

TEST_CASE("a job over HTTP whose ranks are none, or not those that it says, is refused") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data";
  write(data / "in.jsonl", "{}\n");
  write(data / "ranks.tiktoken", test::rank_file({"th"}));
  write(data / "cut.tiktoken", "abc");
  struct Row {
    json more;
    std::string sentence;
  };
  for (const Row& row : std::vector<Row>{
           {{{"tokenizer", name}}, "tokenizer_file"},
           {{{"tokenizer_file", "none"}}, "none"},
           {{{"tokenizer_file", "/etc/passwd"}}, "tokenizer_file"},
           {{{"tokenizer_file", "cut.tiktoken"}}, "line 1"},
           {{{"tokenizer_file", "ranks.tiktoken"}}, "expected as many ranks"},
           {{{"tokenizer_file", "ranks.tiktoken"}, {"tokenizer", "other"}}, "\\\"other\\\""},
           {{{"tokenizer_file", "ranks.tiktoken"},
             {"tokenizer", std::string{name} + "@" + std::string(64, 'a')}},
            "SHA-256"}}) {
    const auto answer = stage.submit("in.jsonl", row.more);
    CHECK(answer.status >= 400);
    CHECK_THAT(answer.body, Contains(row.sentence));
  }
  CHECK(stage.node.submitted.empty());
}

} // namespace tokenizers_test
