// What a server remembers of beginnings that it has read: the prefixes of the calls that it
// answered last. A call's prefix is the first so many bytes of its first text; a shorter text has
// none.
//
// Invariant: at most `prefixes` are kept, and only of calls that were answered.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <string_view>

namespace gristmill::simllm {

struct PrefixCacheLaw {
  std::uint64_t prefixes = 0; // 0: there is no cache
  std::uint64_t bytes = 0;
  double factor = 1; // so much sooner is a call answered whose prefix is kept

  // "PREFIXES:BYTES:FACTOR"; throws std::invalid_argument with a sentence otherwise.
  static PrefixCacheLaw parse(std::string_view text);
};

class PrefixCache {
public:
  explicit PrefixCache(PrefixCacheLaw law) : law_(law) {}

  const PrefixCacheLaw& law() const { return law_; }
  // The prefix of a call as a number; 0: it has none.
  std::uint64_t key_of(std::string_view first_text) const {
    if (law_.prefixes == 0 || first_text.size() < law_.bytes) return 0;
    return std::hash<std::string_view>{}(first_text.substr(0, law_.bytes)) | 1;
  }
  bool holds(std::uint64_t key) const {
    return std::find(kept_.begin(), kept_.end(), key) != kept_.end();
  }
  void keep(std::uint64_t key) {
    if (key == 0) return;
    kept_.remove(key);
    kept_.push_front(key);
    if (kept_.size() > law_.prefixes) kept_.pop_back();
  }

private:
  PrefixCacheLaw law_;
  std::list<std::uint64_t> kept_; // the latest first
};

} // namespace gristmill::simllm
