// What an event writes: lines, notes and acknowledgements, and the counts that follow from them.
#include "actors/supervisor/recorder.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace recorder_test {

using namespace gristmill;
using namespace gristmill::supervisor;

namespace {

constexpr JobId job{7};
const InputPosition low{0, 10, 1, 1};
const RequestKey key{{'k'}};

PartId part(std::uint64_t item, std::uint32_t number = 0) {
  return {job, item, number};
}
Ending ending(std::uint64_t item, std::uint32_t number = 0, bool of_several = false) {
  return {part(item, number), {"doc", "in.jsonl:1"}, R"({"a":1})", 2, of_several};
}
protocol::Reply reply(OutcomeClass cls) {
  protocol::Reply reply;
  reply.cls = cls;
  reply.model = "m";
  reply.latency_us = 5'000;
  if (cls == OutcomeClass::ok) reply.http_status = 200;
  if (cls == OutcomeClass::ok) reply.body = R"({"choices":[]})";
  if (cls != OutcomeClass::ok) reply.code = "no_such";
  if (cls != OutcomeClass::ok) reply.message = "it is gone";
  return reply;
}
ReportedOutcome outcome(std::uint64_t attempt) {
  ReportedOutcome reported;
  reported.session = SessionId{5};
  reported.cost = nano_usd(40);
  reported.outcome.parts = {part(0), part(1)};
  if (attempt != 0) reported.outcome.attempt = AttemptId::of(Epoch{3}, 1, attempt);
  reported.outcome.usage.prompt = 3;
  reported.outcome.usage.completion = 2;
  return reported;
}

struct Book {
  JobSpec spec;
  Recorder recorder{job, spec, {}, {}};
  Append take() { return recorder.take(low); }
};

} // namespace

TEST_CASE("an item that ends is one line, and counts when that is durable") {
  const OutcomeClass cls = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line);
  const bool failed = cls != OutcomeClass::ok;
  CAPTURE(failed);
  Book book;
  CHECK_FALSE(book.recorder.has_news());
  book.recorder.item_ended(ending(1), reply(cls), "http://a");
  CHECK(book.recorder.has_news());
  CHECK(book.recorder.undurable_lines() == 1);
  const Append append = book.take();
  REQUIRE(append.lines.size() == 1);
  CHECK(append.parts.empty());
  CHECK(append.lines[0].item == 1);
  CHECK(append.lines[0].cls == cls);
  const auto line = nlohmann::json::parse(append.lines[0].line);
  CHECK(line["custom_id"] == "doc");
  const auto& about = line["gristmill"];
  CHECK(about["source"] == "in.jsonl:1");
  CHECK(about["input"]["a"] == 1);
  CHECK(about["attempts"] == 2);
  CHECK(about["model"] == "m");
  CHECK(about["endpoint"] == "http://a");
  CHECK(about["latency_ms"] == 5);
  CHECK_FALSE(about.contains("part"));
  CHECK(book.recorder.counts().terminal() == 0);
  book.recorder.durable(append.durable);
  CHECK(book.recorder.counts().completed == (failed ? 0 : 1));
  CHECK(book.recorder.counts().failed == (failed ? 1 : 0));
  CHECK(book.recorder.undurable_lines() == 0);
  CHECK(book.recorder.errors().empty() == !failed);
}

TEST_CASE("of an item of several parts each is a line, and the item counts with its joined one") {
  Book book;
  book.recorder.part_ended(ending(1, 2, true), reply(OutcomeClass::bad_line), "http://a", 0);
  book.recorder.level_ended({1, 0});
  Append append = book.take();
  CHECK(append.lines.empty());
  REQUIRE(append.parts.size() == 1);
  CHECK(append.parts[0].part == part(1, 2));
  CHECK(nlohmann::json::parse(append.parts[0].line)["gristmill"]["part"] == 2);
  REQUIRE(append.durable.levels.size() == 1);
  CHECK(append.durable.levels[0].item == 1);
  CHECK(book.recorder.errors().empty()); // its item may yet be answered
  book.recorder.durable(append.durable);
  CHECK(book.recorder.undurable_lines() == 0);
  CHECK(book.recorder.counts().parts == 1);
  CHECK(book.recorder.counts().terminal() == 0);
  book.recorder.joined({1, OutcomeClass::bad_line, "parts_failed", "{}"}, {"a", "in.jsonl:2"});
  append = book.take();
  REQUIRE(append.lines.size() == 1);
  CHECK(append.lines[0].line == "{}");
  CHECK(book.recorder.errors().most_frequent()->final == 1);
  CHECK(book.recorder.errors().most_frequent()->count == 1); // the journal refuses fewer
  book.recorder.durable(append.durable);
  CHECK(book.recorder.counts().failed == 1);
}

TEST_CASE("an answer stands beside what was asked, if that is known and the answer is its own") {
  const auto cls = GENERATE(OutcomeClass::ok, OutcomeClass::bad_line);
  const bool is_part = GENERATE(false, true), has_key = GENERATE(false, true),
             cached = GENERATE(false, true);
  CAPTURE(info(cls).name, is_part, has_key, cached);
  Book book;
  Ending ended = ending(1, is_part ? 2 : 0, is_part);
  if (has_key) ended.request = {key, false};
  ended.cached = cached;
  if (is_part)
    book.recorder.part_ended(ended, reply(cls), "http://a", 0);
  else
    book.recorder.item_ended(ended, reply(cls), "http://a");
  const Append append = book.take();
  const bool is_kept = has_key && !cached && cls == OutcomeClass::ok;
  CHECK((is_part ? append.parts.at(0).key : append.lines.at(0).key) ==
        (is_kept ? key : RequestKey{}));
  CHECK(append.durable.answered.size() == (is_kept ? 1 : 0)); // others may wait for it
  const auto& text = is_part ? append.parts[0].line : append.lines[0].line;
  CHECK(nlohmann::json::parse(text)["gristmill"]["cached"] == cached);
}

