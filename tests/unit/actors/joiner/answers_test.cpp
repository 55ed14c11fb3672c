// Answers that a job had before, from lines in memory: what is found, and how much at a time.
#include "actors/joiner/answers.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <map>

namespace answers_test {

using namespace gristmill;

namespace {

const JobId job{7};

RequestKey key_of(std::uint64_t item) {
  RequestKey key;
  key.bytes.fill(static_cast<char>('a' + item));
  return key;
}

LookUp asked(std::uint64_t item) {
  LookUp look_up;
  look_up.part = {job, item, 0};
  look_up.request = {key_of(item), true};
  look_up.raw = fmt::format("raw-{}", item);
  return look_up;
}
std::vector<LookUp> all_asked(std::uint64_t items) {
  std::vector<LookUp> all;
  for (std::uint64_t item = 0; item < items; ++item) all.push_back(asked(item));
  return all;
}

std::string line_of(std::uint64_t item, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Reply reply;
  reply.cls = cls;
  reply.http_status = cls == OutcomeClass::ok ? 200 : 400;
  reply.body = fmt::format(R"({{"answer":{}}})", item);
  openai::Provenance about;
  about.model = "m";
  about.item = item;
  return openai::result_line(job, "x", reply, about);
}

struct Lines : journal::LineStore {
  std::map<RequestKey, Result<std::optional<std::string>>> answers;
  std::size_t reads = 0;

  void put(std::uint64_t item, std::string line) { answers[key_of(item)] = std::move(line); }
  Result<std::optional<std::string>> answer_to(JobId of, const RequestKey& key) override {
    ++reads;
    CHECK(of == job);
    const auto found = answers.find(key);
    return found == answers.end() ? std::nullopt : found->second;
  }
  Result<std::shared_ptr<journal::JobLines>> lines_of(JobId, journal::LineKind) const override {
    return fail(ErrorCode::internal, "nobody looks for whole items here");
  }
  Result<std::vector<journal::PartLine>> parts_of(JobId, std::uint64_t, std::uint32_t,
                                                  std::uint32_t) override {
    return fail(ErrorCode::internal, "nobody looks for parts here");
  }
};

std::vector<std::uint64_t> items_of(const std::vector<LookUp>& look_ups) {
  std::vector<std::uint64_t> items;
  for (const LookUp& one : look_ups) items.push_back(one.part.item);
  return items;
}
std::vector<std::uint64_t> items_of(const std::vector<LookedUp>& looked_up) {
  std::vector<std::uint64_t> items;
  for (const LookedUp& one : looked_up) items.push_back(one.asked.part.item);
  return items;
}
using Items = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("an answer is told beside what was asked, and who has none is told so") {
  Lines lines;
  lines.put(1, line_of(1));
  const LookedUpAnswers answers = joiner::look_up(lines, job, all_asked(3));
  REQUIRE(items_of(answers.found) == Items{0, 1, 2});
  CHECK(answers.rest.empty());
  CHECK_FALSE(answers.found[0].answer);
  CHECK_FALSE(answers.found[2].answer);
  REQUIRE(answers.found[1].answer);
  CHECK(answers.found[1].answer->body == R"({"answer":1})");
  CHECK(answers.found[1].answer->model == "m");
  CHECK(answers.found[0].asked.raw == "raw-0"); // it is called with it
  CHECK(answers.found[1].asked.raw == "raw-1");
}

TEST_CASE("nothing is looked up for who asks for nothing") {
  Lines lines;
  const LookedUpAnswers answers = joiner::look_up(lines, job, {});
  CHECK(answers.found.empty());
  CHECK(answers.rest.empty());
  CHECK(lines.reads == 0);
}

TEST_CASE("a line that cannot be read, or says no answer, is none") {
  Lines lines;
  lines.answers[key_of(0)] = fail(ErrorCode::io, "the disk is gone");
  lines.put(1, line_of(1, OutcomeClass::bad_line));
  lines.put(2, "garbage");
  lines.put(3, line_of(3));
  const LookedUpAnswers answers = joiner::look_up(lines, job, all_asked(4));
  REQUIRE(items_of(answers.found) == Items{0, 1, 2, 3});
  for (std::size_t n = 0; n < 3; ++n) {
    CAPTURE(n);
    CHECK_FALSE(answers.found[n].answer);
    CHECK_FALSE(answers.found[n].asked.raw.empty());
  }
  CHECK(answers.found[3].answer);
}

TEST_CASE("a slice ends with the answer that reaches its bytes, and the rest is told") {
  Lines lines;
  for (std::uint64_t item = 0; item < 4; ++item) lines.put(item, line_of(item));
  const std::size_t two = line_of(0).size() + line_of(1).size();
  const auto [bytes, found] = GENERATE_COPY(table<std::size_t, std::uint64_t>(
      {{1, 1}, {two - 1, 2}, {two, 2}, {two + 1, 3}, {2 * two, 4}, {2 * two + 1, 4}}));
  CAPTURE(bytes);
  const LookedUpAnswers answers = joiner::look_up(lines, job, all_asked(4), bytes);
  Items first, last;
  for (std::uint64_t item = 0; item < 4; ++item) (item < found ? first : last).push_back(item);
  CHECK(items_of(answers.found) == first);
  CHECK(items_of(answers.rest) == last);
  CHECK(lines.reads == found); // the rest is not even looked at
  for (const LookUp& one : answers.rest) CHECK(one.raw == asked(one.part.item).raw);
}

TEST_CASE("a slice is as long as it takes where nothing is found") {
  Lines lines;
  lines.put(9, line_of(9));
  const LookedUpAnswers answers = joiner::look_up(lines, job, all_asked(12), 1);
  CHECK(answers.found.size() == 10);
  CHECK(items_of(answers.rest) == Items{10, 11});
}

TEST_CASE("a line of no answer counts as what was read") {
  Lines lines;
  for (std::uint64_t item = 0; item < 3; ++item)
    lines.put(item, line_of(item, OutcomeClass::bad_line));
  CHECK(joiner::look_up(lines, job, all_asked(3), line_of(0, OutcomeClass::bad_line).size())
            .found.size() == 1);
}

} // namespace answers_test
