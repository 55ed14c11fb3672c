#include "protocol/job/outcome_class.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill {
namespace {

using enum OutcomeClass;

// Sources: OpenAI, "Error codes" and "Batch API" guides; RFC 9110 (status codes), RFC 6585 (429),
// RFC 8470 (425), RFC 4918 (424); nginx (499), Cloudflare (520 to 530), Anthropic (529).
constexpr std::array<OutcomeClassInfo, outcome_class_count> table{{
    {ok, "ok", Fault::nobody, EndpointNews::answered, Toll::none, "answered", "RFC 9110, 2xx"},
    {transient, "transient", Fault::item, EndpointNews::failed, Toll::attempt,
     "the call failed in a way that usually passes", "RFC 9110, 408, 409, 500"},
    {timeout, "timeout", Fault::item, EndpointNews::failed, Toll::attempt_if_well,
     "no complete answer within the call's timeout", "--timeout"},
    {overload, "overload", Fault::endpoint, EndpointNews::full, Toll::suspicion,
     "the endpoint says that it is overloaded", "OpenAI 503; Anthropic 529"},
    {rate, "rate", Fault::limit, EndpointNews::answered, Toll::none,
     "the endpoint's rate limit refused the call", "RFC 6585, 429"},
    {ramp, "ramp", Fault::limit, EndpointNews::answered, Toll::none,
     "the endpoint asks for a slower rise of the rate", "OpenAI, slow_down"},
    {quota, "quota", Fault::account, EndpointNews::answered, Toll::none,
     "the account's quota or credit is used up", "OpenAI, insufficient_quota; RFC 9110, 402"},
    {too_long, "too_long", Fault::item, EndpointNews::answered, Toll::item,
     "the request is longer than the model's context", "OpenAI, context_length_exceeded"},
    {bad_line, "bad_line", Fault::item, EndpointNews::answered, Toll::item,
     "the endpoint rejects the request as wrong", "RFC 9110, 400, 422"},
    {policy, "policy", Fault::item, EndpointNews::answered, Toll::item,
     "the endpoint's content policy refuses the request", "OpenAI, content_filter"},
    {config, "config", Fault::setup, EndpointNews::refuses, Toll::item, "wrong key, model or URL",
     "RFC 9110, 401, 403, 404, 501"},
    {too_big, "too_big", Fault::item, EndpointNews::answered, Toll::item,
     "the request has more bytes than the endpoint accepts", "RFC 9110, 413"},
    {bad_result, "bad_result", Fault::item, EndpointNews::answered, Toll::attempt,
     "the answer is whole but not usable", "--labels, --json-schema"},
    {cancelled, "cancelled", Fault::nobody, EndpointNews::none, Toll::item,
     "cancelled before an answer came", "gristmill cancel"},
    {unstarted, "unstarted", Fault::nobody, EndpointNews::none, Toll::none, "never sent",
     "a permit that ended"},
    {unreachable, "unreachable", Fault::endpoint, EndpointNews::away, Toll::suspicion,
     "the endpoint cannot be reached", "connect(2), getaddrinfo(3), TLS"},
    {unavailable, "unavailable", Fault::endpoint, EndpointNews::full, Toll::suspicion,
     "the endpoint is not ready, or full", "RFC 9110, 503; RFC 4918, 424; RFC 8470, 425"},
    {gateway, "gateway", Fault::endpoint, EndpointNews::full, Toll::suspicion,
     "a gateway got no answer from its server", "RFC 9110, 502, 504; nginx 499; Cloudflare 52x"},
    {poison, "poison", Fault::item, EndpointNews::none, Toll::item,
     "the call fails alone, again and again, where all others are answered", "--retries"},
    {malformed, "malformed", Fault::item, EndpointNews::failed, Toll::one_more,
     "the answer is whole, but of another form, number or size than was asked for",
     "RFC 8259; the request's input and n"},
}};

constexpr bool rows_are_in_order() {
  for (std::size_t n = 0; n < table.size(); ++n)
    if (static_cast<std::size_t>(table[n].cls) != n) return false;
  return true;
}
static_assert(rows_are_in_order());

} // namespace

const OutcomeClassInfo& info(OutcomeClass cls) {
  return table[static_cast<std::size_t>(cls)];
}

bool was_never_sent(std::string_view code) {
  constexpr std::array<std::string_view, 4> codes{"connect_refused", "connect_timeout", "resolve",
                                                  "tls"};
  return std::find(codes.begin(), codes.end(), code) != codes.end();
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
  case ErrorCode::not_yet: return "not_yet";
  }
  return "internal";
}

} // namespace gristmill
