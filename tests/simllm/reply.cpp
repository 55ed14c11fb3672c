#include "reply.hpp"

#include "text.hpp"

#include <algorithm>

namespace gristmill::simllm {
namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::string_view html_body =
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

std::string_view reason_of(int status) {
  switch (status) {
  case 200: return "OK";
  case 302: return "Found";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 413: return "Content Too Large";
  case 422: return "Unprocessable Content";
  case 429: return "Too Many Requests";
  case 500: return "Internal Server Error";
  case 502: return "Bad Gateway";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  default: return "Other";
  }
}

struct ErrorText {
  std::string_view message;
  std::string_view type;
  std::string_view code; // empty: null
};

ErrorText error_of_status(int status) {
  switch (status) {
  case 400: return {"The request is malformed.", "invalid_request_error", ""};
  case 401: return {"Incorrect API key provided.", "invalid_request_error", "invalid_api_key"};
  case 403: return {"You may not use this resource.", "invalid_request_error", ""};
  case 404: return {"There is nothing here.", "invalid_request_error", "model_not_found"};
  case 429: return {"Rate limit reached.", "requests", "rate_limit_exceeded"};
  case 529: return {"The server is overloaded.", "overloaded_error", "overloaded"};
  default: break;
  }
  if (status >= 500) return {"The server had an error.", "server_error", ""};
  return {"The request was refused.", "invalid_request_error", ""};
}

ErrorText error_of_fault(const Fault& fault) {
  switch (fault.kind) {
  case FaultKind::overload:
    return {"The server is overloaded.", "service_unavailable_error", "server_is_overloaded"};
  case FaultKind::quota:
    return {"You exceeded your current quota.", "insufficient_quota", "insufficient_quota"};
  case FaultKind::context:
    return {"This model's maximum context length was exceeded.", "invalid_request_error",
            "context_length_exceeded"};
  case FaultKind::content_filter:
    return {"The prompt was refused by the content filter.", "invalid_request_error",
            "content_filter"};
  default: break;
  }
  ErrorText error = error_of_status(fault.code);
  if (!fault.body_code.empty()) error.code = fault.body_code;
  if (!fault.body_type.empty()) error.type = fault.body_type;
  return error;
}

std::string error_json(const ErrorText& error) {
  std::string out = "{\"error\":{\"message\":";
  append_json(out, error.message);
  out += ",\"type\":";
  append_json_latin1(out, error.type);
  out += ",\"param\":null,\"code\":";
  if (error.code.empty())
    out += "null";
  else
    append_json_latin1(out, error.code);
  out += "}}";
  return out;
}

Reply reply_with(int status, std::string_view type, std::string_view headers, std::string_view body,
                 std::uint64_t content_length, bool keep_alive) {
  Reply reply;
  reply.status = status;
  reply.ending = keep_alive ? Reply::Ending::keep : Reply::Ending::close;
  std::string& out = reply.bytes;
  out.reserve(128 + headers.size() + body.size());
  out += "HTTP/1.1 ";
  append_number(out, status);
  out.append(" ").append(reason_of(status)).append("\r\nContent-Type: ").append(type);
  out += "\r\nContent-Length: ";
  append_number(out, content_length);
  out += "\r\n";
  if (!keep_alive) out += "Connection: close\r\n";
  out.append(headers).append("\r\n").append(body);
  return reply;
}

Reply error_reply(int status, const ErrorText& error, std::string_view headers, bool keep_alive) {
  const std::string body = error_json(error);
  return reply_with(status, json_type, headers, body, body.size(), keep_alive);
}

// As Text Embeddings Inference words it.
Reply too_many_inputs(const Call& call, std::uint64_t most, std::string_view headers,
                      bool keep_alive) {
  std::string body = R"({"error":"batch size )";
  append_number(body, call.items.size());
  body += " > maximum allowed batch size ";
  append_number(body, most);
  body += R"(","error_type":"Validation"})";
  return reply_with(422, json_type, headers, body, body.size(), keep_alive);
}

ListFlaw flaw_of(const Fault* fault) {
  if (!fault) return ListFlaw::none;
  switch (fault->kind) {
  case FaultKind::empty: return ListFlaw::empty;
  case FaultKind::missing_index: return ListFlaw::missing_index;
  case FaultKind::doubled_index: return ListFlaw::doubled_index;
  case FaultKind::backwards: return ListFlaw::backwards;
  default: return ListFlaw::none;
  }
}

