// What is wrong with a command line, in the words of ours.
#include "actors/kit/program/usage_sentence.hpp"

#include <catch2/catch.hpp>

namespace usage_sentence_test {

using namespace gristmill;

TEST_CASE("A sentence about a command line says what was expected and what came", "[usage]") {
  struct Row {
    const char *kind, *what, *said;
  };
  const auto row = GENERATE(
      Row{"run", "The following argument was not expected: --bogus",
          "expected only the options and arguments that there are, got --bogus"},
      Row{"gristmill-worker", "The following arguments were not expected: b a",
          "expected only the options and arguments that there are, got b a"},
      Row{"RequiredError", "INPUT is required", "expected INPUT, got none"},
      Row{"ArgumentMismatch", "--limit: 1 required UINT missing",
          "--limit: expected a value, got none"},
      Row{"ArgumentMismatch", "--output: At Most 1 required but received 2",
          "--output: expected it once, got it 2 times"},
      Row{"ConversionError", "Could not convert: --rpm = 1.5", "--rpm: expected a number, got 1.5"},
      Row{"ValidationError", "--retries: Value 1001 not in range 0 to 1000",
          "--retries: expected 0 to 1000, got 1001"},
      Row{"ValidationError", "--temperature: Value hot not in range 0.000000 to 2.500000",
          "--temperature: expected 0 to 2.5, got hot"},
      Row{"ValidationError", "--order: sideways not in {input,completion}",
          "--order: expected one of input,completion, got sideways"},
      Row{"ExcludesError", "--prompt excludes --prompt-file", "--prompt excludes --prompt-file"});
  CHECK(usage_sentence(row.kind, row.what) == row.said);
}

} // namespace usage_sentence_test
