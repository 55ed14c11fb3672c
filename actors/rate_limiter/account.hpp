// ACCOUNT: one budget that calls draw from: an endpoint's key, or a job's own limits. It has minute
// windows of calls and tokens with their smoothers, windows of a day, a number of slots, and the
// budget block that the journal holds for it. Invariant: nothing is drawn that a durable block does
// not cover, so a crash can forget only what it then assumes to be spent.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"
#include "actors/rate_limiter/concurrency/found_limits.hpp"
#include "actors/rate_limiter/health/answer_time.hpp"
#include "actors/rate_limiter/health/endpoint_hold.hpp"
#include "actors/rate_limiter/health/quota_gate.hpp"
#include "actors/rate_limiter/turns.hpp"
#include "actors/rate_limiter/windows/advertised_limit.hpp"
#include "actors/rate_limiter/windows/day_window.hpp"
#include "actors/rate_limiter/windows/learned_rate.hpp"
#include "actors/rate_limiter/windows/sliding_window.hpp"
#include "actors/rate_limiter/windows/smoother.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"
#include "actors/words/doubt.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gristmill::rate_limiter {

// What one call took, to be settled or refunded.
struct Charge {
  Tokens tokens;
  Time drawn_at{};
  Time calls_until{}, tokens_until{}, day_until{}; // names of the holds
  Flight flight{};                                 // of the concurrency limit
  std::uint64_t block = 0;                         // that it was drawn from
  std::uint32_t place = 0;                         // so many were in flight then, it too
  EndpointHold::Begun begun = {};
};

inline constexpr auto block_retry = std::chrono::milliseconds{2};
inline constexpr std::uint32_t unlimited_slots = 128;
inline constexpr double often_full = 0.2;    // from here on it is we who are too many
inline constexpr double seldom_full = 0.045; // one of the last 32 calls, and not two

class Account {
public:
  // Accounts of its input and of its output tokens, where these have windows of their own; nullptr
  // = they have none.
  struct Parts {
    std::shared_ptr<Account> input{}, output{};
  };
  // `day`: the length of the long window.
  Account(std::string name, RateLimits limits, Time now, Duration day = defaults::day_window);

  const std::string& name() const { return name_; }
  const RateLimits& limits() const { return limits_; }
  Parts& parts() { return parts_; }
  const Parts& parts() const { return parts_; }
  std::uint32_t in_flight() const { return in_flight_; }
  // The most calls that may be in flight now; 0 = no such limit.
  std::uint32_t slots() const {
    return concurrency_ ? concurrency_->limit() : limits_.max_in_flight;
  }
  // Of a server: finds by itself how many calls it takes up, within the limits.
  // `before`: what was found in an earlier life or for an earlier job.
  void find_concurrency(const std::optional<FoundLimit>& before, Time now) {
    if (concurrency_) return;
    concurrency_.emplace(limits_.max_in_flight);
    if (!before) return;
    concurrency_->resumed(*before, now);
    noted_ = *before;
  }
  // What was found, if it is other than what was asked for last.
  std::optional<FoundLimit> found_news() {
    const auto found = concurrency_ ? concurrency_->found() : std::nullopt;
    if (!found || !is_news(*found, noted_)) return std::nullopt;
    return noted_ = *found;
  }
  // What the server says of its queue; heard only of one that finds its concurrency.
  void queue_told(const protocol::QueueReport& report, Time now) {
    if (concurrency_) concurrency_->told(report, in_flight_, now);
  }
  std::optional<protocol::QueueReport> queue(Time now) const {
    return concurrency_ ? concurrency_->queue(now) : std::nullopt;
  }
  // Other limits from now on; what is charged stays charged.
  void set_limits(const RateLimits& limits, Time now);
  // How much of its limits one more call would take, from 0 to 1 and beyond: what endpoints are
  // compared by. One without a limit of slots counts as one with unlimited_slots.
  double load(Time now);
  // How long it takes for an answer, of late; 0 = nobody knows.
  double answer_seconds(Time now) const { return answer_time_.seconds(now); }
  WindowUse used(Time now);
  // Nothing is charged, reserved or under way, so forgetting it forgets nothing.
  bool is_idle(Time now);

