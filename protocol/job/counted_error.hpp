// COUNTED ERROR: a cause of errors, how often calls met it, and what was said last: in the words
// that status, explain, progress, metrics, log and summary share. Plain data;
// actors/words/error_book counts. Invariant: words of a server are fit for a terminal and have at
// most error_words_max bytes.
#pragma once

#include "protocol/job/outcome_class.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill {

inline constexpr std::size_t error_words_max = 300;

struct CountedError {
  OutcomeClass cls = OutcomeClass::transient;
  std::string code;              // the endpoint's, or ours; empty = only the class is known
  std::uint16_t http_status = 0; // 0 = no HTTP answer
  std::uint64_t count = 0;       // how often it was met
  std::uint64_t final = 0;       // … and ended its item
  std::string sample;            // what was said last; empty = not known
  std::string item, source;      // of that: its id and FILE:LINE, where an item is known
  std::int64_t at = 0;           // when it was met last, unix seconds; 0 = not known
  std::uint64_t retried() const { return count - final; }
};

using ErrorList = std::vector<CountedError>; // the most frequent first
using SharedErrors = std::shared_ptr<const ErrorList>;

inline bool same_cause(const CountedError& a, const CountedError& b) {
  return a.cls == b.cls && a.code == b.code && a.http_status == b.http_status;
}

// "HTTP 429 rate_limit_exceeded: slow down": what came, in one line.
std::string said(const CountedError& error);
// "rate, rate_limit_exceeded": which cause it is.
std::string name_of(const CountedError& error);

// Of those met within the last minute before the last one the most frequent; nullptr = none is
// known to have been met.
const CountedError* of_late(const ErrorList& errors);

void sort_by_count(ErrorList& errors);
// At most so many causes, the others of a class together as "other": the sums stay what they are.
ErrorList leading(ErrorList errors, std::size_t most);
// Items that failed in one of these classes (none = any) are run again: what ended them was not
// final.
void take_back(ErrorList& errors, const std::vector<OutcomeClass>& classes);

} // namespace gristmill
