// Foreign answers of a model server. Whatever comes is judged; what counts as an answer is one line
// of JSON, and the result line that is made of it proves itself.
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/reply/reply_headers.hpp"
#include "protocol/text/json_text.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill;
using openai::Api;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

// A line of the bytes; the rest of them is left behind.
std::string_view cut_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

void judge(Api api, std::uint16_t status, const openai::Headers& headers, std::string_view body) {
  openai::Reply reply = openai::read_reply(api, status, headers, body, 1'700'000'000);
  expect(reply.retry_after_ms >= -1 && reply.retry_after_ms <= 600'000);
  expect(reply.body.find('\n') == std::string::npos);
  expect(reply.body.empty() || json::check(reply.body).has_value());
  if (reply.cls == OutcomeClass::ok) {
    expect(status >= 200 && status < 300 && !reply.body.empty());
  } else {
    expect(!reply.message.empty());
  }

  protocol::Outcome outcome;
  outcome.cls = reply.cls;
  outcome.http_status = status;
  outcome.code = std::move(reply.code);
  outcome.message = std::move(reply.message);
  outcome.request_id = std::move(reply.request_id);
  outcome.body = std::move(reply.body);
  const std::string line = openai::result_line(JobId{1}, "id", outcome, {"f:1", 1, "m", "u", 1});
  expect(json::check(line).has_value());
  expect(openai::check_result_line(line).has_value());
}

} // namespace

// status (2 bytes), a line each: retry-after, x-request-id, x-should-retry; the rest is the body
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto status = static_cast<std::uint16_t>(100 + (data[0] * 256 + data[1]) % 500);
  std::string_view rest{reinterpret_cast<const char*>(data) + 2, size - 2};
  openai::Headers headers;
  for (const char* name : {"retry-after", "x-request-id", "x-should-retry"})
    headers.emplace_back(name, cut_line(rest));
  for (const Api api : {Api::chat, Api::completions, Api::responses, Api::embeddings, Api::other}) {
    judge(api, status, headers, rest);
    judge(api, 200, headers, rest);
  }
  return 0;
}
