// What the tests of --dedupe share: items that ask the same or not, and a supervisor of them.
#pragma once

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::supervisor_test {

using Items = std::vector<std::uint64_t>;

inline JobSpec deduping() {
  JobSpec spec = spec_of();
  spec.shape.prompt = "{{text}}";
  spec.policy.dedupe = true;
  spec.policy.max_failure_percent = 0;
  return spec;
}
inline JobSpec of_batch_lines() {
  JobSpec spec = deduping();
  spec.shape.prompt.clear();
  spec.shape.models.clear();
  return spec;
}

inline std::string item_line(std::uint64_t item, std::string_view text) {
  return fmt::format("{{\"id\":\"doc-{}\",\"text\":\"{}\"}}\n", item, text);
}
inline std::string batch_line(std::uint64_t item, std::string_view body,
                              std::string_view path = "/v1/chat/completions") {
  return fmt::format(
      "{{\"custom_id\":\"doc-{}\",\"method\":\"POST\",\"url\":\"{}\",\"body\":{}}}\n", item, path,
      body);
}
// One item for each letter: those with the same letter ask the same.
inline std::string asking(std::string_view letters) {
  std::string text;
  for (std::uint64_t item = 0; item < letters.size(); ++item)
    text += item_line(item, letters.substr(item, 1));
  return text;
}
// So many items that ask different things.
inline std::string all_different(std::uint64_t items) {
  std::string text;
  for (std::uint64_t item = 0; item < items; ++item)
    text += item_line(item, fmt::format("text {}", item));
  return text;
}

inline std::uint64_t item_of(const OfferedCall& call) {
  return call.planned.parts.at(0).id.item;
}

struct DedupeBench : Bench {
  explicit DedupeBench(std::string input, JobSpec its_spec = deduping())
      : Bench{std::move(input), std::move(its_spec)} {}

  // A new job that finds nothing of what it looks up first.
  void begin(std::uint32_t calls = 1'000) {
    start_fresh(calls);
    look_up();
  }
  ReportedOutcome with_words(const OfferedCall& call, std::string_view words) {
    ReportedOutcome reported = outcome(call);
    reported.outcome.model = "m";
    reported.outcome.request_id = "req_1";
    reported.outcome.latency_us = 9'000;
    reported.outcome.usage.known = true;
    reported.outcome.usage.prompt = 10;
    reported.outcome.usage.completion = 4;
    reported.outcome.body =
        fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}}}}]}})", words);
    return reported;
  }
  void answer(const OfferedCall& call, std::string_view words = "yes") {
    report(with_words(call, words));
  }
  // How the call of an item ended that an earlier life has made.
  void report_claimed(std::uint64_t item, std::uint64_t call, OutcomeClass cls = OutcomeClass::ok,
                      std::int64_t retry_after_ms = -1) {
    OfferedCall known;
    known.planned.call = CallId{call};
    known.planned.parts = planned({{JobId{7}, item, 0}});
    report(known, cls, retry_after_ms);
  }
  // … with the words of an endpoint that says what is wrong with the request.
  void refuse(const OfferedCall& call, OutcomeClass cls = OutcomeClass::bad_line) {
    auto reported = outcome(call, cls);
    reported.outcome.http_status = 400;
    reported.outcome.code = "wrong";
    reported.outcome.message = "it is wrong";
    report(std::move(reported));
  }
  Items looked_up() const {
    Items items;
    for (const LookUp& asked : look_ups) items.push_back(asked.part.item);
    return items;
  }
  Items called() const {
    Items items;
    for (const OfferedCall& call : offered) items.push_back(item_of(call));
    return items;
  }
  WaitReason waits(std::uint64_t item) { return supervisor->standing({"", item}, now).reason; }
  bool follows(std::uint64_t item) { return waits(item).kind == WaitKind::same_request; }
  std::size_t keys() const {
    std::size_t keys = 0;
    for (const auto& append : appends) {
      for (const auto& line : append.lines) keys += static_cast<bool>(line.key);
      for (const auto& line : append.parts) keys += static_cast<bool>(line.key);
    }
    return keys;
  }
  // All that was written becomes durable, and all that is looked up is found in it.
  void settle() {
    while (durable < appends.size() || !look_ups.empty()) {
      write();
      if (!look_ups.empty()) look_up();
    }
  }
};

// Items below the mark, and nobody has claimed anything.
inline supervisor::RecoveredItems marked(std::uint64_t items) {
  supervisor::RecoveredItems recovered;
  recovered.mark = items;
  recovered.may_have_called = true;
  return recovered;
}

} // namespace gristmill::supervisor_test
