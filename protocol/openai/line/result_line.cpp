#include "protocol/openai/line/result_line.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/openai/line/votes.hpp"
#include "protocol/result.hpp"
#include "protocol/text/crc32c.hpp"
#include "protocol/text/json_text.hpp"

#include <charconv>
#include <fmt/format.h>
#include <iterator>

namespace gristmill::openai {
namespace {

constexpr std::string_view seal_start = ",\"crc\":\"", seal_end = "\"}}",
                           item_key = "\"item\":", part_key = "\"part\":";
constexpr std::size_t crc_digits = 8;
constexpr std::size_t seal_bytes = seal_start.size() + crc_digits + seal_end.size();

void append_field(std::string& out, std::string_view key, std::string_view text) {
  out += key;
  json::append_string(out, text);
}

std::string_view code_of(const protocol::Reply& reply) {
  return reply.code.empty() ? info(reply.cls).name : std::string_view{reply.code};
}
std::string_view message_of(const protocol::Reply& reply) {
  return reply.message.empty() ? info(reply.cls).sentence : std::string_view{reply.message};
}

// A status of success with a failure behind it is no response: nobody shall take it for an answer.
bool has_response(const protocol::Reply& reply) {
  const bool success = reply.http_status >= 200 && reply.http_status < 300;
  return reply.cls == OutcomeClass::ok || (reply.http_status != 0 && !success);
}

void append_response(std::string& out, const protocol::Reply& reply, std::size_t& body_at) {
  fmt::format_to(std::back_inserter(out),
                 ",\"response\":{{\"status_code\":{},\"request_id\":", reply.http_status);
  if (reply.stored) {
    body_at = out.size();
    (out += body_elsewhere) += '}';
    return;
  }
  json::append_string(out, reply.request_id);
  out += ",\"body\":";
  if (!reply.body.empty()) {
    out += reply.body;
  } else { // an error page: say it in OpenAI's form
    append_field(out, "{\"error\":{\"message\":", message_of(reply));
    append_field(out, ",\"type\":", info(reply.cls).name);
    append_field(out, ",\"param\":null,\"code\":", code_of(reply));
    out += "}}";
  }
  out += '}';
}

void append_error(std::string& out, const protocol::Reply& reply) {
  append_field(out, ",\"error\":{\"code\":", code_of(reply));
  append_field(out, ",\"message\":", message_of(reply));
  out += '}';
}

void append_outcome(std::string& out, const protocol::Reply& reply, const Provenance& about,
                    std::size_t& body_at) {
  constexpr std::string_view no_response = ",\"response\":null", no_error = ",\"error\":null";
  const bool has = about.models ? !about.models->response.empty() : has_response(reply);
  if (!has)
    out += no_response;
  else if (about.models)
    (out += ",\"response\":") += about.models->response;
  else
    append_response(out, reply, body_at);
  if (about.models ? reply.cls == OutcomeClass::ok : has)
    out += no_error;
  else
    append_error(out, reply);
}

// What was read from an error that stands in `response` in its server's own form: readers of the
// line need not know them all.
void append_error_read(std::string& out, const protocol::Reply& reply) {
  append_field(out, ",\"class\":", info(reply.cls).name);
  if (!has_response(reply)) return;
  if (!reply.code.empty()) append_field(out, ",\"code\":", reply.code);
  if (!reply.message.empty()) append_field(out, ",\"message\":", reply.message);
}

void append_models(std::string& out, const ModelAnswers& models) {
  (out += ",\"answers\":") += models.answers;
  if (!models.judge.empty()) (out += ",\"judge\":") += models.judge;
}

void append_chunk(std::string& out, const ChunkOfText& chunk) {
  fmt::format_to(std::back_inserter(out),
                 ",\"chunk\":{{\"number\":{},\"of\":{},\"from\":{},\"to\":{}", chunk.number,
                 chunk.of, chunk.chunk.begin, chunk.chunk.end);
  append_field(out, ",\"gap\":", text_of(chunk.chunk.gap));
  out += '}';
}

void append_provenance(std::string& out, const Provenance& about, const protocol::Reply& reply) {
  append_field(out, ",\"gristmill\":{\"source\":", about.source);
  if (!about.input.empty()) (out += ",\"input\":") += about.input;
  fmt::format_to(std::back_inserter(out), ",\"attempts\":{}", about.attempts);
  append_field(out, ",\"model\":", about.model);
  append_field(out, ",\"endpoint\":", about.endpoint);
  fmt::format_to(std::back_inserter(out), ",\"latency_ms\":{},\"cached\":{}", about.latency_ms,
                 about.cached);
  if (about.repaired) out += ",\"repaired\":true";
  if (reply.cls != OutcomeClass::ok) append_error_read(out, reply);
  out += Labelled{about.label, about.votes, about.tie}.members();
  if (about.models) append_models(out, *about.models);
  if (about.chunk) append_chunk(out, *about.chunk);
  if (about.chunks != 0) fmt::format_to(std::back_inserter(out), ",\"chunks\":{}", about.chunks);
  if (!about.parts.empty()) (out += ",\"parts\":") += about.parts;
  fmt::format_to(std::back_inserter(out), ",{}{}", item_key, about.item);
  if (about.part) fmt::format_to(std::back_inserter(out), ",{}{}", part_key, *about.part);
}

tl::unexpected<Error> no_line(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// Only the spelling that result_line writes passes, so that a flipped case bit does not.
std::optional<std::uint32_t> crc_of(std::string_view digits) {
  if (digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  std::uint32_t crc = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), crc, 16);
  return crc;
}

// Takes KEY and its number from the end of the text.
bool take_number(std::string_view& text, std::string_view key, std::uint64_t& number) {
  const std::size_t last = text.find_last_not_of("0123456789");
  if (last == std::string_view::npos || !text.substr(0, last + 1).ends_with(key)) return false;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + last + 1, end, number);
  if (error != std::errc{} || stop != end) return false;
  text = text.substr(0, last + 1 - key.size());
  return true;
}

template <class CrcOf> Result<ReadLine> check_sealed(std::string_view line, CrcOf crc_of_sealed) {
  if (line.size() < seal_bytes)
    return no_line(fmt::format("expected a result line, got {} bytes", line.size()));
  const std::string_view sealed = line.substr(0, line.size() - seal_bytes);
  std::string_view seal = line.substr(sealed.size());
  if (!seal.starts_with(seal_start) || !seal.ends_with(seal_end))
    return no_line(fmt::format("expected a result line to end with its CRC, got: {}",
                               json::printable(seal, seal_bytes)));
  const auto crc = crc_of(seal.substr(seal_start.size(), crc_digits));
  const std::uint32_t computed = crc_of_sealed(sealed);
  if (crc != computed)
    return no_line(
        fmt::format("expected the CRC {:08x}, got {}: the line is damaged", computed,
                    json::printable(seal.substr(seal_start.size(), crc_digits), crc_digits)));
  ReadLine read;
  std::string_view rest = sealed;
  std::uint64_t number = 0;
  if (take_number(rest, part_key, number)) {
    read.part = static_cast<std::uint32_t>(number);
    if (number != *read.part || !rest.ends_with(','))
      return no_line("expected a part's number of 32 bits in a line, got another");
    rest.remove_suffix(1);
  }
  if (!take_number(rest, item_key, read.item))
    return no_line("expected a result line with its item's number of 64 bits before the CRC, got "
                   "none");
  return read;
}

} // namespace

