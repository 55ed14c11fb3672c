// What the tests of intake and supervisor share: inputs in memory, and a supervisor with somebody
// who answers what it offers, makes its appends durable, and looks up what was answered before.
#pragma once

#include "actors/supervisor/supervisor.hpp"
#include "protocol/openai/line/known_answer.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "tests/unit/actors/intake/memory_pages.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

namespace gristmill::supervisor_test {

using namespace std::chrono_literals;

struct MemorySource : intake::ByteSource {
  std::vector<std::string> inputs, names; // without a name: in-0.jsonl and so on
  std::size_t read_max = ~std::size_t{0}; // of one read
  bool broken = false;

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override {
    if (broken) return fail(ErrorCode::io, "read in.jsonl: the disk is gone");
    const std::string& text = inputs.at(input);
    if (offset >= text.size()) return std::size_t{0};
    const auto bytes = std::min({into.size(), text.size() - offset, read_max});
    std::memcpy(into.data(), text.data() + offset, bytes);
    return bytes;
  }
  std::uint32_t input_count() const override { return static_cast<std::uint32_t>(inputs.size()); }
  Result<std::string> name_of(std::uint32_t input) override {
    return input < names.size() ? names[input] : fmt::format("in-{}.jsonl", input);
  }
  std::unique_ptr<intake::ScratchPages> scratch() override {
    return std::make_unique<MemoryPages>();
  }
};

inline JobSpec spec_of(std::size_t inputs = 1) {
  JobSpec spec;
  for (std::size_t i = 0; i < inputs; ++i)
    spec.inputs.push_back({fmt::format("/in-{}.jsonl", i), fmt::format("in-{}.jsonl", i)});
  spec.shape.models = {"m"};
  spec.shape.prompt = "Go on."; // names no field, so that any object is an item
  return spec;
}

inline std::string good_line(std::uint64_t item) {
  return fmt::format("{{\"id\":\"doc-{}\",\"text\":\"some text\"}}\n", item);
}
inline std::string good_lines(std::uint64_t items) {
  std::string text;
  for (std::uint64_t item = 0; item < items; ++item) text += good_line(item);
  return text;
}

struct Bench {
  MemorySource source;
  JobSpec spec;
  Time now = time_from_ns(0) + 1h;
  Random random{1};
  const supervisor::PartPlan* plan = nullptr; // as the job says
  std::shared_ptr<const bpe::Tokenizer> tokenizer;
  std::unique_ptr<supervisor::Supervisor> supervisor;
  std::vector<OfferedCall> offered;
  std::vector<CallId> withdrawn;
  std::vector<ItemToJoin> joins;
  std::vector<LookUp> look_ups;
  std::map<RequestKey, std::string> durable_answers; // lines, by what they answer
  std::vector<supervisor::Append> appends;
  std::size_t durable = 0; // of the appends
  bool all_terminal = false;
  std::string failure;

  explicit Bench(std::string input, JobSpec its_spec = spec_of()) : spec{std::move(its_spec)} {
    source.inputs.push_back(std::move(input));
  }

  void start(supervisor::RecoveredItems recovered = {}, std::uint32_t epoch = 3) {
    supervisor = std::make_unique<supervisor::Supervisor>(
        supervisor::SupervisedJob{JobId{7}, Epoch{epoch}, spec, {}, tokenizer}, source,
        std::move(recovered), plan);
    hear(supervisor->started(now));
  }
  // A new job to which everybody has room.
  void start_fresh(std::uint32_t calls = 1'000) {
    start();
    hear(supervisor->grace_over(now));
    want(calls);
  }
  void hear(supervisor::Effects effects) {
    std::move(effects.offers.begin(), effects.offers.end(), std::back_inserter(offered));
    withdrawn.insert(withdrawn.end(), effects.withdrawn.begin(), effects.withdrawn.end());
    joins.insert(joins.end(), effects.joins.begin(), effects.joins.end());
    std::move(effects.look_ups.begin(), effects.look_ups.end(), std::back_inserter(look_ups));
    if (!effects.append.empty()) appends.push_back(std::move(effects.append));
    CHECK_FALSE((all_terminal && effects.all_terminal)); // said once
    all_terminal |= effects.all_terminal;
    if (effects.stop) failure = effects.stop->sentence;
  }
  void want(std::uint32_t calls, std::uint64_t bytes = 1u << 30, std::uint32_t stream = 0) {
    hear(supervisor->wanted(stream, calls, bytes, now));
  }
  std::vector<OfferedCall> take_offers() { return std::exchange(offered, {}); }
  OfferedCall take_offer() {
    auto offers = take_offers();
    REQUIRE(offers.size() == 1);
    return offers.front();
  }
  std::vector<CallId> take_withdrawn() { return std::exchange(withdrawn, {}); }
  void write() {
    while (durable < appends.size()) {
      const auto& append = appends[durable++];
      const supervisor::DurableLines lines = append.durable;
      for (const auto& line : append.lines) keep_answer(line.key, line.line);
      for (const auto& line : append.parts) keep_answer(line.key, line.line);
      if (!lines.empty()) hear(supervisor->durable(lines, now));
    }
  }