  // Nothing if a call of `tokens` may go now; else why not, and until when, without an endpoint.
  std::optional<WaitReason> refuses(Tokens tokens, Time now);
  // Whose turn it is among jobs that wait for it.
  Turns& turns() { return turns_; }
  // The part of a minute's calls or tokens that a call takes, of whichever it takes more.
  double part_of_minute(Tokens tokens) const;
  // Since when the next budget block is on its way to the disk; nothing: none is.
  std::optional<Time> writing_since() const {
    return next_ ? std::optional{next_since_} : std::nullopt;
  }
  // After refuses() said nothing; the number within the block is returned in `n`.
  Charge draw(Tokens tokens, Time now, std::uint64_t& n, Duration life = defaults::permit_life);
  std::uint64_t block() const { return block_ ? block_->note.block : 0; }

  const EndpointHold& hold() const { return hold_; }
  // What a failure of a call that began now would leave open.
  Doubt doubt() const {
    if (hold_.is_held()) return Doubt::held;
    const bool takes_more = in_flight_ < most_answered_ && full_ < often_full;
    return takes_more ? Doubt::none : Doubt::crowded;
  }
  QuotaGate& quota() { return quota_; }
  const QuotaGate& quota() const { return quota_; }
  // What the end of a call says about the server: whether it is well, and how much it takes up.
  struct End {
    OutcomeClass cls = OutcomeClass::unstarted;
    Duration latency{};
    bool from_cache = false;           // it had read most of the request before
    std::optional<Duration> told = {}; // when it wants to be asked again
    bool unstarted = false;            // the call was never sent
  };
  void felt(const Charge& charge, const End& end, Time now);
  // Full, it says, but at once, and answers others: it has a limit of calls in a time, not too few
  // slots. One whose slots are taken lets calls wait first, and a gateway speaks of a server that
  // is away.
  bool refuses_at_once(OutcomeClass cls, Duration latency, Time now) const {
    return cls != OutcomeClass::gateway && fails_at_once(cls, latency, now);
  }
  // The slot is free; `used` known: what the call did not use is free as well.
  void settle(const Charge& charge, std::optional<std::uint64_t> used, Time now);
  void refund(const Charge& charge, Time now); // the call was never sent
  // … but refused by the server, whose limit of tokens or calls is lower than ours. `slowly`: it
  // asked for a ramp.
  void refused(const Charge& charge, bool tokens, bool slowly, Time now);
  // … if it is that: a server that is away for a moment says the same. It counts once a call that
  // began no sooner is answered, within half a second beyond the time of an answer.
  void perhaps_refused(const Charge& charge, bool tokens, Time now);
  // What its headers said of its limits, in the answer of that call.
  void advertised(const Charge& charge, const std::vector<protocol::LimitHint>& limits, Time now);
  void occupy() { ++in_flight_; } // a call that another life of ours permitted
  // How long a permit of this endpoint lives: it grows while calls cannot be sent in time.
  Duration life() const { return life_; }
  void permit_used();
  void permit_came_too_late(Time now);
  // `why` is static text; `by`: the attempt whose answer said so, at `at`.
  void park(Time until, std::string_view why, AttemptId by = {}, Time at = {}) {
    if (until <= parked_until_) return;
    parked_until_ = until;
    parked_why_ = why;
    parked_by_ = by;
    parked_at_ = at;
  }
  Time parked_until() const { return parked_until_; }
  std::string_view parked_why() const { return parked_why_; }
  AttemptId parked_by() const { return parked_by_; }
  Time parked_at() const { return parked_at_; }

