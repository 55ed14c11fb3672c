#include "actors/coordinator/sessions/proof.hpp"

#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <chrono>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

constexpr std::int64_t amount_most = 1'000'000'000'000; // of a server's limit, in its units
constexpr std::int64_t reset_most_ms = 24 * 3'600'000;
constexpr std::uint64_t latency_most_us = 24 * 3'600'000'000ull; // of a call of an earlier life
constexpr std::uint64_t queue_most = 1'000'000;
constexpr std::uint64_t stored_most = std::uint64_t{1} << 62; // of a file, so that ends do not wrap

bool is_plain(char c) {
  return c >= ' ' && c <= '~';
}

// Nearly all texts are so already.
void one_line(std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max || !std::all_of(text.begin(), text.end(), is_plain))
    text = json::printable(text, bytes_max);
}

} // namespace

Capacity within_limits(Capacity capacity) {
  capacity.calls = std::min(capacity.calls, limits::worker_calls_max);
  capacity.bytes = std::min<std::uint64_t>(capacity.bytes, limits::held_bytes_max);
  return capacity;
}

bool is_outcome_of(const Outcome& outcome, const Assigned& assigned) {
  return bool{outcome.attempt} && outcome.attempt == assigned.attempt &&
         outcome.endpoint == assigned.endpoint && outcome.parts == assigned.parts;
}

bool bring_within_reason(Outcome& outcome, const Assigned& assigned, Time now) {
  const auto told_most = to_ms(defaults::retry_after_max);
  outcome.retry_after_ms = std::clamp<std::int64_t>(outcome.retry_after_ms, -1, told_most);
  // It cannot have taken longer than its permit is old.
  const std::uint64_t age_us =
      assigned.since == Time{} || assigned.earlier
          ? latency_most_us
          : static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::microseconds>(now - assigned.since)
                    .count());
  outcome.latency_us = std::min(outcome.latency_us, age_us);

  std::vector<LimitHint> hints; // one of each name, the last that was told
  for (LimitHint hint : outcome.limits) {
    hint.limit = std::clamp<std::int64_t>(hint.limit, -1, amount_most);
    hint.remaining = std::clamp<std::int64_t>(hint.remaining, -1, amount_most);
    hint.reset_ms = std::clamp<std::int64_t>(hint.reset_ms, -1, reset_most_ms);
    std::erase_if(hints, [&](const LimitHint& other) { return other.name == hint.name; });
    hints.push_back(hint);
  }
  outcome.limits = std::move(hints);

  const bool may_be_stored =
      outcome.cls == OutcomeClass::ok && outcome.parts.size() == 1 && outcome.body.empty() &&
      outcome.stored.bytes <= openai::stored_bytes_max && outcome.stored.offset < stored_most;
  if (!may_be_stored) outcome.stored = {};

  one_line(outcome.request_id, limits::name_bytes_max);
  one_line(outcome.model, limits::name_bytes_max);
  one_line(outcome.code, limits::name_bytes_max);
  one_line(outcome.message, limits::text_bytes_max);

  // A server may well count more than a bound that rests on a default; beyond all answers that
  // there are nobody is believed.
  Usage& usage = outcome.usage;
  const std::uint64_t most = assigned.token_bound + limits::tokens_beyond_bound_max;
  const bool above = usage.known && assigned.token_bound != 0 &&
                     (usage.prompt > assigned.token_bound ||
                      usage.completion > assigned.token_bound - usage.prompt);
  usage.prompt = std::min(usage.prompt, most);
  usage.completion = std::min(usage.completion, most - usage.prompt);
  usage.cached = std::min(usage.cached, usage.prompt);
  usage.reasoning = std::min(usage.reasoning, usage.completion);
  return above;
}

void bring_within_reason(Hello& hello) {
  one_line(hello.name, limits::name_bytes_max);
  hello.capacity = within_limits(hello.capacity);
  for (AnnouncedEndpoint& announced : hello.endpoints) {
    one_line(announced.model, limits::name_bytes_max);
    one_line(announced.endpoint.url, limits::name_bytes_max);
  }
}

void bring_within_reason(QueueReport& report) {
  report.waiting = std::min(report.waiting, queue_most);
  report.running = std::clamp<std::int64_t>(report.running, -1, std::int64_t{queue_most});
}

bool is_struck_out(std::vector<Time>& strikes, Time now) {
  std::erase_if(strikes, [now](Time at) { return now - at >= defaults::strike_window; });
  strikes.push_back(now);
  return strikes.size() >= static_cast<std::size_t>(defaults::strikes_max);
}

} // namespace gristmill::coordinator
