// What a command that ends says of errors, and the command that goes on.
#include "cli/terminal/closing_lines.hpp"

#include <catch2/catch.hpp>

namespace closing_lines_test {

using namespace gristmill;
using namespace gristmill::cli;

namespace {

CountedError error_of(OutcomeClass cls, std::uint64_t count, std::uint64_t final,
                      std::string code = "code") {
  return {cls, std::move(code), 503, count, final, "words", "item-3", "in.jsonl:4", 1};
}

wiring::JobView job_with(ErrorList errors, std::uint64_t failed) {
  wiring::JobView job;
  job.id = JobId{7};
  job.counts.failed = failed;
  job.counts.attempts = 100;
  job.errors = std::make_shared<const ErrorList>(std::move(errors));
  return job;
}

std::string classes_of(ErrorList errors, bool& mend) {
  return classes_to_retry(job_with(std::move(errors), 1), mend);
}

} // namespace

TEST_CASE("failures are told by cause, the three commonest, with a sample each") {
  ErrorList errors;
  for (std::uint64_t n = 5; n >= 1; --n)
    errors.push_back(error_of(OutcomeClass::timeout, 10 * n + 5, 10 * n, std::to_string(n)));
  errors.insert(errors.begin(), error_of(OutcomeClass::rate, 1'000, 0)); // no item failed by it
  CHECK(errors_of(job_with(errors, 150)) ==
        "errors  50 failed as timeout, 5 more tried again: HTTP 503 5: words (item-3, in.jsonl:4)\n"
        "        40 failed as timeout, 5 more tried again: HTTP 503 4: words (item-3, in.jsonl:4)\n"
        "        30 failed as timeout, 5 more tried again: HTTP 503 3: words (item-3, in.jsonl:4)\n"
        "        2 other causes\n");
  errors = {error_of(OutcomeClass::bad_line, 2, 2)};
  errors.front().item.clear();
  errors.front().code = "http_503";
  CHECK(errors_of(job_with(errors, 2)) == "errors  2 failed as bad_line: HTTP 503: words\n");
  errors = {{OutcomeClass::bad_line, "", 0, 2, 2, "", "", "", 0}}; // of an earlier life
  CHECK(errors_of(job_with(errors, 2)) == "errors  2 failed as bad_line\n");
}

TEST_CASE("without a failure only many retries are told") {
  const auto told = [](std::uint64_t retried) {
    return errors_of(job_with({error_of(OutcomeClass::rate, retried, 0)}, 0));
  };
  CHECK(told(much_retried_least - 1).empty());
  CHECK(told(much_retried_least) ==
        "errors  10 tried again after rate: HTTP 503 code: words (item-3, in.jsonl:4)\n");
  auto job = job_with({error_of(OutcomeClass::rate, 50, 0)}, 0);
  job.counts.attempts = 1'000; // a twentieth of all is not much yet
  CHECK(errors_of(job).empty());
  job.counts.attempts = 999;
  CHECK_FALSE(errors_of(job).empty());
  job.errors = nullptr;
  CHECK(errors_of(job).empty());
}

TEST_CASE("the next command runs again what may be answered then") {
  bool mend = false;
  CHECK(classes_of({error_of(OutcomeClass::timeout, 1, 1), error_of(OutcomeClass::bad_line, 1, 1),
                    error_of(OutcomeClass::timeout, 1, 1, "other"),
                    error_of(OutcomeClass::config, 1, 1), error_of(OutcomeClass::rate, 1, 0)},
                   mend) == "timeout,config");
  CHECK_FALSE(mend);
  CHECK(classes_of({error_of(OutcomeClass::timeout, 1, 1)}, mend).empty()); // all that failed
  CHECK_FALSE(mend);
  CHECK(classes_of({error_of(OutcomeClass::bad_line, 1, 1)}, mend).empty());
  CHECK(mend);
  CHECK(closing_lines(job_with({error_of(OutcomeClass::bad_line, 1, 1)}, 1), "do it", true) ==
        "errors  1 failed as bad_line: HTTP 503 code: words (item-3, in.jsonl:4)\n"
        "        they fail again unless that is mended; then\n"
        "next    do it\n");
}

TEST_CASE("what is wrong in the input itself is mended in another job") {
  ErrorList errors{error_of(OutcomeClass::bad_line, 1, 1)};
  CHECK_FALSE(is_of_input(job_with(errors, 1))); // a server has said so
  errors.front().http_status = 0;
  CHECK(is_of_input(job_with(errors, 1)));
  CHECK_THAT(closing_lines_of_input(job_with(errors, 1), "do it"),
             Catch::Contains("another job") && Catch::EndsWith("next    do it\n"));
  CHECK_THAT(closing_lines_of_input(job_with(errors, 1), ""), !Catch::Contains("next"));
  errors.push_back(error_of(OutcomeClass::timeout, 1, 1));
  CHECK_FALSE(is_of_input(job_with(errors, 2)));
  CHECK(TypedRun{{"gristmill", "run", "a", "--retry-failed"}}.anew() ==
        "gristmill run a --restart");
}

TEST_CASE("a command is printed as it was typed, so that a shell takes it") {
  CHECK(shell_word("plain-word_1.2/3:4@5%6+7=8,9") == "plain-word_1.2/3:4@5%6+7=8,9");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("two words") == "'two words'");
  CHECK(shell_word("it's {{text}} $HOME `x` \\n") == "'it'\\''s {{text}} $HOME `x` \\n'");
  CHECK(shell_word("a\nb'\\") == "$'a\\x0ab\\'\\\\'");
  const TypedRun run{{"build/gristmill", "run", "in.jsonl", "-p", "Say {{text}}", "-o", "o ut"}};
  CHECK(run.again() == "build/gristmill run in.jsonl -p 'Say {{text}}' -o 'o ut'");
  CHECK(run.retrying("") == run.again() + " --retry-failed");
  CHECK(run.retrying("timeout,rate") == run.again() + " --retry-failed=timeout,rate");
}

TEST_CASE("what would begin anew, or retries already, is left out of the next command") {
  const std::string plain = "gristmill run in.jsonl";
  CHECK(TypedRun{{"gristmill", "run", "--restart", "in.jsonl"}}.again() == plain);
  CHECK(TypedRun{{"gristmill", "run", "in.jsonl", "--retry-failed=rate"}}.again() == plain);
  CHECK(TypedRun{{"gristmill", "run", "in.jsonl", "--retry-failed", "rate"}}.again() == plain);
  CHECK(TypedRun{{"gristmill", "run", "--retry-failed", "in.jsonl"}}.again() == plain);
  CHECK(TypedRun{{"gristmill", "run", "in.jsonl", "--retry-failed"}}.again() == plain);
}

} // namespace closing_lines_test