TEST_CASE("what takes another's answer counts as such, and its bytes until they are durable") {
  Book book;
  Ending ended = ending(1);
  ended.cached = true;
  book.recorder.item_ended(ended, reply(OutcomeClass::ok), "http://a");
  ended.part = part(2, 1);
  ended.of_several = true;
  book.recorder.part_ended(ended, reply(OutcomeClass::ok), "http://a", 0);
  book.recorder.item_ended(ending(3), reply(OutcomeClass::ok), "http://a");
  const Append append = book.take();
  const std::uint64_t bytes = append.lines[0].line.size() + append.parts[0].line.size();
  CHECK(append.note.cached == 2);
  CHECK(append.note.calls == 0);
  CHECK(append.durable.cached_bytes == bytes);
  CHECK(book.recorder.undurable_cached_bytes() == bytes);
  CHECK(book.recorder.counts().cached == 2);
  book.recorder.durable(append.durable);
  CHECK(book.recorder.undurable_cached_bytes() == 0);
}

TEST_CASE("every outcome is acknowledged and paid, and counts for the parts that it decides") {
  Book book;
  const ReportedOutcome call = outcome(1);
  book.recorder.came(call, 1);
  book.recorder.decides(call.outcome, 1);
  const Append append = book.take();
  REQUIRE(append.acks.size() == 1);
  CHECK(append.acks[0].session == SessionId{5});
  CHECK(append.acks[0].attempt == call.outcome.attempt);
  CHECK(append.note.job == job);
  CHECK(append.note.low.item == low.item);
  const JobCounts& counts = book.recorder.counts();
  CHECK(counts.attempts == 1);
  CHECK(counts.late == 1);
  CHECK(counts.prompt_tokens == 3);
  CHECK(counts.completion_tokens == 2);
  CHECK(counts.cost == nano_usd(40));
}

TEST_CASE("without an attempt there is nothing to acknowledge or to count as one") {
  Book book;
  const ReportedOutcome call = outcome(0);
  book.recorder.came(call, 0);
  book.recorder.decides(call.outcome, 2);
  CHECK_FALSE(book.recorder.has_news());
  const Append append = book.take();
  CHECK(append.note.attempts == 0);
  CHECK(append.note.low.item == 0); // nothing goes to the journal
  CHECK(append.note.cost == nano_usd(40));
}

TEST_CASE("an event's append has nothing of the event before") {
  Book book;
  book.recorder.ambiguous(2);
  book.recorder.note({part(3), 1, 0, 0, false});
  const Append append = book.take();
  CHECK(append.note.ambiguous == 2);
  CHECK(append.attempts.size() == 1);
  CHECK(book.take().empty());
  CHECK(book.recorder.counts().ambiguous == 2);
}

TEST_CASE("counts and errors go on from those of an earlier life") {
  JobCounts counts;
  counts.total = 10;
  counts.completed = 4;
  CountedError before;
  before.cls = OutcomeClass::bad_line;
  before.code = "no_such";
  before.count = 2;
  const JobSpec spec;
  Recorder recorder{job, spec, counts, {before}};
  recorder.has_read({0, 90, 9, 9}); // read again
  CHECK(recorder.counts().total == 10);
  recorder.has_read({0, 110, 11, 11});
  CHECK(recorder.counts().total == 11);
  CHECK_FALSE(recorder.counts().total_known);
  recorder.has_read_all();
  CHECK(recorder.counts().total_known);
  recorder.charged(nano_usd(3));
  CHECK(recorder.counts().cost == nano_usd(3));
  CHECK(recorder.counts().completed == 4);
  recorder.met(reply(OutcomeClass::bad_line), {"doc", "in.jsonl:1"});
  REQUIRE(recorder.errors().last());
  CHECK(recorder.errors().last()->count == 3);
  CHECK(recorder.errors().last()->item == "doc");
  CHECK(recorder.errors().last()->source == "in.jsonl:1");
}

TEST_CASE(
    "what was left out is counted as far as it was read, and told of at the end of the input") {
  const JobSpec spec;
  Recorder recorder{job, spec, {}, {}};
  recorder.has_read({0, 90, 9, 2, {5, 1, 1, 2, 1}});
  CHECK(recorder.counts().preprocessed == Preprocessed{5, 1, 1, 2, 1});
  recorder.has_read({0, 80, 8, 2, {4, 1, 1, 2, 1}}); // read again
  CHECK(recorder.counts().preprocessed.where == 5);
  CHECK_FALSE(recorder.has_news());
  recorder.has_read_all();
  REQUIRE(recorder.has_news());
  const InputPosition end{0, 100, 10, 2, {6, 1, 1, 2, 1}};
  CHECK(recorder.take(end).note.low == end);
  CHECK_FALSE(recorder.has_news());
  SECTION("of a job that leaves nothing out there is nothing to tell") {
    Recorder plain{job, spec, {}, {}};
    plain.has_read({0, 90, 9, 9});
    plain.has_read_all();
    CHECK_FALSE(plain.has_news());
  }
}

TEST_CASE("people are told of an error with its item and what came") {
  CHECK(described({"doc", "in.jsonl:1"}, reply(OutcomeClass::bad_line)) ==
        "doc (in.jsonl:1): no_such: it is gone");
}

} // namespace recorder_test
