#include "protocol/openai/request/canonical.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <sodium.h>

namespace gristmill::openai {
namespace {

constexpr std::string_view not_asked[] = {"metadata", "prompt_cache_key", "safety_identifier",
                                          "user"};

// Writes a checked value with its objects' members sorted by name. Each byte is read once; only an
// object whose members are out of order is moved, so depth times size bounds the work.
class Canonical {
public:
  explicit Canonical(std::string_view text) : text_{text} { out_.reserve(text.size()); }

  std::string take() && {
    value();
    return std::move(out_);
  }

private:
  struct Entry {
    std::string key;
    std::size_t from = 0, to = 0; // of `"key":value` in out_
  };

  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() { at_ = json::after_space(text_, at_); }

  void value() {
    space();
    if (here() == '{') {
      object();
    } else if (here() == '[') {
      array();
    } else {
      scalar();
    }
    space();
  }

  // A string is spelled anew, because an escape and its character mean the same.
  std::string scalar() {
    const std::size_t from = at_;
    at_ = json::after_value(text_, at_);
    const json::Value value{text_.substr(from, at_ - from)};
    if (!value.is(json::Kind::string)) {
      out_ += value.text;
      return {};
    }
    std::string text = json::text_of(value);
    json::append_string(out_, text);
    return text;
  }

  void array() {
    out_ += '[';
    for (++at_, space(); here() != ']' && here() != '\0';) {
      value();
      if (here() != ',') continue;
      ++at_;
      out_ += ',';
    }
    ++at_;
    out_ += ']';
  }

  void object() {
    const bool is_request = out_.empty();
    std::vector<Entry> entries;
    out_ += '{';
    const std::size_t first = out_.size();
    for (++at_, space(); here() != '}' && here() != '\0';) {
      Entry entry;
      entry.from = out_.size();
      entry.key = scalar();
      space();
      ++at_; // the colon
      out_ += ':';
      value();
      entry.to = out_.size();
      entries.push_back(std::move(entry));
      if (here() != ',') continue;
      ++at_;
      space();
      out_ += ',';
    }
    ++at_;
    sort(entries, first, is_request);
    out_ += '}';
  }

  void sort(std::vector<Entry>& entries, std::size_t first, bool is_request) {
    const auto by_key = [](const Entry& a, const Entry& b) { return a.key < b.key; };
    const bool left_out = is_request && std::erase_if(entries, [](const Entry& entry) {
                                          return std::ranges::count(not_asked, entry.key) > 0;
                                        }) > 0;
    if (!left_out && std::is_sorted(entries.begin(), entries.end(), by_key)) return;
    std::stable_sort(entries.begin(), entries.end(), by_key);
    const std::string before = out_.substr(first);
    out_.resize(first);
    for (const Entry& entry : entries) {
      if (out_.size() > first) out_ += ',';
      out_.append(before, entry.from - first, entry.to - entry.from);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
};

RequestKey key_of(std::string_view text) {
  RequestKey key;
  crypto_generichash(reinterpret_cast<unsigned char*>(key.bytes.data()), key.bytes.size(),
                     reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr, 0);
  return key;
}

} // namespace

Result<RequestKey> request_key(const Request& request, std::string_view scope) {
  if (const auto checked = json::check(request.body); !checked)
    return fail(ErrorCode::bad_input,
                "expected a request body in JSON: " + checked.error().message);
  // Neither scope nor path has a NUL, so they cannot run into what follows.
  std::string text{scope};
  (text += '\0') += request.path;
  (text += '\0') += Canonical{request.body}.take();
  return key_of(text);
}

RequestKey key_in_scope(const RequestKey& key, std::string_view scope) {
  return key_of(std::string{key.view()}.append(scope));
}

} // namespace gristmill::openai
