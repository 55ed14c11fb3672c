// ERROR BOOK: which errors calls have met, by cause, with a sample of each. It alone says which
// errors are one cause: those of one class, code and HTTP status. It has no clock: whoever has one
// stamps what was met since it did so last. Invariant: at most error_causes_max causes are told
// apart, the others of a class are counted together as "other", so that its memory follows neither
// the corpus nor what servers say, and the sums by class are exact.
#pragma once

#include "protocol/job/counted_error.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace gristmill {

inline constexpr std::size_t error_causes_max = 64;

// One error, as somebody met it.
struct MetError {
  OutcomeClass cls = OutcomeClass::transient;
  std::string_view code;
  std::uint16_t http_status = 0;
  std::string_view words;
  std::string_view item = {}, source = {}; // of its item, where that is known
};

class ErrorBook {
public:
  // Which words of a cause are kept.
  enum class Sample : std::uint8_t { first, last };
  explicit ErrorBook(Sample sample = Sample::last) : sample_{sample} {}
  ErrorBook(ErrorBook&&) = default;
  ErrorBook& operator=(ErrorBook&&) = default;

  void met(const MetError& error) {
    Entry& entry = entry_of(error);
    CountedError& counted = entry.error;
    if (++counted.count == 1 || counted.sample.empty() || sample_ == Sample::last) {
      counted.sample = json::printable(error.words, error_words_max);
      counted.item = json::printable(error.item, place_bytes_max);
      counted.source = json::printable(error.source, place_bytes_max);
    }
    entry.stamped = false;
    last_ = &entry;
    unstamped_ = true;
    touch(entry);
  }
  // … and its item has failed by it.
  void ended_item(const MetError& error) {
    Entry& entry = entry_of(error);
    ++entry.error.final;
    touch(entry);
  }
  // What was met before this book began.
  void count_from(const ErrorList& before) {
    for (const CountedError& error : before) {
      Entry& entry = entry_of({error.cls, error.code, error.http_status, {}});
      CountedError sum = error;
      sum.code = entry.error.code;
      sum.http_status = entry.error.http_status;
      sum.count += entry.error.count;
      sum.final += entry.error.final;
      entry.error = std::move(sum);
      touch(entry);
    }
  }
  // What was met since the last stamp was met now.
  void stamp(std::int64_t unix_seconds) {
    if (!std::exchange(unstamped_, false)) return;
    for (auto& [cause, entry] : entries_)
      if (!std::exchange(entry.stamped, true)) entry.error.at = unix_seconds;
  }

  // Causes that were met since they were last taken here, for the journal.
  ErrorList take_unnoted() {
    ErrorList errors;
    if (!std::exchange(unnoted_, false)) return errors;
    for (auto& [cause, entry] : entries_)
      if (!std::exchange(entry.noted, true)) errors.push_back(entry.error);
    return errors;
  }
  bool has_unnoted() const { return unnoted_; }

  bool empty() const { return entries_.empty(); }
  ErrorList list() const {
    ErrorList errors;
    for (const auto& [cause, entry] : entries_) errors.push_back(entry.error);
    sort_by_count(errors);
    return errors;
  }
  // The list, if it has changed since it was last taken here.
  SharedErrors news() {
    if (!std::exchange(changed_, false)) return nullptr;
    return std::make_shared<const ErrorList>(list());
  }
  bool has_news() const { return changed_; }
  // The one that was met last in this life; nullptr = none was.
  const CountedError* last() const { return last_ == nullptr ? nullptr : &last_->error; }
  // The most frequent one; nullptr = there is none.
  const CountedError* most_frequent() const {
    const CountedError* most = nullptr;
    for (const auto& [cause, entry] : entries_)
      if (most == nullptr || entry.error.count > most->count) most = &entry.error;
    return most;
  }

private:
  static constexpr std::size_t place_bytes_max = 200;

  using Cause = std::tuple<OutcomeClass, std::string, std::uint16_t>;
  struct Entry {
    CountedError error;
    bool stamped = true, noted = true;
  };

  void touch(Entry& entry) {
    entry.noted = false;
    changed_ = unnoted_ = true;
  }
  Entry& entry_of(const MetError& error) {
    Cause cause{error.cls, json::printable(error.code, limits::name_bytes_max), error.http_status};
    if (entries_.size() >= error_causes_max && !entries_.contains(cause))
      cause = {error.cls, "other", 0};
    const auto [found, is_new] = entries_.try_emplace(std::move(cause));
    if (is_new) {
      found->second.error.cls = std::get<0>(found->first);
      found->second.error.code = std::get<1>(found->first);
      found->second.error.http_status = std::get<2>(found->first);
    }
    return found->second;
  }

  Sample sample_;
  std::map<Cause, Entry> entries_;
  const Entry* last_ = nullptr;
  bool changed_ = false, unstamped_ = false, unnoted_ = false;
};

} // namespace gristmill
