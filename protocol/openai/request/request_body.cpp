#include "protocol/openai/request/request_body.hpp"
#include "protocol/openai/api.hpp"

#include <algorithm>

namespace gristmill::openai {
namespace {

struct Overlay {
  std::string key; // as spelled
  std::string value;
  bool written = false;
};

class Writer {
public:
  void member(std::string_view key, std::string_view value) {
    out_ += out_.empty() ? '{' : ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
    out_ += value;
  }
  std::string take() && {
    out_ += out_.empty() ? "{}" : "}";
    return std::move(out_);
  }
  void reserve(std::size_t bytes) { out_.reserve(bytes); }

private:
  std::string out_;
};

Overlay* find_in(std::vector<Overlay>& overlays, std::string_view key) {
  const auto found = std::find_if(overlays.begin(), overlays.end(), [key](const Overlay& overlay) {
    return json::same_key(overlay.key, key);
  });
  return found == overlays.end() ? nullptr : &*found;
}

void lay(std::vector<Overlay>& overlays, std::string_view key, std::string value) {
  if (Overlay* same = find_in(overlays, key)) {
    same->value = std::move(value);
  } else {
    overlays.push_back({std::string{key}, std::move(value)});
  }
}

} // namespace

bool asks_for_stream(json::Value body) {
  json::Members members{body};
  while (const auto member = members.next())
    if (member->named("stream") && member->value.text != "false" && member->value.text != "null")
      return true;
  return false;
}

std::vector<std::string_view> answer_limit_words(Api api, json::Value body, json::Value params) {
  switch (api) {
  case Api::embeddings:
  case Api::other: return {};
  case Api::responses: return {"max_output_tokens"};
  case Api::completions: return {"max_tokens"};
  case Api::chat: break;
  }
  std::vector<std::string_view> words;
  for (const std::string_view word : {"max_completion_tokens", "max_tokens"})
    if (!json::find(body, word).is(json::Kind::none) ||
        !json::find(params, word).is(json::Kind::none))
      words.push_back(word);
  if (words.empty()) words.push_back("max_tokens");
  return words;
}

std::string overlaid(json::Value body, json::Value params, std::string_view model,
                     std::uint64_t max_tokens, const std::vector<std::string_view>& limit_words) {
  std::vector<Overlay> overlays;
  json::Members given{params};
  while (const auto member = given.next())
    lay(overlays, member->key, std::string{member->value.text});
  if (!model.empty()) {
    std::string quoted;
    json::append_string(quoted, model);
    lay(overlays, "model", std::move(quoted));
  }
  if (max_tokens > 0)
    for (const std::string_view word : limit_words) lay(overlays, word, std::to_string(max_tokens));

  Writer writer;
  writer.reserve(body.text.size() + params.text.size() + model.size() + 16);
  json::Members members{body};
  while (const auto member = members.next()) {
    Overlay* overlay = find_in(overlays, member->key);
    if (overlay == nullptr) {
      writer.member(member->key, member->value.text);
    } else if (!overlay->written) {
      writer.member(member->key, overlay->value);
      overlay->written = true;
    }
  }
  for (const Overlay& overlay : overlays)
    if (!overlay.written) writer.member(overlay.key, overlay.value);
  return std::move(writer).take();
}

} // namespace gristmill::openai
