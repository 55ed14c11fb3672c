#include "protocol/openai/reply/reply.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/errors/table.hpp"
#include "protocol/openai/reply/answer.hpp"
#include "protocol/openai/reply/limit_headers.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "protocol/openai/reply/usage.hpp"
#include "protocol/text/json_mend.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;
using json::Kind;
using json::Value;

constexpr std::size_t message_bytes_max = 2 * limits::kib;
static_assert(message_bytes_max <= limits::text_bytes_max);

// The members of an answer that are read whatever it answers.
struct Answer {
  Value model, usage;
};

Answer answer_of(Value body) {
  Answer answer;
  json::Members members{body};
  while (const auto member = members.next()) {
    if (member->named("model")) answer.model = member->value;
    if (member->named("usage")) answer.usage = member->value;
  }
  return answer;
}

// Fills what an error says of itself, within what a frame takes. `otherwise`: what came, for an
// error without words.
void tell(Reply& reply, const ErrorBody& error, std::uint16_t status, std::string_view otherwise) {
  reply.code = json::printable(error.name(), limits::name_bytes_max);
  if (reply.code.empty()) reply.code = fmt::format("http_{}", status);
  reply.message = json::printable(described(error), message_bytes_max);
  if (reply.message.empty()) reply.message = sample_of(otherwise);
  if (reply.message.empty()) reply.message = fmt::format("HTTP {} without a body", status);
  reply.tokens_refused = (reply.cls == rate || reply.cls == ramp) && names_tokens(error);
  reply.retry_after_ms = std::min(error.retry_after_ms, retry_after_ms_max);
}

void tell(Reply& reply, AnswerFault fault) {
  reply.cls = fault.cls;
  reply.code = json::printable(fault.code, limits::name_bytes_max);
  reply.message = json::printable(fault.message, message_bytes_max);
  reply.retry_after_ms = std::min(fault.retry_after_ms, retry_after_ms_max);
}

// The first error among the events of a stream, which nobody asked for.
std::optional<ErrorBody> error_in_events(std::string_view text) {
  constexpr std::string_view data = "data:";
  std::string room;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(data)) continue;
    const json::Mended event =
        json::mended(line.substr(data.size()), limits::reply_bytes_max, room);
    if (event.fault) continue;
    const Value body = json::root(event.text);
    const std::string type = json::text_of(json::find(body, "type"));
    const bool is_one = type == "error" || type.ends_with(".failed");
    if (auto error = read_error(body, is_one ? BesideAnswer::no : BesideAnswer::yes)) return error;
  }
  return std::nullopt;
}

bool is_event_stream(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  constexpr std::array<std::string_view, 5> begins{"data:", "event:", "id:", "retry:", ":"};
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  return std::any_of(begins.begin(), begins.end(),
                     [text](std::string_view field) { return text.starts_with(field); });
}

bool is_gzip(std::string_view text) {
  return text.starts_with("\x1f\x8b");
}

// A body that is no JSON under a status of success: cut, a page, a stream, or JSON of its own kind.
void judge_unreadable(Reply& reply, const Asked& asked, std::uint16_t status, std::string_view text,
                      const json::Fault& fault, std::string_view encoding) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const char begins = first == text.npos ? '\0' : text[first];
  const bool is_stream = is_event_stream(text.substr(std::min(first, text.size())));
  ErrorBody error;
  if (auto event = is_stream ? error_in_events(text) : std::nullopt) error = std::move(*event);
  const bool is_json = begins == '{' || begins == '[';
  if (!is_json && !is_stream) error.message = words_of_page(text, sample_bytes);
  if (const Verdict verdict = classify(asked.api, 0, error); !verdict.by_status) {
    reply.cls = verdict.cls;
    return tell(reply, error, status, text);
  }
  if (!error.message.empty() && is_stream) {
    reply.cls = classify(asked.api, 0, error).cls;
    return tell(reply, error, status, text);
  }
  // What was cut may come whole the next time. A page comes from somebody else than the model's
  // server: the URL is another's, or it is so for a while.
  reply.cls = is_stream || is_gzip(text) || (is_json && !fault.at_end) ? malformed
              : is_json || begins == '\0'                              ? transient
                                                                       : config;
  reply.code = "bad_json";
  const std::string of_encoding =
      is_gzip(text)      ? " (it is gzip, and its headers do not say so)"
      : encoding.empty() ? ""
                         : fmt::format(" (Content-Encoding: {})", json::printable(encoding, 40));
  reply.message = text.empty() ? "expected an answer in JSON, got an empty body"
                               : fmt::format("expected an answer in JSON{}: {}; it begins: {}",
                                             of_encoding, fault.sentence, sample_of(text));
}

