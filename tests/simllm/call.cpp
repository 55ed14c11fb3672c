#include "call.hpp"

#include "crc32.hpp"
#include "text.hpp"

#include <algorithm>
#include <array>

namespace gristmill::simllm {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::uint64_t most_dimensions = 65536;
constexpr std::string_view complaint = "does not fit the JSON schema";
constexpr std::string_view not_a_text =
    "prompt or input holds something other than a string or a list of token ids";

std::optional<std::uint64_t> read_count(const element& body, std::string_view key) {
  std::uint64_t value = 0;
  if (body[key].get(value) != simdjson::SUCCESS) return std::nullopt;
  return value;
}

} // namespace

std::optional<Route> route_of(std::string_view path) {
  if (path.ends_with("/chat/completions")) return Route::chat;
  if (path.ends_with("/completions")) return Route::completions;
  if (path.ends_with("/embeddings")) return Route::embeddings;
  if (path.ends_with("/responses")) return Route::responses;
  return std::nullopt;
}

const Call& CallReader::read(Route route, std::string_view padded) {
  auto items = std::move(call_.items); // its memory serves again
  auto labels = std::move(call_.labels);
  items.clear();
  labels.clear();
  call_ = {};
  call_.route = route;
  call_.items = std::move(items);
  call_.labels = std::move(labels);
  bytes_ = 0;
  messages_ = 0;
  element body;
  object fields;
  if (parser_.parse(padded.data(), padded.size(), false).get(body) != simdjson::SUCCESS) {
    call_.problem = "the request body is not valid JSON";
  } else if (body.get(fields) != simdjson::SUCCESS) {
    call_.problem = "the request body is not a JSON object";
  } else {
    read_body(body);
  }
  call_.crc = crc32(call_.text);
  call_.prompt_tokens = (bytes_ + 3) / 4 + 4 * messages_;
  return call_;
}

void CallReader::read_body(const element& body) {
  read_limits(body);
  std::string_view instructions;
  element asked;
  const bool found = [&] {
    switch (call_.route) {
    case Route::chat: return body["messages"].get(asked) == simdjson::SUCCESS;
    case Route::completions: return body["prompt"].get(asked) == simdjson::SUCCESS;
    default: return body["input"].get(asked) == simdjson::SUCCESS;
    }
  }();
  if (!found) {
    call_.problem = "the request lacks what to answer: messages, prompt or input";
  } else if (call_.route == Route::chat) {
    read_messages(asked);
  } else if (call_.route == Route::responses) {
    if (body["instructions"].get(instructions) == simdjson::SUCCESS) count_text(instructions);
    if (asked.is_array())
      read_messages(asked);
    else
      read_texts(asked);
  } else {
    read_texts(asked);
  }
}

void CallReader::read_limits(const element& body) {
  bool stream = false;
  std::string_view encoding;
  if (body["model"].get(call_.model) != simdjson::SUCCESS) {
    call_.problem = "you must provide a model parameter";
  }
  if (body["stream"].get(stream) == simdjson::SUCCESS && stream) {
    call_.problem = "this simulated server does not stream";
  }
  if (body["encoding_format"].get(encoding) == simdjson::SUCCESS) {
    call_.base64 = encoding == "base64";
  }
  std::string_view format;
  if (body["response_format"]["type"].get(format) == simdjson::SUCCESS) {
    call_.wants_json = format == "json_schema" || format == "json_object";
  }
  object properties;
  if (body["response_format"]["json_schema"]["schema"]["properties"].get(properties) ==
      simdjson::SUCCESS) {
    for (const auto& [name, schema] : properties) {
      std::string_view type;
      if (schema["type"].get(type) != simdjson::SUCCESS) type = "string";
      call_.properties.emplace_back(name, type);
    }
  }
  call_.dimensions = read_count(body, "dimensions");
  if (call_.dimensions > most_dimensions) call_.problem = "dimensions is above 65536";
  constexpr std::array keys = {"max_tokens", "max_completion_tokens", "max_output_tokens"};
  for (const auto key : keys) {
    if (const auto count = read_count(body, key)) call_.max_tokens = count;
  }
}

void CallReader::read_messages(const element& messages) {
  array list;
  if (messages.get(list) != simdjson::SUCCESS || list.size() == 0) {
    call_.problem = "messages must be a list of at least one message";
    return;
  }
  for (const element message : list) {
    call_.text = content_text(message);
    if (call_.first_text.empty() && message["content"].is_string()) call_.first_text = call_.text;
    count_text(call_.text);
    if (message["content"].is_string()) read_labels(call_.text);
  }
  if (is_repair(list)) call_.text = content_text(list.at(list.size() - 3));
}

// Whether the text of the last message, which has been read, complains of the answer before it.
bool CallReader::is_repair(const array& messages) const {
  std::string_view role;
  return messages.size() >= 3 && call_.text.find(complaint) != std::string_view::npos &&
         messages.at(messages.size() - 2)["role"].get(role) == simdjson::SUCCESS &&
         role == "assistant";
}

std::string_view CallReader::content_text(const element& message) {
  std::string_view plain;
  array parts;
  if (message["content"].get(plain) == simdjson::SUCCESS) return plain;
  joined_.clear();
  if (message["content"].get(parts) == simdjson::SUCCESS) {
    for (const element part : parts) {
      if (part["text"].get(plain) == simdjson::SUCCESS) joined_ += plain;
    }
  }
  return joined_;
}

void CallReader::read_texts(const element& texts) {
  std::string_view text;
  array list;
  if (texts.get(text) == simdjson::SUCCESS) {
    call_.text = text;
    count_text(text);
    call_.items.push_back(crc32(text));
    return;
  }
  joined_.clear();
  if (texts.get(list) != simdjson::SUCCESS || list.size() == 0) {
    call_.problem = "prompt or input must be a string or a list of at least one string";
    return;
  }
  if (list.at(0).is_uint64()) {
    read_item(texts); // the token ids of one text
  } else {
    for (const element item : list) read_item(item);
  }
  call_.text = joined_;
}

void CallReader::read_item(const element& item) {
  std::string_view text;
  array ids;
  if (!call_.items.empty()) joined_ += '\n';
  const std::size_t begin = joined_.size();
  if (item.get(text) == simdjson::SUCCESS) {
    joined_ += text;
  } else if (item.get(ids) == simdjson::SUCCESS && ids.size() != 0) {
    for (const element id : ids) {
      std::uint64_t number = 0;
      if (id.get(number) != simdjson::SUCCESS) call_.problem = not_a_text;
      if (joined_.size() != begin) joined_ += ' ';
      append_number(joined_, number);
    }
  } else {
    call_.problem = not_a_text;
  }
  const auto whole = std::string_view(joined_).substr(begin);
  count_text(whole);
  call_.items.push_back(crc32(whole));
}

void CallReader::read_labels(std::string_view text) {
  constexpr std::string_view heading = "Labels:\n", bullet = "- ";
  const auto at = text.find(heading);
  if (at == text.npos) return;
  for (text.remove_prefix(at + heading.size()); text.starts_with(bullet);) {
    const auto line = text.substr(0, text.find('\n'));
    call_.labels.push_back(line.substr(bullet.size()));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
}

void CallReader::count_text(std::string_view text) {
  bytes_ += text.size();
  ++messages_;
}

} // namespace gristmill::simllm