  // A job's: its blocks number no attempts, so without windows it needs none.
  void needs_no_numbers() { numbers_ = false; }
  bool numbers_attempts() const { return numbers_; }
  // A block to be journalled, when the next one is due. `number` becomes its name; `commit_time`:
  // how long it takes of late until it is durable.
  std::optional<journal::BlockNote> reserve(std::uint64_t number, Time now,
                                            Duration commit_time = {});
  void durable(std::uint64_t block);
  // When reserve() has something to do though nothing happens to the account; `never` = not before
  // something does.
  Time reserves_at(Duration commit_time) const;
  // A block of an earlier life: all of it counts as spent.
  void assume_spent(const journal::BlockNote& block, Time now);
  // What the day's windows have taken, for the journal; nothing, while it knows. To be asked when a
  // block is reserved, before it is written, and at next_day_notes_at().
  std::vector<journal::DayNote> day_notes(Time now);
  void measure(Sizes& sizes) const {
    sizes["account.blocks"] += closed_.size();
    sizes["account.turns"] += turns_.size();
  }
  Time next_day_notes_at() const {
    return day_.limited() && !day_noted_ ? Time::min() : day_.next_notes_at();
  }
  void assume_spent(const journal::DayNote& note) { day_.assume_spent(note); }
  bool knows(JobId job) const { return turns_.knows(job); }
  void forget(JobId job) { turns_.forget(job); }
  // The blocks that the journal holds of it.
  std::vector<std::uint64_t> blocks() const;
  // Something has happened to it: true for the first time since it was looked at.
  bool touch() { return !std::exchange(touched_, true); }
  void looked_at() { touched_ = false; }
  // The earliest time at which is_idle() may be true, if nothing happens until then.
  Time idle_at(Time now) const;

private:
  struct Block {
    journal::BlockNote note;
    std::uint64_t drawn_calls = 0, drawn_tokens = 0;
    bool is_news = true; // how much was drawn is not noted
  };
  static constexpr double at_once = 0.25; // of the time of an answer
  static constexpr Duration confirmed_within = std::chrono::milliseconds{500};
  static Duration hold_of(Duration window, Duration life);
  bool counts_tokens() const;
  bool needs_blocks() const { return numbers_ || limits_.windows(); }
  std::optional<WaitReason> limited(Tokens tokens, Time now); // by all but the budget block
  std::optional<WaitReason> day_refuses(std::uint64_t tokens, Time now) const;
  void not_drawn(std::uint64_t tokens, std::uint64_t block);
  std::vector<std::uint64_t> take_over(Time now);
  std::vector<journal::DrawnNote> drawn_notes();
  bool covers(std::uint64_t tokens, Time now) const;
  Duration lead_of(Duration commit_time) const;
  void size(journal::BlockNote& note, Duration validity) const;
  Tokens charged(Tokens tokens) const;
  std::uint64_t per_minute(std::uint64_t configured, const LearnedRate& learned) const;
  void advance(Time now);
  void pace(Time now);
  bool fails_at_once(OutcomeClass cls, Duration latency, Time now) const {
    return info(cls).news == EndpointNews::full &&
           to_seconds(latency) < at_once * answer_time_.seconds(now);
  }
  void confirm_refusal(const Charge& answered, Time now);

  std::string name_;
  RateLimits limits_;
  Parts parts_;
  SlidingWindow calls_window_, tokens_window_;
  Smoother calls_smoother_, tokens_smoother_;
  Duration day_length_;
  DayWindow day_;
  LearnedRate calls_rate_, tokens_rate_; // where the server takes less than the limits say
  struct InQuestion {
    Charge charge;
    bool tokens = false;
    Time until{};
  };
  std::optional<InQuestion> in_question_; // a refusal, if it was one
  // What the server says of its limits, by their names.
  std::array<AdvertisedLimit, 4> advertised_;
  AnswerTime answer_time_;
  double from_cache_ = 0; // share of late
  Duration life_;
  int unused_in_a_row_ = 0, used_in_a_row_ = 0;
  Time life_changed_at_{Time::min()};
  std::uint32_t in_flight_ = 0;
  EndpointHold hold_;
  std::uint32_t most_answered_ = 0; // the highest place of a call that was answered
  double full_ = 0;                 // share of late of ends that say that it is full
  Turns turns_;
  QuotaGate quota_;
  std::optional<ConcurrencyLimit> concurrency_;
  FoundLimit noted_{0, true};
  Time parked_until_{Time::min()};
  std::string_view parked_why_;
  AttemptId parked_by_;
  Time parked_at_{};

  std::optional<Block> block_; // durable, being drawn from
  std::optional<Block> next_;  // on its way to the disk
  Time next_since_{};
  std::deque<Block> closed_; // the ones before block_ that may count
  bool day_noted_ = true;    // since next_ was reserved
  bool wanted_ = false;      // somebody asked for what block_ does not cover
  std::uint64_t tokens_wanted_ = 0;
  bool numbers_ = true; // its blocks number attempts
  bool touched_ = false;
};

} // namespace gristmill::rate_limiter
