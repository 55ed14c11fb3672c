// Result lines as Gristmill writes them, and what a field gives of one.
#pragma once

#include "cli/export/field.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace export_test {

using namespace gristmill;
using namespace gristmill::cli::flat;

inline openai::Provenance about() {
  return {"in.jsonl:7", 2, "m", "http://h:1/v1", 1234, false, 6};
}

inline std::string answered(const std::string& body,
                            const openai::Provenance& provenance = about()) {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.request_id = "req_1";
  reply.body = body;
  return openai::result_line(JobId{3}, "a", reply, provenance);
}

// A chat's; `content` is JSON.
inline std::string chat(const std::string& content,
                        const openai::Provenance& provenance = about()) {
  return answered(
      R"({"choices":[{"message":{"role":"assistant","content":)" + content +
          R"(},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}})",
      provenance);
}

inline std::string failed(std::uint16_t http_status, const std::string& body = "") {
  protocol::Reply reply;
  reply.cls = OutcomeClass::bad_line;
  reply.http_status = http_status;
  reply.code = "too_odd";
  reply.message = "It is odd.";
  reply.body = body;
  return openai::result_line(JobId{3}, "a", reply, about());
}

// The JSON that stands in the field; empty = nothing does.
inline std::string field_of(const std::string& line, const std::string& name) {
  const auto field = Field::named(name);
  INFO(name);
  REQUIRE(field);
  OpenedLine opened{line};
  return std::string{field->in(opened).text};
}

} // namespace export_test