  std::vector<LookUp> take_look_ups() { return std::exchange(look_ups, {}); }
  static const RequestKey& key_of(const LookUp& asked) { return asked.request.key; }
  // What JOINER finds for these.
  LookedUpAnswers found_for(std::vector<LookUp> asked) const {
    LookedUpAnswers answers;
    for (LookUp& one : asked) {
      auto line = durable_answers.find(key_of(one));
      if (line == durable_answers.end())
        line = durable_answers.find(openai::fallback_key(key_of(one)));
      LookedUp looked{std::move(one), std::nullopt};
      if (line != durable_answers.end()) looked.answer = openai::answer_in(line->second).value();
      answers.found.push_back(std::move(looked));
    }
    return answers;
  }
  void look_up() {
    REQUIRE_FALSE(look_ups.empty());
    hear(supervisor->looked_up(found_for(take_look_ups()), now));
  }

  ReportedOutcome outcome(const OfferedCall& call, OutcomeClass cls = OutcomeClass::ok,
                          std::int64_t retry_after_ms = -1) {
    ReportedOutcome reported;
    reported.session = SessionId{5};
    reported.endpoint = "http://a";
    reported.model = call.planned.model;
    reported.outcome.call = call.planned.call;
    reported.outcome.attempt = AttemptId::of(Epoch{3}, 1, ++attempts_);
    reported.outcome.parts = call.planned.part_ids();
    reported.outcome.cls = cls;
    reported.outcome.retry_after_ms = retry_after_ms;
    if (cls == OutcomeClass::ok) {
      reported.outcome.http_status = 200;
      reported.outcome.body = R"({"choices":[]})";
    }
    return reported;
  }
  void report(ReportedOutcome reported) {
    hear(supervisor->outcomes({std::move(reported)}, now, random));
  }
  void report(const OfferedCall& call, OutcomeClass cls, std::int64_t retry_after_ms = -1) {
    report(outcome(call, cls, retry_after_ms));
  }
  void tick_at(Time at) {
    now = at;
    hear(supervisor->tick(now));
  }

  std::vector<journal::ResultLine> lines() const {
    std::vector<journal::ResultLine> all;
    for (const auto& append : appends)
      all.insert(all.end(), append.lines.begin(), append.lines.end());
    return all;
  }
  // The one line of an item, as JSON.
  nlohmann::json line_of(std::uint64_t item) const {
    nlohmann::json found;
    for (const auto& line : lines()) {
      if (line.item != item) continue;
      CHECK(found.is_null());
      found = nlohmann::json::parse(line.line);
    }
    return found;
  }
  const supervisor::Append& last() const { return appends.back(); }

private:
  void keep_answer(const RequestKey& key, const std::string& line) {
    if (key) durable_answers.try_emplace(key, line);
  }

  std::uint64_t attempts_ = 0;
};

inline LostCall lost(const OfferedCall& call, bool permitted, bool died = false,
                     bool alone = false) {
  return {call.planned.call, permitted, died, alone};
}
inline std::vector<protocol::PlannedPart> planned(const std::vector<PartId>& parts) {
  std::vector<protocol::PlannedPart> planned;
  for (const PartId& part : parts) planned.push_back({part, ItemKind::batch_line, {}});
  return planned;
}
inline protocol::Claim claim(std::uint64_t item, std::uint64_t call) {
  return {CallId{call},
          AttemptId::of(Epoch{2}, 1, item + 1),
          {PartId{JobId{7}, item, 0}},
          EndpointId{1}};
}

} // namespace gristmill::supervisor_test
