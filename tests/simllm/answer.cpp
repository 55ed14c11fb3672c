#include "answer.hpp"

#include "text.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gristmill::simllm {
namespace {

constexpr std::string_view unfit_answer = "{\"checksum\":7}";
constexpr std::string_view prose_answer = "I would rather say it in words.";

struct Tokens {
  std::uint64_t each = 0; // of one choice
  bool cut = false;
};

Tokens tokens_of_choice(const Call& call, const AnswerShape& shape) {
  const bool cut = call.max_tokens && *call.max_tokens < shape.answer_tokens;
  return {cut ? *call.max_tokens : shape.answer_tokens, cut};
}

void append_answer_text(std::string& out, std::uint32_t crc, std::uint64_t tokens) {
  out += "\"sim ";
  append_hex8(out, crc);
  for (std::uint64_t word = 2; word < tokens; ++word) out += " grain";
  out += '"';
}

float embedding_value(std::uint32_t crc, std::uint64_t k, double& exact) {
  exact = (std::rotl(crc, static_cast<int>(k % 32)) & 0xffff) / 65535.0;
  return static_cast<float>(exact);
}

void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= have ? letters[(group >> (18 - 6 * k)) & 63] : '=';
    }
  }
}

void append_embedding(std::string& out, std::uint32_t crc, std::uint64_t dimensions, bool base64) {
  double exact = 0;
  if (base64) {
    std::string bytes(dimensions * sizeof(float), '\0');
    for (std::uint64_t k = 0; k < dimensions; ++k) {
      const float value = embedding_value(crc, k, exact);
      std::memcpy(bytes.data() + k * sizeof value, &value, sizeof value);
    }
    out += '"';
    append_base64(out, bytes);
    out += '"';
    return;
  }
  out += '[';
  for (std::uint64_t k = 0; k < dimensions; ++k) {
    if (k != 0) out += ',';
    embedding_value(crc, k, exact);
    append_number(out, exact);
  }
  out += ']';
}

void append_head(std::string& out, std::string_view prefix, std::string_view object,
                 std::string_view created_key, const Call& call, const AnswerStamp& stamp) {
  out.append("{\"id\":\"").append(prefix).append("-sim-");
  append_number(out, stamp.arrival);
  out.append("\",\"object\":\"").append(object).append("\",\"").append(created_key).append("\":");
  append_number(out, stamp.created_s);
  out += ",\"model\":";
  append_json(out, call.model);
}

void append_usage(std::string& out, std::uint64_t prompt, std::uint64_t completion,
                  std::uint64_t cached = 0) {
  out += ",\"usage\":{\"prompt_tokens\":";
  append_number(out, prompt);
  out += ",\"completion_tokens\":";
  append_number(out, completion);
  out += ",\"total_tokens\":";
  append_number(out, prompt + completion);
  if (cached != 0) {
    out += R"(,"prompt_tokens_details":{"cached_tokens":)";
    append_number(out, cached);
    out += '}';
  }
  out += "}}";
}

std::string json_answer(const Call& call) {
  std::string answer = "{\"checksum\":\"";
  append_hex8(answer, call.crc);
  answer += "\",\"length\":";
  append_number(answer, call.text.size());
  return answer + "}";
}

