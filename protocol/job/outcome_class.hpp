// What an attempt's end means and what follows from it: whose fault it is, what its endpoint does
// now, what its item pays, and the words for people. The table in outcome_class.cpp decides all of
// that, and is the only source of it: supervisor, limiter, explain, metrics and documents read it.
#pragma once

#include "protocol/result.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gristmill {

enum class OutcomeClass : std::uint8_t {
  ok = 0,
  transient = 1,    // 408, 409, 500, a reply that is cut or cannot be read
  timeout = 2,      // the call's total time ran out
  overload = 3,     // 529, or words that say so
  rate = 4,         // 429 rate_limit_exceeded
  ramp = 5,         // 429 slow_down
  quota = 6,        // insufficient_quota and its kin, 402
  too_long = 7,     // context_length_exceeded
  bad_line = 8,     // other 400, 422: the request itself is wrong
  policy = 9,       // content filter
  config = 10,      // 401, 403, 404, 501
  too_big = 11,     // 413
  bad_result = 12,  // an answer that is whole but not usable
  cancelled = 13,   // by the user, or withdrawn
  unstarted = 14,   // the permit died before the call was sent: nothing left this machine
  unreachable = 15, // refused, not resolved, not trusted, or reset before an answer began
  unavailable = 16, // 503, 424, 425: not ready yet, or full
  gateway = 17,     // 499, 502, 504, 520 to 530: a gateway got no answer from its server
  poison = 18,      // it fails alone, again and again, where all others are answered
  malformed = 19,   // an answer that is whole, but of another form, number or size than asked for
};
inline constexpr std::size_t outcome_class_count = 20;

enum class Fault : std::uint8_t {
  nobody,
  item,     // another item would have been answered
  endpoint, // away, not ready or full: any item would have failed
  limit,    // more calls than its provider allows
  account,  // no credit
  setup,    // wrong key, model or URL: somebody has to correct it
};

// What the end says about the endpoint.
enum class EndpointNews : std::uint8_t {
  none,     // nothing was asked
  answered, // it is well, whatever it made of this call
  failed,   // one such end is the item's, many in a row are the endpoint's
  away,     // it cannot be reached
  full,     // it cannot take the call up now: held if none is answered, else fewer at once
  refuses,  // it does not serve this job
};

// What the item pays.
enum class Toll : std::uint8_t {
  none,            // it is called again
  attempt,         // counts against --retries
  attempt_if_well, // … if the endpoint has answered another item meanwhile
  one_more,        // … and leaves one try at most: the next answer will hardly be another
  suspicion,       // nothing, but whose failures others survive is tried alone in the end
  item,            // it has failed
};

struct OutcomeClassInfo {
  OutcomeClass cls;
  std::string_view name; // as in logs, summary and --retry-failed=CLASS
  Fault fault;
  EndpointNews news;
  Toll toll;
  std::string_view sentence; // for people
  std::string_view source;   // of the row: the specification or what servers were seen to send

  bool retryable() const { return cls != OutcomeClass::ok && toll != Toll::item; }
  bool is_endpoints() const { return fault == Fault::endpoint; }
  bool consumes_attempt() const {
    return toll == Toll::attempt || toll == Toll::attempt_if_well || toll == Toll::one_more;
  }
  // Of a call of several inputs it may be the fault of one, or of their number.
  bool refuses_several() const {
    return fault == Fault::item && (toll == Toll::item || toll == Toll::one_more);
  }
  // Another item got further: the endpoint serves this job, whatever it made of the call.
  bool shows_it_well() const {
    return news == EndpointNews::answered && (fault == Fault::nobody || fault == Fault::item);
  }
};

const OutcomeClassInfo& info(OutcomeClass cls);
// Whether a call of class unreachable that ended with this code had not left yet: no item can have
// been the reason.
bool was_never_sent(std::string_view code);
std::optional<OutcomeClass> outcome_class_named(std::string_view name);
// Names of classes in which an item can fail, separated by commas; an error lists them.
Result<std::vector<OutcomeClass>> outcome_classes_named(std::string_view names);

} // namespace gristmill