std::string result_line(JobId job, std::string_view custom_id, const protocol::Reply& reply,
                        const Provenance& about) {
  std::string out;
  const std::size_t of_models = about.models
                                    ? about.models->response.size() + about.models->answers.size() +
                                          about.models->judge.size()
                                    : 0;
  out.reserve(reply.body.size() + reply.message.size() + custom_id.size() + about.source.size() +
              about.input.size() + about.endpoint.size() + of_models + about.parts.size() + 384);
  fmt::format_to(std::back_inserter(out), "{{\"id\":\"batch_req_{}_{}\",\"custom_id\":", job.value,
                 about.item);
  json::append_string(out, custom_id);
  std::size_t body_at = 0;
  append_outcome(out, reply, about, body_at);
  append_provenance(out, about, reply);
  const BodyPlace body{reply.stored.file, reply.stored.offset, reply.stored.bytes,
                       reply.stored.crc};
  const std::uint32_t crc = reply.stored ? crc_of_whole(out, body_at, body) : crc32c(out);
  fmt::format_to(std::back_inserter(out), "{}{:08x}{}", seal_start, crc, seal_end);
  return reply.stored ? line_by_reference(out, body_at, body) : out;
}

Result<ReadLine> check_result_line(std::string_view line) {
  if (line.size() < seal_bytes || !is_by_reference(line))
    return check_sealed(line, [](std::string_view sealed) { return crc32c(sealed); });
  const auto read = read_line_by_reference(line);
  GRISTMILL_TRY(read);
  if (read->body_at + body_elsewhere.size() + seal_bytes > read->line.size())
    return no_line("expected the place of a body within its line, got one behind it");
  return check_sealed(read->line, [&](std::string_view sealed) {
    return crc_of_whole(sealed, read->body_at, read->body);
  });
}

} // namespace gristmill::openai
