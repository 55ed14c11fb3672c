// What the outcome of a call says to each of its parts.
#include "actors/supervisor/verdict/part_reply.hpp"

#include <catch2/catch.hpp>

namespace part_reply_test {

using namespace gristmill;
using namespace gristmill::supervisor;

namespace {

PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}
protocol::Outcome of(std::uint64_t parts, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Outcome outcome;
  for (std::uint64_t item = 0; item < parts; ++item) outcome.parts.push_back(part(item));
  outcome.cls = cls;
  outcome.http_status = 200;
  return outcome;
}
const std::string said_spam = R"({"choices":[{"message":{"content":"spam"}}]})";
const std::string said_eggs = R"({"choices":[{"message":{"content":"eggs"}}]})";

} // namespace

TEST_CASE("each part of a call gets the answer that names it, and one without is malformed") {
  const JobSpec spec;
  protocol::Outcome outcome = of(3);
  outcome.answers = {{part(1), OutcomeClass::ok, said_spam},
                     {part(0), OutcomeClass::policy, R"({"error":{}})"}};
  CHECK(reply_to(part(0), outcome, spec).cls == OutcomeClass::policy);
  CHECK(reply_to(part(1), outcome, spec).cls == OutcomeClass::ok);
  CHECK(reply_to(part(1), outcome, spec).body == said_spam);
  CHECK(reply_to(part(2), outcome, spec).cls == OutcomeClass::malformed);
  for (std::uint64_t item = 0; item < 3; ++item)
    CHECK(is_answered(part(item), outcome, spec) == (item == 1));
}

TEST_CASE("a call that failed has failed for each of its parts") {
  const std::uint64_t parts = GENERATE(1u, 3u);
  const JobSpec spec;
  const protocol::Outcome outcome = of(parts, OutcomeClass::transient);
  for (const PartId& one : outcome.parts) {
    CHECK(reply_to(one, outcome, spec).cls == OutcomeClass::transient);
    CHECK_FALSE(is_answered(one, outcome, spec));
  }
}

TEST_CASE("an answer counts when it has a body, and a label where one is asked for") {
  JobSpec spec;
  spec.shape.task = Task::classify;
  spec.shape.labels = {"spam", "ham"};
  const auto [body, cls] = GENERATE(table<std::string, OutcomeClass>({
      {said_spam, OutcomeClass::ok},
      {said_eggs, OutcomeClass::bad_result},
      {"", OutcomeClass::transient},
  }));
  CAPTURE(body);
  protocol::Outcome alone = of(1);
  alone.body = body;
  judge_outcome(alone, spec);
  CHECK(alone.cls == cls);
  // Of several, each with its part.
  protocol::Outcome several = of(2);
  several.answers = {{part(0), OutcomeClass::ok, body}, {part(1), OutcomeClass::ok, said_spam}};
  judge_outcome(several, spec);
  CHECK(several.cls == OutcomeClass::ok);
  CHECK(reply_to(part(0), several, spec).cls == cls);
  CHECK(is_answered(part(1), several, spec));
}

} // namespace part_reply_test
