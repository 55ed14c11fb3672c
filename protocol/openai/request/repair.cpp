#include "protocol/openai/request/repair.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

namespace gristmill::openai {
namespace {

void append_message(std::string& out, std::string_view role, std::string_view content) {
  out += R"({"role":)";
  json::append_string(out, role);
  out += R"(,"content":)";
  json::append_string(out, content);
  out += '}';
}

} // namespace

Result<> ask_for_repair(Request& request, const protocol::Repair& repair) {
  const json::Value messages = json::find(json::root(request.body), "messages");
  if (!messages.is(json::Kind::array))
    return fail(ErrorCode::bad_input, "expected a chat with messages, to ask for a repair");
  const auto end = static_cast<std::size_t>(messages.text.data() - request.body.data()) +
                   messages.text.size() - 1;
  std::string more;
  const auto add = [&](std::string_view role, std::string_view content) {
    if (!more.empty() || json::Elements{messages}.next()) more += ',';
    append_message(more, role, content);
  };
  if (!repair.answer.empty()) add("assistant", repair.answer);
  add("user", "That does not fit the JSON schema: " + repair.fault +
                  ". Answer again, with nothing but JSON that fits it.");
  request.body.insert(end, more);
  return {};
}

protocol::Repair repair_of(const protocol::Reply& reply) {
  protocol::Repair repair{without_thoughts(answer_text(reply.body)), reply.message};
  if (repair.answer.size() > limits::repair_bytes_max) repair.answer.clear();
  return repair;
}

} // namespace gristmill::openai