// An object that fits a simple schema.
std::string answer_with(const Call& call) {
  std::string answer;
  for (const auto& [name, type] : call.properties) {
    answer += answer.empty() ? '{' : ',';
    append_json(answer, name);
    answer += ':';
    if (type == "number" || type == "integer") {
      append_number(answer, call.crc % 1'000);
    } else if (type == "boolean") {
      answer += "true";
    } else if (type == "array" || type == "object") {
      answer += type == "array" ? "[]" : "{}";
    } else {
      answer += '"';
      append_hex8(answer, call.crc);
      answer += '"';
    }
  }
  return answer + '}';
}

void append_said(std::string& out, const Call& call, Tokens tokens, const AnswerShape& shape) {
  switch (shape.says) {
  case Says::echo: append_json(out, call.text); return;
  case Says::json: append_json(out, json_answer(call)); return;
  case Says::unfit: append_json(out, unfit_answer); return;
  case Says::prose: append_json(out, prose_answer); return;
  case Says::label:
    if (call.labels.empty()) break;
    append_json(out, call.labels[call.crc % call.labels.size()]);
    return;
  case Says::checksum: break;
  }
  if (call.wants_json && !call.properties.empty()) {
    append_json(out, answer_with(call));
  } else if (call.wants_json) {
    std::string answer = "{\"answer\":";
    append_answer_text(answer, call.crc, tokens.each);
    append_json(out, answer + "}");
  } else {
    append_answer_text(out, call.crc, tokens.each);
  }
}

void append_chat(std::string& out, const Call& call, Tokens tokens, const AnswerShape& shape,
                 bool empty) {
  out += ",\"choices\":[";
  if (!empty) {
    out += R"({"index":0,"message":{"role":"assistant","content":)";
    append_said(out, call, tokens, shape);
    out += R"(,"refusal":null},"logprobs":null,"finish_reason":)";
    out += tokens.cut ? R"("length"})" : R"("stop"})";
  }
  out += ']';
}

void append_completions(std::string& out, const Call& call, Tokens tokens, bool empty) {
  out += ",\"choices\":[";
  for (std::size_t i = 0; i < call.items.size() && !empty; ++i) {
    out += i == 0 ? "{\"index\":" : ",{\"index\":";
    append_number(out, i);
    out += ",\"text\":";
    append_answer_text(out, call.items[i], tokens.each);
    out += R"(,"logprobs":null,"finish_reason":)";
    out += tokens.cut ? R"("length"})" : R"("stop"})";
  }
  out += ']';
}

void append_response(std::string& out, const Call& call, Tokens tokens, const AnswerStamp& stamp,
                     bool empty) {
  out += R"(,"status":)";
  out += tokens.cut ? R"("incomplete","incomplete_details":{"reason":"max_output_tokens"})"
                    : R"("completed","incomplete_details":null)";
  out += R"(,"error":null,"output":[)";
  if (!empty) {
    out += R"({"type":"message","id":"msg-sim-)";
    append_number(out, stamp.arrival);
    out += R"(","status":"completed","role":"assistant","content":[{"type":"output_text","text":)";
    append_answer_text(out, call.crc, tokens.each);
    out += R"(,"annotations":[]}]})";
  }
  out += R"(],"usage":{"input_tokens":)";
  append_number(out, call.prompt_tokens);
  out += R"(,"input_tokens_details":{"cached_tokens":0},"output_tokens":)";
  append_number(out, tokens.each);
  out += R"(,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":)";
  append_number(out, call.prompt_tokens + tokens.each);
  out += "}}";
}

void append_embeddings(std::string& out, const Call& call, const AnswerShape& shape,
                       ListFlaw flaw) {
  const std::size_t count = flaw == ListFlaw::empty ? 0 : call.items.size();
  const std::size_t middle = call.items.size() / 2;
  out += R"({"object":"list","data":[)";
  bool first = true;
  for (std::size_t place = 0; place < count; ++place) {
    const std::size_t input = flaw == ListFlaw::backwards ? count - 1 - place : place;
    if (flaw == ListFlaw::missing_index && input == middle) continue;
    out += first ? "{" : ",{";
    first = false;
    out += R"("object":"embedding","index":)";
    append_number(out, flaw == ListFlaw::doubled_index && input == middle ? input - 1 : input);
    out += ",\"embedding\":";
    append_embedding(out, call.items[input], call.dimensions.value_or(shape.dimensions),
                     call.base64);
    out += '}';
  }
  out += "],\"model\":";
  append_json(out, call.model);
  out += ",\"usage\":{\"prompt_tokens\":";
  append_number(out, call.prompt_tokens);
  out += ",\"total_tokens\":";
  append_number(out, call.prompt_tokens);
  out += "}}";
}

} // namespace

std::uint64_t completion_tokens(const Call& call, const AnswerShape& shape) {
  if (call.route == Route::embeddings) return 0;
  const std::uint64_t choices = call.route == Route::completions ? call.items.size() : 1;
  return tokens_of_choice(call, shape).each * choices;
}

void append_answer(std::string& out, const Call& call, const AnswerShape& shape,
                   const AnswerStamp& stamp, ListFlaw flaw) {
  const Tokens tokens = tokens_of_choice(call, shape);
  const bool empty = flaw == ListFlaw::empty;
  switch (call.route) {
  case Route::chat:
    append_head(out, "chatcmpl", "chat.completion", "created", call, stamp);
    append_chat(out, call, tokens, shape, empty);
    append_usage(out, call.prompt_tokens, completion_tokens(call, shape), stamp.cached_tokens);
    break;
  case Route::completions:
    append_head(out, "cmpl", "text_completion", "created", call, stamp);
    append_completions(out, call, tokens, empty);
    append_usage(out, call.prompt_tokens, completion_tokens(call, shape));
    break;
  case Route::responses:
    append_head(out, "resp", "response", "created_at", call, stamp);
    append_response(out, call, tokens, stamp, empty);
    break;
  case Route::embeddings: append_embeddings(out, call, shape, flaw); break;
  }
}

void append_models(std::string& out, const std::vector<std::string>& models) {
  out += R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < models.size(); ++i) {
    out += i == 0 ? "{\"id\":" : ",{\"id\":";
    append_json(out, models[i]);
    out += R"(,"object":"model","created":0,"owned_by":"gristmill"})";
  }
  out += "]}";
}

} // namespace gristmill::simllm
