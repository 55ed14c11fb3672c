#include "counters.hpp"

#include "text.hpp"

#include <algorithm>
#include <functional>

namespace gristmill::simllm {
namespace {

void append_count(std::string& out, std::string_view name, std::uint64_t value) {
  if (out.back() != '{') out += ',';
  out.append("\"").append(name).append("\":");
  append_number(out, value);
}

} // namespace

void Counters::arrived(std::string_view attempt) {
  ++calls_;
  peak_in_flight_ = std::max(peak_in_flight_, ++in_flight_);
  if (attempt.empty()) return;
  if (attempts_.bump(std::hash<std::string_view>{}(attempt)) == 2) ++duplicate_attempts_;
}

void Counters::answered(const CallSummary& call) {
  --in_flight_;
  ++by_status_[call.status];
  if (!call.healthy) return;
  ++completed_;
  prompt_tokens_ += call.prompt_tokens;
  completion_tokens_ += call.completion_tokens;
}

void Counters::abandoned() {
  --in_flight_;
  ++abandoned_;
}

void Counters::connected() {
  peak_connections_ = std::max(peak_connections_, ++connections_);
}

void Counters::reset() {
  Counters fresh;
  fresh.calls_ = fresh.in_flight_ = fresh.peak_in_flight_ = in_flight_;
  fresh.connections_ = fresh.peak_connections_ = connections_;
  *this = std::move(fresh);
}

std::string Counters::to_json() const {
  std::string out = "{";
  append_count(out, "calls", calls_);
  append_count(out, "completed", completed_);
  out += ",\"by_status\":{";
  for (const auto& [status, count] : by_status_) {
    append_count(out, std::to_string(status), count);
  }
  out += "},\"faults\":{";
  for (std::size_t kind = 0; kind < faults_.size(); ++kind) {
    if (faults_[kind] != 0) append_count(out, name_of(static_cast<FaultKind>(kind)), faults_[kind]);
  }
  out += '}';
  append_count(out, "rate_limited", rate_limited_);
  append_count(out, "abandoned", abandoned_);
  append_count(out, "in_flight", in_flight_);
  append_count(out, "peak_in_flight", peak_in_flight_);
  append_count(out, "connections", connections_);
  append_count(out, "peak_connections", peak_connections_);
  append_count(out, "prompt_tokens", prompt_tokens_);
  append_count(out, "completion_tokens", completion_tokens_);
  append_count(out, "duplicate_attempts", duplicate_attempts_);
  out += '}';
  return out;
}

} // namespace gristmill::simllm
