// What the calls of each job have taught of their use of tokens, and what of it is noted.
#include "actors/rate_limiter/learned_tokens.hpp"

#include "protocol/limits.hpp"

#include <catch2/catch.hpp>

namespace learned_tokens_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

constexpr JobId job{7}, other{8};

protocol::Usage usage(std::uint64_t prompt, std::uint64_t completion) {
  protocol::Usage used;
  used.known = true;
  used.prompt = prompt;
  used.completion = completion;
  return used;
}

void learn(LearnedTokens& tokens, JobId of, const std::string& model, int calls) {
  for (int n = 0; n < calls; ++n)
    tokens.learn(of, tokens.learners(of, model, {}), {1'000, 900}, usage(100, 50), 1s);
}

} // namespace

TEST_CASE("what one job's calls to a model teach says nothing of another job or model") {
  LearnedTokens tokens;
  tokens.opened(job, {});
  tokens.opened(other, {});
  CHECK_FALSE(tokens.of(job, "a").all);
  learn(tokens, job, "a", 200);
  CHECK(tokens.of(job, "a").all->of(1'000, 20).reserved < 1'000);
  CHECK_FALSE(tokens.of(job, "b").all);
  CHECK_FALSE(tokens.of(other, "a").all);
}

TEST_CASE("input and output are learned where something depends on them") {
  RateLimits plain, reserved, of_input, of_output;
  reserved.token_counting = TokenCounting::reserved;
  of_input.input_tokens_per_minute = 1;
  of_output.output_tokens_per_minute = 1;
  struct Row {
    RateLimits limits;
    bool input, output;
  };
  for (const Row& row : {Row{plain, false, false}, Row{reserved, true, false},
                         Row{of_input, true, false}, Row{of_output, false, true}}) {
    LearnedTokens tokens;
    tokens.opened(job, {});
    const TokenLearners learners = tokens.learners(job, "m", row.limits);
    CHECK(learners.all);
    CHECK((learners.input != nullptr) == row.input);
    CHECK((learners.output != nullptr) == row.output);
    CHECK(tokens.of(job, "m").all == learners.all);
  }
}

TEST_CASE("beyond so many models they share what is learned") {
  LearnedTokens tokens;
  tokens.opened(job, {});
  for (std::size_t n = 0; n < 2 * limits::learned_models_max; ++n)
    tokens.learners(job, "model-" + std::to_string(n), {});
  CHECK(tokens.models(job) == limits::learned_models_max + 1);
  CHECK(tokens.learners(job, "new", {}).all == tokens.learners(job, "newer", {}).all);
  CHECK(tokens.learners(job, "model-0", {}).all != tokens.learners(job, "new", {}).all);
}

TEST_CASE("what was learned is noted once, and a later life begins with it") {
  LearnedTokens tokens;
  tokens.opened(job, {});
  learn(tokens, job, "a", 200);
  const auto notes = tokens.notes();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].job == job);
  CHECK(notes[0].model == "a");
  CHECK(tokens.notes().empty());
  LearnedTokens later;
  later.opened(job, notes);
  CHECK(later.of(job, "a").all->of(1'000, 20).reserved < 1'000);
  later.opened(job, {{job, "a", "no note of ours"}});
  CHECK(later.size() == 0);
}

TEST_CASE("calls of a job that is closed meanwhile teach nothing and disturb nobody") {
  LearnedTokens tokens;
  tokens.opened(job, {});
  const TokenLearners learners = tokens.learners(job, "a", {});
  tokens.closed(job);
  for (int n = 0; n < 200; ++n) tokens.learn(job, learners, {1'000, 900}, usage(100, 50), 1s);
  CHECK(tokens.notes().empty());
  CHECK(tokens.size() == 0);
}

} // namespace learned_tokens_test
