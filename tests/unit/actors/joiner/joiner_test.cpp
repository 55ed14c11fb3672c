// The joiner alone, with lines in memory: whose turn it is, how much is done at a time, and what a
// failure leaves.
#include "actors/joiner/joiner.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <map>

namespace joiner_test {

using namespace gristmill;
using joiner::Joiner;
using joiner::JoinStep;
using journal::PartLine;

namespace {

PartLine part_line(const PartId& part, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Reply reply;
  reply.cls = cls;
  if (cls == OutcomeClass::ok) {
    reply.http_status = 200;
    reply.body = fmt::format(R"({{"choices":[{{"message":{{"content":"{}.{} "}}}}]}})", part.item,
                             part.part);
  }
  openai::Provenance about;
  about.item = part.item;
  about.part = part.part;
  about.attempts = 1;
  return {part, cls, openai::result_line(part.job, "", reply, about)};
}

struct Lines : journal::LineStore {
  std::map<std::pair<JobId, std::uint64_t>, std::vector<PartLine>> kept;
  std::map<RequestKey, std::string> answers;
  std::optional<Error> error;
  std::uint64_t error_at = 0; // the item that it is told of
  std::size_t reads = 0;

  void put(std::uint32_t job, std::uint64_t item, std::uint32_t parts) {
    for (std::uint32_t n = 0; n < parts; ++n)
      kept[{JobId{job}, item}].push_back(part_line({JobId{job}, item, n}));
  }
  Result<std::shared_ptr<journal::JobLines>> lines_of(JobId, journal::LineKind) const override {
    return fail(ErrorCode::internal, "whole items are nobody's business here");
  }
  Result<std::optional<std::string>> answer_to(JobId, const RequestKey& key) override {
    ++reads;
    if (error) return tl::unexpected{*error};
    const auto found = answers.find(key);
    return found == answers.end() ? std::nullopt : std::optional{found->second};
  }
  Result<std::vector<PartLine>> parts_of(JobId job, std::uint64_t item, std::uint32_t first,
                                         std::uint32_t last) override {
    ++reads;
    if (error && item == error_at) return tl::unexpected{*error};
    std::vector<PartLine> lines;
    for (const PartLine& line : kept[{job, item}])
      if (line.part.part >= first && line.part.part < last) lines.push_back(line);
    return lines;
  }
};

ItemToJoin item_of(std::uint64_t item, std::uint32_t parts) {
  return {item, parts, fmt::format("id-{}", item), fmt::format("in.jsonl:{}", item + 1), ""};
}

std::vector<std::uint64_t> numbers_of(const JoinStep& step) {
  std::vector<std::uint64_t> numbers;
  for (const JoinedItem& item : step.items) numbers.push_back(item.item);
  return numbers;
}
using Numbers = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("a joiner that was asked for nothing does nothing") {
  Lines lines;
  Joiner joiner{lines};
  joiner.join(JobId{1}, {});
  CHECK(joiner.waiting() == 0);
  const JoinStep step = joiner.step();
  CHECK(step.job == JobId{});
  CHECK(step.items.empty());
  CHECK_FALSE(step.more);
  CHECK_FALSE(step.failure);
  CHECK(lines.reads == 0);
}

TEST_CASE("a joined item has the line of its parts, under its own id, source and kept fields") {
  Lines lines;
  lines.put(1, 7, 2);
  Joiner joiner{lines};
  ItemToJoin item = item_of(7, 2);
  item.input = R"({"k":1})";
  joiner.join(JobId{1}, {item});
  const JoinStep step = joiner.step();
  CHECK(step.job == JobId{1});
  REQUIRE(step.items.size() == 1);
  CHECK(step.items[0].item == 7);
  CHECK(step.items[0].cls == OutcomeClass::ok);
  CHECK(step.items[0].code.empty());
  openai::Provenance about;
  about.item = 7;
  about.source = "in.jsonl:8";
  about.input = R"({"k":1})";
  const auto& parts = lines.kept[{JobId{1}, 7}];
  const std::vector<openai::PartText> texts{{OutcomeClass::ok, parts[0].line},
                                            {OutcomeClass::ok, parts[1].line}};
  CHECK(step.items[0].line ==
        openai::joined_line(JobId{1}, "id-7", about, texts, limits::line_bytes_max).line);
  CHECK(joiner.waiting() == 0);
}

TEST_CASE("an item is joined again, after a crash or because it was asked for twice, to the same") {
  Lines lines;
  lines.put(1, 0, 3);
  Joiner joiner{lines};
  joiner.join(JobId{1}, {item_of(0, 3), item_of(0, 3)});
  const JoinStep twice = joiner.step();
  REQUIRE(twice.items.size() == 2);
  CHECK(twice.items[0].line == twice.items[1].line);
  Joiner later{lines};
  later.join(JobId{1}, {item_of(0, 3)});
  CHECK(later.step().items.at(0).line == twice.items[0].line);
}

TEST_CASE("a failed part fails its item, which says so by class and code") {
  Lines lines;
  lines.put(1, 0, 1);
  lines.kept[{JobId{1}, 0}].push_back(part_line({JobId{1}, 0, 1}, OutcomeClass::too_long));
  Joiner joiner{lines};
  joiner.join(JobId{1}, {item_of(0, 2)});
  const JoinStep step = joiner.step();
  CHECK(step.items.at(0).cls == OutcomeClass::too_long);
  CHECK(step.items.at(0).code == "part_failed");
}

TEST_CASE("a slice ends with the item that reaches its bytes, in the order of the asking") {
  Lines lines;
  for (std::uint64_t item = 0; item < 5; ++item) lines.put(1, item, 2);
  const std::size_t of_one =
      lines.kept[{JobId{1}, 0}][0].line.size() + lines.kept[{JobId{1}, 0}][1].line.size();
  const auto [bytes, first] = GENERATE_COPY(table<std::size_t, Numbers>(
      {{1, {4}}, {of_one, {4}}, {of_one + 1, {4, 0}}, {2 * of_one, {4, 0}}}));
  CAPTURE(bytes);
  Joiner joiner{lines, bytes};
  joiner.join(JobId{1}, {item_of(4, 2), item_of(0, 2)});
  joiner.join(JobId{1}, {item_of(2, 2)});
  const JoinStep step = joiner.step();
  CHECK(numbers_of(step) == first);
  CHECK(step.more);
  CHECK(joiner.waiting() == 3 - first.size());
  CHECK(lines.reads == first.size());
  Numbers all = first;
  for (JoinStep next = joiner.step(); next.job; next = joiner.step())
    for (const std::uint64_t number : numbers_of(next)) all.push_back(number);
  CHECK(all == Numbers{4, 0, 2});
}

TEST_CASE("jobs take turns, whatever waits in one of them") {
  Lines lines;
  Joiner joiner{lines, 1};
  for (const std::uint32_t job : {9u, 2u, 5u})
    for (std::uint64_t item = 0; item < 2; ++item) {
      lines.put(job, item, 2);
      joiner.join(JobId{job}, {item_of(item, 2)});
    }
  std::vector<std::uint32_t> turns;
  for (JoinStep step = joiner.step(); step.job; step = joiner.step()) {
    turns.push_back(step.job.value);
    CHECK(step.more == (turns.size() < 6));
  }
  CHECK(turns == std::vector<std::uint32_t>{2, 5, 9, 2, 5, 9});
}

TEST_CASE("after a failure that passes the items wait, and those before it are told") {
  Lines lines;
  for (std::uint64_t item = 0; item < 3; ++item) lines.put(1, item, 2);
  lines.error = Error{ErrorCode::unavailable, "no descriptor is free"};
  lines.error_at = 1;
  Joiner joiner{lines};
  joiner.join(JobId{1}, {item_of(0, 2), item_of(1, 2), item_of(2, 2)});
  const JoinStep step = joiner.step();
  CHECK(numbers_of(step) == Numbers{0});
  REQUIRE(step.failure);
  CHECK(step.failure->message == "no descriptor is free");
  CHECK(step.more);
  CHECK(joiner.waiting() == 2);
  CHECK(joiner.step().items.empty());
  lines.error.reset();
  CHECK(numbers_of(joiner.step()) == Numbers{1, 2});
  CHECK(joiner.waiting() == 0);
}

TEST_CASE("after any other failure the job's items are gone, and another job's are not") {
  Lines lines;
  for (const std::uint32_t job : {1u, 2u})
    for (std::uint64_t item = 0; item < 2; ++item) lines.put(job, item, 2);
  lines.error = Error{ErrorCode::io, "the disk is gone"};
  lines.error_at = 0;
  Joiner joiner{lines};
  joiner.join(JobId{1}, {item_of(0, 2), item_of(1, 2)});
  joiner.join(JobId{2}, {item_of(1, 2)});
  const JoinStep step = joiner.step();
  CHECK(step.job == JobId{1});
  CHECK(step.items.empty());
  REQUIRE(step.failure);
  CHECK(step.failure->code == ErrorCode::io);
  CHECK(joiner.waiting() == 1);
  const JoinStep next = joiner.step();
  CHECK(next.job == JobId{2});
  CHECK(numbers_of(next) == Numbers{1});
}

TEST_CASE("an item of which a part's line is missing, or one too many is there, is not joined") {
  const std::uint32_t there = GENERATE(0u, 2u, 4u);
  Lines lines;
  lines.put(1, 6, there);
  Joiner joiner{lines};
  joiner.join(JobId{1}, {item_of(6, 3)});
  const JoinStep step = joiner.step();
  CHECK(step.items.empty());
  REQUIRE(step.failure);
  CHECK(step.failure->code == ErrorCode::io);
  CHECK(step.failure->message ==
        fmt::format("expected the lines of 3 parts of item 6, got {}", there));
}

} // namespace joiner_test