// A status of success: the whole body must be the answer to what was asked.
void judge_answer(Reply& reply, const Asked& asked, std::uint16_t status, std::string_view text,
                  std::string_view encoding) {
  reply.cls = transient;
  std::string room;
  const json::Mended read = json::mended(text, limits::reply_bytes_max, room);
  if (read.fault) return judge_unreadable(reply, asked, status, text, *read.fault, encoding);
  const Value body = json::root(read.text);
  const Answer answer = answer_of(body);
  reply.usage = usage_of(answer.usage);
  reply.model = json::printable(json::text_of(answer.model), limits::name_bytes_max);
  auto fault = form_fault(asked, body);
  const auto beside = fault ? BesideAnswer::no : BesideAnswer::yes;
  if (const auto error = read_error(body, beside)) {
    reply.cls = classify(asked.api, 0, *error).cls;
    return tell(reply, *error, status, text);
  }
  if (!fault) fault = content_fault(asked, body);
  if (fault) {
    // What it said goes back to the model with why it does not do.
    reply.may_be_repaired = fault->may_be_repaired;
    const bool is_short = read.text.size() <= 4 * limits::repair_bytes_max;
    if (reply.may_be_repaired && is_short) reply.body = json::minified(read.text);
    return tell(reply, std::move(*fault));
  }
  reply.cls = ok;
  reply.body = json::minified(read.text);
}

void judge_error(Reply& reply, Api api, std::uint16_t status, std::string_view text,
                 std::optional<bool> should_retry) {
  ErrorBody error;
  std::string room;
  const json::Mended read = json::mended(text, limits::reply_bytes_max, room);
  if (!read.fault) {
    const Value body = json::root(read.text);
    if (auto said = read_error(body, BesideAnswer::no)) error = std::move(*said);
    reply.usage = usage_of(json::find(body, "usage"));
    reply.body = json::minified(read.text);
  } else {
    error.message = words_of_page(text, sample_bytes);
  }
  const Verdict verdict = classify(api, status, error);
  reply.cls = verdict.cls;
  // What is wrong with the endpoint, the key or the URL is not asked of it.
  const bool of_item = info(verdict.cls).fault == Fault::item;
  if (verdict.by_status && of_item && should_retry &&
      *should_retry != info(verdict.cls).retryable())
    reply.cls = *should_retry ? transient : bad_line;
  tell(reply, error, status, text);
}

} // namespace

void judge_body(Reply& reply) {
  const bool is_ok = reply.cls == ok;
  if (!is_ok && reply.body.empty()) return;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  const bool success = reply.http_status >= 200 && reply.http_status < 300;
  const auto checked = json::check(reply.body);
  if (checked && (success || !is_ok)) {
    // What is left of them in a checked document is space.
    if (std::any_of(reply.body.begin(), reply.body.end(), is_control))
      reply.body = json::minified(reply.body);
    return;
  }
  if (is_ok) {
    reply.cls = transient;
    reply.code = "bad_json";
    reply.message = checked
                        ? fmt::format("expected an answer with a status of success, got HTTP {}",
                                      reply.http_status)
                        : fmt::format("expected an answer in JSON: {}", checked.error().message);
  }
  reply.body.clear();
}

Reply read_reply(const Asked& asked, std::uint16_t http_status, const Headers& headers,
                 std::string_view body, std::int64_t unix_now) {
  Reply reply;
  reply.http_status = http_status;
  const std::int64_t server_now = server_time(headers, unix_now);
  ReplyHeaders read = read_headers(headers, server_now);
  reply.request_id = std::move(read.request_id);
  reply.limits = read_limits(headers, server_now);
  if (http_status >= 200 && http_status < 300) {
    judge_answer(reply, asked, http_status, body, read.encoding);
  } else {
    judge_error(reply, asked.api, http_status, body, read.should_retry);
  }
  if (reply.cls != ok && read.retry_after_ms >= 0) reply.retry_after_ms = read.retry_after_ms;
  return reply;
}

} // namespace gristmill::openai
