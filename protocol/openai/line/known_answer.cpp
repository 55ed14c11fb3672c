#include "protocol/openai/line/known_answer.hpp"

#include "protocol/text/json_text.hpp"

namespace gristmill::openai {

Result<KnownAnswer> answer_in(std::string_view line) {
  const json::Value root = json::root(line), response = json::find(root, "response"),
                    about = json::find(root, "gristmill");
  const json::Value body = json::find(response, "body");
  const auto status = json::integer_of(json::find(response, "status_code"));
  const bool failed = !json::find(about, "class").is(json::Kind::none);
  if (!body.is(json::Kind::object) || !status || *status < 200 || *status > 299 || failed)
    return fail(ErrorCode::bad_input,
                "expected the line of an item that was answered, got another");
  return KnownAnswer{static_cast<std::uint32_t>(*status),
                     json::text_of(json::find(response, "request_id")),
                     json::text_of(json::find(about, "model")),
                     json::text_of(json::find(about, "endpoint")), std::string{body.text}};
}

} // namespace gristmill::openai
