// What the tests of merging share: result lines as the supervisor makes them, segments in memory,
// and a merge that runs to its end. Invariant: a merge that does not end fails the test.
#pragma once

#include "actors/merger/merger.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gristmill::merger_test {

using namespace gristmill::merger;

inline protocol::Outcome answer(std::string_view text, std::string_view finish_reason = "stop") {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body =
      fmt::format(R"({{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},)"
                  R"("finish_reason":"{}"}}],"usage":{{"prompt_tokens":10,"completion_tokens":4,)"
                  R"("prompt_tokens_details":{{"cached_tokens":3}}}}}})",
                  text, finish_reason);
  return outcome;
}

inline protocol::Outcome http_error(std::uint16_t status, std::string body) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::bad_line;
  outcome.http_status = status;
  outcome.body = std::move(body);
  return outcome;
}

inline protocol::Outcome own_error(std::string code, std::string message) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::timeout;
  outcome.code = std::move(code);
  outcome.message = std::move(message);
  return outcome;
}

inline std::string line_of(std::uint64_t item, const protocol::Outcome& outcome,
                           openai::Provenance about = {}) {
  about.item = item;
  if (about.source.empty()) about.source = fmt::format("in.jsonl:{}", item + 1);
  if (about.attempts == 0 && !about.cached) about.attempts = 1;
  return openai::result_line(JobId{7}, fmt::format("doc-{}", item), outcome, about) + "\n";
}

inline std::string line_of(std::uint64_t item) {
  return line_of(item, answer(fmt::format("answer {}", item)));
}

inline MergeTask task_of(std::uint64_t total, ResultOrder order = ResultOrder::input) {
  MergeTask task;
  task.job = JobId{7};
  task.spec.shape.order = order;
  task.counts.total = task.counts.completed = task.counts.attempts = total;
  task.created_at = 1'000;
  task.now = 1'010;
  return task;
}

// Segments, index and result in memory. `durable` may be less than a segment's text.
struct MemoryFiles : MergeFiles {
  std::vector<std::string> segments;
  std::vector<std::uint64_t> durable; // empty = all of them whole
  std::map<std::uint64_t, LinePlace> places;
  std::string part, output, ids, summary;
  bool finished = false;
  std::size_t longest_read = 0, bytes_read = 0;
  std::uint64_t calls_left = ~std::uint64_t{0}; // those after it fail

  explicit MemoryFiles(std::vector<std::string> texts = {}) : segments{std::move(texts)} {}

  Result<> call() {
    if (calls_left-- == 0) return fail(ErrorCode::disk_full, "write OUT.part: no space");
    return {};
  }
  std::size_t segment_count() const override { return segments.size(); }
  std::uint64_t segment_bytes(std::size_t segment) const override {
    return durable.empty() ? segments.at(segment).size() : durable.at(segment);
  }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override {
    REQUIRE(offset + into.size() <= segment_bytes(segment));
    longest_read = std::max(longest_read, into.size());
    bytes_read += into.size();
    std::memcpy(into.data(), segments.at(segment).data() + offset, into.size());
    return call();
  }
  Result<> put_place(std::uint64_t item, LinePlace place) override {
    places[item] = place;
    return call();
  }
  Result<LinePlace> place_of(std::uint64_t item) override {
    GRISTMILL_TRY(call());
    const auto found = places.find(item);
    return found == places.end() ? LinePlace{} : found->second;
  }
  Result<> write(std::string_view bytes) override {
    part += bytes;
    return call();
  }
  Result<> write_ids(std::string_view bytes) override {
    ids += bytes;
    return call();
  }
  Result<FinalFile> finish() override {
    GRISTMILL_TRY(call());
    finished = true;
    output = part;
    return FinalFile{"OUT", "5ha", output.size(), 0, ""};
  }
  Result<> write_summary(std::string_view json) override {
    summary = json;
    return call();
  }
};

inline MergeStep run(MergeFiles& files, const MergeTask& task, std::size_t slice_bytes = 2u << 20) {
  Merger merger{task, files, slice_bytes};
  for (int i = 0; i < 1'000'000; ++i)
    if (MergeStep step = merger.step(); step.done || !step.failure.empty()) return step;
  FAIL("the merge does not end");
  return {};
}

inline nlohmann::json summary_of(MemoryFiles& files, const MergeTask& task) {
  const MergeStep step = run(files, task);
  REQUIRE(step.failure == "");
  REQUIRE(step.summary == files.summary);
  return nlohmann::json::parse(step.summary);
}

} // namespace gristmill::merger_test
