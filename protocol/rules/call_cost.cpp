#include "protocol/rules/call_cost.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace gristmill {
namespace {

// Ends of a connection that was never made: no request has left.
constexpr std::array<std::string_view, 4> never_sent{"connect_refused", "connect_timeout",
                                                     "resolve", "tls"};

} // namespace

Usd most_cost(const TokenPrice& price, std::uint64_t input_tokens, std::uint64_t output_tokens) {
  protocol::Usage most;
  most.prompt = input_tokens;
  most.completion = output_tokens;
  return cost_of_tokens(price, most);
}

bool may_have_cost(const protocol::Outcome& outcome) {
  switch (outcome.cls) {
  case OutcomeClass::ok:
  case OutcomeClass::transient:
  case OutcomeClass::timeout:
  case OutcomeClass::unreachable:
  case OutcomeClass::bad_result:
  case OutcomeClass::malformed:
  case OutcomeClass::cancelled: break;
  default: return false;
  }
  if (outcome.http_status >= 300) return false;
  return std::find(never_sent.begin(), never_sent.end(), outcome.code) == never_sent.end();
}

CallCost cost_of_call(const protocol::Outcome& outcome, const TokenPrice& price, Usd reserved) {
  if (outcome.usage.known) return {cost_of_tokens(price, outcome.usage), true};
  if (!may_have_cost(outcome)) return {{}, true};
  return {reserved, bool{reserved}};
}

} // namespace gristmill
