// ACCOUNT: one budget that calls draw from: an endpoint's key, or a job's own limits. It joins what
// a minute and a day allow, the slots, the health of the server, the turns of the jobs that wait,
// and the blocks that the journal holds of it. Invariant: a call is drawn from all of them or from
// none, and what they allow is what the limits say.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/rate_limiter/blocks/budget_blocks.hpp"
#include "actors/rate_limiter/health/server_health.hpp"
#include "actors/rate_limiter/packs/pack_limit.hpp"
#include "actors/rate_limiter/permit_life.hpp"
#include "actors/rate_limiter/turns.hpp"
#include "actors/rate_limiter/windows/advertised_limit.hpp"
#include "actors/rate_limiter/windows/day_window.hpp"
#include "actors/rate_limiter/windows/minute_limit.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gristmill::rate_limiter {

// What one call took, to be settled or refunded.
struct Charge {
  Tokens tokens;
  BudgetBlocks::Drawn drawn{};
  Time calls_until{}, tokens_until{}, day_until{}; // names of the holds
  ServerHealth::Begun begun{};
};

class Account {
public:
  // Accounts of its input and of its output tokens, where these have windows of their own; nullptr
  // = they have none.
  struct Parts {
    std::shared_ptr<Account> input{}, output{};
  };
  // `day`: the length of the long window.
  Account(std::string name, const RateLimits& limits, Time now,
          Duration day = defaults::day_window);

  const std::string& name() const { return name_; }
  const RateLimits& limits() const { return limits_; }
  // Other limits from now on; what is charged stays charged.
  void set_limits(const RateLimits& limits, Time now);
  const Parts& parts() const { return parts_; }
  void set_parts(Parts parts) { parts_ = std::move(parts); }
  std::uint32_t in_flight() const { return in_flight_; }
  // The most calls that may be in flight now; 0 = no such limit.
  std::uint32_t slots() const { return health_.takes_up().value_or(limits_.max_in_flight); }
  ServerHealth& health() { return health_; }
  const ServerHealth& health() const { return health_; }
  PermitLife& permit_life() { return permit_life_; }
  PackLimit& packs() { return packs_; }
  const PackLimit& packs() const { return packs_; }
  // Whose turn it is among jobs that wait for it.
  Turns& turns() { return turns_; }
  const Turns& turns() const { return turns_; }

  // How much of its limits one more call would take, from 0 to 1 and beyond: what endpoints are
  // compared by. One without a limit of slots counts as one with so many.
  static constexpr std::uint32_t unlimited_slots = 128;
  double load(Time now);
  // The part of a minute's calls or tokens that a call takes, of whichever it takes more.
  double part_of_minute(Tokens tokens) const;
  WindowUse used(Time now);
  EndpointStanding standing(Time now); // how it stands, for people

  // Nothing if a call of `tokens` may go now; else why not, and until when, without an endpoint.
  std::optional<WaitReason> refuses(Tokens tokens, Time now);
  // … and so much is left that nobody would wait for what a call takes which begins a little later:
  // a quarter of the slots, half of a burst. Never of what is known to be scarce.
  bool has_plenty(Tokens tokens, Time now);
  Charge draw(Tokens tokens, Time now, Duration life = defaults::permit_life); // after that
  void occupy() { ++in_flight_; } // a call that another life of ours permitted

  // What the end of a call says about the server.
  void felt(const Charge& charge, const ServerHealth::End& end, Time now);
  // What its headers said of its limits, in the answer of that call.
  void advertised(const Charge& charge, const std::vector<protocol::LimitHint>& limits, Time now);
  // The slot is free; `used` known: what the call did not use is free as well.
  void settle(const Charge& charge, std::optional<std::uint64_t> used, Time now);
  void refund(const Charge& charge, Time now); // the call was never sent
  // … but refused by the server, whose limit of tokens or calls is lower than ours. `slowly`: it
  // asked for a ramp.
  void refused(const Charge& charge, bool tokens, bool slowly, Time now);
  // … if it is that: a server that is away for a moment says the same. It counts once a call that
  // began no sooner is answered, within half a second beyond the time of an answer; and where no
  // rate is known, if another one is confirmed within three seconds: one may be about its item.
  void perhaps_refused(const Charge& charge, bool tokens, Time now);
  // No call before. `why` is static text; `by`: the attempt whose answer said so, at `at`.
  void park(Time until, std::string_view why, AttemptId by = {}, Time at = {}) {
    if (until > parked_.until) parked_ = {until, why, by, at};
  }

  const BudgetBlocks& blocks() const { return blocks_; }
  void needs_no_numbers() { blocks_.needs_no_numbers(); } // as BudgetBlocks has it, and so below
  std::optional<journal::BlockNote> reserve(std::uint64_t number, Time now,
                                            Duration commit_time = {});
  void durable(std::uint64_t block);
  // Of an earlier life: all of a block counts as spent.
  void assume_spent(const journal::BlockNote& block, Time now);
  void assume_spent(const journal::DayNote& note) { day_.assume_spent(note); }
  // What the day's windows have taken, for the journal; nothing, while it knows. To be asked when a
  // block is reserved, before it is written, and at next_day_notes_at().
  std::vector<journal::DayNote> day_notes(Time now) {
    return day_.notes(name_, blocks_.rests(now), now);
  }
  Time next_day_notes_at() const { return day_.next_notes_at(); }

  // Something has happened to it: true for the first time since it was looked at.
  bool touch() { return !std::exchange(touched_, true); }
  void looked_at() { touched_ = false; }
  // Nothing is charged, reserved or under way, so forgetting it forgets nothing.
  bool is_idle(Time now);
  // The earliest time at which is_idle() may be true, if nothing happens until then.
  Time idle_at(Time now) const;
  void measure(Sizes& sizes) const {
    sizes["account.blocks"] += blocks_.closed();
    sizes["account.turns"] += turns_.size();
  }

private:
  struct Parked {
    Time until{Time::min()};
    std::string_view why;
    AttemptId by;
    Time at{};
  };
  // A refusal, if it was one.
  struct InQuestion {
    Charge charge;
    bool tokens = false;
    Time until{};
  };
  void advance(Time now);
  void pace(Time now);
  double said_of(protocol::LimitHint::Name name) const;
  std::optional<WaitReason> limited(Tokens tokens, Time now); // by all but the budget block
  std::optional<WaitReason> day_refuses(std::uint64_t tokens, Time now) const;
  Tokens charged(Tokens tokens) const;
  void confirm_refusal(const Charge& answered, Time now);
  void invariant() const;

  std::string name_;
  RateLimits limits_;
  Parts parts_;
  MinuteLimit calls_, tokens_;
  DayWindow day_;
  std::uint32_t in_flight_ = 0;
  ServerHealth health_;
  PermitLife permit_life_;
  PackLimit packs_;
  std::array<AdvertisedLimit, 4> advertised_; // what the server says of its limits, by their names
  std::optional<InQuestion> in_question_;
  Time confirmed_until_ = Time::min(); // within three seconds of a refusal that was confirmed
  Parked parked_;
  Turns turns_;
  BudgetBlocks blocks_;
  bool touched_ = false;
};

} // namespace gristmill::rate_limiter
