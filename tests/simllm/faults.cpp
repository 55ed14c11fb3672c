#include "faults.hpp"

#include <array>
#include <charconv>
#include <stdexcept>

namespace gristmill::simllm {
namespace {

constexpr std::array<std::string_view, fault_kinds> kind_names = {
    "status",        "reset",          "hang",      "truncated", "malformed",
    "empty",         "die_after_read", "html",      "overload",  "quota",
    "context",       "content_filter", "redirect",  "huge",      "babble",
    "missing_index", "doubled_index",  "backwards", "unfit",     "prose"};

[[noreturn]] void refuse(const std::string& sentence, std::string_view fault) {
  throw std::invalid_argument("fault '" + std::string(fault) + "': " + sentence);
}

FaultKind parse_kind(std::string_view name, std::string_view fault) {
  for (std::size_t i = 0; i < kind_names.size(); ++i) {
    if (kind_names[i] == name) return static_cast<FaultKind>(i);
  }
  std::string known;
  for (const auto kind : kind_names) known.append(known.empty() ? "" : ", ").append(kind);
  refuse("the kind is not one of " + known, fault);
}

template <typename Number>
Number parse_number(std::string_view key, std::string_view value, std::string_view fault) {
  Number number{};
  const auto end = std::from_chars(value.data(), value.data() + value.size(), number);
  if (end.ec != std::errc{} || end.ptr != value.data() + value.size() || !(number >= 0)) {
    refuse(std::string(key) + " needs a number of at least 0, got '" + std::string(value) + "'",
           fault);
  }
  return number;
}

void set(Fault& into, std::string_view key, std::string_view value, std::string_view fault) {
  const auto count = [&] { return parse_number<std::uint64_t>(key, value, fault); };
  const auto real = [&] { return parse_number<double>(key, value, fault); };
  if (key == "rate")
    into.rate = real();
  else if (key == "match")
    into.match = value;
  else if (key == "model")
    into.model = value;
  else if (key == "times")
    into.times = count();
  else if (key == "from")
    into.from = count();
  else if (key == "to")
    into.to = count();
  else if (key == "first")
    into.first = count();
  else if (key == "code")
    into.code = parse_number<int>(key, value, fault);
  else if (key == "body-code")
    into.body_code = value;
  else if (key == "body-type")
    into.body_type = value;
  else if (key == "retry_after")
    into.retry_after_s = real();
  else if (key == "location")
    into.location = value;
  else if (key == "bytes")
    into.bytes = count();
  else
    refuse("unknown key '" + std::string(key) + "'", fault);
}

void check(const Fault& fault, std::string_view text) {
  if (fault.rate > 1) refuse("rate is a probability and ends at 1", text);
  if (fault.code < 200 || fault.code > 599) refuse("code is not between 200 and 599", text);
  if (fault.kind == FaultKind::redirect && fault.location.empty()) {
    refuse("a redirect needs location=URL", text);
  }
  if (fault.location.find_first_of("\r\n") != std::string::npos) {
    refuse("location must be one line", text);
  }
}

} // namespace

std::string_view name_of(FaultKind kind) {
  return kind_names[static_cast<std::size_t>(kind)];
}

Fault Fault::parse(std::string_view text) {
  Fault fault;
  const auto colon = text.find(':');
  fault.kind = parse_kind(text.substr(0, colon), text);
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find(','));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) {
      refuse("expected key=value, got '" + std::string(pair) + "'", text);
    }
    set(fault, pair.substr(0, equals), pair.substr(equals + 1), text);
    rest.remove_prefix(pair.size() < rest.size() ? pair.size() + 1 : pair.size());
  }
  check(fault, text);
  return fault;
}

int Fault::status() const {
  switch (kind) {
  case FaultKind::status: return code;
  case FaultKind::reset:
  case FaultKind::hang:
  case FaultKind::die_after_read: return 0;
  case FaultKind::truncated:
  case FaultKind::malformed:
  case FaultKind::empty:
  case FaultKind::babble:
  case FaultKind::missing_index:
  case FaultKind::doubled_index:
  case FaultKind::backwards:
  case FaultKind::unfit:
  case FaultKind::prose:
  case FaultKind::huge: return 200;
  case FaultKind::html: return 502;
  case FaultKind::overload: return 503;
  case FaultKind::quota: return 429;
  case FaultKind::context:
  case FaultKind::content_filter: return 400;
  case FaultKind::redirect: return 302;
  }
  return 0;
}

bool Fault::after_service() const {
  return kind == FaultKind::truncated || kind == FaultKind::malformed || kind == FaultKind::empty ||
         kind == FaultKind::huge || kind == FaultKind::babble || spoils_list() || spoils_chat();
}

bool Fault::spoils_list() const {
  return kind == FaultKind::missing_index || kind == FaultKind::doubled_index ||
         kind == FaultKind::backwards;
}

bool Fault::spoils_chat() const {
  return kind == FaultKind::unfit || kind == FaultKind::prose;
}

FaultScript::FaultScript(const std::vector<std::string>& faults) {
  for (const auto& text : faults) {
    entries_.push_back({std::make_shared<const Fault>(Fault::parse(text)), 0});
  }
}

std::shared_ptr<const Fault> FaultScript::pick(std::uint64_t seed, const FaultSubject& call,
                                               Sighting seen, std::uint64_t arrival) {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    auto& [fault, hits] = entries_[index];
    if (arrival < fault->from || arrival > fault->to || seen.nth > fault->times) continue;
    if (hits >= fault->first) continue;
    if (fault->rate < 1 && draw(seed, index, seen) >= fault->rate) continue;
    if (!fault->match.empty() && call.text.find(fault->match) == std::string_view::npos) continue;
    if (!fault->model.empty() && fault->model != call.model) continue;
    if (fault->spoils_list() && call.list_inputs < 2) continue;
    if (fault->spoils_chat() && !call.chat) continue;
    ++hits;
    return fault;
  }
  return nullptr;
}

} // namespace gristmill::simllm