Says says_with(const Fault& fault, Says healthy) {
  switch (fault.kind) {
  case FaultKind::unfit: return Says::unfit;
  case FaultKind::prose: return Says::prose;
  case FaultKind::babble: return healthy == Says::label ? Says::checksum : healthy;
  default: return healthy;
  }
}

// The faults in which the model has answered and something spoils its answer on the way.
Reply spoilt_answer(const Fault& fault, std::string_view headers, std::string_view body,
                    bool keep_alive) {
  const std::string_view half = body.substr(0, body.size() / 2);
  if (fault.kind == FaultKind::truncated) {
    return reply_with(200, json_type, headers, half, body.size(), false);
  }
  if (fault.kind == FaultKind::malformed) {
    return reply_with(200, json_type, headers, half, half.size(), keep_alive);
  }
  const std::uint64_t length = std::max<std::uint64_t>(fault.bytes, body.size());
  Reply reply = reply_with(200, json_type, headers, body, length, keep_alive);
  reply.pad_bytes = length - body.size();
  // White space after the opening brace: valid JSON that says nothing until it has all arrived.
  reply.pad_at = reply.bytes.size() - body.size() + 1;
  return reply;
}

Reply fault_reply(const Fault& fault, std::string headers, bool retry_at, bool keep_alive) {
  Reply reply;
  switch (fault.kind) {
  case FaultKind::reset:
  case FaultKind::hang:
  case FaultKind::die_after_read:
    reply.status = 0;
    reply.ending = fault.kind == FaultKind::reset  ? Reply::Ending::reset
                   : fault.kind == FaultKind::hang ? Reply::Ending::hang
                                                   : Reply::Ending::close;
    return reply;
  case FaultKind::html:
    return reply_with(502, "text/html", headers, html_body, html_body.size(), keep_alive);
  case FaultKind::redirect:
    headers.append("Location: ").append(fault.location).append("\r\n");
    return reply_with(302, json_type, headers, "", 0, keep_alive);
  default: break;
  }
  if (fault.kind == FaultKind::status && fault.retry_after_s >= 0)
    append_retry_after(headers, fault.retry_after_s, retry_at);
  return error_reply(fault.status(), error_of_fault(fault), headers, keep_alive);
}

std::string call_headers(const Verdict& verdict) {
  std::string headers = "x-request-id: req-sim-";
  append_number(headers, verdict.arrival);
  headers += "\r\n";
  verdict.limits.append_headers(headers);
  return headers;
}

} // namespace

Reply plain_reply(int status, std::string_view json, bool keep_alive) {
  return reply_with(status, json_type, "", json, json.size(), keep_alive);
}

Reply text_reply(int status, std::string_view text, bool keep_alive) {
  return reply_with(status, "text/plain; charset=utf-8", "", text, text.size(), keep_alive);
}

Reply error_reply(int status, std::string_view message, bool keep_alive) {
  return error_reply(status, {message, "invalid_request_error", ""}, "", keep_alive);
}

Reply refused_key_reply(bool keep_alive) {
  return error_reply(401, error_of_status(401), "", keep_alive);
}

Reply call_reply(const Call& call, const Verdict& verdict, const AnswerShape& shape,
                 bool keep_alive) {
  const std::string headers = call_headers(verdict);
  const Fault* fault = verdict.fault.get();
  if (fault && !fault->after_service())
    return fault_reply(*fault, headers, verdict.limits.wording.retry_at, keep_alive);
  if (verdict.status == 429) {
    const auto type = verdict.limits.refused_for_tokens ? "tokens" : "requests";
    return error_reply(429, {"Rate limit reached.", type, "rate_limit_exceeded"}, headers,
                       keep_alive);
  }
  if (verdict.status == 401) return error_reply(401, error_of_status(401), headers, keep_alive);
  if (verdict.status == 400) {
    return error_reply(400, {call.problem, "invalid_request_error", ""}, headers, keep_alive);
  }
  if (verdict.inputs_max != 0) {
    return too_many_inputs(call, verdict.inputs_max, headers, keep_alive);
  }
  std::string body;
  body.reserve(512);
  const AnswerStamp stamp{verdict.arrival, verdict.created_s, verdict.cached_tokens};
  AnswerShape said = shape;
  if (fault) said.says = says_with(*fault, shape.says);
  const ListFlaw flaw = flaw_of(fault);
  append_answer(body, call, said, stamp, flaw);
  if (fault && flaw == ListFlaw::none && fault->kind != FaultKind::babble &&
      !fault->spoils_chat()) {
    return spoilt_answer(*fault, headers, body, keep_alive);
  }
  return reply_with(200, json_type, headers, body, body.size(), keep_alive);
}

} // namespace gristmill::simllm
