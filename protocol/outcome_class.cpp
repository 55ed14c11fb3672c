#include "protocol/outcome_class.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill {
namespace {

using enum OutcomeClass;

constexpr std::array<OutcomeClassInfo, outcome_class_count> table{{
    {ok, "ok", "answered", false, false},
    {transient, "transient", "the endpoint failed in a way that usually passes", true, true},
    {timeout, "timeout", "no complete answer within the call's timeout", true, true},
    {overload, "overload", "the endpoint says that it is overloaded", true, true},
    {rate, "rate", "the endpoint's rate limit refused the call", true, false},
    {ramp, "ramp", "the endpoint asks for a slower rise of the rate", true, false},
    {quota, "quota", "the account's quota or credit is used up", true, false},
    {too_long, "too_long", "the request is longer than the model's context", false, true},
    {bad_line, "bad_line", "the endpoint rejects the request as wrong", false, true},
    {policy, "policy", "the endpoint's content policy refuses the request", false, true},
    {config, "config", "wrong key, model or URL", false, true},
    {too_big, "too_big", "the request has more bytes than the endpoint accepts", false, true},
    {bad_result, "bad_result", "the answer is whole but not usable", true, true},
    {cancelled, "cancelled", "cancelled before an answer came", false, false},
    {unstarted, "unstarted", "never sent", true, false},
}};

} // namespace

const OutcomeClassInfo& info(OutcomeClass cls) {
  return table[static_cast<std::size_t>(cls)];
}

std::optional<OutcomeClass> outcome_class_named(std::string_view name) {
  for (const auto& row : table)
    if (row.name == name) return row.cls;
  return std::nullopt;
}

Result<std::vector<OutcomeClass>> outcome_classes_named(std::string_view names) {
  std::vector<OutcomeClass> classes;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    const auto cls = outcome_class_named(name);
    if (!cls || *cls == ok || *cls == unstarted) {
      std::string known;
      for (const auto& row : table)
        if (row.cls != ok && row.cls != unstarted)
          known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
      return fail(ErrorCode::usage,
                  fmt::format("expected a class of errors ({}), got \"{}\"", known, name));
    }
    classes.push_back(*cls);
  }
  return classes;
}

std::string_view name_of(ErrorCode code) {
  switch (code) {
  case ErrorCode::internal: return "internal";
  case ErrorCode::usage: return "usage";
  case ErrorCode::bad_input: return "bad_input";
  case ErrorCode::not_found: return "not_found";
  case ErrorCode::conflict: return "conflict";
  case ErrorCode::io: return "io";
  case ErrorCode::disk_full: return "disk_full";
  case ErrorCode::bad_frame: return "bad_frame";
  case ErrorCode::unavailable: return "unavailable";
  case ErrorCode::refused: return "refused";
  case ErrorCode::used_up: return "used_up";
  }
  return "internal";
}

} // namespace gristmill
