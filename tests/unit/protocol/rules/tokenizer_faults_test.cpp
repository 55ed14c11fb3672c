// How a job says who counts its tokens, and what makes it another job.
#include "protocol/job/tokenizer_id.hpp"
#include "protocol/rules/job_faults.hpp"

#include <catch2/catch.hpp>

namespace tokenizer_faults_test {

using namespace gristmill;
using Catch::Contains;

namespace {

const std::string hash(64, 'a'), id = "o200k_base@" + hash;

JobSpec spec_of(std::string tokenizer, std::string file) {
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  spec.shape.tokenizer = std::move(tokenizer);
  spec.tokenizer_file = std::move(file);
  return spec;
}

} // namespace

TEST_CASE("a tokenizer is the name of its encoding and the hash of its file") {
  CHECK(tokenizer_id_from(id) == TokenizerId{"o200k_base", hash});
  CHECK(to_string(*tokenizer_id_from(id)) == id);
  for (const std::string& text :
       {std::string{}, std::string{"o200k_base"}, "@" + hash, "o200k_base@" + hash.substr(1),
        id + "a", "o200k_base@" + std::string(64, 'A'), "o200k_base@" + std::string(64, 'g')})
    CHECK_FALSE(tokenizer_id_from(text));
}

TEST_CASE("a job says both who counts and where its ranks are, or neither") {
  CHECK(faults_of(spec_of("", "")).empty());
  CHECK(faults_of(spec_of(id, "/ranks.tiktoken")).empty());
  for (const JobSpec& spec : {spec_of(id, ""), spec_of("", "/ranks.tiktoken"),
                              spec_of("o200k_base", "/ranks.tiktoken")}) {
    const auto faults = faults_of(spec);
    REQUIRE(faults.size() == 1);
    CHECK_THAT(faults.front(), Contains("--tokenizer"));
  }
}

TEST_CASE(
    "a job with another tokenizer, or none, is another one; where its file lies says nothing") {
  const JobSpec before = spec_of(id, "/ranks.tiktoken");
  CHECK(identity_difference(before, spec_of(id, "/elsewhere")).empty());
  for (const std::string& other :
       {std::string{}, "o200k_harmony@" + hash, "o200k_base@" + std::string(64, 'b')}) {
    CHECK(identity_difference(before, spec_of(other, "/ranks.tiktoken")) == "--tokenizer");
    CHECK(identity_difference(spec_of(other, "/ranks.tiktoken"), before) == "--tokenizer");
  }
}

TEST_CASE("all that a job reads are its inputs and its ranks") {
  CHECK(files_of(spec_of("", "")).size() == 1);
  const auto files = files_of(spec_of(id, "/ranks.tiktoken"));
  REQUIRE(files.size() == 2);
  CHECK(files[0].path == "/a");
  CHECK(files[1].path == "/ranks.tiktoken");
}

} // namespace tokenizer_faults_test
